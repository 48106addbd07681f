"""Step `fail2ban` on the real lab: the faults of the field, bans of our own machines, and a stranger who earns his."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from harness.model import Verdict
from harness.steps.fail2ban_fixes import AUTH_LOG, OWN_LOG, SITE, SYSLOG_SITE
from tests_harness import labkit
from tests_harness.faultkit import Fault, Where, drop_in, go, on, prove, prove_nothing_is_left, without

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab import Lab

pytestmark = pytest.mark.lab
CHOSEN = ("-k", "test_09")
STEPS = ("fail2ban",)
BANS = ("fail2ban", "cnat", "bans no machine of the cluster")
CONFFILE = "/etc/fail2ban/jail.d/defaults-debian.conf"
# A hanging server is killed after a minute and a half; the test need not wait for that.
HURRY = (
    "mkdir -p /run/systemd/system/fail2ban.service.d; cd /run/systemd/system/fail2ban.service.d; "
    "printf '[Service]\\nTimeoutStopSec=3\\n' > hurry.conf; systemctl daemon-reload"
)


def banned(node: str) -> Where:
    return ("fail2ban", node, "banned on cnat")


def fault(damage: str, *aspects: str | Where, undo: str = "", after: str = "", is_unseen: bool = False) -> Fault:
    """`is_unseen`: what fail2ban-client says of the values that the runbook names does not show it."""
    places = (("fail2ban", "cnat", aspect) if isinstance(aspect, str) else aspect for aspect in aspects)
    unseen = ("fail2ban[cnat]",) if is_unseen else ()
    return Fault("cnat", damage, frozenset(places), undo=undo, after=after, unseen=unseen)


HEARS, FIRST = "jail sshd hears sshd", "no rule lets ssh in before the bans"
STRANGER = "192.0.2.77"
RELEASE = f"fail2ban-client set sshd unbanip {STRANGER}"
AGREES, TESTED = "server has what its files say", "configuration test"
SSHD_WORKS, RECIDIVE_WORKS = "jail sshd carries out its bans", "jail recidive carries out its bans"
NO_BAN = "printf '[Definition]\nactionban = /bin/true\n' > /etc/fail2ban/action.d/iptables.local"
FAULTS = {
    "the package is gone": fault("apt-get -q -y remove fail2ban", "fail2ban is installed"),
    "stopped": fault("systemctl stop fail2ban", "fail2ban runs"),
    "not enabled": fault("systemctl disable fail2ban", "fail2ban starts at boot"),
    "masked": fault("systemctl mask --now fail2ban", "fail2ban starts at boot", "fail2ban runs"),
    "the server hangs": fault(
        f"{HURRY}; pid=$(systemctl show -P MainPID fail2ban); [ $pid -gt 1 ] && kill -STOP $pid", "server answers ping",
        after="rm -r /run/systemd/system/fail2ban.service.d; systemctl daemon-reload",
    ),
    "as the package comes": fault(
        f"rm {SITE}; systemctl restart fail2ban; sleep 1", "sshd bantime", "sshd action", "jail recidive is on"
    ),
    "edited and reloaded": fault(f"sed -i s/120/1d/ {SITE}; fail2ban-client reload", "sshd bantime"),
    "edited but not reloaded": fault(f"sed -i 's/maxretry = 5/maxretry = 50/' {SITE}", AGREES, is_unseen=True),
    "set by hand": fault("fail2ban-client set sshd maxretry 50", "sshd maxretry", AGREES),
    "as the runbook does it: a reload drops the new action": fault(
        f"mv {SITE} /tmp/site; systemctl restart fail2ban; sleep 1; mv /tmp/site {SITE}; fail2ban-client reload",
        "sshd action", AGREES,
    ),
    "a file that is read after ours": fault(
        "printf '[sshd]\\nmaxretry = 9\\n' > /etc/fail2ban/jail.d/zzz.local; fail2ban-client reload",
        "sshd maxretry", undo="rm /etc/fail2ban/jail.d/zzz.local; fail2ban-client reload",
    ),
    "a broken file of somebody's": fault(
        "echo nonsense > /etc/fail2ban/jail.local", TESTED, undo="rm /etc/fail2ban/jail.local"
    ),
    "our file is broken": fault(f"echo nonsense > {SITE}", TESTED),
    "the log is gone": fault(f"rm {AUTH_LOG}", TESTED, "sshd's log is kept"),
    "the log is gone, and the server with it": fault(
        f"rm {AUTH_LOG}; systemctl restart fail2ban; sleep 2", TESTED, "sshd's log is kept", "fail2ban runs"
    ),
    "its own log is gone": fault(f"rm {OWN_LOG}", TESTED, "recidive's log is kept"),
    "its own log says too little": fault(
        "fail2ban-client set loglevel ERROR", "recidive's log is kept", is_unseen=True
    ),
    "nobody writes the log": fault("systemctl stop syslog.socket rsyslog", "sshd's log is kept"),
    "rsyslog has no rule for the log any more, which goes stale": fault(
        "cp -a /etc/rsyslog.conf /root; sed -i /auth.log/d /etc/rsyslog.conf; systemctl restart rsyslog", HEARS,
        is_unseen=True,
        after=f"mv /root/rsyslog.conf /etc; rm {SYSLOG_SITE}; systemctl restart rsyslog",
    ),
    "rsyslog writes into a file that has gone": fault(
        # It opens the log when it has something to write.
        f"logger -p auth.info hello; sleep 1; cp -a {AUTH_LOG} /root; rm {AUTH_LOG}; mv /root/auth.log {AUTH_LOG}",
        HEARS, is_unseen=True,
    ),
    "the log was rotated a moment ago": fault(f"mv {AUTH_LOG} {AUTH_LOG}.1; systemctl kill -s HUP rsyslog; sleep 1"),
    "sshd says nothing": fault(
        "echo LogLevel QUIET > /etc/ssh/sshd_config.d/quiet.conf; systemctl reload ssh", HEARS, is_unseen=True,
        undo="rm /etc/ssh/sshd_config.d/quiet.conf; systemctl reload ssh",
    ),
    "a filter that catches nothing": fault(
        "printf '[Definition]\\nfailregex = ^never <HOST>$\\n' > /etc/fail2ban/filter.d/sshd.local",
        "filter sshd catches a failed login", is_unseen=True, undo="rm /etc/fail2ban/filter.d/sshd.local",
    ),
    "a node is banned": fault("fail2ban-client set sshd banip 172.19.181.2", banned("p2"), BANS),
    "a rule that nobody knows of any more": fault(
        "iptables -N f2b-old; iptables -A f2b-old -s 172.19.181.3 -j REJECT", banned("p3"), BANS,
        after="iptables -X f2b-old",
    ),
    "a rule lets everybody in before the bans": fault(
        f"fail2ban-client set sshd banip {STRANGER}; sleep 1; iptables -I INPUT -p tcp --dport 22 -j ACCEPT", FIRST,
        is_unseen=True, after=f"iptables -D INPUT -p tcp --dport 22 -j ACCEPT; {RELEASE}",
    ),
    "no syslog any more, as on Debian 12": fault(
        f"apt-get -q -y remove rsyslog; rm {AUTH_LOG}", TESTED, "sshd's log is kept",
        after="apt-get -q -y install rsyslog; logger -p auth.info hello; sleep 1",
    ),
    "it runs for the last time": fault(
        drop_in("fail2ban.service", "[Unit]", "ConditionPathExists=/nowhere"), "fail2ban starts at boot",
        undo=without("fail2ban.service"), is_unseen=True,
    ),
    "told by hand to ban nobody": fault("fail2ban-client set sshd action iptables actionban /bin/true", SSHD_WORKS),
    "a file that has a ban do nothing, taken in": fault(
        f"{NO_BAN}; fail2ban-client reload", SSHD_WORKS, RECIDIVE_WORKS,
        undo="rm /etc/fail2ban/action.d/iptables.local; fail2ban-client reload --restart",
    ),
    "a file that will have a ban do nothing": fault(
        NO_BAN, SSHD_WORKS, RECIDIVE_WORKS, undo="rm /etc/fail2ban/action.d/iptables.local", is_unseen=True
    ),
    "bans go where no ssh comes by": fault(
        "printf '[sshd]\nchain = FORWARD\n' > /etc/fail2ban/jail.d/zzz.local; fail2ban-client reload --restart",
        SSHD_WORKS, is_unseen=True, undo="rm /etc/fail2ban/jail.d/zzz.local; fail2ban-client reload --restart",
    ),
    "rules let all but the outside in before the bans": fault(
        f"fail2ban-client set sshd banip {STRANGER}; sleep 1; "
        "iptables -I INPUT ! -i eth0 -j ACCEPT; iptables -I INPUT -i ethpi1 -j ACCEPT",
        after=f"iptables -D INPUT ! -i eth0 -j ACCEPT; iptables -D INPUT -i ethpi1 -j ACCEPT; {RELEASE}",
    ),
    "systemd would refuse it a second command": fault(
        drop_in("fail2ban.service", "[Service]", "ExecStart=/bin/false"), "fail2ban starts at boot",
        undo=without("fail2ban.service"), is_unseen=True,
    ),
    "masked by hand, which systemd does not know yet": fault(
        "ln -s /dev/null /etc/systemd/system/fail2ban.service", "fail2ban starts at boot"
    ),
    "hangs, and would not start again": fault(
        f"{drop_in('fail2ban.service', '[Unit]', 'ConditionPathExists=/nowhere')};"
        " pid=$(systemctl show -P MainPID fail2ban); [ $pid -gt 1 ] && kill -STOP $pid",
        "fail2ban starts at boot", "server answers ping",
        undo=f"kill -CONT $(systemctl show -P MainPID fail2ban); {without('fail2ban.service')}",
    ),
}  # fmt: skip


def test_a_second_repair_does_nothing_at_all(green: Lab, tmp_path: Path) -> None:
    before = labkit.look(green)
    done = labkit.run(tmp_path, "--repair", *CHOSEN)
    assert (done.code, done.applied()) == (0, 0), done.said
    assert labkit.look(green) == before


def test_the_packaged_file_is_as_the_package_has_it(green: Lab) -> None:
    assert on(green, "cnat", f"cat {CONFFILE}") == "[sshd]\nenabled = true\n"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_differs_exactly_there_and_is_mended(green: Lab, name: str) -> None:
    prove(green, FAULTS[name], "fail2ban")


def test_a_node_that_recidive_bans_is_freed_though_it_cannot_be_reached(green: Lab) -> None:
    on(green, "cnat", "fail2ban-client set recidive banip 172.19.181.4; sleep 1")
    seen = go(green, "verify", STEPS)
    assert seen.verdicts()["fail2ban[p4]"] is Verdict.BLOCKED
    assert seen.differing() >= {BANS}
    assert "p4 by jail recidive" in seen.outcome("fail2ban", "cnat").reason
    done = go(green, "repair", STEPS)
    assert done.code == 0, done.said
    assert done.verdicts()["fail2ban[cnat]"] is Verdict.REPAIRED


@pytest.mark.field
def test_advice_is_followed_when_asked_and_then_holds(green: Lab) -> None:
    done = go(green, "repair", STEPS, advice=True)
    assert done.code == 0, done.said
    assert "172.19.181.0/24" in on(
        green, "cnat", "fail2ban-client get sshd ignoreip; fail2ban-client get recidive ignoreip"
    )
    again = go(green, "repair", STEPS, advice=True)
    assert (again.code, again.applied()) == (0, 0), again.said


@pytest.mark.field
def test_five_bans_make_a_recidivist(green: Lab) -> None:
    """The documented hour, for an address that is nobody's."""
    for _ in range(5):
        on(
            green,
            "cnat",
            "fail2ban-client set sshd banip 192.0.2.77; sleep 1.1; fail2ban-client set sshd unbanip 192.0.2.77",
        )
    deadline = time.monotonic() + 30
    while "192.0.2.77" not in on(green, "cnat", "fail2ban-client status recidive") and time.monotonic() < deadline:
        time.sleep(0.5)
    assert "-s 192.0.2.77/32" in on(green, "cnat", "iptables -w -S f2b-recidive")
    on(green, "cnat", "fail2ban-client unban 192.0.2.77")
    assert "192.0.2.77" not in on(green, "cnat", "iptables -w -S")


def test_a_stranger_is_banned_and_released_and_leaves_nothing(green: Lab, tmp_path: Path) -> None:
    # The kernel has the table from its first rule on.
    on(green, "cnat", "iptables -w -I INPUT -j ACCEPT; iptables -w -D INPUT -j ACCEPT")
    before = labkit.look(green)
    done = labkit.run(tmp_path, "--disruptive", *CHOSEN)
    assert done.code == 0, done.said
    assert "only cnat bans" in done.said
    assert _without_chains(labkit.look(green)) == _without_chains(before)


def _without_chains(lines: list[str]) -> list[str]:
    """fail2ban makes the chain of a jail at its first ban, and keeps it."""
    return [line for line in lines if "f2b-" not in line]


def test_nothing_is_left_of_all_this(green: Lab) -> None:
    prove_nothing_is_left(green)
