"""From the inventory to addresses: where each machine is reached from here, and with which trust."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import login
from harness.errors import LabError, UsageError
from harness.inventory import Cluster, load, parse
from harness.lab import Lab
from harness.login import Login
from harness.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

LAB = "lab"
# The lab is Debian for this machine's processor, not the image for a Raspberry Pi.
LAB_TABLES: dict[str, object] = {
    "name": LAB,
    "ssh": {"host": LAB},
    "os": {"id": "debian", "codenames": ["bookworm"], "architecture": "amd64"},
}


@dataclass(frozen=True)
class Door:
    """One sshd as seen from here. `via` is the node to jump through, empty for none."""

    address: str
    port: int
    via: str = ""

    @property
    def known_as(self) -> str:
        """The name of this door in a known_hosts file."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"  # noqa: PLR2004 - ssh


@dataclass(frozen=True)
class Reach:
    """All doors of a cluster, the keys that open them, and the host keys that prove them."""

    doors: Mapping[str, Door]
    login: Login
    known_hosts: Path
    wait: float
    limit: float


def find_cluster(option: str, *, direct: bool = False) -> Cluster:
    """The cluster that `--cluster` names: "lab", or an inventory file."""
    cluster = parse(LAB_TABLES, "--cluster lab", Path.cwd()) if option == LAB else load(Path(option))
    return cluster.model_copy(update={"ssh": cluster.ssh.model_copy(update={"direct": True})}) if direct else cluster


def reach(cluster: Cluster) -> Reach:
    """How to get to each machine; UsageError when the lab is meant and is not up."""
    ssh = cluster.ssh
    if ssh.host == LAB:
        return _reach_lab(cluster)
    identity = cluster.path(ssh.identity) if ssh.identity else None
    doors = _doors(cluster, Door(ssh.host, ssh.port), direct=ssh.direct)
    return Reach(doors, login.find(ssh.user, identity), cluster.path(ssh.known_hosts), ssh.wait, ssh.limit)


def _reach_lab(cluster: Cluster) -> Reach:
    try:
        access = Lab().access()
    except LabError as error:
        raise UsageError(str(error)) from error
    doors = _doors(cluster, Door(access.address, access.port), direct=cluster.ssh.direct and access.is_direct)
    secret = Secret(access.password)
    who = Login(access.user, (), lambda: secret)
    return Reach(doors, who, access.known_hosts, cluster.ssh.wait, cluster.ssh.limit)


def _doors(cluster: Cluster, controller: Door, *, direct: bool) -> dict[str, Door]:
    via = "" if direct else cluster.controller.name
    doors = {node.name: Door(str(node.address), 22, via) for node in cluster.nodes}
    return {cluster.controller.name: controller, **doors}
