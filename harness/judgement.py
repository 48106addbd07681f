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
        unmet = next((outcome for outcome in needs if outcome and not outcome.verdict.is_met), None)
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
    return {Place(short, name): _outcome(Place(short, name), tuple(of_node[name]), failed, blocked) for name in names}


def _outcome(
    place: Place,
    checks: tuple[Check, ...],
    failed: Mapping[str, ObservationError],
    blocked: Mapping[str, Place],
) -> Outcome:
    cause = blocked.get(place.node)
    if cause:
        return Outcome(place, Verdict.BLOCKED, f"blocked by {cause}", cause, checks)
    differing = [check for check in checks if not check.holds and check.level == "must"]
    if differing:
        # A difference outranks a failed look at the same node: it usually explains it (no power, no answer).
        return Outcome(place, Verdict.DIFFERS, _reason(differing), None, checks)
    failure = failed.get(place.node)
    if failure:
        return _could_not_look(place, failure, checks)
    if not checks:
        return _nothing_compared(place, failed)
    return Outcome(place, Verdict.OK, "", None, checks)


def _could_not_look(place: Place, failure: ObservationError, checks: tuple[Check, ...]) -> Outcome:
    if failure.via:
        cause = Place(place.step, failure.via)
        return Outcome(place, Verdict.BLOCKED, f"blocked by {cause}", cause, checks)
    return Outcome(place, Verdict.UNKNOWN, str(failure), None, checks)


def _nothing_compared(place: Place, failed: Mapping[str, ObservationError]) -> Outcome:
    """A look elsewhere that failed explains silence here; otherwise the step itself is at fault."""
    other = next(iter(failed), None)
    if other:
        cause = Place(place.step, other)
        return Outcome(place, Verdict.BLOCKED, f"blocked by {cause}", cause)
    return Outcome(place, Verdict.UNKNOWN, f"{place} compared nothing: a defect of the step, please report it")


def _reason(differing: Sequence[Check]) -> str:
    first = differing[0]
    more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
    return f"{first.aspect}: want {first.want}, saw {first.seen}{more}"
