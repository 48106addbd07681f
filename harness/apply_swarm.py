"""Joining a swarm: the token goes from the manager's engine to the worker's through our own channels.

So it is in no command line, plan, tape or report, and nobody on either machine sees it pass.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import EngineError, ObservationError, RepairError, TimeLimit, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.actions import JoinSwarm
    from harness.docker_client import Docker
    from harness.shell import Answer

SETTLE = 0.5  # seconds between two looks
RESTART_LIMIT = 120.0  # seconds; systemd gives a Docker that hangs a minute and a half to stop


class Machine(Protocol):
    """The open connection to a machine."""

    def docker(self) -> Docker:
        """The client of its engine."""

    def ask(self, script: str, *, root: bool, limit: float | None) -> Answer:
        """Run quoted shell text."""


class Machines(Protocol):
    """What joining needs of the run's connections."""

    def connection(self, name: str, /) -> Machine:
        """The open connection."""


def join_swarm(action: JoinSwarm, machines: Machines, say: Callable[[str], None]) -> None:
    """Join, or bring back what has joined, and wait until the manager finds it ready; RepairError where not."""
    manager, worker = machines.connection(action.manager), machines.connection(action.node)
    deadline = time.monotonic() + action.limit
    said = _membership(worker)
    if said["LocalNodeState"] == "inactive":
        _join(action, _token(action, manager, deadline, say), worker)
    elif not said["NodeID"]:
        # It has a place in some swarm, and cannot say which: most often in this one, so leaving would be the harm.
        why = f"{said['LocalNodeState']} {said.get('Error') or ''}".strip()
        mend = "set the clock right, then `systemctl restart docker` there, and repair again"
        raise RepairError(f"{action.node}: Docker's swarm part does not start ({why}); {mend}")
    elif not _is_known(manager, said["NodeID"]):
        raise RepairError(f"{action.node}: it is in another swarm; `docker swarm leave` there, and repair again")
    elif not _await_ready(action, manager, worker, time.monotonic() + action.limit / 2, say):
        answer = worker.ask("systemctl restart docker", root=True, limit=RESTART_LIMIT)
        if answer.code:
            raise RepairError(f"{action.node}: Docker does not restart: exit {answer.code}")
        deadline = time.monotonic() + action.limit / 2
    if not _await_ready(action, manager, worker, deadline, say):
        raise RepairError(f"{action.node}: {_why_not_ready(action, manager, worker)}")


def _token(action: JoinSwarm, manager: Machine, deadline: float, say: Callable[[str], None]) -> str:
    """The token of this moment; waits for a manager that is just being made one."""
    while True:
        try:
            return str(manager.docker().api.inspect_swarm()["JoinTokens"]["Worker"])
        except (ObservationError, LookupError) as error:
            if time.monotonic() > deadline:
                why = "it gives no token" if isinstance(error, LookupError) else str(error)
                raise RepairError(f"{action.node}: {action.manager} lets nobody join: {why}") from None
        say(f"{action.node}: waiting for the swarm of {action.manager}")
        time.sleep(SETTLE)


def _join(action: JoinSwarm, token: str, worker: Machine) -> None:
    """Ask the worker's engine to join; it goes on trying by itself when it cannot at once."""
    api = worker.docker().api
    try:
        api.join_swarm([action.remote], token, advertise_addr=action.address)
    except (TimeLimit, Unreachable):
        return  # what came of it is in the state that is looked at next
    except EngineError as error:
        if _membership(worker)["LocalNodeState"] in {"inactive", "error"}:
            raise RepairError(str(error).replace(token, "***")) from None


def _await_ready(
    action: JoinSwarm, manager: Machine, worker: Machine, deadline: float, say: Callable[[str], None]
) -> bool:
    while not _is_ready(manager, worker):
        if time.monotonic() > deadline:
            return False
        say(f"{action.node}: waiting until it is a ready member of the swarm")
        time.sleep(SETTLE)
    return True


def _is_ready(manager: Machine, worker: Machine) -> bool:
    """Both sides must say so. An engine that is just starting says nothing, which is no answer yet."""
    try:
        said = _membership(worker)
        if said["LocalNodeState"] != "active":
            return False
        return bool(manager.docker().api.inspect_node(said["NodeID"])["Status"]["State"] == "ready")
    except (ObservationError, LookupError):
        return False


def _is_known(manager: Machine, number: str) -> bool:
    return any(node["ID"] == number for node in manager.docker().api.nodes())


def _membership(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = machine.docker().api.info()["Swarm"]
    return found


def _why_not_ready(action: JoinSwarm, manager: Machine, worker: Machine) -> str:
    try:
        said = _membership(worker)
    except ObservationError as error:
        return f"not ready in the swarm within {action.limit:g} s: {error}"
    state, why = said["LocalNodeState"], said.get("Error") or ""
    if state == "active" and not _is_known(manager, said["NodeID"]):
        return f"it joined, and {action.manager} does not list it"
    return f"not ready in the swarm of {action.manager} within {action.limit:g} s: {state} {why}".strip()
