"""Part of step `fail2ban`: a jail whose orders would ban nobody is seen without a ban."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.actions import Run
from harness.plan import plan
from harness.steps import fail2ban
from harness.steps.fail2ban_fixes import REBUILD
from tests_harness.fakes_cluster import CLUSTER, HUB, differences
from tests_harness.fakes_fail2ban import DAEMON, JAILS, RECIDIVE, SERVER, SSHD, good_fail2ban

if TYPE_CHECKING:
    from harness.model import Check
    from harness.steps.fail2ban_look import Settings


def judge(running: dict[str, Settings], planned: dict[str, Settings]) -> list[Check]:
    daemon = replace(DAEMON, server=replace(SERVER, settings=running), planned=planned)
    return list(fail2ban.judge({HUB: replace(good_fail2ban()[HUB], daemon=daemon)}, CLUSTER))


WORKS, RECIDIVE_WORKS = "jail sshd carries out its bans", "jail recidive carries out its bans"


def told(settings: Settings, **orders: str) -> Settings:
    """A jail whose first action has other orders."""
    action = settings.actions[0]
    return replace(settings, orders={**settings.orders, action: {**settings.orders[action], **orders}})


PLAIN_START = "<iptables> -N f2b-sshd\n<iptables> -A f2b-sshd -j <returntype>\n<iptables> -I INPUT {} -j f2b-sshd"
ONE_PORT, TWO_PORTS = "-p tcp --dport 22", "-p tcp -m multiport --dports ssh,sftp"
CHECKED = "<iptables> -n -L INPUT | grep -q 'f2b-sshd[ \\t]'"


@pytest.mark.parametrize(
    ("orders", "why"),
    [
        pytest.param({}, "", id="as the package has them"),
        pytest.param({"actionstart": PLAIN_START.format(ONE_PORT), "actioncheck": CHECKED}, "", id="those of 0.11"),
        pytest.param({"actionstart": PLAIN_START.format(TWO_PORTS)}, "", id="several ports, by name"),
        pytest.param({"blocktype": "DROP"}, "", id="a silent one"),
        pytest.param({"iptables": "/usr/sbin/iptables -w 5"}, "", id="the program by its path"),
        pytest.param({"actionban": "logger '<ip>; <F-USER>'\n<iptables> -I f2b-sshd -s <ip> -j DROP # it's so",
                      "actionunban": "<iptables> -D f2b-sshd -s <ip> -j DROP"}, "", id="and logs it"),
        pytest.param({"actioncheck": ""}, "", id="no check"),
        pytest.param({"actionban": "/bin/true"}, "actionban of iptables is '/bin/true'", id="a ban does nothing"),
        pytest.param({"actionban": ""}, "actionban of iptables is ''", id="no order"),
        pytest.param({"actionban": "echo <iptables> -I f2b-sshd 1 -s <ip> -j <blocktype>"},
                     "actionban of iptables is 'echo iptables -w -I", id="a ban is only said"),
        pytest.param({"blocktype": "ACCEPT"}, "-s <ip> -j ACCEPT'", id="accepts"),
        pytest.param({"blocktype": "LOG"}, "-s <ip> -j LOG'", id="only logs"),
        pytest.param({"iptables": "true"}, "actioncheck of iptables", id="another program"),
        pytest.param({"actionban": "<iptables> -I f2b-old 1 -s <ip> -j DROP"}, "actionstart of", id="another chain"),
        pytest.param({"actionban": "<iptables> -I f2b-sshd 1 -j DROP"}, "actionban of iptables", id="everybody"),
        pytest.param({"actionstart": ""}, "actionstart of iptables is ''", id="no packet comes there"),
        pytest.param({"actionstart": PLAIN_START.format("-p udp")}, "actionstart of iptables", id="another protocol"),
        pytest.param({"actionstart": PLAIN_START.format("-i wlan9")}, "actionstart of iptables", id="another way in"),
        pytest.param({"actionstart": PLAIN_START.replace("INPUT", "FORWARD").format("")}, "-I FORWARD  -j f2b-sshd'",
                     id="another way through"),
        pytest.param({"returntype": "DROP", "actionstart": PLAIN_START.format("")}, "actionstart of", id="a wall"),
        pytest.param({"actioncheck": "/bin/false"}, "actioncheck of iptables is '/bin/false'", id="never in order"),
        pytest.param({"actionunban": "/bin/true"}, "actionunban of iptables is '/bin/true'", id="for ever"),
    ],
)  # fmt: skip
def test_a_jail_whose_orders_ban_nobody_is_seen_without_a_ban(orders: dict[str, str], why: str) -> None:
    jails = {**JAILS, "sshd": told(SSHD, **orders)}
    checks = judge(jails, jails)
    assert differences(checks) == ({(HUB, WORKS): ()} if why else {})
    (check,) = [check for check in checks if check.aspect == WORKS]
    assert why in check.seen
    assert not why or "action.d/*.local" in check.by_hand


@pytest.mark.parametrize(
    ("actions", "orders", "holds"),
    [
        pytest.param(("nftables",), {"nftables": {"actionban": "nft add element t s { <ip> }"}}, True, id="not ours"),
        pytest.param(("nftables",), {"nftables": {"actionban": "/bin/true"}}, False, id="not ours, and does nothing"),
        pytest.param(("smtp.py",), {"smtp.py": {}}, True, id="in Python"),
        pytest.param(("iptables-ipset",), {"iptables-ipset": {"actionban": "ipset add s <ip>"}}, True, id="a set"),
    ],
)
def test_orders_that_are_not_understood_are_let_be_if_they_name_whom_they_ban(
    actions: tuple[str, ...], orders: dict[str, dict[str, str]], *, holds: bool
) -> None:
    jails = {**JAILS, "recidive": replace(RECIDIVE, actions=actions, orders=orders)}
    assert set(differences(judge(jails, jails))) == (set() if holds else {(HUB, RECIDIVE_WORKS)})


def test_one_action_that_bans_is_enough_and_mail_is_none() -> None:
    mail = {"sendmail": {"actionban": "sendmail <ip>"}}
    dead = told(SSHD, actionban="true")
    both = replace(SSHD, actions=("iptables", "iptables-allports"),
                   orders={**dead.orders, "iptables-allports": SSHD.orders["iptables"]})  # fmt: skip
    mailing = replace(dead, actions=("iptables", "sendmail"), orders={**dead.orders, **mail})
    for settings, found in ((both, set()), (mailing, {(HUB, WORKS)})):
        jails = {**JAILS, "sshd": settings}
        assert set(differences(judge(jails, jails))) == found


def test_a_server_with_other_orders_than_its_files_is_built_anew() -> None:
    checks = judge({**JAILS, "sshd": told(SSHD, actionban="true")}, JAILS)
    assert set(differences(checks)) == {(HUB, WORKS)}
    assert [one.argv[-1] for one in plan(checks) if isinstance(one, Run)] == [REBUILD]


def test_files_that_would_end_the_bans_are_not_taken_in() -> None:
    checks = judge(JAILS, {**JAILS, "sshd": told(SSHD, actionban="true")})
    assert differences(checks) == {(HUB, WORKS): ()}
    assert "not after a reload: actionban" in next(check.seen for check in checks if check.aspect == WORKS)
