"""What a run comes to: counts, root causes, headline and exit code, the same for every face of the report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.model import Verdict
from harness.report.remedy import reason
from harness.report.text import visible
from harness.words import count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.model import Check, Outcome, Place, Record

CAUSES = frozenset({Verdict.DIFFERS, Verdict.UNKNOWN})
MAX_NAMED, MAX_NAME = 5, 64  # machines of the first sentence, letters of a name


class Headline(StrEnum):
    """The verdict over a whole run."""

    AS_DOCUMENTED = "as documented"
    DIFFERS = "differs"
    NOT_KNOWN = "not fully known"
    NOTHING = "nothing looked at"

    @property
    def exit_code(self) -> int:
        """What the outcomes alone make of the exit code; "nothing looked at" leaves it to pytest."""
        return {Headline.DIFFERS: 1, Headline.NOT_KNOWN: 10}.get(self, 0)


@dataclass(frozen=True)
class Cause:
    """An outcome that differs or is unknown, with the places that wait for it.

    Where it only says something of the whole cluster, `amid` are the outcomes of the same step that are blocked: a
    machine that is not ready is missing in the whole, too, so this may be no cause of its own.
    """

    outcome: Outcome
    blocks: tuple[Place, ...]
    amid: tuple[Outcome, ...] = ()


@dataclass(frozen=True)
class Advice:
    """A piece of advice that is not followed at a place; it never decides anything."""

    place: Place
    check: Check


@dataclass(frozen=True)
class Summary:
    """The analysis of one record.

    `counts` has every verdict. `causes` come with the widest effect first, and last what perhaps only
    follows from them. `orphans` are blocked places
    whose cause is not in the record (an interrupted or narrowed run). `in_passing` are steps
    without any outcome: nobody asked for them, and nothing that was asked for waits for them.
    """

    headline: Headline
    counts: dict[Verdict, int]
    causes: tuple[Cause, ...]
    orphans: tuple[Place, ...]
    advice: tuple[Advice, ...]
    in_passing: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 as documented, 1 something differs, 10 nothing differs but something is unknown."""
        return self.headline.exit_code

    @property
    def total(self) -> int:
        """The number of outcomes."""
        return sum(self.counts.values())

    @property
    def sentence(self) -> str:
        """How few causes stand behind all that is not met: "2 causes explain 61 of 63 …"."""
        explained = sum(len(cause.blocks) for cause in self.causes)
        machines = Counter(cause.outcome.place.node for cause in self.causes if not cause.amid)
        followers = sum(bool(cause.amid) for cause in self.causes)
        return explanation(machines, explained, len(self.orphans), followers)

    @property
    def tally(self) -> str:
        """The counts that are not zero, in one line: "120 ok, 1 differs"."""
        return ", ".join(f"{number} {verdict}" for verdict, number in self.counts.items() if number)


def summarize(record: Record) -> Summary:
    """Analyse a record; pure."""
    outcomes = record.outcomes
    counts = {verdict: sum(one.verdict is verdict for one in outcomes) for verdict in Verdict}
    causes = _causes(outcomes)
    explained = {place for cause in causes for place in cause.blocks}
    blocked = [one.place for one in outcomes if one.verdict is Verdict.BLOCKED]
    reached = {one.place.step for one in outcomes}
    return Summary(
        headline=Headline.DIFFERS if record.other_failures else _headline(counts),
        counts=counts,
        causes=causes,
        orphans=tuple(place for place in blocked if place not in explained),
        advice=tuple(_advice(outcomes)),
        in_passing=tuple(step for step in record.steps if step not in reached),
    )


def explanation(machines: Counter[str], explained: int, orphans: int, followers: int = 0) -> str:
    """The sentence over causes that block `explained` places, beside `orphans` unexplained ones.

    `machines` has the number of causes on each machine: many of them may be one card that was flashed anew.
    `followers` are differences of the whole that perhaps only come of these.
    """
    causes = machines.total()
    rest = "; ".join([
        *([f"{followers} more may follow from {'it' if causes == 1 else 'them'}"] if followers else []),
        *([f"{count(orphans, 'place')} blocked by what this run did not look at"] if orphans else []),
    ])  # fmt: skip
    if not causes:
        return rest or "nothing is left to explain"
    if explained:
        verb = "explains" if causes == 1 else "explain"
        total = causes + explained + orphans + followers
        first = f"{_spread(machines, ',')} {verb} {explained} of {total} that are not met"
    else:
        first = f"{_spread(machines)}, blocking nothing else"
    return f"{first}; {rest}" if rest else first


