"""Step `boot` on a real node: from nothing to right in one repair, through the faults of the field, over a reboot.

The step is run alone here: what it needs (`pipes`) is laid out by hand.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.converge import Loop
from harness.errors import LabError
from harness.inventory import parse
from harness.live import LiveCrew
from harness.model import Place, Verdict
from harness.reach import LAB_TABLES
from harness.session import open_connections
from harness.steps import boot
from harness.steps.boot_scripts import PIPES
from tests_harness.appkit import Machine
from tests_harness.faultkit import drop_in, without
from tests_harness.labkit import LAB_NAME
from tests_harness.pipekit import APP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.lab import Lab
    from harness.model import Mode, Outcome

pytestmark = pytest.mark.lab
NODE = "p4"
VOLUME = "/home/pi/webVolume"
SCRIPTS = f"{VOLUME}/repoBashScripts"
CRONTAB = "/var/spool/cron/crontabs/pi"
PATIENCE = 60.0
LOOK = f"stat -c '%n %a %U:%G' {SCRIPTS}/* {CRONTAB}; sha256sum {SCRIPTS}/* {CRONTAB}; systemctl is-enabled cron"


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[Machine]:
    """A bare node with the folders and pipes of step `pipes`; as flashed again afterwards."""
    lab.reset(NODE)
    one = Machine(lab, NODE)
    one.shell(f"install -d -o pi -g pi {VOLUME} {SCRIPTS}; install -d -o pi -g pi -m 777 {VOLUME}/repoOutputResults")
    one.shell(f"cd {VOLUME}; mkfifo {' '.join(PIPES)}; chown pi:pi {' '.join(PIPES)}; chmod 666 {' '.join(PIPES)}")
    yield one
    lab.reset(NODE)


@pytest.fixture(autouse=True)
def _this_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HATCHECK_LAB", LAB_NAME)
    monkeypatch.chdir(tmp_path)


def run(mode: Mode) -> Outcome:
    """What becomes of `boot` on the node."""
    cluster = parse(LAB_TABLES | {"nodes": [{"name": NODE}]}, "test", APP)
    with closing(open_connections(cluster)) as connections:
        crew = LiveCrew(connections, lambda _: None)
        outcomes = Loop(cluster, (boot,), crew, mode, lambda _: True).converge()
    (hub,) = [one for one in outcomes if one.place.node != NODE]
    assert hub.verdict is Verdict.OK, hub.reason
    return next(one for one in outcomes if one.place == Place("boot", NODE))


def differing(outcome: Outcome) -> set[str]:
    return {check.aspect for check in outcome.checks if not check.holds and check.level == "must"}


@pytest.fixture(scope="module")
def green(machine: Machine) -> Machine:
    """The node with a line of its own in the crontab, repaired once."""
    machine.shell("printf '# mine\\n0 4 * * * true' > /tmp/own; echo >> /tmp/own; crontab -u pi /tmp/own")
    return machine


def test_one_repair_makes_it_right_and_a_second_changes_nothing(green: Machine) -> None:
    outcome = run("repair")
    assert (outcome.verdict, outcome.reason != "") == (Verdict.REPAIRED, True)
    before = green.shell(LOOK)
    again = run("repair")
    assert (again.verdict, again.done) == (Verdict.OK, ())
    assert green.shell(LOOK) == before
    assert green.shell("crontab -u pi -l").startswith("# mine\n0 4 * * * true\n@reboot ")
    for pipe in PIPES:
        script = (APP / "repoBashScripts" / f"start_{pipe}.sh").read_text()
        assert green.shell(f"cat {SCRIPTS}/start_{pipe}.sh") == script


@dataclass(frozen=True)
class Fault:
    """Shell text that damages, the beginnings of the aspects that differ then, and whether a repair can help."""

    damage: str
    aspects: tuple[str, ...]
    undo: str = ""


# Even root may not write in place what is another's in that folder (proc_sys_fs(5), protected_regular).
EDIT = f"cp -p {CRONTAB} /root/kept; cp -p {CRONTAB} /root/new; {{}}; mv /root/new {CRONTAB}"
FIRST = f"{SCRIPTS}/start_{PIPES[0]}.sh"
ALL = tuple(f"a boot starts start_{pipe}.sh" for pipe in PIPES)
FAULTS = {
    "no crontab": Fault("crontab -u pi -r", ALL),
    "a line is gone": Fault(f"crontab -u pi -l | grep -v {PIPES[0]} | crontab -u pi -", ALL[:1]),
    "a line twice": Fault(EDIT.format(f"echo '@reboot {FIRST}' >> /root/new"), ALL[:1]),
    "the last line has no end": Fault(
        EDIT.format("truncate -s -1 /root/new"), ("the last job of the crontab of pi has a line's end",)
    ),
    "edited as root": Fault(f"chmod 644 {CRONTAB}", ("cron accepts the rights of the crontab of pi",)),
    "a line that is none": Fault(
        EDIT.format("echo nonsense >> /root/new"), ("cron understands the crontab of pi",),
        undo=f"mv /root/kept {CRONTAB}",
    ),
    "a script is gone": Fault(f"rm {FIRST}", (f"start_{PIPES[0]}.sh listens",)),
    "a script is empty": Fault(f"truncate -s 0 {FIRST}", (f"start_{PIPES[0]}.sh listens",)),
    "a script on another pipe": Fault(
        f"cp -p {FIRST} /root/kept; sed -i s/{PIPES[0]}/{PIPES[1]}/ {FIRST}", (f"start_{PIPES[0]}.sh listens",),
        undo=f"mv /root/kept {FIRST}",
    ),
    "a script may not be executed": Fault(f"chmod 644 {FIRST}", (f"start_{PIPES[0]}.sh may be run by pi",)),
    "cron is off": Fault("systemctl disable --now cron", ("cron starts at boot", "cron runs")),
    "cron runs for the last time": Fault(
        drop_in("cron.service", "[Unit]", "ConditionPathExists=/nowhere"), ("cron starts at boot",),
        undo=without("cron.service"),
    ),
    "the program of cron is gone": Fault(
        "mv /usr/sbin/cron /usr/sbin/cron.away", ("cron starts at boot",), undo="mv /usr/sbin/cron.away /usr/sbin/cron"
    ),
    "systemd would refuse cron a second command": Fault(
        drop_in("cron.service", "[Service]", "ExecStart=/bin/false"), ("cron starts at boot",),
        undo=without("cron.service"),
    ),
    "a script by a program that is not there": Fault(
        f"sed -i '1s|.*|#!/usr/bin/bsh|' {FIRST}", (f"start_{PIPES[0]}.sh listens",)
    ),
    "a script from Windows": Fault(f"sed -i 's/$/\\r/' {FIRST}", (f"start_{PIPES[0]}.sh listens",)),
    "a script of a person's by a program that is not there": Fault(
        f"cp -p {FIRST} /root/kept; sed -i '1s|.*|#!/usr/bin/env bsh|; $s/$/ # mine/' {FIRST}",
        (f"start_{PIPES[0]}.sh listens",), undo=f"mv /root/kept {FIRST}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_differs_exactly_there_and_is_mended_once(green: Machine, name: str) -> None:
    run("repair")
    fault, before = FAULTS[name], green.shell(f"sort {CRONTAB}; {LOOK}")
    green.shell(fault.damage)
    try:
        assert differing(run("verify")) == set(fault.aspects)
        mended = run("repair")
        if fault.undo:
            assert (mended.verdict, mended.done) == (Verdict.DIFFERS, ())
        else:
            assert mended.verdict is Verdict.REPAIRED, mended.reason
            assert run("repair").done == ()
    finally:
        green.shell(fault.undo or "true")
    if "crontab -u" not in fault.damage:
        assert green.shell(f"sort {CRONTAB}; {LOOK}") == before


def test_after_a_reboot_each_listener_is_back_once_and_answers(green: Machine) -> None:
    run("repair")
    green.shell("touch /run/before; systemctl reboot")
    _await(green, "! test -e /run/before && systemctl is-active cron")
    for number, pipe in enumerate(PIPES):
        _await(green, f"test $(pgrep -u pi -fxc '/bin/bash {SCRIPTS}/start_{pipe}.sh') = 1")
        line = f"echo {number} >> {VOLUME}/repoOutputResults/hatcheck-{number}.txt"
        send = f"printf '%s\\n' '{line}' | dd of={VOLUME}/{pipe} oflag=nonblock conv=nocreat,notrunc status=none"
        _await(green, send)
        _await(green, f"test $(cat {VOLUME}/repoOutputResults/hatcheck-{number}.txt) = {number}")
    assert run("verify").verdict is Verdict.OK


def _await(machine: Machine, question: str) -> None:
    """Wait until shell text succeeds; a node that is just booting is not there to be asked."""
    deadline = time.monotonic() + PATIENCE
    while not _holds(machine, question):
        assert time.monotonic() < deadline, f"waited {PATIENCE} s in vain for: {question}"
        time.sleep(0.2)


def _holds(machine: Machine, question: str) -> bool:
    try:
        return machine.lab.exec(NODE, ["sh", "-c", question]).returncode == 0
    except LabError:
        return False
