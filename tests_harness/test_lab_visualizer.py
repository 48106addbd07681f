"""Step `visualizer` on real engines, with a page of another kind under its name: the lab's hub has no such image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests_harness.faultkit import Fault, at, go, on, prove

if TYPE_CHECKING:
    from harness.inventory import Cluster
    from harness.lab import Lab

pytestmark = pytest.mark.lab
STEPS = ("visualizer",)
IMAGE = "dockersamples/visualizer"
STAND_IN = f"docker pull -q wzehren/phpsae; docker tag wzehren/phpsae {IMAGE}; docker push -q {IMAGE}"
CREATE = "docker service create --detach --quiet --name visualizer --publish published=5000,target=80,mode=host "
RUNNING = 'until [ "$(docker ps -q --filter publish=5000)" ]; do sleep 0.2; done'
LISTENER = "import socket,time; s=socket.create_server(('', 5000)); print(1, flush=True); time.sleep(600)"

FAULTS = {
    "left behind after a test": Fault(
        "cnat", f"{STAND_IN}; {CREATE} --constraint node.hostname==cnat {IMAGE}; {RUNNING}",
        at("visualizer", "cnat", "service visualizer", "port 5000"),
    ),
    "left behind, and it does not even run": Fault(
        "cnat", f"{CREATE} --constraint node.hostname==nowhere {IMAGE}", at("visualizer", "cnat", "service visualizer")
    ),
    "somebody else's work under its name": Fault(
        "cnat", f"{CREATE} --constraint node.hostname==nowhere php:8.2-apache",
        at("visualizer", "cnat", "service visualizer"), undo="docker service rm visualizer",
    ),
    "another program at the port": Fault(
        "p3", f'systemd-run -q --unit hog python3 -c "{LISTENER}"; until ss -Hlnt | grep -q :5000; do sleep 0.1; done',
        at("visualizer", "p3", "port 5000"), undo="systemctl stop hog",
    ),
}  # fmt: skip


def wanting(cluster: Cluster) -> Cluster:
    """The inventory of somebody who is testing; the stand-in listens on another port than the real one."""
    return cluster.model_copy(
        update={"visualizer": cluster.visualizer.model_copy(update={"enabled": True, "target": 80})}
    )


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_seen_exactly_there_and_mended_or_left_to_a_person(ready: Lab, fault: Fault) -> None:
    prove(ready, fault, *STEPS)


@pytest.mark.field
def test_it_is_started_where_it_is_wanted_and_goes_again(ready: Lab) -> None:
    on(ready, "cnat", STAND_IN)
    started = go(ready, "repair", STEPS, change=wanting)
    assert started.outcome("visualizer", "cnat").verdict.is_met, started.said
    assert started.code == 0, started.said
    again = go(ready, "repair", STEPS, change=wanting)
    assert (again.code, again.applied()) == (0, 0)
    gone = go(ready, "repair", STEPS)
    assert gone.code == 0, gone.said
    assert "visualizer" not in on(ready, "cnat", "docker service ls")


def test_nothing_of_these_faults_is_left(ready: Lab) -> None:
    done = go(ready, "repair", STEPS)
    assert (done.code, done.applied(), done.said) == (0, 0, "")
