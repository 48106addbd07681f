"""The tapes that `make demo` shows where there is no lab were made by this version's steps."""

from __future__ import annotations

import pytest

from harness.report.summary import summarize
from harness.session import replay
from tests_harness.labkit import ROOT


@pytest.mark.parametrize(
    ("name", "headline"), [("bare", "differs"), ("repair", "as documented"), ("green", "as documented")]
)
def test_a_shipped_tape_replays(name: str, headline: str) -> None:
    assert summarize(replay(ROOT / "fixtures" / "tapes" / f"{name}.json").record).headline == headline
