"""The words of the house as frozen values: check, outcome, and the record of a run (for action see `actions.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from harness.actions import Action  # noqa: TC001 - read at run time, for tapes

Level = Literal["must", "advice"]
Mode = Literal["verify", "plan", "repair"]


@dataclass(frozen=True)
class Check:
    """One comparison of what must hold on a node with what was seen there.

    `holds` is the verdict of the step's own rule (equality, unless the aspect is a range). `fix` are the
    actions that would mend a difference; where it is empty, `by_hand` says what a person can do. `stops` says
    whether later steps wait for it: what is said of the whole cluster leaves the machines that are well to go on.
    """

    node: str
    aspect: str
    want: str
    seen: str
    holds: bool
    level: Level = "must"
    fix: tuple[Action, ...] = ()
    by_hand: str = ""
    stops: bool = True


@dataclass(frozen=True)
class Done:
    """One action that was tried in a repair, and the sentence of its failure (empty: it succeeded)."""

    action: Action
    failure: str = ""


class Verdict(StrEnum):
    """What became of one step on one node."""

    OK = "ok"
    DIFFERS = "differs"
    REPAIRED = "repaired"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"

    @property
    def is_met(self) -> bool:
        """Whether a step that needs this one may go on."""
        return self in {Verdict.OK, Verdict.REPAIRED}


@dataclass(frozen=True, order=True)
class Place:
    """One step on one node; `str()` gives `step[node]`."""

    step: str
    node: str

    def __str__(self) -> str:
        return f"{self.step}[{self.node}]"


@dataclass(frozen=True)
class Outcome:
    """What became of one step on one node, with all that it rests on.

    `checks` are those of the last look; `first` those of the first look where a repair came between,
    else empty. `cause` is the root place that blocked this one. `planned` is what a repair would do
    (mode plan) or what the first look planned (mode repair), `done` what a repair did.
    """

    place: Place
    verdict: Verdict
    reason: str = ""
    cause: Place | None = None
    checks: tuple[Check, ...] = ()
    first: tuple[Check, ...] = ()
    planned: tuple[Action, ...] = ()
    done: tuple[Done, ...] = ()

    @property
    def lets_on(self) -> bool:
        """Whether a step that needs this one may go on here."""
        if self.verdict is not Verdict.DIFFERS:
            return self.verdict.is_met
        failing = [check for check in self.checks if check.level == "must" and not check.holds]
        return bool(failing) and not any(check.stops for check in failing)


@dataclass(frozen=True)
class Record:
    """One whole run: the material of the report, the summary and the exit code.

    `started` is ISO 8601 with offset; `seconds` is the length of the run; `looked` is the part of it
    spent in looking at nodes. `other_failures` names failed tests that are no outcome of a step (witnesses, and
    tests of the user's own).
    """

    cluster: str
    mode: Mode
    started: str
    seconds: float
    looked: float
    nodes: tuple[str, ...]
    steps: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    other_failures: tuple[str, ...] = ()

    def outcome(self, place: Place) -> Outcome | None:
        """The outcome at a place, or None where the run did not go there."""
        return next((outcome for outcome in self.outcomes if outcome.place == place), None)
