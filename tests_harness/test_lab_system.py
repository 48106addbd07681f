"""Faults of the steps `system` and `updates` on the real lab: the right aspect differs, and `--repair` mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.lab import NODES
from harness.model import Verdict
from tests_harness.faultkit import Fault, at, drop_in, go, on, prove, prove_nothing_is_left, without

if TYPE_CHECKING:
    from harness.lab import Lab

pytestmark = pytest.mark.lab
STEPS = ("system", "updates", "hosts")
UNIT = "clusterhat-update.service"
SCRIPT = "/usr/local/sbin/clusterhat-update"
WANTS = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"


def fault(
    step: str, node: str, damage: str, *aspects: str, undo: str = "", after: str = "", is_unseen: bool = False
) -> Fault:
    unseen = (f"{step}[{node}]",) if is_unseen else ()
    return Fault(node, damage, at(step, node, *aspects), undo=undo, after=after, unseen=unseen)


def program(name: str, text: str) -> str:
    """Shell text that puts a program before the real one of that name."""
    path = f"/usr/local/sbin/{name}"
    return f"printf '#!/bin/sh\\n%s\\n' '{text}' > {path}; chmod 755 {path}"


FAULTS = {
    "a name was set by hand": fault("system", "p1", "hostname raspberrypi", "host name"),
    "the file keeps another name": fault(
        "system", "p2", "echo raspberrypi > /etc/hostname", "host name after a reboot"
    ),
    "the card of another node": fault(
        "system", "p2", "hostnamectl set-hostname p3; sed -i 's/^127.0.1.1.*/127.0.1.1\\tp3/' /etc/hosts",
        "host name", "host name after a reboot", "address of p2 for itself", "127.0.1.1 is no other machine",
    ),
    "it does not know itself": fault("system", "p3", "sed -i /127.0.1.1/d /etc/hosts", "address of p3 for itself"),
    "pi may not become root": fault("system", "p1", "gpasswd -d pi sudo", "pi is in group sudo"),
    "an unlisted shell": fault(
        "system", "p2", "cp /bin/sh /usr/local/bin/odd; usermod -s /usr/local/bin/odd pi", "shell of pi",
        after="rm /usr/local/bin/odd",
    ),
    "no home": fault(
        "system", "p3", "mv /home/pi /home/pi.away", "pi owns his home",
        after="cp -a /home/pi.away/. /home/pi/; rm -r /home/pi.away",
    ),
    "a home of root": fault("system", "p4", "chown root /home/pi", "pi owns his home"),
    "/tmp is its owner's": fault("system", "p2", "chmod 755 /tmp", "everybody may use /tmp", is_unseen=True),
    "users are a secret": fault("system", "p3", "chmod 600 /etc/passwd", "everybody may use /etc/passwd"),
    "/dev/null is a file": fault(
        "system", "p4", "mv /dev/null /dev/null.away; echo > /dev/null; chmod 666 /dev/null",
        "everybody may use /dev/null", undo="mv -f /dev/null.away /dev/null", is_unseen=True,
    ),
    "ssh is not started at boot": fault("system", "cnat", "systemctl disable ssh", "ssh server starts at boot"),
    "ssh is masked": fault("system", "p1", "systemctl mask ssh", "ssh server starts at boot"),
    "the card is full": fault(
        "system", "p3", program("df", 'echo "size avail itotal iavail"; echo 8000000000 9000000 500000 400000'),
        "free space on /", undo="rm /usr/local/sbin/df",
    ),
    "the image of another architecture": fault(
        "system", "p4", program("dpkg", "echo arm64"), "architecture of the programs",
        undo="rm /usr/local/sbin/dpkg",
    ),
    "a release that nobody meant": fault(
        "system", "p4", "sed -i.away s/=bookworm/=trixie/ /usr/lib/os-release", "operating system",
        undo="mv /usr/lib/os-release.away /usr/lib/os-release",
    ),
    "it did not run at the last boot": fault(
        "updates", "cnat", f"touch -h -d 2020-01-01 {WANTS}", "last update", undo=f"touch -h {WANTS}",
        is_unseen=True
    ),
    "no script": fault("updates", "cnat", f"rm {SCRIPT}", "update script", "every boot updates"),
    "a script that may not be executed": fault(
        "updates", "cnat", f"chmod 644 {SCRIPT}", "update script", "every boot updates"
    ),
    "a script that does nothing": fault(
        "updates", "cnat", f"echo '#!/bin/sh' > {SCRIPT}", "update script", "every boot updates"
    ),
    "the unit is not enabled": fault("updates", "cnat", f"systemctl disable {UNIT}", "every boot updates"),
    "the unit is gone": fault(
        "updates", "cnat", f"rm /etc/systemd/system/{UNIT}; systemctl daemon-reload", "every boot updates"
    ),
    "the unit is masked": fault(
        "updates", "cnat", f"rm /etc/systemd/system/{UNIT}; systemctl mask {UNIT}", "every boot updates"
    ),
    "the last run failed": fault(
        "updates", "cnat", f"cp -p {SCRIPT} /tmp/kept; sed -i '3i exit 3' {SCRIPT}; systemctl start {UNIT} ||"
        f" mv /tmp/kept {SCRIPT}", "last update", undo=f"systemctl start {UNIT}",
    ),
    "a package is only unpacked": fault(
        "updates", "p1", "dpkg --unpack /opt/debs/cron_*.deb", "every package is whole"
    ),
    "a package is half-installed": fault(
        "updates", "p2", "sed -i.away '/^Package: less$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/'"
        " /var/lib/dpkg/status", "every package is whole",
        undo="mv /var/lib/dpkg/status.away /var/lib/dpkg/status",
    ),
    "a package lacks another": fault(
        "updates", "p3", "dpkg --force-depends -i /opt/debs/libpmix2_*.deb", "every package is whole",
        undo="dpkg --purge libpmix2",
    ),
    "sshd runs for the last time": fault(
        "system", "p2", "touch /etc/ssh/sshd_not_to_be_run", "ssh server starts at boot",
        after="rm /etc/ssh/sshd_not_to_be_run.off", is_unseen=True,
    ),
    "sshd starts on another machine only": fault(
        "system", "p3", drop_in("ssh.service", "[Unit]", "ConditionHost=p9"), "ssh server starts at boot",
        undo=without("ssh.service"), is_unseen=True,
    ),
    "systemd would refuse sshd a second command": fault(
        "system", "p4", drop_in("ssh.service", "[Service]", "ExecStart=/bin/false"), "ssh server starts at boot",
        undo=without("ssh.service"), is_unseen=True,
    ),
    "a blank behind a condition": fault(
        "system", "p4", drop_in("ssh.service", "[Unit]", "ConditionPathExists=!/etc/passwd "),
        "ssh server starts at boot", undo=without("ssh.service"), is_unseen=True,
    ),
    "what systemd does not know it only warns of": fault(
        "system", "p4", drop_in("ssh.service", "[Nonsense]", "A=b", "[Service]", "ExecReload=/bin/nowhere"),
        after=without("ssh.service"),
    ),
    "nothing wants sshd, whose alias is left": fault(
        "system", "p4", "rm /etc/systemd/system/multi-user.target.wants/ssh.service", "ssh server starts at boot",
        is_unseen=True,
    ),
    "the boot ends in a rescue shell": fault(
        "system", "p1", "ln -s /lib/systemd/system/rescue.target /etc/systemd/system/default.target",
        "ssh server starts at boot", undo="rm /etc/systemd/system/default.target", is_unseen=True,
    ),
    "a drop-in runs another command": fault(
        "updates", "cnat", drop_in(UNIT, "[Service]", "ExecStart=", "ExecStart=/bin/true"), "every boot updates",
        undo=without(UNIT), is_unseen=True,
    ),
    "the update starts on another machine only": fault(
        "updates", "cnat", drop_in(UNIT, "[Unit]", "ConditionHost=p9"), "every boot updates", undo=without(UNIT),
        is_unseen=True,
    ),
    "an update of one's own was linked by hand today": fault(
        "updates", "cnat", f"{drop_in(UNIT, '[Service]', 'ExecStart=', 'ExecStart=/bin/true')}; cd /etc/systemd/system;"
        f" printf '[Service]\\nType=oneshot\\nExecStart={SCRIPT}\\n' > own.service;"
        " ln -s ../own.service multi-user.target.wants; systemctl daemon-reload",
        after=f"cd /etc/systemd/system; rm own.service multi-user.target.wants/own.service; {without(UNIT)}",
    ),
    "a drop-in changes nothing of what is run": fault(
        "updates", "cnat", drop_in(UNIT, "[Service]", "Nice=10"), after=without(UNIT),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_differs_exactly_there_and_is_mended(green: Lab, name: str) -> None:
    prove(green, FAULTS[name], *STEPS)


@pytest.mark.parametrize(("seconds", "side"), [(7, "7.0 s ahead"), (-4000, "4000.0 s behind")])
def test_a_clock_that_is_off_is_seen_and_none_is_set_here(green: Lab, seconds: int, side: str) -> None:
    """A node shares this machine's clock: only the look is tried, through a `date` that shifts what it says."""
    on(green, "p3", program("date", f'exec /bin/date -d "{seconds:+d} seconds" "$@"'))
    try:
        done = go(green, "verify", STEPS)
    finally:
        on(green, "p3", "rm /usr/local/sbin/date")
    assert done.differing() == {("system", "p3", "clock")}
    (check,) = [check for check in done.outcome("system", "p3").checks if check.aspect == "clock"]
    assert check.seen.startswith(side)
    assert [action.node for action in check.fix] == ["p3"]


