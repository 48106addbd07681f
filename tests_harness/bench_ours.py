"""The benchmark's run of this harness: the questions as one step."""

from __future__ import annotations


import pytest

import harness.steps
from harness.plugin import Verify
from tests_harness import bench_questions

harness.steps.STEPS = (bench_questions,)
pytestmark = pytest.mark.step("bench_questions")


def test_questions(verify: Verify) -> None:
    verify()
