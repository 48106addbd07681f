"""The lab as a whole: up, down, status, reset, power, exec, and how to log in."""

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import LabError
from harness.lab import cgroups, lifecycle, node, preflight, process
from harness.lab.base import Base, ensure_base
from harness.lab.cache import Say, locked, purge_cache, remove_older
from harness.lab.dockerhub import await_hub
from harness.lab.images import Images, ensure_images
from harness.lab.layout import (
    CLUSTER_NET,
    NODES,
    RUNTIME_HOME,
    STATE_HOME,
    USER,
    Layout,
    check_node,
    lab_layout,
)
from harness.lab.mounts import remove_tree
from harness.lab.ready import Ready, cached_ready, halt, repair, save
from harness.lab.wire import Message, ask

_RENEW_SECONDS = 600.0  # an engine's images are copied
_READY_KEPT = 3600.0  # seconds; each is some gigabytes


def _keep_silent(_line: str) -> None:
    """Default of `say`."""


@dataclass(frozen=True)
class Access:
    """How to log in to the lab: through the controller's uplink, as user pi."""

    address: str
    port: int
    user: str
    password: str = field(repr=False)
    known_hosts: Path
    is_direct: bool


@dataclass(frozen=True)
class NodeStatus:
    """What the board knows of a node: its power, and whether its system runs."""

    node: str
    has_power: bool
    is_running: bool


@dataclass(frozen=True)
class LabStatus:
    """What the board knows of the lab; no nodes when the lab is down."""

    name: str
    board_pid: int | None
    is_direct: bool
    nodes: tuple[NodeStatus, ...]

    @property
    def is_up(self) -> bool:
        """Whether a board answers."""
        return self.board_pid is not None


