"""Part of step `fail2ban`: what the runbook wants (L190-212), and the changes that bring it about; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Action, Run, Write
from harness.parse import jailfile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.node import File

# Read after all that a package or a person may have put there: jail.conf, jail.d/*.conf, jail.local, jail.d/*.local.
# jail.d/defaults-debian.conf, which the runbook edits, belongs to the package (mistake 18).
SITE = "/etc/fail2ban/jail.d/zz-cluster.local"
# A file of its own, because advice is followed or not, whatever becomes of the rest.
IGNORE_SITE = "/etc/fail2ban/jail.d/zz-cluster-ignoreip.local"
SERVER_SITE = "/etc/fail2ban/fail2ban.d/zz-cluster.local"
AUTH_LOG = "/var/log/auth.log"
# Early among rsyslog's files, because a later one may end the way of a message.
SYSLOG_SITE = "/etc/rsyslog.d/10-cluster-auth.conf"
SYSLOG_RULE = f"auth,authpriv.* {AUTH_LOG}\n".encode()
OWN_LOG = "/var/log/fail2ban.log"
UNIT = "fail2ban.service"
SYSLOG = "rsyslog.service"
SSHD = {
    "enabled": "true",
    "port": "22",
    "logpath": AUTH_LOG,
    "banaction": "iptables",
    "maxretry": "5",
    "bantime": "120",
}
RECIDIVE = {"enabled": "true", "logpath": OWN_LOG, "bantime": "1h"}
SERVER = {"loglevel": "INFO", "logtarget": OWN_LOG}
# The last jail is there: then all of the configuration has arrived. The look that follows decides, not this.
AWAIT = (
    "e=$(($(date +%s)+20)); "
    "until fail2ban-client status recidive || [ $(date +%s) -ge $e ]; do sleep 0.5; done >/dev/null 2>&1"
)
# A server that runs keeps what it has where the files are broken: a restart would end it for good.
GUARD = "fail2ban-client -t >&2 && "
START = f"systemctl unmask {UNIT} && systemctl enable {UNIT} && {GUARD}systemctl start {UNIT} && {{ {AWAIT}; }}"
RELOAD = f"{GUARD}{{ fail2ban-client reload || systemctl restart {UNIT}; }} && {{ {AWAIT}; }}"
# A plain reload drops an action that is new, and leaves a jail that bans nobody (fail2ban issue 3860).
REBUILD = f"{GUARD}{{ fail2ban-client reload --restart || systemctl restart {UNIT}; }} && {{ {AWAIT}; }}"
RESTART = f"{GUARD}systemctl restart {UNIT} && {{ {AWAIT}; }}"
WHY = {
    START: "have fail2ban run, now and at boot",
    RELOAD: "have fail2ban take in its files",
    REBUILD: "have fail2ban build its jails anew",
    RESTART: "restart fail2ban, which does not answer",
}
# systemd gives a server that hangs a minute and a half to stop.
LIMIT = 180.0


def with_options(
    node: str, path: str, files: Mapping[str, File], wanted: Mapping[str, Mapping[str, str]], why: str
) -> tuple[Action, ...]:
    """Set options in a file of ours, and leave the rest of it as it is; nothing where it says them already."""
    before = files[path].content if path in files else None
    after = jailfile.with_settings(before or b"", wanted)
    return (Write(node, path, before, after, why, 0o644, "root:root"),) if before != after else ()


def empty_log(node: str, path: str) -> Write:
    """A log that is not there, as Debian's log rotation would make it."""
    return Write(node, path, None, b"", "fail2ban does not start without this log", 0o640, "root:adm")


def go(node: str, script: str) -> Run:
    """START, RELOAD, REBUILD or RESTART: once, after all that it is to take in."""
    return Run(node, ("sh", "-c", script), WHY[script], last=True, limit=LIMIT)


def unban(node: str, jail: str, address: str) -> Run:
    """Lift one ban."""
    return Run(node, ("fail2ban-client", "set", jail, "unbanip", address), f"{jail} bans a machine of the cluster")


def drop_rule(node: str, chain: str, rule: tuple[str, ...]) -> Run:
    """Delete a rule that no jail knows of any more."""
    return Run(node, ("iptables", "-w", "-D", chain, *rule), "no jail knows of this ban any more")
