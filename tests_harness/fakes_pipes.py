"""States of the documented cluster as the step `pipes` sees it when all is well."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.node import File
from harness.steps import pipes
from harness.steps.boot_scripts import PIPES, script_of
from harness.steps.pipes_hardened import PROGRAM, SCRIPTS, SHIPPED_PROGRAM, UNIT, unit_of
from harness.steps.pipes_state import RESULTS, Container, Entry, Listener, Live, Pipe
from tests_harness.fakes_boot import CLUSTER, HUB, good_boot

if TYPE_CHECKING:
    from harness.steps.pipes_state import State

BOX = "0123456789abcdef"
CAME = Live("", (1, 1, 1, 1), 1)


def folder(mode: int = 0o755, owner: str = "pi:pi", kind: str = "folder") -> Entry:
    """A folder, or what is in its place."""
    return Entry(kind, mode, owner, 4096)


def loop(name: str = PIPES[0], pid: int = 700, user: str = "pi") -> Listener:
    """The documented listener of a pipe: the shell, and its cat that waits."""
    words = f"/bin/bash {script_of(name, CLUSTER)}"
    return Listener(f"{pid}:1", user, words, "documented", False, (f"{pid}:1", f"{pid + 1}:2"))  # noqa: FBT003


def hardened(name: str = PIPES[0], pid: int = 800) -> Listener:
    """The listener without eval."""
    words = f"/usr/bin/python3 {PROGRAM} /home/pi/webVolume/{name} --group www-data"
    return Listener(f"{pid}:1", "pi", words, "hardened", False, (f"{pid}:1",))  # noqa: FBT003


def good_pipe(name: str) -> Pipe:
    """A pipe with the documented listener, whose container got all its answers."""
    return Pipe(Entry("pipe", 0o666, "pi:pi", 0), True, (loop(name),), CAME)  # noqa: FBT003


def good_node() -> State:
    """One web node, as documented."""
    entries = {"": folder(), "repoBashScripts": folder(), "repoPythonScripts": folder(), RESULTS: folder(0o777)}
    boxes = (Container(BOX, "appli_serviceweb"),)
    return pipes.State(entries, {name: good_pipe(name) for name in PIPES}, boxes, dict(good_boot()["p1"].scripts))


def hardened_node() -> State:
    """One web node with the listener that this project ships."""
    good = good_node()
    mode = Entry("pipe", 0o620, "pi:www-data", 0)
    files = {PROGRAM: File(SHIPPED_PROGRAM, 0o755, "root:root"), UNIT: File(unit_of(CLUSTER), 0o644, "root:root")}
    return replace(
        good,
        pipes={name: Pipe(mode, True, (hardened(name),), CAME) for name in PIPES},  # noqa: FBT003
        files=files | {script_of(name, CLUSTER): File(SCRIPTS[name], 0o755, "pi:pi") for name in PIPES},
    )


def good_pipes() -> dict[str, pipes.State]:
    """Every web node with its pipes, and nobody who listens on the controller."""
    return {HUB: pipes.State(strays=dict.fromkeys(PIPES, ()))} | {node.name: good_node() for node in CLUSTER.nodes}
