"""One outcome for each step and node: what differs, what is unknown, and who is to blame for the rest."""

from __future__ import annotations

import pytest

from harness.converge import Loop
from harness.errors import ObservationError, Refused, TimeLimit, Unreachable
from harness.judgement import blockers, conclude
from harness.model import Check, Outcome, Verdict
from harness.steps import STEPS, load
from tests_harness.fakes import FakeCrew, FakeStep, World, documented_cluster, place, run, verdicts
from tests_harness.fakes_cluster import good_cluster, without

ONE, TWO, THREE = FakeStep("one"), FakeStep("two", "one"), FakeStep("three", "two")
FROM_HUB = FakeStep("arp", "one", look_from="controller")
DEAD = ObservationError("p1: dead")


@pytest.mark.parametrize(
    ("word", "verdict", "reason"),
    [
        pytest.param("good", "ok", "", id="good"),
        pytest.param("meh", "ok", "", id="advice never decides"),
        pytest.param("wrong", "differs", "word: want good, saw wrong", id="differs"),
        pytest.param(DEAD, "unknown", "p1: dead", id="a failed look"),
        pytest.param(TimeLimit("p1: slow"), "unknown", "p1: slow", id="no answer in time"),
        pytest.param(Refused("p1: no"), "unknown", "p1: no", id="refused"),
        pytest.param(
            "mute", "unknown", "one[p1] compared nothing: a defect of the step, please report it", id="vacuous"
        ),
    ],
)
def test_what_was_seen_on_a_node_gives_its_verdict(word: str | ObservationError, verdict: str, reason: str) -> None:
    outcomes = run(World({"one[p1]": word}), ONE)
    assert (outcomes["one[p1]"].verdict, outcomes["one[p1]"].reason) == (verdict, reason)
    assert {outcomes[f"one[{name}]"].verdict for name in ("cnat", "p2")} == {Verdict.OK}


def test_all_checks_are_kept_also_those_that_hold() -> None:
    outcome = run(World({"one[p1]": "meh"}), ONE)["one[p1]"]
    assert [(check.aspect, check.holds) for check in outcome.checks] == [("word", True), ("taste", False)]


def test_several_differences_are_counted_in_the_reason() -> None:
    differing = [Check("p1", aspect, "1", "2", holds=False) for aspect in ("a", "b", "c")]
    outcome = conclude(ONE, ["p1"], differing, {}, {})[place("one[p1]")]
    assert outcome.reason == "a: want 1, saw 2 (and 2 more)"


def test_a_difference_outranks_a_failed_look_at_the_same_node() -> None:
    port_off = Check("p1", "port", "1", "0", holds=False)
    outcome = conclude(ONE, ["p1"], [port_off], {"p1": DEAD}, {})[place("one[p1]")]
    assert (outcome.verdict, outcome.reason) == (Verdict.DIFFERS, "port: want 1, saw 0")


def test_a_check_that_holds_does_not_hide_a_failed_look() -> None:
    port_on = Check("p1", "port", "1", "1", holds=True)
    outcome = conclude(ONE, ["p1"], [port_on], {"p1": DEAD}, {})[place("one[p1]")]
    assert (outcome.verdict, outcome.checks) == (Verdict.UNKNOWN, (port_on,))


def test_outcomes_come_in_the_order_of_the_nodes() -> None:
    assert [one.node for one in conclude(ONE, ["p2", "cnat", "p1"], [], {}, {})] == ["p2", "cnat", "p1"]


@pytest.mark.parametrize("word", ["wrong", DEAD, "mute"], ids=["differs", "unknown", "vacuous"])
def test_an_unmet_need_blocks_only_its_node_and_names_the_root_over_several_levels(
    word: str | ObservationError,
) -> None:
    world = World({"one[p1]": word})
    outcomes = run(world, ONE, TWO, THREE)
    for blocked in ("two[p1]", "three[p1]"):
        assert outcomes[blocked].verdict is Verdict.BLOCKED
        assert outcomes[blocked].cause == place("one[p1]")
        assert outcomes[blocked].reason == "blocked by one[p1]"
    assert {where for where in verdicts(outcomes) if "p1" not in where} == set()
    assert world.looks == [("one", ("cnat", "p1", "p2")), ("two", ("cnat", "p2")), ("three", ("cnat", "p2"))]


def test_a_step_that_looks_from_the_controller_is_blocked_everywhere_when_it_is_blocked_there() -> None:
    world = World({"one[cnat]": "wrong"})
    outcomes = run(world, ONE, FROM_HUB)
    assert {outcomes[f"arp[{name}]"].cause for name in ("cnat", "p1", "p2")} == {place("one[cnat]")}
    assert world.looks[-1] == ("arp", ())


def test_a_step_that_looks_from_the_controller_is_blocked_for_a_node_that_is_blocked_itself() -> None:
    outcomes = run(World({"one[p2]": "wrong"}), ONE, FROM_HUB)
    assert verdicts(outcomes) == {"one[p2]": "differs", "arp[p2]": "blocked"}
    assert outcomes["arp[p2]"].checks == ()


