"""The benchmark's run of stock testinfra: the same questions, one item each, as its documentation shows."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from tests_harness.bench_questions import questions

ASKED = questions()


@pytest.mark.parametrize("name", ASKED)
def test_question(host: Host, name: str) -> None:
    assert str(ASKED[name](host))
