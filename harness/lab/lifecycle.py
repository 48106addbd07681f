"""The stages of a lab's life: tidied, made, started, answering; each can be repeated."""

import contextlib
import json
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.errors import LabError
from harness.lab import cgroups, network, process
from harness.lab.base import Base
from harness.lab.cache import Say
from harness.lab.images import Images
from harness.lab.layout import CONTROLLER, NODES, Layout
from harness.lab.mounts import remove_tree
from harness.lab.node import execute, machine_name
from harness.lab.probe import await_ssh
from harness.lab.ready import Ready
from harness.lab.rootfs import (
    Ground,
    ground_of,
    host_keys,
    known_hosts_text,
    make_node,
    mount_root,
    write_atomically,
)
from harness.lab.wire import ask

_BOARD_SECONDS = 90.0  # the controller boots in that time
_BOOT_SECONDS = 60.0
_SETTLE_SECONDS = 20.0
_TASKS_SECONDS = 60
# On the controller: return when each service of its swarm, if it has one, runs as many tasks as it should.
_AWAIT_TASKS = f"""
[ "$(docker info --format '{{{{.Swarm.ControlAvailable}}}}' 2>/dev/null)" = true ] || exit 0
end=$(($(date +%s)+{_TASKS_SECONDS}))
while docker service ls --format '{{{{.Replicas}}}}' | grep -qvE '^([0-9]+)/\\1( |$)'; do
  [ "$(date +%s)" -lt "$end" ] || exit 0
  sleep 0.5
done
"""
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


def make_nodes(layout: Layout, base: Base, ready: Ready | None, say: Say) -> None:
    """Make each node that is not complete yet, mount all their roots, and write down how to log in.

    New nodes are bare, or as they are saved in `ready`; nodes that are made on this base are kept as they are.
    """
    layout.runtime.mkdir(mode=0o700, parents=True)
    (layout.state / "nodes").mkdir(mode=0o700, parents=True, exist_ok=True)
    if not layout.password.exists():
        write_atomically(layout.password, secrets.token_urlsafe(16) + "\n", 0o600)
    password = layout.password.read_text().strip()

    def prepare(name: str) -> None:
        kept = ground_of(layout, name)
        if kept and kept.base == str(base.root):
            mount_root(layout, name, kept)
        else:
            say(f"{name}: making its card, {'as documented' if ready else 'as newly flashed'}")
            make_node(layout, name, new_ground(base, name, ready), password)

    with ThreadPoolExecutor(len(NODES)) as pool:
        list(pool.map(prepare, NODES))
    write_known_hosts(layout)


def has_nodes(layout: Layout, base: Base) -> bool:
    """Whether some node is made already that `make_nodes` would keep."""
    grounds = [ground_of(layout, name) for name in NODES]
    return any(ground is not None and ground.base == str(base.root) for ground in grounds)


def new_ground(base: Base, name: str, ready: Ready | None) -> Ground:
    """What a new node `name` stands on: the base alone, or with its saved card above it."""
    return Ground(str(base.root), (str(ready.card(name)),) if ready else ())


def stores_of(layout: Layout, images: Images, ready: Ready | None) -> list[Path]:
    """What Docker Hub offers below what is pushed: as noted for this lab, else as chosen now, and then noted."""
    note = layout.registry / "stores.json"
    with contextlib.suppress(FileNotFoundError, ValueError):
        noted = [Path(store) for store in json.loads(note.read_text())]
        if all(store.is_dir() for store in noted):
            return noted
    remove_tree(layout.registry)
    layout.registry.mkdir(parents=True)
    chosen = stores(images, ready)
    note_stores(layout, chosen)
    return chosen


def stores(images: Images, ready: Ready | None) -> list[Path]:
    """What Docker Hub of a new lab offers, lowest first."""
    return [images.store, ready.store] if ready else [images.store]


def note_stores(layout: Layout, chosen: Sequence[Path]) -> None:
    """Note what Docker Hub of this lab offers from now on."""
    write_atomically(layout.registry / "stores.json", json.dumps([str(store) for store in chosen]), 0o644)


def write_known_hosts(layout: Layout) -> None:
    """Write the known_hosts file from the host keys that the nodes have now."""
    keys = {name: host_keys(layout, name) for name in NODES}
    write_atomically(layout.known_hosts, known_hosts_text(keys, layout.wire), 0o644)


def start(layout: Layout, base: Base, stores: Sequence[Path]) -> None:
    """Start the board, which switches on Docker Hub and all nodes, and return when it answers."""
    process.start_board(layout, base.home, stores)
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


def await_tasks(layout: Layout) -> None:
    """Return when the tasks of a swarm that was switched on with its machines run again, or never will.

    That some do not is not an error: it may be the very fault that is being studied.
    """
    with contextlib.suppress(LabError):
        execute(layout, CONTROLLER, ["sh", "-c", _AWAIT_TASKS], None, _TASKS_SECONDS + 10)


def _last_words(layout: Layout) -> str:
    with contextlib.suppress(OSError):
        lines = layout.board_log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing."
    return "nothing."
