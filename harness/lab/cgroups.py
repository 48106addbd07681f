"""Control groups of the nodes: each node is born in its own, so its processes can be found and ended.

A group `hatcheck-<lab>/<node>` is made at the top of every mounted hierarchy (v1 controllers, the named
systemd hierarchy, v2), as an engine with the cgroupfs driver does. What is in it belongs to this lab and to
nothing else, whatever became of the process that started it.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from harness.errors import LabError

_MOUNTINFO = Path("/proc/self/mountinfo")
_INHERITED = ("cpuset.cpus", "cpuset.mems")  # v1: a new cpuset group is unusable until they are set
_END_SECONDS = 10.0


def hierarchies(table: str | None = None) -> list[Path]:
    """Mount points of all control group hierarchies, from the text of a mountinfo file."""
    text = _MOUNTINFO.read_text() if table is None else table
    fields = (line.split(" - ") for line in text.splitlines())
    return [Path(left.split(" ")[4]) for left, right in fields if right.split(" ")[0] in ("cgroup", "cgroup2")]


def make_group(name: str) -> list[Path]:
    """Make group `name` (`top/sub`) in every hierarchy; return the groups, all ready for processes."""
    groups = []
    for top in hierarchies():
        group = top
        for part in name.split("/"):
            _hand_down_controllers(group)
            group /= part
            group.mkdir(exist_ok=True)
            _inherit_cpuset(group)
        groups.append(group)
    if not groups:
        raise LabError("This machine has no control groups mounted at /sys/fs/cgroup, which systemd nodes need.")
    return groups


def _inherit_cpuset(group: Path) -> None:
    for name in _INHERITED:
        own, above = group / name, group.parent / name
        if own.exists() and above.exists() and not own.read_text().strip():
            own.write_text(above.read_text())


def _hand_down_controllers(group: Path) -> None:
    """On v2 a controller reaches a group only if the one above hands it down; v1 has no such file."""
    offered = group / "cgroup.controllers"
    if offered.exists():
        for controller in offered.read_text().split():
            with contextlib.suppress(OSError):
                (group / "cgroup.subtree_control").write_text(f"+{controller}")


def groups_of(pid: int) -> list[Path]:
    """The groups of process `pid`, one per mounted hierarchy; empty when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []
    named = {controllers.removeprefix("name="): path for _, controllers, path in (x.split(":", 2) for x in lines)}
    tops = {top.name: top for top in hierarchies()}
    found = []
    for controllers, path in named.items():
        top = tops.get(controllers or "unified") or (tops.get("cgroup") if not controllers else None)
        if top is not None:
            found.append(top / path.lstrip("/"))
    return found


def members(name: str) -> set[int]:
    """Process ids in group `name` and below it, over all hierarchies."""
    return set(_members(name))


def _members(name: str) -> Iterator[int]:
    for top in hierarchies():
        # Not rglob, which fails when a group goes away under it; os.walk goes on with the next.
        for group, _, _ in os.walk(top / name):
            with contextlib.suppress(OSError):  # the group went away, or is threaded
                yield from (int(pid) for pid in Path(group, "cgroup.procs").read_text().split() if pid != "0")


def end_group(name: str) -> None:
    """SIGKILL everything in group `name` until nothing is left, then remove the group.

    Raises LabError when something survives.
    """
    deadline = time.monotonic() + _END_SECONDS
    while pids := members(name) - {os.getpid()}:
        if time.monotonic() > deadline:
            raise LabError(f"Process {min(pids)} of {name} survives SIGKILL.")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    for top in hierarchies():
        _remove_group(top / name, deadline)


def _remove_group(group: Path, deadline: float) -> None:
    for path in [Path(found) for found, _, _ in os.walk(group, topdown=False)]:
        while path.exists():
            try:
                path.rmdir()
            except FileNotFoundError:
                break
            except OSError as why:  # the kernel lets go of dead processes a little later
                if time.monotonic() > deadline:
                    raise LabError(f"Control group {path} cannot be removed: {why.strerror}.") from None
                time.sleep(0.02)
