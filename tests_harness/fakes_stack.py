"""The documented stack as its manager shows it when all is well, to be damaged one fault at a time."""

from __future__ import annotations

from typing import Any

from harness.parse.compose_parts import Mount, Port
from harness.parse.placement import Candidate
from harness.parse.services import Machine, Task, Tasks
from harness.steps import replicas, stack, visualizer
from harness.steps.stack_look import Deployed, Manager
from tests_harness.fakes import documented_cluster

CLUSTER = documented_cluster()
HUB = CLUSTER.controller.name
NODES = tuple(node.name for node in CLUSTER.nodes)
SHARED, DATA = "/home/pi/webVolume", "/var/lib/mysql_volume_app"
NO_MESH = "its kernel has no IP_VS"
NOW = 1_800_000_000_000
DIGEST = f"sha256:{'5e' * 32}"


def machine(name: str, state: str = "ready", availability: str = "active", **labels: str) -> Machine:
    """A machine of the runbook as the scheduler sees it."""
    is_hub = name == HUB
    own = labels or {"service": "sql" if is_hub else "web"}
    role = "manager" if is_hub else "worker"
    return Machine(Candidate(name, role, f"id-{name}", "linux", "armv6l", own), state, availability)


MACHINES = tuple(machine(name) for name in sorted(CLUSTER.names))
WEB = Deployed(
    "serviceweb", "id-web", f"wzehren/phpsae:latest@{DIGEST}", 4, 0, ("node.labels.service == web",), "vip",
    (Port(target=80, published=80),), (Mount(source=SHARED, target="/hostpipe"),), (), True, (), "", "",  # noqa: FBT003
)  # fmt: skip
DATABASE = Deployed(
    "servicebd", "id-bd", f"wzehren/mysqlsae:latest@{DIGEST}", 1, 0, ("node.labels.service==sql",), "vip",
    (Port(target=3306, published=3306),), (Mount(source=DATA, target="/var/lib/mysql"),), (), True, (), "", "",  # noqa: FBT003
)  # fmt: skip


def good_stack(*services: Deployed, obstacle: str = "") -> dict[str, stack.State]:
    """Every folder is there, and the manager has both services (or these)."""
    manager = Manager(MACHINES, services or (DATABASE, WEB))
    sources: dict[str, str | None] = {SHARED: "directory", DATA: "directory"}
    found = {name: stack.State(dict(sources), obstacle) for name in NODES}
    return {HUB: stack.State(dict(sources), obstacle, manager), **found}


def task(slot: int, node: str, state: str = "running", **changed: Any) -> Task:  # noqa: ANN401 - any field of a task
    """A task that has been running for an hour; another state is one that shall run, and does not."""
    plain: dict[str, Any] = {
        "id": f"{slot}-{node}-{state}", "slot": str(slot), "node": node, "state": state, "desired": "running",
        "since": NOW - 3_600_000, "created": NOW - 3_601_000, "error": "", "exit_code": 0, "is_current": True,
    }  # fmt: skip
    return Task(**{**plain, **changed})


def died(slot: int, node: str, ago: int, error: str = "task: non-zero exit (1)", **changed: Any) -> Task:  # noqa: ANN401
    """A task that failed so many seconds ago."""
    plain = {
        "since": NOW - ago * 1000,
        "created": NOW - ago * 1000 - 2000,
        "error": error,
        "exit_code": 1,
        "desired": "shutdown",
    }
    state = changed.pop("state", "failed")
    return task(slot, node, state, id=f"{slot}-died-{ago}", **{**plain, **changed})


def web(*tasks: Task, wanted: int = 4, update: str = "") -> Tasks:
    """The web service; one task on each node where none are given."""
    found = tasks or tuple(task(number, name) for number, name in enumerate(NODES, 1))
    return Tasks("serviceweb", "id-web", wanted, update, found)


BASE = Tasks("servicebd", "id-bd", 1, "", (task(1, HUB),))


def good_replicas(*services: Tasks, machines: tuple[Machine, ...] = MACHINES) -> dict[str, replicas.State]:
    """One web task on each node, and the database's on the controller."""
    return {HUB: replicas.State(NOW, machines, services or (BASE, web()))}


def good_visualizer(service: visualizer.Shown | None = None, page: str = "") -> dict[str, visualizer.State]:
    """The port is closed everywhere, and there is no such service; or this one, with its page."""
    is_open = service is not None
    nodes = {name: visualizer.State(False, "", page) for name in NODES}  # noqa: FBT003
    return {HUB: visualizer.State(is_open, "LISTEN docker-proxy" if is_open else "", page, service), **nodes}
