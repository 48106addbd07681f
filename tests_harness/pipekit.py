"""A listener of the application over real named pipes in a temporary folder, with deadlines on everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APP = Path(__file__).parents[1] / "fixtures" / "app"
LISTENER = APP / "listener" / "clusterhat_pipe.py"
PRIMES, PI, STATISTICS = "pipe_module_nb_premiers", "pipe_module_calcul_pi", "pipe_stats_cluster_hat"
T = TypeVar("T")
DEADLINE = 20.0
# Stands for the way over the network: `ssh cnat mpiexec …` becomes the program itself, here.
SSH = """#!/bin/sh
echo "$*" >> "$ASKED"
while [ "$1" != python3 ]; do shift; done
exec "$@"
"""
# Takes the documented arguments and says what it was given; with 13 it fails, with 14 it hangs.
PROGRAM = """import sys, time
*numbers, out = sys.argv[1:]
if "14" in numbers: time.sleep(600)
if "13" not in numbers: open(out, "w").write(" ".join(numbers) or "no numbers")
sys.exit("13" in numbers)
"""


@dataclass(frozen=True)
class Volume:
    """A folder like /home/pi/webVolume, below a temporary one that also has the spool and a stand-in for ssh."""

    top: Path

    @property
    def folder(self) -> Path:
        """The shared folder."""
        return self.top / "webVolume"

    @property
    def results(self) -> Path:
        """Where results appear."""
        return self.folder / "repoOutputResults"

    @property
    def asked(self) -> Path:
        """What the stand-in for ssh was given, a line per call."""
        return self.top / "asked"

    def pipe(self, name: str = PRIMES) -> Path:
        """The pipe of a module."""
        return self.folder / name

    def prime(self, first: object, last: object, name: str) -> str:
        """The documented request (runbook L629) for this folder."""
        return (
            f"ssh cnat mpiexec -n 3 --host pi3,pi2,pi4 python {self.folder}/repoPythonScripts/prime.py {first} {last} "
            f"{self.results}/{name}.json --mca btl_tcp_if_include 172.19.181.0/24"
        )

    def nonce(self, number: int) -> str:
        """The request of which only the number comes back."""
        return f"echo {number} >> {self.results}/hatcheck-{number}.txt"

    def read(self, name: str) -> str | None:
        """A result, None where there is none yet."""
        path = self.results / name
        return path.read_text() if path.exists() else None

    def seen(self) -> set[str]:
        """All that exists below the folder, the pipes too."""
        return {str(path.relative_to(self.top)) for path in self.top.rglob("*")}


def make_volume(top: Path) -> Volume:
    """The documented folders with stand-ins for ssh and the programs."""
    volume = Volume(top)
    for name in ("repoBashScripts", "repoPythonScripts", "repoOutputResults"):
        (volume.folder / name).mkdir(parents=True)
    for name in ("prime.py", "pi_monte_carlo.py", "node_stats.py"):
        (volume.folder / "repoPythonScripts" / name).write_text(PROGRAM)
    (top / "bin").mkdir()
    (top / "bin" / "ssh").write_text(SSH)
    (top / "bin" / "ssh").chmod(0o755)
    return volume


def send(pipe: Path, octets: bytes) -> None:
    """Write into a pipe as `echo` does, but never wait for ever: somebody must listen before the deadline."""
    handle = until(lambda: _open(pipe), f"a listener of {pipe.name}")
    try:
        while octets:
            octets = octets[until(lambda octets=octets: _write(handle, octets), "room in the pipe") :]  # type: ignore[misc]
    finally:
        os.close(handle)


def _write(handle: int, octets: bytes) -> int | None:
    try:
        return os.write(handle, octets)
    except BlockingIOError:
        return None


def _open(pipe: Path) -> int | None:
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def until(ask: Callable[[], T | None], what: str) -> T:
    """The first answer that is one; an assertion fails at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if (answer := ask()) is not None:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"waited {DEADLINE} s in vain for {what}")


def start(volume: Volume, name: str = PRIMES, *options: str) -> subprocess.Popen[str]:
    """The hardened listener of one pipe; its words come on stderr."""
    command = [sys.executable, str(LISTENER), str(volume.pipe(name)), f"--spool={volume.top}/spool", *options]
    return _start(volume, command)


def start_documented(volume: Volume, name: str = PRIMES) -> subprocess.Popen[str]:
    """The documented listener, with this folder instead of /home/pi/webVolume."""
    script = (APP / "repoBashScripts" / f"start_{name}.sh").read_text()
    os.mkfifo(volume.pipe(name))
    return _start(volume, ["bash", "-c", script.replace("/home/pi/webVolume", str(volume.folder))])


def _start(volume: Volume, command: list[str]) -> subprocess.Popen[str]:
    variables = {**os.environ, "PATH": f"{volume.top}/bin:{os.environ['PATH']}", "ASKED": str(volume.asked)}
    return subprocess.Popen(
        command, env=variables, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, and its end."""
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> str:
    """End a listener and what it started at once, as a power cut would; what it said."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate(timeout=DEADLINE)[1]
