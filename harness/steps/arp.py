"""Step `arp`: each node's address belongs to its documented MAC, on the cluster's bridge (runbook L83-92)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.model import Check
from harness.parse import ip, pings
from harness.step import LookFrom, expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster, Node
    from harness.node import NodeAccess

NEEDS = ("network",)
LOOK_FROM: LookFrom = "controller"
# Entries that no traffic will ever correct: somebody typed them in.
FIXED = {"PERMANENT", "NOARP"}


@dataclass(frozen=True)
class State:
    """The controller's neighbour table right after a ping to every node, and who answered that."""

    neighbours: tuple[ip.Neighbour, ...]
    reached: dict[str, bool]


def observe(node: NodeAccess) -> State:
    """Ping first: the table alone is a cache, and remembers the dead."""
    addresses = [str(other.address) for other in node.cluster.nodes]
    reached = pings.answers(node.ask(pings.command(addresses), root=True))
    return State(ip.neighbours(node.ask("ip -j -4 neigh show nud all")), reached)


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Every node's MAC and device; and on the controller that no MAC stands for two addresses."""
    controller = cluster.controller.name
    if controller not in seen:
        return
    table = [entry for entry in seen[controller].neighbours if _is_ours(entry, cluster)]
    for node in cluster.nodes:
        address = str(node.address)
        entries = [entry for entry in table if entry.address == address]
        yield from _judge_node(node, entries, cluster, answers=seen[controller].reached.get(address, False))
    yield _judge_pinned(table, cluster)
    counts = Counter(mac for mac, _ in {(entry.mac, entry.address) for entry in table if entry.mac})
    shared = sorted(f"{mac} is {_addresses(table, mac)}" for mac, count in counts.items() if count > 1)
    yield expect(
        controller, "every MAC stands for one address", want="yes", seen="; ".join(shared) or "yes",
        by_hand="two nodes carry the same image, or one takes the other's address: see which is which by its cable",
    )  # fmt: skip


def _judge_pinned(table: list[ip.Neighbour], cluster: Cluster) -> Check:
    """Held against the controller, where it was typed in: nobody gets through it to the node to judge that one."""
    macs = {str(node.address): node.mac for node in cluster.nodes}
    wrong = [entry for entry in table if entry.state in FIXED and entry.mac != macs[entry.address]]
    return expect(
        cluster.controller.name, "no wrong MAC is pinned", want="none",
        seen=", ".join(f"{entry.address} to {entry.mac}" for entry in wrong) or "none",
        fix=tuple(_forget(entry, cluster) for entry in wrong),
    )  # fmt: skip


def _judge_node(node: Node, entries: list[ip.Neighbour], cluster: Cluster, *, answers: bool) -> Iterator[Check]:
    bridge = cluster.controller.bridge
    right = [entry for entry in entries if entry.dev == bridge]
    astray = sorted({str(entry.dev) for entry in entries if entry.dev != bridge and entry.mac})
    yield expect(
        node.name, f"MAC of {node.address} on {bridge}", want=node.mac,
        seen=", ".join(_words(entry, answers=answers) for entry in right) or "no entry",
        fix=tuple(_forget(entry, cluster) for entry in right if entry.mac != node.mac and entry.state in FIXED),
        by_hand="the machine that answers there is another one, or its USB gadget has another MAC: look at its card",
    )  # fmt: skip
    yield expect(
        node.name, f"{node.address} is seen on {bridge} only", want="yes",
        seen=f"also on {', '.join(astray)}" if astray else "yes",
        by_hand=f"another network of {cluster.controller.name} uses the cluster's addresses: find it with `ip route`",
    )  # fmt: skip


def _forget(entry: ip.Neighbour, cluster: Cluster) -> Run:
    controller, dev = cluster.controller.name, entry.dev or cluster.controller.bridge
    argv = ("ip", "neigh", "del", entry.address, "dev", dev)
    return Run(controller, argv, f"forget the wrong MAC that is pinned to {entry.address}")


def _is_ours(entry: ip.Neighbour, cluster: Cluster) -> bool:
    return entry.address in {str(node.address) for node in cluster.nodes}


def _words(entry: ip.Neighbour, *, answers: bool) -> str:
    """The MAC; what is only remembered of a machine that no longer answers is not seen."""
    if entry.mac and not answers and entry.state != "REACHABLE":
        return f"{entry.mac} of old ({entry.state.lower()}), and no answer now"
    return entry.mac or f"no MAC ({entry.state.lower()})"


def _addresses(table: list[ip.Neighbour], mac: str) -> str:
    return " and ".join(sorted({entry.address for entry in table if entry.mac == mac}))
