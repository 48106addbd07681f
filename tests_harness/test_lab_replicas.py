"""Step `replicas` on real engines: a node without power, tasks that gather elsewhere, tasks that cannot run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.model import Verdict
from tests_harness.faultkit import go, on
from tests_harness.test_lab_stack import STEPS, with_file

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab import Lab
    from tests_harness.labkit import Finished

pytestmark = pytest.mark.lab
DOWN = "n=0; until docker node ls | grep -w p2 | grep -q Down || [ $n -ge 60 ]; do n=$((n+1)); sleep 1; done"
REMOVE = "docker stack rm other 2>&1"
# Without ports nothing keeps two of its tasks apart, as with a routing mesh.
FREE = """
version: "3.8"
services:
  free:
    image: wzehren/phpsae
    command: [sleep, infinity]
    stop_grace_period: 1s
    deploy: {replicas: 4, placement: {constraints: [node.labels.service == web]}}
"""
SICK = """
version: "3.8"
services:
  v7:
    image: wzehren/phpsae
    command: [sh, -c, exit 139]
    deploy: {placement: {constraints: [node.hostname == p1]}}
  large:
    image: wzehren/phpsae
    deploy: {resources: {reservations: {memory: 900G}}}
"""
FOUR = ("serviceweb runs", "serviceweb is spread")


def test_a_node_without_power_is_named_others_go_on_and_its_task_comes_back(ready: Lab, tmp_path: Path) -> None:
    other = with_file(tmp_path / "free.yml", FREE)
    done = go(ready, "repair", ("stack",), change=other)
    assert done.code == 0, done.said
    ready.power("p2", on=False)
    try:
        on(ready, "cnat", DOWN, limit=90)
        seen, free = go(ready, "verify", STEPS), go(ready, "verify", ("replicas",), change=other)
        # In host mode a port is had by one task only, so the fourth waits.
        assert {one for one in seen.differing() if one[0] in STEPS} == {("replicas", "cnat", one) for one in FOUR}
        assert "p2 (down)" in _seen(seen, "serviceweb is spread")
        assert "3 of 4" in _seen(seen, "serviceweb runs")
        well = [f"{step}[{node}]" for step in STEPS for node in ("p1", "p3", "p4")]
        assert {seen.verdicts()[place] for place in well} == {Verdict.OK}
        assert {str(seen.outcome(step, "p2").cause) for step in STEPS} == {"power[p2]"}
        # Where they can, all four run: and still that is not one for each node.
        assert {one for one in free.differing() if one[0] in STEPS} == {("replicas", "cnat", "free is spread")}
        assert "none on p2 (down)" in _seen(free, "free is spread")
    finally:
        back = go(ready, "repair", ("power", "swarm", *STEPS))
    assert back.code == 0, back.said
    spread = go(ready, "repair", ("replicas",), change=other)
    assert spread.code == 0, spread.said
    assert spread.outcome("replicas", "p2").verdict is Verdict.REPAIRED
    assert on(ready, "p2", "docker ps -q --filter label=com.docker.swarm.service.name=other_free").strip()
    on(ready, "cnat", REMOVE)


@pytest.mark.field
def test_tasks_that_cannot_run_are_shown_with_their_reason(ready: Lab, tmp_path: Path) -> None:
    other = with_file(tmp_path / "sick.yml", SICK)
    try:
        go(ready, "repair", ("stack",), change=other)
        seen = go(ready, "verify", ("stack", "replicas"), change=other)
        assert seen.verdicts()["stack[cnat]"] is Verdict.OK
        assert "exit 139: its programs are for another processor: step images" in _seen(seen, "v7 runs")
        assert "insufficient resources on" in _seen(seen, "large runs")
        assert ("replicas", "p1", "v7 runs here") in seen.differing()
        assert {seen.verdicts()[f"replicas[{node}]"] for node in ("p2", "p3", "p4")} == {Verdict.OK}
    finally:
        on(ready, "cnat", REMOVE)


@pytest.mark.field
def test_a_container_that_was_killed_is_replaced_and_no_loop(ready: Lab) -> None:
    on(ready, "p3", "docker kill $(docker ps -q --filter label=com.docker.swarm.service.name=appli_serviceweb)")
    done = go(ready, "repair", STEPS)
    assert done.code == 0, done.said


def test_nothing_of_these_faults_is_left(ready: Lab) -> None:
    done = go(ready, "repair", STEPS)
    assert (done.code, done.applied(), done.said) == (0, 0, "")


def _seen(done: Finished, aspect: str) -> str:
    """What was seen of an aspect on the controller."""
    outcome = done.outcome("replicas", "cnat")
    return next(check.seen for check in outcome.checks if check.aspect == aspect)
