"""The demo where there is no lab: the same three runs from tapes, short enough for a newcomer to read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests_harness.labkit import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = {
    "hatcheck": "echo it needs root >&2; exit 4",
    "pytest": f'exec "{sys.executable}" -m pytest -p no:cacheprovider "$@"',
}


def test_without_a_lab_the_demo_shows_tapes_and_says_so(tmp_path: Path) -> None:
    for name, body in PROGRAMS.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        ["bash", "scripts/demo.sh", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
        env=environment | {"PYTEST_ADDOPTS": f"--reports={tmp_path}/reports"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "This machine cannot host the lab: it needs root" in done.stdout
    closing = [line for line in done.stdout.splitlines() if re.match(r"(differs|as documented): \d+ ", line)]
    assert [line.partition(":")[0] for line in closing] == ["differs", "as documented", "as documented"]
    assert len(done.stdout.splitlines()) < 200
