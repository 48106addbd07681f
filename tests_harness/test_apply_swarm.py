"""Joining a swarm: what is asked of whom, when it waits and when it gives up, and that the token stays unseen."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest

from harness.actions import JoinSwarm
from harness.apply_swarm import join_swarm
from harness.docker_client import open_docker
from harness.errors import RepairError, TimeLimit
from harness.shell import Answer
from tests_harness.fakes_docker import INACTIVE, VERSION, FakeEngine

if TYPE_CHECKING:
    from harness.docker_client import Docker

TOKEN = "SWMTKN-1-this-is-nobody's"  # noqa: S105 - opens nothing
ACTION = JoinSwarm("p1", "cnat", "172.19.181.1", "172.19.181.254:2377", "because", limit=1.2)
ACTIVE = INACTIVE | {"LocalNodeState": "active", "NodeID": "new"}
JOIN = "POST /swarm/join"


def swarm(state: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"Swarm": state}


def listed(state: str) -> tuple[int, Any]:
    return 200, {"ID": "new", "Status": {"State": state}}


@dataclass
class Machine:
    """An engine that answers, and a shell that restarts it; `after` replaces answers when a question was asked."""

    engine: FakeEngine
    docker_client: Docker
    scripts: list[str] = field(default_factory=list)
    restarted: dict[str, tuple[int, Any]] = field(default_factory=dict)

    def docker(self) -> Docker:
        return self.docker_client

    def ask(self, script: str, *, root: bool, limit: float | None) -> Answer:
        assert root
        assert limit
        self.scripts.append(script)
        self.engine.answers |= self.restarted
        return Answer(0, b"", b"")


class Machines:
    """cnat and p1 as a context manager; `said` is what a person was told."""

    def __enter__(self) -> Self:
        self.said: list[str] = []
        with ExitStack() as stack:
            self.hub, self.node = (self._machine(name, stack) for name in ("cnat", "p1"))
            self._stack = stack.pop_all()
        self.hub.engine.answers |= {"GET /swarm": (200, {"JoinTokens": {"Worker": TOKEN}}), "GET /nodes": (200, [])}
        self.node.engine.answers |= {"GET /info": swarm(INACTIVE), JOIN: (200, b"")}
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _machine(self, name: str, stack: ExitStack) -> Machine:
        engine = stack.enter_context(FakeEngine({"GET /version": (200, VERSION)}))
        return Machine(engine, stack.enter_context(closing(open_docker(name, engine.dial, 1.0))))

    def connection(self, name: str) -> Machine:
        return {"cnat": self.hub, "p1": self.node}[name]

    def joined(self) -> list[Any]:
        """The bodies of the requests to join."""
        return [body for asked, body in self.node.engine.asked if asked == JOIN]

    def join(self) -> None:
        join_swarm(ACTION, self, self.said.append)


class Becomes(dict[str, Any]):
    """The answers of an engine that is a ready member as soon as it was asked to join."""

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - answers are JSON
        if key == JOIN:
            self["GET /info"] = swarm(ACTIVE)
        return super().get(key, default)


def test_a_machine_of_no_swarm_joins_with_the_token_of_this_moment() -> None:
    with Machines() as machines:
        machines.node.engine.answers = Becomes(machines.node.engine.answers)
        machines.hub.engine.answers["GET /nodes/new"] = listed("ready")
        machines.join()
        (body,) = machines.joined()
        assert body["JoinToken"] == TOKEN
        assert (body["RemoteAddrs"], body["AdvertiseAddr"]) == (["172.19.181.254:2377"], "172.19.181.1")
        assert TOKEN not in str(machines.said)
        assert machines.node.scripts == []


def test_a_ready_machine_is_left_alone() -> None:
    with Machines() as machines:
        machines.node.engine.answers["GET /info"] = swarm(ACTIVE)
        machines.hub.engine.answers |= {"GET /nodes": (200, [{"ID": "new"}]), "GET /nodes/new": listed("ready")}
        machines.join()
        assert (machines.joined(), machines.node.scripts, machines.said) == ([], [], [])


def test_one_that_does_not_get_ready_by_itself_is_restarted_once() -> None:
    with Machines() as machines:
        machines.node.engine.answers["GET /info"] = swarm(ACTIVE | {"LocalNodeState": "pending"})
        machines.node.restarted = {"GET /info": swarm(ACTIVE)}
        machines.hub.engine.answers |= {"GET /nodes": (200, [{"ID": "new"}]), "GET /nodes/new": listed("ready")}
        machines.join()
        assert machines.node.scripts == ["systemctl restart docker"]


def test_one_of_another_swarm_is_not_touched() -> None:
    with Machines() as machines:
        machines.node.engine.answers["GET /info"] = swarm(ACTIVE)
        with pytest.raises(RepairError, match="p1: it is in another swarm"):
            machines.join()
        assert (machines.joined(), machines.node.scripts) == ([], [])


@pytest.mark.parametrize("state", ["error", "pending", "locked"])
def test_one_that_does_not_say_its_number_is_neither_joined_nor_told_to_leave(state: str) -> None:
    with Machines() as machines:
        said = INACTIVE | {"LocalNodeState": state, "Error": "x509: certificate has expired"}
        machines.node.engine.answers["GET /info"] = swarm(said)
        words = refused(machines)
        assert words.startswith(
            f"p1: Docker's swarm part does not start ({state} x509: certificate has expired); set the clock right"
        )
        assert "leave" not in words
        assert (machines.joined(), machines.node.scripts) == ([], [])


def refused(machines: Machines) -> str:
    with pytest.raises(RepairError) as caught:
        machines.join()
    assert TOKEN not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("hub", "node", "words"),
    [
        pytest.param(
            {"GET /swarm": (503, {"message": "not a manager"})}, {},
            "p1: cnat lets nobody join: cnat: Docker says: not a manager", id="no manager until the deadline",
        ),
        pytest.param({"GET /swarm": (200, {})}, {}, "cnat lets nobody join: it gives no token", id="no token"),
        pytest.param(
            {}, {JOIN: (400, {"message": f"invalid join token {TOKEN}"})},
            "p1: Docker says: invalid join token ***", id="refused, and the token masked",
        ),
        pytest.param(
            {}, {"GET /info": swarm(INACTIVE | {"LocalNodeState": "inactive"})},
            "p1: not ready in the swarm of cnat within 1.2 s: inactive", id="accepted, and nothing came of it",
        ),
    ],
)  # fmt: skip
def test_what_fails_is_one_sentence_without_the_token(hub: dict[str, Any], node: dict[str, Any], words: str) -> None:
    with Machines() as machines:
        machines.hub.engine.answers |= hub
        machines.node.engine.answers |= node
        assert words in refused(machines)


def test_a_member_that_the_manager_does_not_list_says_so() -> None:
    with Machines() as machines:
        machines.node.engine.answers = Becomes(machines.node.engine.answers)
        assert "it joined, and cnat does not list it" in refused(machines)


def test_a_worker_whose_engine_hangs_is_not_joined() -> None:
    with Machines() as machines:
        machines.node.engine.answers["GET /info"] = (200, "hang")
        with pytest.raises(TimeLimit):
            machines.join()
        assert machines.joined() == []
