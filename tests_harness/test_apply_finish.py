"""What must not be cut off half-way goes on when its time, its session or its connection ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from harness.actions import Run
from harness.apply import FINISH, OUTPUT, Applier
from harness.errors import TimeLimit
from harness.shell import Answer

if TYPE_CHECKING:
    from pathlib import Path

    from harness.connect import Connections

INSTALL = Run("p1", ("apt-get", "install", "x"), "needed", limit=3, finishes=True)


@dataclass
class OneAnswer:
    """Connections to machines that give this answer to whatever is asked."""

    answer: Answer | TimeLimit

    def connection(self, _name: str) -> OneAnswer:
        """The one connection."""
        return self

    def ask(self, _script: str, *, root: bool, limit: float) -> Answer:
        """The answer."""
        assert (root, limit) == (True, INSTALL.limit)
        if isinstance(self.answer, TimeLimit):
            raise self.answer
        return self.answer


def applied(answer: Answer | TimeLimit) -> str:
    (done,) = Applier(cast("Connections", OneAnswer(answer)), lambda _: None).apply((INSTALL,))
    return done.failure


def finish(folder: Path, script: str) -> subprocess.Popen[str]:
    text = FINISH.replace(OUTPUT, str(folder / "log"))
    return subprocess.Popen(
        ["sh", "-c", text, "sh", "sh", "-c", script], start_new_session=True, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("script", "code", "said"), [("echo well", 0, "well\n"), ("echo E: no >&2; exit 7", 7, "E: no\n")]
)
def test_its_exit_code_and_last_words_come_back(tmp_path: Path, script: str, code: int, said: str) -> None:
    process = finish(tmp_path, script)
    assert (process.communicate(timeout=20)[1], process.returncode) == (said, code)


def test_it_goes_on_when_its_session_is_killed(tmp_path: Path) -> None:
    done = tmp_path / "done"
    process = finish(tmp_path, f"echo $$; sleep 1; echo late; touch {done}")
    while not (tmp_path / "log").exists() or not (tmp_path / "log").read_text():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while not done.exists():
        assert time.monotonic() < deadline, "it was ended with its session"
        time.sleep(0.05)


def test_a_repair_whose_time_is_up_says_that_it_goes_on_there() -> None:
    failure = applied(TimeLimit("p1: no answer within 3 s"))
    assert failure == (
        "p1: `apt-get install x` is not done after 3 s, and goes on; "
        f"{OUTPUT} there says how far it is, then repair again"
    )


def test_a_failure_is_said_by_its_last_line() -> None:
    failure = applied(Answer(100, b"", b"Reading lists\nE: Unable to locate package x\n"))
    assert failure == "p1: `apt-get install x` gave exit 100: E: Unable to locate package x"
