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


@dataclass
class Progress:
    """Use as a context manager and call it with what begins; `write` gets a line for what lasts."""

    write: Callable[[str], None]
    _what: str = ""
    _since: float = 0.0
    _said: float = 0.0
    _wake: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, what: str) -> None:
        """Name what begins now; the same words again do not restart the clock."""
        with self._lock:
            if what != self._what:
                self._what, self._since, self._said = what, time.monotonic(), 0.0

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._wake.wait(QUIET / 4):
            with self._lock:
                now = time.monotonic()
                lasted = now - self._since
                if self._what and lasted >= QUIET and (not self._said or now - self._said >= AGAIN):
                    self._said = now
                    self.write(f"… {self._what} ({lasted:.0f} s)")
