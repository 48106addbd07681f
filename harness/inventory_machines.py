"""The part of the inventory that says which machines there are, what they carry, and how to get in."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from harness.inventory_words import Hostname, Interface, Mac, Table, User

WORD_SIZES = {"armhf": 32, "armel": 32, "arm64": 64, "amd64": 64}


class Ssh(Table):
    """How the machine that runs the harness gets in.

    `host` is the controller as seen from here ("lab" is the embedded lab); `known_hosts` and `identity`
    are paths, relative to the inventory's folder. `wait` bounds one connection attempt and `limit` one
    command, both in seconds. `direct` skips the jump through the controller.
    """

    host: str = Field(default="cnat.local", pattern=r"^[A-Za-z0-9._:%-]{1,253}$")
    port: int = Field(default=22, ge=1, le=65535)
    user: User = "pi"
    known_hosts: Path = Path("known_hosts")
    identity: Path | None = None
    wait: float = Field(default=8.0, gt=0, le=300)
    limit: float = Field(default=30.0, gt=0, le=3600)
    direct: bool = False


class Controller(Table):
    """The Raspberry Pi that carries the ClusterHAT (runbook L49-50)."""

    name: Hostname = "cnat"
    address: IPv4Address = IPv4Address("172.19.181.254")
    bridge: Interface = "br0"


class Node(Table):
    """One Pi Zero (runbook L83-115).

    A name `pN` (N from 1 to 99) brings the documented rest with it: address .N of the subnet, MAC
    00:22:82:ff:ff:<hex N>, alias piN, HAT port pN and controller interface ethpiN.
    """

    name: Hostname
    address: IPv4Address
    mac: Mac
    alias: Hostname
    port: Annotated[str, StringConstraints(pattern=r"^p[1-9][0-9]?[0-9]?$")]
    link: Interface
    interface: Interface = "usb0"


class Os(Table):
    """What every card is flashed with (runbook L47-55).

    `id` and `codenames` are of /etc/os-release; the 32-bit Raspberry Pi OS calls itself raspbian, and plain
    Debian's armhf does not run on a Pi Zero. `architecture` is dpkg's, that of the programs: the kernel's
    (`uname -m`) may well be another. `user` and `groups` are those that the imager makes.
    """

    id: str = Field(default="raspbian", pattern=r"^[a-z0-9._-]+$")
    codenames: tuple[str, ...] = Field(default=("bullseye", "bookworm"), min_length=1)
    architecture: Literal["armhf", "armel", "arm64", "amd64"] = "armhf"
    user: User = "pi"
    groups: tuple[User, ...] = ("sudo",)

    @property
    def word_size(self) -> int:
        """Bits of a long of these programs."""
        return WORD_SIZES[self.architecture]
