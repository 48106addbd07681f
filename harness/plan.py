"""From checks to the ordered actions that would mend them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Run

# The failure of an action that was left out because one before it on the same node had failed.
NOT_TRIED = "not tried after the failure before it"

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.actions import Action
    from harness.model import Check


def plan(checks: Iterable[Check], *, advice: bool = False) -> tuple[Action, ...]:
    """The fixes of all checks that do not hold: in order, equal ones once, `last` ones at the end.

    Advice is mended only when asked for.
    """
    wanted = [check for check in checks if not check.holds and (advice or check.level == "must")]
    once = dict.fromkeys(action for check in wanted for action in check.fix)
    return tuple(sorted(once, key=_is_last))


def _is_last(action: Action) -> bool:
    return isinstance(action, Run) and action.last
