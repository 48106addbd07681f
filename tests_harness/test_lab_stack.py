"""Step `stack` on real engines: what people and cards do to services, seen exactly there and mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.inventory import parse
from harness.model import Verdict
from tests_harness.faultkit import Fault, Where, at, go, on, prove

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.inventory import Cluster
    from harness.lab import Lab

pytestmark = pytest.mark.lab
STEPS = ("stack", "replicas", "visualizer")
UPDATE = "docker service update --detach --quiet"
SHARED = "/home/pi/webVolume"
# An update that cannot succeed stops by itself; waited for, because Docker needs a few tries.
UNTIL = "n=0; until [ \"$(docker service inspect -f '{{.UpdateStatus.State}}' appli_serviceweb)\" = paused ] || "
UNTIL += "[ $n -ge 40 ]; do n=$((n+1)); sleep 0.5; done"
INTERFERED = (
    f"{UPDATE} --replicas 3 --env-add NODE_NAME=p1 --args 'sleep 1000' --publish-rm mode=host,target=80 "
    "--constraint-rm 'node.labels.service == web' --constraint-add 'node.role == worker' appli_serviceweb"
)


def services(*aspects: str) -> frozenset[Where]:
    return at("stack", "cnat", *aspects)


FAULTS = {
    "a shared folder is gone": Fault(
        "p2", f"mv {SHARED} {SHARED}.kept", at("stack", "p2", f"{SHARED} is there"),
        after=f"rmdir {SHARED}; mv {SHARED}.kept {SHARED}",
    ),
    "the whole stack was removed": Fault(
        "cnat", 'docker stack rm appli 2>&1; until [ -z "$(docker ps -q)" ]; do sleep 0.2; done',
        services("serviceweb is deployed", "servicebd is deployed"),
    ),
    "somebody changed much by hand": Fault(
        "cnat", INTERFERED,
        services(*(f"serviceweb {one}" for one in (
            "replicas", "environment", "command", "published ports", "placement"
        ))),
    ),
    "an update to an image that nobody has is stuck": Fault(
        "cnat", f"{UPDATE} --image wzehren/nothing appli_serviceweb 2>&1; {UNTIL}",
        services("serviceweb image", "serviceweb update"),
    ),
    "a file is where the shared folder shall be": Fault(
        "p3", f"mv {SHARED} {SHARED}.kept; echo > {SHARED}", at("stack", "p3", f"{SHARED} is there"),
        undo=f"rm {SHARED}; mv {SHARED}.kept {SHARED}",
    ),
    "an empty folder of memory lies over the site": Fault(
        "cnat", f"{UPDATE} --mount-add type=tmpfs,target=/var/www/html appli_serviceweb",
        services("serviceweb mounts"),
    ),
    "tasks that end stay away, and names lead elsewhere": Fault(
        "cnat", f"{UPDATE} --restart-condition none --stop-signal SIGKILL --host-add servicebd:10.9.9.9 "
        "appli_serviceweb", services("serviceweb other settings"), unseen=("stack[cnat]",),
    ),
    "the database left the network": Fault(
        "cnat", f"{UPDATE} --network-rm appli_default appli_servicebd", services("servicebd other settings"),
        unseen=("stack[cnat]",),
    ),
    "a link leads to nothing": Fault(
        "p4", f"mv {SHARED} {SHARED}.kept; ln -s /nowhere {SHARED}", at("stack", "p4", f"{SHARED} is there"),
        undo=f"rm {SHARED}; mv {SHARED}.kept {SHARED}",
    ),
}  # fmt: skip


def with_file(path: Path, text: str) -> Callable[[Cluster], Cluster]:
    """The inventory with another file of the stack, called `other`."""
    path.write_text(text)

    def change(cluster: Cluster) -> Cluster:
        other = parse({"stack": {"name": "other", "file": str(path)}}, "x", path.parent)
        return cluster.model_copy(update={"stack": other.stack})

    return change


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_seen_exactly_there_and_mended_or_left_to_a_person(ready: Lab, fault: Fault) -> None:
    prove(ready, fault, *STEPS)


def test_the_controller_keeps_the_file_for_its_owner_alone(ready: Lab) -> None:
    shown = on(ready, "cnat", "stat -c '%U %a' /home/pi/docker-compose-stack.yml; head -n 2 /home/pi/*.yml")
    assert shown.startswith("pi 600\n")
    assert "docker service" not in shown


@pytest.mark.field
def test_a_password_of_the_file_is_shown_to_nobody(ready: Lab, tmp_path: Path) -> None:
    text = (
        "version: '3.8'\nservices:\n  one:\n    image: wzehren/phpsae\n    command: [sleep, '1000']\n"
        "    environment: {DB_PASSWORD: aBc-4711}\n    deploy: {placement: {constraints: [node.hostname == p1]}}\n"
    )
    change = with_file(tmp_path / "stack.yml", text)
    try:
        done = go(ready, "repair", ("stack",), change=change)
        assert done.outcome("stack", "cnat").verdict is Verdict.REPAIRED, done.said
        on(ready, "cnat", f"{UPDATE} --env-add DB_PASSWORD=xYz-0815 other_one")
        seen = go(ready, "verify", ("stack",), change=change)
        assert seen.differing() == services("one environment")
        assert "other: DB_PASSWORD" in seen.outcome("stack", "cnat").reason
        record = repr(done.record) + repr(seen.record)
        assert "aBc" not in record
        assert "xYz" not in record
    finally:
        on(ready, "cnat", "docker stack rm other 2>&1")


def test_nothing_of_these_faults_is_left(ready: Lab) -> None:
    done = go(ready, "repair", STEPS)
    assert (done.code, done.applied(), done.said) == (0, 0, "")
