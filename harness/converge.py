"""The loop: look, judge, plan, apply, and look again; only the last look decides."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import ObservationError
from harness.judgement import blockers, conclude
from harness.model import Check, Done, Mode, Outcome, Place, Verdict
from harness.plan import NOT_TRIED, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.step import Step

PASSES = 3
TURNS = 2  # mends of a step in one pass: the first may bring to light what else there is to do


@dataclass(frozen=True)
class Sight:
    """One look of one step: the states of the nodes that answered, and why the others did not."""

    seen: Mapping[str, Any]
    failed: Mapping[str, ObservationError]


class Crew(Protocol):
    """Who does the looking and the changing: the live crew over ssh, or a tape."""

    def look(self, step: Step, names: Sequence[str], /) -> Sight:
        """Observe these nodes, all at once."""

    def apply(self, actions: Sequence[Action], /) -> tuple[Done, ...]:
        """Carry out actions, nodes in parallel, in order within a node."""

    def renew(self) -> None:
        """Try again what could not be reached: a repair may have opened the way."""


@dataclass
class Loop:
    """One run of the steps over the cluster; `chosen` says which places a plan or repair may touch."""

    cluster: Cluster
    steps: Sequence[Step]
    crew: Crew
    mode: Mode
    chosen: Callable[[Place], bool]
    advice: bool = False
    _first: dict[Place, Outcome] = field(default_factory=dict)
    _done: dict[Place, list[Done]] = field(default_factory=lambda: defaultdict(list))
    _vain: set[Action] = field(default_factory=set)

    def converge(self) -> tuple[Outcome, ...]:
        """Go through the steps until a pass changes nothing, and say what became of each place."""
        passes = PASSES if self.mode == "repair" else 0
        outcomes, has_changed = self._go_through(may_mend=passes > 0)
        while has_changed:
            # Whatever a later repair did to an earlier step shows here; the last pass only looks.
            passes -= 1
            self.crew.renew()
            outcomes, has_changed = self._go_through(may_mend=passes > 0)
        return tuple(self._settle(outcome) for outcome in outcomes.values())

    def _go_through(self, *, may_mend: bool) -> tuple[dict[Place, Outcome], bool]:
        outcomes: dict[Place, Outcome] = {}
        has_changed = False
        for step in self.steps:
            looked = self._look(step, outcomes)
            for place, outcome in looked.items():
                if outcome.verdict is not Verdict.BLOCKED:
                    self._first.setdefault(place, outcome)
            for _ in range(TURNS if may_mend else 0):
                if not self._mend(looked.values()):
                    break
                has_changed = True
                looked = self._look(step, outcomes)
                self._vain |= {action for outcome in looked.values() for action in outcome.planned} & self._tried()
            outcomes |= looked
        return outcomes, has_changed

    def _look(self, step: Step, before: Mapping[Place, Outcome]) -> dict[Place, Outcome]:
        """One step on all nodes that are ready for it."""
        names, controller = self.cluster.names, self.cluster.controller.name
        blocked = blockers(step, names, controller, before)
        # A plan shows also what comes after the differences that it would mend.
        skipped = {name for name, cause in blocked.items() if not self._is_planned_away(cause, before)}
        eyes = (controller,) if step.LOOK_FROM == "controller" else names
        sight = self.crew.look(step, [name for name in eyes if name not in skipped])
        checks, failed = self._judge(step, sight)
        outcomes = conclude(step, names, [check for check in checks if check.node not in skipped], failed, blocked)
        return {place: self._with_plan(outcome) for place, outcome in outcomes.items()}

    def _judge(self, step: Step, sight: Sight) -> tuple[list[Check], Mapping[str, ObservationError]]:
        """The step's checks; where even one text cannot be understood, nothing of this look is concluded."""
        try:
            return list(step.judge(sight.seen, self.cluster)), sight.failed
        except ObservationError as error:
            return [], {**dict.fromkeys(sight.seen, error), **sight.failed}

    def _is_planned_away(self, cause: Place, before: Mapping[Place, Outcome]) -> bool:
        return self.mode == "plan" and cause in before and bool(before[cause].planned)

    def _with_plan(self, outcome: Outcome) -> Outcome:
        if self.mode == "verify" or not self.chosen(outcome.place):
            return outcome
        return replace(outcome, planned=plan(outcome.checks, advice=self.advice))

    def _mend(self, outcomes: Iterable[Outcome]) -> bool:
        """Apply what the outcomes plan; False where there is nothing new to try."""
        # What did not mend once is not a repair, however often it is tried.
        wanted = [outcome for outcome in outcomes if not self._vain.issuperset(outcome.planned)]
        actions = plan((check for outcome in wanted for check in outcome.checks), advice=self.advice)
        if not actions:
            return False
        results = {done.action: done for done in self.crew.apply(actions)}
        for outcome in wanted:
            self._done[outcome.place] += [results[action] for action in outcome.planned]
        return True

    def _tried(self) -> set[Action]:
        return {done.action for known in self._done.values() for done in known if done.failure != NOT_TRIED}

    def _settle(self, last: Outcome) -> Outcome:
        """Set the last look against the first one and what was done in between."""
        first = self._first.get(last.place, last)
        done = tuple(self._done.get(last.place, ()))
        # What the first look would have planned stays beside what was done: a later look may add to it.
        planned = first.planned if done else last.planned if self.mode == "plan" else ()
        before = first.checks if done else ()
        settled = replace(last, done=done, planned=planned, first=before)
        if last.verdict is Verdict.OK and first.verdict is Verdict.DIFFERS:
            return replace(settled, verdict=Verdict.REPAIRED, first=first.checks, reason=first.reason)
        if last.verdict is Verdict.DIFFERS and done:
            return replace(settled, reason=f"{_verdict_on(done)}: {last.reason}")
        return settled


def _verdict_on(done: Sequence[Done]) -> str:
    failure = next((one.failure for one in done if one.failure), "")
    return f"the repair failed ({failure})" if failure else "the repair reported success but did not mend it"
