"""Faults of the steps `system` and `updates` on the real lab: the right aspect differs, and `--repair` mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.lab import NODES
from harness.model import Verdict
from tests_harness import labkit

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab import Lab

pytestmark = pytest.mark.lab
CHOSEN = ("-k", "power or network or arp or system or updates or hosts")
AFTER_SYSTEM = ("updates", "hosts")
UNIT = "clusterhat-update.service"
SCRIPT = "/usr/local/sbin/clusterhat-update"
WANTS = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"


@dataclass(frozen=True)
class Fault:
    """One deliberate damage: shell text for a node, the aspects that differ then, and what takes it back.

    Where `undo` is given and `is_mended` is not, only a person can help and the repair applies nothing.
    """

    step: str
    node: str
    damage: str
    aspects: frozenset[str]
    undo: str = "true"
    is_mended: bool = True


def fault(step: str, node: str, damage: str, *aspects: str, undo: str = "true", by_hand: bool = False) -> Fault:
    return Fault(step, node, damage, frozenset(aspects), undo, not by_hand)


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
        undo="rm /usr/local/bin/odd",
    ),
    "no home": fault(
        "system", "p3", "mv /home/pi /home/pi.away", "pi owns his home",
        undo="cp -a /home/pi.away/. /home/pi/; rm -r /home/pi.away",
    ),
    "a home of root": fault("system", "p4", "chown root /home/pi", "pi owns his home"),
    "ssh is not started at boot": fault("system", "cnat", "systemctl disable ssh", "ssh server starts at boot"),
    "ssh is masked": fault("system", "p1", "systemctl mask ssh", "ssh server starts at boot"),
    "the card is full": fault(
        "system", "p3", program("df", 'echo "size avail itotal iavail"; echo 8000000000 9000000 500000 400000'),
        "free space on /", undo="rm /usr/local/sbin/df", by_hand=True,
    ),
    "the image of another architecture": fault(
        "system", "p4", program("dpkg", "echo arm64"), "architecture of the programs",
        undo="rm /usr/local/sbin/dpkg", by_hand=True,
    ),
    "a release that nobody meant": fault(
        "system", "p4", "sed -i.away s/=bookworm/=trixie/ /usr/lib/os-release", "operating system",
        undo="mv /usr/lib/os-release.away /usr/lib/os-release", by_hand=True,
    ),
    "it did not run at the last boot": fault(
        "updates", "cnat", f"touch -h -d 2020-01-01 {WANTS}", "last update", undo=f"touch -h {WANTS}", by_hand=True
    ),
    "no script": fault("updates", "cnat", f"rm {SCRIPT}", "update script", "every boot updates"),
    "a script that may not be executed": fault("updates", "cnat", f"chmod 644 {SCRIPT}", "update script"),
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
        "updates", "cnat", f"cp -p {SCRIPT} /tmp/kept; sed -i '3i exit 3' {SCRIPT}; systemctl start {UNIT};"
        f" mv /tmp/kept {SCRIPT}", "last update", undo=f"systemctl start {UNIT}", by_hand=True,
    ),
    "a package is only unpacked": fault(
        "updates", "p1", "dpkg --unpack /opt/debs/cron_*.deb", "every package is whole"
    ),
    "a package is half-installed": fault(
        "updates", "p2", "sed -i.away '/^Package: less$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/'"
        " /var/lib/dpkg/status", "every package is whole",
        undo="mv /var/lib/dpkg/status.away /var/lib/dpkg/status", by_hand=True,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def green(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab as flashed and then made right up to these steps."""
    lab.reset()
    done = labkit.run(tmp_path_factory.mktemp("green"), "--repair", *CHOSEN)
    assert done.code == 0, done.said
    return lab


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


def shell(lab: Lab, node: str, text: str) -> None:
    lab.exec(node, ["sh", "-c", text], timeout=60)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_differs_exactly_there_and_is_mended_once(green: Lab, reports: Path, name: str) -> None:
    one = FAULTS[name]
    shell(green, one.node, one.damage)
    try:
        _see(one, reports / "look")
        _mend(one, reports)
    finally:
        shell(green, one.node, one.undo)


def _see(one: Fault, reports: Path) -> None:
    done = labkit.run(reports, *CHOSEN)
    assert done.code == 1, done.said
    assert done.differing() == {(one.step, one.node, aspect) for aspect in one.aspects}, done.said
    blocked = AFTER_SYSTEM if one.step == "system" else ()
    want = {f"{one.step}[{one.node}]": Verdict.DIFFERS} | {f"{step}[{one.node}]": Verdict.BLOCKED for step in blocked}
    assert {place: verdict for place, verdict in done.verdicts().items() if verdict is not Verdict.OK} == want


