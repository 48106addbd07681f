"""Part of step `mpi`: the application's programs as fixtures/app/mpi ships them, where the runbook has them (L629)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.actions import Octets, Run, Write
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.model import Check
    from harness.node import NodeAccess

SOURCE = Path(__file__).parents[2] / "fixtures" / "app" / "mpi"
PRIME, PI, STATS = NAMES = ("prime.py", "pi_monte_carlo.py", "node_stats.py")
SHIPPED = {name: (SOURCE / name).read_bytes() for name in NAMES}
VOLUME, FOLDER = "webVolume", "webVolume/repoPythonScripts"
READABLE = 'for f in %s %s %s; do [ ! -r "$f" ] || printf "%%s\\n" "$f"; done'
# Folders that are there keep their rights: other steps have a say about them.
MAKE_FOLDERS = 'for d in "$2" "$3"; do [ -d "$d" ] || install -d -o "$1" -g "$1" -- "$d" || exit; done'


@dataclass(frozen=True)
class Program:
    """A program as it lies on a machine. `content` is kept only where it is not the shipped one, as a change needs it.

    `is_readable` says whether the login user can read it, folders and all.
    """

    digest: str
    mode: int
    owner: str
    is_readable: bool
    content: Octets | None = None


def path(name: str, cluster: Cluster) -> str:
    """Where a program belongs."""
    return f"/home/{cluster.os.user}/{FOLDER}/{name}"


def look(node: NodeAccess) -> dict[str, Program]:
    """The programs of a machine, by name; those that are missing are not in it."""
    paths = {path(name, node.cluster): name for name in NAMES}
    readable = node.ask(READABLE, *paths).splitlines()
    found = {}
    for where, file in node.files(*paths).items():
        name = paths[where]
        content = None if file.content == SHIPPED[name] else file.content
        found[name] = Program(digest(file.content), file.mode, file.owner, where in readable, content)
    return found


def digest(content: bytes) -> str:
    """SHA-256 of a program."""
    return hashlib.sha256(content).hexdigest()


def are_right(found: Mapping[str, Program]) -> bool:
    """Whether all programs are there as they should be."""
    return all(_said(name, found.get(name)) == "as shipped" for name in NAMES)


def judge_programs(node: str, found: Mapping[str, Program], cluster: Cluster) -> Iterator[Check]:
    """Each program has the shipped bytes, so it is the same on every machine, and the login user can read it."""
    for name in NAMES:
        program = found.get(name)
        yield expect(
            node, name, want="as shipped", seen=_said(name, program), fix=_fix(node, name, program, cluster),
            by_hand=f"it is another version's; copy fixtures/app/mpi/{name} to {path(name, cluster)}",
        )  # fmt: skip


def _said(name: str, program: Program | None) -> str:
    if program is None:
        return "missing"
    if program.digest != digest(SHIPPED[name]):
        return f"other bytes (SHA-256 {program.digest[:12]}…)"
    return "as shipped" if program.is_readable else f"not readable: mode {program.mode:o}, owner {program.owner}"


def _fix(node: str, name: str, program: Program | None, cluster: Cluster) -> tuple[Action, ...]:
    shipped, user = SHIPPED[name], cluster.os.user
    home = f"/home/{user}"
    folders = Run(
        node, ("sh", "-c", MAKE_FOLDERS, "sh", user, f"{home}/{VOLUME}", f"{home}/{FOLDER}"),
        "a place for the programs of the application",
    )  # fmt: skip
    before = None
    if program is not None:
        before = shipped if program.digest == digest(shipped) else program.content
        if before is None:  # an old tape, looked at with other programs: nobody kept these bytes
            return ()
    write = Write(node, path(name, cluster), before, shipped, "the application's program", 0o644, f"{user}:{user}")
    return (folders, write)
