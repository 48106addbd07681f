"""The shell text that changes a file, run by the local `sh`: whole or not at all, and nothing left beside."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.apply import KEPT, WRITE

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = b"127.0.0.1 localhost\n", b"127.0.0.1 localhost\n172.19.181.3 pi3\n"


class Machine:
    """A file in a folder of its own, and programs in `bin` that go before the system's."""

    def __init__(self, home: Path) -> None:
        self.file, self.kept, self.bin = home / "etc" / "hosts", home / "kept", home / "bin"
        for folder in (self.file.parent, self.bin):
            folder.mkdir()
        self.file.write_bytes(OLD)

    def write(self) -> subprocess.CompletedProcess[str]:
        words = (str(self.file), hashlib.sha256(OLD).hexdigest(), "", "", "")
        text = subprocess.run(["base64", "-w0"], input=NEW, capture_output=True, check=True).stdout.decode()
        call = " ".join(map(shlex.quote, (*words[:4], text)))
        body = WRITE.replace(KEPT, str(self.kept))
        script = f"write() {{ {body}\n}}; write {call}"
        path = {"PATH": f"{self.bin}:{os.environ['PATH']}"}
        script = f"( eval {shlex.quote(script)} )"
        return subprocess.run(["sh", "-c", script], env=path, capture_output=True, text=True, check=False)

    def replace(self, program: str, text: str) -> None:
        (self.bin / program).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / program).chmod(0o755)

    def beside(self) -> list[str]:
        return sorted(path.name for path in self.file.parent.iterdir())

    def backups(self) -> list[bytes]:
        return [path.read_bytes() for path in self.kept.glob("*") if path.suffix != ".part"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_file_is_changed_and_the_old_bytes_are_kept(machine: Machine) -> None:
    assert machine.write().returncode == 0
    assert (machine.file.read_bytes(), machine.backups(), machine.beside()) == (NEW, [OLD], ["hosts"])


@pytest.mark.parametrize("program", ["mv", "cp", "sync", "base64", "chown"])
def test_a_failure_on_the_way_leaves_the_old_file_and_nothing_beside_it(machine: Machine, program: str) -> None:
    machine.replace(program, "echo no room >&2; exit 1")
    done = machine.write()
    assert (done.returncode, machine.file.read_bytes(), machine.beside()) == (1, OLD, ["hosts"]), done.stderr


@pytest.mark.parametrize("end", ["exit 1", "kill -KILL $PPID"], ids=["disk full", "killed"])
def test_half_a_copy_never_passes_for_the_old_bytes(machine: Machine, end: str) -> None:
    machine.replace("cp", f'for last; do :; done; printf half > "$last"; {end}')
    assert machine.write().returncode
    (machine.bin / "cp").unlink()
    assert machine.write().returncode == 0
    assert (machine.file.read_bytes(), machine.backups()) == (NEW, [OLD])


def test_a_masked_file_is_for_a_person(machine: Machine) -> None:
    machine.file.unlink()
    machine.file.symlink_to("/dev/null")
    done = machine.write()
    assert (done.returncode, machine.file.is_symlink(), machine.beside()) == (3, True, ["hosts"])
    assert "not a regular file" in done.stderr
