"""Part of step `system`: the nodes' clocks agree with the controller's; pure.

Docker's certificates, apt and the logs go by the clock, and a Pi has none that runs without power.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Run
from harness.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.parse.clock import Reading

# All in milliseconds.
TOLERANCE = 2_000
# Between the controller and who asks there is no rule; beyond this, one of the two has no idea of the time.
FAR = 60_000
DAY = 86_400_000


def judge_clocks(clocks: Mapping[str, Reading], cluster: Cluster) -> Iterator[Check]:
    """Each node against the controller, by readings that were all taken against one clock of ours.

    The doubt of a reading (half the time of its question) counts for the node, never against it.
    """
    hub = clocks.get(cluster.controller.name)
    if hub is None:
        return  # nothing to compare with, and the controller's own outcome says why
    yield _judge_controller(cluster.controller.name, hub)
    for node in cluster.nodes:
        if node.name in clocks:
            yield _judge_node(node.name, clocks[node.name], cluster.controller.name, hub)


def _judge_node(name: str, clock: Reading, controller: str, hub: Reading) -> Check:
    ahead, doubt = clock.ahead - hub.ahead, clock.doubt + hub.doubt
    holds = abs(ahead) - doubt <= TOLERANCE
    is_hub_sane = abs(hub.ahead) - hub.doubt <= FAR
    fix = (_step(name, ahead),) if is_hub_sane else ()
    by_hand = "" if fix else f"set the clock of {controller} first: it is {_words(hub.ahead, hub.doubt)} of ours"
    want = f"within {TOLERANCE // 1000} s of {controller}"
    return Check(name, "clock", want, want if holds else _words(ahead, doubt), holds, "must", fix, by_hand)


def _judge_controller(name: str, hub: Reading) -> Check:
    holds = abs(hub.ahead) - hub.doubt <= FAR
    want = f"within {FAR // 1000} s of the machine that asks"
    seen = want if holds else _words(hub.ahead, hub.doubt)
    return Check(name, "clock", want, seen, holds, "advice", (_step(name, hub.ahead),))


def _step(name: str, ahead: int) -> Run:
    """By a difference, not to a time: so it is right however long the repair takes to come to it."""
    return Run(name, ("date", f"--set={-round(ahead / 1000):+d} seconds"), "step the clock")


def _words(ahead: int, doubt: int) -> str:
    side = "ahead" if ahead > 0 else "behind"
    size = f"{abs(ahead) / 1000:.1f} s" if abs(ahead) < DAY else f"{abs(ahead) / DAY:.1f} days"
    return f"{size} {side} (give or take {doubt / 1000:.1f} s)"
