"""The contract of a step.

A step is a module of `harness/steps` with three names and two functions; mypy holds each module against
the `Step` protocol where `harness/steps/__init__.py` lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from harness.model import Check, Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.node import NodeAccess

LookFrom = Literal["every node", "controller"]


class Step(Protocol):
    """What every module of `harness/steps` provides."""

    @property
    def __name__(self) -> str: ...
    @property
    def NEEDS(self) -> tuple[str, ...]:  # noqa: N802 - a constant of the module
        """Steps that must be met on a node before this one is tried there."""

    @property
    def LOOK_FROM(self) -> LookFrom:  # noqa: N802 - a constant of the module
        """Where `observe` runs; "controller" for what only the controller can tell about all."""

    @property
    def State(self) -> type[Any]:  # noqa: N802 - a class of the module
        """Frozen dataclass: what one look saw on one node."""

    def observe(self, node: NodeAccess, /) -> Any:  # noqa: ANN401 - each step has a State of its own
        """Look at one node and change nothing; raise ObservationError instead of guessing."""

    def judge(self, seen: Mapping[str, Any], cluster: Cluster, /) -> Iterator[Check]:
        """Yield every comparison, the good ones too; pure. `seen` lacks nodes that gave no answer."""


@runtime_checkable
class LooksAgain(Protocol):
    """A step with one more question, which depends on what all machines said (has a login a chance at all?)."""

    def look_again(self, node: NodeAccess, seen: Mapping[str, Any], /) -> Any:  # noqa: ANN401 - as `observe`
        """Look at one node again, with the first look of all that answered; gives its state for good."""


def expect(
    node: str,
    aspect: str,
    *,
    want: object,
    seen: object,
    level: Level = "must",
    fix: tuple[Action, ...] = (),
    by_hand: str = "",
) -> Check:
    """The check that something is exactly what is wanted."""
    return Check(node, aspect, str(want), str(seen), want == seen, level, fix, "" if fix else by_hand)
