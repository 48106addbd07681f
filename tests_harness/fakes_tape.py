"""Runs of the real steps over a fake crew, saved as a tape like that of a live run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import tape as tapes
from harness.converge import Loop
from harness.model import Mode, Outcome, Place
from harness.steps import STEPS, with_needs
from harness.tape import Recorder, Tape
from tests_harness.fakes_cluster import CLUSTER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.converge import Crew

STARTED = "2026-11-22T16:00:00+00:00"
EVERYWHERE = tuple(str(Place(step, name)) for step in STEPS for name in CLUSTER.names)


@dataclass(frozen=True)
class Taped:
    """The outcomes of a run, and its tape as JSON text."""

    outcomes: tuple[Outcome, ...]
    text: str

    @property
    def json(self) -> dict[str, Any]:
        """The tape as plain values, to be damaged."""
        found: dict[str, Any] = json.loads(self.text)
        return found


def record(
    crew: Crew,
    mode: Mode = "verify",
    steps: Iterable[str] = ("power", "network", "arp", "hosts"),
    chosen: Iterable[str] = EVERYWHERE,
) -> Taped:
    """Run, and save the tape."""
    recorder = Recorder(crew)
    wanted = set(chosen)
    loop = Loop(CLUSTER, with_needs(steps), recorder, mode, lambda where: str(where) in wanted)
    outcomes = loop.converge()
    tape = Tape(
        cluster=CLUSTER.model_dump(mode="json"), mode=mode, advice=False, steps=sorted(steps), chosen=sorted(wanted),
        started=STARTED, seconds=2.5, looked=1.25, events=recorder.events,
    )  # fmt: skip
    return Taped(outcomes, tapes.write(tape))
