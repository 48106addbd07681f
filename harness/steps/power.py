"""Step `power`: the HAT powers every node, and every node answers (runbook L71-81)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Boot
from harness.errors import ObservationError
from harness.model import Check
from harness.parse import clusterctrl
from harness.step import LookFrom, expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster, Node
    from harness.node import NodeAccess

NEEDS: tuple[str, ...] = ()
LOOK_FROM: LookFrom = "every node"
NOT_AVAILABLE = "NA"  # what clusterctrl prints for a value that this board cannot tell
TOOLS = ("clusterctrl", "clusterhat")


@dataclass(frozen=True)
class State:
    """`boot_id` proves that the node answered; `tools` and `status` are the controller's (else empty)."""

    boot_id: str
    tools: tuple[str, ...] = ()
    status: dict[str, str] | None = None


def observe(node: NodeAccess) -> State:
    """Log in; on the controller also ask the HAT (as root, which needs no i2c group)."""
    boot_id = node.ask("cat /proc/sys/kernel/random/boot_id").strip()
    if not node.is_controller:
        return State(boot_id)
    _, found, _ = node.run("for tool in clusterctrl clusterhat; do command -v $tool; done; true")
    tools = tuple(path.rpartition("/")[2] for path in found.split())
    if "clusterctrl" not in tools:
        return State(boot_id, tools)
    status = clusterctrl.status(node.ask("clusterctrl status", root=True))
    for each in node.cluster.nodes:
        clusterctrl.is_powered(status, each.port)  # a HAT that does not know a port of ours: nothing is known
    return State(boot_id, tools, status)


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """The HAT's tools and supply on the controller; port and answer for each node."""
    controller = seen.get(cluster.controller.name)
    if controller:
        yield from _judge_hat(controller, cluster)
    for node in cluster.nodes:
        if controller and controller.status is not None:
            yield _judge_port(controller.status, node, cluster, answers=node.name in seen)
        if node.name in seen:
            yield expect(node.name, "answers ssh", want="yes", seen="yes")


def _judge_hat(hat: State, cluster: Cluster) -> Iterator[Check]:
    name = cluster.controller.name
    for tool in TOOLS:
        yield expect(
            name, f"{tool} installed", want="yes", seen="yes" if tool in hat.tools else "no",
            by_hand="the controller needs the ClusterCTRL software: flash its CNAT image",
        )  # fmt: skip
    if hat.status is not None and hat.status.get("throttled", NOT_AVAILABLE) != NOT_AVAILABLE:
        yield _judge_supply(name, hat.status["throttled"])


def _judge_supply(name: str, throttled: str) -> Check:
    """Only advice, so what cannot be read must not hide what is said of the ports."""
    by_hand = "use a stronger power supply or cool the Raspberry Pi"
    try:
        complaints = "; ".join(clusterctrl.throttled_sentences(throttled))
    except ObservationError as error:
        complaints, by_hand = f"not readable: {error}", "ask the firmware itself: vcgencmd get_throttled"
    return expect(
        name, "supply voltage and clock", want="no complaint", seen=complaints or "no complaint",
        level="advice", by_hand=by_hand,
    )  # fmt: skip


def _judge_port(status: Mapping[str, str], node: Node, cluster: Cluster, *, answers: bool) -> Check:
    """A node that answers is left alone, whatever the HAT says of its port."""
    why = f"switch on {node.port} and wait until {node.name} answers"
    boot = Boot(cluster.controller.name, node.name, node.port, node.link, why)
    return expect(
        node.name, f"HAT port {node.port} powered",
        want="1", seen="1" if clusterctrl.is_powered(status, node.port) else "0",
        fix=() if answers else (boot,),
        by_hand="it answers although its port is off: how is it powered?" if answers else "",
    )  # fmt: skip
