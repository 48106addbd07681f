"""What is the same on every node of a cluster is asked of one of them, once in a run."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Once:
    """The first answer under each key; usable from several threads."""

    def __init__(self) -> None:
        self._answers: dict[str, Any] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def __call__(self, key: str, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is asked
        """Ask, or give the answer again. Who comes meanwhile waits; a failure is no answer, so he asks himself."""
        with self._lock:
            lock = self._locks[key]
        with lock:
            if key not in self._answers:
                self._answers[key] = ask()
            return self._answers[key]
