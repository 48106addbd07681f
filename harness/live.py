"""The live crew: looks at the nodes of a step all at once over the run's connections, and applies actions."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from harness.apply import Applier
from harness.converge import Sight
from harness.errors import ObservationError
from harness.step import LooksAgain
from harness.words import count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.actions import Action
    from harness.connect import Connections
    from harness.model import Done
    from harness.node import NodeAccess
    from harness.step import Step

# What testinfra and the standard library raise where an answer is not of the expected shape. Nothing is known
# then; it must neither pass as a difference nor end the run.
MISUNDERSTOOD = (AssertionError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, OSError)


class LiveCrew:
    """Looks and changes over ssh.

    `say` is told what begins and what is waited for; `looked` is the time spent looking, in seconds.
    """

    def __init__(self, connections: Connections, say: Callable[[str], None]) -> None:
        self._connections = connections
        self._say = say
        self.looked = 0.0

    def look(self, step: Step, names: Sequence[str]) -> Sight:
        """Observe the nodes in parallel; each node's answer or the reason why there is none."""
        self._say(f"looking at {step.__name__.rpartition('.')[2]} on {count(len(names), 'machine')}")
        begun = time.monotonic()
        sight = self._look(names, step.observe)
        if isinstance(step, LooksAgain):
            seen = sight.seen
            again = self._look(tuple(seen), lambda access: step.look_again(access, seen))
            sight = Sight(again.seen, {**sight.failed, **again.failed})
        self.looked += time.monotonic() - begun
        return sight

    def apply(self, actions: Sequence[Action]) -> tuple[Done, ...]:
        """Carry out the actions; see `Applier`."""
        return Applier(self._connections, self._say).apply(actions)

    def renew(self) -> None:
        """Forget who could not be reached; a refused login is not tried again."""
        self._connections.renew()

    def _look(self, names: Sequence[str], observe: Callable[[NodeAccess], Any]) -> Sight:
        with ThreadPoolExecutor(max_workers=max(1, len(names))) as threads:
            answers = dict(zip(names, threads.map(lambda name: self._observe(observe, name), names), strict=True))
        seen = {name: found for name, found in answers.items() if not isinstance(found, ObservationError)}
        failed = {name: found for name, found in answers.items() if isinstance(found, ObservationError)}
        return Sight(seen, failed)

    def _observe(self, observe: Callable[[NodeAccess], Any], name: str) -> Any:  # noqa: ANN401 - each step has a State of its own
        try:
            return observe(self._connections.access(name, self._say))
        except ObservationError as error:
            return error
        except MISUNDERSTOOD as error:
            what = str(error).partition("\n")[0][:200]
            return ObservationError(f"{name}: the answer is not understood: {type(error).__name__}: {what}")
