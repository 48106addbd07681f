"""Step `visualizer`: the page of who runs what is there for tests only, else its port is closed (runbook L515-528)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import ObservationError
from harness.model import Check
from harness.parse.image_name import same_image
from harness.parse.ipvs import QUESTION, ingress_obstacle
from harness.parse.services import machine, tasks
from harness.parse.task_reason import why
from harness.step import LookFrom, expect
from harness.steps import visualizer_fixes as fixes
from harness.steps.swarm_paths import CONNECT, OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.inventory_stack import Visualizer
    from harness.node import NodeAccess

NEEDS = ("swarm",)
LOOK_FROM: LookFrom = "every node"
TIMED_OUT = 124
LOOPBACK = ("127.", "[::1]")
LISTENERS = "ss -H -l -n -t -p %s"
# It is a program of JavaScript that starts slowly: asked until it answers, with an end.
FETCH = "python3 -c %s %s %s"
PATIENCE = 15
FETCHER = """
import sys, time, urllib.error, urllib.request
said, end = "", time.monotonic() + int(sys.argv[2])
while time.monotonic() < end:
    try:
        print(urllib.request.urlopen(sys.argv[1], timeout=5).status)
        break
    except urllib.error.HTTPError as error:
        said = str(error.code)
    except (OSError, ValueError) as error:
        said = type(error).__name__
    time.sleep(0.5)
else:
    print("no page: " + said)
"""


@dataclass(frozen=True)
class Shown:
    """The service as the manager has it; `trouble` is why it does not run (empty: it does)."""

    id: str
    image: str
    trouble: str


@dataclass(frozen=True)
class State:
    """Whether the port is open on this machine, who listens there, and what a page of the visualizer gives from here.

    `page` is a status of HTTP, empty where none is wanted. The controller knows the service and whether a routing
    mesh is possible; None and empty on nodes.
    """

    is_open: bool
    listeners: str
    page: str
    service: Shown | None = None
    obstacle: str = ""


def observe(node: NodeAccess) -> State:
    """Knock at the port, on the machine itself; and ask the manager."""
    cluster, wanted = node.cluster, node.cluster.visualizer
    # The service first: one that is starting is waited for by the page.
    service = _service(node, wanted) if node.is_controller else None
    page = ""
    if wanted.enabled and (service or not node.is_controller):
        node.say(f"{node.name}: asking for the page of {wanted.service}, for up to {PATIENCE} s")
        page = node.ask(FETCH, FETCHER, f"http://{cluster.controller.address}:{wanted.port}/", str(PATIENCE)).strip()
    # A socket on another address than the cluster's is open to others; a routing mesh needs no socket.
    listeners = others(node.ask(LISTENERS, f"sport = :{wanted.port}", root=True))
    is_open = bool(listeners) or _is_connected(node, wanted.port)
    obstacle = ingress_obstacle(node.ask(QUESTION, root=True)) if node.is_controller else ""
    return State(is_open, " ".join(listeners.split())[:200], page, service, obstacle)


def others(text: str) -> str:
    """The lines of `ss -H -l -n -t` whose address is not that of the machine itself alone."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(line for line in lines if not (*line.split(), "", "", "", "")[3].startswith(LOOPBACK))


def _is_connected(node: NodeAccess, port: int) -> bool:
    code = node.run(CONNECT, OPEN, str(node.cluster.address(node.name)), str(port))[0]
    if code == TIMED_OUT:
        raise ObservationError(f"{node.name}: nobody can say whether port {port} is open: silence")
    return code == 0


def _service(node: NodeAccess, wanted: Visualizer) -> Shown | None:
    api = node.docker().api
    found = api.services(filters={"name": wanted.service}, status=True)  # type: ignore[no-untyped-call]
    entry = next((one for one in found if one["Spec"]["Name"] == wanted.service), None)
    return None if entry is None else Shown(entry["ID"], fixes.image_of(entry), _trouble(api, entry))


def _trouble(api: Any, entry: dict[str, Any]) -> str:  # noqa: ANN401 - docker-py has no types of its own
    names = {one.candidate.id: one.name for one in map(machine, api.nodes())}
    seen = tasks(entry, api.tasks(filters={"service": [entry["ID"]]}), names, "")
    if any(task.runs for task in seen.tasks):
        return ""
    return next((why(task) for task in seen.latest()), "no task")


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """As the inventory says: running and reachable, or gone with its port."""
    hub, wanted = cluster.controller.name, cluster.visualizer
    if hub not in seen:
        return
    own = seen[hub]
    if wanted.enabled:
        yield from _judge_shown(own, cluster)
    else:
        yield _judge_gone(own, cluster)
    for name, state in seen.items():
        yield _judge_page(name, state, own, cluster) if wanted.enabled else _judge_port(name, state, own, cluster)


def _judge_gone(own: State, cluster: Cluster) -> Check:
    wanted = cluster.visualizer
    fix = fixes.remove(own.service.id, own.service.image, cluster) if own.service else ()
    return expect(
        cluster.controller.name, f"service {wanted.service}", want="none",
        seen=own.service.image if own.service else "none", fix=fix,
        by_hand="it has that name and another image, so it may be somebody's work: "
        f"`docker service rm {wanted.service}` if not, or another name in the inventory (visualizer.service)",
    )  # fmt: skip


def _judge_port(name: str, state: State, own: State, cluster: Cluster) -> Check:
    """Closed to others, unless the stack itself has that port."""
    port = cluster.visualizer.port
    of_stack = any(
        one.published == port for service in cluster.stack.content.compose.services.values() for one in service.ports
    )
    if of_stack:
        return expect(name, f"port {port}", want="of the stack", seen="of the stack")
    fix = fixes.remove(own.service.id, own.service.image, cluster) if own.service else ()
    return expect(
        name, f"port {port}", want="closed", seen=f"open: {state.listeners or 'nobody says who'}" if state.is_open
        else "closed", fix=fix, by_hand=f"`docker ps --filter publish={port}` or `sudo ss -lntp` on {name} shows who; "
        "if it is no visualizer, give visualizer.port another number",
    )  # fmt: skip


def _judge_shown(own: State, cluster: Cluster) -> Iterator[Check]:
    hub, wanted, service = cluster.controller.name, cluster.visualizer, own.service
    start = fixes.start(own.obstacle, cluster)
    yield expect(hub, f"service {wanted.service}", want="yes", seen="yes" if service else "no", fix=start)
    if service is None:
        return
    yield Check(
        hub, f"image of {wanted.service}", wanted.image, service.image.partition("@")[0],
        same_image(wanted.image, service.image), by_hand=f"`docker service rm {wanted.service}`, then repair again",
    )  # fmt: skip
    yield expect(hub, f"{wanted.service} runs", want="yes", seen=service.trouble or "yes", fix=fixes.settle(cluster))


def _judge_page(name: str, state: State, own: State, cluster: Cluster) -> Check:
    """From everywhere, at the controller's address: in host mode it is nowhere else."""
    fix = fixes.settle(cluster) if own.service else fixes.start(own.obstacle, cluster)
    hub = cluster.controller.address
    aspect = f"page at {hub}:{cluster.visualizer.port}"
    return expect(name, aspect, want="200", seen=state.page or "no service", fix=fix)
