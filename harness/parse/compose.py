"""Read the file of a stack (`docker stack deploy --compose-file`, runbook L468-491): what its services are to be.

Only what a step compares is kept; whatever else a person wrote is Docker's business, and goes to Docker as it is.
Source of the format: github.com/compose-spec/compose-spec; what a stack takes of it: docs.docker.com, "docker stack".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from harness.errors import ObservationError, UsageError
from harness.parse.compose_parts import (
    Mount,
    Port,
    read_environment,
    read_mounts,
    read_networks,
    read_own_names,
    read_ports,
    read_words,
)
from harness.parse.excerpt import excerpt
from harness.parse.placement import constraint
from harness.parse.service_settings import written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST = 1_000_000  # characters
NAME = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$"
# A dollar that the deploying shell would fill in; a doubled one is a plain dollar.
VARIABLE = re.compile(r"(?:^|[^$])(?:\$\$)*(\$(?:\{[^}]*\}?|[A-Za-z_][A-Za-z0-9_]*))")
PASSWORD = re.compile(r"(?i)(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY)$")
SHY = {"environment", "command", "entrypoint"}
# What lies beside the file on the machine of a person does not go to the controller with it.
BESIDE = "expected no file beside this one: only this one goes to the controller"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


def _condition(text: str) -> str:
    try:
        return str(constraint(text))
    except ObservationError as error:
        raise ValueError(str(error).removeprefix("placement: ")) from None


def _or_nothing(value: object) -> object:
    """A key with nothing behind it is as good as none."""
    return {} if value is None else value


class Placement(_Part):
    """Where tasks may go: constraints in the swarm's spelling, and how many to a node (0: any number)."""

    constraints: tuple[Annotated[str, AfterValidator(_condition)], ...] = ()
    max_replicas_per_node: int = Field(default=0, ge=0)


class Deploy(_Part):
    """How a swarm runs a service; `limits` says only whether there are any."""

    mode: Literal["replicated", "global"] = "replicated"
    replicas: int = Field(default=1, ge=0)
    endpoint_mode: Literal["vip", "dnsrr"] = "vip"
    placement: Annotated[Placement, BeforeValidator(_or_nothing)] = Placement()
    limits: bool = False

    @classmethod
    def of(cls, table: object) -> object:
        """The table `deploy` of a service with its limits noted."""
        if not isinstance(table, dict):
            return _or_nothing(table)
        resources = table.get("resources")
        limits = resources.get("limits") if isinstance(resources, dict) else None
        return {"limits": bool(limits), **table}


class Service(_Part):
    """One service. The values of `environment` can be passwords, so they are never written to a tape.

    `written` are those of `service_settings.KEYS` that the file has.
    """

    image: str = Field(min_length=1)
    deploy: Annotated[Deploy, BeforeValidator(Deploy.of)] = Deploy()
    ports: Annotated[tuple[Port, ...], BeforeValidator(read_ports)] = ()
    volumes: Annotated[tuple[Mount, ...], BeforeValidator(read_mounts)] = ()
    environment: Annotated[dict[str, str | None], BeforeValidator(read_environment)] = Field(
        default_factory=dict, exclude=True, repr=False
    )
    command: Annotated[tuple[str, ...], BeforeValidator(read_words)] = Field(default=(), exclude=True, repr=False)
    entrypoint: Annotated[tuple[str, ...], BeforeValidator(read_words)] = Field(default=(), exclude=True, repr=False)
    healthcheck: bool = False
    secrets_in_plain: tuple[str, ...] = ()
    networks: Annotated[tuple[str, ...], BeforeValidator(read_networks)] = ("default",)
    written: tuple[str, ...] = ()

    @field_validator("healthcheck", mode="before")
    @classmethod
    def _has_healthcheck(cls, table: object) -> bool:
        return bool(table) and not (isinstance(table, dict) and table.get("disable"))

    @model_validator(mode="before")
    @classmethod
    def _note_passwords(cls, table: object) -> object:
        """The names of what looks like a password stay when the values go."""
        if not isinstance(table, dict) or "secrets_in_plain" in table:
            return table
        try:
            found = read_environment(table.get("environment"))
        except ValueError:
            return table  # said again, with its key, by the field itself
        return {**table, "secrets_in_plain": [name for name in found if PASSWORD.search(name) and found[name]]}

    @model_validator(mode="before")
    @classmethod
    def _note_keys(cls, table: object) -> object:
        """That there are such keys stays when what is behind them goes."""
        if not isinstance(table, dict) or "written" in table:
            return table
        deploy = table.get("deploy")
        placement = deploy.get("placement") if isinstance(deploy, dict) else None
        return {**table, "written": written(table, deploy, placement)}

    @property
    def is_global(self) -> bool:
        """One task for each node that may run it."""
        return self.deploy.mode == "global"

    @property
    def paths(self) -> tuple[str, ...]:
        """What it mounts of the machines themselves."""
        return tuple(mount.source for mount in self.volumes if mount.type == "bind")


