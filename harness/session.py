"""One run from beginning to end: what was asked, who carries it out, and the record and tape that it leaves."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness import tape as tapes
from harness.apply import lock_out_others
from harness.connect import Connections
from harness.converge import Crew, Loop
from harness.errors import ObservationError, UsageError
from harness.inventory import Cluster, parse
from harness.live import LiveCrew
from harness.model import Mode, Outcome, Place, Record
from harness.reach import reach
from harness.steps import name_of, with_needs
from harness.tape import Player, Recorder, Tape

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Request:
    """What a run is to do: look at `steps` and all they need, and mend only the `chosen` places."""

    cluster: Cluster
    mode: Mode
    steps: frozenset[str]
    chosen: frozenset[Place]
    advice: bool = False


@dataclass(frozen=True)
class Result:
    """The record of a run, and its tape as JSON text."""

    record: Record
    tape: str


def run_live(request: Request, connections: Connections, say: Callable[[str], None]) -> Result:
    """Run over ssh. A repair first makes sure that it is the only one of its cluster."""
    if request.mode == "repair" and not _is_locked(request.cluster, connections, say):
        request = replace(request, chosen=frozenset())
    crew = LiveCrew(connections, say)
    recorder = Recorder(crew)
    started, begun = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    outcomes = _converge(request, recorder)
    record = _record(request, outcomes, started, time.monotonic() - begun, crew.looked)
    chosen = sorted(map(str, request.chosen))
    tape = Tape(
        cluster=request.cluster.model_dump(mode="json"), mode=request.mode, steps=sorted(request.steps), chosen=chosen,
        advice=request.advice, started=started, seconds=record.seconds, looked=record.looked, events=recorder.events,
    )  # fmt: skip
    return Result(record, tapes.write(tape))


def replay(path: Path, steps: frozenset[str] | None = None, chosen: frozenset[Place] = frozenset()) -> Result:
    """Judge a tape again, with no cluster and no privileges; UsageError where it does not fit these steps.

    The record is of `steps` and `chosen` places only, as that of a run that was asked for these; None: of all of it.
    """
    tape = tapes.read(path)
    request = request_of(tape, str(path))
    asked = request if steps is None else _narrowed(request, steps, chosen, str(path))
    player = Player(deque(tape.events), str(path))
    outcomes = _converge(request, player)
    player.stop()
    record = _record(asked, outcomes, tape.started, tape.seconds, tape.looked)
    return Result(record, tapes.write(tape))


def request_of(tape: Tape, source: str) -> Request:
    """What the run on a tape had been asked to do."""
    cluster = parse(tape.cluster, f"{source}: cluster", Path.cwd())
    chosen = frozenset(Place(*text.rstrip("]").split("[", 1)) for text in tape.chosen)
    return Request(cluster, tape.mode, frozenset(tape.steps), chosen, tape.advice)


def open_connections(cluster: Cluster) -> Connections:
    """The connections of a run, none of them open yet."""
    return Connections(cluster, reach(cluster))


def _converge(request: Request, crew: Crew) -> tuple[Outcome, ...]:
    steps = with_needs(request.steps)
    loop = Loop(request.cluster, steps, crew, request.mode, request.chosen.__contains__, request.advice)
    return loop.converge()


def _is_locked(cluster: Cluster, connections: Connections, say: Callable[[str], None]) -> bool:
    try:
        lock_out_others(connections, cluster.controller.name)
    except ObservationError as error:
        say(f"nothing is mended, for nobody can say whether another repair is at work: {error}")
        return False
    return True


def _narrowed(request: Request, steps: frozenset[str], chosen: frozenset[Place], source: str) -> Request:
    """What of the run on a tape is asked for now."""
    steps &= request.steps
    of_tape = frozenset(place for place in request.chosen if place.step in steps)
    # A run whose every test was a witness has chosen no places, and is of all of them.
    places = chosen & of_tape if chosen and of_tape else chosen or of_tape
    if not steps or (chosen and not places):
        has = ", ".join(map(name_of, with_needs(request.steps)))
        raise UsageError(f"{source}: nothing that was selected is on this tape; its run was asked for some of: {has}")
    return replace(request, steps=steps, chosen=places)


def _in_question(request: Request, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """What was asked for, and what blocks it; other places were looked at only because a step judges all at once."""
    if not request.chosen:
        return outcomes
    causes = {one.cause for one in outcomes if one.place in request.chosen and one.cause}
    return tuple(one for one in outcomes if one.place in request.chosen | causes)


def _record(request: Request, outcomes: tuple[Outcome, ...], started: str, seconds: float, looked: float) -> Record:
    steps = tuple(map(name_of, with_needs(request.steps)))
    outcomes = tuple(one for one in _in_question(request, outcomes) if one.place.step in steps)
    return Record(
        request.cluster.name, request.mode, started, round(seconds, 3), round(looked, 3), request.cluster.names, steps,
        outcomes,
    )  # fmt: skip
