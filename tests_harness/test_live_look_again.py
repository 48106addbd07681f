"""A second look sees what all machines said in the first, and loses only those that it fails on."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from harness.errors import ObservationError
from harness.live import LiveCrew
from harness.node import NodeAccess
from harness.steps import keys
from tests_harness.fakes import FakeStep, Word, small_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.connect import Connections
    from harness.step import LooksAgain

NAMES = ("cnat", "p1", "p2")


class FakeConnections:
    """Gives access to nodes that nobody asks anything."""

    def access(self, name: str, say: Callable[[str], None]) -> NodeAccess:
        return NodeAccess(name, small_cluster(), None, None, say=say)


class LooksOnce(FakeStep):
    """p2 gives no answer."""

    def observe(self, node: NodeAccess) -> Word:
        if node.name == "p2":
            raise ObservationError("p2: silent")
        return Word(node.name)


class LooksTwice(LooksOnce):
    """p1 gives no second answer; the others say who answered first."""

    def look_again(self, node: NodeAccess, seen: Mapping[str, Word]) -> Word:
        if node.name == "p1":
            raise ObservationError("p1: why", via="cnat")
        return Word(f"{seen[node.name].word} saw {' '.join(seen)}")


def crew() -> LiveCrew:
    return LiveCrew(cast("Connections", FakeConnections()), lambda _: None)


class Waits(FakeStep):
    """Each says what it waits for."""

    def observe(self, node: NodeAccess) -> Word:
        node.say(f"{node.name}: waiting for Godot")
        return Word(node.name)


def test_what_a_look_waits_for_is_said_to_who_looks_on() -> None:
    said: list[str] = []
    LiveCrew(cast("Connections", FakeConnections()), said.append).look(Waits("a"), NAMES)
    assert said[0] == "looking at a on 3 machines"
    assert sorted(said[1:]) == [f"{name}: waiting for Godot" for name in NAMES]


def test_one_machine_is_one() -> None:
    said: list[str] = []
    LiveCrew(cast("Connections", FakeConnections()), said.append).look(LooksOnce("a"), NAMES[:1])
    assert said == ["looking at a on 1 machine"]


def test_most_steps_look_once() -> None:
    sight = crew().look(LooksOnce("a"), NAMES)
    assert (sight.seen, set(sight.failed)) == ({"cnat": Word("cnat"), "p1": Word("p1")}, {"p2"})


def test_a_second_look_gets_all_that_the_first_one_saw() -> None:
    sight = crew().look(LooksTwice("a"), NAMES)
    assert sight.seen == {"cnat": Word("cnat saw cnat p1")}
    assert {name: (str(error), error.via) for name, error in sight.failed.items()} == {
        "p1": ("p1: why", "cnat"), "p2": ("p2: silent", ""),
    }  # fmt: skip


def test_the_step_keys_is_one_of_those() -> None:
    step: LooksAgain = keys
    assert step.look_again is keys.look_again
