"""The inventory `cluster.toml`: the documented cluster, with whatever differs at your place.

Every value has the documented one as its default (runbook L47-115), so an empty file means exactly the
documented cluster. Anything that is not understood is an error: nothing is guessed or ignored.
"""

from __future__ import annotations

import re
import tomllib
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from harness.errors import UsageError
from harness.inventory_app import Database, Engine, Images, Mpi, Swarm, Web
from harness.inventory_errors import keys, sentence
from harness.inventory_machines import Controller, Node, Os, Ssh
from harness.inventory_stack import Stack, Visualizer, with_file
from harness.inventory_words import Table

__all__ = ["Cluster", "Node", "Os", "load", "parse"]

DOCUMENTED_SUBNET = IPv4Network("172.19.181.0/24")
DOCUMENTED_NAME = re.compile(r"^p([1-9][0-9]?)$")


class Cluster(Table):
    """The whole cluster; `folder` is where relative paths start."""

    name: str = Field(default="clusterhat", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    subnet: IPv4Network = DOCUMENTED_SUBNET
    ssh: Ssh = Ssh()
    os: Os = Os()
    controller: Controller = Controller()
    engine: Engine = Engine()
    images: Images = Images()
    swarm: Swarm = Swarm()
    stack: Stack
    visualizer: Visualizer = Visualizer()
    web: Web = Web()
    database: Database = Field(default_factory=Database)
    mpi: Mpi = Mpi()
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
        placed = [name for names in (self.swarm.placement or {}).values() for name in names]
        for name in placed:
            if placed.count(name) > 1:
                raise ValueError(
                    f"swarm.placement: {name} is named {placed.count(name)} times; expected one label each"
                )
            if name not in self.names:
                raise ValueError(f"swarm.placement: {name} is not a machine; expected one of {', '.join(self.names)}")
        return self

    @model_validator(mode="after")
    def _know_who_signs_in(self) -> Self:
        logins = [user.login for user in self.database.users]
        _refuse_twice("database.users: login", logins)
        if self.web.login not in logins:
            raise ValueError(f"web.login: {self.web.login} is no seeded user; expected one of {', '.join(logins)}")
        return self

    @property
    def web_image(self) -> str:
        """The site's image: that of the file of the stack, unless [images] says another."""
        return self.images.web or self._image_of(self.web.service, "wzehren/phpsae")

    @property
    def database_image(self) -> str:
        """The database's image, likewise."""
        return self.images.database or self._image_of(self.database.service, "wzehren/mysqlsae")

    def _image_of(self, service: str, documented: str) -> str:
        services = self.stack.content.compose.services
        return services[service].image if service in services else documented

    @property
    def web_service(self) -> str:
        """The site's service as the swarm calls it."""
        return f"{self.stack.name}_{self.web.service}"

    @property
    def database_service(self) -> str:
        """The database's service as the swarm calls it."""
        return f"{self.stack.name}_{self.database.service}"

    @property
    def names(self) -> tuple[str, ...]:
        """The controller's name, then the nodes' in the inventory's order."""
        return (self.controller.name, *(node.name for node in self.nodes))

    def address(self, name: str) -> IPv4Address:
        """The address of the controller or a node by its name."""
        return self.controller.address if name == self.controller.name else self.node(name).address

    def label_of(self, name: str) -> str | None:
        """The value of the swarm's label that a machine carries; None for none."""
        placement = self.swarm.placement
        if placement is None:
            return "sql" if name == self.controller.name else "web"
        return next((value for value, names in placement.items() if name in names), None)

    def node(self, name: str) -> Node:
        """The node of that name; KeyError for the controller and for a stranger."""
        found = {node.name: node for node in self.nodes}
        return found[name]

    def interface_of(self, name: str) -> IPv4Interface:
        """The address of the controller or a node with the subnet's prefix length."""
        return IPv4Interface(f"{self.address(name)}/{self.subnet.prefixlen}")

    def device_of(self, name: str) -> str:
        """The interface of the controller or a node that has its address."""
        return self.controller.bridge if name == self.controller.name else self.node(name).interface

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
        where = "" if file.is_absolute() else f" in {Path.cwd()}"
        raise UsageError(
            f"{file}: no such inventory{where}; expected a TOML file (the shipped cluster.toml shows it)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read as a text file: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: not TOML: {error}") from error
    return parse(tables, str(file), file.resolve().parent)


def parse(tables: dict[str, object], source: str, folder: Path) -> Cluster:
    """Make a cluster of TOML tables; `source` names them in the message of a UsageError."""
    if "folder" in tables:
        raise UsageError(f"{source}: folder: unknown key; expected one of {keys(Cluster)}")
    try:
        stack = with_file(tables.get("stack", {}), source, folder)
        return Cluster.model_validate({**tables, "folder": folder, "stack": stack})
    except ValidationError as error:
        first, *more = error.errors()
        others = f" ({len(more)} more like this)" if more else ""
        raise UsageError(f"{source}: {sentence(first, Cluster)}{others}") from None


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
