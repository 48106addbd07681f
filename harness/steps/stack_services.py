"""Part of step `stack`: each service of the file, as the manager has it (runbook L468-491); pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.model import Check
from harness.parse.image_name import same_image
from harness.parse.placement import Candidate, constraint
from harness.parse.services import Machine
from harness.step import expect
from harness.steps.stack_fixes import deploy
from harness.steps.stack_sources import may_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.parse.compose import Service
    from harness.steps.stack_fixes import Wanted
    from harness.steps.stack_look import Deployed, Manager

AS_WRITTEN = "as in the file"
STUCK = {
    "paused": "paused", "rollback_paused": "rolled back, and that is paused, too",
    "rollback_completed": "rolled back to what it was before",
}  # fmt: skip
DATABASE_PORTS = {3306, 33060}


def machines_of(found: Sequence[Machine], cluster: Cluster) -> tuple[Machine, ...]:
    """The machines of the inventory as the scheduler sees them, each once; with the label that each shall carry.

    Whether it really carries that is said by step `labels`; a machine that lost it is still one that shall run a task.
    """
    return tuple(_machine(name, [one for one in found if one.name == name], cluster) for name in cluster.names)


def _machine(name: str, entries: list[Machine], cluster: Cluster) -> Machine:
    living = next((one for one in entries if one.state == "ready"), entries[-1] if entries else None)
    role = "manager" if name == cluster.controller.name else "worker"
    plain = Machine(Candidate(name, role), "not in the swarm", "")
    found, label = living or plain, cluster.label_of(name)
    own = {cluster.swarm.label: label} if label else {}
    others = {key: value for key, value in found.candidate.labels.items() if key != cluster.swarm.label}
    return replace(found, candidate=replace(found.candidate, labels={**others, **own}))


def judge_services(manager: Manager, wanted: Wanted, machines: Sequence[Machine], cluster: Cluster) -> Iterator[Check]:
    """All services of the file, and that the stack has no others."""
    hub, fix = cluster.controller.name, (deploy(wanted.mesh, cluster),)
    found = {one.name: one for one in manager.services}
    for name, service in wanted.compose.services.items():
        yield expect(hub, f"{name} is deployed", want="yes", seen="yes" if name in found else "no", fix=fix)
        yield _judge_place(hub, name, service, machines)
        if name in found:
            yield from _judge_service(hub, service, found[name], fix)
        yield from _advise(hub, name, service)
    others = sorted(found.keys() - wanted.compose.services.keys())
    yield expect(
        hub, "other services in the stack", want="none", seen=", ".join(others) or "none", level="advice",
        by_hand=f"`docker service rm {cluster.stack.name}_NAME` for one that nobody needs any more",
    )  # fmt: skip


def _judge_place(hub: str, name: str, service: Service, machines: Sequence[Machine]) -> Check:
    names = may_run(service, machines)
    conditions = " and ".join(service.deploy.placement.constraints) or "none"
    return Check(
        hub, f"{name} may run somewhere", f"a machine with {conditions}", ", ".join(names) or "nobody", bool(names),
        by_hand="change the constraint in the file of the stack, or the labels in the inventory (swarm.placement)",
    )  # fmt: skip


def _judge_service(hub: str, want: Service, seen: Deployed, fix: tuple[Action, ...]) -> Iterator[Check]:
    name, deploys = seen.name, want.deploy
    replicas = None if want.is_global else deploys.replicas
    pairs = {
        "replicas": (_replicas(replicas), _replicas(seen.replicas)),
        "placement": (_placement(deploys.placement.constraints, deploys.placement.max_replicas_per_node),
                      _placement(seen.constraints, seen.per_node)),
        "published ports": (_listed(want.ports), _listed(seen.ports)),
        "name leads to": (deploys.endpoint_mode, seen.endpoint),
        "mounts": (_listed(want.volumes), _listed(seen.mounts)),
        "environment": (AS_WRITTEN, f"other: {', '.join(seen.environment)}" if seen.environment else AS_WRITTEN),
        "command": (AS_WRITTEN, AS_WRITTEN if seen.command else "another one"),
        "other settings": ("none", ", ".join(seen.settings) or "none"),
    }  # fmt: skip
    is_same = same_image(want.image, seen.image)
    yield Check(hub, f"{name} image", want.image, seen.image.partition("@")[0], is_same, fix=fix)
    for aspect, (wanted, found) in pairs.items():
        yield expect(hub, f"{name} {aspect}", want=wanted, seen=found, fix=fix)
    yield _judge_update(hub, seen, fix)


def _judge_update(hub: str, seen: Deployed, fix: tuple[Action, ...]) -> Check:
    """Deployed again, its update begins anew; where its cause is still there, it ends as before, and that is said."""
    state = STUCK.get(seen.update, "went through")
    told = f"{state}: {seen.message}" if seen.update in STUCK and seen.message else state
    return Check(hub, f"{seen.name} update", "went through", told, seen.update not in STUCK, fix=fix)


def _replicas(number: int | None) -> str:
    return "one on each machine" if number is None else str(number)


def _placement(constraints: Iterable[str], most: int) -> str:
    words = sorted(str(constraint(text)) for text in constraints)
    return ", ".join((*words, *((f"at most {most} on a machine",) if most else ()))) or "anywhere"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, values))) or "none"


def _advise(hub: str, name: str, service: Service) -> Iterator[Check]:
    """Where the documented file is weak itself; for its author to decide."""
    published = sorted({port.published for port in service.ports} & DATABASE_PORTS)
    rows = {
        "healthcheck": ("one", "one" if service.healthcheck else "none",
                        "`healthcheck:` in the file: else a task that hangs counts as one that runs"),
        "limits": ("some", "some" if service.deploy.limits else "none",
                   "`deploy.resources.limits.memory` in the file: else one task can take all of a Pi Zero's memory"),
        "passwords in the file": ("none", ", ".join(service.secrets_in_plain) or "none",
                                  "`docker secret create`, and NAME_FILE instead of NAME where the image knows that"),
        "database open to everybody": ("no", "no" if not published else f"port {published[0]} is published",
                                       "take it out of `ports`: the web service reaches it by its name"),
    }  # fmt: skip
    for aspect, (want, seen, by_hand) in rows.items():
        yield expect(hub, f"{name} {aspect}", want=want, seen=seen, level="advice", by_hand=by_hand)
