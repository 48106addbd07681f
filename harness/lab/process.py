"""The board as a process of this machine: started detached, found by id, start time and command line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import harness
from harness.errors import LabError
from harness.lab.layout import Layout
from harness.lab.rootfs import write_atomically

_MODULE = "harness.lab.board"
_END_SECONDS = 5.0


def start_board(layout: Layout, base: Path, stores: Sequence[Path]) -> None:
    """Start the board of `layout`, detached: no terminal, no inherited files, its own session.

    It stands on the base in directory `base`; its Docker Hub offers `stores`, lowest first.
    """
    home = Path(harness.__file__).parent.parent
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(home)}
    with layout.board_log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, layout.name, str(base), *map(str, stores)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    # Until it has replaced the copy of ourselves, its command line is empty, and it would pass for a stranger.
    while process.poll() is None and not Path(f"/proc/{process.pid}/cmdline").read_bytes():
        time.sleep(0.01)
    identity = {"pid": process.pid, "start": _start_time(process.pid)}
    write_atomically(layout.board_pid, json.dumps(identity), 0o600)
    process.returncode = 0  # it is nobody's child from here on; without this, Popen warns when forgotten


def board_pid(layout: Layout) -> int | None:
    """Process id of the living board of `layout`, None when there is none."""
    try:
        identity = json.loads(layout.board_pid.read_text())
        pid, start = int(identity["pid"]), identity["start"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    if start is None or _start_time(pid) != start or not _is_board(pid, layout.name):
        return None
    return pid


def end_board(layout: Layout) -> None:
    """End the board of `layout`; nothing to do when there is none. LabError when it survives SIGKILL."""
    deadline = time.monotonic() + _END_SECONDS
    while (pid := board_pid(layout)) is not None:
        if time.monotonic() > deadline:
            raise LabError(f"The board, process {pid}, survives SIGKILL.")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _is_board(pid: int, name: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return words[1:4] == ["-m", _MODULE, name]


def _start_time(pid: int) -> str | None:
    """When `pid` started, in ticks since the machine's boot; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()[19]
