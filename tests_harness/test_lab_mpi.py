"""Step `mpi` on the real lab: real jobs, and the faults of the field that spoil them; nothing outlives a look."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.lab import NODES
from harness.live import LiveCrew
from harness.model import Place, Verdict
from harness.reach import find_cluster
from harness.session import Request, open_connections, run_live
from harness.steps import mpi
from tests_harness import labkit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.connect import Connections
    from harness.inventory import Cluster
    from harness.lab import Lab
    from harness.model import Check, Mode

pytestmark = pytest.mark.lab
LIMIT = 20.0  # seconds for one question
DEADLINE = 12  # seconds for a job, so that one that hangs ends soon
CHOSEN = ("power", "network", "arp", "system", "hosts", "ssh_config", "keys", "mpi")
FOLDER = "/home/pi/webVolume/repoPythonScripts"
LOCAL = "/usr/local/bin"
SITE = "/usr/local/lib/python3.11/dist-packages"
MPICH = "DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends mpich >/dev/null 2>&1"
# Whatever a job or its look could leave: processes of the login user, files, session folders, listeners.
LEFT = (
    "ps -u pi -o args= | grep -vE '^(sshd:|sh$|ps )' | grep -E 'mpi|orted|python3|prime'; "
    "ls -d /tmp/*mpi* /tmp/.h* /dev/shm/* 2>/dev/null; true"
)
FIRST, OVER_ALL = "job over all machines", "size of the job over all"
BRIDGES = {"docker0": "172.17.0.1/16", "docker_gwbridge": "172.18.0.1/16"}


@dataclass(frozen=True)
class Fault:
    """Damage by shell text on one node, what differs then as (node, aspect), and the way back.

    `words` are in what was seen there.
    """

    node: str
    damage: str
    want: frozenset[tuple[str, str]]
    undo: str
    words: str = ""


def fault(node: str, damage: str, *want: tuple[str, str], undo: str, words: str = "") -> Fault:
    return Fault(node, damage, frozenset(want), undo, words)


def script(name: str, text: str) -> str:
    """Shell text that puts a program before the real one of that name."""
    return f"cat > {LOCAL}/{name} <<'END'\n#!/bin/sh\n{text}\nEND\nchmod 755 {LOCAL}/{name}"


NOT_TRIED = ("cnat", "jobs over the cluster")
# MPICH's own words, from a module that is found before Debian's.
REVERSE = f"""
mkdir -p {SITE}/mpi4py; echo '__version__ = "3.1.4"; rc = type("rc", (), {{}})' > {SITE}/mpi4py/__init__.py
cat > {SITE}/mpi4py/MPI.py <<'END'
import ctypes
def Get_library_version():
    words, size = ctypes.create_string_buffer(8192), ctypes.c_int()
    ctypes.CDLL("libmpich.so.12").MPI_Get_library_version(words, ctypes.byref(size))
    return words.value.decode()
END
"""
BY_HAND = {
    "another version of Open MPI": fault(
        "p2", script("mpiexec", "echo 'mpiexec (OpenRTE) 4.1.0'"),
        ("p2", "launcher and library are of one version"), NOT_TRIED, undo=f"rm {LOCAL}/mpiexec", words="4.1.0",
    ),
    "names that do not resolve": fault(
        "p2", "sed -i.away 's/^hosts:.*/hosts: dns/' /etc/nsswitch.conf",
        *(("p2", f"{name} resolves") for name in ("cnat", "pi1", "pi3", "pi4")), NOT_TRIED,
        undo="mv /etc/nsswitch.conf.away /etc/nsswitch.conf", words="unknown name",
    ),
    "mpi4py of MPICH under Open MPI's launcher": fault(
        "cnat", f"{MPICH}; {REVERSE}", ("cnat", "library of mpi4py"),
        ("cnat", "launcher and library are of one version"), ("cnat", "Open MPI as on the other machines"), NOT_TRIED,
        undo=f"rm -r {SITE}/mpi4py", words="MPICH 4.0.2",
    ),
    "a daemon that is stopped": fault(
        "p2", script("orted", "kill -STOP $$"), ("cnat", FIRST), undo=f"rm {LOCAL}/orted",
        words="no end within 12 s (pi2: ended there: ",
    ),
    "a rank that is stopped": fault(
        "p2", script("python3", '[ -z "$OMPI_COMM_WORLD_RANK" ] || kill -STOP $$; exec /usr/bin/python3 "$@"'),
        ("cnat", FIRST), undo=f"rm {LOCAL}/python3", words="no end within 12 s",
    ),
    "no daemon": fault(
        "p2", "chmod 000 /usr/bin/orted", ("cnat", FIRST), undo="chmod 755 /usr/bin/orted", words="orted",
    ),
    "ssh that is stopped": fault(
        "p2", "kill -STOP $(systemctl show -P MainPID ssh)", ("cnat", FIRST),
        undo="kill -CONT $(systemctl show -P MainPID ssh)", words="pi2: no answer: ",
    ),
    "no room for a result": fault(
        "cnat", "mount -t tmpfs -o size=1m,mode=1777 none /tmp; head -c 2000000 /dev/zero > /tmp/full || true",
        ("cnat", FIRST), undo="umount -l /tmp",
    ),
}  # fmt: skip


@contextlib.contextmanager
def connected(lab: Lab) -> Iterator[tuple[Cluster, Connections]]:
    """The lab as a user's inventory has it, with shorter limits; and its connections."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HATCHECK_LAB", lab.layout.name)
        found = find_cluster("lab")
        hasty = {
            "ssh": found.ssh.model_copy(update={"limit": LIMIT}),
            "mpi": found.mpi.model_copy(update={"deadline": DEADLINE}),
        }
        cluster = found.model_copy(update=hasty)
        with contextlib.closing(open_connections(cluster)) as connections:
            yield cluster, connections