def _mend(one: Fault, reports: Path) -> None:
    done = labkit.run(reports / "repair", "--repair", *CHOSEN)
    if not one.is_mended:
        assert done.code == 1, done.said
        assert done.applied() == 0
        return
    assert done.code == 0, done.said
    assert done.verdicts()[f"{one.step}[{one.node}]"] is Verdict.REPAIRED
    again = labkit.run(reports / "again", "--repair", *CHOSEN)
    assert again.code == 0, again.said
    assert set(again.verdicts().values()) == {Verdict.OK}
    assert again.applied() == 0


@pytest.mark.parametrize(("seconds", "side"), [(7, "7.0 s ahead"), (-4000, "4000.0 s behind")])
def test_a_clock_that_is_off_is_seen_and_none_is_set_here(green: Lab, reports: Path, seconds: int, side: str) -> None:
    """A node shares this machine's clock: only the look is tried, through a `date` that shifts what it says."""
    shell(green, "p3", program("date", f'exec /bin/date -d "{seconds:+d} seconds" "$@"'))
    try:
        done = labkit.run(reports, *CHOSEN)
    finally:
        shell(green, "p3", "rm /usr/local/sbin/date")
    assert done.differing() == {("system", "p3", "clock")}
    (check,) = [check for check in done.outcome("system", "p3").checks if check.aspect == "clock"]
    assert check.seen.startswith(side)
    assert [action.node for action in check.fix] == ["p3"]


def test_a_way_of_ones_own_is_as_good(green: Lab, reports: Path) -> None:
    """A script in a home, started by root's crontab; a listener with a FIFO beside it must not stop the look."""
    script = "/home/pi/maj.sh"
    shell(
        green, "cnat",
        f"systemctl disable {UNIT}; rm {SCRIPT} /etc/systemd/system/{UNIT}; mkfifo /home/pi/pipe; "
        f"printf '#!/bin/bash\\napt update &&\\\\\\n apt -y upgrade\\n' > {script}; chmod 755 {script}; "
        f"printf '@reboot sh -c \"read x < /home/pi/pipe\"\\n@reboot {script} # on 1\\n' | crontab -",
    )  # fmt: skip
    try:
        done = labkit.run(reports / "own", "--repair", *CHOSEN)
        assert (done.code, done.applied()) == (0, 0), done.said
        shell(green, "cnat", f"chmod 644 {script}")
        assert labkit.run(reports / "look", *CHOSEN).differing() == {("updates", "cnat", "update script")}
        mended = labkit.run(reports / "mended", "--repair", *CHOSEN)
        assert (mended.code, mended.applied()) == (0, 1), mended.said
    finally:
        shell(green, "cnat", f"crontab -r; rm {script} /home/pi/pipe")
    ours = labkit.run(reports / "ours", "--repair", *CHOSEN)
    assert ours.code == 0, ours.said
    assert ours.verdicts()["updates[cnat]"] is Verdict.REPAIRED


def test_the_engine_is_held_only_when_advice_is_asked_for(green: Lab, reports: Path) -> None:
    shell(green, "p4", "dpkg --force-depends -i /opt/debs/runc_*.deb")
    try:
        plain = labkit.run(reports / "plain", "--repair", *CHOSEN)
        assert (plain.code, plain.applied()) == (0, 0), plain.said
        asked = labkit.run(reports / "asked", "--repair", "--advice", *CHOSEN)
        assert (asked.code, asked.applied()) == (0, 1), asked.said
        assert green.exec("p4", ["apt-mark", "showhold"]).stdout == b"runc\n"
        again = labkit.run(reports / "again", "--repair", "--advice", *CHOSEN)
        assert (again.code, again.applied()) == (0, 0), again.said
    finally:
        shell(green, "p4", "apt-mark unhold runc; dpkg --purge runc")


def test_a_boot_brings_the_controller_up_to_date_and_says_so(green: Lab, reports: Path) -> None:
    green.power("cnat", on=False)
    green.power("cnat", on=True)
    green.up()  # waits until it has booted
    done = labkit.run(reports, *CHOSEN)
    assert done.code == 0, done.said
    (check,) = [check for check in done.outcome("updates", "cnat").checks if check.aspect == "last update"]
    assert check.seen in {"succeeded", "is at work"}
    assert {f"updates[{node}]" for node in NODES} <= set(done.verdicts())
