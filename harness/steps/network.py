"""Step `network`: addresses, bridge, routes and NAT of the cluster's own network (runbook L50)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.model import Check
from harness.parse import ip, pings, sysctl, units, units_shell
from harness.step import LookFrom, expect
from harness.steps.network_boot import TOOLS, AtBoot, Wish, judge_boot, observe_boot
from harness.steps.network_gateway import (
    DROP_INS,
    FORWARD,
    NAT_UNIT,
    RULES_PATH,
    SYSCTL_PATTERNS,
    SYSCTL_UNIT,
    UNIT_PATH,
    Gateway,
    judge_gateway,
)
from harness.steps.network_mtu import judge_mtu
from harness.steps.network_paths import judge_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from ipaddress import IPv4Address

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("power",)
LOOK_FROM: LookFrom = "every node"
OF_THE_GATEWAY = (NAT_UNIT, "netfilter-persistent.service", SYSCTL_UNIT)
SHORTEST_PREFIX = 8


@dataclass(frozen=True)
class State:
    """Live links and routes, who answered ping, and what is configured for the next boot."""

    links: tuple[ip.Link, ...]
    routes: tuple[ip.Route, ...]
    reached: dict[str, bool]
    enabled: tuple[str, ...]
    at_boot: AtBoot
    gateway: Gateway | None = None


def observe(node: NodeAccess) -> State:
    """Ask iproute2, ping everybody, and read the network configuration files."""
    asked = (*TOOLS, *(OF_THE_GATEWAY if node.is_controller else ()))
    seen = units.units(node.ask(units_shell.command(*asked), *asked, root=True))
    enabled = tuple(name for name, unit in seen.items() if unit.starts_at_boot)
    routes = ip.routes(node.ask("ip -j -4 route"))
    others = [str(node.cluster.address(name)) for name in node.cluster.names if name != node.name]
    return State(
        ip.links(node.ask("ip -j addr")),
        routes,
        pings.answers(node.ask(pings.command(others), root=True)),
        enabled,
        observe_boot(node, _wish(node.name, node.cluster), enabled),
        _observe_gateway(node, routes, enabled, seen[SYSCTL_UNIT]) if node.is_controller else None,
    )


def _observe_gateway(
    node: NodeAccess, routes: tuple[ip.Route, ...], enabled: tuple[str, ...], reader: units.Unit
) -> Gateway:
    gateway = Gateway(
        sysctl.number(node.ask("sysctl -n %s", FORWARD)),
        node.files(RULES_PATH, UNIT_PATH, *DROP_INS, *SYSCTL_PATTERNS),
        node.ask("iptables -w -t nat -S", root=True),
        node.ask("iptables -w -S", root=True),
        reader,
        tuple(route.dev for route in routes if route.dst == "default" and route.dev),
    )
    # Judged once here, so that a rule set nobody can read is an unknown of this machine.
    tuple(judge_gateway(gateway, enabled, node.cluster))
    return gateway


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Each machine's own address and ways out; bridge, forwarding and NAT on the controller."""
    for name, state in seen.items():
        wish = _wish(name, cluster)
        yield from _judge_address(name, wish, state, cluster)
        yield judge_boot(name, wish, state.at_boot)
        if wish.gateway:
            yield _judge_route(name, wish.interface, wish.gateway, state)
        else:
            yield _judge_way_out(name, wish.interface, state)
        yield _judge_overlap(name, wish.interface, state, cluster)
    yield from judge_mtu({name: state.links for name, state in seen.items()}, cluster)
    hub = seen.get(cluster.controller.name)
    if hub and hub.gateway:
        yield from _judge_ports(hub, cluster)
        yield from judge_gateway(hub.gateway, hub.enabled, cluster)
    first_jump = hub.gateway.first_jump if hub and hub.gateway else "FORWARD"
    paths = {name: state.reached for name, state in seen.items()}
    yield from judge_paths(paths, cluster, first_jump, _detours(seen, cluster))


def _wish(name: str, cluster: Cluster) -> Wish:
    gateway = None if name == cluster.controller.name else cluster.controller.address
    return Wish(cluster.device_of(name), cluster.interface_of(name), gateway)


def _judge_address(name: str, wish: Wish, state: State, cluster: Cluster) -> Iterator[Check]:
    interface, address = wish.interface, wish.address
    link = next((link for link in state.links if link.name == interface), None)
    if link is None:
        by_hand = "the image makes this interface: is it the ClusterCTRL image for this machine?"
        yield expect(name, interface, want="there", seen="no such interface", by_hand=by_hand)
        return
    up = Run(name, ("ip", "link", "set", interface, "up"), f"bring {interface} up")
    yield expect(name, f"{interface} is up", want="yes", seen="yes" if link.is_up else "no", fix=(up,))
    add = Run(name, ("ip", "addr", "add", str(address), "brd", "+", "dev", interface), f"give {interface} its address")
    found = [str(one) for one in link.ipv4 if one == address or one.ip in cluster.subnet]
    yield expect(
        name, f"address of {interface}", want=str(address), seen=", ".join(found) or "none in the cluster's subnet",
        # Beside another one the right address would not mend it, and none is ever taken away from here.
        fix=() if found else (add,), by_hand=f"leave this machine {address} and no other address of the subnet",
    )  # fmt: skip


