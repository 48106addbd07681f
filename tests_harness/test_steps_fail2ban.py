"""Step `fail2ban`: what the server must do, and which change mends which fault."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.actions import Run, Write
from harness.node import File
from harness.parse import jailfile
from harness.plan import plan
from harness.steps import fail2ban, fail2ban_fixes
from harness.steps.fail2ban_fixes import (
    AUTH_LOG,
    IGNORE_SITE,
    OWN_LOG,
    REBUILD,
    RELOAD,
    RESTART,
    SERVER_SITE,
    SITE,
    START,
    SYSLOG,
    SYSLOG_SITE,
    UNIT,
)
from harness.steps.fail2ban_look import LOST
from tests_harness.fakes_cluster import CLUSTER, HUB, NODES, differences
from tests_harness.fakes_fail2ban import (
    ABSENT,
    DAEMON,
    JAILS,
    RECIDIVE,
    RULES,
    RUNS,
    SERVER,
    SSHD,
    STOPPED,
    good_fail2ban,
)

if TYPE_CHECKING:
    from harness.actions import Action
    from harness.model import Check
    from harness.parse.units import Unit
    from harness.steps.fail2ban_look import Daemon, Settings

GOOD = good_fail2ban()[HUB]
NO_LOG = "ERROR Failed during configuration: Have not found any log file for sshd jail"
FOREIGN = "ERROR Failed during configuration: File contains no section headers. file: '/etc/fail2ban/jail.d/aa.local'"
UNBAN = "fail2ban-client set sshd unbanip 172.19.181.2"
RULE = "-N f2b-sshd\n-A f2b-sshd -s 172.19.181.2/32 -j REJECT --reject-with icmp-port-unreachable\n"
DROP_RULE = "iptables -w -D f2b-sshd -s 172.19.181.2/32 -j REJECT --reject-with icmp-port-unreachable"


HEARS = "jail sshd hears sshd"
HERE = (HUB, "bans no machine of the cluster")


def judge(state: fail2ban.State) -> list[Check]:
    return list(fail2ban.judge({HUB: state}, CLUSTER))


def with_daemon(**changes: object) -> fail2ban.State:
    return replace(GOOD, daemon=replace(DAEMON, **changes))  # type: ignore[arg-type]


def with_server(**changes: object) -> fail2ban.State:
    return with_daemon(server=replace(SERVER, **changes))  # type: ignore[arg-type]


def with_jails(running: dict[str, Settings], planned: dict[str, Settings]) -> fail2ban.State:
    return with_daemon(server=replace(SERVER, settings=running), planned=planned)


def with_sshd(*, is_planned: bool = True, **changes: object) -> fail2ban.State:
    jails = {**JAILS, "sshd": replace(SSHD, **changes)}  # type: ignore[arg-type]
    return with_jails(jails, jails if is_planned else JAILS)


def with_units(unit: Unit = RUNS, syslog: Unit = RUNS, **changes: object) -> fail2ban.State:
    return replace(GOOD, units={UNIT: unit, SYSLOG: syslog}, **changes)  # type: ignore[arg-type]


def with_site(text: bytes, state: fail2ban.State) -> fail2ban.State:
    return replace(state, files={SITE: File(text, 0o644, "root:root")})


def in_short(actions: tuple[Action, ...]) -> tuple[str, ...]:
    """Paths that are written, names of our scripts, and other commands as text."""
    return tuple(map(_in_short, actions))


def _in_short(action: Action) -> str:
    scripts = {START: "start", RELOAD: "reload", REBUILD: "rebuild", RESTART: "restart"}
    if isinstance(action, Write):
        return action.path
    assert isinstance(action, Run)
    return scripts.get(action.argv[-1]) or " ".join(action.argv).rpartition("force-confold ")[2]


def test_a_good_controller_holds_and_speaks_for_every_machine() -> None:
    checks = judge(GOOD)
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == {HUB, *NODES}


ELSEWHERE = {"iptables": {what: text.replace("port 22", "port 2222") for what, text in SSHD.orders["iptables"].items()}}
DOCUMENTED = jailfile.with_settings(b"", {"sshd": fail2ban_fixes.SSHD, "recidive": fail2ban_fixes.RECIDIVE})
JOURNAL = {**JAILS, "sshd": replace(SSHD, logs=())}
DOWN: Daemon = replace(DAEMON, server=None, reaches=None)
DISABLED = replace(RUNS, is_enabled=False)
HELD = replace(RUNS, unmet=("ConditionHost=p9 in /etc/x",))
WRITTEN = (SITE, "reload")


@pytest.mark.parametrize(
    ("state", "aspects", "actions"),
    [
        pytest.param(
            replace(GOOD, logs=(AUTH_LOG,), daemon=None, units={UNIT: ABSENT, SYSLOG: RUNS}),
            {"fail2ban is installed"}, (OWN_LOG, SITE, "install fail2ban", "start"), id="absent",
        ),
        pytest.param(
            replace(GOOD, logs=(), daemon=None, units={UNIT: ABSENT, SYSLOG: ABSENT}),
            {"fail2ban is installed"}, (OWN_LOG, SITE, "install fail2ban python3-systemd", "start"),
            id="absent, and no syslog",
        ),
        pytest.param(with_units(DISABLED), {"fail2ban starts at boot"}, ("start",), id="disabled"),
        pytest.param(with_units(HELD), {"fail2ban starts at boot"}, (), id="a condition does not hold"),
        pytest.param(with_units(RUNS, HELD), {"sshd's log is kept"}, (), id="one of syslog's does not hold"),
        pytest.param(with_units(STOPPED, daemon=DOWN), {"fail2ban runs"}, ("start",), id="stopped"),
        pytest.param(with_daemon(server=None, reaches=None), {"server answers ping"}, ("restart",), id="hangs"),
        pytest.param(
            replace(with_daemon(server=None, reaches=None), units=with_units(HELD).units),
            {"server answers ping", "fail2ban starts at boot"}, (), id="hangs, and would not start again",
        ),
        pytest.param(with_sshd(maxretry=3), {"sshd maxretry"}, WRITTEN, id="maxretry"),
        pytest.param(with_sshd(bantime=-1), {"sshd bantime"}, WRITTEN, id="for ever"),
        pytest.param(with_sshd(ports="2222", orders=ELSEWHERE), {"sshd port"}, WRITTEN, id="port"),
        pytest.param(with_sshd(actions=("nftables",)), {"sshd action"}, (SITE, "rebuild"), id="action"),
        pytest.param(with_sshd(actions=("iptables", "sendmail")), set(), (), id="sends mail, too"),
        pytest.param(with_sshd(logs=("/var/log/secure",)), {"sshd log"}, WRITTEN, id="another log"),
        pytest.param(with_sshd(logs=()), set(), (), id="the journal"),
        pytest.param(
            with_sshd(is_planned=False, bantime=600), {"sshd bantime", "server has what its files say"}, ("reload",),
            id="set by hand",
        ),
        pytest.param(
            with_jails(JAILS, {**JAILS, "sshd": replace(SSHD, bantime=600)}), {"server has what its files say"},
            WRITTEN, id="edited but not reloaded",
        ),
        pytest.param(
            with_jails({**JAILS, "sshd": replace(SSHD, actions=())}, JAILS),
            {"sshd action", "server has what its files say"}, ("rebuild",), id="a reload that dropped the action",
        ),
        pytest.param(
            with_jails({"sshd": SSHD}, {"sshd": SSHD}), {"jail recidive is on"}, WRITTEN, id="no recidive",
        ),
        pytest.param(
            with_jails(*2 * ({**JAILS, "recidive": replace(RECIDIVE, bantime=604_800)},)), {"recidive bantime"},
            WRITTEN, id="a week",
        ),
        pytest.param(
            with_site(DOCUMENTED, with_sshd(bantime=600)), {"sshd bantime"}, (), id="overridden after our file",
        ),
        pytest.param(with_daemon(complaint=FOREIGN, planned=None), {"configuration test"}, (), id="a broken file"),
        pytest.param(
            with_site(b"[sshd\n", with_daemon(complaint=FOREIGN.replace("aa.local", "zz-cluster.local"), planned=None)),
            {"configuration test"}, WRITTEN, id="our file is broken",
        ),
        pytest.param(
            replace(with_daemon(complaint=NO_LOG, planned=None), logs=(OWN_LOG,)),
            {"configuration test", "sshd's log is kept"},
            (AUTH_LOG, "systemctl enable --now rsyslog.service", "systemctl restart rsyslog.service", "reload"),
            id="the log is gone",
        ),
        pytest.param(
            replace(
                with_units(STOPPED, ABSENT, daemon=replace(DOWN, complaint=NO_LOG, planned=None)), logs=(OWN_LOG,)
            ),
            {"configuration test", "sshd's log is kept", "fail2ban runs"},
            (SITE, "install python3-systemd", "start"), id="the log is gone, and there is no syslog",
        ),
        pytest.param(
            with_units(RUNS, STOPPED), {"sshd's log is kept"}, ("systemctl enable --now rsyslog.service",),
            id="syslog is stopped",
        ),
        pytest.param(
            replace(with_daemon(complaint=NO_LOG.replace("sshd", "recidive"), planned=None), logs=(AUTH_LOG,)),
            {"configuration test", "recidive's log is kept"}, (OWN_LOG, "fail2ban-client flushlogs", "reload"),
            id="its own log is gone",
        ),
        pytest.param(with_server(target="SYSLOG"), {"recidive's log is kept"}, (SERVER_SITE, "reload"), id="syslog"),
        pytest.param(with_server(level="ERROR"), {"recidive's log is kept"}, (SERVER_SITE, "reload"), id="quiet"),
        pytest.param(with_daemon(reaches=LOST), {HEARS}, ("systemctl restart rsyslog.service",), id="stale"),
        pytest.param(
            replace(with_daemon(reaches=LOST), has_rule=False), {HEARS},
            (SYSLOG_SITE, "systemctl restart rsyslog.service"), id="stale, and no rule writes it",
        ),
        pytest.param(with_daemon(reaches="no: sshd has LogLevel QUIET"), {HEARS}, (), id="sshd says nothing"),
        pytest.param(replace(with_sshd(logs=()), has_rule=False), set(), (), id="the journal needs no rule"),
        pytest.param(
            with_daemon(reaches=LOST, planned=JOURNAL, server=replace(SERVER, settings=JOURNAL)), {HEARS}, (),
            id="the journal, and the jail takes other words from it",
        ),
        pytest.param(with_daemon(catches="no"), {"filter sshd catches a failed login"}, (), id="blind"),
    ],
)  # fmt: skip
def test_a_fault_differs_exactly_there_and_has_the_smallest_fix(
    state: fail2ban.State, aspects: set[str], actions: tuple[str, ...]
) -> None:
    checks = judge(state)
    assert set(differences(checks)) == {(HUB, aspect) for aspect in aspects}
    assert in_short(plan(checks)) == actions
    assert all(check.fix or check.by_hand for check in checks if not check.holds)


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        pytest.param(with_server(banned={"sshd": ("192.0.2.1", "172.19.181.2")}), (UNBAN,), id="a ban"),
        pytest.param(
            replace(with_server(banned={"sshd": ("172.19.181.2",)}), rules=RULES + RULE), (UNBAN,), id="and its rule"
        ),
        pytest.param(
            with_server(banned={"sshd": ("172.19.181.2",), "recidive": ("172.19.181.2",)}),
            (UNBAN, UNBAN.replace("sshd", "recidive")), id="twice",
        ),
        pytest.param(replace(GOOD, rules=RULES + RULE), (DROP_RULE,), id="a rule that was left"),
        pytest.param(
            with_units(ABSENT, daemon=None, rules=RULES + RULE), (DROP_RULE,), id="left by a package that is gone",
        ),
    ],
)  # fmt: skip
def test_a_banned_machine_differs_under_its_own_name(state: fail2ban.State, actions: tuple[str, ...]) -> None:
    checks = [check for check in judge(state) if check.aspect != "fail2ban is installed"]
    assert set(differences(checks)) == {("p2", "banned on cnat"), HERE}
    assert in_short(plan(checks)) == actions


def test_a_rule_is_left_alone_while_a_server_that_may_know_of_it_is_silent() -> None:
    checks = judge(replace(with_daemon(server=None), rules=RULES + RULE))
    assert HERE in differences(checks)
    assert DROP_RULE not in in_short(plan(checks))


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(with_server(banned={"sshd": ("192.0.2.1", "2001:db8::1", "a-name")}), id="strangers"),
        pytest.param(replace(GOOD, rules=RULES + RULE.replace("REJECT", "LOG")), id="a rule that only logs"),
        pytest.param(replace(GOOD, rules=RULES + RULE.replace("f2b-sshd", "mine")), id="a firewall of one's own"),
        pytest.param(replace(GOOD, rules=RULES + "-N f2b-sshd\n-A f2b-sshd -j RETURN\n"), id="an empty jail"),
    ],
)
def test_what_is_no_ban_of_ours_is_let_be(state: fail2ban.State) -> None:
    assert differences(judge(state)) == {}


JUMP = "-A INPUT -p tcp -m tcp --dport 22 -j f2b-sshd\n"
FIRST = "no rule lets ssh in before the bans"


@pytest.mark.parametrize(
    ("before", "is_first"),
    [
        pytest.param("", True, id="nothing"),
        pytest.param("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", False, id="ssh for all"),
        pytest.param("-A INPUT -p tcp -m multiport --dports 22,80 -j ACCEPT\n", False, id="among others"),
        pytest.param("-A INPUT -j ACCEPT\n", False, id="everything for all"),
        pytest.param("-A INPUT -i eth0 -j ACCEPT\n", False, id="everything from outside"),
        pytest.param("-A INPUT -i eth+ -j ACCEPT\n", False, id="everything from any card"),
        pytest.param("-A INPUT ! -i br0 -j ACCEPT\n", False, id="all but the nodes"),
        pytest.param("-A INPUT -m conntrack --ctstate NEW -j ACCEPT\n", False, id="all that is new"),
        pytest.param("-N mine\n-A mine -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -j mine\n", False, id="a chain"),
        pytest.param("-A INPUT -i lo -j ACCEPT\n", True, id="from itself"),
        pytest.param("-A INPUT -i br0 -j ACCEPT\n", True, id="from the nodes"),
        pytest.param("-A INPUT ! -i eth0 -j ACCEPT\n", True, id="all but the outside"),
        pytest.param("-A INPUT -i ethpi1 -j ACCEPT\n", True, id="from the cable to a node"),
        pytest.param("-A INPUT -i usb0 -j ACCEPT\n", True, id="from a card that is no way outside"),
        pytest.param("-A INPUT -s 192.168.1.0/24 -j ACCEPT\n", True, id="everything for some"),
        pytest.param("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", True, id="what is known"),
        pytest.param("-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT\n", True, id="ssh for some"),
        pytest.param("-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n", True, id="another port"),
        pytest.param("-A INPUT -p udp -j ACCEPT\n", True, id="another protocol"),
        pytest.param("-A INPUT -m set --match-set friends src -j ACCEPT\n", True, id="a condition not understood"),
        pytest.param("-A INPUT -p tcp -j f2b-recidive\n", True, id="the other jail"),
        pytest.param("-A INPUT -j DROP\n", True, id="a wall"),
    ],
)  # fmt: skip
def test_what_lets_everybody_in_before_the_bans_makes_them_toothless(before: str, is_first: bool) -> None:  # noqa: FBT001
    checks = judge(replace(GOOD, rules=f"{RULES}-N f2b-sshd\n{before}{JUMP}-A f2b-sshd -j RETURN\n"))
    assert set(differences(checks)) == (set() if is_first else {(HUB, FIRST)})
    if not is_first:
        (check,) = [check for check in checks if check.aspect == FIRST]
        assert "ACCEPT, before f2b-sshd" in check.seen
        assert [one.argv[-1] for one in check.fix if isinstance(one, Run)] == [REBUILD]


def test_each_interface_of_a_default_route_is_a_way_in() -> None:
    state = replace(GOOD, rules=f"{RULES}-A INPUT -i usb0 -j ACCEPT\n{JUMP}", exits=("eth0", "usb0"))
    assert set(differences(judge(state))) == {(HUB, FIRST)}


@pytest.mark.parametrize(
    "rules", [f"{JUMP}-A INPUT -j ACCEPT\n", "-A INPUT -j ACCEPT\n"], ids=["behind", "no jump yet"]
)
def test_what_lets_everybody_in_later_is_let_be(rules: str) -> None:
    assert differences(judge(replace(GOOD, rules=RULES + rules))) == {}


def test_without_a_server_the_order_is_for_a_person() -> None:
    checks = judge(replace(with_daemon(server=None), rules=f"{RULES}-A INPUT -j ACCEPT\n{JUMP}"))
    (check,) = [check for check in checks if check.aspect == FIRST]
    assert (check.holds, check.fix) == (False, ())
    assert "iptables -S INPUT" in check.by_hand


def test_a_ban_of_the_controller_itself_is_its_own() -> None:
    assert set(differences(judge(with_server(banned={"recidive": ("172.19.181.254",)})))) == {HERE}


def test_a_banned_network_is_lifted_once_for_all_that_it_holds() -> None:
    checks = judge(with_server(banned={"sshd": ("172.19.181.2/31",)}))
    assert set(differences(checks)) == {("p2", "banned on cnat"), ("p3", "banned on cnat"), HERE}
    assert in_short(plan(checks)) == (f"{UNBAN}/31",)


@pytest.mark.parametrize("network", ["0.0.0.0", "0.0.0.0/0", "192.0.0.0/8"])  # noqa: S104 - as fail2ban shows all
def test_a_jail_that_ignores_strangers_is_for_a_person(network: str) -> None:
    checks = judge(with_server(ignored={"sshd": ("127.0.0.1/8", network), "recidive": ("::1",)}))
    assert differences(checks) == {("cnat", "strangers can be banned"): ()}
    (check,) = [check for check in checks if check.aspect == "strangers can be banned"]
    assert check.seen == "not by sshd: ignoreip has them"


def test_advice_keeps_what_is_ignored_already() -> None:
    state = with_server(ignored={"sshd": ("10.1.2.3",), "recidive": ()})
    checks = judge(state)
    assert differences(checks) == {}
    write, reload = plan(checks, advice=True)
    assert isinstance(write, Write)
    assert write.path == IGNORE_SITE
    assert write.after == (
        b"[sshd]\nignoreip = 10.1.2.3 172.19.181.0/24\n\n[recidive]\nignoreip = 127.0.0.1/8 ::1 172.19.181.0/24\n"
    )
    assert isinstance(reload, Run)
    assert reload.last


def test_foreign_lines_of_our_file_stay() -> None:
    site = b"# mine\n[sshd]\nbantime = 1w\nfindtime = 1h\n\n[apache]\nenabled = true\n"
    write, _ = plan(judge(with_site(site, with_sshd(bantime=604_800))))
    assert isinstance(write, Write)
    assert set(site.splitlines()) - set(write.after.splitlines()) == {b"bantime = 1w"}
    assert {b"bantime = 120", b"bantime = 1h"} <= set(write.after.splitlines())


def test_where_the_journal_is_the_default_recidive_still_reads_its_file() -> None:
    jails = {**JAILS, "recidive": replace(RECIDIVE, logs=())}
    write, _ = plan(judge(with_jails(jails, jails)))
    assert isinstance(write, Write)
    assert b"bantime = 1h\nbackend = auto\n" in write.after


def test_nothing_restarts_a_server_whose_files_are_broken() -> None:
    for script in (START, RELOAD, REBUILD, RESTART):
        assert 0 <= script.find("fail2ban-client -t") < (script + "start fail2ban.").find("start fail2ban.")


def test_the_packaged_file_is_never_written() -> None:
    for state in (with_sshd(maxretry=3), replace(GOOD, daemon=None), with_server(level="ERROR")):
        written = {action.path for action in plan(judge(state), advice=True) if isinstance(action, Write)}
        assert written <= {SITE, IGNORE_SITE, SERVER_SITE, OWN_LOG, AUTH_LOG}
