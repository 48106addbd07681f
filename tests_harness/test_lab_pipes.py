"""Faults of the step `pipes` on the real lab, one on each node at once: seen exactly there, mended, and nothing left.

Requests go through real web containers; the listeners are the documented ones first and the hardened ones at the end.
"""

from __future__ import annotations

import math
import re
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from harness.model import Verdict
from harness.parse.app_results import SIGMAS, deviation
from harness.probe_reboot import await_whole
from harness.reach import find_cluster
from harness.session import open_connections
from harness.steps.boot_scripts import PIPES
from tests_harness import labkit
from tests_harness.appkit import Machine, sign_in
from tests_harness.faultkit import go, on
from tests_harness.pipekit import APP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.lab import Lab
    from tests_harness.labkit import Finished

pytestmark = pytest.mark.lab
STEP = ("stack", "pipes")  # the folder itself is made by the first
WORKERS = ("p1", "p2", "p3", "p4")
VOLUME = "/home/pi/webVolume"
FIRST, PRIMES, _ = PIPES
PIPE = f"{VOLUME}/{PRIMES}"
AVAILABILITY = "docker node update --availability"
IS_PIPE, RIGHTS, HEARD = f"{PRIMES} is a named pipe", f"rights of {PRIMES}", f"{PRIMES} is listened to"
SAME = "appli_serviceweb sees the node's pipes"
# The brackets keep the word out of the command line of the shell that says it.
END = "pkill -KILL -u pi -f '[s]tart_{0}'; sleep 0.2; pkill -KILL -u pi -f '[c]at /home/pi/webVolume/{0}' || true"
NEW = f"mkfifo -m 666 {PIPE}; chown pi:pi {PIPE}"
BY_HAND = f"systemd-run -q --uid=pi --unit=by-hand sh -c 'while true; do x=$(cat {PIPE}); done'"
ORPHAN = f"cp -a {VOLUME} /home/pi/copy; rm -r {VOLUME}; mv /home/pi/copy {VOLUME}"
UNITS = " ".join(f"clusterhat-pipe@{pipe}" for pipe in PIPES)
TAKE_OUT = (
    f"systemctl stop {UNITS}; rm /etc/systemd/system/clusterhat-pipe@.service; systemctl daemon-reload; "
    f"rm -r /usr/local/lib/clusterhat {VOLUME}/repoBashScripts"
)
INJECTIONS = (
    "touch /tmp/hacked", "1; touch /tmp/hacked", "echo $(touch /tmp/hacked)", "echo 1 >> /tmp/hacked",
    f"echo 1 >> {VOLUME}/repoOutputResults/../hacked", "ssh cnat touch /tmp/hacked", "A" * 5000,
)  # fmt: skip
Fault = tuple[str, frozenset[str]]


def fault(damage: str, *aspects: str) -> Fault:
    return damage, frozenset(aspects)


