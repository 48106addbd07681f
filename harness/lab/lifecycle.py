"""The stages of a lab's life: tidied, made, started, answering; each can be repeated."""

import contextlib
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.errors import LabError
from harness.lab import cgroups, network, process
from harness.lab.base import Base, Say
from harness.lab.layout import NODES, Layout
from harness.lab.mounts import remove_tree
from harness.lab.node import execute, machine_name
from harness.lab.probe import await_ssh
from harness.lab.rootfs import (
    Ground,
    host_keys,
    is_made,
    known_hosts_text,
    make_node,
    mount_root,
    write_atomically,
)
from harness.lab.wire import ask

_BOARD_SECONDS = 30.0
_BOOT_SECONDS = 60.0
_SETTLE_SECONDS = 20.0
_NSPAWN_RUNTIME = Path("/run/systemd/nspawn/propagate")


def tidy(layout: Layout) -> None:
    """Remove all that runs or is mounted of this lab, in whatever state it is; its files on disk stay."""
    process.end_board(layout)
    cgroups.end_group(layout.cgroup)
    network.remove_wires(layout)
    remove_tree(layout.runtime)
    for name in NODES:  # nspawn leaves it when it is killed
        with contextlib.suppress(OSError):
            (_NSPAWN_RUNTIME / machine_name(layout, name)).rmdir()


def make_nodes(layout: Layout, base: Base, *, bare: bool, say: Say) -> None:
    """Make each node that is not complete yet, mount all their roots, and write down how to log in."""
    layout.runtime.mkdir(mode=0o700, parents=True)
    (layout.state / "nodes").mkdir(mode=0o700, parents=True, exist_ok=True)
    if not layout.password.exists():
        write_atomically(layout.password, secrets.token_urlsafe(16) + "\n", 0o600)
    password = layout.password.read_text().strip()

    def prepare(name: str) -> None:
        ground = ground_of(base, name, bare=bare)
        if is_made(layout, name, ground):
            mount_root(layout, name, ground)
        else:
            say(f"making {name}")
            make_node(layout, name, ground, password)

    with ThreadPoolExecutor(len(NODES)) as pool:
        list(pool.map(prepare, NODES))
    write_known_hosts(layout)


def ground_of(base: Base, name: str, *, bare: bool) -> Ground:
    """What node `name` stands on: the base alone, or with the saved `ready` layer; LabError without one."""
    if bare:
        return Ground(str(base.root))
    layer = base.home / "ready" / name
    if not layer.is_dir():
        raise LabError(f"There is no saved `ready` layer of {name} at {layer}; only bare nodes can be made.")
    return Ground(str(base.root), (str(layer),))


def write_known_hosts(layout: Layout) -> None:
    """Write the known_hosts file from the host keys that the nodes have now."""
    keys = {name: host_keys(layout, name) for name in NODES}
    write_atomically(layout.known_hosts, known_hosts_text(keys, layout.wire), 0o644)


def start(layout: Layout, base: Base) -> None:
    """Start the board, which switches on all nodes, and return when it answers."""
    process.start_board(layout, base.repository)
    await_board(layout)


def is_answering(layout: Layout) -> bool:
    """Whether the board lives and answers; one that still switches on is waited for."""
    if process.board_pid(layout) is None:
        return False
    try:
        await_board(layout)
    except LabError:
        return False
    return True


def await_board(layout: Layout) -> None:
    """Return when the board answers; LabError with its last words when it ended or takes too long."""
    deadline = time.monotonic() + _BOARD_SECONDS
    while True:
        try:
            ask(layout.control_socket, {"do": "status"})
        except LabError as why:
            if process.board_pid(layout) is None or time.monotonic() > deadline:
                raise LabError(f"{why} It said: {_last_words(layout)}") from why
        else:
            return
        time.sleep(0.05)


def await_booted(layout: Layout, nodes: Sequence[str]) -> None:
    """Return when the sshd of each of `nodes` answers and systemd has started what it wants to start.

    LabError names a node whose sshd does not answer. A boot that never completes is not an error: it may
    be the very fault that is being studied.
    """
    await_ssh(layout, nodes, _BOOT_SECONDS)

    def await_systemd(name: str) -> None:
        with contextlib.suppress(LabError):
            execute(layout, name, ["systemctl", "is-system-running", "--wait"], None, _SETTLE_SECONDS)

    with ThreadPoolExecutor(len(NODES)) as pool:
        list(pool.map(await_systemd, nodes))


def _last_words(layout: Layout) -> str:
    with contextlib.suppress(OSError):
        lines = layout.board_log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing."
    return "nothing."
