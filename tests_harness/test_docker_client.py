"""docker-py over channels: which version it speaks, what it says when it cannot, and how few channels it takes."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - a dataclass reads it
from typing import TYPE_CHECKING, Any

import pytest

from harness.backend import Asker
from harness.docker_client import CHANNELS, dial, open_docker
from harness.errors import EngineError, MissingTool, ObservationError, TimeLimit, Unreachable
from harness.shell import Answer
from tests_harness.fakes_docker import VERSION, FakeEngine
from tests_harness.fakes_shell import LocalChannel, as_channel

if TYPE_CHECKING:
    from paramiko import Channel

    from harness.docker_client import Docker

LIMIT = 5.0


def opened(engine: FakeEngine, limit: float = LIMIT) -> closing[Docker]:
    return closing(open_docker("p1", engine.dial, limit))


def engine(**version: Any) -> FakeEngine:  # noqa: ANN401 - values of JSON
    return FakeEngine({"GET /version": (200, VERSION | version), "GET /info": (200, {"Name": "p1"})})


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [
        pytest.param("1.41", "1.12", "1.41", id="Debian 11 and 12"),
        pytest.param("1.44", "1.24", "1.44", id="Debian 13"),
        pytest.param("1.51", "1.24", "1.45", id="newer than docker-py"),
        pytest.param("1.60", "1.50", "1.50", id="too new for docker-py, so the oldest that it takes"),
    ],
)
def test_the_newest_version_that_both_speak_is_spoken(newest: str, oldest: str, spoken: str) -> None:
    with engine(ApiVersion=newest, MinAPIVersion=oldest) as fake, opened(fake) as docker:
        assert docker.api.api_version == spoken
        assert docker.info() == {"Name": "p1"}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        pytest.param((200, VERSION | {"ApiVersion": "1.40"}), "its Docker is too old: API 1.40, needed 1.41", id="old"),
        pytest.param((200, {"hello": 1}), "what answers there is not a Docker engine", id="another service"),
        pytest.param((200, VERSION | {"ApiVersion": None}), "is not a Docker engine", id="no version"),
        pytest.param((200, b"<html>"), "p1: what answers there is not a Docker engine: no JSON", id="no JSON"),
        pytest.param((500, {"message": "out of\ncards"}), "p1: Docker says: out of cards", id="a refusal"),
        pytest.param((502, b"no JSON"), "p1: Docker says: Bad Gateway", id="a refusal in another format"),
    ],
)
def test_an_engine_that_cannot_be_asked_is_an_observation_error_in_one_line(
    answers: tuple[int, Any], said: str
) -> None:
    with FakeEngine({"GET /version": answers}) as fake, pytest.raises(ObservationError) as caught:
        open_docker("p1", fake.dial, LIMIT)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_refusal_keeps_its_status_and_the_connection() -> None:
    with engine() as fake, opened(fake) as docker:
        with pytest.raises(EngineError, match="p1: Docker says: no such path /nodes") as caught:
            docker.api.nodes()
        assert caught.value.status == 404
        assert docker.info() == {"Name": "p1"}
    assert fake.dialled == 1


def test_an_answer_that_does_not_come_ends_at_the_limit() -> None:
    with engine() as fake, opened(fake, 0.3) as docker:
        fake.answers["GET /info"] = (200, "hang")
        with pytest.raises(TimeLimit, match=r"gave no answer within 0\.3 s to GET /v1\.41/info"):
            docker.info()
        fake.answers["GET /info"] = (200, {"Name": "again"})
        assert docker.info() == {"Name": "again"}


def test_a_channel_that_was_cut_is_an_unreachable_engine_and_the_next_question_dials_anew() -> None:
    with engine() as fake, opened(fake) as docker:
        fake.cut()
        assert docker.info() == {"Name": "p1"}
        assert fake.dialled == 2


def test_a_channel_that_ends_in_the_answer_is_unreachable() -> None:
    with engine() as fake, opened(fake) as docker:
        fake.answers["GET /info"] = (200, "hang")
        timer = threading.Timer(0.2, fake.cut)
        timer.start()
        with pytest.raises(Unreachable, match="p1: the way to Docker broke off"):
            docker.info()
        timer.join()


def test_threads_share_a_few_channels() -> None:
    seen: list[object] = []
    with engine() as fake, opened(fake) as docker:
        threads = [threading.Thread(target=lambda: seen.append(docker.info())) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [{"Name": "p1"}] * 12
    assert fake.dialled <= CHANNELS


def test_what_cannot_be_bounded_is_refused() -> None:
    with engine() as fake, opened(fake) as docker:
        fake.answers["POST /exec/x/start"] = (200, {})
        with pytest.raises(ObservationError, match="run `docker exec` through"):
            docker.api.exec_start("x")


def test_nothing_of_the_persons_own_docker_goes_to_a_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # fmt: skip
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    (tmp_path / "config.json").write_text('{"HttpHeaders": {"X-Mine": "1"}, "auths": {"x": {"auth": "eDp5"}}}')
    with engine() as fake, opened(fake) as docker:
        assert docker.info() == {"Name": "p1"}
        assert set(fake.headers) == {"Host", "User-Agent", "Accept-Encoding", "Accept", "Connection"}


STAT, ARCHIVE, CONTAINER = "HEAD /containers/x/archive", "GET /containers/x/archive", "GET /containers/x/json"


def test_what_lies_in_a_container_is_said_without_its_content() -> None:
    with engine() as fake, opened(fake) as docker:
        fake.answers[STAT] = (200, {"name": "sh", "mode": 0o755, "linkTarget": ""})
        assert docker.api.stat("x", "/bin/sh") == {"name": "sh", "mode": 0o755, "linkTarget": ""}
        assert [asked for asked, _ in fake.asked][1:] == [STAT]


def test_no_such_path_is_none_and_no_such_container_is_an_error() -> None:
    with engine() as fake, opened(fake) as docker:
        fake.answers[CONTAINER] = (200, {"Id": "x"})
        assert docker.api.stat("x", "/none") is None
        del fake.answers[CONTAINER]
        with pytest.raises(EngineError):
            docker.api.stat("x", "/none")


def test_a_stat_that_is_none_is_not_understood() -> None:
    with engine() as fake, opened(fake) as docker:
        fake.answers[STAT] = (200, b"{")
        with pytest.raises(ObservationError, match="Docker does not say what /x is"):
            docker.api.stat("x", "/x")


def test_an_archive_comes_in_pieces_uncompressed_and_when_it_is_asked_for() -> None:
    with engine() as fake, opened(fake) as docker:
        fake.answers[ARCHIVE] = (200, (b"a" * 10, b"b" * 10))
        archive = docker.api.archive("x", "/x")
        assert ARCHIVE not in dict(fake.asked)
        assert b"".join(archive) == b"a" * 10 + b"b" * 10
        assert fake.headers["Accept-Encoding"] == "identity"


def test_an_archive_that_breaks_off_is_an_error_and_not_its_end() -> None:
    with engine() as fake, opened(fake) as docker:
        fake.answers[ARCHIVE] = (200, (b"a" * 10, "cut"))
        with pytest.raises(Unreachable, match="p1: the way to Docker broke off"):
            list(docker.api.archive("x", "/x"))


def test_an_archive_that_nobody_reads_to_its_end_gives_its_channel_back() -> None:
    with engine() as fake, opened(fake) as docker:
        fake.answers[ARCHIVE] = (200, (b"a" * 10,) * 100)
        for _ in range(2 * CHANNELS):
            assert next(docker.api.archive("x", "/x"))
        assert docker.info() == {"Name": "p1"}


def test_a_build_sends_the_folder_and_nobodys_logins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"auths": {"x": {"auth": "eDp5"}}}')
    context = tmp_path / "context"
    context.mkdir()
    (context / "site.php").write_text("<?php")
    (tmp_path / "Recipe").write_text("FROM x")
    with engine() as fake, opened(fake) as docker:
        fake.answers["POST /build"] = (200, (b'{"stream": "Step 1"}\n', b'{"error": "no"}\n'))
        told = docker.api.build_from(context, tmp_path / "Recipe", "a/b:c", "linux/arm/v6", LIMIT)
        assert list(told) == [{"stream": "Step 1"}, {"error": "no"}]
        sent = dict(fake.asked)["POST /build"]
        assert b"site.php" in sent
        assert b"FROM x" in sent
        assert "X-Registry-Config" not in fake.headers


@dataclass
class Node(Asker):
    """A node whose probe gives an exit code. Its shells are local ones, after `login`; its `docker` is an echo."""

    programs: Path
    code: int = 0
    login: str = ""
    name: str = "p1"
    roots: list[bool] = field(default_factory=list)
    channels: list[LocalChannel] = field(default_factory=list)

    def ask(self, script: str, *, root: bool = False, limit: float | None = None) -> Answer:
        assert "systemctl is-active" in script
        assert (root, limit) == (False, None)
        return Answer(self.code, b"", b"")

    def start(self, root: bool) -> Channel:  # noqa: FBT001
        self.roots.append(root)
        docker = self.programs / "docker"
        docker.write_text('#!/bin/sh\n[ "$*" = "--host unix:///run/docker.sock system dial-stdio" ] && exec cat\n')
        docker.chmod(0o755)
        script = f"{self.login} PATH={self.programs}:$PATH exec sh"
        self.channels.append(LocalChannel(("sh", "-c", script)))
        return as_channel(self.channels[-1])

    def close(self) -> None:
        for channel in self.channels:
            channel.close()


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        pytest.param(127, MissingTool, "p1: the command docker is not installed", id="no docker"),
        pytest.param(3, ObservationError, "p1: Docker does not run", id="not running: a look must not start it"),
    ],
)
def test_nobody_dials_where_nobody_would_answer(code: int, kind: type[Exception], said: str, tmp_path: Path) -> None:
    with closing(Node(tmp_path, code)) as node:
        with pytest.raises(kind, match=said):
            dial(node, node.start, LIMIT)
        assert node.roots == []


@pytest.mark.parametrize(("code", "root"), [(0, False), (1, True)])
def test_root_dials_only_where_our_login_may_not(code: int, root: bool, tmp_path: Path) -> None:  # noqa: FBT001
    with closing(Node(tmp_path, code)) as node:
        dial(node, node.start, LIMIT)
        assert node.roots == [root]


def test_what_a_login_prints_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    with closing(Node(tmp_path, login="head -c 99999 /dev/urandom; echo hello;")) as node:
        channel = dial(node, node.start, LIMIT)
        channel.sendall(b"HTTP\n")
        assert channel.recv(100) == b"HTTP\n"


def test_a_shell_that_ends_says_why(tmp_path: Path) -> None:
    refused = Node(tmp_path, login="read x; echo 'sudo: a password is required' >&2; exit 1;")
    with closing(refused) as node, pytest.raises(ObservationError, match="no way to Docker's socket") as caught:
        dial(node, node.start, LIMIT)
    assert str(caught.value).endswith(": sudo: a password is required")
