"""Step `fail2ban`: who fails to log in to the controller is banned, but never one of us (runbook L185-220)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.node import File
from harness.parse import ip, units, units_shell
from harness.parse.units import Unit
from harness.step import LookFrom, expect
from harness.steps import fail2ban_fixes as fixes
from harness.steps.fail2ban_bans import judge_bans, judge_order
from harness.steps.fail2ban_fixes import AUTH_LOG, IGNORE_SITE, OWN_LOG, SERVER_SITE, SITE, SYSLOG, SYSLOG_SITE, UNIT
from harness.steps.fail2ban_look import Daemon, look_at
from harness.steps.fail2ban_mend import Mend
from harness.steps.fail2ban_orders import judge_orders
from harness.steps.fail2ban_values import judge_agreement, judge_ignored, judge_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.node import NodeAccess

NEEDS = ("system",)
LOOK_FROM: LookFrom = "controller"
PROGRAM = "/usr/bin/fail2ban-client"
# Without rsyslog there are no such files, and no rule either.
HAS_RULE = "grep -qse %s /etc/rsyslog.conf /etc/rsyslog.d/*.conf; [ $? = 0 ]"
MARK = "== routes\n"
FIREWALL = "iptables -w -S && echo '== routes' && ip -j -4 route show default"
QUIET = {"CRITICAL", "ERROR", "WARNING"}


@dataclass(frozen=True)
class State:
    """The controller: units by name, our files, which logs there are, its firewall, and fail2ban (None: absent).

    `has_rule`: a file of rsyslog's says that it writes sshd's words into their log. `exits` are the interfaces of the
    default routes: that is where a stranger comes in.
    """

    units: dict[str, Unit]
    files: dict[str, File]
    logs: tuple[str, ...]
    has_rule: bool
    rules: str
    exits: tuple[str, ...]
    daemon: Daemon | None


def observe(node: NodeAccess) -> State:
    """Ask systemd, the firewall, the running server, and the files by way of fail2ban itself."""
    rules, routes = node.ask(FIREWALL, root=True).split(MARK)
    state = State(
        units.units(node.ask(units_shell.command(UNIT, SYSLOG), UNIT, SYSLOG, root=True)),
        node.files(SITE, IGNORE_SITE, SERVER_SITE, SYSLOG_SITE),
        tuple(path for path in (AUTH_LOG, OWN_LOG) if node.test("test -f %s", path, root=True)),
        node.test(HAS_RULE, f"^[^#]*auth.*{AUTH_LOG}", root=True),
        rules,
        tuple(dict.fromkeys(route.dev for route in ip.default_routes(routes) if route.dev)),
        look_at(node) if node.test("test -x %s", PROGRAM) else None,
    )
    # Judged once here, so that rules that nobody can read are an unknown of this machine.
    tuple(judge_bans(state.rules, None, node.cluster))
    judge_order(state.rules, node.name, state.exits, ())
    return state


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """The controller's jails; and of every machine, that the controller does not shut it out."""
    name = cluster.controller.name
    state = seen.get(name)
    if state is None:
        return
    daemon, mend = state.daemon, Mend(name, state)
    yield expect(name, "fail2ban is installed", want="yes", seen=_yes(daemon is not None), fix=mend.install())
    if daemon:
        yield from _judge_unit(name, state, daemon, mend)
        yield from _judge_files(name, state, daemon, mend)
        yield from _judge_server(name, state, daemon, mend, cluster)
    server = daemon.server if daemon else None
    is_silent = daemon is not None and server is None and state.units[UNIT].is_active
    yield from judge_bans(state.rules, server, cluster, is_silent=is_silent)
    # A jail that is built anew puts its jump first. Nobody's rule is moved or taken away for that.
    yield judge_order(state.rules, name, state.exits, (fixes.go(name, fixes.REBUILD),) if server else ())


def _judge_unit(name: str, state: State, daemon: Daemon, mend: Mend) -> Iterator[Check]:
    unit = state.units[UNIT]
    start = () if unit.unmet else (*mend.logs(), *mend.files(), fixes.go(name, fixes.START))
    for aspect, seen in (("fail2ban starts at boot", unit.at_boot), ("fail2ban runs", _yes(unit.is_active))):
        yield expect(name, aspect, want="yes", seen=seen, fix=start, by_hand=units.BY_HAND)
    if unit.is_active:
        answer = "pong" if daemon.server else "no answer"
        # Under a condition that does not hold it would stop, and not start again.
        again = () if unit.unmet else (fixes.go(name, fixes.RESTART),)
        yield expect(name, "server answers ping", want="pong", seen=answer, fix=again, by_hand=units.BY_HAND)


def _judge_files(name: str, state: State, daemon: Daemon, mend: Mend) -> Iterator[Check]:
    yield expect(
        name, "configuration test", want="passes", seen=daemon.complaint or "passes",
        fix=(*mend.logs(), *mend.files(), mend.go()) if mend.is_ours else (), by_hand="mend what it names",
    )  # fmt: skip
    is_kept = "yes" if mend.reads_journal else _auth_log(state)
    if mend.reads_journal is not None:
        fix = () if state.units[SYSLOG].unmet else (*mend.logs(), *mend.syslog())
        yield expect(name, "sshd's log is kept", want="yes", seen=is_kept, fix=fix, by_hand=units.BY_HAND)
    if daemon.reaches is not None and is_kept == "yes":
        fix, by_hand = mend.rules()
        yield expect(name, "jail sshd hears sshd", want="yes", seen=daemon.reaches, fix=fix, by_hand=by_hand)
    own = (*mend.logs(), *mend.own_log())
    yield expect(name, "recidive's log is kept", want="yes", seen=_own_log(state, daemon), fix=own)
    yield expect(
        name, "filter sshd catches a failed login", want="yes", seen=daemon.catches,
        by_hand="set /etc/fail2ban/filter.d/sshd.conf and sshd.local against those of the package",
    )  # fmt: skip


def _auth_log(state: State) -> str:
    syslog = state.units[SYSLOG]
    if not syslog.is_there:
        return "no: without rsyslog nothing writes it"
    if AUTH_LOG not in state.logs:
        return "no such file"
    if not syslog.is_active:
        return f"no: {SYSLOG} does not run"
    return f"no: {SYSLOG} is not enabled" if not syslog.is_enabled else syslog.at_boot


def _own_log(state: State, daemon: Daemon) -> str:
    if OWN_LOG not in state.logs:
        return "no such file"
    server = daemon.server
    if server and server.target != OWN_LOG:
        return f"no: the server writes to {server.target}"
    if server and server.level in QUIET:
        return f"no: level {server.level} leaves bans out"
    return "yes"


def _judge_server(name: str, state: State, daemon: Daemon, mend: Mend, cluster: Cluster) -> Iterator[Check]:
    server = daemon.server
    if server is None:
        return
    fix, by_hand = mend.values()
    yield from judge_values(name, server, fix, by_hand)
    if daemon.planned is not None:
        yield from judge_agreement(name, server, daemon.planned, (*mend.files(), mend.go()))
    yield from judge_orders(name, server, daemon.planned, state.exits, (mend.go(),))
    yield from judge_ignored(name, server, state.files, cluster)


def _yes(is_so: bool) -> str:  # noqa: FBT001 - it is the whole question
    return "yes" if is_so else "no"
