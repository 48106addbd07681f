"""Step `fail2ban` knocks at sshd: only a line of that very connection counts, wherever the jail reads it."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ObservationError
from harness.node import NodeAccess
from harness.steps.fail2ban_knock import TRIES, Heard, knock
from harness.steps.fail2ban_look import FAILURE, LOST, PREFIX, why_not
from tests_harness.fakes_cluster import CLUSTER, HUB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 4.0  # seconds for a line that never comes; what it takes to ask for it is not among them
OLD = b"Nov 22 16:00:00 cnat sshd[1]: Connection closed by 127.0.0.1 port 22 [preauth]\n"
JOURNALCTL = """#!/bin/sh
cd "${0%/*}"; echo "$*" >> asked
case $* in
  *--show-cursor*) echo '-- cursor: s=1' ;;
  *json*) cat entries ;;
  *) cat journal ;;
esac
"""


class Machine:
    """This machine as a controller that somebody came into at an address and port, or in another way than by ssh."""

    def __init__(self, folder: Path, came_in: str) -> None:
        self.folder = folder
        self.came_in = came_in

    def run(self, command: str, *arguments: str) -> Any:  # noqa: ANN401 - a testinfra result
        text = command % tuple(map(shlex.quote, arguments)) if arguments else command
        path = {"PATH": f"{self.folder}:{os.environ['PATH']}", "SSH_CONNECTION": self.came_in}
        done = subprocess.run(("sh", "-c", text), capture_output=True, text=True, env=path, check=False)
        return type("Result", (), {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr})


@contextmanager
def sshd(write: Callable[[str], object], greeting: bytes = b"SSH-2.0-Fake\r\n") -> Iterator[str]:
    """A server that greets, waits until a guest is gone, and has a line about him; gives where somebody came in."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                wire, (_, port) = listener.accept()
            except OSError:
                return
            with wire:
                wire.sendall(greeting)
                while wire.recv(999):
                    pass
            write(f"2026-11-29T18:32:21.9+00:00 cnat sshd-session[233]: Connection closed by 127.0.0.1 port {port}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield f"127.0.0.1 40000 127.0.0.1 {listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def hear(folder: Path, came_in: str, *logs: Path, is_counted: bool = False) -> Heard:
    machine: Any = Machine(folder, came_in)
    node = NodeAccess(HUB, CLUSTER, machine, machine)
    return knock(node, [str(log) for log in logs], ("_COMM=sshd",), is_counted=is_counted, patience=PATIENCE)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a line of long ago."""
    found = tmp_path / "auth.log"
    found.write_bytes(OLD)
    return found


def append(log: Path) -> Callable[[str], object]:
    def write(line: str) -> None:
        with log.open("a") as file:
            file.write(f"{line} [preauth]\nanother line\n")

    return write


def test_a_line_that_comes_into_the_log_is_heard_with_what_stands_before_it(tmp_path: Path, log: Path) -> None:
    with sshd(append(log)) as came_in:
        heard = hear(tmp_path, came_in, tmp_path / "absent.log", log)
    assert heard.trouble == ""
    assert heard.line.startswith("2026-11-29T18:32:21.9+00:00 cnat sshd-session[233]: Connection closed by 127.0.0.1")
    assert heard.line.endswith(" [preauth]")


OWN = "Nov 22 16:00:01 cnat sshd[7]: Accepted publickey for pi from 127.0.0.1 port 40000 ssh2: ED25519 SHA256:x"


@pytest.mark.parametrize("where", ["log", "journal"])
def test_where_a_knock_counts_as_a_failure_our_own_login_says_enough(tmp_path: Path, log: Path, where: str) -> None:
    visits: list[str] = []
    logs = (log,) if where == "log" else ()
    if where == "log":
        log.write_bytes(OLD + f"{OWN}\n".encode())
    else:
        (tmp_path / "journalctl").write_text(JOURNALCTL)
        (tmp_path / "journalctl").chmod(0o755)
        (tmp_path / "journal").write_text(f"{OWN}\n")
    with sshd(visits.append) as came_in:
        heard = hear(tmp_path, came_in, *logs, is_counted=True)
    assert (heard, visits) == (Heard("", OWN), [])
    assert heard.prefix == "Nov 22 16:00:01 cnat sshd[7]: "


def test_where_our_own_login_is_not_heard_either_a_knock_does_no_harm(tmp_path: Path, log: Path) -> None:
    log.write_bytes(f"{OWN}\n".replace("40000", "40001").encode())
    with sshd(append(log)) as came_in:
        heard = hear(tmp_path, came_in, log, is_counted=True)
    assert heard.prefix == "2026-11-29T18:32:21.9+00:00 cnat sshd-session[233]: "


def test_a_log_that_is_rotated_meanwhile_is_heard_in_its_old_and_in_its_new_file(tmp_path: Path, log: Path) -> None:
    def into_the_new(line: str) -> None:
        log.rename(tmp_path / "auth.log.1")
        append(log)(line)

    def into_the_old(line: str) -> None:
        log.rename(tmp_path / "auth.log.1")
        log.write_bytes(b"")
        append(tmp_path / "auth.log.1")(line)

    for write in (into_the_new, into_the_old):
        with sshd(write) as came_in:
            assert hear(tmp_path, came_in, log).line


def test_a_log_that_is_made_only_now_is_heard(tmp_path: Path) -> None:
    log = tmp_path / "new.log"
    with sshd(append(log)) as came_in:
        assert hear(tmp_path, came_in, log).line


def test_old_lines_and_lines_of_others_are_nothing_that_was_heard(tmp_path: Path, log: Path) -> None:
    others = "Nov 22 16:00:01 cnat sshd[2]: Connection closed by 127.0.0.1 port 1 [preauth]"
    for write in (lambda _: None, lambda _: append(log)(others)):
        with sshd(write) as came_in:
            assert hear(tmp_path, came_in, log) == Heard("", "")


def test_the_journal_is_asked_from_now_on_and_for_what_the_jail_takes(tmp_path: Path) -> None:
    program, journal = tmp_path / "journalctl", tmp_path / "journal"
    program.write_text(JOURNALCTL)
    program.chmod(0o755)
    (tmp_path / "entries").touch()
    journal.write_bytes(b"")
    with sshd(append(journal)) as came_in:
        assert hear(tmp_path, came_in).line
    asked = (tmp_path / "asked").read_text().splitlines()
    assert "-q --no-pager -o short --cursor=s=1 _COMM=sshd" in asked


class Journal:
    """A journal whose first `late` lines came of processes that were gone before anybody looked who they were."""

    def __init__(self, folder: Path, late: int, known: str = "sshd") -> None:
        self.folder, self.late, self.known, self.knocks = folder, late, known, 0
        (folder / "journalctl").write_text(JOURNALCTL)
        (folder / "journalctl").chmod(0o755)
        (folder / "journal").touch()
        (folder / "entries").touch()

    def write(self, line: str) -> None:
        """The next line."""
        self.knocks += 1
        name = {} if self.knocks <= self.late else {"_COMM": self.known}
        entry = json.dumps({"MESSAGE": line.partition("]: ")[2]} | name)
        for file, text in (("entries", entry), ("journal", line)):
            if file == "entries" or name == {"_COMM": "sshd"}:
                with (self.folder / file).open("a") as lines:
                    lines.write(f"{text}\n")


def test_a_line_of_a_process_that_was_gone_before_anybody_looked_tells_nothing_and_sshd_is_asked_again(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path, 2)
    with sshd(journal.write) as came_in:
        assert hear(tmp_path, came_in).line
    assert journal.knocks == 3


def test_where_nobody_ever_saw_whose_line_it_was_nothing_is_known(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 99)
    with sshd(journal.write) as came_in, pytest.raises(ObservationError, match="does not see who writes sshd's lines"):
        hear(tmp_path, came_in)
    assert journal.knocks == TRIES


def test_a_line_of_a_program_that_the_jail_does_not_take_is_not_heard(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0, known="sshd-session")
    with sshd(journal.write) as came_in:
        assert hear(tmp_path, came_in) == Heard("", "")
    assert journal.knocks == 1


def test_a_server_that_does_not_greet_is_no_missing_line(tmp_path: Path, log: Path) -> None:
    with sshd(append(log), b"220 mail\r\n") as came_in:
        assert hear(tmp_path, came_in, log).trouble.endswith(": no greeting")
    assert "refused" in hear(tmp_path, came_in, log).trouble


@pytest.mark.parametrize(
    ("settings", "want"),
    [("loglevel SILENT", "no: sshd has LogLevel SILENT"), ("loglevel INFO", LOST), ("", LOST)],
)
def test_an_sshd_that_says_nothing_is_told_from_a_line_that_was_lost(tmp_path: Path, settings: str, want: str) -> None:
    program = tmp_path / "sshd"
    program.write_text(f"#!/bin/sh\necho port 22; echo {settings}\n")
    program.chmod(0o755)
    machine: Any = Machine(tmp_path, "")
    assert why_not(NodeAccess(HUB, CLUSTER, machine, machine), Heard("", "")) == want


def test_the_tried_failure_begins_as_lines_here_begin() -> None:
    line = "2026-11-29T18:32:21.9+00:00 cnat sshd[233]: Connection closed by 127.0.0.1 port 47572 [preauth]"
    assert (line.partition("Connection ")[0] + FAILURE).startswith("2026-11-29T18:32:21.9+00:00 cnat sshd[233]: Failed")
    assert PREFIX.endswith("]: ")
