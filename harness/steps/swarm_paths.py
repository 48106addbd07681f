"""Part of step `swarm`: the ports through which members talk (2377, 7946, 4789), as asked from the other machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model import Check
from harness.parse import iptables
from harness.parse.firewall import Packet, refusal
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

GOSSIP = 7946
OVERLAY = 4789
# $0 address, $1 port: bash opens a connection, and says nothing on it.
CONNECT = "timeout 4 bash -c %s %s %s"
# The last port opens a moment after a machine has joined. An engine that was started before its manager's tries the
# others again only after a minute. $1: how old, in seconds by the kernel's clock, an engine may be to be waited for.
OPENED = f"""
end=$(($(date +%s)+$0))
until ss -H -l -n -u | grep -q ':{OVERLAY} '; do
  age=$(ps -o etimes= -p "$(systemctl show -P MainPID docker)") || age=$1
  [ "$age" -lt "$1" ] || exit 0
  [ "$(date +%s)" -lt "$end" ] || {{ echo "port {OVERLAY} is not open"; exit 0; }}
  sleep 1
done
"""
JOINED, YOUNG, ANY_AGE = 10, 90, "99999999"
OPEN = 'exec 3<>"/dev/tcp/$0/$1"'


def await_ports(node: NodeAccess) -> None:
    """Give a member that has just joined, or whose engine has just started, the time to open its ports."""
    if node.wait(JOINED, "the ports of the swarm", OPENED, ANY_AGE):
        node.wait(YOUNG, "the ports of the swarm", OPENED, str(YOUNG))


def listened(*, is_manager: bool, cluster: Cluster) -> tuple[str, ...]:
    """The ports on which a member listens."""
    return (*((f"{cluster.swarm.port}/tcp",) if is_manager else ()), f"{GOSSIP}/tcp", f"{GOSSIP}/udp", f"{OVERLAY}/udp")


def doors(name: str, members: Mapping[str, bool], cluster: Cluster) -> tuple[tuple[str, int], ...]:
    """The TCP ports of other members that a machine must get through to, as (name, port).

    `members` says of each one whether its door as a manager is to be tried, too.
    """
    others = {other: is_tried for other, is_tried in members.items() if other != name}
    managed = tuple((other, cluster.swarm.port) for other, is_tried in others.items() if is_tried)
    return (*managed, *((other, GOSSIP) for other in others))


def judge_paths(
    name: str, wanted: Iterable[str], listens: Iterable[str], shut: Iterable[str], refused: Iterable[str]
) -> Iterator[Check]:
    """One machine's own ports, its firewall against the others, and the doors of the others that it found shut."""
    missing = [port for port in wanted if port not in set(listens)]
    yield expect(
        name, "listens for the others", want=", ".join(wanted),
        seen=f"not on {', '.join(missing)}" if missing else ", ".join(wanted),
        by_hand="`sudo ss -lntup` shows who does; `sudo systemctl restart docker` opens them anew",
    )  # fmt: skip
    yield expect(
        name, "firewall lets the swarm in", want="yes", seen="; ".join(refused) or "yes",
        by_hand=f"accept {', '.join(wanted)} from the cluster's subnet in front of that rule",
    )  # fmt: skip
    yield expect(
        name, "gets through to the others", want="all", seen=", ".join(shut) or "all",
        by_hand="a firewall between them, or Docker does not listen there: see that machine's own lines",
    )  # fmt: skip


def refusals(name: str, rules: str, wanted: Iterable[str], peers: Iterable[str], cluster: Cluster) -> tuple[str, ...]:
    """The rules of a machine's own firewall that keep another one from these ports, each once."""
    return tuple(dict.fromkeys(_refusals(name, rules, wanted, peers, cluster)))


def _refusals(name: str, rules: str, wanted: Iterable[str], peers: Iterable[str], cluster: Cluster) -> Iterator[str]:
    filters = iptables.table(rules)
    interface = cluster.device_of(name)
    for peer in peers:
        for port, protocol in (each.split("/") for each in wanted):
            packet = Packet(cluster.address(peer), protocol, int(port), interface, cluster.address(name))
            found = refusal(filters, packet)
            if found:
                yield f"{found} (from {peer})" if "-s" in found else found


def shut_doors(answers: Mapping[tuple[str, int], bool]) -> tuple[str, ...]:
    """The doors that did not open, as "cnat:2377"."""
    return tuple(f"{name}:{port}" for (name, port), is_open in answers.items() if not is_open)
