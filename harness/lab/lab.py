"""The lab as a whole: up, down, status, reset, power, exec, and how to log in."""

import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import LabError
from harness.lab import cgroups, lifecycle, node, preflight, process
from harness.lab.base import Base, Say, ensure_base, locked, purge_cache
from harness.lab.layout import (
    CLUSTER_NET,
    NODES,
    RUNTIME_HOME,
    USER,
    Layout,
    check_node,
    lab_layout,
)
from harness.lab.mounts import remove_tree
from harness.lab.wire import Message, ask


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
        """Have all five nodes run, with their sshd answering; at once when they do.

        What a crash left is tidied up first; the files of the nodes are kept. With `direct` the machine
        has an address in the cluster network, else it has no route to it. With bare=False the nodes
        stand on the saved `ready` layers. Raises LabError, before anything is touched, when the machine
        is not fit.
        """
        preflight.check_root()
        with self._locked(say):
            if not lifecycle.is_answering(self.layout):
                preflight.check_machine(self.layout, direct=direct)
                base = ensure_base(say)
                lifecycle.tidy(self.layout)
                lifecycle.make_nodes(self.layout, base, bare=bare, say=say)
                say("switching on the five nodes")
                lifecycle.start(self.layout, base)
            elif direct:
                preflight.check_addresses(self.layout, CLUSTER_NET)
            self._ask({"do": "direct", "on": direct})
            running = [seen.node for seen in self.status().nodes if seen.is_running]
            lifecycle.await_booted(self.layout, running)

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
        """Make one node (None: all) anew, as with a newly flashed card, and wait for its sshd."""
        chosen = NODES if name is None else (check_node(name),)
        self._check_up()
        with self._locked(say):
            # Not the base of this version of the code, but that of the lab which runs.
            base = Base(Path(self._ask({"do": "status"})["repository"]).parent)
            for one in chosen:
                say(f"making {one} anew")
                ground = lifecycle.ground_of(base, one, bare=bare)
                self._ask({"do": "renew", "node": one, "base": ground.base, "layers": list(ground.layers)})
            lifecycle.write_known_hosts(self.layout)
            lifecycle.await_booted(self.layout, chosen)

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

    def _ask(self, question: Message) -> Message:
        return ask(self.layout.control_socket, question)
