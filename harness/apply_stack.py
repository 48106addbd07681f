"""Deploying the stack, and waiting for its tasks: an end comes when they stay, when they keep failing, or in time.

The file of the stack may hold passwords. It goes through our own connection into a file that only its owner can
read; it is in no plan, tape, report or command line.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from harness.actions import Write
from harness.errors import ObservationError, RepairError, UsageError
from harness.inventory_stack import stack_file
from harness.parse import services
from harness.parse.compose_mesh import without_mesh
from harness.parse.task_reason import is_hopeless, why

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.actions import DeployStack, SettleService
    from harness.docker_client import Docker
    from harness.inventory import Cluster
    from harness.parse.services import Machine as Member
    from harness.parse.services import Tasks
    from harness.shell import Answer

# Docker tries again every five seconds; what failed so often in one place will not come by waiting.
MOST_FAILURES = 3
LOOP = 2  # one failure is an accident
DEPLOY_LIMIT = 180.0  # seconds for the command itself; it asks the registry for each image
TRIES = 3
STUCK = {"paused", "rollback_paused", "rollback_completed"}
NAMESPACE = "com.docker.stack.namespace"
READ = "if [ -e {0} ]; then echo is; cat -- {0}; else echo no; fi"


@dataclass(frozen=True)
class Pace:
    """How patient a wait is, in seconds.

    `beat` is between two looks. The same containers must run for `stay`, as long as Docker itself watches an update,
    and where one had died twice before for `long_stay`. For `hopeless` the scheduler may find no place, because members
    come back.
    """

    beat: float = 1.0
    stay: float = 5.0
    long_stay: float = 30.0
    hopeless: float = 15.0


PACE = Pace()


class Machine(Protocol):
    """The open connection to a machine."""

    def docker(self) -> Docker:
        """The client of its engine."""

    def ask(self, script: str, *, root: bool, limit: float | None) -> Answer:
        """Run quoted shell text."""


class Machines(Protocol):
    """What is needed of the run's connections."""

    def connection(self, name: str, /) -> Machine:
        """The open connection."""


def deploy_stack(
    action: DeployStack,
    cluster: Cluster,
    machines: Machines,
    write: Callable[[Write], None],
    say: Callable[[str], None],
    pace: Pace = PACE,
) -> None:
    """Write, deploy and wait; RepairError where Docker refuses. Whose tasks then fail is another step's word."""
    manager = machines.connection(action.node)
    octets = _file(action, cluster)
    before = _seen(action, manager)
    if before != octets:
        write(Write(action.node, action.path, before, octets, "keep the file of the stack", 0o600, action.owner))
    _deploy(action, manager, pace)
    complaint = Wait(manager, action.limit, say, {"label": f"{NAMESPACE}={action.stack}"}, pace).until_they_stay()
    say(f"{action.node}: {action.stack} is deployed{f', but {complaint}' if complaint else ''}")


def settle_service(action: SettleService, machines: Machines, say: Callable[[str], None], pace: Pace = PACE) -> None:
    """Make the tasks anew if asked to, and wait; RepairError says which task does not run, and why."""
    manager = machines.connection(action.node)
    for _ in range(TRIES):
        if action.force:
            # Ours is the wait: Docker's own has no end.
            argv = ("docker", "service", "update", "--detach", "--force", "--quiet", action.service)
            _command(manager, action.node, argv)
        wait = Wait(manager, action.limit, say, {"name": action.service}, pace)
        complaint = wait.until_they_stay()
        if complaint:
            raise RepairError(f"{action.node}: {complaint}")
        if not action.force or wait.is_on(action.spread):
            return
    raise RepairError(f"{action.node}: Docker does not spread {action.service} over {', '.join(action.spread)}")


def _file(action: DeployStack, cluster: Cluster) -> bytes:
    try:
        path = stack_file(cluster.stack.file, cluster.folder)
        octets = path.read_bytes()
    except (OSError, UsageError) as error:
        raise RepairError(f"{action.node}: the file of the stack cannot be read any more: {error}") from None
    if hashlib.sha256(octets).hexdigest() != action.digest:
        raise RepairError(f"{action.node}: {path.name} has changed since the inventory was read; run again")
    return without_mesh(octets.decode(), path.name, action.mesh).encode() if action.mesh else octets


def _seen(action: DeployStack, manager: Machine) -> bytes | None:
    answer = manager.ask(READ.format(shlex.quote(action.path)), root=True, limit=30.0)
    word, _, rest = answer.out.partition(b"\n")
    if answer.code or word not in {b"is", b"no"}:
        raise RepairError(f"{action.node}: {action.path} cannot be read")
    return rest if word == b"is" else None


