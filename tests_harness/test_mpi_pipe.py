"""The documented job through a pipe: what its script does with a stand-in for docker, and what its answer means."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from harness import backend
from harness.backend import Asker
from harness.errors import ObservationError
from harness.node import NodeAccess
from harness.probe_pipes import is_heard
from harness.shell import Answer
from harness.steps import mpi
from harness.steps.mpi_jobs import deadline
from harness.steps.mpi_pipe import WAY, request, try_through
from tests_harness.fakes_mpi import CLUSTER, HUB, good_live, good_mpi
from tests_harness.pipekit import PRIMES, Volume, make_volume, running, send, start, start_documented, until

if TYPE_CHECKING:
    from pathlib import Path

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.steps.mpi_state import Live

MARK = "hatcheck-mpi-0123456789"
RESULT = b'{\n   "executionTime": 0.02,\n   "primeNumbersList": [\n      2,\n      3\n   ]\n}\n'
THROUGH = f"documented job through {PRIMES} of pi3"


@dataclass
class Hub(Asker):
    """A controller that makes up a mark, gives one answer to the request, and finds this to end afterwards."""

    answer: Answer
    left: bytes = b""
    name: str = HUB
    asked: list[str] = field(default_factory=list)

    def ask(self, script: str, *, root: bool = False, limit: float | None = None) -> Answer:
        assert not root
        if "mktemp" in script:
            return Answer(0, f"{MARK}\n".encode(), b"")
        self.asked.append("sweep" if "kill -KILL" in script else "clean" if "sleep 1; rm" in script else "send")
        if self.asked[-1] != "send":
            return Answer(0, self.left if self.asked[-1] == "sweep" else b"", b"")
        assert limit, "a job may take longer than a command"
        assert limit > deadline(CLUSTER)
        return self.answer


def tried(code: int, out: bytes = b"", err: bytes = b"", live: Live | None = None) -> Live:
    return through(Hub(Answer(code, out, err)), live)


def through(hub: Asker, live: Live | None = None, cluster: Cluster = CLUSTER) -> Live:
    user, root = (backend.host(hub, root=one) for one in (False, True))
    return try_through(NodeAccess(HUB, cluster, user, root), live or replace(good_live(), through=None))


def about(live: Live) -> dict[str, Check]:
    seen = good_mpi()
    checks = mpi.judge(seen | {HUB: replace(seen[HUB], live=live)}, CLUSTER)
    return {check.aspect: check for check in checks if "through" in check.aspect}


def test_a_wrong_list_that_comes_back_differs() -> None:
    checks = about(tried(0, RESULT))
    assert checks[THROUGH].holds
    assert not checks["primes 1..100 that came through the pipe"].holds


def test_without_a_container_it_was_not_tried_and_decides_nothing() -> None:
    (check,) = about(tried(40, err=b"no web container runs there\n")).values()
    assert (check.holds, check.level) == (False, "advice")
    assert check.seen == "not tried: pi3: no web container runs there"


def test_what_does_not_come_back_differs_with_its_reason() -> None:
    (check,) = about(tried(41, err=b"no result within 70 s\n")).values()
    assert (check.aspect, check.level, check.seen) == (THROUGH, "must", "no result within 70 s")


@pytest.mark.parametrize(("code", "want"), [(0, ["send"]), (40, ["send"]), (41, ["send", "sweep", "clean"])])
def test_after_an_end_that_leaves_something_all_machines_are_swept_and_its_files_taken_away(
    code: int, want: list[str]
) -> None:
    hub = Hub(Answer(code, RESULT, b"words\n"), left=b"pi3 0 |S mpiexec,\ncnat 0 \n")
    live = through(hub)
    assert hub.asked == want
    if code == 41:
        assert live.through
        assert live.through.failure == "words; pi3: ended there: S mpiexec"


def test_the_request_is_the_documented_one_with_a_bound_before_the_program() -> None:
    before, _, after = request(MARK, ("pi3", "pi2", "pi4"), CLUSTER).partition(" --timeout 60")
    assert before + after == (
        "ssh cnat mpiexec -n 3 --host pi3,pi2,pi4 python3 /home/pi/webVolume/repoPythonScripts/prime.py 1 100 "
        f"/home/pi/webVolume/repoOutputResults/{MARK}.json --mca btl_tcp_if_include 172.19.181.0/24"
    )


@pytest.mark.parametrize("code", [1, 3, 124, 137, 255])
def test_any_other_end_says_nothing_of_the_pipe(code: int) -> None:
    hub = Hub(Answer(code, RESULT, b""))
    with pytest.raises(ObservationError, match=f"gave exit {code}"):
        through(hub)
    assert hub.asked == ["send", "sweep", "clean"]


@pytest.mark.parametrize("documented", [None, replace(good_live().documented, failure="exit 1")])  # type: ignore[type-var]
def test_it_is_not_tried_where_the_job_does_not_work_without_a_pipe(documented: object) -> None:
    before = replace(good_live(), through=None, documented=documented)  # type: ignore[arg-type]
    assert tried(0, RESULT, live=before) == before


DOCKER = """#!/bin/sh
[ "$1" = ps ] && { echo WARNING: no settings >&2; echo b0c5; exit; }
while [ "$1" != b0c5 ]; do shift; done; shift
for word; do shift; set -- "$@" "$(echo "$word" | sed "s,/hostpipe,FOLDER,")"; done; exec "$@"
"""
# One machine is all of them: what is to be done there is done here. What the listener starts goes to the launcher.
NEAR = """#!/bin/sh
while [ "$1" = -o ]; do shift 2; done
shift; exec sh -c "$*"
"""
LAUNCHER = """#!/bin/sh
while [ "$1" != python3 ]; do shift; done
exec "$@"
"""


@dataclass
class Near(Asker):
    """A controller whose scripts really run, here, with stand-ins for ssh, docker and mpiexec."""

    volume: Volume
    name: str = HUB

    def __post_init__(self) -> None:
        texts = {"docker": DOCKER.replace("FOLDER", str(self.volume.folder)), "ssh": NEAR, "mpiexec": LAUNCHER}
        for name, text in texts.items():
            (self.volume.top / "bin" / name).write_text(text)
            (self.volume.top / "bin" / name).chmod(0o755)

    def ask(self, script: str, *, root: bool = False, limit: float | None = None) -> Answer:
        assert not root
        # On standard input, as a machine's shell gets it: what is said in it is in no process list.
        done = subprocess.run(
            ["sh"], input=script.replace("/home/pi/webVolume", str(self.volume.folder)).encode(),
            env={**os.environ, "PATH": f"{self.volume.top}/bin:{os.environ['PATH']}"},
            capture_output=True, timeout=limit or 60, check=False,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)


# Three seconds for a job, so that one that hangs is given up soon.
SHORT = CLUSTER.model_copy(update={"mpi": CLUSTER.mpi.model_copy(update={"deadline": 3})})
# As the shipped one, it takes the launcher's parameters after its own.
COUNTS = "import sys; open(sys.argv[3], 'w').write(' '.join(sys.argv[1:3]))\n"
HANGS = "import sys, time; open(sys.argv[3] + '.part', 'w'); time.sleep(600)\n"
Start = Callable[[Volume], "subprocess.Popen[str]"]


@pytest.fixture
def near(tmp_path: Path) -> Near:
    near = Near(make_volume(tmp_path))
    give_program(near, COUNTS)
    return near


def give_program(near: Near, text: str) -> None:
    (near.volume.folder / "repoPythonScripts" / "prime.py").write_text(text)


def way(near: Near, *, limit: int = 20) -> tuple[int, str, str]:
    """The script that runs on the first host, alone: exit code, what it gives, and its words."""
    words = request(MARK, ("pi3", "pi2", "pi4"), CLUSTER)
    given = f"{MARK}\n/home/pi/webVolume\nappli_serviceweb\n{limit}\n{words}\n"
    answer = near.ask(f"sh -c {shlex.quote(WAY)} <<'END'\n{given}END\n")
    return answer.code, answer.out.decode(), answer.err.decode()


def results(near: Near) -> list[str]:
    return [path.name for path in near.volume.results.iterdir()]


@pytest.mark.parametrize("start_one", [start, start_documented])
def test_either_listener_takes_its_request(near: Near, start_one: Start) -> None:
    with running(start_one(near.volume)):
        until(lambda: (near.volume.pipe().exists() and is_heard(near.volume.pipe())) or None, "the listener")
        assert way(near) == (0, "1 100", "")
    assert results(near) == []


def test_a_listener_that_is_at_work_is_waited_for(near: Near) -> None:
    with running(start_documented(near.volume)):
        send(near.volume.pipe(), b"sleep 2\n")
        assert way(near) == (0, "1 100", "")


def test_where_nobody_listens_it_is_said_in_time_and_is_no_advice(near: Near) -> None:
    os.mkfifo(near.volume.pipe())
    assert way(near, limit=1) == (41, "", "its request is not taken: No such device or address\n")


@pytest.mark.parametrize(
    ("docker", "want"),
    [
        pytest.param("exit 0", (40, "", "no web container runs there\n"), id="no container"),
        pytest.param("echo denied; exit 1", (41, "", "docker ps fails: denied\n"), id="no leave to ask"),
        pytest.param('[ "$1" = ps ] && echo b0c5 || { echo "Error: it is paused" >&2; exit 1; }',
                     (41, "", "its request is not taken: it is paused\n"), id="a container that is paused"),
    ],
)  # fmt: skip
def test_only_that_there_is_no_container_is_not_this_steps_business(
    near: Near, docker: str, want: tuple[int, str, str]
) -> None:
    (near.volume.top / "bin" / "docker").write_text(f"#!/bin/sh\n{docker}\n")
    assert way(near) == want


@pytest.mark.parametrize("start_one", [start, start_documented])
def test_a_job_that_sleeps_is_ended_with_all_that_it_left(near: Near, start_one: Start) -> None:
    give_program(near, HANGS)
    with running(start_one(near.volume)):
        until(lambda: (near.volume.pipe().exists() and is_heard(near.volume.pipe())) or None, "the listener")
        live = through(near, cluster=SHORT)
        assert live.through
        assert live.through.failure.startswith("no result within 4 s; ")
        assert "ended there: " in live.through.failure
        assert results(near) == []
        assert subprocess.run(["pgrep", "-f", str(near.volume.folder / "repoPythonScripts")], check=False).returncode
