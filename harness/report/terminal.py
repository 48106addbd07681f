"""The end of a run in a terminal: matrix, root causes, what is planned or was done, one closing line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from harness.model import Verdict
from harness.report.diff import MAX_LINES, lines, what
from harness.report.remedy import reason, remedy, remedy_title
from harness.report.summary import nodes_of, steps_of, summarize
from harness.report.text import duration, visible
from harness.words import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from harness.actions import Action
    from harness.model import Mode, Outcome, Place, Record
    from harness.report.diff import Kind
    from harness.report.summary import Advice, Cause, Summary

TONES = {
    Verdict.OK: "green",
    Verdict.DIFFERS: "bold red",
    Verdict.REPAIRED: "cyan",
    Verdict.BLOCKED: "dim",
    Verdict.UNKNOWN: "bold yellow",
}
COLOURS: dict[Kind, str] = {"added": "green", "removed": "red", "hunk": "dim", "note": "dim", "what": "bold"}
WIDEST_STEP, WIDEST_NODE, NARROWEST = 24, 14, 8  # in cells; the longest verdict has eight letters
MAX_TEXT = 400
MAX_PLACES = 12
MAX_DIFF = 60  # lines of a diff that is made already; the report has them all


def render_summary(record: Record, console: Console, *, is_brief: bool = False) -> None:
    """Print the end of a run; every row of the matrix stays on one line of the console's width."""
    for line in summary_lines(record, console.width, is_brief=is_brief):
        # An old terminal's encoding must not turn a report into a traceback.
        shown = line if console.encoding.lower().startswith("utf") else _narrowed(line, console.encoding)
        console.print(shown, soft_wrap=True, highlight=False)


def summary_lines(record: Record, width: int, *, is_brief: bool = False) -> Iterator[Text]:
    """The lines of the summary for a terminal of `width` cells; pure.

    A brief one leaves to the report what a repair did where it succeeded; a plan is shown in full in any case.
    """
    summary = summarize(record)
    yield from _matrix(record, summary.in_passing, width)
    yield from _causes(summary, record.mode)
    yield from _other_failures(record)
    yield from _notes(summary)
    yield from _plans(record)
    yield from _repairs(record, is_brief=is_brief)
    yield Text()
    tone = {0: "bold green", 1: "bold red"}.get(summary.exit_code, "bold yellow")
    closing = f": {summary.tally or 'no outcome'} in {duration(record.seconds)}"
    yield Text.assemble((str(summary.headline), tone), closing)


