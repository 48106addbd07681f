"""Step `replicas`: every task of the stack runs and stays, one web task on each node (runbook L231, L477)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.model import Check
from harness.node import SLICE, slices
from harness.parse.services import Machine, Tasks, machine, tasks
from harness.step import LookFrom, expect
from harness.steps.replicas_judge import STAYS, Service, judge_here, judge_service, unsettled
from harness.steps.stack_look import NAMESPACE
from harness.steps.stack_services import machines_of
from harness.steps.stack_sources import may_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("stack",)
LOOK_FROM: LookFrom = "controller"
# What has just been started gets some seconds to run; what the scheduler complains of, none. $1 is the stack.
PATIENCE = 15
PAUSE = 2  # seconds between two looks at a task that may die again
SETTLED = r"""
end=$(($(date +%s)+$0))
starting() {
  docker stack ps --no-trunc -f desired-state=running --format '{{.Error}}|{{.CurrentState}} {{.Name}}' "$1" \
    2>/dev/null |
    grep -E '^[|](New|Allocated|Pending|Assigned|Accepted|Preparing|Ready|Starting) '
}
while late=$(starting "$1"); do
  [ "$(date +%s)" -lt "$end" ] ||
    { echo "$late" | sed 's/^|\([A-Z][a-z]*\).* \([^ ]*\)$/\2 is \1/' | sort | paste -s -d ,; exit 0; }
  sleep 1
done
"""


@dataclass(frozen=True)
class State:
    """The services of the stack with their tasks, the members of the swarm, and the time there (Unix, milliseconds)."""

    now: int
    machines: tuple[Machine, ...]
    services: tuple[Tasks, ...]


def observe(node: NodeAccess) -> State:
    """Ask the manager, once what has just begun to start has started."""
    node.wait(PATIENCE, "tasks to run", SETTLED, node.cluster.stack.name)
    return settled(node, lambda: _look(node))


def settled(node: NodeAccess, look: Callable[[], State]) -> State:
    """The last of several looks: a task in whose place others died is given the time to stay.

    That may be a loop, or only an accident soon after a power cut.
    """
    for seconds in slices(STAYS // 1000 + SLICE):
        state = look()
        doubts = [
            f"{tasks.service} {doubt}"
            for tasks in state.services
            for task in tasks.running(state.machines)
            if (doubt := unsettled(tasks, task, state.now))
        ]
        if not doubts:
            break
        node.say(f"{node.name}: waiting for a task to stay: {doubts[0]}")
        node.ask("sleep %s", str(min(seconds, PAUSE)))
    return state


def _look(node: NodeAccess) -> State:
    stack, api = node.cluster.stack.name, node.docker().api
    machines = tuple(sorted((machine(entry) for entry in api.nodes()), key=lambda one: (one.name, one.candidate.id)))
    names = {one.candidate.id: one.name for one in machines}
    entries = api.services(filters={"label": f"{NAMESPACE}={stack}"}, status=True)  # type: ignore[no-untyped-call]
    numbers = [entry["ID"] for entry in entries]
    found = api.tasks(filters={"service": numbers}) if numbers else []  # type: ignore[no-untyped-call]
    now = int(node.ask("date %s", "+%s%3N"))
    services = sorted((tasks(entry, found, names, stack) for entry in entries), key=lambda one: one.service)
    return State(now, machines, tuple(services))


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Each service of the file as a whole, from the controller; then what each machine runs of it."""
    hub = cluster.controller.name
    if hub not in seen:
        return
    state = seen[hub]
    machines = machines_of(state.machines, cluster)
    found = {one.service: one for one in state.services}
    services = [
        Service(found[name], may_run(wanted, machines), machines, state.now, cluster)
        for name, wanted in cluster.stack.content.compose.services.items() if name in found
    ]  # fmt: skip
    missing = sorted(cluster.stack.content.compose.services.keys() - found.keys())
    yield expect(
        hub, "services of the stack", want="all", seen=f"not {', '.join(missing)}" if missing else "all",
        by_hand="step stack deploys them",
    )  # fmt: skip
    for service in services:
        yield from judge_service(service)
    for name in cluster.names:
        checks = [check for service in services for check in judge_here(name, service)]
        yield from checks or [expect(name, "tasks of the stack", want="none placed here", seen="none placed here")]