def go(lab: Lab, mode: Mode) -> labkit.Finished:
    """One run inside this process, of the step and all that it needs."""
    places = frozenset(Place(step, node) for step in CHOSEN for node in NODES)
    with connected(lab) as (cluster, connections):
        record = run_live(Request(cluster, mode, frozenset(CHOSEN), places), connections, lambda _line: None).record
    said = "\n".join(f"{one.place} {one.verdict}: {one.reason}" for one in record.outcomes)
    is_met = all(outcome.verdict.is_met for outcome in record.outcomes)
    return labkit.Finished(0 if is_met else 1, said, record, None)


def look(lab: Lab, before: Callable[[], object] = lambda: None) -> list[Check]:
    """One look at this step alone; `before` comes after all machines have been reached."""
    with connected(lab) as (cluster, connections):
        for name in NODES:
            access = connections.access(name)
            access.ask("true")
            access.ask("true", root=True)
        before()
        sight = LiveCrew(connections, lambda _line: None).look(mpi, NODES)
    assert sight.failed == {}
    return list(mpi.judge(sight.seen, cluster))


def differing(checks: list[Check]) -> dict[tuple[str, str], str]:
    """Without advice: here nobody listens to a pipe, so the job through it is not tried."""
    return {(check.node, check.aspect): check.seen for check in checks if not check.holds and check.level == "must"}


def shell(lab: Lab, node: str, text: str) -> str:
    done = lab.exec(node, ["sh", "-c", text], timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(errors="replace")


def everywhere(lab: Lab, text: str) -> list[str]:
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda node: shell(lab, node, text), NODES))


