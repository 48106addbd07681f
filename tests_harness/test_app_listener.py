"""The hardened listener: known jobs run once each, everything else runs nothing, and it comes back after a kill."""

from __future__ import annotations

import ast
import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests_harness.pipekit import (
    DEADLINE,
    LISTENER,
    PI,
    PRIMES,
    STATISTICS,
    Volume,
    kill,
    make_volume,
    running,
    send,
    start,
    start_documented,
    until,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

MCA = "--mca btl_tcp_if_include 172.19.181.0/24"


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return make_volume(tmp_path)


@pytest.fixture
def listener(volume: Volume) -> Iterator[subprocess.Popen[str]]:
    with running(start(volume)) as process:
        yield process


def ask(volume: Volume, line: str, name: str = PRIMES) -> None:
    send(volume.pipe(name), f"{line}\n".encode())


def answered(volume: Volume, number: int = 4242, name: str = PRIMES) -> str:
    """What comes back of a nonce: everything that was sent before it is done then."""
    ask(volume, volume.nonce(number), name)
    return until(lambda: volume.read(f"hatcheck-{number}.txt"), "the nonce")


@pytest.mark.usefixtures("listener")
def test_a_nonce_comes_back_exactly_once(volume: Volume) -> None:
    assert answered(volume, 1) == "1\n"
    assert answered(volume, 2) == "2\n"
    assert volume.read("hatcheck-1.txt") == "1\n"


@pytest.mark.usefixtures("listener")
def test_a_nonce_that_is_sent_twice_shows_twice(volume: Volume) -> None:
    send(volume.pipe(), f"{volume.nonce(1)}\n{volume.nonce(1)}\n".encode())
    assert answered(volume, 2) == "2\n"
    assert volume.read("hatcheck-1.txt") == "1\n1\n"


@pytest.mark.usefixtures("listener")
def test_the_documented_request_is_carried_out_the_robust_way(volume: Volume) -> None:
    ask(volume, volume.prime(1, 100, "result_calcul_nb_premiers"))
    assert until(lambda: volume.read("result_calcul_nb_premiers.json"), "the result") == "1 100"
    assert volume.asked.read_text() == (
        "-o BatchMode=yes cnat mpiexec --timeout 300 --map-by seq -n 3 --host pi3,pi2,pi4 "
        f"{MCA} {MCA.replace('btl', 'oob')} "
        f"python3 {volume.folder}/repoPythonScripts/prime.py 1 100 "
        f"{volume.top}/spool/result_calcul_nb_premiers.json\n"
    )


@pytest.mark.parametrize(("asked", "given"), [("7", 7), ("9999", 300)])
@pytest.mark.usefixtures("listener")
def test_a_request_may_shorten_the_bound_of_its_job_and_never_lengthen_it(
    volume: Volume, asked: str, given: int
) -> None:
    ask(volume, volume.prime(1, 100, "x").replace(" -n ", f" --timeout {asked} -n "))
    until(lambda: volume.read("x.json"), "the result")
    assert f"cnat mpiexec --timeout {given} --map-by seq -n 3 " in volume.asked.read_text()


@pytest.mark.parametrize(
    ("name", "line", "result"),
    [
        pytest.param(PI, "ssh cnat mpiexec -n 1 --host pi2 python3 {0}/repoPythonScripts/pi_monte_carlo.py 1000"
                     " {0}/repoOutputResults/a-b_1.json", "a-b_1.json", id="pi"),
        pytest.param(PI, f"ssh cnat mpiexec -n 2 --host pi2,pi1 {MCA} {MCA.replace('btl', 'oob')} python3"
                     " {0}/repoPythonScripts/pi_monte_carlo.py 1000 {0}/repoOutputResults/x.json", "x.json",
                     id="parameters before the program"),
        pytest.param(STATISTICS, f"ssh cnat mpiexec -n 4 --host pi2,pi1,pi3,pi4 {MCA} python3"
                     " {0}/repoPythonScripts/node_stats.py {0}/repoOutputResults/s.csv", "s.csv", id="statistics"),
        pytest.param(STATISTICS, f"ssh cnat mpiexec --timeout 60 --map-by seq -n 3 --host pi2,pi1,cnat {MCA} python3"
                     " {0}/repoPythonScripts/node_stats.py {0}/repoOutputResults/s.csv", "s.csv",
                     id="statistics of the launcher, too"),
        pytest.param(PRIMES, "ssh cnat mpiexec -n 1 --host pi2 python {0}/repoPythonScripts/prime.py 0 0"
                     " {0}/repoOutputResults/x.json --mca  btl_tcp_if_include 172.19.181.0/24 \r", "x.json",
                     id="spaces and CR"),
    ],
)  # fmt: skip
def test_each_module_has_its_job(volume: Volume, name: str, line: str, result: str) -> None:
    with running(start(volume, name)):
        ask(volume, line.format(volume.folder), name)
        assert until(lambda: volume.read(result), result)


# Each must run nothing and leave nothing; {0} is the folder, {1} the documented request.
HOSTILE = {
    "another order of processes": "ssh cnat mpiexec --map-by node -n 1 --host pi1 python3 "
    "{0}/repoPythonScripts/prime.py 1 9 {0}/repoOutputResults/x.json",
    "a job on the launcher": "ssh cnat mpiexec -n 1 --host cnat python3 {0}/repoPythonScripts/prime.py 1 9 "
    "{0}/repoOutputResults/x.json",
    "a bound that is none": "ssh cnat mpiexec --timeout 0 -n 1 --host pi1 python3 {0}/repoPythonScripts/prime.py 1 9 "
    "{0}/repoOutputResults/x.json",
    "a second command": "{1}; touch {0}/hacked",
    "a command first": "touch {0}/hacked; {1}",
    "substitution": "{1} $(touch {0}/hacked)",
    "backticks": "{1} `touch {0}/hacked`",
    "in the background": "{1} & touch {0}/hacked",
    "a pipe": "{1} | tee {0}/hacked",
    "redirection": "{1} > {0}/hacked",
    "a plain command": "touch {0}/hacked",
    "an option for ssh": "ssh -oProxyCommand=touch${{IFS}}{0}/hacked cnat mpiexec",
    "the end of the listener": "exit 0",
    "the listener becomes another": "exec sleep 60",
    "its environment": "PATH=",
    "another way for its nonce": "echo 5 >> {0}/repoOutputResults/../hacked",
    "a nonce that is not one": "echo 5 >> {0}/repoOutputResults/hatcheck-6.txt",
    "a nonce with words": "echo $(id) >> {0}/repoOutputResults/hatcheck-$(id).txt",
    "not ASCII digits": "echo ٣ >> {0}/repoOutputResults/hatcheck-٣.txt",
    "nothing but bytes": "\x00\x01\x7f",
    "half a request": "ssh cnat mpiexec -n 3",
    "a tab": "{1}\ttouch {0}/hacked",
}
VALUES = {
    "a command for a number": ("1;id", "100", "x"),
    "a substitution for a number": ("$(id)", "100", "x"),
    "a negative number": ("-5", "100", "x"),
    "a fraction": ("1.5", "100", "x"),
    "another base": ("0x1", "100", "x"),
    "leading zeros": ("01", "100", "x"),
    "no number": ("", "100", "x"),
    "a huge number": ("1", "9" * 40, "x"),
    "more than anybody computes": ("1", "100000001", "x"),
    "upside down": ("100", "1", "x"),
    "another folder": ("1", "100", "../x"),
    "an absolute path": ("1", "100", "/etc/x"),
    "an option": ("1", "100", "x.json --wdir /"),
    "a name of a kilobyte": ("1", "100", "x" * 1000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_job_runs_nothing(volume: Volume, listener: subprocess.Popen[str], name: str) -> None:
    answered(volume, 1)
    before = volume.seen()
    ask(volume, HOSTILE[name].format(volume.folder, volume.prime(1, 100, "x")))
    assert answered(volume, 2) == "2\n", "it listens still"
    assert volume.seen() - before == {"webVolume/repoOutputResults/hatcheck-2.txt"}
    assert "refused" in kill(listener)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_no_small_integer_or_plain_name_runs_nothing(volume: Volume, name: str) -> None:
    first, last, result = VALUES[name]
    with running(start(volume)) as listener:
        answered(volume, 1)
        before = volume.seen()
        ask(volume, volume.prime(first, last, result))
        assert answered(volume, 2) == "2\n"
        assert volume.seen() - before == {"webVolume/repoOutputResults/hatcheck-2.txt"}
        assert "refused" in kill(listener)


@pytest.mark.usefixtures("listener")
@pytest.mark.parametrize(
    "hosts", ["pi1,pi2,evil", "pi1,pi1,pi2", "pi1,pi2", "-oProxyCommand=x,pi1,pi2", "pi1,,pi2", ","]
)
def test_only_the_cluster_computes_and_one_process_each(volume: Volume, hosts: str) -> None:
    ask(volume, volume.prime(1, 100, "x").replace("pi3,pi2,pi4", hosts))
    answered(volume)
    assert not volume.asked.exists()


def test_a_module_does_not_do_the_job_of_another(volume: Volume) -> None:
    with running(start(volume, PI)):
        ask(volume, volume.prime(1, 100, "x"), PI)
        answered(volume, name=PI)
    assert not volume.asked.exists()


@pytest.mark.usefixtures("listener")
def test_an_injected_second_line_is_judged_for_itself(volume: Volume) -> None:
    ask(volume, f"{volume.prime(1, 100, 'x')}\ntouch {volume.folder}/hacked")
    assert answered(volume) == "4242\n"
    assert volume.read("x.json") == "1 100"
    assert not (volume.folder / "hacked").exists()


@pytest.mark.usefixtures("listener")
def test_two_writers_at_once_lose_nothing(volume: Volume) -> None:
    until(lambda: volume.pipe().exists() or None, "the pipe")
    gate = threading.Barrier(2)

    def write(numbers: range) -> None:
        gate.wait(DEADLINE)
        for number in numbers:
            # As long as the kernel lets a line be whole (PIPE_BUF): spaces before it count for nothing.
            send(volume.pipe(), volume.nonce(number).rjust(4095).encode() + b"\n")

    threads = [threading.Thread(target=write, args=(range(start, 100, 2),)) for start in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    for number in range(100):
        until(lambda number=number: volume.read(f"hatcheck-{number}.txt"), f"nonce {number}")  # type: ignore[misc]
        assert volume.read(f"hatcheck-{number}.txt") == f"{number}\n"


def test_a_line_that_is_too_long_fills_no_memory_and_costs_nobody_else_his(
    volume: Volume, listener: subprocess.Popen[str]
) -> None:
    send(volume.pipe(), b"x" * 40000 + b"\n")
    assert answered(volume) == "4242\n"
    assert kill(listener).count("refused") > 1, "it is let go of before its end comes"


@pytest.mark.usefixtures("listener")
def test_a_line_without_an_end_is_one(volume: Volume) -> None:
    send(volume.pipe(), volume.nonce(7).encode())
    assert until(lambda: volume.read("hatcheck-7.txt"), "the nonce") == "7\n"


@pytest.mark.usefixtures("listener")
def test_a_job_that_fails_says_so_and_leaves_no_result(volume: Volume) -> None:
    ask(volume, volume.prime(1, 13, "x"))
    assert until(lambda: volume.read("x.error"), "the failure") == "it ended with exit code 1\n"
    assert volume.read("x.json") is None


def test_a_job_that_hangs_is_ended(volume: Volume) -> None:
    # The launcher has five seconds more to end the job itself: so this is half a second.
    with running(start(volume, PRIMES, "--limit=-4.5")):
        ask(volume, volume.prime(1, 14, "x"))
        assert "did not end" in until(lambda: volume.read("x.error"), "the end")
        assert answered(volume) == "4242\n"


@pytest.mark.usefixtures("listener")
def test_a_result_that_is_there_is_whole_and_follows_no_link(volume: Volume) -> None:
    target = volume.top / "precious"
    target.write_text("mine")
    (volume.results / "x.json").symlink_to(target)
    ask(volume, volume.prime(2, 3, "x"))
    until(lambda: None if (volume.results / "x.json").is_symlink() else True, "the result")
    assert volume.read("x.json") == "2 3"
    assert target.read_text() == "mine"


def test_a_killed_listener_starts_again_and_nobody_else_may_ask(volume: Volume) -> None:
    with running(start(volume)) as first:
        answered(volume, 1)
        kill(first)
    with running(start(volume)):
        assert answered(volume, 2) == "2\n"
        mode = volume.pipe().stat().st_mode
        assert (stat.S_ISFIFO(mode), stat.S_IMODE(mode)) == (True, 0o620)


def test_a_world_writable_pipe_is_closed_to_the_world(volume: Volume) -> None:
    os.mkfifo(volume.pipe())
    volume.pipe().chmod(0o666)
    with running(start(volume)):
        answered(volume)
        assert stat.S_IMODE(volume.pipe().stat().st_mode) == 0o620


def test_a_second_listener_ends_and_the_first_loses_nothing(volume: Volume, listener: subprocess.Popen[str]) -> None:
    answered(volume, 1)
    second = start(volume)
    assert second.wait(DEADLINE) == 1
    assert "another listener" in kill(second)
    assert answered(volume, 2) == "2\n"
    assert listener.poll() is None


def make_file(pipe: Path) -> None:
    pipe.write_text("")


def make_link(pipe: Path) -> None:
    pipe.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [make_file, make_link])
def test_what_is_no_pipe_is_left_alone(volume: Volume, make: Callable[[Path], None]) -> None:
    make(volume.pipe())
    before = volume.pipe().lstat()
    process = start(volume)
    assert process.wait(DEADLINE) == 1
    assert "cannot listen on" in kill(process)
    assert volume.pipe().lstat() == before


def test_a_pipe_that_was_replaced_ends_the_listener_so_that_it_is_started_again(
    volume: Volume, listener: subprocess.Popen[str]
) -> None:
    answered(volume)
    volume.pipe().unlink()
    assert listener.wait(DEADLINE) == 1
    assert "it was replaced" in kill(listener)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.binary(max_size=300).filter(lambda line: b"echo" not in line and b"ssh cnat" not in line))
def test_whatever_comes_it_listens_and_leaves_nothing(shared: Volume, line: bytes) -> None:
    send(shared.pipe(), line + b"\n")
    assert {path.name for path in shared.results.iterdir()} <= {"hatcheck-4242.txt"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Volume]:
    volume = make_volume(tmp_path_factory.mktemp("shared"))
    with running(start(volume)):
        yield volume
        assert answered(volume) == "4242\n"


def test_it_runs_on_the_oldest_supported_python() -> None:
    ast.parse(LISTENER.read_text(), feature_version=(3, 9))


def test_the_documented_listener_does_the_documented_job_and_whatever_else_it_is_told(volume: Volume) -> None:
    with running(start_documented(volume)):
        ask(volume, volume.prime(1, 100, "x"))
        until(lambda: volume.asked.read_text() if volume.asked.exists() else None, "the job")
        assert answered(volume) == "4242\n"
        ask(volume, f"touch {volume.folder}/hacked")
        until(lambda: (volume.folder / "hacked").exists() or None, "what the hardened one refuses")
