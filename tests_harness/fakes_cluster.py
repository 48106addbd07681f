"""States of the documented cluster as every real step sees it when all is well, to be damaged one fault at a time."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, TypeVar

from harness.node import File
from harness.parse.ip import Link, Neighbour, Route
from harness.parse.netconfig import Configured
from harness.parse.units import Unit
from harness.steps import arp, hosts, network, power
from harness.steps.network_boot import AtBoot
from harness.steps.network_gateway import NAT_UNIT, SYSCTL_UNIT, UNIT_PATH, Gateway, judge_gateway
from tests_harness.fakes import documented_cluster
from tests_harness.fakes_app import good_database, good_web
from tests_harness.fakes_boot import good_boot
from tests_harness.fakes_docker import good_engine, good_labels, good_swarm
from tests_harness.fakes_fail2ban import good_fail2ban
from tests_harness.fakes_images import good_images
from tests_harness.fakes_keys import good_keys, good_ssh_config
from tests_harness.fakes_mpi import good_mpi
from tests_harness.fakes_pipes import good_pipes
from tests_harness.fakes_stack import good_replicas, good_stack, good_visualizer
from tests_harness.fakes_system import good_system, good_updates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.inventory import Cluster
    from harness.model import Check

T = TypeVar("T")
CLUSTER = documented_cluster()
NODES = tuple(node.name for node in CLUSTER.nodes)
HUB = CLUSTER.controller.name
STATUS = {"clusterhat": "1", "maxpi": "4", "throttled": "0x0"} | {node.port: "1" for node in CLUSTER.nodes}
NAT = "-P POSTROUTING ACCEPT\n-A POSTROUTING -s 172.19.181.0/24 ! -o br0 -j MASQUERADE\n"
FILTER = "-P FORWARD ACCEPT\n"
SYSCTL = "/etc/sysctl.d/50-forward.conf"


def differences(checks: Iterable[Check]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Node and aspect of each must check that does not hold, with the kinds of its fix."""
    failing = [check for check in checks if check.level == "must" and not check.holds]
    return {(check.node, check.aspect): tuple(action.kind for action in check.fix) for check in failing}


def good_power() -> dict[str, power.State]:
    """Everybody answers, and every port is on."""
    hub = power.State("boot-cnat", ("clusterctrl", "clusterhat"), dict(STATUS))
    return {HUB: hub} | {name: power.State(f"boot-{name}") for name in NODES}


def good_arp() -> dict[str, arp.State]:
    """The neighbour table of the controller."""
    entries = [Neighbour(str(node.address), "br0", node.mac, "REACHABLE") for node in CLUSTER.nodes]
    return {HUB: arp.State((*entries, Neighbour("192.168.1.1", "eth0", "aa:bb:cc:dd:ee:ff", "STALE")), reached(HUB))}


def hosts_file(name: str, cluster: Cluster = CLUSTER) -> bytes:
    """The file that the runbook shows (L104-115)."""
    peers = {str(node.address): node.alias for node in cluster.nodes if node.name != name}
    if name != HUB:
        peers = {"172.19.181.254": "cnat", **peers}
    lines = [f"{address} {alias}" for address, alias in peers.items()]
    first = ["127.0.0.1\tlocalhost", "::1\t\tlocalhost ip6-localhost ip6-loopback", f"127.0.1.1\t{name}", ""]
    return "\n".join((*first, *lines, "")).encode()


def good_hosts() -> dict[str, hosts.State]:
    """Every machine has the documented file."""
    return {name: hosts.State(File(hosts_file(name), 0o644, "root:root"), found_names(name)) for name in CLUSTER.names}


def found_names(name: str) -> dict[str, tuple[str, ...]]:
    """What programs of a machine with that file get for its peers."""
    nodes: dict[str, tuple[str, ...]] = {
        node.alias: (str(node.address),) for node in CLUSTER.nodes if node.name != name
    }
    return nodes if name == HUB else {"cnat": ("172.19.181.254",), **nodes}


def link(name: str, *addresses: str, master: str | None = None, is_up: bool = True, mtu: int = 1500) -> Link:
    """An interface."""
    return Link(name, is_up, "UP" if is_up else "DOWN", None, master, tuple(map(IPv4Interface, addresses)), mtu)


def reached(name: str, *silent: str) -> dict[str, bool]:
    """Who answered a machine's ping."""
    others = [other for other in CLUSTER.names if other != name]
    return {str(CLUSTER.address(other)): other not in silent for other in others}


def at_boot(name: str) -> AtBoot:
    """What ifupdown will do on a machine."""
    gateway = None if name == HUB else CLUSTER.controller.address
    found = Configured((CLUSTER.interface_of(name),), gateway, "/etc/network/interfaces", True, "static")  # noqa: FBT003
    return AtBoot((found,), None)


def good_gateway() -> Gateway:
    """Forwarding and NAT, now and at the next boot."""
    files = {SYSCTL: File(b"net.ipv4.ip_forward=1\n", 0o644, "root:root")}
    reader = Unit(is_there=True, is_active=True, is_enabled=True, unmet=())
    bare = Gateway(1, files, NAT, FILTER, reader, ("eth0",))
    fixes = [action for check in judge_gateway(bare, (), CLUSTER) for action in check.fix]
    unit = next(action.after for action in fixes if action.kind == "write" and action.path == UNIT_PATH)
    return replace(bare, files=bare.files | {UNIT_PATH: File(unit, 0o644, "root:root")})


def good_network() -> dict[str, network.State]:
    """Addresses, routes and pings as documented."""
    ports = [link(node.link, master="br0") for node in CLUSTER.nodes]
    uplink = (Route("default", "192.168.1.1", "eth0"), Route("172.19.181.0/24", None, "br0"))
    links = (link("lo", "127.0.0.1/8"), link("eth0", "192.168.1.7/24"), link("br0", "172.19.181.254/24"), *ports)
    enabled = ("networking.service", NAT_UNIT, SYSCTL_UNIT)
    hub = network.State(links, uplink, reached(HUB), enabled, at_boot(HUB), good_gateway())
    return {HUB: hub} | {name: _node(name) for name in NODES}


def _node(name: str) -> network.State:
    links = (link("lo", "127.0.0.1/8"), link("usb0", str(CLUSTER.interface_of(name))))
    routes = (Route("default", "172.19.181.254", "usb0"), Route("172.19.181.0/24", None, "usb0"))
    return network.State(links, routes, reached(name), ("networking.service",), at_boot(name))


def without(seen: Mapping[str, T], *names: str) -> dict[str, T]:
    """The same look without the answers of some machines."""
    return {name: state for name, state in seen.items() if name not in names}


def good_cluster() -> dict[str, list[Mapping[str, object]]]:
    """One good look at every step, as a FakeCrew wants it."""
    return {
        "power": [good_power()],
        "network": [good_network()],
        "arp": [good_arp()],
        "system": [good_system()],
        "updates": [good_updates()],
        "hosts": [good_hosts()],
        "ssh_config": [good_ssh_config()],
        "keys": [good_keys()],
        "fail2ban": [good_fail2ban()],
        "engine": [good_engine()],
        "images": [good_images()],
        "swarm": [good_swarm()],
        "labels": [good_labels()],
        "stack": [good_stack()],
        "replicas": [good_replicas()],
        "web": [good_web()],
        "database": [good_database()],
        "visualizer": [good_visualizer()],
        "pipes": [good_pipes()],
        "boot": [good_boot()],
        "mpi": [good_mpi()],
    }
