"""What is waited for on a machine ends by its clock, however slowly each answer there comes."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from testinfra.backend.base import CommandResult

from harness.node import SLICE, NodeAccess, slices
from harness.parse import mysql
from harness.steps import engine, replicas, swarm_members, swarm_paths
from tests_harness.fakes import small_cluster

if TYPE_CHECKING:
    from pathlib import Path

# Each look at the clock is four seconds later than the one before, as where every answer takes that long.
TOOL = 'echo "$*" >> "$TOP/asked"; if [ "$CODE" = 0 ]; then cat "$TOP/says"; else cat "$TOP/says" >&2; exit "$CODE"; fi'
PROGRAMS = {"date": 'n=$(cat "$TOP/clock"); echo $((n+4)) | tee "$TOP/clock"', "sleep": ":"}
PROGRAMS |= dict.fromkeys(("docker", "systemctl", "ss", "ps", "mysql"), TOOL)
LIMIT = 30  # seconds of one command, the default of the inventory
TASKS = ("-c", replicas.SETTLED, "15", "appli")
PLACE = ("-c", swarm_members.SETTLED, "15")
MEMBERS = ("-c", swarm_members.AGREED, "20", "+a", "-b", "+c")
LEADER = ("-c", swarm_members.HAS_LEADER, "10")
DOCKER = ("-c", engine.STARTED, "20")
PORTS = ("-c", swarm_paths.OPENED, "10", swarm_paths.ANY_AGE)
OLD_PORTS = ("-c", swarm_paths.OPENED, "90", str(swarm_paths.YOUNG))
DATABASE = ("-c", mysql.ASK, "ask", "15")
NOBODY = "Error: The swarm does not have a leader."
# What waits, what its tool says all the time and with which exit code, and what is then missing.
WAITS = {
    "tasks that start": (TASKS, "|Starting 3 seconds ago appli_web.1", 0, "appli_web.1 is Starting"),
    "a place in a swarm": (PLACE, "pending x509: expired", 0, "pending x509: expired"),
    "members that a manager finds ready": (MEMBERS, "down", 0, "a is down"),
    "a leader": (LEADER, NOBODY, 1, NOBODY),
    "Docker that starts": (DOCKER, "activating", 0, "it is activating, and systemd has job activating for it"),
    "ports of a member": (PORTS, "1", 0, "port 4789 is not open"),
    "a database": (DATABASE, "ERROR 2003 (HY000): Can't connect", 1, ""),
}
DONE = {
    "tasks that start": (TASKS, "|Running 3 seconds ago appli_web.1", 0),
    "tasks that the scheduler complains of": (TASKS, "no suitable node|Pending 3 seconds ago appli_web.1", 0),
    "a place in a swarm": (PLACE, "active ", 0),
    "no place in a swarm": (PLACE, "inactive ", 0),
    "members that a manager finds ready": (MEMBERS[:4], "ready", 0),
    "a leader": (LEADER, "id", 0),
    "ports of a member": (PORTS, "UNCONN 0 0 *:4789 *:*", 0),
    "Docker that runs": (DOCKER, "active", 0),
}


@dataclass
class Machine:
    """This machine with tools of our own, as root; what it was asked is in `asked`."""

    top: Path
    says: str
    code: int = 0

    def __post_init__(self) -> None:
        for name, script in PROGRAMS.items():
            (self.top / name).write_text(f"#!/bin/sh\n{script}\n")
            (self.top / name).chmod(0o755)
        (self.top / "clock").write_text("0")
        (self.top / "says").write_text(f"{self.says}\n")

    def sh(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """What a shell does here."""
        variables = {"PATH": f"{self.top}:/usr/bin:/bin", "TOP": str(self.top), "CODE": str(self.code)}
        return subprocess.run(
            ["sh", *argv], env=variables, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20,
            check=False,
        )  # fmt: skip

    def run(self, command: str, *arguments: str) -> CommandResult:
        """As testinfra's host does it."""
        done = self.sh("-c", command % tuple(map(shlex.quote, arguments)))
        return CommandResult(cast("Any", self), done.returncode, command, done.stdout, done.stderr)

    @property
    def seconds(self) -> int:
        """How long it took by this machine's clock."""
        return int((self.top / "clock").read_text())

    @property
    def asked(self) -> list[str]:
        """What its tools were asked."""
        return (self.top / "asked").read_text().splitlines()


@pytest.mark.parametrize(("argv", "says", "code", "missing"), WAITS.values(), ids=WAITS)
def test_a_wait_in_vain_ends_before_the_limit_of_a_command_and_says_what_is_missing(
    tmp_path: Path, argv: tuple[str, ...], says: str, code: int, missing: str
) -> None:
    machine = Machine(tmp_path, says, code)
    done = machine.sh(*argv)
    assert (done.returncode, done.stdout.strip()) == (mysql.NOT_YET if argv is DATABASE else 0, missing)
    assert 4 < machine.seconds < LIMIT
    assert len(machine.asked) > 1


@pytest.mark.parametrize(("argv", "says", "code"), DONE.values(), ids=DONE)
def test_what_is_there_is_not_waited_for(tmp_path: Path, argv: tuple[str, ...], says: str, code: int) -> None:
    machine = Machine(tmp_path, says, code)
    assert (machine.sh(*argv).stdout, len(machine.asked)) == ("", 2 if argv is DOCKER else 1)
    assert machine.seconds <= 8


def test_an_engine_that_runs_for_long_is_not_waited_for_a_second_time(tmp_path: Path) -> None:
    machine = Machine(tmp_path, str(swarm_paths.YOUNG))
    assert (machine.sh(*OLD_PORTS).stdout, machine.seconds) == ("", 4)


def look(machine: Machine, said: list[str]) -> NodeAccess:
    root = cast("Any", machine)
    return NodeAccess("p1", small_cluster(), root, root, say=said.append)


def test_a_look_that_waits_says_for_what_and_why_and_knows_it_at_the_deadline(tmp_path: Path) -> None:
    said: list[str] = []
    missing = look(Machine(tmp_path, "pending no manager"), said).wait(1, "its place", swarm_members.SETTLED)
    assert missing == "pending no manager"
    assert set(said) == {"p1: waiting for its place: pending no manager"}


def test_a_look_that_need_not_wait_says_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    assert look(Machine(tmp_path, "ready"), said).wait(20, "it", swarm_members.AGREED, "+a", "+b") == ""
    assert said == []


def test_a_wait_is_cut_into_slices_of_which_there_is_one_at_least() -> None:
    assert list(slices(0)) == [0]
    assert [one for one, _ in zip(slices(60), range(3), strict=False)] == [SLICE] * 3
