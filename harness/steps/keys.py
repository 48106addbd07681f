"""Step `keys`: controller and nodes log in to each other by key, each on the right machine (runbook L117, L161-176)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.step import LookFrom
from harness.steps.keys_login import all_work, judge_logins, log_in, obstacle
from harness.steps.keys_pair import judge_own, judge_pairs
from harness.steps.keys_sshd import judge_passwords, judge_sshd
from harness.steps.keys_state import State, look
from harness.steps.keys_trust import called, judge_authorized, judge_folder, judge_known, peers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.node import NodeAccess

__all__ = ["LOOK_FROM", "NEEDS", "State", "judge", "look_again", "observe"]
NEEDS = ("ssh_config",)
LOOK_FROM: LookFrom = "every node"


def observe(node: NodeAccess) -> State:
    """Read keys, rights, and what sshd would do; nobody logs in anywhere yet."""
    return look(node)


def look_again(node: NodeAccess, seen: Mapping[str, State]) -> State:
    """Log in from here to each peer where, by what all machines said, it has to work."""
    hub = node.cluster.controller.name
    if hub not in seen:
        raise ObservationError(f"{node.name}: nobody knows how it gets on with {hub}, which gave no answer", via=hub)
    targets = [peer for peer in peers(node.name, node.cluster) if peer in seen]
    sure = [target for target in targets if not obstacle(node.name, target, seen, node.cluster)]
    here, names = seen[node.name], tuple(called(target, node.cluster) for target in sure)
    return replace(here, logins=log_in(node, here.user, names))


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Each machine's own part; both logins between a node and the controller are judged under the node."""
    hub = cluster.controller.name
    for name, state in seen.items():
        yield from judge_folder(name, state)
        yield from judge_pairs(name, state)
        yield judge_own(name, seen)
        yield from judge_sshd(name, state)
        yield from judge_authorized(name, seen, cluster)
        yield from judge_known(name, seen, cluster)
        if name != hub and hub in seen:
            yield from judge_logins(name, seen, cluster)
        yield from judge_passwords(name, state, logins_work=all_work(name, seen, cluster))
