"""The tape: what every look of a run saw and what every repair said, so that the run can be judged again.

Format 1 is the JSON of `Tape`. Its events are in the order of the run:
`{"look": step, "seen": {node: state}, "failed": {node: {"kind", "message", "via"}}}` and
`{"done": [{"action", "failure"}]}`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from harness import errors, steps
from harness.converge import Crew, Sight
from harness.errors import ObservationError, UsageError
from harness.model import Action, Done, Mode

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence
    from pathlib import Path

    from harness.step import Step

FORMAT: Final = 1
DONE = TypeAdapter(tuple[Done, ...])
KINDS = {
    kind.__name__: kind
    for kind in (ObservationError, errors.Unreachable, errors.Refused, errors.MissingTool, errors.TimeLimit)
}


def _checked_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def _checked_step(name: str) -> str:
    if name not in steps.STEPS:
        raise ValueError(f"there is no step {name!r}")
    return name


class Tape(BaseModel):
    """A saved run: the words of `session.Request`, when it was (ISO 8601), how long it took, and its events.

    `chosen` are places as "step[node]"; `seconds` and `looked` are those of the record.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = FORMAT
    cluster: dict[str, Any]
    mode: Mode
    advice: bool
    steps: list[Annotated[str, AfterValidator(_checked_step)]]
    chosen: list[Annotated[str, Field(pattern=r"^[^\[\]]+\[[^\[\]]+\]$")]]
    started: Annotated[str, AfterValidator(_checked_time)]
    seconds: float
    looked: float
    events: list[dict[str, Any]]


@dataclass
class Recorder:
    """A crew that also writes down what another crew gives."""

    crew: Crew
    events: list[dict[str, Any]] = field(default_factory=list)

    def look(self, step: Step, names: Sequence[str]) -> Sight:
        """Look, and keep states and failures."""
        sight = self.crew.look(step, names)
        state = _state(step)
        self.events.append({
            "look": steps.name_of(step),
            "seen": {name: state.dump_python(found, mode="json") for name, found in sight.seen.items()},
            "failed": {name: _failure(error) for name, error in sight.failed.items()},
        })  # fmt: skip
        return sight

    def apply(self, actions: Sequence[Action]) -> tuple[Done, ...]:
        """Apply, and keep what was done."""
        done = self.crew.apply(actions)
        self.events.append({"done": DONE.dump_python(done, mode="json")})
        return done

    def renew(self) -> None:
        """Pass it on; there is nothing to keep."""
        self.crew.renew()


@dataclass
class Player:
    """A crew that gives what a tape kept, and touches nothing."""

    events: deque[dict[str, Any]]
    source: str

    def look(self, step: Step, names: Sequence[str]) -> Sight:
        """The next look on the tape, which must be of this step and these nodes."""
        event = self._next("look", steps.name_of(step))
        state = _state(step)
        try:
            seen = {name: state.validate_python(found) for name, found in event["seen"].items()}
            failed = {name: _error(found) for name, found in event["failed"].items()}
        except (ValidationError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{self.source}: a look at {steps.name_of(step)} does not read: {_line(error)}") from error
        if {*seen, *failed} != set(names):
            other = ", ".join(sorted({*seen, *failed} ^ set(names)))
            raise UsageError(
                f"{self.source}: a look at {steps.name_of(step)} is of other machines than asked for: {other}"
            )
        return Sight(seen, failed)

    def apply(self, actions: Sequence[Action]) -> tuple[Done, ...]:
        """What the run did next; UsageError where today's steps would do something else."""
        event = self._next("done", None)
        try:
            done = DONE.validate_python(event["done"])
        except ValidationError as error:
            raise UsageError(f"{self.source}: a repair does not read: {_line(error)}") from error
        if {one.action for one in done} != set(actions):
            raise UsageError(f"{self.source}: it was made by other rules of repair than this version's")
        return done

    def renew(self) -> None:
        """Nothing to renew."""

    def stop(self) -> None:
        """UsageError where the run went on and today's steps would not."""
        if self.events:
            raise UsageError(f"{self.source}: it goes on after its end: it was made by another version of the steps")

    def _next(self, kind: str, name: str | None) -> dict[str, Any]:
        event = self.events.popleft() if self.events else {}
        if kind not in event or (name is not None and event[kind] != name):
            asked = f"a look at {name}" if name else "a repair"
            raise UsageError(f"{self.source}: expected {asked} next: it was made by another version of the steps")
        return event


def read(path: Path) -> Tape:
    """Read a tape; UsageError says what is wrong with it."""
    try:
        return Tape.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such tape; a run leaves one in reports/<time>/tape.json") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not a tape of format {FORMAT}: {_line(error)}") from error


def write(tape: Tape) -> str:
    """The tape as JSON text."""
    return json.dumps(tape.model_dump(mode="json"), indent=1) + "\n"


def _state(step: Step) -> TypeAdapter[Any]:
    return TypeAdapter(step.State)


def _failure(error: ObservationError) -> dict[str, str]:
    return {"kind": type(error).__name__, "message": str(error), "via": error.via}


def _error(kept: dict[str, str]) -> ObservationError:
    return KINDS.get(kept["kind"], ObservationError)(kept["message"], via=kept["via"])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