def _matrix(record: Record, left_out: Sequence[str], width: int) -> Iterator[Text]:
    """Steps by nodes; more nodes than the width holds continue in a further block below."""
    steps, nodes = [step for step in steps_of(record) if step not in left_out], nodes_of(record)
    found = {outcome.place: outcome for outcome in record.outcomes}
    by_row = {step: [one for place, one in found.items() if place.step == step] for step in steps}
    first = _widest(("step", *steps), WIDEST_STEP)
    column = max(NARROWEST, _widest(nodes, WIDEST_NODE))
    per_block = max(1, (width - first) // (column + 2))
    for start in range(0, len(nodes), per_block):
        block = nodes[start : start + per_block]
        yield _row("step", first, [(node, "bold") for node in block], column)
        for step in steps:
            cells = {one.place.node: one.verdict for one in by_row[step]}
            yield _row(step, first, [_cell(cells.get(node)) for node in block], column)
        yield Text()


def _widest(names: Iterable[str], limit: int) -> int:
    return min(limit, max((cell_len(_line(name)) for name in names), default=0))


def _cell(verdict: Verdict | None) -> tuple[str, str]:
    return (str(verdict), TONES[verdict]) if verdict else ("-", "dim")


def _row(name: str, first: int, cells: list[tuple[str, str]], column: int) -> Text:
    row = Text(set_cell_size(_line(name), first))
    for text, style in cells:
        row.append("  ").append(set_cell_size(_line(text), column), style)
    row.rstrip()
    return row


def _causes(summary: Summary, mode: Mode) -> Iterator[Text]:
    if not summary.causes and not summary.orphans:
        return
    yield Text(f"{summary.sentence}:" if summary.causes else summary.sentence, "bold")
    for cause in summary.causes:
        yield from _cause(cause, mode)
    yield Text()


def _cause(cause: Cause, mode: Mode) -> Iterator[Text]:
    outcome = cause.outcome
    yield _headed(outcome)
    cure = remedy(outcome)
    for hint in cure.by_hand:
        yield Text(f"    by hand: {_line(hint)}")
    if cure.actions and mode != "plan":  # a plan is shown in full further down
        first, more = what(cure.actions[0]), len(cure.actions) - 1
        rest = f" and {count(more, 'more action')}" if more else ""
        yield Text(f"    {remedy_title(outcome, mode)}: {first}{rest}")
    if cause.amid:
        blocked = [f"{one.place} by {one.cause}" for one in cause.amid]
        yield Text(f"    perhaps only because of what is blocked: {_some(blocked)}")
    if cause.blocks:
        yield Text(f"    blocks {_places(cause.blocks)}", "dim")


def _headed(outcome: Outcome) -> Text:
    head = (f"  {_line(str(outcome.place))} {outcome.verdict}", TONES[outcome.verdict])
    why = reason(outcome)
    return Text.assemble(head, f": {_line(why)}" if why else "")


def _places(places: tuple[Place, ...]) -> str:
    return f"{len(places)}: {_some(places)}"


def _some(things: Sequence[object]) -> str:
    named = ", ".join(_line(str(one)) for one in things[:MAX_PLACES])
    more = len(things) - MAX_PLACES
    return named + (f" and {more} more" if more > 0 else "")


def _other_failures(record: Record) -> Iterator[Text]:
    for name in record.other_failures:
        yield Text(f"  failed beside the steps: {_line(name)}", "red")


def _notes(summary: Summary) -> Iterator[Text]:
    for (step, said), nodes in _alike(summary.advice).items():
        yield Text.assemble(("  advice ", "yellow"), _line(f"{step}[{_some(nodes)}] {said}"))
    if summary.in_passing:
        yield Text(f"  looked at only because others need it: {_line(', '.join(summary.in_passing))}", "dim")


def _alike(advice: Iterable[Advice]) -> dict[tuple[str, str], list[str]]:
    """The machines to which the same is advised, by step and words."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in advice:
        check = one.check
        said = f"{check.aspect}: want {check.want}, seen {check.seen}"
        found.setdefault((one.place.step, said), []).append(one.place.node)
    return found


def _plans(record: Record) -> Iterator[Text]:
    for outcome in record.outcomes:
        if outcome.planned and not outcome.done:
            yield Text()
            yield Text(f"plan for {_line(str(outcome.place))}", "bold")
            for action in outcome.planned:
                yield from _action(action, MAX_LINES)


def _repairs(record: Record, *, is_brief: bool) -> Iterator[Text]:
    tried = [outcome for outcome in record.outcomes if outcome.done]
    quiet = [outcome for outcome in tried if is_brief and _went_well(outcome)]
    for outcome in tried:
        if outcome not in quiet:
            yield Text()
            yield Text.assemble((f"repair of {_line(str(outcome.place))}: ", "bold"), str(outcome.verdict))
            for done in outcome.done:
                yield from _action(done.action, MAX_DIFF)
                yield (Text(f"  failed: {_line(done.failure)}", "red") if done.failure else Text("  done", "green"))
    if quiet:
        actions = count(len({done.action for outcome in quiet for done in outcome.done}), "action")
        yield Text()
        yield Text(f"repaired by {actions}; the report shows each of them, and the change to each file")


def _went_well(outcome: Outcome) -> bool:
    return outcome.verdict is Verdict.REPAIRED and not any(done.failure for done in outcome.done)


def _action(action: Action, limit: int) -> Iterator[Text]:
    for line in lines(action, limit):
        yield Text(f"  {line.text}", COLOURS.get(line.kind, ""))


def _line(text: str) -> str:
    return visible(text, MAX_TEXT, keep="")


def _narrowed(line: Text, encoding: str) -> Text:
    """The same line in what an encoding can say; the colours are lost where letters had to change."""
    plain = line.plain.encode(encoding, "backslashreplace").decode(encoding)
    return line if plain == line.plain else Text(plain)
