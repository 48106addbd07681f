"""What takes long is said, and only that; and what is waited for on several machines at once is said, too."""

from __future__ import annotations

import time

from harness.progress import Progress

QUIET = 0.2


def written(*named: str, every: float, times: int = 1, quiet: float = QUIET) -> list[str]:
    lines: list[str] = []
    with Progress(lines.append, quiet) as say:
        for _ in range(times):
            for what in named:
                say(what)
                time.sleep(every)
    return [line.partition(" (")[0] for line in lines]


def test_what_is_done_at_once_is_not_said() -> None:
    assert written("a", "b", "c", every=0.01, quiet=60) == []


def test_what_lasts_is_said_once() -> None:
    assert written("a", every=4 * QUIET) == ["… a"]


def test_machines_that_wait_at_once_and_speak_in_turn_are_each_heard() -> None:
    assert sorted(written("p1: waits", "p2: waits", every=QUIET / 3, times=12)) == ["… p1: waits", "… p2: waits"]
