"""What a look at images asks of an engine, what an answer means, and that nothing of the look stays behind."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.arch.platform import Platform
from harness.docker_client import open_docker
from harness.errors import EngineError, ObservationError
from harness.node import NodeAccess
from harness.once import Once
from harness.steps.images_engine import LABEL, STALE, NodeEngine, host
from tests_harness.fakes_docker import VERSION, FakeEngine
from tests_harness.fakes_images import CLUSTER, CPUINFO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testinfra.host import Host

NOW = 1_000_000
INSPECT, OFFER = "GET /images/a:b/json", "GET /distribution/a:b/json"
CREATE, STAT, ARCHIVE = "POST /containers/create", "HEAD /containers/x/archive", "GET /containers/x/archive"
REMOVE, LIST = "DELETE /containers/x", "GET /containers/json"


@dataclass
class Shell:
    """A login that knows its processor and the time."""

    def run(self, command: str, *_: str) -> SimpleNamespace:
        said = str(NOW) if command.startswith("date") else CPUINFO["pi zero"]
        return SimpleNamespace(rc=0, stdout=said, stderr="")


@contextmanager
def machine(**version: str) -> Iterator[tuple[FakeEngine, NodeAccess]]:
    with FakeEngine({"GET /version": (200, VERSION | version)}) as fake:
        docker = open_docker("p1", fake.dial, 5.0)
        login = cast("Host", Shell())
        yield fake, NodeAccess("p1", CLUSTER, login, login, lambda: docker)
        docker.close()


def asked(fake: FakeEngine) -> list[str]:
    return [request for request, _ in fake.asked if request != "GET /version"]


def test_an_image_that_is_there_is_described() -> None:
    with machine() as (fake, node):
        fake.answers[INSPECT] = (200, {"Id": "sha256:1"})
        assert NodeEngine(node).image("a:b") == '{"Id": "sha256:1"}'


def test_an_image_that_is_not_there_is_none_and_an_engine_that_is_ill_is_an_error() -> None:
    with machine() as (fake, node):
        fake.answers[INSPECT] = (404, {"message": "No such image: a:b"})
        assert NodeEngine(node).image("a:b") is None
        fake.answers[INSPECT] = (500, {"message": "layer does not exist"})
        with pytest.raises(EngineError, match="layer does not exist"):
            NodeEngine(node).image("a:b")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_a_registry_shows_to_nobody_is_not_there(status: int) -> None:
    with machine() as (fake, node):
        fake.answers[OFFER] = (status, {"message": "denied"})
        assert NodeEngine(node).distribution("a:b") is None


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_registry_that_does_not_answer_is_unknown(status: int) -> None:
    with machine() as (fake, node):
        fake.answers[OFFER] = (status, {"message": "toomanyrequests"})
        with pytest.raises(EngineError, match="toomanyrequests"):
            NodeEngine(node).distribution("a:b")


def test_the_registry_is_asked_as_anybody(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:  # noqa: ANN401
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"}}}')
    with machine() as (fake, node):
        fake.answers[OFFER] = (200, {})
        NodeEngine(node).distribution("a:b")
        assert fake.headers.get("X-Registry-Auth") in {None, "e30=", "e30"}, "which is {}"


def test_files_are_read_from_a_container_that_never_starts_and_goes_with_its_volumes() -> None:
    with machine() as (fake, node):
        fake.answers |= {
            CREATE: (201, {"Id": "x"}), STAT: (200, {"mode": 420}), ARCHIVE: (200, b"tar"), REMOVE: (204, b""),
        }  # fmt: skip
        with NodeEngine(node).opened("a:b") as get:
            found = get("/etc/passwd")
            assert found
            assert (b"".join(found[0]), found[1]) == (b"tar", {"mode": 420})
        assert asked(fake) == [CREATE, STAT, ARCHIVE, REMOVE]
        body = dict(fake.asked)[CREATE]
        assert (body["Image"], body["Labels"]) == ("a:b", {LABEL: "images"})


def test_the_container_goes_also_when_the_look_fails() -> None:
    with machine() as (fake, node):
        fake.answers |= {CREATE: (201, {"Id": "x"}), REMOVE: (204, b"")}
        with pytest.raises(KeyError), NodeEngine(node).opened("a:b"):
            raise KeyError
        assert asked(fake) == [CREATE, REMOVE]


@pytest.mark.parametrize("status", [404, 409])
def test_a_container_that_somebody_else_removes_is_fine(status: int) -> None:
    with machine() as (fake, node):
        fake.answers |= {CREATE: (201, {"Id": "x"}), REMOVE: (status, {"message": "removal in progress"})}
        with NodeEngine(node).opened("a:b"):
            pass
        assert asked(fake) == [CREATE, REMOVE]


def test_a_container_that_cannot_be_removed_is_said() -> None:
    with machine() as (fake, node):
        fake.answers |= {CREATE: (201, {"Id": "x"}), REMOVE: (500, {"message": "device busy"})}
        with pytest.raises(EngineError, match="device busy"), NodeEngine(node).opened("a:b"):
            pass


@pytest.mark.parametrize(
    ("age", "is_removed"),
    [
        pytest.param(STALE, True, id="of a killed run"),
        pytest.param(STALE - 1, False, id="perhaps of a look that lives"),
    ],
)
def test_a_dead_runs_container_is_swept(age: int, is_removed: bool) -> None:  # noqa: FBT001
    with machine() as (fake, node):
        fake.answers |= {LIST: (200, [{"Id": "x", "Created": NOW - age}]), REMOVE: (204, b"")}
        NodeEngine(node).sweep()
        assert asked(fake) == ([LIST, REMOVE] if is_removed else [LIST])


def test_a_host_is_what_its_engine_and_its_kernel_say() -> None:
    with machine() as (_, node):
        found = host(node)
    assert (found.platform, found.cpu.arm) == (Platform("linux", "arm", "v6"), 6)


def test_an_engine_that_does_not_say_what_it_is_built_for_is_not_guessed_at() -> None:
    with machine() as (fake, node):
        fake.answers["GET /version"] = (200, {})
        with pytest.raises(ObservationError, match="p1: Docker's answer lacks 'Arch'"):
            host(node)


def test_what_was_answered_once_is_not_asked_again_and_a_failure_is_no_answer() -> None:
    once, answers = Once(), iter(["", "yes"])

    def ask() -> str:
        answer = next(answers)
        if not answer:
            raise ObservationError("no")
        return answer

    with pytest.raises(ObservationError):
        once("key", ask)
    assert [once("key", ask), once("key", ask)] == ["yes", "yes"]
    with pytest.raises(StopIteration):
        once("other", ask)
