"""The benchmark's run of stock testinfra: the same questions, one item each, as its documentation shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.questions import questions

if TYPE_CHECKING:
    from testinfra.host import Host

ASKED = questions()


@pytest.mark.parametrize("name", ASKED)
def test_question(host: Host, name: str) -> None:
    assert str(ASKED[name](host))
