"""The contract of a step, and the way a step sees a node.

A step is a module of `harness/steps` with three names and two functions; mypy holds each module against
the `Step` protocol where `harness/steps/__init__.py` lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from harness.errors import MissingTool, ObservationError
from harness.model import Action, Check, Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testinfra.host import Host

    from harness.inventory import Cluster

LookFrom = Literal["every node", "controller"]
COMMAND_NOT_FOUND = 127


@dataclass(frozen=True)
class NodeAccess:
    """One node to look at: its name, the cluster it belongs to, and a testinfra host over our connection.

    `host` asks as the login user, `root` through sudo. Both are ordinary testinfra hosts; `ask` and
    `test` are for the plain command whose failure means that nothing was learnt.
    """

    name: str
    cluster: Cluster
    host: Host
    root: Host

    @property
    def is_controller(self) -> bool:
        """Whether this is the machine that carries the HAT."""
        return self.name == self.cluster.controller.name

    def ask(self, command: str, *arguments: str, root: bool = False) -> str:
        """The standard output of a command whose exit code must be 0.

        Each `%s` of `command` is replaced by one argument, quoted. MissingTool for exit 127,
        ObservationError for any other failure; never an empty answer in place of one.
        """
        code, out, err = self.run(command, *arguments, root=root)
        if code:
            raise ObservationError(f"{self.name}: `{command}` gave exit {code}: {_first_line(err or out)}")
        return out

    def test(self, command: str, *arguments: str, root: bool = False) -> bool:
        """Exit 0 as True and 1 as False; every other exit is an ObservationError."""
        code, _, err = self.run(command, *arguments, root=root)
        if code not in {0, 1}:
            raise ObservationError(f"{self.name}: `{command}` gave exit {code}: {_first_line(err)}")
        return code == 0

    def run(self, command: str, *arguments: str, root: bool = False) -> tuple[int, str, str]:
        """Exit code, output and error output of a command that ran; MissingTool if it is not there."""
        result = (self.root if root else self.host).run(command, *arguments)
        if result.rc == COMMAND_NOT_FOUND:
            raise MissingTool(f"{self.name}: cannot ask: {_first_line(result.stderr) or command}")
        return result.rc, result.stdout, result.stderr


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
    return Check(node, aspect, str(want), str(seen), want == seen, level, fix, by_hand)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]
