"""Say what is going on, but only where it takes long enough for a person to wonder."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET = 2.0  # seconds before the first word about one thing
AGAIN = 15.0  # seconds before it is said again
KEPT = 8.0  # seconds for which a thing goes on though others spoke since; waits are named every few seconds


@dataclass
class _Thing:
    """When it began, when it was named last, and when it was written (0: never)."""

    since: float
    named: float
    written: float = 0.0


@dataclass
class Progress:
    """Use as a context manager and call it with what begins; `write` gets a line for what lasts.

    Several machines may be waited for at once, and name in turn what for: that starts no clock anew.
    """

    write: Callable[[str], None]
    quiet: float = QUIET
    _latest: str = ""
    _things: dict[str, _Thing] = field(default_factory=dict)
    _wake: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, what: str) -> None:
        """Name what begins now, or goes on."""
        with self._lock:
            now = time.monotonic()
            self._things = {
                words: thing for words, thing in self._things.items()
                if words == self._latest or now - thing.named < KEPT
            }  # fmt: skip
            self._things.setdefault(what, _Thing(now, now)).named = now
            self._latest = what

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._wake.wait(self.quiet / 4):
            with self._lock:
                now, thing = time.monotonic(), self._things.get(self._latest)
                if thing is None or now - thing.since < self.quiet:
                    continue
                if not thing.written or now - thing.written >= AGAIN:
                    thing.written = now
                    self.write(f"… {self._latest} ({now - thing.since:.0f} s)")
