"""Mounts of the machine: what is mounted below a directory, and how to remove a tree without crossing one."""

import shutil
from pathlib import Path

from harness.errors import LabError
from harness.lab.run import attempt, run

_MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


def mounts_below(top: Path, table: str | None = None) -> list[Path]:
    """Mount points at or below `top`, deepest first, from the text of a mountinfo file."""
    text = _MOUNTINFO.read_text() if table is None else table
    points = [Path(_unescape(line.split(" ")[4])) for line in text.splitlines()]
    inside = [p for p in points if p == top or top in p.parents]
    return sorted(inside, key=lambda p: len(p.parts), reverse=True)


def _unescape(field: str) -> str:
    for code, char in _ESCAPES.items():
        field = field.replace(code, char)
    return field


def unmount_below(top: Path) -> None:
    """Unmount everything at or below `top`; a busy mount is detached. LabError if one stays."""
    for point in mounts_below(top):
        if attempt(["umount", point]).returncode != 0:
            attempt(["umount", "--lazy", point])
    left = mounts_below(top)
    if left:
        raise LabError(f"{left[0]} cannot be unmounted.")


def remove_tree(top: Path) -> None:
    """Remove `top` and what is in it; mounts are undone first, because a tree below may be the machine's."""
    if not top.exists():
        return
    unmount_below(top)
    shutil.rmtree(top)


def mount_overlay(target: Path, lower: list[Path], upper: Path, work: Path) -> None:
    """Mount an overlay of `lower` (topmost last) and the writable `upper` at `target`."""
    stack = ":".join(str(path) for path in reversed(lower))
    # Without redirects a folder of a lower layer could not be renamed: on a real card that is always possible.
    options = f"lowerdir={stack},upperdir={upper},workdir={work},redirect_dir=on"
    run(["mount", "-t", "overlay", "hatcheck", "-o", options, target])
