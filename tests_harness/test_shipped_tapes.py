"""The tapes that `make demo` shows where there is no lab are of this version's steps; the README shows what is said."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.errors import Unreachable
from harness.report.summary import summarize
from harness.report.terminal import summary_lines
from harness.session import replay
from tests_harness.fakes import FakeCrew
from tests_harness.fakes_cluster import HUB, good_cluster, good_power
from tests_harness.fakes_tape import EVERYWHERE, record
from tests_harness.labkit import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAPES = ROOT / "fixtures" / "tapes"
SAMPLES = (ROOT / "README.md").read_text(encoding="utf-8").split("```")[1::2]
ASKED = ("power", "network", "arp", "hosts")
# What no two runs have in common: how long it took, and the swarm's names for its members.
PASSING = re.compile(r" in [0-9 a-z.]+$|\b[0-9a-z]{25}\b")


@pytest.mark.parametrize(
    ("name", "headline"), [("bare", "differs"), ("repair", "as documented"), ("green", "as documented")]
)
def test_a_shipped_tape_replays(name: str, headline: str) -> None:
    assert summarize(replay(TAPES / f"{name}.json").record).headline == headline


def words(lines: list[str]) -> list[str]:
    """Lines that say something, without what differs from run to run."""
    return [" ".join(PASSING.sub("", line).split()) for line in lines if line.strip()]


def said(tape: Path) -> list[str]:
    return words([line.plain for line in summary_lines(replay(tape).record, 80)])


def unsaid(sample: str, lines: list[str]) -> Iterator[str]:
    """What a sample shows and the lines do not say, or not in this order; `…` stands for any lines."""
    for shown in words([line for line in sample.splitlines() if not line.startswith(("$", "…", "===", "report:"))]):
        if shown not in lines:
            yield shown
        else:
            lines = lines[lines.index(shown) + 1 :]


def test_the_readme_shows_a_repair_as_it_is() -> None:
    assert "$ pytest --cluster lab --repair" in SAMPLES[0]
    assert list(unsaid(SAMPLES[0], said(TAPES / "repair.json"))) == []


def test_the_readme_shows_a_root_cause_as_it_is(tmp_path: Path) -> None:
    assert f'$ pytest -k "{" or ".join(ASKED)}"' in SAMPLES[1]
    good = good_power()
    off = replace(good[HUB], status={**(good[HUB].status or {}), "p3": "0"})
    crew = FakeCrew(good_cluster() | {"power": [good | {HUB: off, "p3": Unreachable("p3: no answer")}]})
    chosen = [place for place in EVERYWHERE if place.partition("[")[0] in ASKED]
    file = tmp_path / "tape.json"
    file.write_text(record(crew, "verify", ASKED, chosen).text)
    lines = said(file)
    assert list(unsaid(SAMPLES[1], lines)) == []
    assert len(lines) == len(words(SAMPLES[1].splitlines())) - 1
