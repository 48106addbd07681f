"""Why an outcome is what it is, and what would mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.model import Verdict
from harness.words import count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.actions import Action
    from harness.model import Check, Mode, Outcome


@dataclass(frozen=True)
class Remedy:
    """What would mend an outcome: actions of the harness, and what only a person can do."""

    actions: tuple[Action, ...]
    by_hand: tuple[str, ...]


def reason(outcome: Outcome) -> str:
    """Why the outcome is what it is, in one sentence; taken from its checks where none was given."""
    if outcome.reason:
        return outcome.reason
    if outcome.verdict is Verdict.BLOCKED and outcome.cause:
        return f"waits for {outcome.cause}"
    failing = broken(outcome.checks)
    if not failing or outcome.verdict.is_met:
        return ""
    first, more = failing[0], len(failing) - 1
    sentence = f"{first.aspect}: want {first.want}, seen {first.seen}"
    return f"{sentence} (and {count(more, 'other difference')})" if more else sentence


def broken(checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks that decide and do not hold."""
    return tuple(check for check in checks if check.level == "must" and not check.holds)


def remedy(outcome: Outcome) -> Remedy:
    """What would mend the outcome: its plan, or what is still to do after a repair; equal ones merge."""
    failing = broken(outcome.checks)
    fixes = tuple(action for check in failing for action in check.fix)
    if outcome.planned and not outcome.done:
        fixes = outcome.planned
    hints = dict.fromkeys(check.by_hand for check in failing if check.by_hand)
    return Remedy(tuple(dict.fromkeys(fixes)), tuple(hints))


def remedy_title(outcome: Outcome, mode: Mode) -> str:
    """What the actions of a remedy are in a run of this mode."""
    if outcome.planned and not outcome.done:
        return "planned"
    return "left to do" if mode == "repair" else "--repair would do"