class Lab:
    """The embedded cluster called `name` (default: HATCHECK_LAB, else hatlab). Needs root for everything."""

    def __init__(self, name: str | None = None) -> None:
        self.layout: Layout = lab_layout(name)

    def up(self, *, bare: bool = True, direct: bool = False, say: Say = _keep_silent) -> None:
        """Have all five nodes run, with their sshd answering and their swarm's tasks running; at once when they do.

        What a crash left is tidied up first; the files of the nodes are kept. With `direct` the machine
        has an address in the cluster network, else it has no route to it. With bare=False new nodes are
        those of the saved green cluster, which is made first when there is none (see ready.py). Raises
        LabError, before anything is touched, when the machine is not fit.
        """
        preflight.check_root()
        if not bare:
            self._ensure_ready(say)
        with self._locked(say):
            is_new = not lifecycle.is_answering(self.layout)
            if is_new:
                preflight.check_machine(self.layout, direct=direct)
                base, images = ensure_base(say), ensure_images(say)
                saved = cached_ready(base, images)
                ready = saved if not bare and saved.is_usable() else None
                if ready:
                    os.utime(ready.home)
                lifecycle.tidy(self.layout)
                lifecycle.make_nodes(self.layout, base, ready, say)
                say("switching on the five nodes")
                lifecycle.start(self.layout, base, lifecycle.stores_of(self.layout, images, ready))
            elif direct:
                preflight.check_addresses(self.layout, CLUSTER_NET)
            self._ask({"do": "direct", "on": direct})
            if self._ask({"do": "status"})["docker hub"]:
                await_hub(self.layout)
            running = [seen.node for seen in self.status().nodes if seen.is_running]
            lifecycle.await_booted(self.layout, running)
            if is_new:
                lifecycle.await_tasks(self.layout)

    def _ensure_ready(self, say: Say) -> None:
        """Have a saved green cluster of this version, unless this lab has nodes already, which are kept.

        What an earlier attempt left half repaired is no such lab: it is begun anew.
        """
        STATE_HOME.mkdir(parents=True, exist_ok=True)
        attempt = self.layout.state / "making-ready"
        with locked(STATE_HOME, say):  # one at a time: the next who waits finds it made
            if attempt.exists():
                self.down(say)
            if lifecycle.is_answering(self.layout):
                return
            preflight.check_machine(self.layout, direct=False)
            base, images = ensure_base(say), ensure_images(say)
            ready = cached_ready(base, images)
            if ready.is_usable() or lifecycle.has_nodes(self.layout, base):
                return
            self.layout.state.mkdir(exist_ok=True)
            attempt.touch()
            self._make_ready(ready, say)

    def _make_ready(self, ready: Ready, say: Say) -> None:
        """Make the green cluster from bare nodes, save it as `ready`, and leave no lab."""
        say("there is no saved green cluster of this version: `pytest --repair` makes it of bare nodes, once …")
        began = time.monotonic()
        self.up(bare=True, say=say)
        repair(self.layout, say)
        halt(self.layout, lambda: any(node.is_running for node in self.status().nodes))
        with self._locked(say):
            lifecycle.tidy(self.layout)
            save(self.layout, ready, say)
            remove_older(ready.home, _READY_KEPT)
            remove_tree(self.layout.state)
        say(f"  … done in {time.monotonic() - began:.0f} s")

    def check(self) -> None:
        """Raise LabError, naming what is missing, where this lab cannot run; touches nothing."""
        preflight.check_root()
        if not lifecycle.is_answering(self.layout):
            preflight.check_machine(self.layout, direct=False)

    def down(self, say: Say = _keep_silent, *, purge: bool = False) -> None:
        """Remove everything of the lab but the cache, with `purge` that too; needs no living board."""
        preflight.check_root()
        with self._locked(say):
            lifecycle.tidy(self.layout)
            remove_tree(self.layout.state)
            if purge:
                purge_cache(say)

    def status(self) -> LabStatus:
        """What the board says, or that there is none."""
        preflight.check_root()
        pid = process.board_pid(self.layout)
        if pid is None or not self.layout.control_socket.exists():
            return LabStatus(self.layout.name, None, is_direct=False, nodes=())
        seen = self._ask({"do": "status"})
        nodes = tuple(NodeStatus(name, seen["power"][name], seen["running"][name]) for name in NODES)
        return LabStatus(self.layout.name, pid, seen["direct"], nodes)

    def power(self, name: str, *, on: bool) -> None:
        """Give the port of a node power, or cut it; returns when that is done, not when the node booted."""
        self._check_up()
        self._ask({"do": "power", "node": check_node(name), "on": on})

    def reset(self, name: str | None = None, *, bare: bool = True, say: Say = _keep_silent) -> None:
        """Make one node (None: all) anew, as with a newly flashed card, and wait for its sshd.

        When all are made anew, Docker Hub forgets what was pushed to it. With bare=False they become what
        the saved green cluster has; LabError when nothing is saved.
        """
        chosen = NODES if name is None else (check_node(name),)
        self._check_up()
        with self._locked(say):
            # Not the base of this version of the code, but that of the lab which runs.
            base, images = Base(Path(self._ask({"do": "status"})["base"])), ensure_images(say)
            ready = None if bare else self._saved(base, images)
            if name is None:
                self._renew_all(images, ready)
            for one in chosen:
                say(f"{one}: making its card anew, {'as newly flashed' if bare else 'as documented'}")
                ground = lifecycle.new_ground(base, one, ready)
                question = {"do": "renew", "node": one, "base": ground.base, "layers": list(ground.layers)}
                self._ask(question, _RENEW_SECONDS)
            lifecycle.write_known_hosts(self.layout)
            lifecycle.await_booted(self.layout, chosen)
            if ready:
                lifecycle.await_tasks(self.layout)

    def _saved(self, base: Base, images: Images) -> Ready:
        ready = cached_ready(base, images)
        if not ready.is_usable():
            raise LabError(
                "No green cluster of this version is saved: `hatcheck lab down` and `hatcheck lab up` make one, "
                "`hatcheck lab reset --bare` makes bare nodes."
            )
        return ready

    def _renew_all(self, images: Images, ready: Ready | None) -> None:
        """Cut all power, so that no new node meets an old one, and have Docker Hub as it was when saved."""
        for one in reversed(NODES):
            self._ask({"do": "power", "node": one, "on": False})
        stores = lifecycle.stores(images, ready)
        self._ask({"do": "renew docker hub", "stores": [str(store) for store in stores]})
        lifecycle.note_stores(self.layout, stores)
        await_hub(self.layout)

    def docker_hub(self, *, on: bool) -> None:
        """Have the lab's Docker Hub answer, or not; what it holds stays."""
        self._check_up()
        self._ask({"do": "docker hub", "on": on})
        if on:
            await_hub(self.layout)

    def exec(
        self, name: str, argv: Sequence[str], *, stdin: bytes | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `argv` as root in a node, out of band (no ssh, no network); the exit code is the caller's.

        Raises LabError when the node does not run or `timeout` seconds have passed.
        """
        preflight.check_root()
        return node.execute(self.layout, check_node(name), argv, stdin, timeout)

    def enter(self, name: str, argv: Sequence[str]) -> int:
        """Run `argv` as root in a node on our own stdin, stdout and stderr; return its exit code."""
        preflight.check_root()
        pid = node.leader_of(self.layout, check_node(name))
        if pid is None:
            raise LabError(f"{name} does not run, so `{argv[0]}` cannot be run in it.")
        return subprocess.call(node.enter_argv(pid, cgroups.groups_of(pid), argv))

    def access(self) -> Access:
        """How to log in; LabError when the lab is not up."""
        self._check_up()
        return Access(
            address=self.layout.wire.controller,
            port=22,
            user=USER,
            password=self.layout.password.read_text().strip(),
            known_hosts=self.layout.known_hosts,
            is_direct=self.status().is_direct,
        )

    def _check_up(self) -> None:
        if not self.status().is_up:
            raise LabError(f"Lab {self.layout.name} is not up; `hatcheck lab up` starts it.")

    def _locked(self, say: Say) -> AbstractContextManager[None]:
        RUNTIME_HOME.mkdir(parents=True, exist_ok=True)
        return locked(RUNTIME_HOME, say)

    def _ask(self, question: Message, timeout: float = 60.0) -> Message:
        return ask(self.layout.control_socket, question, timeout)
