"""Step `replicas`: how many tasks run, on whom, for how long, and what is done about it only where it helps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import pytest
from pydantic import TypeAdapter

from harness.actions import SettleService
from harness.inventory import parse
from harness.model import Verdict
from harness.steps import replicas
from tests_harness.fakes import outcomes_of
from tests_harness.fakes_cluster import differences
from tests_harness.fakes_stack import (
    BASE,
    CLUSTER,
    HUB,
    MACHINES,
    NODES,
    NOW,
    died,
    good_replicas,
    machine,
    task,
    web,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.node import NodeAccess
    from harness.parse.services import Machine, Tasks

RUNS, SPREAD, ELSEWHERE = "serviceweb runs", "serviceweb is spread", "serviceweb runs elsewhere"
HERE, STAYS = "serviceweb runs here", "serviceweb stays"
SETTLE = ("settle_service",)
P1, P2, P3, P4 = (task(number, name) for number, name in enumerate(NODES, 1))


def judge(seen: Mapping[str, replicas.State], cluster: Cluster = CLUSTER) -> list[Check]:
    return list(replicas.judge(seen, cluster))


def seen(*services: Tasks, down: str = "", drained: str = "") -> dict[str, replicas.State]:
    changed = {down: machine(down or "p1", "down"), drained: machine(drained or "p1", availability="drain")}
    return good_replicas(*services, machines=tuple(changed.get(one.name, one) for one in MACHINES))


def check_of(look: Mapping[str, replicas.State], node: str, aspect: str) -> Check:
    (check,) = [one for one in judge(look) if (one.node, one.aspect) == (node, aspect)]
    return check


def force(look: Mapping[str, replicas.State], aspect: str = SPREAD) -> list[bool]:
    return [action.force for action in check_of(look, HUB, aspect).fix if isinstance(action, SettleService)]


def test_as_documented_nothing_differs_and_every_machine_is_spoken_of() -> None:
    assert differences(judge(good_replicas())) == {}
    assert {one.node for one in judge(good_replicas())} == set(CLUSTER.names)


def test_four_of_four_on_three_nodes_is_not_one_for_each_and_is_spread_anew() -> None:
    look = seen(BASE, web(P1, task(2, "p1"), P3, P4))
    assert differences(judge(look)) == {(HUB, SPREAD): SETTLE, ("p2", HERE): SETTLE}
    assert check_of(look, HUB, SPREAD).seen == "p1 (2), p3, p4; none on p2"
    assert force(look) == [True]
    (action,) = check_of(look, HUB, SPREAD).fix
    assert (action.node, isinstance(action, SettleService) and action.spread) == (HUB, NODES)


def test_with_a_node_off_its_name_is_said_nothing_is_restarted_and_the_others_are_well() -> None:
    look = seen(BASE, web(P1, task(2, "p1"), P3, P4), down="p2")
    assert differences(judge(look)) == {(HUB, SPREAD): (), ("p2", HERE): ()}
    check = check_of(look, HUB, SPREAD)
    assert check.seen == "p1 (2), p3, p4; none on p2 (down)"
    assert "p2 is down" in check.by_hand
    outcomes = {one.place.node: one for one in outcomes_of(replicas, look, CLUSTER)}
    assert [name for name, one in outcomes.items() if one.verdict is not Verdict.OK] == [HUB, "p2"]
    assert outcomes[HUB].lets_on
    assert not outcomes["p2"].lets_on


def test_in_host_mode_the_fourth_task_waits_and_nothing_is_done_about_it() -> None:
    waits = task(2, "", "pending", error="no suitable node (host-mode port already in use on 3 nodes; 1 node not "
                 "available for new tasks)")  # fmt: skip
    look = seen(BASE, web(P1, replace(P2, desired="shutdown"), waits, P3, P4), down="p2")
    assert differences(judge(look)) == {(HUB, RUNS): (), (HUB, SPREAD): (), ("p2", HERE): ()}
    assert "3 of 4; nobody has it: pending: no suitable node: host-mode port" in check_of(look, HUB, RUNS).seen
    assert all(not one.fix for one in judge(look) if not one.holds)


def test_a_drained_node_is_named_with_its_state() -> None:
    look = seen(BASE, web(P1, P3, P4, task(2, "p3")), drained="p2")
    assert check_of(look, HUB, SPREAD).seen == "p1, p3 (2), p4; none on p2 (drain)"


def test_a_task_on_a_node_that_is_down_is_not_believed() -> None:
    look = seen(BASE, web(), down="p2")
    assert check_of(look, HUB, RUNS).seen == "3 of 4"
    assert check_of(look, "p2", HERE).seen == "no"


@pytest.mark.parametrize(
    ("failing", "words", "is_waited_for"),
    [
        (task(2, "p2", "rejected", error="bind source path does not exist: /x"), "/x is missing there", True),
        (task(2, "p2", "failed", error="task: non-zero exit (139)", exit_code=139), "another processor", True),
        (task(2, "p2", "preparing"), "p2: preparing", True),
        (task(2, "", "pending", error="no suitable node (scheduling constraints not satisfied on 5 nodes)"),
         "step labels", False),
    ],
    ids=["rejected", "exit 139", "slow", "no place"],
)  # fmt: skip
def test_a_task_that_does_not_run_is_shown_with_its_reason(
    failing: object,
    words: str,
    is_waited_for: bool,  # noqa: FBT001
) -> None:
    look = seen(BASE, web(P1, failing, P3, P4))  # type: ignore[arg-type]
    check = check_of(look, HUB, RUNS)
    assert words in check.seen
    assert [action.force for action in check.fix if isinstance(action, SettleService)] == [False] * is_waited_for
    assert check_of(look, HUB, SPREAD).fix == ()
    here = check_of(look, "p2", HERE)
    assert not here.holds
    assert bool(here.fix) is is_waited_for


YOUNG = task(2, "p2", since=NOW - 5_000, created=NOW - 6_000)


@pytest.mark.parametrize(
    ("tasks", "loops"),
    [
        ((YOUNG, died(2, "p2", 10), died(2, "p2", 20)), True),
        ((replace(YOUNG, since=NOW - 29_999), died(2, "p2", 31), died(2, "p2", 45)), True),
        ((replace(YOUNG, since=NOW - 30_000), died(2, "p2", 31), died(2, "p2", 45)), False),
        ((YOUNG, died(2, "p2", 10)), False),
        ((YOUNG, died(2, "p2", 10), died(3, "p3", 20)), False),
        ((YOUNG, died(2, "p2", 10), died(2, "p2", 500)), False),
        ((YOUNG, died(2, "p2", 10, is_current=False), died(2, "p2", 20, is_current=False)), False),
        ((YOUNG, died(2, "p2", 10, state="shutdown"), died(2, "p2", 20, state="rejected")), False),
        ((YOUNG,), False),
    ],
    ids=["young", "29 s", "30 s", "one accident", "of others", "long ago", "before a change", "no crash", "new"],
)
def test_a_restart_loop_is_seen_by_times_and_failures(tasks: tuple[object, ...], loops: bool) -> None:  # noqa: FBT001
    look = seen(BASE, web(P1, *tasks, P3, P4))  # type: ignore[arg-type]
    assert differences(judge(look)) == ({("p2", STAYS): SETTLE} if loops else {})
    if loops:
        assert "after 2 failures; failed: task: non-zero exit (1)" in check_of(look, "p2", STAYS).seen


@dataclass
class Onlooker:
    """A node that waits at once, and what it was told."""

    name: str = HUB
    said: list[str] = field(default_factory=list)
    slept: list[str] = field(default_factory=list)

    def say(self, what: str) -> None:
        self.said.append(what)

    def ask(self, command: str, seconds: str) -> str:
        assert command == "sleep %s"
        self.slept.append(seconds)
        return ""


def test_a_task_that_may_be_looping_is_given_the_time_to_stay() -> None:
    def at(age: int) -> replicas.State:
        young = replace(YOUNG, since=NOW - age * 1000)
        return seen(BASE, web(P1, young, died(2, "p2", 31), died(2, "p2", 45), P3, P4))[HUB]

    node, looks = Onlooker(), [at(5), at(20), at(30)]
    assert replicas.settled(cast("NodeAccess", node), lambda: looks.pop(0)) == at(30)
    assert (looks, node.slept) == ([], ["2", "2"])
    assert node.said[0].startswith("cnat: waiting for a task to stay: serviceweb runs for 5 s after 2 failures")


def test_tasks_that_stay_are_looked_at_once() -> None:
    node, looks = Onlooker(), [good_replicas()[HUB]]
    replicas.settled(cast("NodeAccess", node), lambda: looks.pop(0))
    assert (node.said, node.slept) == ([], [])


def test_a_container_that_ends_well_again_and_again_is_a_loop_too() -> None:
    ends = [died(2, "p2", ago, state="complete", error="", exit_code=0) for ago in (10, 20)]
    assert differences(judge(seen(BASE, web(P1, YOUNG, *ends, P3, P4)))) == {("p2", STAYS): SETTLE}


def test_one_that_is_on_its_way_again_is_shown_with_what_it_died_of() -> None:
    again = task(2, "p2", "preparing", created=NOW)
    look = seen(BASE, web(P1, died(2, "p2", 3, error="task: non-zero exit (139)", exit_code=139), again, P3, P4))
    assert "p2: preparing, and before that p2: failed: exit 139" in check_of(look, HUB, RUNS).seen
    assert "exit 139" in check_of(look, "p2", HERE).seen


def test_a_task_where_it_may_not_be_is_moved() -> None:
    look = seen(BASE, web(P1, P2, P3, task(4, HUB)))
    assert differences(judge(look)) == {(HUB, SPREAD): SETTLE, (HUB, ELSEWHERE): SETTLE, ("p4", HERE): SETTLE}
    assert force(look, ELSEWHERE) == [True]


def test_the_database_has_one_task_on_the_controller() -> None:
    look = seen(replace(BASE, tasks=()), web())
    assert differences(judge(look)) == {
        (HUB, "servicebd runs"): SETTLE, (HUB, "servicebd is spread"): (), (HUB, "servicebd runs here"): SETTLE
    }  # fmt: skip


def test_a_service_that_is_missing_is_another_steps_concern() -> None:
    assert differences(judge(seen(BASE))) == {(HUB, "services of the stack"): ()}
    assert {one.node for one in judge(seen(BASE))} == set(CLUSTER.names)


@pytest.mark.parametrize(
    ("number", "nodes", "is_spread"),
    [
        (1, "1", True), (2, "12", True), (2, "11", False), (5, "12341", True), (5, "11123", False),
        (8, "11223344", True), (8, "11122334", False), (0, "", True),
    ],
)  # fmt: skip
def test_any_number_is_spread_evenly(tmp_path: Path, number: int, nodes: str, is_spread: bool) -> None:  # noqa: FBT001
    lines = f"deploy: {{replicas: {number}, placement: {{constraints: [node.labels.service == web]}}}}"
    (tmp_path / "f.yml").write_text(f"services:\n  serviceweb:\n    image: x\n    {lines}\n")
    cluster = parse({"stack": {"file": "f.yml"}}, "x", tmp_path)
    tasks = tuple(task(slot, f"p{node}") for slot, node in enumerate(nodes, 1))
    look = good_replicas(replace(web(P1), wanted=number, tasks=tasks))
    assert ((HUB, SPREAD) not in differences(judge(look, cluster))) is is_spread


def test_nothing_is_concluded_of_a_controller_that_did_not_answer() -> None:
    assert judge({}) == []


def test_a_state_survives_a_tape() -> None:
    adapter = TypeAdapter(replicas.State)
    one = good_replicas()[HUB]
    assert adapter.validate_python(adapter.dump_python(one, mode="json")) == one


def test_a_second_entry_of_a_name_counts_by_the_living_one() -> None:
    both: tuple[Machine, ...] = (machine("p2", "down"), *MACHINES)
    look = good_replicas(machines=both)
    assert differences(judge(look)) == {}
