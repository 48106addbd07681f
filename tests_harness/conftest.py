"""What the tests share: hypothesis without a clock, and the one lab of all lab tests."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness.lab import Lab
from tests_harness.faultkit import EVERYTHING, make_green
from tests_harness.labkit import LAB_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 3
# pytest loads this file also where the tool alone is installed, to verify a cluster: then nothing here is collected.
collect_ignore_glob: list[str] = []
if importlib.util.find_spec("hypothesis"):
    from hypothesis import settings

    # Properties are about values, not about how busy the machine is.
    settings.register_profile("harness", deadline=None, max_examples=40)
    settings.register_profile("field", deadline=None, max_examples=200)
    settings.load_profile(os.environ.get("HATCHECK_EXAMPLES", "harness"))
else:
    collect_ignore_glob = ["*"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the whole runbook come last, so that the lab is made ready once.

    Of a table of trials on the lab the first rows are tried by `make test`, the others are field tests.
    """
    items.sort(key=lambda item: "ready" in getattr(item, "fixturenames", ()))
    rows = Counter[str]()
    for item in items:
        if item.get_closest_marker("lab") and hasattr(item, "callspec"):
            table = item.nodeid.partition("[")[0]
            rows[table] += 1
            if rows[table] > ROWS:
                item.add_marker("field")


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
    """The cluster kit as `--repair` makes it: once for each file that asks for it."""
    make_green(lab)
    return lab


@pytest.fixture(scope="module")
def ready(lab: Lab) -> Lab:
    """The whole cluster as `--repair` makes it, application and all: once for each file that asks for it."""
    make_green(lab, EVERYTHING)
    return lab
