"""The words of the house as frozen values: check, action, outcome, and the record of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer

Level = Literal["must", "advice"]
Mode = Literal["verify", "plan", "repair"]


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


@dataclass(frozen=True)
class Check:
    """One comparison of what must hold on a node with what was seen there.

    `holds` is the verdict of the step's own rule (equality, unless the aspect is a range). `fix` are the
    actions that would mend a difference; where it is empty, `by_hand` says what a person can do. `stops` says
    whether later steps wait for it: what is said of the whole cluster leaves the machines that are well to go on.
    """

    node: str
    aspect: str
    want: str
    seen: str
    holds: bool
    level: Level = "must"
    fix: tuple[Action, ...] = ()
    by_hand: str = ""
    stops: bool = True


@dataclass(frozen=True)
class Done:
    """One action that was tried in a repair, and the sentence of its failure (empty: it succeeded)."""

    action: Action
    failure: str = ""


class Verdict(StrEnum):
    """What became of one step on one node."""

    OK = "ok"
    DIFFERS = "differs"
    REPAIRED = "repaired"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"

    @property
    def is_met(self) -> bool:
        """Whether a step that needs this one may go on."""
        return self in {Verdict.OK, Verdict.REPAIRED}


@dataclass(frozen=True, order=True)
class Place:
    """One step on one node; `str()` gives `step[node]`."""

    step: str
    node: str

    def __str__(self) -> str:
        return f"{self.step}[{self.node}]"


@dataclass(frozen=True)
class Outcome:
    """What became of one step on one node, with all that it rests on.

    `checks` are those of the last look; `first` those of the first look where a repair came between,
    else empty. `cause` is the root place that blocked this one. `planned` is what a repair would do
    (mode plan) or what the first look planned (mode repair), `done` what a repair did.
    """

    place: Place
    verdict: Verdict
    reason: str = ""
    cause: Place | None = None
    checks: tuple[Check, ...] = ()
    first: tuple[Check, ...] = ()
    planned: tuple[Action, ...] = ()
    done: tuple[Done, ...] = ()

    @property
    def lets_on(self) -> bool:
        """Whether a step that needs this one may go on here."""
        if self.verdict is not Verdict.DIFFERS:
            return self.verdict.is_met
        failing = [check for check in self.checks if check.level == "must" and not check.holds]
        return bool(failing) and not any(check.stops for check in failing)


@dataclass(frozen=True)
class Record:
    """One whole run: the material of the report, the summary and the exit code.

    `started` is ISO 8601 with offset; `seconds` is the length of the run; `looked` is the part of it
    spent in looking at nodes. `other_failures` names failed tests that are no outcome of a step (witnesses, and
    tests of the user's own).
    """

    cluster: str
    mode: Mode
    started: str
    seconds: float
    looked: float
    nodes: tuple[str, ...]
    steps: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    other_failures: tuple[str, ...] = ()

    def outcome(self, place: Place) -> Outcome | None:
        """The outcome at a place, or None where the run did not go there."""
        return next((outcome for outcome in self.outcomes if outcome.place == place), None)
