"""Part of step `pipes`: what one look sees on one machine, and how it is asked."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness import probe_pipes
from harness.errors import ObservationError
from harness.node import File
from harness.steps.boot_interpreters import observe_absent
from harness.steps.boot_scripts import PIPES, script_of, volume_of
from harness.steps.pipes_hardened import PROGRAM, UNIT

if TYPE_CHECKING:
    from harness.inventory import Cluster
    from harness.node import NodeAccess

BASH, PYTHON, RESULTS = FOLDERS = ("repoBashScripts", "repoPythonScripts", "repoOutputResults")
PROBE = "timeout -k 1 %s python3 -B -c %s %s"
LONGEST_JOB = 600.0  # seconds; the application's own bound is half of that


@dataclass(frozen=True)
class Entry:
    """What has a name in the file system: pipe, file, folder, link or device; permission bits, "user:group", bytes."""

    kind: str
    mode: int
    owner: str
    size: int

    def __str__(self) -> str:
        return f"a {self.kind}, mode {self.mode:o}, owner {self.owner}"


@dataclass(frozen=True)
class Listener:
    """One that listens on a pipe; `name` and `members` are "pid:ticks", which name a process for good.

    `kind` is documented (the shell loop), hardened (the Python one), orphan (the cat of a loop that is gone), reader
    (cat or tail of somebody else) or holder.
    `job` is what it is busy with, for `busy` seconds.
    """

    name: str
    user: str
    words: str
    kind: str
    is_stopped: bool
    members: tuple[str, ...]
    job: str = ""
    busy: int = 0


@dataclass(frozen=True)
class Live:
    """How often each request from the container came back: four of two writers at once, then one; or what failed."""

    error: str
    writers: tuple[int, ...]
    last: int


@dataclass(frozen=True)
class Pipe:
    """A pipe, None where nothing has its name; `live` is None where no request was tried."""

    entry: Entry | None
    is_heard: bool
    listeners: tuple[Listener, ...]
    live: Live | None = None


@dataclass(frozen=True)
class Container:
    """A running container that has the shared folder; `foreign` is what it sees that is not the node's ("": all)."""

    id: str
    service: str
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """The pipes of one machine. `entries` maps the folders ("": the shared one) to what is there; `files` are scripts.

    `absent` are the programs that are to run one of these, and are not there.
    On a machine without web tasks only `listeners` is filled.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    pipes: dict[str, Pipe] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()
    files: dict[str, File] = field(default_factory=dict)
    strays: dict[str, tuple[Listener, ...]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()


def is_web(name: str, cluster: Cluster) -> bool:
    """Whether the stack places web tasks on a machine (runbook L394-406)."""
    return cluster.label_of(name) == "web"


def look(node: NodeAccess) -> State:
    """Everything of one machine, in few questions."""
    cluster = node.cluster
    if not is_web(node.name, cluster):
        found = _probe(node, [])
        return State(strays={name: _listeners(ones) for name, ones in found.items()})
    containers = _containers(node)
    found = _probe(node, containers)
    pipes = {name: _pipe(found["pipes"][name], found["live"].get(name)) for name in PIPES}
    _refuse_busy(node.name, pipes)
    paths = [script_of(pipe, cluster) for pipe in PIPES]
    files = node.files(*paths, PROGRAM, UNIT)
    return State(
        {name: Entry(**one) for name, one in found["entries"].items()}, pipes,
        tuple(Container(one["id"], one["service"], tuple(found["foreign"][one["id"]])) for one in containers),
        files, absent=observe_absent(node, [files[path] for path in paths if path in files]),
    )  # fmt: skip


def _probe(node: NodeAccess, containers: list[dict[str, Any]]) -> Any:  # noqa: ANN401 - JSON
    limit = node.cluster.ssh.limit
    order = {
        "volume": volume_of(node.cluster), "folders": FOLDERS, "pipes": PIPES, "containers": containers,
        "limit": limit / 2, "is_web": is_web(node.name, node.cluster),
    }  # fmt: skip
    said = node.ask(PROBE, f"{limit * 0.9:.1f}", inspect.getsource(probe_pipes), json.dumps(order), root=True)
    return json.loads(said)


def _containers(node: NodeAccess) -> list[dict[str, Any]]:
    """The running containers that have the shared folder, and where."""
    api, volume = node.docker().api, volume_of(node.cluster)
    found = []
    for one in api.containers():
        for mount in one["Mounts"]:
            if mount.get("Source") == volume:
                pid = api.inspect_container(one["Id"])["State"]["Pid"]
                service = one["Labels"].get("com.docker.swarm.service.name", "")
                found.append(
                    {"id": one["Id"], "pid": str(pid), "service": service, "destination": mount["Destination"]}
                )
    # The site's own task is the one to be tried, and not one that somebody started by hand.
    return sorted(found, key=lambda one: bool(one["service"] != node.cluster.web_service))


def _pipe(found: dict[str, Any], live: dict[str, Any] | None) -> Pipe:
    entry = found["entry"]
    came = Live(live["error"], tuple(live["writers"]), live["last"]) if live else None
    return Pipe(Entry(**entry) if entry else None, found["is_heard"], _listeners(found["listeners"]), came)


def _listeners(found: list[dict[str, Any]]) -> tuple[Listener, ...]:
    return tuple(Listener(**{**one, "members": tuple(one["members"])}) for one in found)


def _refuse_busy(node: str, pipes: dict[str, Pipe]) -> None:
    """Whether it listens cannot be told of one that is at work; unless it never ends."""
    for name, pipe in pipes.items():
        if len(pipe.listeners) == 1 and pipe.listeners[0].job and pipe.listeners[0].busy < LONGEST_JOB:
            (one,) = pipe.listeners
            since = f"is at work since {one.busy} s (`{one.job[:80]}`)"
            raise ObservationError(f"{node}: the listener of {name} {since}: look again when it is done")
