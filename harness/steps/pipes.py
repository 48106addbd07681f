"""Step `pipes`: a web container's requests reach its node through three named pipes, once each (runbook L530-640)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.step import LookFrom
from harness.steps.boot_scripts import PIPES
from harness.steps.pipes_container import judge_containers, judge_live
from harness.steps.pipes_listeners import judge_kind, judge_listeners, judge_strays
from harness.steps.pipes_places import judge_folders, judge_pipe
from harness.steps.pipes_state import State, is_web, look

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.node import NodeAccess

__all__ = ["LOOK_FROM", "NEEDS", "State", "judge", "observe"]
NEEDS = ("stack",)
LOOK_FROM: LookFrom = "every node"


def observe(node: NodeAccess) -> State:
    """Look at folders, pipes and listeners; and where all is well with these, send requests from a container."""
    return look(node)


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Each machine by itself, in the order in which a repair has to go."""
    for name, state in seen.items():
        if not is_web(name, cluster):
            yield from judge_strays(name, state.strays)
            continue
        checks = list(_judge_node(name, state, cluster))
        yield from checks
        is_well = all(check.holds for check in checks if check.level == "must")
        yield from judge_kind(name, state, cluster, is_well=is_well)


def _judge_node(name: str, state: State, cluster: Cluster) -> Iterator[Check]:
    folders = list(judge_folders(name, state, cluster))
    yield from folders
    for pipe in PIPES:
        yield from judge_pipe(name, pipe, state, cluster)
        yield from judge_listeners(name, pipe, state, cluster)
    yield from judge_containers(name, state, cluster)
    # Wrong folders explain a silence, so it is no finding of its own.
    if all(check.holds for check in folders if check.level == "must"):
        yield from judge_live(name, state, cluster)
