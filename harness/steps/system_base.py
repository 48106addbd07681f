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
FILES = {"/etc/passwd", "/etc/group"}
KIND, RIGHTS = 0o170000, 0o7777  # what of a mode says what it is, and who may do what (inode(7))
# The whole mode in hexadecimal, which is the same in every language.
COMMAND = f"for p in {' '.join(NEEDED)}; do [ ! -e $p ] || stat -L -c '%f %n' -- $p || exit 9; done"
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
        is_kind = mode is not None and (path != DEVICE or mode & KIND == stat.S_IFCHR)
        rights = "no such path" if mode is None else f"mode {mode & RIGHTS:o}"
        want = f"at least {needed:o}"
        yield expect(
            name, f"everybody may use {path}", want=want,
            seen=want if is_enough and is_kind else rights if is_kind or mode is None else "not the device",
            fix=_fix(name, path, mode | needed) if mode is not None and is_kind and not is_enough else (),
            by_hand=_by_hand(path, needed),
        )  # fmt: skip


def _fix(name: str, path: str, mode: int) -> tuple[Run, ...]:
    """Only adds: what an owner gave beyond that stays."""
    return (Run(name, ("chmod", f"{mode & RIGHTS:o}", "--", path), f"let everybody use {path}"),)


def _by_hand(path: str, needed: int) -> str:
    if path == DEVICE:
        return f"`sudo rm {path}; sudo mknod -m 666 {path} c 1 3`, or a reboot"
    if path in FILES:
        return f"bring it back: `sudo cp -p {path}- {path}` has it as it was before its last change"
    return f"`sudo install -d -m {needed | 0o755:o} {path}`, and see what took it away"
