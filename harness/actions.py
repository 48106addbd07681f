"""What a repair may do, as values: what changes on which node, and why; `apply.py` alone carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer


def _octets(value: object) -> object:
    return value.encode("latin-1") if isinstance(value, str) else value


# A file's exact bytes. On a tape they are text with one character per byte, so that JSON keeps every
# byte and a person can still read it.
Octets = Annotated[
    bytes,
    BeforeValidator(_octets),
    PlainSerializer(lambda octets: octets.decode("latin-1"), return_type=str),
]


@dataclass(frozen=True)
class Run:
    """Run one program on a node as root.

    `argv` is an argument vector, never shell text. `last` marks what must come once, after all other
    actions of the plan (a restart). `limit` is in seconds. `finishes` marks what must not be cut off half-way (dpkg):
    it goes on to its end when the limit has passed, or the connection or this program ends.
    """

    node: str
    argv: tuple[str, ...]
    why: str
    last: bool = False
    limit: float = 60.0
    finishes: bool = False
    kind: Literal["run"] = "run"


@dataclass(frozen=True)
class Write:
    """Bring one file of a node from the bytes that were seen to the bytes that are wanted.

    `before` is None where no file was seen. `mode` and `owner` ("user:group") are those of a new file;
    an existing file keeps its own unless they are given.
    """

    node: str
    path: str
    before: Octets | None
    after: Octets
    why: str
    mode: int | None = None
    owner: str | None = None
    kind: Literal["write"] = "write"


@dataclass(frozen=True)
class WriteSshd:
    """Bring a file of sshd's configuration to the wanted bytes, and keep that only if a new login works then.

    `before` is None where no file was seen. Unless the change is confirmed, the node takes it back by itself
    after `limit` seconds, whatever became of us.
    """

    node: str
    path: str
    before: Octets | None
    after: Octets
    why: str
    limit: float = 90.0
    kind: Literal["write_sshd"] = "write_sshd"


@dataclass(frozen=True)
class Boot:
    """Switch on the power of a ClusterHAT port from the controller and wait until the node answers.

    `node` is the controller, `target` the node that boots, `link` the interface that its cable makes on the
    controller. `limit` is in seconds for each of at most `cycles` tries.
    """

    node: str
    target: str
    port: str
    link: str
    why: str
    limit: float = 150.0
    cycles: int = 3
    kind: Literal["boot"] = "boot"


@dataclass(frozen=True)
class JoinSwarm:
    """Make a machine a ready worker of the swarm of `manager`, and wait until the manager says so.

    The join token is fetched when it is needed, and is in no field. The machine advertises `address`, and asks the
    manager at `remote` ("address:port"). Where it is a member already and does not become ready in half of `limit`
    (seconds), its Docker is restarted; a ready one is left alone, and so is one of another swarm.
    """

    node: str
    manager: str
    address: str
    remote: str
    why: str
    limit: float = 120.0
    kind: Literal["join_swarm"] = "join_swarm"


@dataclass(frozen=True)
class BuildImage:
    """Build an image on a node, of `dockerfile` and `context`: paths below `folder` on the machine that runs us.

    `folder` is empty for the application that comes with the project. `limit` is in seconds; a Pi may take an hour.
    """

    node: str
    reference: str
    platform: str
    folder: str
    dockerfile: str
    context: str
    why: str
    limit: float = 7200.0
    kind: Literal["build_image"] = "build_image"


@dataclass(frozen=True)
class PushImage:
    """Give the registry an image that a node has, by the login of `user` there, unless it has one under this name."""

    node: str
    reference: str
    user: str
    why: str
    limit: float = 3600.0
    kind: Literal["push_image"] = "push_image"


@dataclass(frozen=True)
class DeployStack:
    """Write the file of the stack to `path` on the manager, deploy it, and wait until nothing moves any more.

    The file itself is in no field, because it may hold passwords: it is read again from the inventory's, whose bytes
    must still be those of `digest` (SHA-256). Where `mesh` says why there is no routing mesh, what is deployed is
    made from it (`compose_mesh.without_mesh`). `limit` bounds the wait, in seconds; what fails then is said by
    another step.
    """

    node: str
    stack: str
    path: str
    digest: str
    mesh: str
    owner: str
    why: str
    limit: float = 600.0
    kind: Literal["deploy_stack"] = "deploy_stack"


@dataclass(frozen=True)
class SettleService:
    """Wait until all tasks of a service run and stay; with `force` its tasks are first made anew, one after the other.

    That is repeated until each machine of `spread` has one, at most three times. `limit` is in seconds for each wait.
    """

    node: str
    service: str
    why: str
    force: bool = False
    spread: tuple[str, ...] = ()
    limit: float = 300.0
    kind: Literal["settle_service"] = "settle_service"


@dataclass(frozen=True)
class LoadSchema:
    """Run the schema script of a database's container, if the database `database` is still empty then.

    `digest` is the SHA-256 of the script that was judged: another one is not run. Root's password is fetched from the
    inventory when it is needed, and is in no field. `limit` bounds, in seconds, the wait for a server that starts.
    """

    node: str
    container: str
    database: str
    script: str
    digest: str
    why: str
    limit: float = 180.0
    kind: Literal["load_schema"] = "load_schema"


@dataclass(frozen=True)
class AllowWrites:
    """Have the server in a database's container take changes of all its accounts again, till its next start.

    `read_only` is set back and nothing else. Root's password is fetched from the inventory when it is needed.
    """

    node: str
    container: str
    why: str
    kind: Literal["allow_writes"] = "allow_writes"


DockerAction = JoinSwarm | BuildImage | PushImage | DeployStack | SettleService | LoadSchema | AllowWrites
Action = Run | Write | WriteSshd | Boot | DockerAction
