"""What a manager says of services, their tasks and the members of the swarm (Docker's API, `/services`, `/tasks`).

Source of the fields: docs.docker.com/engine/api/v1.41; facts on tasks: `docker service ps` shows the same.
"""

from __future__ import annotations

import re
from calendar import timegm
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt
from harness.parse.placement import Candidate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The part of a template that makes another container of it.
OF_CONTAINER = ("Image", "Command", "Args", "Env", "Mounts")
TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z")
GONE = {"failed", "rejected"}
# A container that ends by itself, in whatever way: a service is not to end.
DIED = {"failed", "complete"}
ON_ITS_WAY = {"new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting"}


@dataclass(frozen=True)
class Machine:
    """A member of the swarm as the scheduler sees it: `state` ready or down, `availability` active, drain or pause."""

    candidate: Candidate
    state: str
    availability: str

    @property
    def name(self) -> str:
        """Its host name."""
        return self.candidate.hostname

    @property
    def takes_tasks(self) -> bool:
        """Whether the scheduler gives it anything."""
        return self.state == "ready" and self.availability == "active"


@dataclass(frozen=True)
class Task:
    """One try to run a container: `slot` is its place in the service, `since` when it came into its state.

    Times are milliseconds of Unix time.

    `node` is a host name, empty while nobody has it. `is_current` says that it was made by the template that the
    service has now.
    """

    id: str
    slot: str
    node: str
    state: str
    desired: str
    since: int
    created: int
    error: str
    exit_code: int
    is_current: bool

    @property
    def runs(self) -> bool:
        """Whether it runs and shall."""
        return self.state == self.desired == "running"


@dataclass(frozen=True)
class Tasks:
    """A service with its tasks: `wanted` is how many shall run, `update` the state of its last update."""

    service: str
    id: str
    wanted: int
    update: str
    tasks: tuple[Task, ...]

    def latest(self) -> tuple[Task, ...]:
        """The newest task of each slot that shall still be there, by slot."""
        newest: dict[str, Task] = {}
        for task in sorted(self.tasks, key=lambda one: one.created):
            newest[task.slot] = task
        found = [task for task in newest.values() if task.desired not in {"shutdown", "remove"} or task.state in GONE]
        return tuple(sorted(found, key=lambda task: (len(task.slot), task.slot)))

    def running(self, machines: Iterable[Machine]) -> tuple[Task, ...]:
        """The tasks that run on a member that is not down; of one that is, nobody knows."""
        down = {machine.name for machine in machines if machine.state == "down"}
        return tuple(task for task in self.tasks if task.runs and task.node not in down)


def machine(entry: Mapping[str, Any]) -> Machine:
    """One entry of `/nodes`."""
    try:
        spec, said = entry["Spec"], entry["Description"]
        platform, engine = said["Platform"], said.get("Engine") or {}
        candidate = Candidate(
            said["Hostname"], spec["Role"], entry["ID"], platform["OS"], platform["Architecture"],
            dict(spec.get("Labels") or {}), dict(engine.get("Labels") or {}),
        )  # fmt: skip
        return Machine(candidate, entry["Status"]["State"], spec["Availability"])
    except LookupError as error:
        raise ObservationError(f"an entry of Docker's list of nodes lacks {error}") from None


def tasks(entry: Mapping[str, Any], found: Iterable[Mapping[str, Any]], names: Mapping[str, str], stack: str) -> Tasks:
    """A service and those of `found` that are its own; `names` are host names by the numbers of members."""
    try:
        template, mode = entry["Spec"]["TaskTemplate"], entry["Spec"]["Mode"]
        wanted = mode["Replicated"]["Replicas"] if "Replicated" in mode else entry["ServiceStatus"]["DesiredTasks"]
        own = tuple(_task(one, template, names) for one in found if one["ServiceID"] == entry["ID"])
        update = (entry.get("UpdateStatus") or {}).get("State") or ""
        return Tasks(short(entry, stack), entry["ID"], wanted, update, own)
    except LookupError as error:
        raise ObservationError(f"an entry of Docker's list of services lacks {error}") from None


def short(entry: Mapping[str, Any], stack: str) -> str:
    """A service's name as the file of its stack has it."""
    return str(entry["Spec"]["Name"]).removeprefix(f"{stack}_")


def _task(entry: Mapping[str, Any], template: Mapping[str, Any], names: Mapping[str, str]) -> Task:
    status, number = entry["Status"], entry.get("NodeID") or ""
    code = (status.get("ContainerStatus") or {}).get("ExitCode") or 0
    node = names.get(number, number)
    return Task(
        entry["ID"], str(entry.get("Slot") or number), node, status["State"], entry["DesiredState"],
        instant(status["Timestamp"]), instant(entry["CreatedAt"]), " ".join(str(status.get("Err") or "").split()), code,
        _is_of(entry["Spec"], template),
    )  # fmt: skip


def _is_of(spec: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    ours, theirs = spec.get("ContainerSpec") or {}, template.get("ContainerSpec") or {}
    is_same = all((ours.get(key) or None) == (theirs.get(key) or None) for key in OF_CONTAINER)
    return is_same and (spec.get("ForceUpdate") or 0) == (template.get("ForceUpdate") or 0)


def instant(text: str) -> int:
    """A time as Docker writes it (RFC 3339, nanoseconds) in milliseconds of Unix time."""
    match = TIME.fullmatch(text)
    if not match:
        raise ObservationError(f"expected a time like 2026-01-31T12:00:00.5Z of Docker, got {excerpt(text)}")
    *parts, fraction = match.groups(default="")
    try:
        return timegm((*map(int, parts), 0, 0, 0)) * 1000 + int(fraction[:3].ljust(3, "0"))
    except ValueError:
        raise ObservationError(f"Docker names a day that is in no calendar: {excerpt(text)}") from None