def test_a_failed_look_from_the_controller_leaves_the_nodes_blocked_by_it() -> None:
    outcomes = run(World({"arp[cnat]": DEAD}), FROM_HUB)
    assert verdicts(outcomes) == {"arp[cnat]": "unknown", "arp[p1]": "blocked", "arp[p2]": "blocked"}
    assert outcomes["arp[p1]"].cause == place("arp[cnat]")


def test_nodes_behind_a_controller_that_is_down_are_blocked_by_it() -> None:
    cut = {f"one[{name}]": Unreachable("the way is closed", via="cnat") for name in ("p1", "p2")}
    outcomes = run(World({"one[cnat]": Unreachable("cnat: down"), **cut}), ONE, TWO)
    assert verdicts(outcomes) == {"one[cnat]": "unknown"} | dict.fromkeys(
        ("one[p1]", "one[p2]", "two[cnat]", "two[p1]", "two[p2]"), "blocked"
    )
    assert {one.cause for one in outcomes.values()} == {None, place("one[cnat]")}


CUT = ObservationError("p1: only cnat knows", via="cnat")


@pytest.mark.parametrize(
    ("failed", "blocked", "cause"),
    [
        pytest.param({}, {"cnat": "images[cnat]"}, "images[cnat]", id="what blocks the controller"),
        pytest.param({"p2": DEAD}, {"cnat": "images[cnat]"}, "images[cnat]", id="the controller before another node"),
        pytest.param({"cnat": DEAD}, {"p2": "images[p2]"}, "one[cnat]", id="the failed look of the controller, too"),
        pytest.param({}, {"p2": "images[p2]"}, "images[p2]", id="what blocks another node"),
        pytest.param({"p1": CUT}, {"cnat": "images[cnat]"}, "images[cnat]", id="the root and not the place between"),
        pytest.param({"p1": CUT, "cnat": DEAD}, {}, "one[cnat]", id="the way that is closed"),
    ],
)
def test_who_can_say_nothing_for_want_of_another_is_blocked_by_its_root(
    failed: dict[str, ObservationError], blocked: dict[str, str], cause: str
) -> None:
    causes = {name: place(one) for name, one in blocked.items()}
    outcome = conclude(ONE, ["cnat", "p1", "p2"], [], failed, causes)[place("one[p1]")]
    assert (outcome.verdict, outcome.cause, outcome.reason) == (Verdict.BLOCKED, place(cause), f"blocked by {cause}")


@pytest.mark.parametrize("name", STEPS)
def test_no_real_step_is_called_defective_where_the_controller_gave_no_answer_to_one(name: str) -> None:
    looks = good_cluster()
    crew = FakeCrew(looks | {name: [without(looks[name][0], "cnat")]})
    outcomes = Loop(documented_cluster(), [load(step) for step in STEPS], crew, "verify", lambda _: True).converge()
    unwell = [one for one in outcomes if one.verdict is not Verdict.OK]
    assert {str(one.place) for one in unwell if one.verdict is not Verdict.BLOCKED} == {f"{name}[cnat]"}
    assert {str(one.cause) for one in unwell if one.cause} <= {f"{name}[cnat]"}


@pytest.mark.parametrize(
    ("verdict", "is_met"),
    [
        (Verdict.OK, True),
        (Verdict.REPAIRED, True),
        (Verdict.DIFFERS, False),
        (Verdict.UNKNOWN, False),
        (Verdict.BLOCKED, False),
    ],
)
def test_a_need_is_met_by(verdict: Verdict, is_met: bool) -> None:  # noqa: FBT001 - the second column of the table
    before = {place("one[p1]"): Outcome(place("one[p1]"), verdict)}
    assert blockers(TWO, ["p1"], "cnat", before) == ({} if is_met else {"p1": place("one[p1]")})


@pytest.mark.parametrize(
    ("checks", "is_met"),
    [
        pytest.param([Check("p1", "whole", "a", "b", holds=False, stops=False)], True, id="said of the whole"),
        pytest.param(
            [Check("p1", "whole", "a", "b", holds=False, stops=False), Check("p1", "own", "a", "b", holds=False)],
            False, id="and of this machine, too",
        ),
        pytest.param(
            [Check("p1", "whole", "a", "b", holds=False, stops=False), Check("p1", "own", "a", "a", holds=True)],
            True, id="but not of this machine",
        ),
    ],
)  # fmt: skip
def test_what_differs_of_the_whole_lets_the_others_go_on(checks: list[Check], is_met: bool) -> None:  # noqa: FBT001
    before = {place("one[p1]"): Outcome(place("one[p1]"), Verdict.DIFFERS, checks=tuple(checks))}
    assert blockers(TWO, ["p1"], "cnat", before) == ({} if is_met else {"p1": place("one[p1]")})


def test_a_need_that_was_not_looked_at_blocks_nothing() -> None:
    assert blockers(TWO, ["p1"], "cnat", {}) == {}