def _spread(machines: Counter[str], comma: str = "") -> str:
    """How many causes there are, and where, if some machine has more than one: "6 causes, all on p3,"."""
    causes = count(machines.total(), "cause")
    (most, number), *others = machines.most_common()
    if number == 1:
        return causes
    if not others:
        return f"{causes}, all on {visible(most, MAX_NAME)}{comma}"
    named = [f"{number} on {visible(name, MAX_NAME)}" for name, number in machines.most_common(MAX_NAMED)]
    rest = machines.total() - sum(number for _, number in machines.most_common(MAX_NAMED))
    return f"{causes} ({', '.join(named)}{f', {rest} on others' if rest else ''})"


def steps_of(record: Record) -> tuple[str, ...]:
    """The steps in documented order, then any other that has an outcome: none is ever lost."""
    return tuple(dict.fromkeys((*record.steps, *(one.place.step for one in record.outcomes))))


def nodes_of(record: Record) -> tuple[str, ...]:
    """The nodes in the inventory's order, then any other that has an outcome."""
    return tuple(dict.fromkeys((*record.nodes, *(one.place.node for one in record.outcomes))))


def as_json(summary: Summary) -> dict[str, object]:
    """The summary as plain values for result.json; what the record already has is only named."""
    return {
        "headline": str(summary.headline),
        "exit_code": summary.exit_code,
        "counts": {str(verdict): number for verdict, number in summary.counts.items()},
        "sentence": summary.sentence,
        "causes": [
            {
                "place": str(cause.outcome.place),
                "verdict": str(cause.outcome.verdict),
                "reason": reason(cause.outcome),
                "blocks": [str(place) for place in cause.blocks],
                "amid": [str(one.place) for one in cause.amid],
            }
            for cause in summary.causes
        ],
        "orphans": [str(place) for place in summary.orphans],
        "advice": [
            {"place": str(one.place), "node": one.check.node, "aspect": one.check.aspect} for one in summary.advice
        ],
        "in_passing": list(summary.in_passing),
    }


def _causes(outcomes: tuple[Outcome, ...]) -> tuple[Cause, ...]:
    waiting: dict[Place, list[Place]] = {one.place: [] for one in outcomes if one.verdict in CAUSES}
    for one in outcomes:
        if one.verdict is Verdict.BLOCKED and one.cause in waiting:
            waiting[one.cause].append(one.place)
    causes = [Cause(one, tuple(waiting[one.place]), _amid(one, outcomes)) for one in outcomes if one.place in waiting]
    return tuple(sorted(causes, key=lambda cause: (bool(cause.amid), -len(cause.blocks))))


def _amid(one: Outcome, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    if not one.lets_on:
        return ()
    roots = {root.place for root in outcomes if root.verdict in CAUSES and not root.lets_on}
    beside = (it for it in outcomes if it.place.step == one.place.step and it.verdict is Verdict.BLOCKED)
    return tuple(it for it in beside if it.cause in roots)


def _headline(counts: dict[Verdict, int]) -> Headline:
    if counts[Verdict.DIFFERS]:
        return Headline.DIFFERS
    # A blocked place was not looked at: even without its cause at hand it cannot count as documented.
    if counts[Verdict.UNKNOWN] or counts[Verdict.BLOCKED]:
        return Headline.NOT_KNOWN
    return Headline.AS_DOCUMENTED if any(counts.values()) else Headline.NOTHING


def _advice(outcomes: tuple[Outcome, ...]) -> Iterable[Advice]:
    for one in outcomes:
        for check in one.checks:
            if check.level == "advice" and not check.holds:
                yield Advice(one.place, check)
