"""What a manager says of services and tasks: real samples, why a task does not run, and names of images."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.image_name import full_name, same_image, split
from harness.parse.services import instant, machine, tasks
from harness.parse.task_reason import is_hopeless, why
from tests_harness.fakes_stack import MACHINES, NODES, NOW, died, task, web
from tests_harness.fakes_stack import machine as member

# Seen on Docker 20.10.24, shortened.
CONTAINER = {
    "Image": "wzehren/phpsae:latest@sha256:f247", "Env": ["NODE_NAME={{.Node.Hostname}}"],
    "Mounts": [{"Type": "bind", "Source": "/home/pi/webVolume", "Target": "/hostpipe"}],
}  # fmt: skip
SERVICE: dict[str, Any] = {
    "ID": "1jv0",
    "Spec": {
        "Name": "appli_serviceweb",
        "TaskTemplate": {"ContainerSpec": CONTAINER | {"StopGracePeriod": 10_000_000_000}, "ForceUpdate": 0},
        "Mode": {"Replicated": {"Replicas": 4}},
    },
}
TASK: dict[str, Any] = {
    "ID": "z9k3", "CreatedAt": "2026-11-22T22:00:59.387913127Z", "Slot": 1, "NodeID": "jjqe", "ServiceID": "1jv0",
    "Spec": {"ContainerSpec": CONTAINER, "ForceUpdate": 0}, "DesiredState": "ready",
    "Status": {
        "Timestamp": "2026-11-22T22:01:00.829821418Z", "State": "rejected", "Message": "preparing",
        "Err": 'invalid mount config for type "bind": bind source path does not exist: /home/pi/webVolume',
        "ContainerStatus": {"ContainerID": "", "PID": 0, "ExitCode": 0}, "PortStatus": {},
    },
}  # fmt: skip
NODE: dict[str, Any] = {
    "ID": "jjqe", "Spec": {"Labels": {"service": "web"}, "Role": "worker", "Availability": "active"},
    "Description": {"Hostname": "p3", "Platform": {"Architecture": "x86_64", "OS": "linux"}, "Engine": {}},
    "Status": {"State": "ready", "Addr": "172.19.181.3"},
}  # fmt: skip


TWO = (
    "no suitable node (1 node not available for new tasks; host-mode port already in use on 3 nodes; "
    "scheduling constraints not satisfied on 1 node)"
)


def changed(entry: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    found = copy.deepcopy(entry)
    *parents, last = path.split(".")
    place = found
    for key in parents:
        place = place[key]
    place[last] = value
    return found


def test_a_real_task_is_read() -> None:
    found = tasks(SERVICE, [TASK, changed(TASK, "ServiceID", "other")], {"jjqe": "p3"}, "appli")
    (one,) = found.tasks
    assert (found.service, found.wanted, found.update) == ("serviceweb", 4, "")
    assert (one.slot, one.node, one.state, one.is_current) == ("1", "p3", "rejected", True)
    assert one.since - one.created == 1442
    assert why(one) == "p3: rejected: /home/pi/webVolume is missing there: step stack"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Spec.ForceUpdate", 1),
        ("Spec.ContainerSpec.Image", "wzehren/phpsae:latest@sha256:0000"),
        ("Spec.ContainerSpec.Args", ["sleep"]),
        ("Spec.ContainerSpec.Env", []),
    ],
)
def test_a_task_of_an_earlier_template_is_not_current(path: str, value: object) -> None:
    (one,) = tasks(SERVICE, [changed(TASK, path, value)], {}, "appli").tasks
    assert not one.is_current
    assert one.node == "jjqe"


def test_a_global_service_wants_what_the_manager_counts() -> None:
    entry = changed(SERVICE, "Spec.Mode", {"Global": {}}) | {"ServiceStatus": {"DesiredTasks": 5}}
    (one,) = tasks(entry, [changed(TASK, "Slot", 0)], {}, "appli").tasks
    assert tasks(entry, [], {}, "appli").wanted == 5
    assert one.slot == "jjqe"


@pytest.mark.parametrize("path", ["Spec.Mode", "Spec.TaskTemplate", "ID"])
def test_an_entry_that_lacks_something_is_unknown(path: str) -> None:
    entry = copy.deepcopy(SERVICE)
    *parents, last = path.split(".")
    del (entry[parents[0]] if parents else entry)[last]
    with pytest.raises(ObservationError, match="lacks"):
        tasks(entry, [], {}, "appli")


def test_a_real_member_is_read_and_takes_tasks_only_when_ready_and_active() -> None:
    found = machine(NODE)
    assert (found.name, found.candidate.labels, found.takes_tasks) == ("p3", {"service": "web"}, True)
    assert not machine(changed(NODE, "Spec.Availability", "drain")).takes_tasks
    assert not machine(changed(NODE, "Status.State", "down")).takes_tasks
    with pytest.raises(ObservationError, match="lacks 'Status'"):
        machine({key: value for key, value in NODE.items() if key != "Status"})


def test_what_is_as_it_should_be_is_no_reason_beside_another_one() -> None:
    assert "labels" not in why(task(1, "", "pending", error=TWO))


def test_of_each_slot_the_newest_task_counts() -> None:
    found = web(died(1, "p1", 9), task(1, "p1", created=NOW), task(2, "p2", desired="shutdown"), task(3, "", "pending"))
    assert [(one.slot, one.state) for one in found.latest()] == [("1", "running"), ("3", "pending")]


def test_a_task_of_a_machine_that_is_down_does_not_run() -> None:
    machines = [member("p2", "down") if one.name == "p2" else one for one in MACHINES]
    assert [one.node for one in web().running(machines)] == [name for name in NODES if name != "p2"]


@pytest.mark.parametrize(
    ("state", "error", "code", "words"),
    [
        ("failed", "task: non-zero exit (139)", 139, "exit 139: its programs are for another processor: step images"),
        ("failed", "task: non-zero exit (132)", 132, "exit 132: its programs are for another processor"),
        ("failed", "task: non-zero exit (1)", 1, "failed: task: non-zero exit (1)"),
        ("failed", "starting container failed: exec format error", 0, "the image is for another processor"),
        ("rejected", "No such image: wzehren/phpsae:latest", 0, "the image is not there"),
        ("rejected", "driver failed: Bind for 0.0.0.0:80 failed: port is already allocated", 0, "has its port"),
        ("pending", "no suitable node (scheduling constraints not satisfied on 5 nodes)", 0, "step labels"),
        ("pending", "no suitable node (unsupported platform on 4 nodes)", 0, "for another platform: step images"),
        ("pending", TWO, 0, "drained or paused: step swarm); host-mode port already in use on 3 nodes (each"),
        ("pending", "no suitable node (something new on 1 node)", 0, "no suitable node: something new on 1 node"),
        ("pending", "no suitable node", 0, "p1: pending: no suitable node"),
        ("preparing", "", 0, "p1: preparing"),
    ],
)  # fmt: skip
def test_why_a_task_does_not_run_is_said_with_whose_concern_it_is(
    state: str, error: str, code: int, words: str
) -> None:
    found = task(1, "p1", state, error=error, exit_code=code)
    assert words in why(found)
    assert is_hopeless(found) is ("no suitable node" in error)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - hypothesis wants them so
def test_a_time_of_docker_is_read_to_the_millisecond(moment: datetime) -> None:
    seconds = instant(f"{moment.isoformat()}Z") / 1000
    assert 0 <= moment.replace(tzinfo=UTC).timestamp() - seconds + 1e-5 < 0.0011


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-22 at noon", "2026-11-22T22:01:00.xZ", "2026-13-31T00:00:00Z"]
)
def test_what_is_no_time_is_unknown(text: str) -> None:
    with pytest.raises(ObservationError):
        instant(text)


@pytest.mark.parametrize(
    ("want", "seen", "is_same"),
    [
        ("wzehren/phpsae", "wzehren/phpsae:latest@sha256:1", True),
        ("wzehren/phpsae", "docker.io/wzehren/phpsae:latest", True),
        ("phpsae", "docker.io/library/phpsae:latest", True),
        ("a/b:1", "a/b:2@sha256:1", False),
        ("a/b:1", "a/c:1", False),
        ("host:5000/b", "host:5000/b:latest@sha256:1", True),
        ("host:5000/b", "b", False),
        ("localhost/b", "localhost/b:latest", True),
        ("a/b@sha256:1", "a/b:latest@sha256:1", True),
        ("a/b@sha256:1", "a/b@sha256:2", False),
        ("a/b@sha256:1", "a/b:latest", False),
    ],
)
def test_images_are_compared_by_what_their_names_mean(want: str, seen: str, is_same: bool) -> None:  # noqa: FBT001
    assert same_image(want, seen) is is_same


@given(st.from_regex(r"[a-z]{1,5}(\.[a-z]{2}(:[0-9]{1,4})?)?(/[a-z]{1,5})?(:[a-z0-9]{1,4})?", fullmatch=True))
def test_a_full_name_is_the_name_of_itself(name: str) -> None:
    repository, tag, _ = full_name(name)
    assert full_name(f"{repository}:{tag}")[:2] == (repository, tag)


@pytest.mark.parametrize(
    ("written", "name", "tag"),
    [
        ("a/b", "a/b", ""),
        ("a/b:c", "a/b", "c"),
        ("h:5000/a", "h:5000/a", ""),
        ("h:5000/a:v@sha256:00", "h:5000/a", "v"),
    ],
)
def test_a_reference_has_a_name_and_a_tag(written: str, name: str, tag: str) -> None:
    assert split(written) == (name, tag)
