"""Where the tool alone is installed (`pip install .` without `dev`), a cluster can be verified all the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests_harness.labkit import ROOT

# What the optional dependencies `dev` bring; a module that is None cannot be imported.
PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(("hypothesis", "xdist", "mypy", "ruff")))
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(["--cluster", "lab"], 0, id="the suite"),
        pytest.param(["--cluster=lab", "."], 0, id="all there is"),
        pytest.param(["--cluster=lab", "nowhere"], 4, id="a path that is not there"),
        pytest.param(["--cluster=lab", "tests_harness"], 5, id="the harness itself, whose tests need more"),
    ],
)
def test_nothing_of_the_cluster_needs_what_only_developers_have(words: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--collect-only", "-q", "-p", "no:cacheprovider", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "ModuleNotFoundError" not in done.stdout + done.stderr
