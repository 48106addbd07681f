"""Public fakes for the core: steps that compare one word, and a world in which actions have scripted effects."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from harness.actions import Action, Run
from harness.converge import Loop, Sight
from harness.errors import ObservationError
from harness.inventory import Cluster, parse
from harness.model import Check, Done, Mode, Outcome, Place
from harness.step import LookFrom, expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.node import NodeAccess
    from harness.step import Step


def documented_cluster() -> Cluster:
    """The cluster of the runbook."""
    return parse({}, "nowhere", Path())


def small_cluster() -> Cluster:
    """A controller and two nodes."""
    return parse({"nodes": [{"name": "p1"}, {"name": "p2"}]}, "nowhere", Path())


def place(text: str) -> Place:
    """`step[node]` as a place."""
    step, _, node = text.removesuffix("]").partition("[")
    return Place(step, node)


def mend(where: str, number: str = "") -> Run:
    """The action that mends a word of a fake step at `step[node]`."""
    there = place(where)
    return Run(there.node, ("mend", there.step, number), f"mend {where}")


@dataclass(frozen=True)
class Word:
    """What a fake step sees on one node.

    "good" holds. "bad" differs and can be mended, and so does "bad…", each by an action of its own. "wrong"
    differs and only a person can help. "meh" is good with advice that differs. "mute" yields no check.
    """

    word: str


class FakeStep:
    """A step that compares one word for each node that was seen."""

    State = Word

    def __init__(self, name: str, *needs: str, look_from: LookFrom = "every node") -> None:
        self.__name__ = f"fakes.{name}"
        self.NEEDS = needs
        self.LOOK_FROM = look_from

    def observe(self, node: NodeAccess) -> Word:
        """Never asked: a world looks itself."""
        raise NotImplementedError(node.name)

    def judge(self, seen: Mapping[str, Word], cluster: Cluster) -> Iterator[Check]:
        """One must check for each node, and sometimes one of advice."""
        short = self.__name__.rpartition(".")[2]
        looked_at = cluster.names if self.LOOK_FROM == "controller" and seen else tuple(seen)
        for name in looked_at:
            word = seen[name if name in seen else cluster.controller.name].word
            fix = (mend(f"{short}[{name}]", word.removeprefix("bad")),) if word.startswith("bad") else ()
            if word != "mute":
                yield expect(name, "word", want="good", seen="good" if word == "meh" else word, fix=fix)
            if word == "meh":
                fix = (mend(f"{short}[{name}]"),)
                yield expect(name, "taste", want="fine", seen="meh", level="advice", fix=fix)


@dataclass
class World:
    """A crew over a world that is only a table: place to word, or to the error of a look.

    An action makes the word of its place good, unless `effects` gives other words for places; `failures` has
    the sentences of actions that fail. `looks`, `applied` and `renewals` keep what was asked.
    """

    words: dict[str, str | ObservationError] = field(default_factory=dict)
    effects: dict[Action, dict[str, str]] = field(default_factory=dict)
    failures: dict[Action, str] = field(default_factory=dict)
    looks: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    applied: list[Action] = field(default_factory=list)
    renewals: int = 0

    def look(self, step: Step, names: Sequence[str]) -> Sight:
        """The words of these nodes; "good" where the table says nothing."""
        short = step.__name__.rpartition(".")[2]
        self.looks.append((short, tuple(names)))
        found = {name: self.words.get(f"{short}[{name}]", "good") for name in names}
        seen = {name: Word(word) for name, word in found.items() if isinstance(word, str)}
        return Sight(seen, {name: word for name, word in found.items() if isinstance(word, ObservationError)})

    def apply(self, actions: Sequence[Action]) -> tuple[Done, ...]:
        """Let each action have its effect."""
        self.applied += actions
        for action in actions:
            if action not in self.failures and isinstance(action, Run):
                self.words.update(self.effects.get(action, {f"{action.argv[1]}[{action.node}]": "good"}))
        return tuple(Done(action, self.failures.get(action, "")) for action in actions)

    def renew(self) -> None:
        """Count."""
        self.renewals += 1


class Chaos(World):
    """A world in which every look and every action gives the next answer of a script, whatever was done."""

    def __init__(self, words: Sequence[str], failures: Sequence[str]) -> None:
        super().__init__()
        self._next_word = cycle(words)
        self._next_failure = cycle(failures)

    def look(self, step: Step, names: Sequence[str]) -> Sight:
        """The next words; "dead" and "cut" are failed looks, the second by way of the controller."""
        super().look(step, names)
        words = {name: next(self._next_word) for name in names}
        errors = {"dead": ObservationError("dead"), "cut": ObservationError("cut", via="cnat")}
        seen = {name: Word(word) for name, word in words.items() if word not in errors}
        return Sight(seen, {name: errors[word] for name, word in words.items() if word in errors})

    def apply(self, actions: Sequence[Action]) -> tuple[Done, ...]:
        """The next failures."""
        super().apply(actions)
        return tuple(Done(action, next(self._next_failure)) for action in actions)


def run(
    world: World, *steps: Step, mode: Mode = "verify", chosen: Sequence[str] | None = None, advice: bool = False
) -> dict[str, Outcome]:
    """Converge over the small cluster; the outcome of each `step[node]`. `chosen` is every place if not given."""
    is_chosen = {place(text) for text in chosen}.__contains__ if chosen is not None else lambda _: True
    outcomes = Loop(small_cluster(), steps, world, mode, is_chosen, advice).converge()
    assert len({outcome.place for outcome in outcomes}) == len(outcomes), "two outcomes for one place"
    return {str(outcome.place): outcome for outcome in outcomes}


def verdicts(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """Only the verdicts that are not ok."""
    return {where: str(one.verdict) for where, one in outcomes.items() if str(one.verdict) != "ok"}


@dataclass
class FakeCrew:
    """A crew that sees what it is given: for each step its looks in turn, of which the last one repeats.

    A look maps names to states or to the error of that look; who is not in it does not answer. Actions
    succeed, unless `failures` has their sentence; what they do is in the next look.
    """

    looks: Mapping[str, Sequence[Mapping[str, object]]]
    failures: Mapping[Action, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def look(self, step: Step, names: Sequence[str]) -> Sight:
        """The given states of these names."""
        short = step.__name__.rpartition(".")[2]
        looks = self.looks[short]
        look = looks[min(self.asked[short], len(looks) - 1)]
        self.asked[short] += 1
        found = {name: look.get(name, ObservationError(f"{name}: silent")) for name in names}
        failed = {name: one for name, one in found.items() if isinstance(one, ObservationError)}
        return Sight({name: one for name, one in found.items() if name not in failed}, failed)

    def apply(self, actions: Sequence[Action]) -> tuple[Done, ...]:
        """Success, or the failure that is given."""
        return tuple(Done(action, self.failures.get(action, "")) for action in actions)

    def renew(self) -> None:
        """Nothing to renew."""


def outcomes_of(step: Step, seen: Mapping[str, object], cluster: Cluster) -> tuple[Outcome, ...]:
    """What becomes of one step alone, only looking once."""
    crew = FakeCrew({step.__name__.rpartition(".")[2]: [seen]})
    return Loop(cluster, (step,), crew, "verify", lambda _: True).converge()
