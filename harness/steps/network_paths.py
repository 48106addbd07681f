"""Part of step `network`: who reaches whom by ping, and whose fault it is where somebody does not; pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.model import Check
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from harness.inventory import Cluster

Reached = dict[str, bool]  # address to whether it answered, as seen from one machine
Pair = tuple[str, str]  # sender and target


def judge_paths(
    reached: Mapping[str, Reached], cluster: Cluster, first_jump: str, detours: Collection[Pair] = ()
) -> Iterator[Check]:
    """One check per machine: it reaches all others that could be looked at, and they reach it.

    A pair that fails is held against one machine only, so that one fault does not paint everything red: against
    the controller when no node reaches another, against the one of the two that has a wrong route to the other, against
    the sender when it reaches nobody, else the target. `detours` are the wrong routes, as sender and target.
    `first_jump` is the iptables chain where the controller's rule for br0 to br0 belongs.
    """
    names = [name for name in cluster.names if name in reached]
    broken = {(a, b) for a in names for b in names if a != b and not reached[a].get(str(cluster.address(b)), False)}
    controller = cluster.controller.name
    nodes = [name for name in names if name != controller]
    between = {(a, b) for a in nodes for b in nodes if a != b}
    reaches_all = not any(controller in pair for pair in broken)
    is_switch_dead = len(between) > 0 and between <= broken and controller in names and reaches_all
    if between and controller in names:
        bridge = cluster.controller.bridge
        rule = shlex.join((first_jump, "-i", bridge, "-o", bridge, "-j", "ACCEPT"))
        argv = ("sh", "-c", f"iptables -w -C {rule} 2>/dev/null || iptables -w -I {rule}")
        yield expect(
            controller, "nodes reach each other through it",
            want="yes", seen="no pair of them" if is_switch_dead else "yes",
            fix=(Run(controller, argv, "let frames pass from node to node"),),
        )  # fmt: skip
        broken -= between if is_switch_dead else set()
    for name in names if len(names) > 1 else ():
        yield _judge_machine(name, _held_against(name, broken, len(names), detours))


def _held_against(name: str, broken: set[Pair], count: int, detours: Collection[Pair]) -> list[str]:
    """The failing pairs that are this machine's fault, as "a to b"."""
    deaf = {a for a, _ in broken if sum(pair[0] == a for pair in broken) == count - 1}
    return [f"{a} to {b}" for a, b in sorted(broken) if _culprit((a, b), deaf, detours) == name]


def _culprit(pair: Pair, deaf: Collection[str], detours: Collection[Pair]) -> str:
    """Of a pair that fails. An answer must find its way, too: who cannot answer looks as if he were not there."""
    sender, target = pair
    if pair in detours:
        return sender
    if (target, sender) in detours:
        return target
    return sender if sender in deaf else target


def _judge_machine(name: str, faults: list[str]) -> Check:
    return expect(
        name, "ping to and from the others",
        want="every way", seen=f"not {', '.join(faults)}" if faults else "every way",
        by_hand="look at its routes (`ip route get ADDRESS`), for a firewall rule on it (`iptables -S`, `nft list "
        "ruleset`), then at its cable",
    )  # fmt: skip
