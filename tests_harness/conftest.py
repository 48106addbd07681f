"""What the tests share: hypothesis without a clock, and the one lab of all lab tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from harness.lab import Lab
from tests_harness.faultkit import make_green
from tests_harness.labkit import LAB_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

# Properties are about values, not about how busy the machine is.
settings.register_profile("harness", deadline=None)
settings.load_profile("harness")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Five bare nodes, booted; later tests of the session find them as earlier ones left them."""
    made = Lab(LAB_NAME)
    made.down()
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="class")
def bare(lab: Lab) -> Lab:
    """The same lab right after flashing: once for each class that asks for it."""
    lab.up()
    lab.reset()
    return lab


@pytest.fixture(scope="module")
def green(lab: Lab) -> Lab:
    """The lab as `--repair` makes it, all of it: once for each file that asks for it."""
    make_green(lab)
    return lab
