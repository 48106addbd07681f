"""The inventory `cluster.toml`: the documented cluster, with whatever differs at your place.

Every value has the documented one as its default (runbook L47-115), so an empty file means exactly the
documented cluster. Anything that is not understood is an error: nothing is guessed or ignored.
"""

from __future__ import annotations

import re
import tomllib
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from harness.errors import UsageError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

HOSTNAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
Hostname = Annotated[str, StringConstraints(pattern=HOSTNAME)]
Interface = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,15}$")]
Mac = Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$", to_lower=True)]
User = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
DOCUMENTED_SUBNET = IPv4Network("172.19.181.0/24")
DOCUMENTED_NAME = re.compile(r"^p([1-9][0-9]?)$")
WORD_SIZES = {"armhf": 32, "armel": 32, "arm64": 64, "amd64": 64}
BARE_KEY = re.compile(r"[A-Za-z0-9_-]*\Z")

SHAPES = {
    "host": "expected a host name or an address alone (user and port have keys of their own)",
    "name": "expected a host name of small letters, digits and hyphens",
    "alias": "expected a host name of small letters, digits and hyphens",
    "address": "expected an IPv4 address like 172.19.181.3",
    "subnet": "expected an IPv4 network like 172.19.181.0/24",
    "mac": "expected a MAC address like 00:22:82:ff:ff:03",
    "nodes": "expected tables written [[nodes]]",
    "architecture": f"expected one of {', '.join(WORD_SIZES)}",
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ssh(_Table):
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


class Controller(_Table):
    """The Raspberry Pi that carries the ClusterHAT (runbook L49-50)."""

    name: Hostname = "cnat"
    address: IPv4Address = IPv4Address("172.19.181.254")
    bridge: Interface = "br0"


class Node(_Table):
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


class Os(_Table):
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


class Cluster(_Table):
    """The whole cluster; `folder` is where relative paths start."""

    name: str = Field(default="clusterhat", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    subnet: IPv4Network = DOCUMENTED_SUBNET
    ssh: Ssh = Ssh()
    os: Os = Os()
    controller: Controller = Controller()
    nodes: tuple[Node, ...]
    folder: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, tables: dict[str, object]) -> dict[str, object]:
        nodes = tables.get("nodes", [{"name": f"p{number}"} for number in range(1, 5)])
        subnet = tables.get("subnet", DOCUMENTED_SUBNET)
        if not isinstance(nodes, list):
            return tables
        return {**tables, "nodes": [_with_documented(node, subnet) for node in nodes]}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.nodes:
            raise ValueError("nodes: expected at least one node")
        for key in ("name", "address", "mac", "port", "link"):
            _refuse_twice(key, [str(getattr(node, key)) for node in self.nodes])
        names = [self.controller.name, *(name for node in self.nodes for name in {node.name, node.alias})]
        _refuse_twice("name or alias", names)
        addresses = [self.controller.address, *(node.address for node in self.nodes)]
        _refuse_twice("address", [str(address) for address in addresses])
        for address in addresses:
            if address not in self.subnet or address in {self.subnet[0], self.subnet[-1]}:
                raise ValueError(f"{address} is not a host address of the subnet {self.subnet}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The controller's name, then the nodes' in the inventory's order."""
        return (self.controller.name, *(node.name for node in self.nodes))

    def address(self, name: str) -> IPv4Address:
        """The address of the controller or a node by its name."""
        return self.controller.address if name == self.controller.name else self.node(name).address

    def node(self, name: str) -> Node:
        """The node of that name; KeyError for the controller and for a stranger."""
        found = {node.name: node for node in self.nodes}
        return found[name]

    def interface_of(self, name: str) -> IPv4Interface:
        """The address of the controller or a node with the subnet's prefix length."""
        return IPv4Interface(f"{self.address(name)}/{self.subnet.prefixlen}")

    def path(self, path: Path) -> Path:
        """A path of the inventory, made absolute; UsageError where it starts in the home of a stranger."""
        try:
            return self.folder / path.expanduser()
        except RuntimeError:
            raise UsageError(f"{path}: no such home directory; expected a path of a person that exists") from None


def load(file: Path) -> Cluster:
    """Read an inventory. UsageError names the file, the line or key, and what was expected."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{file}: no such inventory; expected a TOML file (the shipped cluster.toml shows it)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read as a text file: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: not TOML: {error}") from error
    return parse(tables, str(file), file.resolve().parent)


def parse(tables: dict[str, object], source: str, folder: Path) -> Cluster:
    """Make a cluster of TOML tables; `source` names them in the message of a UsageError."""
    if "folder" in tables:
        raise UsageError(f"{source}: folder: unknown key; expected one of {_keys(Cluster)}")
    try:
        return Cluster.model_validate({**tables, "folder": folder})
    except ValidationError as error:
        first, *more = error.errors()
        others = f" ({len(more)} more like this)" if more else ""
        raise UsageError(f"{source}: {_sentence(first)}{others}") from None


def _with_documented(node: object, subnet: object) -> object:
    if not isinstance(node, dict):
        return node
    match = DOCUMENTED_NAME.match(str(node.get("name", "")))
    if not match:
        return node
    number = int(match[1])
    documented: dict[str, object] = {
        "mac": f"00:22:82:ff:ff:{number:02x}",
        "alias": f"pi{number}",
        "port": f"p{number}",
        "link": f"ethpi{number}",
    }
    try:
        documented["address"] = str(IPv4Network(str(subnet))[number])
    except (ValueError, IndexError):  # a bad subnet is reported once, by its own key
        documented["address"] = str(DOCUMENTED_SUBNET[number])
    return {**documented, **node}


def _refuse_twice(key: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{key} {value} is given to {values.count(value)} machines; expected one each")


def _sentence(error: ErrorDetails) -> str:
    """One problem as "key: what was expected, got what"."""
    *parents, last = error["loc"] or ("",)
    where = _dotted(*parents, last)
    if error["type"] == "extra_forbidden":
        tables: dict[str, type[_Table]] = {"ssh": Ssh, "os": Os, "controller": Controller, "nodes": Node}
        table = tables.get(str((*parents, "")[0]), Cluster)
        return f"{where}: unknown key; expected one of {_keys(table)}"
    if error["type"] == "missing":
        return f"{where}: missing; a node that is not called p1 to p99 needs it written out"
    message = error["msg"].removeprefix("Value error, ")
    if not where:
        return message
    expected = SHAPES.get(str(last), message[0].lower() + message[1:])
    return f"{where}: {expected}, got {error['input']!r}"


def _dotted(*parts: int | str) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if BARE_KEY.match(part) else f".{part!r}"
    return text.removeprefix(".")


def _keys(table: type[BaseModel]) -> str:
    return ", ".join(name for name, field in table.model_fields.items() if not field.exclude)