@pytest.mark.field
def test_a_way_of_ones_own_is_as_good(green: Lab) -> None:
    """A script in a home, started by root's crontab; a listener with a FIFO beside it must not stop the look."""
    script = "/home/pi/maj.sh"
    on(
        green, "cnat",
        f"systemctl disable {UNIT}; rm {SCRIPT} /etc/systemd/system/{UNIT}; mkfifo /home/pi/pipe; "
        f"printf '#!/bin/bash\\napt update &&\\\\\\n apt -y upgrade\\n' > {script}; chmod 755 {script}; "
        f"printf '@reboot sh -c \"read x < /home/pi/pipe\"\\n@reboot {script} # on 1\\n' | crontab -",
    )  # fmt: skip
    try:
        done = go(green, "repair", STEPS)
        assert (done.code, done.applied()) == (0, 0), done.said
        on(green, "cnat", f"chmod 644 {script}")
        assert go(green, "verify", STEPS).differing() == {("updates", "cnat", "update script")}
        mended = go(green, "repair", STEPS)
        assert (mended.code, mended.applied()) == (0, 1), mended.said
    finally:
        on(green, "cnat", f"crontab -r; rm {script} /home/pi/pipe")
    ours = go(green, "repair", STEPS)
    assert ours.code == 0, ours.said
    assert ours.verdicts()["updates[cnat]"] is Verdict.REPAIRED