def left(lab: Lab) -> list[str]:
    """What is there of jobs after they should have gone; the last of them may need a moment."""
    deadline = time.monotonic() + LIMIT
    while any(found := everywhere(lab, LEFT)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return list(filter(None, found))


@pytest.fixture(scope="module")
def green(lab: Lab) -> Iterator[Lab]:
    """From bare by our own repair, which finds nothing to do a second time."""
    lab.reset()
    done = go(lab, "repair")
    assert done.code == 0, done.said
    assert {done.verdicts()[f"mpi[{node}]"] for node in NODES} == {Verdict.REPAIRED}
    again = go(lab, "repair")
    assert (again.code, again.applied()) == (0, 0), again.said
    yield lab
    assert left(lab) == []


def test_a_look_runs_jobs_and_leaves_nothing(green: Lab) -> None:
    before = labkit.look(green)
    checks = look(green)
    assert differing(checks) == {}
    assert {f"primes 1..1000000 by {number} ranks" for number in (2, 3, 4, 5)} <= {check.aspect for check in checks}
    assert left(green) == []
    assert labkit.look(green) == before


def test_the_engines_bridges_are_not_used(green: Lab) -> None:
    """They have the same address on every machine, which is why a job without parameters may wait for ever."""
    make = "ip link add {0} type bridge; ip addr add {1} dev {0}; ip link set {0} up"
    everywhere(green, "; ".join(make.format(name, address) for name, address in BRIDGES.items()))
    try:
        assert differing(look(green)) == {}
    finally:
        everywhere(green, "; ".join(f"ip link del {name}" for name in BRIDGES))


@pytest.mark.field
def test_what_can_be_mended_is_mended_in_one_run(green: Lab) -> None:
    """MPICH's launcher on the controller, no mpi4py, the first version's listing, programs of root, a missing one."""
    shell(green, "cnat", f"{MPICH}; update-alternatives --set mpirun /usr/bin/mpirun.mpich")
    shell(green, "p4", "DEBIAN_FRONTEND=noninteractive apt-get purge -q -y python3-mpi4py openmpi-bin")
    shell(green, "p3", f"echo 'print([1, 3, 5, 7])' > {FOLDER}/prime.py; chmod 600 {FOLDER}/prime.py")
    shell(green, "p2", f"chown root {FOLDER}/node_stats.py; chmod 600 {FOLDER}/node_stats.py")
    shell(green, "p1", f"rm -r {FOLDER}")
    seen = go(green, "verify")
    assert {(node, aspect) for step, node, aspect in seen.differing() if step == "mpi"} == {
        ("cnat", "launcher"), ("cnat", "launcher and library are of one version"), NOT_TRIED,
        ("p4", "openmpi-bin"), ("p4", "python3-mpi4py"), ("p4", "launcher"), ("p4", "library of mpi4py"),
        ("p3", "prime.py"), ("p2", "node_stats.py"),
        ("p1", "prime.py"), ("p1", "pi_monte_carlo.py"), ("p1", "node_stats.py"),
    }  # fmt: skip
    done = go(green, "repair")
    assert done.code == 0, done.said
    assert shell(green, "p3", f"stat -c '%a %U' {FOLDER}/prime.py") == "644 pi\n"
    assert go(green, "repair").applied() == 0


@pytest.mark.parametrize("name", BY_HAND)
def test_what_only_a_person_can_mend_is_seen_exactly_there_and_nothing_is_left_behind(green: Lab, name: str) -> None:
    one = BY_HAND[name]
    try:
        checks = look(green, lambda: shell(green, one.node, one.damage))
        found = differing(checks)
        assert set(found) == one.want, found
        assert one.words in " | ".join(found.values())
        assert [check for check in checks if not check.holds and (check.fix or not check.by_hand)] == []
        if "ssh" not in name:
            assert left(green) == []
    finally:
        shell(green, one.node, one.undo)


def test_a_machine_that_computes_wrong_is_caught_at_every_number_of_ranks(green: Lab) -> None:
    """The program is as shipped; the Python beneath it is not."""
    shell(green, "p3", f"echo 'import math; math.isqrt = lambda n: int(n**.5) // 4' > {SITE}/wrong.pth")
    try:
        found = differing(look(green))
    finally:
        shell(green, "p3", f"rm {SITE}/wrong.pth")
    ranks = ("1 rank", "2 ranks", "3 ranks", "4 ranks", "5 ranks")
    assert {("cnat", f"primes 1..1000000 by {number}") for number in ranks} <= set(found)
    assert {place: seen for place, seen in found.items() if not place[1].startswith("primes ")} == {}


def test_a_launcher_that_lies_about_itself_is_caught_though_the_result_looks_right(green: Lab) -> None:
    """MPICH's launcher under Open MPI's name and with Open MPI's mpi4py: N times rank 0."""
    everywhere(green, MPICH)
    lie = """[ "$1" != --version ] || exec /usr/bin/mpiexec.openmpi --version
while [ "$1" = --mca ]; do shift 3; done
exec /usr/bin/mpiexec.hydra "$@" """
    shell(green, "cnat", script("mpiexec", lie))
    try:
        found = differing(look(green))
    finally:
        shell(green, "cnat", f"rm {LOCAL}/mpiexec")
    assert found[("cnat", OVER_ALL)] == "1"
    assert found[("cnat", "size of the documented job")] == "1, 1, 1"
    assert ("cnat", "primes 1..100 of the documented job") not in found


def test_nothing_outlives_a_harness_that_is_killed(green: Lab, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--cluster=lab", f"--reports={tmp_path}"]
    with subprocess.Popen(
        [*command, "-k", "mpi"], cwd=labkit.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "HATCHECK_LAB": green.layout.name},
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while not any(everywhere(green, LEFT)):
            assert time.monotonic() < deadline, "no job was seen"
        process.send_signal(signal.SIGKILL)
    everywhere(green, "sleep 1; until ! pgrep -u pi -f hatcheck-mpi; do sleep 0.5; done; rm -rf /tmp/hatcheck-mpi-*")
    assert left(green) == []
