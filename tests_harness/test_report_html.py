"""The page: complete, self-contained, and made of nothing but the template's own elements."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.actions import Run, Write
from harness.model import Check, Done, Outcome, Place, Record, Verdict
from harness.report.html import anchor, render_html
from tests_harness.test_report_samples import HOSTILE, outcome, poisoned, record, write_hosts, wrong_hosts

VOID = {"meta"}
# An attack is an element or attribute that the template does not have (img, script, onerror, src …).
ELEMENTS = set(
    """
    html head meta title style body header main footer section article div p h1 h2 h3 h4 ul li
    table thead tbody tr th td a b em strong span code pre details summary time
    """.split()  # noqa: SIM905 - a list of 36 quoted words is no easier to read
)
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "href", "id", "title", "open"),
    *("datetime", "aria-hidden"),
}


class Page(HTMLParser):
    """Elements, attributes, links, ids and text of a page; refuses one that is not well nested."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.declarations: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]

    @property
    def plain(self) -> str:
        return " ".join("".join(self.text).split())


TEXTS = st.text(max_size=20) | st.sampled_from([text[:200] for text in HOSTILE.values()])
NAMES = st.sampled_from(["hosts", "keys", "p1", "cnat"]) | TEXTS
PLACES = st.builds(Place, NAMES, NAMES)
ACTIONS = st.builds(Run, TEXTS, st.tuples(TEXTS, TEXTS), TEXTS) | st.builds(
    Write, TEXTS, TEXTS, st.binary(max_size=40) | st.none(), st.binary(max_size=40), TEXTS
)
CHECKS = st.builds(
    Check, NAMES, TEXTS, TEXTS, TEXTS, st.booleans(), st.sampled_from(["must", "advice"]), st.tuples(ACTIONS), TEXTS
)
OUTCOMES = st.builds(
    Outcome,
    PLACES,
    st.sampled_from(Verdict),
    TEXTS,
    PLACES | st.none(),
    st.lists(CHECKS, max_size=2).map(tuple),
    st.lists(CHECKS, max_size=1).map(tuple),
    st.lists(ACTIONS, max_size=1).map(tuple),
    st.lists(st.builds(Done, ACTIONS, TEXTS), max_size=1).map(tuple),
)
RECORDS = st.builds(
    Record,
    TEXTS,
    st.sampled_from(["verify", "plan", "repair"]),
    TEXTS,
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.lists(NAMES, max_size=3).map(tuple),
    st.lists(NAMES, max_size=3).map(tuple),
    st.lists(OUTCOMES, max_size=4).map(tuple),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(RECORDS)
def test_any_record_makes_a_page_of_the_templates_own_elements(run: Record) -> None:
    html = render_html(run)
    html.encode("utf-8")
    page = Page(html)
    assert set(page.elements) <= ELEMENTS
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    assert len(re.findall("<[a-z]", html)) == page.elements.total()
    assert all(link.startswith(("#", "../../docs/steps/")) for link in page.values("href"))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_harmless_and_bounded(text: str) -> None:
    html = render_html(poisoned(text))
    page = Page(html)
    assert set(page.elements) <= ELEMENTS
    assert html.replace("\n", "").replace("\t", "").isprintable()
    assert len(html) < 300_000


def test_the_page_asks_nobody_for_anything() -> None:
    html = render_html(poisoned("x"))
    assert "default-src 'none'; style-src 'unsafe-inline'" in html
    assert not re.search(r"(?i)<script|<link|src=|url\(|@import|https?:", html)


def test_a_page_with_nothing_in_it_still_says_so() -> None:
    assert "lab: nothing looked at" in Page(render_html(record())).plain


def test_every_link_within_the_page_has_its_place() -> None:
    page = Page(render_html(poisoned("x")))
    inside = {link.removeprefix("#") for link in page.values("href") if link.startswith("#")}
    assert inside <= set(page.values("id"))
    assert len(page.values("id")) == len(set(page.values("id")))


def test_a_step_links_to_its_documentation() -> None:
    html = render_html(record(outcome("hosts[p1]")))
    assert 'href="../../docs/steps/hosts.md"' in html


def test_each_place_has_an_address_that_stays() -> None:
    assert anchor(Place("ssh_config", "p1")) == "ssh_config--p1"


@pytest.mark.parametrize("verdict", Verdict)
def test_the_matrix_says_each_verdict_as_a_word(verdict: Verdict) -> None:
    html = render_html(record(outcome("hosts[p1]", verdict)))
    assert re.search(rf'<td class="{verdict}">.*<span class="word">{verdict}</span>', html)


def test_a_place_without_outcome_stays_empty_in_the_matrix() -> None:
    run = record(outcome("power[cnat]"), outcome("hosts[p1]"))
    assert render_html(run).count('<td class="absent">') == 2


def test_a_step_that_nobody_asked_for_is_named() -> None:
    run = replace(record(outcome("hosts[p1]")), steps=("hosts", "keys"))
    assert "Looked at only because others need it: keys." in Page(render_html(run)).plain


def test_want_and_seen_of_every_comparison_are_shown() -> None:
    holds = Check("p1", "mode", "0700", "0700", holds=True)
    bad = Outcome(Place("hosts", "p1"), Verdict.DIFFERS, checks=(holds, wrong_hosts("p1")))
    text = Page(render_html(record(bad))).plain
    assert "pi2 want172.19.181.2 seen172.19.181.9 ✗ no mode want0700 seen0700 ✓ yes" in text


def test_a_repair_shows_what_was_done_and_the_first_look() -> None:
    failed = Done(Run("p2", ("systemctl", "restart", "ssh"), "new settings"), "p2: exit 1")
    mended = Outcome(Place("hosts", "p2"), Verdict.REPAIRED, first=(wrong_hosts(),), done=(Done(write_hosts()), failed))
    text = Page(render_html(record(mended, mode="repair"))).plain
    assert "✓ done p2: pi2 must be 172.19.181.2 write /etc/hosts" in text
    assert "✗ failed: p2: exit 1" in text
    assert "Evidence: the first look, before the repair (1 of 1 check does not hold)" in text


def test_a_cause_shows_its_plan_and_what_it_blocks() -> None:
    bad = Outcome(Place("hosts", "p2"), Verdict.DIFFERS, checks=(wrong_hosts(),), planned=(write_hosts(),))
    text = Page(render_html(record(bad, outcome("keys[p2]", Verdict.BLOCKED, "hosts[p2]"), mode="plan"))).plain
    assert "1 cause explains 1 of 2 that are not met." in text
    assert "Planned: write /etc/hosts" in text
    assert "Blocks 1 place keys[p2]" in text


def test_a_flood_of_checks_is_cut_with_the_differences_first() -> None:
    flood = tuple(Check("p1", f"line {number}", "a", "a", holds=True) for number in range(5000))
    bad = Outcome(Place("hosts", "p1"), Verdict.DIFFERS, checks=(*flood, wrong_hosts("p1")))
    text = Page(render_html(record(bad))).plain
    assert "… 4601 more checks left out." in text
    assert "✗ no line 0" in text