def _deploy(action: DeployStack, manager: Machine, pace: Pace) -> None:
    """Once more where a stack of that name is still on its way out: its network goes last, and is in the way."""
    argv = ("docker", "stack", "deploy", "--compose-file", action.path, action.stack)
    for left in reversed(range(TRIES)):
        try:
            return _command(manager, action.node, argv)
        except RepairError as error:
            if not left or "network" not in str(error):
                raise
            time.sleep(5 * pace.beat)
    return None


def _command(manager: Machine, name: str, argv: tuple[str, ...]) -> None:
    answer = manager.ask(shlex.join(argv), root=True, limit=DEPLOY_LIMIT)
    if answer.code:
        words = (answer.err or answer.out).decode(errors="replace").strip().rpartition("\n")[2][:200]
        raise RepairError(f"{name}: `{shlex.join(argv)}` gave exit {answer.code}: {words}")


@dataclass
class Wait:
    """A bounded wait for services, those that `filters` (of `/services`) meet; `limit` in seconds."""

    manager: Machine
    limit: float
    say: Callable[[str], None]
    filters: dict[str, str]
    pace: Pace
    _failed: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)
    _same: tuple[frozenset[str], float] = (frozenset(), 0.0)
    _hopeless: float = 0.0
    _view: tuple[tuple[Tasks, ...], tuple[Member, ...]] = ((), ())

    def until_they_stay(self) -> str:
        """Why they do not, or an empty text; what had failed before does not count, for it may be mended now."""
        known: set[str] | None = None
        missing = "its manager gives no answer"
        while time.monotonic() - self._begun < self.limit:
            try:
                self._view = self._look()
            except ObservationError as error:
                missing = str(error)  # an engine that has just restarted finds its words again
            else:
                known = known if known is not None else set(self._failures())
                missing = self._missing()
                if not missing and self._stay():
                    return ""
                if self._is_in_vain(known):
                    return missing or "its tasks fail again and again"
            self.say(f"waiting for tasks: {missing or 'they run, for how long?'}")
            time.sleep(self.pace.beat)
        return f"{missing or 'its tasks do not stay'} (after {self.limit:g} s)"

    def is_on(self, names: tuple[str, ...]) -> bool:
        """Whether each of these machines runs a task."""
        found, machines = self._view
        return set(names) <= {task.node for one in found for task in one.running(machines)}

    def _look(self) -> tuple[tuple[Tasks, ...], tuple[Member, ...]]:
        api = self.manager.docker().api
        machines = tuple(services.machine(entry) for entry in api.nodes())
        names = {one.candidate.id: one.name for one in machines}
        asked = api.services(filters=self.filters, status=True)  # type: ignore[no-untyped-call]
        # Docker takes a name for the beginning of one.
        entries = [entry for entry in asked if entry["Spec"]["Name"] == self.filters.get("name", entry["Spec"]["Name"])]
        numbers = [entry["ID"] for entry in entries]
        found = api.tasks(filters={"service": numbers}) if entries else []  # type: ignore[no-untyped-call]
        return tuple(services.tasks(entry, found, names, "") for entry in entries), machines

    def _missing(self) -> str:
        """The first task that shall run and does not, or an update that is under way."""
        found, machines = self._view
        for one in found:
            running = len(one.running(machines))
            if running != one.wanted:
                task = next((task for task in one.latest() if not task.runs), None)
                return f"{running} of {one.wanted} tasks of {one.service} run{f'; {why(task)}' if task else ''}"
            if one.update in {"updating", "rollback_started"}:
                return f"{one.service} is being updated"
        return "" if found else "there is no such service"

    def _stay(self) -> bool:
        found, machines = self._view
        running = frozenset(task.id for one in found for task in one.running(machines))
        if running != self._same[0]:
            self._same = (running, time.monotonic())
        died = Counter(
            (one.service, task.slot)
            for one in found
            for task in one.tasks
            if task.state in services.DIED and task.is_current
        )
        loops = max(died.values(), default=0) >= LOOP
        return time.monotonic() - self._same[1] >= (self.pace.long_stay if loops else self.pace.stay)

    def _failures(self) -> dict[str, tuple[str, str]]:
        """The failures of the containers that the services ask for now, each with its service and slot."""
        return {
            task.id: (one.service, task.slot)
            for one in self._view[0]
            for task in one.tasks
            if task.state in services.GONE and task.is_current
        }

    def _is_in_vain(self, known: set[str]) -> bool:
        """Whether one slot failed too often since the beginning, or the scheduler finds no place for long."""
        found = self._view[0]
        if any(one.update in STUCK for one in found):
            return True
        for number, place in self._failures().items():
            if number not in known:
                self._failed.setdefault(place, set()).add(number)
        if any(is_hopeless(task) for one in found for task in one.latest()):
            self._hopeless = self._hopeless or time.monotonic()
            return time.monotonic() - self._hopeless > self.pace.hopeless
        self._hopeless = 0.0
        return any(len(ids) >= MOST_FAILURES for ids in self._failed.values())
