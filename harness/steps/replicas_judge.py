"""Part of step `replicas`: one service, as a whole and on each machine that may run it; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import SettleService
from harness.model import Check
from harness.parse.services import DIED, ON_ITS_WAY
from harness.parse.task_reason import is_hopeless, why
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.inventory import Cluster
    from harness.parse.services import Machine, Task, Tasks

STAYS = 30_000  # milliseconds for which a container must run after others of its place have failed
RECENT = 120_000  # milliseconds within which failures count together
LOOP = 2  # one failure is an accident


@dataclass(frozen=True)
class Service:
    """A service with its tasks, the machines that may run it, all machines, and the time on the controller."""

    seen: Tasks
    may_run: tuple[str, ...]
    machines: Sequence[Machine]
    now: int
    cluster: Cluster

    @property
    def counts(self) -> Counter[str]:
        """How many of its tasks run on each machine."""
        return Counter(task.node for task in self.seen.running(self.machines))

    @property
    def least(self) -> int:
        """How many tasks each machine has when they are spread."""
        return self.seen.wanted // len(self.may_run) if self.may_run else 0

    @property
    def is_complete(self) -> bool:
        """Whether as many run as shall."""
        return self.counts.total() == self.seen.wanted

    @property
    def unfit(self) -> dict[str, str]:
        """The machines that may run it and take no tasks now, each with its state."""
        found = {one.name: one for one in self.machines if one.name in self.may_run and not one.takes_tasks}
        return {name: one.availability if one.state == "ready" else one.state for name, one in found.items()}

    def settle(self, *, force: bool = False) -> tuple[SettleService, ...]:
        """The wait for its tasks, or making them anew; nothing where a machine is missing, for it comes first."""
        if self.unfit:
            return ()
        why_ = "spread the tasks over all machines" if force else "wait for its tasks"
        name = f"{self.cluster.stack.name}_{self.seen.service}"
        spread = self.may_run if force else ()
        return (SettleService(self.cluster.controller.name, name, why_, force, spread),)


def judge_service(one: Service) -> Iterator[Check]:
    """As many tasks as wanted, on as many machines as can be; said of the whole, so that who is well goes on."""
    hub, name, wanted = one.cluster.controller.name, one.seen.service, one.seen.wanted
    running = one.counts.total()
    idle = [_idle(one, task) for task in one.seen.latest() if not task.runs]
    fix = () if _is_without_hope(one) else one.settle()
    yield Check(
        hub, f"{name} runs", f"{wanted} of {wanted}",
        f"{running} of {wanted}{''.join(f'; {text}' for text in idle) if running != wanted else ''}",
        running == wanted, fix=fix, by_hand="" if fix else _cause(one), stops=False,
    )  # fmt: skip
    fix = one.settle(force=True) if one.is_complete else ()
    yield Check(
        hub, f"{name} is spread", _wanted_spread(one), _seen_spread(one), _is_spread(one), fix=fix,
        by_hand="" if fix else _cause(one), stops=False,
    )  # fmt: skip
    yield from _judge_strays(one)


def _judge_strays(one: Service) -> Iterator[Check]:
    """Tasks on a machine that may not run them: its label was taken away while they ran."""
    strays = sorted(one.counts.keys() - set(one.may_run))
    yield Check(
        one.cluster.controller.name, f"{one.seen.service} runs elsewhere", "nowhere", ", ".join(strays) or "nowhere",
        not strays, fix=one.settle(force=True), by_hand=_cause(one), stops=False,
    )  # fmt: skip


def judge_here(name: str, one: Service) -> Iterator[Check]:
    """What a machine has of a service: a task where each has one, and none that dies again and again."""
    if name not in one.may_run and not one.counts[name]:
        return
    if one.least:
        yield _judge_presence(name, one)
    for task in one.seen.running(one.machines):
        if task.node == name:
            yield _judge_stay(name, one, task)


def _judge_presence(name: str, one: Service) -> Check:
    service, idle = one.seen.service, [task for task in one.seen.latest() if task.node == name and not task.runs]
    reason = f": {_idle(one, idle[0]).partition(': ')[2]}" if idle else ""
    fix = one.settle(force=one.is_complete) if one.is_complete or not _is_without_hope(one) else ()
    seen = "yes" if one.counts[name] else f"no{reason}"
    return expect(name, f"{service} runs here", want="yes", seen=seen, fix=fix, by_hand=_cause(one))


def _judge_stay(name: str, one: Service, task: Task) -> Check:
    """By the manager's word on earlier tasks of this place."""
    doubt = unsettled(one.seen, task, one.now)
    return expect(
        name, f"{one.seen.service} stays", want="yes", seen=doubt or "yes", fix=one.settle(), by_hand=_cause(one)
    )


def unsettled(seen: Tasks, task: Task, now: int) -> str:
    """Why nobody can say yet that a running task stays: others of its place failed again and again; or empty."""
    died, age = _died(seen, task, now), max(now - task.since, 0)
    if len(died) < LOOP or age >= STAYS:
        return ""
    return f"runs for {age // 1000} s after {len(died)} failures; {why(died[0]).partition(': ')[2]}"


def _died(seen: Tasks, task: Task, now: int) -> list[Task]:
    """What failed in a task's place shortly before, being what the service asks for now; the last one first."""
    found = [
        other for other in seen.tasks
        if other.slot == task.slot and other.state in DIED and other.is_current and now - other.since < RECENT
    ]  # fmt: skip
    return sorted(found, key=lambda other: -other.since)


def _idle(one: Service, task: Task) -> str:
    """Why a task does not run; one that is on its way has no reason yet, but the one before it may have had."""
    died = (
        [other for other in _died(one.seen, task, one.now) if other.id != task.id] if task.state in ON_ITS_WAY else []
    )
    return f"{why(task)}, and before that {why(died[0])}" if died else why(task)


def _is_without_hope(one: Service) -> bool:
    return any(is_hopeless(task) for task in one.seen.latest())


def _is_spread(one: Service) -> bool:
    """Each machine has as many tasks as the next one, or one more where the number does not come out even."""
    most = one.least + (1 if one.may_run and one.seen.wanted % len(one.may_run) else 0)
    return all(one.least <= one.counts[name] <= most for name in one.may_run)


def _wanted_spread(one: Service) -> str:
    names = ", ".join(one.may_run) or "nobody"
    return names if one.seen.wanted == len(one.may_run) else f"{one.seen.wanted} evenly on {names}"


def _seen_spread(one: Service) -> str:
    has = [f"{name} ({number})" if number > 1 else name for name, number in sorted(one.counts.items())]
    lacks = [name for name in one.may_run if one.counts[name] < one.least]
    said = [f"{name} ({one.unfit[name]})" if name in one.unfit else name for name in lacks]
    text = ", ".join(has) or "nobody"
    if _is_spread(one):
        return _wanted_spread(one)
    return f"{text}; none on {', '.join(said)}" if said else text


def _cause(one: Service) -> str:
    """Whose concern it is where no action of ours would help."""
    if one.unfit:
        states = ", ".join(f"{name} is {state}" for name, state in one.unfit.items())
        return f"{states}: steps power and swarm bring it back, and then its task comes back or `--repair` spreads anew"
    name = f"{one.cluster.stack.name}_{one.seen.service}"
    return f"`docker service ps --no-trunc {name}` and `docker service logs {name}` say why"
