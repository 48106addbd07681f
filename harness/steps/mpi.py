"""Step `mpi`: jobs run over all machines and compute what they should (runbook L629-663)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.step import LookFrom
from harness.steps.mpi_installed import judge_installed, obstacle
from harness.steps.mpi_jobs import try_jobs
from harness.steps.mpi_live import judge_live
from harness.steps.mpi_pipe import try_through
from harness.steps.mpi_programs import judge_programs
from harness.steps.mpi_state import Live, State, look

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.node import NodeAccess

__all__ = ["LOOK_FROM", "NEEDS", "State", "judge", "look_again", "observe"]
NEEDS = ("keys",)
LOOK_FROM: LookFrom = "every node"


def observe(node: NodeAccess) -> State:
    """Ask what is installed, which names are known, and how the programs lie; no job is started yet."""
    return look(node)


def look_again(node: NodeAccess, seen: Mapping[str, State]) -> State:
    """Run the jobs from the controller, over the machines that answered, if by what all said they have to work."""
    state = seen[node.name]
    if not node.is_controller:
        return state
    why = obstacle(seen, node.cluster)
    return replace(state, live=Live(why) if why else try_through(node, try_jobs(node, tuple(seen))))


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Each machine's own part, then what the jobs showed."""
    for name, state in seen.items():
        yield from judge_installed(name, seen, cluster)
        yield from judge_programs(name, state.programs, cluster)
    hub = seen.get(cluster.controller.name)
    if hub and hub.live:
        yield from judge_live(hub.live, cluster)