def _judge_route(name: str, interface: str, gateway: IPv4Address, state: State) -> Check:
    ways = [_words(route) for route in state.routes if route.dst == "default"]
    want = f"via {gateway} dev {interface}"
    argv = ("ip", "route", "replace", "default", "via", str(gateway), "dev", interface)
    fix = () if want in ways else (Run(name, argv, "send what leaves the cluster through the controller"),)
    return expect(
        name, "default route", want=want, seen=", ".join(ways) or "none", fix=fix,
        by_hand="take the other default route out of this machine's network configuration",
    )  # fmt: skip


def _judge_way_out(name: str, bridge: str, state: State) -> Check:
    ways = [route for route in state.routes if route.dst == "default" and not route.is_dead]
    # The kernel lists them by metric and takes the first; which interface that is, and its gateway, is the house's.
    is_wrong = bool(ways) and ways[0].dev in {None, bridge}
    leads_out = bool(ways) and not is_wrong and _leads_out(ways[0])
    want = f"one that leaves by another interface than {bridge}"
    return expect(
        # A cluster in a classroom may be on its own, and all of it can be right then; a wrong way out is a mistake.
        name, "default route", want=want, seen=want if leads_out else ", ".join(map(_words, ways)) or "none",
        level="must" if is_wrong else "advice",
        by_hand="connect this machine to a network with a gateway (cable or Wi-Fi), by the tool that manages its "
        f"network, and let none of {bridge} come before it (`ip route`)",
    )  # fmt: skip


def _leads_out(route: ip.Route) -> bool:
    """Not where a DHCP server gave no answer (RFC 3927), nor among containers, where dhcpcd may leave one as well."""
    is_alone = (route.source or "").startswith("169.254.")
    return not is_alone and not (route.dev or "").startswith(("lo", "docker", "veth", "br-"))


def _words(route: ip.Route) -> str:
    via = f"via {route.gateway} " if route.gateway else ""
    source = f" src {route.source}" if route.source and not route.gateway else ""
    return f"{via}dev {route.dev}{source}" if route.dev else "on no interface, so it is dropped"


def _judge_overlap(name: str, interface: str, state: State, cluster: Cluster) -> Check:
    strangers = [
        f"{route.dst} on {route.dev or 'no interface, so it is dropped'}" for route in state.routes
        if route.dev != interface and _overlaps(route.dst, cluster.subnet)
    ]  # fmt: skip
    return expect(
        name, "no other network overlaps", want="none", seen=", ".join(strangers) or "none",
        by_hand="move that network, or take that route away (`ip route del`); for Docker set default-address-pools in "
        "/etc/docker/daemon.json",
    )  # fmt: skip


def _detours(seen: Mapping[str, State], cluster: Cluster) -> set[tuple[str, str]]:
    """Whom each machine sends to by another way than the cluster's own network, as (sender, target)."""
    return {
        (name, target)
        for name, state in seen.items()
        for target in cluster.names
        if target != name and not _is_direct(_way(state, cluster.address(target)), _wish(name, cluster).interface)
    }


def _way(state: State, address: IPv4Address) -> ip.Route | None:
    """The route that the kernel takes: the one of the smallest network around an address; of two the first."""
    around = [(IPv4Network(one.dst), one) for one in state.routes if _is_around(one.dst, address)]
    return max(around, key=lambda found: found[0].prefixlen)[1] if around else None


def _is_direct(route: ip.Route | None, interface: str) -> bool:
    # Without any route it is the address or the interface that lacks, which has its own aspect.
    return route is None or (route.dev == interface and route.gateway is None)


def _is_around(destination: str, address: IPv4Address) -> bool:
    try:
        return address in IPv4Network(destination)
    except ValueError:
        return False  # "default" and the like


def _overlaps(destination: str, subnet: IPv4Network) -> bool:
    try:
        network = IPv4Network(destination, strict=False)
    except ValueError:
        return False  # "default" and the like: no network of its own
    # Half the Internet is the way out of a VPN, not a network that somebody laid over ours.
    return network.prefixlen >= SHORTEST_PREFIX and network.overlaps(subnet)


def _judge_ports(hub: State, cluster: Cluster) -> Iterator[Check]:
    """The nodes' ends of the cables, where they are plugged in; a node without power has none, which `power` says."""
    name, bridge = cluster.controller.name, cluster.controller.bridge
    links = {link.name: link for link in hub.links}
    for node in cluster.nodes:
        link = links.get(node.link)
        if link:
            why = f"plug the cable of {node.name} into {bridge}"
            fix = (
                Run(name, ("ip", "link", "set", node.link, "master", bridge), why),
                Run(name, ("ip", "link", "set", node.link, "up"), why),
            )
            seen = f"{link.master or 'no bridge'}{'' if link.is_up else ', down'}"
            yield expect(name, f"{node.link} is a port of", want=bridge, seen=seen, fix=fix)
