"""The benchmark's run of this harness: the questions as one step."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import harness.steps
from tests_harness import bench_questions

if TYPE_CHECKING:
    from harness.plugin import Verify

harness.steps.STEPS = ("bench_questions",)
sys.modules["harness.steps.bench_questions"] = bench_questions
pytestmark = pytest.mark.step("bench_questions")


def test_questions(verify: Verify) -> None:
    verify()
