"""Deploying and waiting: what is written and asked, when a wait ends, and that the file's words stay unseen."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest

from harness.actions import DeployStack, SettleService, Write
from harness.apply_stack import Pace, deploy_stack, settle_service
from harness.docker_client import open_docker
from harness.errors import RepairError
from harness.inventory import parse
from harness.shell import Answer
from tests_harness.fakes_docker import VERSION, FakeEngine
from tests_harness.test_parse_services import NODE, SERVICE, TASK, changed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.docker_client import Docker
    from harness.inventory import Cluster

FILE = b"services:\n  serviceweb:\n    image: x\n    environment: {PASSWORD: aBc}\n"
# What is a second for Docker is an instant here.
PACE = Pace(beat=0.01, stay=0.05, long_stay=0.1, hopeless=0.05)
RUNS: dict[str, Any] = changed(changed(TASK, "Status.State", "running"), "DesiredState", "running")
ONE = changed(SERVICE, "Spec.Mode", {"Replicated": {"Replicas": 1}})
PENDING = changed(changed(RUNS, "Status.State", "pending"), "Status.Err", "no suitable node (x on 1 node)")


def failed(number: int) -> dict[str, Any]:
    gone = changed(changed(TASK, "Status.State", "failed"), "Status.Err", "task: non-zero exit (1)")
    return gone | {"ID": f"dead{number}", "DesiredState": "shutdown"}


class Turns(dict[str, Any]):
    """The answers of an engine whose tasks change from one question to the next; the last ones stay."""

    def __init__(self, answers: dict[str, Any], tasks: Sequence[list[dict[str, Any]]]) -> None:
        super().__init__(answers)
        self.tasks = list(tasks)

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - answers are JSON
        if key != "GET /tasks":
            return super().get(key, default)
        return 200, self.tasks.pop(0) if len(self.tasks) > 1 else self.tasks[0]


@dataclass
class Manager:
    """cnat as a context manager: an engine, a file, and commands that succeed unless `refusal` says why not."""

    tasks: Sequence[list[dict[str, Any]]] = ([RUNS],)
    services: list[dict[str, Any]] = field(default_factory=lambda: [ONE])
    nodes: list[dict[str, Any]] = field(default_factory=lambda: [NODE])
    content: bytes | None = None
    refusal: str = ""
    scripts: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    written: list[Write] = field(default_factory=list)

    def __enter__(self) -> Self:
        answers = {
            "GET /version": (200, VERSION), "GET /nodes": (200, self.nodes), "GET /services": (200, self.services)
        }  # fmt: skip
        with ExitStack() as stack:
            self.engine = stack.enter_context(FakeEngine(Turns(answers, self.tasks)))
            self.client = stack.enter_context(closing(open_docker("cnat", self.engine.dial, 5.0)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def connection(self, name: str) -> Manager:
        assert name == "cnat"
        return self

    def docker(self) -> Docker:
        return self.client

    def ask(self, script: str, *, root: bool, limit: float | None) -> Answer:
        assert root
        assert limit
        if script.startswith("if "):
            return Answer(0, b"no\n" if self.content is None else b"is\n" + self.content, b"")
        self.scripts.append(script)
        return Answer(1 if self.refusal else 0, b"", self.refusal.encode())

    def deploy(self, cluster: Cluster, **fields: Any) -> None:  # noqa: ANN401 - any field of the action
        plain: dict[str, Any] = {
            "node": "cnat", "stack": "appli", "path": "/home/pi/f.yml", "digest": hashlib.sha256(FILE).hexdigest(),
            "mesh": "", "owner": "pi:pi", "why": "why", "limit": 5.0,
        }  # fmt: skip
        deploy_stack(DeployStack(**{**plain, **fields}), cluster, self, self.written.append, self.said.append, PACE)

    def settle(self, **fields: Any) -> None:  # noqa: ANN401 - any field of the action
        action = SettleService("cnat", "appli_serviceweb", "why", **{"limit": 5.0, **fields})
        settle_service(action, self, self.said.append, PACE)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    (tmp_path / "f.yml").write_bytes(FILE)
    return parse({"stack": {"file": "f.yml"}}, "x", tmp_path)


def test_the_file_is_written_for_its_owner_alone_deployed_and_waited_for(cluster: Cluster) -> None:
    with Manager() as manager:
        manager.deploy(cluster)
        assert manager.written == [
            Write("cnat", "/home/pi/f.yml", None, FILE, "keep the file of the stack", 0o600, "pi:pi")
        ]
        assert manager.scripts == ["docker stack deploy --compose-file /home/pi/f.yml appli"]
        assert "aBc" not in str(manager.said) + str(manager.scripts)
        assert manager.said[-1] == "cnat: appli is deployed"


def test_a_file_that_is_there_already_is_not_written_again(cluster: Cluster) -> None:
    with Manager(content=FILE) as manager:
        manager.deploy(cluster)
        assert manager.written == []


def test_another_file_is_replaced_and_its_bytes_are_known(cluster: Cluster) -> None:
    with Manager(content=b"old\n") as manager:
        manager.deploy(cluster)
        assert [one.before for one in manager.written] == [b"old\n"]


def test_without_a_mesh_what_is_made_from_the_file_is_deployed(cluster: Cluster) -> None:
    with Manager() as manager:
        manager.deploy(cluster, mesh="on p1 its kernel has no IP_VS")
        (write,) = manager.written
        assert write.after.startswith(b"# Made by hatcheck from f.yml, because on p1 its kernel has no IP_VS:")
        assert b"dnsrr" in write.after


def test_a_file_that_has_changed_since_the_plan_is_not_deployed(cluster: Cluster) -> None:
    with Manager() as manager:
        with pytest.raises(RepairError, match=r"f.yml has changed since the inventory was read"):
            manager.deploy(cluster, digest="other")
        assert (manager.written, manager.scripts) == ([], [])


def test_a_file_that_is_gone_is_not_deployed(cluster: Cluster) -> None:
    (cluster.folder / "f.yml").unlink()
    with Manager() as manager, pytest.raises(RepairError, match="cannot be read any more"):
        manager.deploy(cluster)


def test_a_refusal_of_docker_is_the_failure(cluster: Cluster) -> None:
    refusal = "unsupported Compose file version: 1.0"
    with Manager(refusal=refusal) as manager, pytest.raises(RepairError, match=f"gave exit 1: {refusal}"):
        manager.deploy(cluster)


def test_a_network_that_is_just_going_is_waited_for_and_not_for_ever(cluster: Cluster) -> None:
    with Manager(refusal="network appli_default is being removed") as manager:
        with pytest.raises(RepairError, match="being removed"):
            manager.deploy(cluster)
        assert len(manager.scripts) == 3


def test_tasks_that_fail_after_a_deployment_are_told_and_are_another_steps_word(cluster: Cluster) -> None:
    history = [[*map(failed, range(number))] for number in range(9)]
    with Manager(tasks=history) as manager:
        manager.deploy(cluster)
        assert "appli is deployed, but 0 of 1 tasks" in manager.said[-1]
        assert "task: non-zero exit (1)" in manager.said[-1]


def test_a_wait_ends_when_the_same_tasks_have_stayed() -> None:
    other = RUNS | {"ID": "another"}
    with Manager(tasks=([], [RUNS], [other])) as manager:
        manager.settle()
        assert manager.scripts == []
        assert any("0 of 1 tasks" in line for line in manager.said)


def test_a_wait_does_not_count_what_failed_before_it_began() -> None:
    before = [failed(number) for number in range(5)]
    with Manager(tasks=(before, before, [*before, RUNS])) as manager:
        manager.settle()
        assert manager.scripts == [], "nothing is forced"


def test_a_wait_is_longer_where_a_task_died_twice_and_not_after_one_accident() -> None:
    patient = Pace(beat=0.01, stay=0.05, long_stay=60.0, hopeless=0.05)
    action = SettleService("cnat", "appli_serviceweb", "why", limit=0.5)
    with Manager(tasks=([failed(1), RUNS],)) as manager:
        settle_service(action, manager, manager.said.append, patient)
    with Manager(tasks=([failed(1), failed(2), RUNS],)) as manager, pytest.raises(RepairError, match="do not stay"):
        settle_service(action, manager, manager.said.append, patient)


def test_a_wait_ends_when_one_place_fails_again_and_again() -> None:
    history = [[*map(failed, range(number))] for number in range(9)]
    words = "0 of 1 tasks of appli_serviceweb run; p3: failed"
    with Manager(tasks=history) as manager, pytest.raises(RepairError, match=words):
        manager.settle(limit=60.0)


def test_a_wait_ends_when_there_is_no_place_for_a_task() -> None:
    with Manager(tasks=([PENDING],)) as manager, pytest.raises(RepairError, match="no suitable node: x on 1 node"):
        manager.settle(limit=60.0)


@pytest.mark.parametrize("state", ["paused", "rollback_completed"])
def test_a_wait_ends_when_an_update_is_stuck(state: str) -> None:
    stuck = ONE | {"UpdateStatus": {"State": state}}
    with Manager(tasks=([],), services=[stuck]) as manager, pytest.raises(RepairError, match="0 of 1 tasks"):
        manager.settle(limit=60.0)


def test_an_update_that_goes_on_is_waited_for_until_the_deadline() -> None:
    goes_on = ONE | {"UpdateStatus": {"State": "updating"}}
    words = r"is being updated \(after 0.3 s\)"
    with Manager(services=[goes_on]) as manager, pytest.raises(RepairError, match=words):
        manager.settle(limit=0.3)


def test_a_service_that_is_gone_is_the_failure() -> None:
    with Manager(services=[]) as manager, pytest.raises(RepairError, match="there is no such service"):
        manager.settle(limit=0.2)


def test_a_manager_that_gives_no_answer_is_asked_until_the_deadline() -> None:
    with Manager() as manager:
        manager.engine.answers["GET /nodes"] = (500, {"message": "no leader"})
        with pytest.raises(RepairError, match=r"no leader \(after 0.2 s\)"):
            manager.settle(limit=0.2)


def test_tasks_are_made_anew_until_each_machine_has_one_and_at_most_three_times() -> None:
    elsewhere = changed(NODE, "Description.Hostname", "p2")
    with Manager(nodes=[NODE, elsewhere | {"ID": "two"}]) as manager:
        manager.settle(force=True, spread=("p3",))
        assert manager.scripts == ["docker service update --detach --force --quiet appli_serviceweb"]
        with pytest.raises(RepairError, match="Docker does not spread appli_serviceweb over p2, p3"):
            manager.settle(force=True, spread=("p2", "p3"))
        assert len(manager.scripts) == 1 + 3
