"""The tests that prove the harness itself: offline, and on the lab."""

import pytest

# Their asserts explain themselves as those of a test do.
pytest.register_assert_rewrite("tests_harness.faultkit", "tests_harness.labkit")