class Compose(_Part):
    """All services of a stack by their short names, in the order of the file.

    `volumes` and `networks` are the names of those that Docker does not call by the name of the stack.
    """

    services: dict[Annotated[str, Field(pattern=NAME)], Service] = Field(min_length=1)
    volumes: Annotated[dict[str, str], BeforeValidator(read_own_names)] = Field(default_factory=dict)
    networks: Annotated[dict[str, str], BeforeValidator(read_own_names)] = Field(default_factory=dict)

    def of_stack(self, stack: str) -> Self:
        """The same with each volume under the name that it has in a stack of this name."""
        services = {name: _renamed(one, self.volumes, stack) for name, one in self.services.items()}
        return self.model_copy(update={"services": services})

    def in_host_mode(self) -> Self:
        """The same where no port can be published in ingress mode; see `compose_mesh.without_mesh`."""
        return self.model_copy(update={"services": {name: _hosted(one) for name, one in self.services.items()}})


def _renamed(service: Service, names: Mapping[str, str], stack: str) -> Service:
    found = tuple(
        mount.model_copy(update={"source": names.get(mount.source, f"{stack}_{mount.source}")})
        if mount.type == "volume" and mount.source else mount
        for mount in service.volumes
    )  # fmt: skip
    return service.model_copy(update={"volumes": found})


def _hosted(service: Service) -> Service:
    found = tuple(port.model_copy(update={"mode": "host"}) for port in service.ports)
    deploy = service.deploy.model_copy(update={"endpoint_mode": "dnsrr"})
    return service.model_copy(update={"ports": found, "deploy": deploy})


class Loader(yaml.SafeLoader):
    """YAML as Docker reads it: 22:22 is no number of base 60, and a key that is written twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - yaml's signature
        """A mapping of which each key stands there once."""
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is written twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                seen.add(key.value)
        return super().construct_mapping(node, deep)


# The number of base 60 is what yaml's own patterns have a colon for.
Loader.yaml_implicit_resolvers = {
    first: [(tag, re.compile(r"[-+]?[0-9]+\Z") if tag.endswith(":int") else pattern) for tag, pattern in found
            if not tag.endswith((":float", ":timestamp"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}  # fmt: skip


def parse(text: str, source: str) -> Compose:
    """The services of a file; UsageError names `source`, the key, and what was expected."""
    tree = load(text, source)
    try:
        for key, value in _strings(tree):
            _refuse_variable(key, value)
        _refuse_beside(tree)
        return Compose.model_validate(_filled(tree))
    except ValidationError as error:
        first, *more = error.errors()
        others = f" ({len(more)} more like this)" if more else ""
        message = first["msg"].removeprefix("Value error, ")
        # A whole table may hold a password; a single value, unless it is one of the environment, is shown.
        is_shown = first["type"] != "missing" and isinstance(first["input"], str | int | float)
        got = f", got {excerpt(str(first['input']))}" if is_shown and not SHY & set(first["loc"]) else ""
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{source}: {where}: {message[0].lower()}{message[1:]}{got}{others}") from None
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from None


def load(text: str, source: str) -> dict[str, Any]:
    """The file as plain values; UsageError where it is no YAML, or not a table."""
    if len(text) > LARGEST:
        raise UsageError(f"{source}: expected the file of a stack, got {len(text)} characters")
    try:
        tree = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        words = " ".join(str(getattr(error, "problem", None) or error).split())[:200]
        raise UsageError(f"{source}: {where}not YAML: {words}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source}: not YAML: {error}") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("services"), dict):
        raise UsageError(f"{source}: expected a table `services`, as a file for `docker stack deploy` has it")
    return tree


def _strings(tree: object, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth > 50:  # noqa: PLR2004 - an alias of YAML can lead back to itself
        raise ValueError(f"{key[:60]}: expected fewer levels")
    if isinstance(tree, str):
        yield key, tree
    elif isinstance(tree, dict):
        for name, value in tree.items():
            yield from _strings(value, f"{key}.{name}".removeprefix("."), depth + 1)
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from _strings(value, f"{key}[{number}]", depth + 1)


def _refuse_variable(key: str, value: str) -> None:
    if VARIABLE.search(value):  # which is not shown: it may be a part of a password
        raise ValueError(
            f"{key}: expected a value, got a variable of a shell that is not there; `$$` is a plain dollar"
        )


def _refuse_beside(tree: dict[str, Any]) -> None:
    for name, service in tree["services"].items():
        if isinstance(service, dict) and service.get("env_file"):
            raise ValueError(f"services.{name}.env_file: {BESIDE}")
    for table in ("configs", "secrets"):
        for name, entry in (tree.get(table) or {}).items() if isinstance(tree.get(table), dict) else ():
            if isinstance(entry, dict) and "file" in entry:
                raise ValueError(f"{table}.{name}.file: {BESIDE}")


def _filled(tree: Any) -> Any:  # noqa: ANN401 - plain values of YAML
    """A doubled dollar is one."""
    if isinstance(tree, str):
        return tree.replace("$$", "$")
    if isinstance(tree, dict):
        return {str(key): _filled(value) for key, value in tree.items()}
    return [_filled(value) for value in tree] if isinstance(tree, list) else tree
