"""What programs make of a name."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import ObservationError
from harness.parse import getent

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("pi1", "pi2")


def ask(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """The question with a getent of our own."""
    path = folder / "getent"
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    script = getent.command(len(NAMES)) % NAMES
    return subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)


def test_all_names_are_asked_for_in_one_question(tmp_path: Path) -> None:
    done = ask(tmp_path, '[ "$2" = pi1 ] || exit 2; printf "10.0.0.1 STREAM pi1\\n10.0.0.1 DGRAM\\n"')
    assert getent.addresses(done.stdout, NAMES) == {"pi1": ("10.0.0.1",), "pi2": ()}


@pytest.mark.parametrize("program", ["kill -9 $$", "exit 1", "exit 124"], ids=["killed", "misused", "out of time"])
def test_no_answer_is_not_an_unknown_name(tmp_path: Path, program: str) -> None:
    done = ask(tmp_path, program)
    assert (done.returncode, done.stderr.strip().rpartition("\n")[2]) == (9, "getent gives no answer about pi1")


@pytest.mark.parametrize("text", ["", "pi1 10.0.0.1\n", "pi1 10.0.0.1\npi3\n", "motd\npi1\npi2\n"])
def test_an_answer_about_other_names_is_none(text: str) -> None:
    with pytest.raises(ObservationError, match="expected the addresses of pi1, pi2"):
        getent.addresses(text, NAMES)


def test_no_names_no_answer() -> None:
    assert getent.addresses("", ()) == {}
