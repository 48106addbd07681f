"""Running the schema script: once, on a database that is empty at that moment, with the text that was judged.

And letting a server write again.

Root's password goes from the inventory to the client's input; it is in no command line, plan, tape or report.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from typing import TYPE_CHECKING, Protocol

from harness.backend import fed
from harness.errors import ObservationError, RepairError
from harness.parse import mysql
from harness.parse.database_sql import EMPTY, is_empty
from harness.parse.sql_script import obstacle

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.actions import AllowWrites, LoadSchema
    from harness.inventory import Cluster
    from harness.shell import Answer

SLICE = 5  # seconds of waiting between two words to the person who looks on
STEP_LIMIT = 60.0
SCRIPT_LIMIT = 300.0  # seconds for the script itself on a Raspberry Pi's card


class Machine(Protocol):
    """The open connection to a machine."""

    def ask(self, script: str, *, root: bool, limit: float | None) -> Answer:
        """Run quoted shell text."""


class Machines(Protocol):
    """What this needs of the run's connections."""

    @property
    def cluster(self) -> Cluster:
        """The inventory."""

    def connection(self, name: str, /) -> Machine:
        """The open connection."""


def load_schema(action: LoadSchema, machines: Machines, say: Callable[[str], None]) -> None:
    """Wait for the server, make sure that nothing is there, and run the script; RepairError where it is not run."""
    machine, wanted = machines.connection(action.node), machines.cluster.database
    password = wanted.root_password.reveal()

    def ask(sql: str, seconds: int, limit: float) -> Answer:
        command = shlex.join(mysql.argv(action.container, seconds, limit))
        return machine.ask(fed(command, f"{password}\n{sql}"), root=True, limit=limit + SLICE)

    _await_server(action, ask, say)
    found = ask(EMPTY.format(database=wanted.name, user=wanted.user), 0, STEP_LIMIT)
    try:
        if found.code or not is_empty(found.out.decode(errors="replace")):
            raise RepairError(f"{action.node}: {action.database} is left as it is: it is not empty any more")
    except ObservationError as error:
        raise RepairError(f"{action.node}: {action.database} is left as it is: {error}") from error
    answer = ask(_script(action, machine), 0, SCRIPT_LIMIT)
    if answer.code:
        _, words = mysql.error(answer.err.decode(errors="replace"))
        raise RepairError(f"{action.node}: {action.script} did not run to its end: {words or f'exit {answer.code}'}")


def allow_writes(action: AllowWrites, machines: Machines) -> None:
    """Set back `read_only`, in which MySQL includes `super_read_only`; RepairError where the server refuses."""
    password = machines.cluster.database.root_password.reveal()
    command = shlex.join(mysql.argv(action.container, 0, STEP_LIMIT))
    script = fed(command, f"{password}\nSET GLOBAL read_only = 0;")
    answer = machines.connection(action.node).ask(script, root=True, limit=STEP_LIMIT + SLICE)
    if answer.code:
        _, words = mysql.error(answer.err.decode(errors="replace"))
        raise RepairError(f"{action.node}: the database does not take writes again: {words or f'exit {answer.code}'}")


def _await_server(action: LoadSchema, ask: Callable[[str, int, float], Answer], say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + action.limit
    while True:
        answer = ask("", SLICE, STEP_LIMIT)
        if answer.code == 0:
            return
        number, words = mysql.error(answer.err.decode(errors="replace"))
        why = words or f"exit {answer.code}"
        if answer.code != mysql.NOT_YET:
            raise RepairError(f"{action.node}: the database refuses: {why}")
        if time.monotonic() > deadline:
            raise RepairError(f"{action.node}: the database does not answer within {action.limit:g} s: {why}")
        say(f"{action.node}: waiting for the database to answer (error {number})")


def _script(action: LoadSchema, machine: Machine) -> str:
    """The text that is run is the text that was judged, and it is judged once more."""
    command = shlex.join(("docker", "exec", action.container, "cat", "--", action.script))
    answer = machine.ask(command, root=True, limit=STEP_LIMIT)
    if answer.code or hashlib.sha256(answer.out).hexdigest() != action.digest:
        raise RepairError(f"{action.node}: {action.script} is not the one that was looked at, so it is not run")
    text = answer.out.decode(errors="replace")
    if why := obstacle(text, action.database):
        raise RepairError(f"{action.node}: {action.script} is not run: {why}")
    return text
