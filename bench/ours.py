"""The benchmark's run of this harness: the questions as one step."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import harness.steps
from bench import questions

if TYPE_CHECKING:
    from harness.plugin import Verify

harness.steps.STEPS = ("questions",)
sys.modules["harness.steps.questions"] = questions
pytestmark = pytest.mark.step("questions")


def test_questions(verify: Verify) -> None:
    verify()
