"""Building an image on a node and giving it to the registry, which no look may do.

The build context goes through the node's engine, over our own connection. The registry is talked to by the node's own
command, as the user who logged in there: his credentials are in no command line, and never come here.
"""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import RepairError, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.actions import BuildImage, PushImage
    from harness.docker_client import Docker
    from harness.shell import Answer

SHIPPED = Path(__file__).parents[1] / "fixtures" / "app"
QUIET = 900.0  # seconds without a word from a build; a step of a Dockerfile may be silent for long on a Pi Zero
ASK_LIMIT = 60.0
# What `docker manifest inspect` says where nobody is in the way of a push.
NOTHING_THERE = ("no such manifest", "manifest unknown", "name unknown", "denied", "unauthorized")


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


def build_image(action: BuildImage, machines: Machines, say: Callable[[str], None]) -> None:
    """Build, telling what goes on; RepairError with Docker's last words where that fails or takes too long."""
    home = Path(action.folder) if action.folder else SHIPPED
    folder, dockerfile = (home / action.context).resolve(), (home / action.dockerfile).resolve()
    if not folder.is_dir() or not dockerfile.is_file():
        missing = dockerfile if folder.is_dir() else folder
        raise RepairError(f"{action.node}: {action.reference} cannot be built: there is no {missing} here")
    api, deadline = machines.connection(action.node).docker().api, time.monotonic() + action.limit
    last = ""
    for event in api.build_from(folder, dockerfile, action.reference, action.platform, QUIET):
        if event.get("error"):
            raise RepairError(f"{action.node}: {action.reference} cannot be built: {_line(event['error'])} ({last})")
        step = _line(event.get("stream") or "")
        if step:
            last = step
            say(f"{action.node}: building {action.reference}: {step[:60]}")
        if time.monotonic() > deadline:
            raise RepairError(f"{action.node}: {action.reference} was not built within {action.limit:g} s ({last})")


def push_image(action: PushImage, machines: Machines) -> None:
    """Push, unless the registry shows this user an image of that name, which the push would replace."""
    machine = machines.connection(action.node)
    _refuse_to_replace(action, machine)
    by_hand = f"`docker login` on {action.node} as {action.user}, then repair again"
    try:
        answer = machine.ask(_as_user(action, "push"), root=True, limit=action.limit)
    except TimeLimit:
        raise RepairError(f"{action.node}: the registry did not take {action.reference} in time") from None
    if answer.code:
        words = _line((answer.err or answer.out).decode(errors="replace"))
        hint = f"; {by_hand}" if any(word in words for word in ("denied", "unauthorized", "authentication")) else ""
        raise RepairError(f"{action.node}: the registry does not take {action.reference}: {words}{hint}")


def _refuse_to_replace(action: PushImage, machine: Machine) -> None:
    """What anybody may pull was looked for before; this user may see more than that."""
    answer = machine.ask(_as_user(action, "manifest", "inspect"), root=True, limit=ASK_LIMIT)
    words = _line((answer.err or answer.out).decode(errors="replace"))
    if not answer.code:
        raise RepairError(
            f"{action.node}: the registry has {action.reference} already, but not for everybody; make it public, or "
            "give the image a name of your own"
        )
    if not any(word in words for word in NOTHING_THERE):
        raise RepairError(f"{action.node}: nobody can say whether the registry has {action.reference}: {words}")


def _as_user(action: PushImage, *words: str) -> str:
    """-H: Docker keeps its logins in the home directory; sudo also gives the groups that a login of today would."""
    return shlex.join(("sudo", "-n", "-H", "-u", action.user, "--", "docker", *words, action.reference))


def _line(text: Any) -> str:  # noqa: ANN401 - an engine's word
    """The last line that says something."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
