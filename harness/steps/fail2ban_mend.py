"""Part of step `fail2ban`: which changes would mend this controller, chosen by what its system has; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Action, Run, Write
from harness.fixes import install, start_now_and_at_boot
from harness.parse import jailfile
from harness.steps import fail2ban_fixes as fixes
from harness.steps.fail2ban_fixes import (
    AUTH_LOG,
    OWN_LOG,
    RECIDIVE,
    SERVER,
    SERVER_SITE,
    SITE,
    SSHD,
    SYSLOG,
    SYSLOG_RULE,
    SYSLOG_SITE,
    UNIT,
)
from harness.steps.fail2ban_look import LOST
from harness.steps.fail2ban_values import are_right, is_to_be_rebuilt

if TYPE_CHECKING:
    from harness.steps.fail2ban import State
    from harness.steps.fail2ban_look import Settings

NO_LOG = "not found any log file"


@dataclass(frozen=True)
class Mend:
    """The parts of every fix for one state of the controller."""

    node: str
    state: State

    @property
    def reads_journal(self) -> bool | None:
        """Whether jail sshd reads the journal; None where neither the server nor the files can be asked."""
        daemon = self.state.daemon
        server = daemon.server if daemon else None
        for said in (server.settings if server else {}, (daemon and daemon.planned) or {}):
            if "sshd" in said:
                return not said["sshd"].logs
        return False if daemon and NO_LOG in daemon.complaint else None

    @property
    def is_ours(self) -> bool:
        """Whether the complaint about the files, if there is one, is about what we may change."""
        daemon = self.state.daemon
        complaint = daemon.complaint if daemon else ""
        ours = self.state.files.get(SITE)
        is_broken = ours is not None and not jailfile.is_readable(ours.content)
        return not complaint or SITE in complaint or is_broken or NO_LOG in complaint

    def install(self) -> tuple[Action, ...]:
        """The package; before it its files, so that it starts with the documented values at once."""
        packages = ("fail2ban",) if self._has_syslog else ("fail2ban", "python3-systemd")
        return (
            *self.logs(), *self.files(),
            install(self.node, *packages, why="ban who fails to log in"),
            fixes.go(self.node, fixes.START),
        )  # fmt: skip

    def files(self) -> tuple[Action, ...]:
        """Our file, where the files do not say what is wanted, and it is not another one that is broken."""
        daemon = self.state.daemon
        planned = daemon.planned if daemon else None
        is_right = planned is not None and are_right(planned) and (self._has_syslog or not planned["sshd"].logs)
        lacks_only_log = self._has_syslog and daemon is not None and NO_LOG in daemon.complaint
        if is_right or lacks_only_log or not self.is_ours:
            return ()
        return fixes.with_options(self.node, SITE, self.state.files, self._jails(planned), "the documented jails")

    def logs(self) -> tuple[Action, ...]:
        """The logs that are missing: fail2ban does not start without them."""
        wanted = (AUTH_LOG, OWN_LOG) if self._has_syslog and not self.reads_journal else (OWN_LOG,)
        return tuple(fixes.empty_log(self.node, path) for path in wanted if path not in self.state.logs)

    def syslog(self) -> tuple[Action, ...]:
        """What has sshd's words written down: rsyslog where it is installed, else the journal."""
        if not self._has_syslog:
            return (install(self.node, "python3-systemd", why="read the journal"), *self.files(), self.go())
        start = start_now_and_at_boot(self.node, SYSLOG, "write down who fails to log in")
        if AUTH_LOG in self.state.logs:
            return (start,)
        return (start, self._reopen(), self.go())

    def rules(self) -> tuple[tuple[Action, ...], str]:
        """What has sshd's words come where the jail reads, or what only a person can do about it."""
        daemon = self.state.daemon
        jail = daemon.server.settings.get("sshd") if daemon and daemon.server else None
        if daemon is None or daemon.reaches != LOST or jail is None or jail.logs != (AUTH_LOG,):
            return (
                (),
                "`sshd -T` says what sshd logs (LogLevel), `fail2ban-client get sshd logpath` where the jail reads",
            )
        before = self.state.files.get(SYSLOG_SITE)
        why = "have rsyslog write down who fails to log in"
        rule = Write(self.node, SYSLOG_SITE, before.content if before else None, SYSLOG_RULE, why, 0o644, "root:root")
        return (*(() if self.state.has_rule else (rule,)), self._reopen()), ""

    def _reopen(self) -> Run:
        return Run(self.node, ("systemctl", "restart", SYSLOG), "write to the log that is there now")

    def own_log(self) -> tuple[Action, ...]:
        """What has the server write its bans where recidive reads them."""
        server = self.state.daemon.server if self.state.daemon else None
        if OWN_LOG not in self.state.logs:
            flush = Run(self.node, ("fail2ban-client", "flushlogs"), "write to the log that is there now")
            return (flush,) if server else (self.go(),)
        wanted = {"Definition": SERVER}
        write = fixes.with_options(self.node, SERVER_SITE, self.state.files, wanted, "log bans where recidive reads")
        return (*write, self.go())

    def values(self) -> tuple[tuple[Action, ...], str]:
        """What gives the server the documented values, or what only a person can do about it."""
        daemon, write = self.state.daemon, self.files()
        if daemon and daemon.planned is not None and not write and not are_right(daemon.planned):
            return (), f"a file that is read after {SITE} says otherwise: see `grep -n = /etc/fail2ban/jail.d/*.local`"
        if not self.is_ours:
            return (), "mend first what the configuration test names"
        return (*write, self.go()), ""

    def go(self) -> Run:
        """What has the server take in its files, with no more disturbance than it takes."""
        daemon = self.state.daemon
        if not self.state.units[UNIT].is_active or daemon is None:
            script = fixes.START
        elif daemon.server is None:
            script = fixes.RESTART
        else:
            script = fixes.REBUILD if is_to_be_rebuilt(daemon.server, daemon.planned) else fixes.RELOAD
        return fixes.go(self.node, script)

    @property
    def _has_syslog(self) -> bool:
        return self.state.units[SYSLOG].is_there

    def _jails(self, planned: dict[str, Settings] | None) -> dict[str, dict[str, str]]:
        sshd = SSHD if self._has_syslog else {**SSHD, "backend": "systemd"}
        # Where a package makes the journal the default, recidive's file would not be read.
        is_on_journal = planned is not None and "recidive" in planned and not planned["recidive"].logs
        return {"sshd": sshd, "recidive": {**RECIDIVE, "backend": "auto"} if is_on_journal else RECIDIVE}
