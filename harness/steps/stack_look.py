"""Part of step `stack`: what the manager says of the stack's services, without any value of their environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import EngineError, ObservationError
from harness.parse.compose_parts import Mount, Port
from harness.parse.service_settings import is_elsewhere, unwritten
from harness.parse.services import Machine, machine, short

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from harness.inventory import Cluster
    from harness.node import NodeAccess
    from harness.parse.compose import Service

NAMESPACE = "com.docker.stack.namespace"
SERVICE = "com.docker.swarm.service.name"
NOT_FOUND = 404


@dataclass(frozen=True)
class Deployed:
    """A service as the manager has it; `image` with its digest, `replicas` None where it is global.

    `environment` are the names whose values are not those of the file; `command` says whether it starts what the
    file says. Both are compared in the look, because the values can be passwords. `settings` are the keys of what it
    was given though the file does not have them. `update` is the state of its last update, with what Docker says of it.
    """

    name: str
    id: str
    image: str
    replicas: int | None
    per_node: int
    constraints: tuple[str, ...]
    endpoint: str
    ports: tuple[Port, ...]
    mounts: tuple[Mount, ...]
    environment: tuple[str, ...]
    command: bool
    settings: tuple[str, ...]
    update: str
    message: str


@dataclass(frozen=True)
class Manager:
    """The members of the swarm, and the services of the stack."""

    machines: tuple[Machine, ...]
    services: tuple[Deployed, ...]


def look_at_manager(node: NodeAccess) -> Manager:
    """Ask the manager for its members and the services of the stack."""
    api = node.docker().api
    entries = api.services(filters={"label": f"{NAMESPACE}={node.cluster.stack.name}"})  # type: ignore[no-untyped-call]
    try:
        found = [deployed(entry, node.cluster) for entry in entries]
    except LookupError as error:
        raise ObservationError(f"{node.name}: an entry of Docker's list of services lacks {error}") from None
    machines = sorted((machine(entry) for entry in api.nodes()), key=lambda one: (one.name, one.candidate.id))
    return Manager(tuple(machines), tuple(sorted(found, key=lambda one: one.name)))


def outdated(node: NodeAccess) -> tuple[str, ...]:
    """The services with a container here that is not made of the image which has its name here now."""
    api, stack = node.docker().api, node.cluster.stack
    found = set[str]()
    for one in api.containers(filters={"label": f"{NAMESPACE}={stack.name}"}):
        name = one["Labels"].get(SERVICE, "").removeprefix(f"{stack.name}_")
        wanted = stack.content.compose.services.get(name)
        if wanted and _number(api, wanted.image) not in {one["ImageID"], None}:
            found.add(name)
    return tuple(sorted(found))


def _number(api: Any, image: str) -> str | None:  # noqa: ANN401 - docker-py has no types of its own
    """The ID of the image of that name here; None where there is none, which step images says."""
    try:
        return str(api.inspect_image(image)["Id"])
    except EngineError as error:
        if error.status != NOT_FOUND:
            raise
        return None


def deployed(entry: dict[str, Any], cluster: Cluster) -> Deployed:
    """One entry of `/services`, next to the service of the same name in the file; LookupError for a missing key."""
    spec, status = entry["Spec"], entry.get("UpdateStatus") or {}
    template = spec["TaskTemplate"]
    container, placement = template["ContainerSpec"], template.get("Placement") or {}
    endpoint, mode = spec.get("EndpointSpec") or {}, spec["Mode"]
    name = short(entry, cluster.stack.name)
    compose = cluster.stack.content.compose
    wanted = compose.services.get(name)
    networks = [compose.networks.get(one, one) for one in wanted.networks] if wanted else []
    return Deployed(
        name, entry["ID"], container["Image"], mode["Replicated"]["Replicas"] if "Replicated" in mode else None,
        placement.get("MaxReplicas") or 0, tuple(placement.get("Constraints") or ()), endpoint.get("Mode") or "vip",
        tuple(sorted(map(_port, endpoint.get("Ports") or ()), key=str)),
        tuple(sorted(map(_mount, container.get("Mounts") or ()), key=str)),
        _other_names(container.get("Env") or (), wanted), _is_command(container, wanted),
        _settings(name, template, wanted, networks),
        status.get("State") or "", " ".join(str(status.get("Message") or "").split())[:200],
    )  # fmt: skip


def _port(entry: dict[str, Any]) -> Port:
    return Port(
        target=entry["TargetPort"], published=entry.get("PublishedPort") or 0, protocol=entry["Protocol"],
        mode=entry["PublishMode"],
    )  # fmt: skip


def _mount(entry: dict[str, Any]) -> Mount:
    return Mount(
        type=entry["Type"], source=entry.get("Source") or "", target=entry["Target"],
        read_only=bool(entry.get("ReadOnly")),
    )  # fmt: skip


def _other_names(environment: Iterable[str], wanted: Service | None) -> tuple[str, ...]:
    """The names that are in one of the two only, or with another value."""
    if wanted is None:
        return ()
    # A name without a value is filled in from the shell that deploys, which knows none.
    want = {(name, value) for name, value in wanted.environment.items() if value is not None}
    pairs = (text.partition("=") for text in environment)
    return tuple(sorted({name for name, _ in want ^ {(name, value) for name, _, value in pairs}}))


def _settings(
    name: str, template: dict[str, Any], wanted: Service | None, networks: Collection[str]
) -> tuple[str, ...]:
    if wanted is None:
        return ()
    moved = ("networks",) if is_elsewhere(template, networks, name) else ()
    return (*moved, *unwritten(template, wanted.written))


def _is_command(container: dict[str, Any], wanted: Service | None) -> bool:
    if wanted is None:
        return True
    command, arguments = tuple(container.get("Command") or ()), tuple(container.get("Args") or ())
    return (command, arguments) == (wanted.entrypoint, wanted.command)
