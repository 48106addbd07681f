"""Step `stack`: the services are as the file of the stack says, and find the folders they mount (runbook L408-491)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.model import Check
from harness.parse.ipvs import QUESTION, ingress_obstacle
from harness.step import LookFrom, expect
from harness.steps.stack_fixes import deploy, wanted_stack
from harness.steps.stack_look import Manager, look_at_manager, outdated
from harness.steps.stack_services import judge_services, machines_of
from harness.steps.stack_sources import SOURCES, judge_sources, kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("labels", "images")
LOOK_FROM: LookFrom = "every node"


@dataclass(frozen=True)
class State:
    """What services need of a machine, and of the controller, what its manager says of them.

    `sources` are the kinds of the paths that services mount (None: nothing there), `obstacle` is why this machine's
    kernel can carry no routing mesh (empty: it can). `outdated` are the services that run another image here than the
    one which has the name now.
    """

    sources: dict[str, str | None]
    obstacle: str
    manager: Manager | None = None
    outdated: tuple[str, ...] = ()


def observe(node: NodeAccess) -> State:
    """Look for the folders and for IP_VS, and ask the manager."""
    compose = node.cluster.stack.content.compose
    paths = sorted({path for service in compose.services.values() for path in service.paths})
    found = kinds(node.ask(SOURCES.command(paths), SOURCES.script, *paths, root=True), paths) if paths else {}
    obstacle = ingress_obstacle(node.ask(QUESTION, root=True))
    manager = look_at_manager(node) if node.is_controller else None
    return State(found, obstacle, manager, outdated(node))


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """The folders on each machine first, because the services need them; then the services, from the controller."""
    hub = cluster.controller.name
    manager = seen[hub].manager if hub in seen else None
    if manager is None:
        return  # what looked at it says why
    machines = machines_of(manager.machines, cluster)
    for name, state in seen.items():
        yield from judge_sources(name, state.sources, machines, cluster)
    obstacles = _obstacles(seen, manager, cluster)
    wanted = wanted_stack(obstacles, cluster)
    yield from judge_services(manager, wanted, machines, cluster)
    for name, state in seen.items():
        # Deployed again, a service is pinned to what the registry has under the name by then.
        yield expect(
            name, "tasks run the image that is here", want="yes",
            seen=f"not {', '.join(state.outdated)}" if state.outdated else "yes", fix=(deploy(wanted.mesh, cluster),),
        )  # fmt: skip
    yield _judge_mesh(obstacles, cluster)


def _obstacles(seen: Mapping[str, State], manager: Manager, cluster: Cluster) -> dict[str, str]:
    """Why there can be no mesh, by machine. One that is off may be the one: then what is deployed is left as it is."""
    found = {name: state.obstacle for name, state in seen.items() if state.obstacle}
    silent = [name for name in cluster.names if name not in seen]
    needs_none = bool(manager.services) and all(one.endpoint == "dnsrr" for one in manager.services)
    if found or not silent or not needs_none:
        return found
    return dict.fromkeys(silent, "nobody answers, and what is deployed was made for machines without a mesh")


def _judge_mesh(obstacles: Mapping[str, str], cluster: Cluster) -> Check:
    """Said aloud where it cannot be, so that nobody takes silence for a mesh that was looked at."""
    where = ", ".join(obstacles)
    why = next(iter(obstacles.values()), "")
    return expect(
        cluster.controller.name, "ports in ingress mode", want="possible everywhere",
        seen=f"skipped, ports are published in host mode: {where}: {why}" if obstacles else "possible everywhere",
        level="advice",
        by_hand="a kernel with CONFIG_IP_VS; till then a port answers on the machines that run a task, and no others",
    )  # fmt: skip
