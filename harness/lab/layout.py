"""Where the lab keeps things and what its parts are called: paths, addresses, names; no behaviour.

The addresses are the documented ones of the real cluster (runbook L75-92); only the uplink is the lab's
own, from the range that RFC 5737 keeps for documentation.
"""

import os
import re
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final
from zlib import crc32

from harness.errors import UsageError

DEFAULT_NAME: Final = "hatlab"
CONTROLLER: Final = "cnat"
PORTS: Final = ("p1", "p2", "p3", "p4")
NODES: Final = (CONTROLLER, *PORTS)

CLUSTER_NET: Final = "172.19.181.0/24"
CONTROLLER_ADDRESS: Final = "172.19.181.254"
DIRECT_ADDRESS: Final = "172.19.181.200"
UPLINK_NETS: Final = tuple(IPv4Network("198.51.100.0/24").subnets(new_prefix=30))
UPLINK_MAC: Final = "dc:a6:32:ff:fe:01"  # a Raspberry Pi 4; br0 copies it, as the CNAT image does
DIRECT_CABLE: Final = "ethlab0"
INTERNET_ADDRESS: Final = "203.0.113.1"  # RFC 5737 too; each lab has an internet of its own, so one address serves all
DOCKER_HUB: Final = "registry-1.docker.io"  # where an engine gets an image whose name has no host

USER: Final = "pi"
I2C_GID: Final = 994  # who may talk to the board, as group i2c may on a real controller

STATE_HOME: Final = Path("/var/lib/hatcheck")
RUNTIME_HOME: Final = Path("/run/hatcheck")
CACHE_HOME: Final = Path("/var/cache/hatcheck")
NETNS_HOME: Final = Path("/run/netns")
GUEST_REPOSITORY: Final = "/opt/debs"  # where a node sees the local apt repository
GUEST_BOARD: Final = "/run/clusterctrl"  # where the controller sees the board's socket

_NAME = re.compile(r"[a-z][a-z0-9-]{0,11}")  # "<name>-up" must fit in the 15 characters of a link name


def address_of(node: str) -> str:
    """Address of `node` on the cluster network."""
    return CONTROLLER_ADDRESS if node == CONTROLLER else f"172.19.181.{port_number(node)}"


def port_number(node: str) -> int:
    """1 for p1 … 4 for p4."""
    return PORTS.index(node) + 1


def cable_of(node: str) -> str:
    """Name of the controller's end of the USB cable to `node`, e.g. ethpi1."""
    return f"ethpi{port_number(node)}"


def check_node(node: str, allowed: tuple[str, ...] = NODES) -> str:
    """Return `node`, or raise UsageError when the lab has no such node."""
    if node not in allowed:
        raise UsageError(f"{node!r} is not a node of the lab, which has {' '.join(allowed)}.")
    return node


@dataclass(frozen=True)
class Uplink:
    """The network between the machine and the controller, and the address of each in it."""

    net: IPv4Network

    @property
    def machine(self) -> str:
        """The machine's address."""
        return str(self.net[1])

    @property
    def controller(self) -> str:
        """The controller's address, where the harness logs in."""
        return str(self.net[2])


@dataclass(frozen=True)
class Layout:
    """Every path and kernel name that belongs to the lab called `name`."""

    name: str

    @property
    def state(self) -> Path:
        """What outlives a reboot of a node: uppers, docker directories, keys, logs."""
        return STATE_HOME / self.name

    @property
    def runtime(self) -> Path:
        """Sockets, mount points and pid files."""
        return RUNTIME_HOME / self.name

    @property
    def board_pid(self) -> Path:
        """Who the board is: process id and start time."""
        return self.runtime / "board.json"

    @property
    def control_socket(self) -> Path:
        """Where the lab talks to its board; for root only."""
        return self.runtime / "control.sock"

    @property
    def hat(self) -> Path:
        """Directory bound into the controller; the socket in it is what clusterctrl talks to."""
        return self.runtime / "hat"

    @property
    def board_log(self) -> Path:
        """What the board says, a line per event."""
        return self.state / "board.log"

    @property
    def password(self) -> Path:
        """Password of user pi on all nodes; for root only."""
        return self.state / "password"

    @property
    def known_hosts(self) -> Path:
        """Real host keys of all nodes under their addresses, in OpenSSH's format."""
        return self.state / "known_hosts"

    @property
    def hub(self) -> str:
        """Network namespace where cables wait while the controller is off."""
        return f"{self.name}-hub"

    @property
    def internet(self) -> str:
        """Network namespace of what the nodes find beyond the controller."""
        return f"{self.name}-net"

    @property
    def registry(self) -> Path:
        """Directory of what was pushed to the lab's Docker Hub: upper, work, its log."""
        return self.state / "registry"

    @property
    def registry_store(self) -> Path:
        """Mount point of all that the lab's Docker Hub offers."""
        return self.runtime / "registry"

    @property
    def wire(self) -> Uplink:
        """The uplink's addresses: the first for the usual lab, for others one by name, so that labs can coexist."""
        if self.name == DEFAULT_NAME:
            return Uplink(UPLINK_NETS[0])
        return Uplink(UPLINK_NETS[1 + crc32(self.name.encode()) % (len(UPLINK_NETS) - 1)])

    @property
    def uplink(self) -> str:
        """The machine's end of the wire towards the controller."""
        return f"{self.name}-up"

    @property
    def direct(self) -> str:
        """The machine's end of the wire into the cluster network."""
        return f"{self.name}-dx"

    @property
    def cgroup(self) -> str:
        """Name of the control group above all nodes, in each hierarchy."""
        return f"hatcheck-{self.name}"

    def netns(self, node: str) -> str:
        """Network namespace of `node`."""
        return f"{self.name}-{node}"

    def node_state(self, node: str) -> Path:
        """Directory of what `node` keeps: upper, work, docker directories, logs, the `made` marker."""
        return self.state / "nodes" / node

    def root(self, node: str) -> Path:
        """Mount point of the node's root file system."""
        return self.runtime / "root" / node


def lab_layout(name: str | None = None) -> Layout:
    """Layout of the lab `name`, by default that of HATCHECK_LAB or `hatlab`; UsageError for a bad name."""
    chosen = name or os.environ.get("HATCHECK_LAB") or DEFAULT_NAME
    if not _NAME.fullmatch(chosen):
        raise UsageError(f"{chosen!r} cannot name a lab: at most 12 of a-z, 0-9 and '-', beginning with a letter.")
    return Layout(chosen)
