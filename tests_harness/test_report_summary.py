"""The summary of a record: what counts, what is a cause, what the run comes to."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actions import Run
from harness.model import Check, Outcome, Place, Verdict
from harness.report.remedy import reason, remedy, remedy_title
from harness.report.summary import explanation, steps_of, summarize
from tests_harness.test_report_samples import outcome, record, wrong_hosts

OK, DIFFERS, UNKNOWN = Verdict.OK, Verdict.DIFFERS, Verdict.UNKNOWN
BLOCKED, REPAIRED = Verdict.BLOCKED, Verdict.REPAIRED


@pytest.mark.parametrize(
    ("machines", "explained", "orphans", "sentence"),
    [
        pytest.param("", 0, 0, "nothing is left to explain", id="all met"),
        pytest.param("p1", 0, 0, "1 cause, blocking nothing else", id="one alone"),
        pytest.param("p1 p2 p3", 0, 0, "3 causes, blocking nothing else", id="three alone"),
        pytest.param("p3 p3", 0, 0, "2 causes, all on p3, blocking nothing else", id="two alone on one machine"),
        pytest.param("p1", 1, 0, "1 cause explains 1 of 2 that are not met", id="one and one"),
        pytest.param("p1 p2", 61, 0, "2 causes explain 61 of 63 that are not met", id="two and many"),
        pytest.param("p3 p3 p3", 9, 0, "3 causes, all on p3, explain 9 of 12 that are not met", id="one flashed card"),
        pytest.param(
            "p1 p3 p3", 9, 0, "3 causes (2 on p3, 1 on p1) explain 9 of 12 that are not met", id="and another machine"
        ),
        pytest.param(
            "a b c d e f g g", 0, 0,
            "8 causes (2 on g, 1 on a, 1 on b, 1 on c, 1 on d, 2 on others), blocking nothing else", id="many machines",
        ),
        pytest.param("", 0, 1, "1 place blocked by what this run did not look at", id="cause elsewhere"),
        pytest.param(
            "p1", 2, 2,
            "1 cause explains 2 of 5 that are not met; 2 places blocked by what this run did not look at", id="both",
        ),
    ],
)  # fmt: skip
def test_few_causes_explain_what_is_not_met(machines: str, explained: int, orphans: int, sentence: str) -> None:
    assert explanation(Counter(machines.split()), explained, orphans) == sentence


@pytest.mark.parametrize(
    ("machines", "explained", "sentence"),
    [
        pytest.param("p3", 0, "1 cause, blocking nothing else; 4 more may follow from it", id="one"),
        pytest.param(
            "p3 p3",
            13,
            "2 causes, all on p3, explain 13 of 19 that are not met; 4 more may follow from them",
            id="more",
        ),
    ],
)
def test_what_may_follow_is_counted_apart(machines: str, explained: int, sentence: str) -> None:
    assert explanation(Counter(machines.split()), explained, 0, 4) == sentence


@pytest.mark.parametrize(
    ("verdicts", "headline", "code"),
    [
        pytest.param([OK, REPAIRED], "as documented", 0, id="met in both ways"),
        pytest.param([OK, DIFFERS], "differs", 1, id="one differs"),
        pytest.param([UNKNOWN, DIFFERS, BLOCKED], "differs", 1, id="a difference outranks the unknown"),
        pytest.param([OK, UNKNOWN, BLOCKED], "not fully known", 10, id="one unknown"),
        pytest.param([OK, BLOCKED], "not fully known", 10, id="blocked by what is not in the record"),
        pytest.param([], "nothing looked at", 0, id="nothing, which pytest itself answers with 5"),
    ],
)
def test_headline_and_exit_code_follow_from_the_verdicts(verdicts: list[Verdict], headline: str, code: int) -> None:
    outcomes = [outcome(f"step{number}[p1]", verdict) for number, verdict in enumerate(verdicts)]
    summary = summarize(record(*outcomes))
    assert (summary.headline, summary.exit_code) == (headline, code)


def test_the_cause_that_blocks_most_comes_first() -> None:
    summary = summarize(
        record(
            outcome("arp[p1]", DIFFERS),
            outcome("arp[p2]", UNKNOWN),
            outcome("hosts[p2]", BLOCKED, "arp[p2]"),
            outcome("keys[p2]", BLOCKED, "arp[p2]"),
            outcome("hosts[p1]", BLOCKED, "arp[p1]"),
        )
    )
    assert [(str(cause.outcome.place), len(cause.blocks)) for cause in summary.causes] == [
        ("arp[p2]", 2),
        ("arp[p1]", 1),
    ]
    assert summary.sentence == "2 causes explain 3 of 5 that are not met"


def test_what_is_said_of_the_whole_names_what_is_blocked_beside_it() -> None:
    whole = Check("cnat", "machines that serve", "all", "not p3", holds=False, stops=False)
    own = Check("cnat", "port 80", "open", "closed", holds=False)
    blocked = outcome("web[p3]", BLOCKED, "engine[p3]")
    for checks, amid in (((whole,), (blocked,)), ((whole, own), ())):
        cause = Outcome(Place("web", "cnat"), DIFFERS, checks=checks)
        others = (outcome("engine[p3]", DIFFERS), blocked, outcome("mpi[p3]", BLOCKED, "engine[p3]"))
        found = {one.outcome: one.amid for one in summarize(record(cause, *others)).causes}
        assert found[cause] == amid
    assert summarize(record(Outcome(Place("web", "cnat"), DIFFERS, checks=(whole,)), blocked)).causes[0].amid == ()


def test_a_blocked_place_without_its_cause_is_named() -> None:
    summary = summarize(record(outcome("hosts[p1]", BLOCKED, "arp[p1]")))
    assert [str(place) for place in summary.orphans] == ["hosts[p1]"]


def test_advice_is_listed_and_decides_nothing() -> None:
    weak = Check("p1", "key type", "ed25519", "rsa", holds=False, level="advice")
    summary = summarize(record(Outcome(Place("keys", "p1"), OK, checks=(weak,))))
    assert [one.check for one in summary.advice] == [weak]
    assert (summary.headline, summary.causes) == ("as documented", ())


def test_advice_is_no_part_of_reason_or_remedy() -> None:
    weak = Check("p1", "a", "x", "y", holds=False, level="advice", by_hand="later")
    differing = Outcome(Place("hosts", "p1"), DIFFERS, checks=(weak, wrong_hosts("p1")))
    assert reason(differing) == "pi2: want 172.19.181.2, seen 172.19.181.9"
    assert remedy(differing).by_hand == ()


def test_equal_fixes_are_one_action() -> None:
    restart = Run("p1", ("systemctl", "restart", "ssh"), "new settings", last=True)
    checks = (wrong_hosts("p1", (restart,)), wrong_hosts("p1", (restart,)))
    assert remedy(Outcome(Place("hosts", "p1"), DIFFERS, checks=checks)).actions == (restart,)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param(outcome("hosts[p1]", DIFFERS, reason="said so"), "said so", id="given"),
        pytest.param(outcome("hosts[p1]", BLOCKED, "arp[p1]"), "waits for arp[p1]", id="blocked"),
        pytest.param(outcome("hosts[p1]"), "", id="ok needs none"),
        pytest.param(
            Outcome(Place("hosts", "p1"), DIFFERS, checks=(wrong_hosts(), wrong_hosts())),
            "pi2: want 172.19.181.2, seen 172.19.181.9 (and 1 other difference)",
            id="from the checks",
        ),
    ],
)
def test_every_outcome_has_one_reason(where: Outcome, expected: str) -> None:
    assert reason(where) == expected


def test_a_remedy_is_called_by_what_the_run_makes_of_it() -> None:
    bare = outcome("hosts[p1]", DIFFERS)
    planned = Outcome(Place("hosts", "p1"), DIFFERS, planned=(Run("p1", ("true",), ""),))
    assert remedy_title(bare, "verify") == "--repair would do"
    assert remedy_title(bare, "repair") == "left to do"
    assert remedy_title(planned, "plan") == "planned"


def test_no_outcome_is_lost_for_a_step_that_the_record_does_not_list() -> None:
    listed = record(outcome("hosts[p1]"))
    stranger = outcome("mpi[p9]")
    assert steps_of(
        type(listed)(**{**vars(listed), "outcomes": (*listed.outcomes, stranger)}),
    ) == ("hosts", "mpi")


@given(st.lists(st.sampled_from(Verdict), max_size=30), st.integers(0, 29))
def test_causes_and_what_they_explain_add_up_to_all_that_is_not_met(verdicts: list[Verdict], culprit: int) -> None:
    cause = f"step{culprit}[p1]"
    run = record(*(outcome(f"step{number}[p1]", one, cause) for number, one in enumerate(verdicts)))
    summary = summarize(run)
    explained = sum(len(one.blocks) for one in summary.causes)
    not_met = sum(not verdict.is_met for verdict in verdicts)
    assert len(summary.causes) + explained + len(summary.orphans) == not_met
    assert summary.total == len(verdicts)
