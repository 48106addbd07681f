"""The loop: look, mend, look again; only the last look decides."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actions import Action
from harness.converge import PASSES, Loop
from harness.errors import ObservationError, Unreachable
from harness.model import Done, Mode, Verdict
from tests_harness.fakes import Chaos, FakeStep, World, documented_cluster, mend, place, run, verdicts

ONE, TWO = FakeStep("one"), FakeStep("two", "one")
FROM_HUB = FakeStep("arp", "one", look_from="controller")
Effects = dict[Action, dict[str, str]]
VAIN: dict[str, str] = {}  # an action without effect


def test_verify_looks_once_and_never_applies() -> None:
    world = World({"one[p1]": "bad"})
    outcomes = run(world, ONE, TWO)
    assert verdicts(outcomes) == {"one[p1]": "differs", "two[p1]": "blocked"}
    assert (len(world.looks), world.applied, world.renewals) == (2, [], 0)
    assert {one.planned for one in outcomes.values()} == {()}


def test_a_good_cluster_needs_one_look_at_each_step_also_to_repair() -> None:
    world = World()
    assert verdicts(run(world, ONE, TWO, mode="repair")) == {}
    assert (len(world.looks), world.applied) == (2, [])


def test_what_differed_and_was_mended_is_repaired_and_keeps_its_first_look() -> None:
    outcome = run(World({"one[p1]": "bad"}), ONE, mode="repair")["one[p1]"]
    assert outcome.verdict is Verdict.REPAIRED
    assert [check.seen for check in outcome.first] == ["bad"]
    assert [check.seen for check in outcome.checks] == ["good"]
    assert outcome.done == (Done(mend("one[p1]")),)
    assert outcome.reason == "word: want good, saw bad"


def test_a_repair_opens_the_way_to_what_it_blocked() -> None:
    world = World({"one[p1]": "bad", "two[p1]": "bad"})
    assert verdicts(run(world, ONE, TWO, mode="repair")) == {"one[p1]": "repaired", "two[p1]": "repaired"}
    assert world.applied == [mend("one[p1]"), mend("two[p1]")]


def test_success_that_did_not_mend_is_a_failure_that_says_so() -> None:
    world = World({"one[p1]": "bad"}, effects={mend("one[p1]"): VAIN})
    outcome = run(world, ONE, mode="repair")["one[p1]"]
    assert outcome.verdict is Verdict.DIFFERS
    assert outcome.reason == "the repair reported success but did not mend it: word: want good, saw bad"
    assert outcome.done == (Done(mend("one[p1]")),)
    assert outcome.planned == tuple(one.action for one in outcome.done)


def test_the_sentence_of_a_failed_action_is_in_the_reason() -> None:
    world = World({"one[p1]": "bad"}, failures={mend("one[p1]"): "p1: no space left"})
    outcome = run(world, ONE, mode="repair")["one[p1]"]
    assert outcome.verdict is Verdict.DIFFERS
    assert outcome.reason == "the repair failed (p1: no space left): word: want good, saw bad"


def test_a_repair_does_not_go_behind_what_it_could_not_mend() -> None:
    world = World({"one[p1]": "bad", "two[p1]": "bad"}, effects={mend("one[p1]"): VAIN})
    assert verdicts(run(world, ONE, TWO, mode="repair")) == {"one[p1]": "differs", "two[p1]": "blocked"}
    assert world.applied == [mend("one[p1]")]
    assert {names for step, names in world.looks if step == "two"} == {("cnat", "p2")}


def test_what_only_a_person_can_mend_differs_without_any_action() -> None:
    world = World({"one[p1]": "wrong"})
    outcome = run(world, ONE, mode="repair")["one[p1]"]
    assert (outcome.verdict, outcome.done, outcome.first) == (Verdict.DIFFERS, (), ())
    assert len(world.looks) == 1


def test_an_action_that_did_not_mend_is_not_repeated() -> None:
    world = World({"one[p1]": "bad"}, effects={mend("one[p1]"): VAIN})
    run(world, ONE, TWO, mode="repair")
    assert world.applied == [mend("one[p1]")]


def test_an_action_that_did_not_mend_is_not_repeated_when_another_node_has_something_new_to_try() -> None:
    effects: Effects = {mend("one[p1]"): VAIN, mend("one[p2]", "1"): {"one[p2]": "bad2"}}
    world = World({"one[p1]": "bad", "one[p2]": "bad1"}, effects)
    assert verdicts(run(world, ONE, mode="repair")) == {"one[p1]": "differs", "one[p2]": "repaired"}
    assert Counter(world.applied) == Counter([mend("one[p1]"), mend("one[p2]", "1"), mend("one[p2]", "2")])


def test_at_most_three_passes_mend_twice_each_and_the_last_pass_only_looks() -> None:
    steps_away = [f"bad{number}" for number in range(9)]
    effects: Effects = {mend("one[p1]", one.removeprefix("bad")): {"one[p1]": two} for one, two in pairwise(steps_away)}
    world = World({"one[p1]": "bad0"}, effects)
    outcome = run(world, ONE, mode="repair")["one[p1]"]
    assert world.applied == [mend("one[p1]", str(number)) for number in range(6)]
    assert len(world.looks) == 10
    assert (outcome.verdict, outcome.checks[0].seen) == (Verdict.DIFFERS, "bad6")


def test_what_a_mend_brings_to_light_is_mended_before_a_later_step_is_looked_at() -> None:
    effects: Effects = {mend("one[p1]"): {"one[p1]": "bad2"}, mend("one[p1]", "2"): {"one[p1]": "good"}}
    world = World({"one[p1]": "bad"}, effects)
    outcomes = run(world, ONE, TWO, mode="repair")
    assert verdicts(outcomes) == {"one[p1]": "repaired"}
    assert [step for step, _ in world.looks[:4]] == ["one", "one", "one", "two"]


def test_every_pass_but_the_first_tries_the_unreachable_anew() -> None:
    world = World({"one[p1]": "bad"})
    run(world, ONE, mode="repair")
    assert world.renewals == 1


def test_a_later_repair_that_breaks_an_earlier_step_is_seen() -> None:
    breaks = {"two[p1]": "good", "one[p1]": "wrong"}
    world = World({"two[p1]": "bad"}, effects={mend("two[p1]"): breaks})
    outcomes = run(world, ONE, TWO, mode="repair")
    assert verdicts(outcomes) == {"one[p1]": "differs", "two[p1]": "blocked"}


def test_what_was_mended_and_then_broken_by_a_later_repair_is_mended_again() -> None:
    breaks = {"two[p1]": "good", "one[p1]": "bad"}
    world = World({"one[p1]": "bad", "two[p1]": "bad"}, effects={mend("two[p1]"): breaks})
    assert verdicts(run(world, ONE, TWO, mode="repair")) == {"one[p1]": "repaired", "two[p1]": "repaired"}
    assert world.applied == [mend("one[p1]"), mend("two[p1]"), mend("one[p1]")]


def test_a_look_that_fails_after_the_repair_is_unknown() -> None:
    class Deadly(World):
        def renew(self) -> None:
            self.words["one[p1]"] = ObservationError("p1: gone")

    outcome = run(Deadly({"one[p1]": "bad"}), ONE, mode="repair")["one[p1]"]
    assert (outcome.verdict, outcome.reason) == (Verdict.UNKNOWN, "p1: gone")
    assert outcome.done == (Done(mend("one[p1]")),)


def test_what_was_unknown_and_then_ok_was_not_repaired() -> None:
    class Waking(World):
        def renew(self) -> None:
            self.words["one[p2]"] = "good"

    world = Waking({"one[p1]": "bad", "one[p2]": Unreachable("p2: asleep")})
    assert verdicts(run(world, ONE, mode="repair")) == {"one[p1]": "repaired"}


def test_only_chosen_places_are_mended() -> None:
    world = World({"one[p1]": "bad", "one[p2]": "bad", "two[cnat]": "bad"})
    outcomes = run(world, ONE, TWO, mode="repair", chosen=["one[p2]"])
    assert world.applied == [mend("one[p2]")]
    assert verdicts(outcomes) == {
        "one[p1]": "differs", "one[p2]": "repaired", "two[p1]": "blocked", "two[cnat]": "differs",
    }  # fmt: skip


@pytest.mark.parametrize(("advice", "applied"), [(False, []), (True, [mend("one[p1]")])], ids=["unasked", "asked"])
def test_advice_is_mended_only_when_asked_for(advice: bool, applied: list[Action]) -> None:  # noqa: FBT001
    world = World({"one[p1]": "meh"})
    assert verdicts(run(world, ONE, mode="repair", advice=advice)) == {}
    assert world.applied == applied


def test_a_plan_changes_nothing_and_says_what_a_repair_would_do() -> None:
    world = World({"one[p1]": "bad", "one[p2]": "wrong"})
    outcomes = run(world, ONE, mode="plan")
    assert (world.applied, len(world.looks)) == ([], 1)
    assert (outcomes["one[p1]"].verdict, outcomes["one[p1]"].planned) == (Verdict.DIFFERS, (mend("one[p1]"),))
    assert outcomes["one[p2]"].planned == ()


def test_a_plan_shows_what_comes_after_planned_differences_but_calls_it_blocked() -> None:
    outcomes = run(World({"one[p1]": "bad", "two[p1]": "bad"}), ONE, TWO, FROM_HUB, mode="plan")
    assert (outcomes["two[p1]"].verdict, outcomes["two[p1]"].cause) == (Verdict.BLOCKED, place("one[p1]"))
    assert outcomes["two[p1]"].planned == (mend("two[p1]"),)
    assert [check.seen for check in outcomes["arp[p1]"].checks] == ["good"]


@pytest.mark.parametrize("chosen", [None, ["two[p1]"]], ids=["not mendable", "not chosen"])
def test_a_plan_does_not_look_behind_a_difference_that_it_would_not_mend(chosen: list[str] | None) -> None:
    world = World({"one[p1]": "bad" if chosen else "wrong", "two[p1]": "bad"})
    outcomes = run(world, ONE, TWO, mode="plan", chosen=chosen)
    assert (outcomes["two[p1]"].verdict, outcomes["two[p1]"].planned) == (Verdict.BLOCKED, ())
    assert world.looks[-1] == ("two", ("cnat", "p2"))


WORDS = st.lists(
    st.sampled_from(["good", "bad", "bad1", "bad2", "bad3", "wrong", "meh", "mute", "dead", "cut"]), min_size=1
)
FAILURES = st.lists(st.sampled_from(["", "p1: failed"]), min_size=1)
MODES = st.sampled_from(["verify", "plan", "repair"])
NAMES = documented_cluster().names
STEPS = (ONE, FROM_HUB, TWO)


@given(WORDS, FAILURES, MODES, st.booleans(), st.data())
def test_whatever_happens_the_loop_ends_with_one_outcome_for_each_place(
    words: list[str], failures: list[str], mode: Mode, advice: bool, data: st.DataObject  # noqa: FBT001
) -> None:  # fmt: skip
    places = [place(f"{step}[{name}]") for step in ("one", "arp", "two") for name in NAMES]
    chosen = data.draw(st.sets(st.sampled_from(places)))
    world = Chaos(words, failures)
    outcomes = Loop(documented_cluster(), STEPS, world, mode, chosen.__contains__, advice).converge()
    assert [one.place for one in outcomes] == places
    assert len(world.looks) <= len(STEPS) * (2 * PASSES + 1)
    assert mode == "repair" or not world.applied
    assert mode == "plan" or not any(one.planned and not one.done for one in outcomes)
    assert {one.place for one in outcomes if one.done or one.planned} <= chosen
    assert all(one.cause is not None for one in outcomes if one.verdict is Verdict.BLOCKED)


@given(WORDS)
def test_a_cause_is_a_place_that_is_not_blocked_itself(words: list[str]) -> None:
    outcomes = Loop(documented_cluster(), STEPS, Chaos([w for w in words if w != "cut"] or ["good"], [""]), "verify",
                    lambda _: True).converge()  # fmt: skip
    by_place = {one.place: one for one in outcomes}
    for one in outcomes:
        assert one.cause is None or not by_place[one.cause].verdict.is_met
        assert one.cause is None or by_place[one.cause].verdict is not Verdict.BLOCKED