# Of one batch each node has one, and all four are looked at and mended in one run.
BATCHES: dict[str, tuple[Fault, ...]] = {
    "what has the name": (
        fault(f"rm {PIPE}; echo mine > {PIPE}", IS_PIPE, HEARD),
        fault(f"rm {PIPE}", IS_PIPE, HEARD),
        fault(f"rm {PIPE}; touch {PIPE}", IS_PIPE, HEARD),
        fault(f"rm {PIPE}; ln -s /dev/null {PIPE}", IS_PIPE, HEARD),
    ),
    "who listens": (
        fault(END.format(PRIMES), HEARD),
        fault(f"systemd-run -q --uid=pi {VOLUME}/repoBashScripts/start_{PRIMES}.sh; sleep 0.5", HEARD),
        fault(f"rm {PIPE}; {NEW}", HEARD),
        fault(f"pkill -STOP -u pi -f '[s]tart_{PRIMES}'", HEARD),
    ),
    "folders that are others now": (
        fault(ORPHAN, SAME, *(f"{pipe} is listened to" for pipe in PIPES)),
        fault(
            f"rm -r {VOLUME}", "repoBashScripts", "repoPythonScripts", "repoOutputResults", SAME,
            *(f"{pipe} {what}" for pipe in PIPES for what in ("is a named pipe", "is listened to")),
        ),
        fault(f"{END.format(PRIMES)}; truncate -s 0 {VOLUME}/repoBashScripts/start_{PRIMES}.sh", HEARD),
        fault("true"),
    ),
    "rights, and who it is": (
        fault(f"chmod 644 {PIPE}", RIGHTS),
        fault(f"chown root:root {PIPE}", RIGHTS),
        fault(f"{END.format(PRIMES)}; systemd-run -q {VOLUME}/repoBashScripts/start_{PRIMES}.sh; sleep 0.5", HEARD),
        fault(f"chown root {VOLUME}; chmod 700 {VOLUME}/repoOutputResults", "webVolume", "repoOutputResults"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def pipes(ready: Lab) -> Iterator[Lab]:
    """The green lab; whatever a test left is mended, and the programs of `mpi` are back."""
    yield ready
    go(ready, "repair", ("pipes", "boot", "mpi"))


def first(done: Finished) -> dict[str, set[str]]:
    """By node, what differed before anything was mended; no place may be unknown: nothing ever blocks."""
    assert done.record
    assert Verdict.UNKNOWN not in done.verdicts().values(), done.said
    return {
        one.place.node: {check.aspect for check in one.first or one.checks if check.level == "must" and not check.holds}
        for one in done.record.outcomes
    }


def traces(lab: Lab, node: str) -> str:
    """Results and processes that a look could have left."""
    return on(lab, node, f"find {VOLUME} /tmp -name '*hatcheck*'; pgrep -af '[h]atcheck-[0-9]|[d]d of=' || true")


@pytest.mark.parametrize("name", BATCHES)
def test_faults_are_seen_exactly_there_and_mended_in_one_run(pipes: Lab, name: str) -> None:
    batch = dict(zip(WORKERS, BATCHES[name], strict=True))
    for node, (damage, _) in batch.items():
        on(pipes, node, damage)
    done = go(pipes, "repair", STEP)
    assert first(done) == {"cnat": set()} | {node: set(aspects) for node, (_, aspects) in batch.items()}, done.said
    assert done.code == 0, done.said
    assert {node: traces(pipes, node) for node in WORKERS} == dict.fromkeys(WORKERS, "")


def test_what_had_the_place_of_a_pipe_and_was_not_empty_is_kept(pipes: Lab) -> None:
    on(pipes, "p1", f"rm -f {PIPE}.moved*; rm {PIPE}; echo mine > {PIPE}")
    assert go(pipes, "repair", STEP).code == 0
    assert on(pipes, "p1", f"cat {PIPE}.moved; rm {PIPE}.moved") == "mine\n"
    on(pipes, "p2", f"rm -f {PIPE}.moved*")


@pytest.mark.field
def test_a_listener_of_a_person_is_never_ended(pipes: Lab) -> None:
    on(pipes, "p3", f"{BY_HAND}; sleep 0.5")
    try:
        done = go(pipes, "repair", STEP)
        assert first(done)["p3"] == {HEARD}
        assert done.applied() == 0
        assert "by 2 that take requests from each other" in done.outcome("pipes", "p3").reason
        on(pipes, "p3", "systemctl -q is-active by-hand")
    finally:
        on(pipes, "p3", "systemctl stop by-hand; systemctl reset-failed by-hand 2>/dev/null || true")


@pytest.mark.field
def test_a_listener_at_work_is_not_called_dead_and_its_job_is_not_ended(pipes: Lab) -> None:
    send = f"printf 'sleep 25\\n' | timeout 9 dd of={PIPE} oflag=nonblock conv=nocreat,notrunc status=none"
    on(pipes, "p3", send)
    done = go(pipes, "repair", STEP)
    assert done.verdicts()["pipes[p3]"] is Verdict.UNKNOWN
    assert "is at work since" in done.outcome("pipes", "p3").reason
    assert done.applied() == 0
    on(pipes, "p3", "pkill -KILL -u pi -x sleep")
    assert go(pipes, "verify", STEP).code == 0


@pytest.mark.field
def test_without_a_web_container_no_request_is_tried_and_the_reason_is_named(pipes: Lab) -> None:
    on(pipes, "p4", "docker pause $(docker ps -q --filter volume=/hostpipe)")
    try:
        done = go(pipes, "verify", STEP)
        assert done.verdicts()["pipes[p4]"] is Verdict.UNKNOWN, "it cannot be asked, and that is no answer"
        assert {done.verdicts()[f"pipes[{node}]"] for node in WORKERS[:3]} == {Verdict.OK}
    finally:
        on(pipes, "p4", "docker unpause $(docker ps -q --filter volume=/hostpipe)")


@pytest.fixture(scope="class")
def hardened(pipes: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """On p4 the listener without eval, put there by `--repair --advice`; the programs that it runs are everywhere."""
    assert go(pipes, "repair", ("mpi",)).code == 0
    done = labkit.run(tmp_path_factory.mktemp("advice"), "--repair", "--advice", "-k", "pipes and p4")
    assert done.code == 0, done.said
    yield pipes
    on(pipes, "p4", TAKE_OUT)
    assert go(pipes, "repair", STEP).code == 0


class TestHardened:
    """The listener without eval, put there by `--repair --advice` on p4 only."""

    def test_it_listens_and_a_second_repair_has_nothing_to_do(self, hardened: Lab, tmp_path: Path) -> None:
        assert on(hardened, "p4", f"stat -c '%a %U:%G' {PIPE}") == "620 pi:www-data\n"
        assert on(hardened, "p4", "pgrep -u pi -fc '[c]lusterhat_pipe.py'") == "3\n"
        on(hardened, "p4", "! pgrep -u pi -f '[s]tart_pipe_'")
        again = labkit.run(tmp_path, "--repair", "--advice", "-k", "(pipes or boot) and p4")
        assert (again.code, again.applied()) == (0, 0), again.said

    def test_a_dead_or_replaced_one_comes_back_and_a_loop_beside_it_is_ended(self, hardened: Lab) -> None:
        on(hardened, "p4", f"pkill -KILL -f '[c]lusterhat_pipe.py.*{FIRST}'; rm {PIPE}; {NEW}")
        assert go(hardened, "verify", STEP).code == 0, "systemd needs no repair"
        script = f"{VOLUME}/repoBashScripts/start_{PRIMES}.sh"
        loop = (APP / "repoBashScripts" / f"start_{PRIMES}.sh").read_text()
        start = f"systemd-run -q --uid=pi {script}; sleep 0.5"
        beside = f"cp -p {script} /root/kept; cat > {script}; {start}; mv /root/kept {script}"
        done = hardened.exec("p4", ["sh", "-ec", beside], stdin=loop.encode(), timeout=30)
        assert done.returncode == 0, done.stderr
        mended = go(hardened, "repair", STEP)
        assert (first(mended)["p4"], mended.code) == ({HEARD}, 0), mended.said
        assert on(hardened, "p4", "pgrep -u pi -fc '[c]lusterhat_pipe.py'") == "3\n"

    def test_injections_from_the_container_into_the_pipe_run_nothing(self, hardened: Lab) -> None:
        box = on(hardened, "p4", "docker ps -q --filter volume=/hostpipe").strip()
        argv = ["docker", "exec", "-i", "-u", "www-data", box, "dd", f"of=/hostpipe/{PRIMES}", "oflag=nonblock",
                "conv=nocreat,notrunc", "status=none"]  # fmt: skip
        for line in INJECTIONS:
            assert hardened.exec("p4", argv, stdin=f"{line}\n".encode(), timeout=30).returncode == 0
        # The listener takes lines in order, so an answer to the look shows that it is done with these.
        assert go(hardened, "verify", STEP).code == 0
        for node in ("p4", "cnat"):
            on(hardened, node, f"! test -e /tmp/hacked; ! test -e {VOLUME}/hacked")
        assert "refused" in on(hardened, "p4", f"journalctl -u clusterhat-pipe@{PRIMES}")

    @pytest.mark.parametrize("node", ["p3", "p4"])
    def test_a_visitor_of_the_page_computes_with_either_listener(self, hardened: Lab, node: str) -> None:
        fields = {"first": "1", "last": "100", "nodes": "1"}
        _, answer = Machine(hardened, node).browse(("prime.php",), ("prime.php", fields))
        assert '<b id="count">25</b>' in answer.text
        assert on(hardened, node, f"ls {VOLUME}/repoOutputResults") == "", "the page took its result away"

    @pytest.mark.parametrize("node", ["p3", "p4"])
    def test_the_administrator_sees_a_row_for_each_documented_machine(self, hardened: Lab, node: str) -> None:
        steps = (*sign_in("admin"), ("statistics.php",), ("statistics.php", {}))
        *_, answer = Machine(hardened, node).browse(*steps)
        assert answer.status == 200, answer.text
        table = re.findall(r'<table id="nodes">(.*?)</table>', answer.text, re.DOTALL)
        rows = [re.findall(r"<td>(.*?)</td>", row) for row in "".join(table).split("<tr>")]
        assert [row[0] for row in rows if row] == ["cnat", "pi1", "pi2", "pi3", "pi4"]
        assert {len(row) for row in rows if row} == {6}
        assert on(hardened, node, f"ls {VOLUME}/repoOutputResults") == ""

    @pytest.mark.parametrize("node", ["p3", "p4"])
    def test_a_user_computes_pi_on_all_four_nodes(self, hardened: Lab, node: str) -> None:
        steps = (*sign_in("user"), ("pi.php",), ("pi.php", {"throws": "400000", "nodes": "4"}))
        *_, answer = Machine(hardened, node).browse(*steps)
        found = re.search(r'<b id="pi">([0-9.]+)</b>', answer.text)
        assert found, answer.text
        assert float(found[1]) == pytest.approx(math.pi, abs=SIGMAS * deviation(400_000))
        assert on(hardened, node, f"ls {VOLUME}/repoOutputResults") == ""

    @pytest.mark.parametrize("node", ["p3", "p4"])
    @pytest.mark.parametrize("value", ["1; touch /tmp/hacked", "$(touch /tmp/hacked)", "1\ntouch /tmp/hacked"])
    def test_an_injection_through_the_page_runs_nothing(self, hardened: Lab, node: str, value: str) -> None:
        fields = {"first": value, "last": "100", "nodes": "1"}
        _, answer = Machine(hardened, node).browse(("prime.php",), ("prime.php", fields))
        assert answer.status == 400
        on(hardened, node, "! test -e /tmp/hacked")


def test_after_a_reboot_of_p4_everything_comes_back(pipes: Lab, tmp_path: Path) -> None:
    assert go(pipes, "repair", ("pipes", "boot")).code == 0
    done = labkit.run(tmp_path, "--disruptive", "-k", "boot and p4")
    assert done.code == 0, done.said
    assert "1 passed" not in done.said.splitlines()[-1], "the reboot is among them"


def test_a_second_repair_of_all_this_has_nothing_to_do(pipes: Lab) -> None:
    assert go(pipes, "repair", ("pipes", "boot")).code == 0
    again = go(pipes, "repair", ("pipes", "boot"))
    assert (again.code, again.applied()) == (0, 0), again.said


# What is amiss, on which node by which damage, and what undoes it; then the place that is to blame, and its reason.
AMISS = {
    "a listener is dead": ("p4", END.format(PRIMES), "", "pipes[p4]", f"{PRIMES} is listened to: "),
    "Docker does not start": (
        "p4", "systemctl -q stop docker.socket docker.service", "systemctl start docker", "engine[p4]",
        "Docker runs: want yes, saw no",
    ),
    "no task comes": (
        "cnat", f"{AVAILABILITY} drain p4", f"{AVAILABILITY} active p4", "swarm[p4]",
        "availability: want active, saw drain",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("node", "damage", "undo", "blamed", "reason"), AMISS.values(), ids=AMISS)
def test_what_does_not_come_back_is_named(
    pipes: Lab, monkeypatch: pytest.MonkeyPatch, node: str, damage: str, undo: str, blamed: str, reason: str
) -> None:
    monkeypatch.setenv("HATCHECK_LAB", pipes.layout.name)
    cluster = find_cluster("lab")
    on(pipes, node, damage)
    try:
        with closing(open_connections(cluster)) as connections:
            named = {str(one.place): one for one in await_whole(cluster, connections, patience=0)}
    finally:
        on(pipes, node, undo or ":")
        go(pipes, "repair", ("pipes", "boot"))
    assert named[blamed].reason.startswith(reason)
    others = [one for place, one in named.items() if place != blamed]
    # Of the whole, the controller may say that one is missing; no other node is accused.
    assert {one.place.node for one in others} <= {"cnat", "p4"}
    assert {str(one.cause) for one in others if one.place.node == "p4"} == {blamed}
    assert "boot[p4]" in named
    with closing(open_connections(cluster)) as connections:
        assert await_whole(cluster, connections, patience=120) == ()
