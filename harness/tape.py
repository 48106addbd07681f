"""The tape: what every look of a run saw and what every repair said, so that the run can be judged again.

Format 1 is the JSON of `Tape`. Its events are in the order of the run:
`{"look": step, "seen": {node: state}, "failed": {node: {"kind", "message", "via"}}}` and
`{"done": [{"action", "failure"}]}`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from harness import errors, steps
from harness.converge import Crew, Sight
from harness.errors import ObservationError, UsageError
from harness.expected import misfit
from harness.model import Done, Mode

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence
    from pathlib import Path

    from harness.actions import Action
    from harness.step import Step

FORMAT: Final = 1
PLACE = re.compile(r"[^\[\]]+\[[^\[\]]+\]\Z")
WHERE = "a run leaves one in reports/<time>/tape.json"
Found = TypeVar("Found")
DONE = TypeAdapter(tuple[Done, ...])
KINDS = {
    kind.__name__: kind
    for kind in (ObservationError, errors.Unreachable, errors.Refused, errors.MissingTool, errors.TimeLimit)
}


def _checked_time(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expected a time like 2026-11-22T16:00:00+00:00") from None
    return text


def _checked_step(name: str) -> str:
    if name not in steps.STEPS:
        raise ValueError("expected the name of a step")
    return name


def _checked_place(text: str) -> str:
    if not PLACE.match(text):
        raise ValueError("expected a step on a machine, like power[p1]")
    return text


class Failure(BaseModel):
    """A look at a machine that failed."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    message: str
    via: str


class Look(BaseModel):
    """The event of one look of one step: the states of the machines, not yet understood, and the failures."""

    model_config = ConfigDict(extra="forbid")

    look: str
    seen: dict[str, Any]
    failed: dict[str, Failure]


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
    chosen: list[Annotated[str, AfterValidator(_checked_place)]]
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
    _number: int = -1  # of the event that was taken last

    def look(self, step: Step, names: Sequence[str]) -> Sight:
        """The next look on the tape, which must be of this step and these nodes."""
        what = f"a look at {steps.name_of(step)}"
        event = self._next("look", steps.name_of(step))
        look = self._read(TypeAdapter(Look), event, what)
        state = _state(step)
        seen = {name: self._read(state, found, what, "seen", name) for name, found in look.seen.items()}
        failed = {name: _error(found) for name, found in look.failed.items()}
        if {*seen, *failed} != set(names):
            other = ", ".join(sorted({*seen, *failed} ^ set(names)))
            raise UsageError(f"{self.source}: {what} is of other machines than asked for: {other}")
        return Sight(seen, failed)

    def apply(self, actions: Sequence[Action]) -> tuple[Done, ...]:
        """What the run did next; UsageError where today's steps would do something else."""
        event = self._next("done", None)
        done = self._read(DONE, event["done"], "a repair", "done")
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
        self._number += 1
        if kind not in event or (name is not None and event[kind] != name):
            asked = f"a look at {name}" if name else "a repair"
            raise UsageError(f"{self.source}: expected {asked} next: it was made by another version of the steps")
        return event

    def _read(self, kind: TypeAdapter[Found], value: object, what: str, *within: str) -> Found:
        """A value of the event that was taken last."""
        try:
            return kind.validate_python(value)
        except ValidationError as error:
            found = misfit(error.errors()[0], ("events", self._number, *within))
            why = "it was made by another version of the steps, or changed by hand"
            raise UsageError(f"{self.source}: {what} does not read: {_line(found)}; {why}") from None


def read(path: Path) -> Tape:
    """Read a tape; UsageError says what is wrong with it."""
    try:
        return Tape.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such tape; {WHERE}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not a tape of format {FORMAT}: {_line(_why(error))}; {WHERE}") from None


def _why(error: OSError | ValueError | RecursionError) -> str:
    match error:
        case ValidationError():
            return misfit(error.errors()[0])
        case json.JSONDecodeError():
            return f"no JSON from line {error.lineno}, column {error.colno} on"
        case UnicodeDecodeError():
            return "no text in UTF-8"
        case RecursionError():
            return "too deep"
        case OSError():
            return error.strerror or str(error)
    return str(error)


def write(tape: Tape) -> str:
    """The tape as JSON text."""
    return json.dumps(tape.model_dump(mode="json"), indent=1) + "\n"


def _state(step: Step) -> TypeAdapter[Any]:
    return TypeAdapter(step.State)


def _failure(error: ObservationError) -> dict[str, str]:
    return {"kind": type(error).__name__, "message": str(error), "via": error.via}


def _error(kept: Failure) -> ObservationError:
    return KINDS.get(kept.kind, ObservationError)(kept.message, via=kept.via)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
