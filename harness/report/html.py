"""One run as one HTML page that needs nothing else: no script, no request, every text of a node escaped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.model import Verdict
from harness.report.diff import lines, what
from harness.report.remedy import reason, remedy, remedy_title
from harness.report.summary import nodes_of, steps_of, summarize
from harness.report.text import duration, visible
from harness.words import count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.model import Check, Outcome, Place, Record

SIGNS = {
    Verdict.OK: "✓",
    Verdict.DIFFERS: "✗",
    Verdict.REPAIRED: "↻",
    Verdict.BLOCKED: "▪",
    Verdict.UNKNOWN: "?",
}
MAX_CHECKS = 400


@dataclass(frozen=True)
class Section:
    """One step of the page: its outcomes in the order of the nodes, and one cell for each node."""

    step: str
    outcomes: tuple[Outcome, ...]
    cells: tuple[Outcome | None, ...]


def render_html(record: Record, *, pages: str = "../../docs/steps", tape: str = "") -> str:
    """The page; pure, the same record always gives the same text.

    `pages` is where the steps' documentation is, as seen from the page; `tape` names the tape that was judged
    again (none: this was a run on the machines).
    """
    page = _environment().get_template("report.html.j2")
    return page.render(
        record=record,
        pages=pages,
        tape=tape,
        summary=summarize(record),
        nodes=nodes_of(record),
        sections=_sections(record),
        style=_stylesheet(),
        verdicts=Verdict,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness", "report"),
        autoescape=True,
        finalize=_show,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        anchor=anchor, count=count, duration=duration, quoted=_quoted, lines=lines, what=what, tally=_tally
    )
    environment.globals.update(
        signs=SIGNS,
        reason=reason,
        remedy=remedy,
        remedy_title=remedy_title,
        ordered=_ordered,
        max_checks=MAX_CHECKS,
    )
    return environment


def anchor(place: Place) -> str:
    """The id of a place in the page: the same in every report, so that a link can be kept."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{place.step}--{place.node}")[:200]


def _quoted(step: str) -> str:
    return quote(step, safe="", errors="replace")


def _show(value: object) -> object:
    """Every text on its way into the page passes here; Markup is what the template itself made."""
    if isinstance(value, Markup):
        return value
    return visible(str(value), keep="\t\n")


def _sections(record: Record) -> list[Section]:
    nodes = nodes_of(record)
    found: dict[str, list[Outcome]] = {step: [] for step in steps_of(record)}
    for outcome in record.outcomes:
        found[outcome.place.step].append(outcome)
    return [_section(step, outcomes, nodes) for step, outcomes in found.items()]


def _section(step: str, outcomes: list[Outcome], nodes: tuple[str, ...]) -> Section:
    by_node = {outcome.place.node: outcome for outcome in outcomes}
    ordered = sorted(outcomes, key=lambda outcome: nodes.index(outcome.place.node))
    return Section(step, tuple(ordered), tuple(by_node.get(node) for node in nodes))


def _ordered(checks: Iterable[Check]) -> list[Check]:
    """What decides and does not hold comes first, then advice, then all that holds."""
    return sorted(checks, key=lambda check: (check.holds, check.level != "must"))


def _tally(checks: tuple[Check, ...]) -> str:
    """One line over the checks of an outcome: "12 checks hold", "2 of 12 checks do not hold"."""
    if not checks:
        return "nothing compared"
    failing = sum(not check.holds for check in checks)
    if failing:
        return f"{failing} of {count(len(checks), 'check')} {'does' if failing == 1 else 'do'} not hold"
    return f"{count(len(checks), 'check')} {'holds' if len(checks) == 1 else 'hold'}"


def _stylesheet() -> Markup:
    source, _, _ = PackageLoader("harness", "report").get_source(_environment(), "report.css")
    return Markup(source)  # noqa: S704 - our own file
