"""From checks to actions: in order, equal ones once, restarts last, advice only when asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actions import Action, Boot, Run, Write
from harness.model import Check, Level
from harness.plan import plan

A, B, C = (Run("p1", (word,), "why") for word in "abc")
RESTART = Run("p1", ("restart",), "why", last=True)
OTHER_RESTART = Run("p2", ("restart",), "why", last=True)
FILE = Write("p1", "/etc/hosts", b"old", b"new", "why")
BOOT = Boot("cnat", "p1", "p1", "ethpi1", "why")


def differing(*fix: Action, level: Level = "must") -> Check:
    return Check("p1", "word", "good", "bad", holds=False, level=level, fix=fix)


def holding(*fix: Action) -> Check:
    return Check("p1", "word", "good", "good", holds=True, fix=fix)


@pytest.mark.parametrize(
    ("checks", "want"),
    [
        pytest.param([], (), id="no checks"),
        pytest.param([holding(A)], (), id="nothing for what holds"),
        pytest.param([differing()], (), id="nothing where only a person can help"),
        pytest.param([differing(B, A), differing(C)], (B, A, C), id="in the order of the checks"),
        pytest.param([differing(A, B), differing(B, A, C)], (A, B, C), id="equal actions once"),
        pytest.param([differing(A, RESTART), differing(B, RESTART)], (A, B, RESTART), id="one restart at the end"),
        pytest.param(
            [differing(OTHER_RESTART, RESTART, A)], (A, OTHER_RESTART, RESTART), id="restarts keep their order"
        ),
        pytest.param(
            [differing(FILE), differing(BOOT), differing(RESTART)], (FILE, BOOT, RESTART), id="any kind of action"
        ),
        pytest.param([differing(A, level="advice"), differing(B)], (B,), id="no advice unasked"),
    ],
)
def test_the_plan_of_checks_is(checks: list[Check], want: tuple[Action, ...]) -> None:
    assert plan(checks) == want


def test_advice_is_followed_when_asked_for() -> None:
    assert plan([differing(A, level="advice"), differing(B)], advice=True) == (A, B)


def test_the_same_command_on_two_nodes_is_two_actions() -> None:
    assert plan([differing(RESTART, OTHER_RESTART)]) == (RESTART, OTHER_RESTART)


ACTIONS = st.sampled_from([A, B, C, RESTART, OTHER_RESTART, FILE, BOOT])
CHECKS = st.builds(
    Check, st.just("p1"), st.just("word"), st.just("good"), st.just("seen"), st.booleans(),
    st.sampled_from(["must", "advice"]), st.lists(ACTIONS, max_size=4).map(tuple),
)  # fmt: skip


@given(st.lists(CHECKS, max_size=6), st.booleans())
def test_a_plan_has_every_wanted_action_once_and_no_other(checks: list[Check], advice: bool) -> None:  # noqa: FBT001
    wanted = [check for check in checks if not check.holds and (advice or check.level == "must")]
    planned = plan(checks, advice=advice)
    assert sorted(map(repr, planned)) == sorted({repr(action) for check in wanted for action in check.fix})
    is_last = [isinstance(action, Run) and action.last for action in planned]
    assert is_last == sorted(is_last)
