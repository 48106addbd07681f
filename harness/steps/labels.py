"""Step `labels`: each member of the swarm carries the label that places the services (runbook L394-406)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.model import Check
from harness.step import LookFrom, expect
from harness.steps.swarm_members import READY, Member, list_members

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("swarm",)
LOOK_FROM: LookFrom = "controller"


@dataclass(frozen=True)
class State:
    """The members of the swarm with their labels."""

    members: tuple[Member, ...]


def observe(node: NodeAccess) -> State:
    """Ask the manager."""
    return State(list_members(node))


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Each machine's label, and that nobody else carries it; other labels are no business of ours."""
    hub = cluster.controller.name
    if hub not in seen:
        return
    members = seen[hub].members
    for name in cluster.names:
        yield _judge_label(name, [one for one in members if one.hostname == name], cluster)
    yield _judge_strangers([one for one in members if not _is_ours(one, cluster)], cluster)


def _is_ours(member: Member, cluster: Cluster) -> bool:
    """By its name, or by its address: `swarm` says that a machine goes by another name there, and its tasks live on."""
    is_here = member.address in {str(cluster.address(name)) for name in cluster.names}
    return member.hostname in cluster.names or (member.state == READY and is_here)


def _judge_label(name: str, entries: list[Member], cluster: Cluster) -> Check:
    """By ID: a name can stand there twice, and then `swarm` says so; the living one counts."""
    label, want = cluster.swarm.label, cluster.label_of(name)
    living = [one for one in entries if one.state != "down"] or entries
    found = sorted({one.labels.get(label, "none") for one in living})
    fix = tuple(_set(cluster, name, one.id, want) for one in living if one.labels.get(label) != want)
    return expect(
        name, f"label {label}", want=want or "none", seen=" and ".join(found) or "not in the swarm", fix=fix,
        by_hand=f"{name} must be in the swarm first",
    )  # fmt: skip


def _judge_strangers(strangers: list[Member], cluster: Cluster) -> Check:
    label = cluster.swarm.label
    labelled = [one for one in strangers if label in one.labels]
    return expect(
        cluster.controller.name, f"label {label} on others", want="none",
        seen=", ".join(f"{one.labels[label]} on {one.hostname}" for one in labelled) or "none",
        fix=tuple(_set(cluster, one.hostname, one.id, None) for one in labelled),
    )  # fmt: skip


def _set(cluster: Cluster, name: str, number: str, value: str | None) -> Run:
    label = cluster.swarm.label
    change = ("--label-rm", label) if value is None else ("--label-add", f"{label}={value}")
    why = f"take label {label} off {name}" if value is None else f"place {value} on {name}"
    return Run(cluster.controller.name, ("docker", "node", "update", *change, number), why)
