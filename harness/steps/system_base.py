"""Part of step `system`: what every program takes for granted, /tmp and /dev/null for example, may be used by all."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.errors import ObservationError
from harness.model import Check
from harness.parse.excerpt import excerpt
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.node import NodeAccess

# What everybody needs of each, as Debian has it; where there is more, that is the owner's choice.
NEEDED = {
    "/": 0o005, "/etc": 0o005, "/home": 0o001, "/tmp": 0o1777, "/var/tmp": 0o1777,  # noqa: S108 - nothing is written
    "/dev/null": 0o666, "/etc/passwd": 0o004, "/etc/group": 0o004,
}  # fmt: skip
DEVICE = "/dev/null"
# The whole mode in hexadecimal, which is the same in every language.
COMMAND = f"stat -L -c '%f %n' -- {' '.join(NEEDED)} 2>/dev/null || :"
LINE = re.compile(r"([0-9a-f]+) (/.*)")


def observe_base(node: NodeAccess) -> dict[str, int]:
    """Each of the paths with its mode, type included; one that is not there is left out."""
    found = {}
    for line in node.ask(COMMAND, root=True).splitlines():
        match = LINE.fullmatch(line)
        if not match:
            raise ObservationError(f"{node.name}: stat: expected a mode and a path, got {excerpt(line)}")
        found[match[2]] = int(match[1], 16)
    return found


def judge_base(name: str, modes: Mapping[str, int]) -> Iterator[Check]:
    """One comparison for each path."""
    for path, needed in NEEDED.items():
        mode = modes.get(path)
        is_enough = mode is not None and mode & needed == needed
        is_kind = mode is not None and (stat.S_ISCHR(mode) or path != DEVICE)
        rights = "no such path" if mode is None else f"mode {stat.S_IMODE(mode):o}"
        want = f"at least {needed:o}"
        yield expect(
            name, f"everybody may use {path}", want=want,
            seen=want if is_enough and is_kind else rights if is_kind or mode is None else "not the device",
            fix=_fix(name, path, needed) if is_kind and not is_enough else (),
            by_hand=f"`sudo rm {path}; sudo mknod -m 666 {path} c 1 3`, or a reboot"
            if path == DEVICE else f"`sudo install -d -m 755 {path}`, and see what took it away",
        )  # fmt: skip


def _fix(name: str, path: str, needed: int) -> tuple[Run, ...]:
    """Only adds: what an owner gave beyond that stays."""
    who = {0o1777: "a+rwx,+t", 0o666: "a+rw", 0o005: "o+rx", 0o001: "o+x", 0o004: "o+r"}[needed]
    return (Run(name, ("chmod", who, "--", path), f"let everybody use {path}"),)
