"""The jobs of step `mpi` without a cluster: their bounds, what is swept up, and what is understood of answers."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from harness import backend
from harness.backend import Asker
from harness.errors import ObservationError
from harness.node import NodeAccess
from harness.parse.app_results import PRIMES_FORM
from harness.primes import primes, wanted
from harness.probe_ranks import MARK as LINE
from harness.shell import Answer
from harness.steps import mpi_jobs
from harness.steps.mpi_jobs import FETCH, RANGES, deadline, patience, try_jobs
from harness.steps.mpi_state import Live, Said
from harness.steps.mpi_sweep import SWEEP, sweep_command
from tests_harness.fakes_mpi import CLUSTER, HUB, LIBRARY, NODES, SUBNET

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "hatcheck-mpi-0123456789"
SLEEP = (sys.executable, "-c", "import time; print(flush=True); time.sleep(60)")


def sh(script: str, given: str) -> subprocess.CompletedProcess[str]:
    """The script as it runs on a machine; nothing that it was not given may be in its own arguments."""
    return subprocess.run(["sh", "-c", script], input=given, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def sleepers() -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """A process that carries the mark, and one that carries another."""
    with (
        subprocess.Popen([*SLEEP, f"/tmp/{MARK}-results"], stdout=subprocess.PIPE) as marked,
        subprocess.Popen([*SLEEP, "hatcheck-mpi-9876543210"], stdout=subprocess.PIPE) as other,
    ):
        for process in (marked, other):
            assert process.stdout
            process.stdout.readline()
        yield marked, other
        marked.kill()
        other.kill()


def test_only_what_carries_the_mark_is_ended(
    sleepers: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]],
) -> None:
    marked, other = sleepers
    done = sh(SWEEP, f"{MARK}\n")
    assert done.returncode == 0, done.stderr
    assert "python" in done.stdout
    assert marked.wait(10) == -9
    assert other.poll() is None


@pytest.mark.parametrize(
    "given", ["", "\n", "x\n", "hatcheck-mpi-\n", f"{MARK}0\n", ".*\n", "hatcheck-mpi-0/../../aa\n"]
)
@pytest.mark.parametrize("script", [SWEEP, FETCH])
def test_without_a_whole_mark_nothing_is_ended_or_removed(script: str, given: str) -> None:
    done = sh(f"pgrep() {{ echo called; }}; rm() {{ echo called; }}; {script}", given)
    assert (done.returncode, done.stdout) == (3, "")


def test_the_bounds_stand_behind_each_other_and_before_the_limit_of_the_command() -> None:
    for seconds_for_a_job in (2, 12, 60, 3600):
        cluster = CLUSTER.model_copy(update={"mpi": CLUSTER.mpi.model_copy(update={"deadline": seconds_for_a_job})})
        _, _, first, daemon, _, last = mpi_jobs._bounds(MARK, cluster)  # noqa: SLF001 - the numbers are the point
        seconds = [float(first), float(daemon.split()[3]), float(last), patience(cluster)]
        assert seconds == sorted(set(seconds))
        assert deadline(cluster) == int(first) == seconds_for_a_job


class Machine(Asker):
    """A controller whose every job gives the same answer, unless `answers` has another one for a word of it.

    `asked` keeps what it was asked.
    """

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.name = HUB
        self.answers = answers
        self.asked: list[str] = []

    def ask(self, script: str, *, root: bool = False, limit: float | None = None) -> Answer:  # noqa: ARG002
        self.asked.append(script)
        for word, answer in self.answers.items():
            if word in script:
                # As many ranks as were asked for.
                size = re.search(rb"-n (\d+)", script.encode())
                out = answer.out.replace(b'"size": 0', b'"size": ' + size[1]) if size else answer.out
                return Answer(answer.code, out, answer.err)
        return Answer(0, b"", b"")


def machine(**answers: Answer) -> Machine:
    """`mark`, `sweep`, `trial`, `documented` and `fetch` are the questions."""
    words = {
        "mark": "mktemp",
        "sweep": "kill -KILL",
        "fetch": "cat -- ",
        "trial": "python3 -B -c",
        "documented": "-n 3",
    }
    good = {"mark": answered(MARK + "\n"), "trial": answered(trial()), "documented": answered(SAID),
            "fetch": answered(result(1, 100))}  # fmt: skip
    # In this order: the sweep's and the fetch's text is also in what follows.
    return Machine({words[name]: (good | answers)[name] for name in words if name in good | answers})


def answered(out: str, code: int = 0, err: str = "") -> Answer:
    return Answer(code, out.encode(), err.encode())


def result(low: int, high: int) -> str:
    return json.dumps({"executionTime": 0.02, "primeNumbersList": primes(low, high)}, indent=3)


SAID = '{"size": 3, "hosts": ["p3", "p2", "p4"], "found": [11, 8, 6]}\n'


def trial() -> str:
    rank = {"host": "p3", "size": 0, "library": "Open MPI v4.1.4, package", "include": [SUBNET, SUBNET], "peers": []}
    files = [
        {"file": f"{low}..{high}", "packed": base64.b64encode(zlib.compress(result(low, high).encode())).decode()}
        for low, high in RANGES
    ]
    return "".join(f"{LINE}{json.dumps(words)}\nwords of a program\n" for words in ({"ranks": [rank]}, *files))


def tried(one: Machine) -> Live:
    host, root = (backend.host(one, root=root) for root in (False, True))
    return try_jobs(NodeAccess(HUB, CLUSTER, host, root), CLUSTER.names)


def test_what_comes_back_is_read_and_every_number_of_ranks_is_tried() -> None:
    one = machine()
    live = tried(one)
    assert [len(job.hosts) for job in live.trials] == [5, 1, 2, 3, 4]
    assert {job.failure for job in live.trials} == {""}
    assert live.trials[0].ranks[0].library == LIBRARY
    assert all(job.primes["1..1000000"].found == wanted(1, 1_000_000) for job in live.trials)
    assert live.documented
    assert live.documented.said == (Said(3, ("p3", "p2", "p4")),)
    assert live.documented.primes["1..100"].form == PRIMES_FORM


def test_the_two_ways_of_starting_a_job_are_as_documented() -> None:
    one = machine()
    tried(one)
    program = "/home/pi/webVolume/repoPythonScripts/prime.py"
    (documented,) = [script for script in one.asked if "mpiexec -n 3" in script]
    after = documented.partition("mpiexec ")[2]
    assert after == (
        f"-n 3 --host pi3,pi2,pi4 python3 {program} 1 100 /tmp/{MARK}.json --mca btl_tcp_if_include {SUBNET}"
    )
    (robust,) = [script for script in one.asked if " -n 5 " in script]
    near = f"--mca btl_tcp_if_include {SUBNET} --mca oob_tcp_if_include {SUBNET}"
    assert f"mpiexec {near} -n 5 --host {','.join(NODES)},cnat" in robust


@pytest.mark.parametrize(
    ("code", "err", "words"),
    [
        (110, "The user-provided time limit", "no end within 60 s"),
        (124, "", "no end within 60 s"),
        (137, "", "no end within 60 s"),
        (255, "[cnat:1] plm:rsh: Warning\n------\nssh: connect to host pi2 port 22: No route\nORTE was unable\n",
         "exit 255: ssh: connect to host pi2 port 22: No route ORTE was unable"),
        (1, "", "exit 1: no words"),
    ],
)  # fmt: skip
def test_after_a_job_that_fails_no_other_is_tried_and_all_is_swept(code: int, err: str, words: str) -> None:
    one = machine(
        trial=answered("", code, err),
        sweep=answered(
            "pi2 0 bash: warning: setlocale,|TN orted,\npi3 255 ssh: timed out,\npi4 0 bash: warning: setlocale,\n"
        ),
    )
    live = tried(one)
    assert [job.failure for job in live.trials] == [words]
    assert live.documented is None
    assert live.left == {"pi2": "ended there: TN orted", "pi3": "no answer: ssh: timed out,"}


def test_ranks_that_are_no_job_spoil_only_their_files() -> None:
    """MPICH's launcher with Open MPI's mpi4py: each is a rank 0, and all write to one output at once."""
    spoilt = trial().replace('"size": 0', '"size": 7') + f'{LINE}{{"file": "1..100", "pack@hatcheck\n'
    live = tried(machine(trial=answered(spoilt)))
    assert {rank.size for job in live.trials for rank in job.ranks} == {7}
    assert live.trials[0].primes == {}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("trial", answered(f"{LINE}no json\n")),
        ("trial", answered(f'{LINE}{{"file": "1..100", "packed": "!"}}\n')),
        ("trial", answered(f'{LINE}{{"ranks": [{{"host": "p1"}}]}}\n')),
        ("documented", answered('{"size": "three"}\n')),
    ],
)
def test_an_answer_that_does_not_read_is_unknown_and_nothing_stays_behind(question: str, answer: Answer) -> None:
    one = machine(**{question: answer})
    with pytest.raises(ObservationError):
        tried(one)
    assert "kill -KILL" in one.asked[-1]


def test_a_result_that_is_not_there_is_a_difference() -> None:
    live = tried(machine(fetch=answered("", 1, "cat: /tmp/x.json: No such file or directory\n")))
    assert live.documented
    assert live.documented.failure == "no result on pi3: cat: /tmp/x.json: No such file or directory"


def test_the_controller_is_swept_without_ssh() -> None:
    text = sweep_command(HUB, ("pi1", HUB))
    assert text.count("ssh -o BatchMode=yes") == 1
    assert text.replace("%%", "").count("%s") == 7