def test_the_engine_is_held_only_when_advice_is_asked_for(green: Lab) -> None:
    on(green, "p4", "dpkg --force-depends -i /opt/debs/runc_*.deb")
    try:
        plain = go(green, "repair", STEPS)
        assert (plain.code, plain.applied()) == (0, 0), plain.said
        asked = go(green, "repair", STEPS, advice=True)
        assert (asked.code, asked.applied()) == (0, 1), asked.said
        assert green.exec("p4", ["apt-mark", "showhold"]).stdout == b"runc\n"
        again = go(green, "repair", STEPS, advice=True)
        assert (again.code, again.applied()) == (0, 0), again.said
    finally:
        on(green, "p4", "apt-mark unhold runc; dpkg --purge runc")


def test_a_boot_brings_the_controller_up_to_date_and_says_so(green: Lab) -> None:
    green.power("cnat", on=False)
    green.power("cnat", on=True)
    green.up()  # waits until it has booted
    done = go(green, "verify", STEPS)
    assert done.code == 0, done.said
    (check,) = [check for check in done.outcome("updates", "cnat").checks if check.aspect == "last update"]
    assert check.seen in {"succeeded", "is at work"}
    assert {f"updates[{node}]" for node in NODES} <= set(done.verdicts())


def test_nothing_is_left_of_all_this(green: Lab) -> None:
    prove_nothing_is_left(green)
