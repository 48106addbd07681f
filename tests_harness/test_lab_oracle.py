"""Two judges that share nothing say the same of bare nodes and of green ones; of faults they do in `faultkit.prove`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.lab import NODES
from tests_harness import second_judge
from tests_harness.faultkit import INFRA, contradictions, go

if TYPE_CHECKING:
    from harness.lab import Lab

pytestmark = pytest.mark.lab


def test_they_agree_on_bare_nodes(bare: Lab) -> None:
    """A plan looks behind the first difference, so that every step of a bare node is judged."""
    ours, theirs = go(bare, "plan"), second_judge.judge(bare, *INFRA)
    assert contradictions(ours, theirs) == set()
    bad = {place for place, is_good in theirs.items() if not is_good}
    assert bad >= {"network[cnat]", "updates[cnat]", "fail2ban[cnat]", *(f"hosts[{node}]" for node in NODES)}


def test_they_agree_on_green_ones(green: Lab) -> None:
    theirs = second_judge.judge(green, *INFRA)
    assert contradictions(go(green, "verify"), theirs) == set()
    assert set(theirs.values()) == {True}
    assert len(theirs) > len(NODES) * (len(INFRA) - 1)
