"""Part of step `network`: one packet size for the bridge, the cables and the nodes; pure.

Where one interface takes smaller packets than the rest, pings and logins pass and whatever is long is lost.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.model import Check
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.inventory import Cluster
    from harness.parse.ip import Link

Sizes = dict[str, int]  # interface to its MTU


def judge_mtu(links: Mapping[str, tuple[Link, ...]], cluster: Cluster) -> Iterator[Check]:
    """One check per machine: its interfaces of the cluster's network have the MTU that most machines have.

    None is prescribed: what all agree on, whatever it is, loses nothing. `links` are those that each machine has.
    """
    found = {name: _sizes(name, own, cluster) for name, own in links.items()}
    seen = {name: sizes for name, sizes in found.items() if sizes}
    # A machine has one vote: else the bridge, which shrinks with a port, and the cables outvote the nodes.
    votes = [_usual(sizes.values()) for sizes in seen.values()]
    for name, sizes in seen.items():
        yield _judge_machine(name, cluster.device_of(name), sizes, _usual(votes))


def _usual(sizes: Iterable[int]) -> int:
    """The most frequent; of as many for each the larger, for somebody made the other smaller."""
    counts = Counter(sizes)
    return max(counts, key=lambda size: (counts[size], size))


def _judge_machine(name: str, own: str, sizes: Sizes, want: int) -> Check:
    wrong = {interface: size for interface, size in sizes.items() if size != want}
    # A bridge is no larger than its smallest port, so it comes last.
    fix = (
        Run(name, ("ip", "link", "set", "dev", interface, "mtu", str(want)), f"let {interface} take what the others do")
        for interface in sorted(wrong, key=lambda interface: interface == own)
    )
    seen = ", ".join(f"{size} on {interface}" for interface, size in wrong.items())
    return expect(name, f"MTU of {own}", want=str(want), seen=seen or str(want), fix=tuple(fix))


def _sizes(name: str, links: tuple[Link, ...], cluster: Cluster) -> Sizes:
    """The MTU of a machine's own interface, and on the controller of the cables; of those that there are."""
    cables = {node.link for node in cluster.nodes} if name == cluster.controller.name else set[str]()
    ours = {cluster.device_of(name), *cables}
    return {link.name: link.mtu for link in links if link.name in ours and link.mtu is not None}
