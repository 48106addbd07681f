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


def test_all_names_are_asked_for_in_one_question(tmp_path: Path) -> None:
    program = tmp_path / "getent"
    program.write_text('#!/bin/sh\n[ "$2" = pi1 ] && printf "10.0.0.1 STREAM pi1\\n10.0.0.1 DGRAM\\n"\n')
    program.chmod(0o755)
    script = getent.command(len(NAMES)) % getent.arguments(NAMES)
    done = subprocess.run(
        ["sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert getent.addresses(done.stdout, NAMES) == {"pi1": ("10.0.0.1",), "pi2": ()}


@pytest.mark.parametrize("text", ["", "pi1 10.0.0.1\n", "pi1 10.0.0.1\npi3\n", "motd\npi1\npi2\n"])
def test_an_answer_about_other_names_is_none(text: str) -> None:
    with pytest.raises(ObservationError, match="expected the addresses of pi1, pi2"):
        getent.addresses(text, NAMES)


def test_no_names_no_answer() -> None:
    assert getent.addresses("", ()) == {}
