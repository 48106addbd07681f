"""Building and pushing an image: what is sent to whom, who is told what, and when nothing is pushed."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from harness.actions import BuildImage, PushImage
from harness.apply_images import SHIPPED, build_image, push_image
from harness.docker_client import open_docker
from harness.errors import RepairError, TimeLimit
from harness.shell import Answer
from harness.steps.images_documented import IMAGES
from tests_harness.fakes_docker import VERSION, FakeEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.docker_client import Docker
    from harness.steps.images_documented import Documented

BUILD = BuildImage("cnat", "a/b:c", "linux/arm/v6", "", "dockerConfig/dockerfileMYSQL", "sql", "why")
PUSH = PushImage("cnat", "a/b:c", "pi", "why")
AS_PI = "sudo -n -H -u pi -- docker"
NOTHING = Answer(1, b"", b"no such manifest: docker.io/a/b:c\n")
DONE = Answer(0, b"latest: digest: sha256:1 size: 2\n", b"")


@dataclass
class Machine:
    """An engine, and a shell that has these answers in store."""

    client: Docker | None = None
    answers: list[Answer | TimeLimit] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    def docker(self) -> Docker:
        assert self.client
        return self.client

    def ask(self, script: str, *, root: bool, limit: float | None) -> Answer:
        assert root
        assert limit
        self.scripts.append(script)
        answer = self.answers.pop(0)
        if isinstance(answer, TimeLimit):
            raise answer
        return answer

    def connection(self, name: str) -> Machine:
        assert name == "cnat"
        return self


@contextmanager
def engine(*events: dict[str, str]) -> Iterator[tuple[FakeEngine, Machine]]:
    told = tuple(json.dumps(event).encode() + b"\n" for event in events)
    with FakeEngine({"GET /version": (200, VERSION), "POST /build": (200, told)}) as fake:
        docker = open_docker("cnat", fake.dial, 5.0)
        yield fake, Machine(docker)
        docker.close()


def test_a_build_tells_its_steps() -> None:
    said: list[str] = []
    with engine({"stream": "Step 1/4 : FROM x"}, {"status": "Pulling"}, {"stream": "\n"}, {"aux": ""}) as (
        fake,
        machine,
    ):
        build_image(BUILD, machine, said.append)
        sent = dict(fake.asked)["POST /build"]
    assert said == ["cnat: building a/b:c: Step 1/4 : FROM x"]
    assert b"database_script.sql" in sent
    assert b"/docker-entrypoint-initdb.d/" in sent


def test_a_build_that_fails_says_at_which_step_and_why() -> None:
    events = {"stream": "Step 2/4 : RUN apt\n"}, {"error": "it returned\na non-zero code: 100"}
    with engine(*events) as (_, machine), pytest.raises(RepairError) as caught:
        build_image(BUILD, machine, lambda _: None)
    assert str(caught.value) == "cnat: a/b:c cannot be built: a non-zero code: 100 (Step 2/4 : RUN apt)"


def test_a_build_that_takes_too_long_is_given_up() -> None:
    with engine({"stream": "Step 1"}) as (_, machine), pytest.raises(RepairError, match="not built within 0 s"):
        build_image(replace(BUILD, limit=0.0), machine, lambda _: None)


@pytest.mark.parametrize(
    ("change", "missing"),
    [({"context": "nowhere"}, "nowhere"), ({"dockerfile": "none"}, "none"), ({"folder": "/nowhere"}, "/nowhere/sql")],
)
def test_a_recipe_that_is_not_there_is_named_before_anything_is_asked(change: dict[str, str], missing: str) -> None:
    with pytest.raises(RepairError, match=f"there is no .*{missing} here"):
        build_image(replace(BUILD, **change), Machine(), lambda _: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("image", IMAGES)
def test_the_project_comes_with_what_the_documented_images_are_built_of(image: Documented) -> None:
    assert (SHIPPED / image.file).is_file()
    assert (SHIPPED / image.context).is_dir()


def test_an_image_is_pushed_by_the_users_own_login_where_he_sees_none() -> None:
    machine = Machine(answers=[NOTHING, DONE])
    push_image(PUSH, machine)
    assert machine.scripts == [f"{AS_PI} manifest inspect a/b:c", f"{AS_PI} push a/b:c"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(Answer(0, b"{}", b""), "has a/b:c already, but not for everybody", id="a private one is there"),
        pytest.param(Answer(1, b"", b"dial tcp: no route"), "nobody can say whether .* no route", id="no way there"),
    ],
)
def test_nothing_is_pushed_over_an_image_that_may_be_there(answer: Answer, words: str) -> None:
    machine = Machine(answers=[answer])
    with pytest.raises(RepairError, match=words):
        push_image(PUSH, machine)
    assert len(machine.scripts) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(
            Answer(1, b"Preparing\n", b"denied: requested access to the resource is denied\n"),
            "denied: requested access to the resource is denied; `docker login` on cnat as pi, then repair again",
            id="not logged in",
        ),
        pytest.param(Answer(1, b"", b"connection reset"), "does not take a/b:c: connection reset", id="broken off"),
        pytest.param(TimeLimit("cnat: too slow"), "did not take a/b:c in time", id="too slow"),
    ],
)
def test_a_push_that_is_refused_says_what_a_person_must_do(answer: Answer | TimeLimit, words: str) -> None:
    with pytest.raises(RepairError) as caught:
        push_image(PUSH, Machine(answers=[NOTHING, answer]))
    assert str(caught.value).endswith(words)
