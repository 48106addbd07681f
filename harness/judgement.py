"""From what one step saw and compared to one outcome per node; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model import Check, Outcome, Place, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.errors import ObservationError
    from harness.step import Step


def blockers(step: Step, names: Sequence[str], controller: str, before: Mapping[Place, Outcome]) -> dict[str, Place]:
    """Where a step is not to be tried, and the root place that is to blame.

    A step that looks from the controller is blocked everywhere when it is blocked there.
    """
    causes: dict[str, Place] = {}
    for name in names:
        asked = (controller, name) if step.LOOK_FROM == "controller" else (name,)
        needs = (before.get(Place(need, where)) for where in asked for need in step.NEEDS)
        unmet = next((outcome for outcome in needs if outcome and not outcome.lets_on), None)
        if unmet:
            causes[name] = unmet.cause or unmet.place
    return causes


def conclude(
    step: Step,
    names: Sequence[str],
    checks: Iterable[Check],
    failed: Mapping[str, ObservationError],
    blocked: Mapping[str, Place],
) -> dict[Place, Outcome]:
    """One outcome per node, in the order of `names`."""
    of_node: dict[str, list[Check]] = {name: [] for name in names}
    for check in checks:
        of_node[check.node].append(check)
    short = step.__name__.rpartition(".")[2]
    places = (Place(short, name) for name in names)
    return {place: _outcome(place, tuple(of_node[place.node]), names, failed, blocked) for place in places}


def _outcome(
    place: Place,
    checks: tuple[Check, ...],
    names: Sequence[str],
    failed: Mapping[str, ObservationError],
    blocked: Mapping[str, Place],
) -> Outcome:
    cause = blocked.get(place.node)
    if cause:
        return _blocked(place, cause, checks)
    differing = [check for check in checks if not check.holds and check.level == "must"]
    if differing:
        # A difference outranks a failed look at the same node: it usually explains it (no power, no answer).
        return Outcome(place, Verdict.DIFFERS, _reason(differing), None, checks)
    failure = failed.get(place.node)
    if failure:
        return _could_not_look(place, failure, checks, blocked)
    if not checks:
        return _nothing_compared(place, names, failed, blocked)
    return Outcome(place, Verdict.OK, "", None, checks)


def _could_not_look(
    place: Place, failure: ObservationError, checks: tuple[Check, ...], blocked: Mapping[str, Place]
) -> Outcome:
    if failure.via:
        return _blocked(place, blocked.get(failure.via) or Place(place.step, failure.via), checks)
    return Outcome(place, Verdict.UNKNOWN, str(failure), None, checks)


def _nothing_compared(
    place: Place, names: Sequence[str], failed: Mapping[str, ObservationError], blocked: Mapping[str, Place]
) -> Outcome:
    """A look elsewhere that failed or was not tried explains silence here; otherwise the step itself is at fault.

    The controller comes first among the names, and mostly it is what was needed.
    """
    other = next((name for name in names if name in blocked or name in failed), None)
    if other:
        return _blocked(place, blocked.get(other) or Place(place.step, other))
    return Outcome(place, Verdict.UNKNOWN, f"{place} compared nothing: a defect of the step, please report it")


def _blocked(place: Place, cause: Place, checks: tuple[Check, ...] = ()) -> Outcome:
    return Outcome(place, Verdict.BLOCKED, f"blocked by {cause}", cause, checks)


def _reason(differing: Sequence[Check]) -> str:
    first = differing[0]
    more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
    return f"{first.aspect}: want {first.want}, saw {first.seen}{more}"
