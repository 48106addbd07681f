"""Step `web`: the site answers at every published address, with one build, and lets its users in (runbook L520-524)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.ipvs import QUESTION, ingress_obstacle
from harness.step import LookFrom
from harness.steps.web_containers import running
from harness.steps.web_judge import judge_builds, judge_machine, judge_mesh, judge_presence, judge_service, judge_trial
from harness.steps.web_look import HOST, Inside, Published, Service, look_inside, observe_service
from harness.steps.web_source import source_build
from harness.steps.web_visit import Trial, Visit, try_first, visit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.node import NodeAccess

NEEDS = ("replicas",)
LOOK_FROM: LookFrom = "every node"


@dataclass(frozen=True)
class State:
    """The site on one machine.

    `tasks` are the containers that run it here, `inside` what they gave when asked from inside, `visits` what a
    visitor met at this machine's published addresses. Of the controller: `service` (None: there is none), the build
    of the `source`, the `obstacle` that keeps the swarm's routing mesh from working (empty: none), and the `trial` of
    the logins (None: no address has a form).
    """

    tasks: tuple[str, ...]
    service: Service | None = None
    source: str = ""
    obstacle: str = ""
    trial: Trial | None = None
    inside: tuple[Inside, ...] = ()
    visits: tuple[Visit, ...] = ()


def observe(node: NodeAccess) -> State:
    """Who runs it here; the controller also says how it is published, and tries the logins for all."""
    tasks = running(node, node.cluster.web_service)
    if not node.is_controller:
        return State(tasks)
    obstacle = ingress_obstacle(node.ask(QUESTION, root=True))
    service, source = observe_service(node), source_build(node.cluster)
    if service is None:
        return State(tasks, None, source, obstacle)
    places = [
        (name, one)
        for name in node.cluster.names
        if name in service.machines
        for one in _to_visit(name, service, obstacle, node.cluster)
    ]
    trial = try_first(node, places, service.fresh)
    # The others are waited for as long as there is time left now.
    left = observe_service(node) if service.fresh else service
    return State(tasks, left, source, obstacle, trial)


def look_again(node: NodeAccess, seen: Mapping[str, State]) -> State:
    """Visit this machine's addresses from the controller's side, and ask its tasks from inside."""
    state, hub = seen[node.name], node.cluster.controller.name
    if hub not in seen:
        raise ObservationError(
            f"{node.name}: only {hub} knows how the site is published, and it gave no answer", via=hub
        )
    said = seen[hub]
    ports = [] if said.service is None else _to_visit(node.name, said.service, said.obstacle, node.cluster)
    fresh = said.service.fresh if said.service else 0
    may = said.trial is not None and said.trial.visit.is_let_in
    visits = tuple(visit(node, node.name, one, fresh, may_sign_in=may) for one in ports)
    return replace(state, visits=visits, inside=tuple(look_inside(node, number) for number in state.tasks))


def _to_visit(name: str, service: Service, obstacle: str, cluster: Cluster) -> list[Published]:
    """The ports at which a machine has to answer: where a task must run, or everywhere where the mesh carries it."""
    is_hub = name == cluster.controller.name
    meshed = [one for one in service.ports if one.mode != HOST and not (is_hub and obstacle)]
    own = [one for one in service.ports if one.mode == HOST and cluster.label_of(name) == "web"]
    return [*own, *meshed]


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """The service, then each machine, then all builds side by side."""
    hub = cluster.controller.name
    if hub not in seen:
        return  # what looked at it says why
    said = seen[hub]
    yield judge_service(hub, said.service, cluster)
    yield judge_presence(hub, seen, cluster)
    if said.service and said.service.ports:
        yield from judge_mesh(hub, said.service, said.obstacle, cluster)
        yield from judge_trial(hub, said.trial, cluster)
    for name, state in seen.items():
        yield from judge_machine(name, state.tasks, state.inside, state.visits, said, cluster)
    yield judge_builds(hub, {name: (state.inside, state.visits) for name, state in seen.items()})
