"""An sshd in this process on 127.0.0.1: passwords, keys, commands by a local `sh`, and jumps to other ports."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import paramiko
from paramiko import common

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORD = "raspberry-7f3a"  # noqa: S105 - opens nothing but this fake
CHUNK = 32 * 1024
GONE = (OSError, EOFError, paramiko.SSHException)  # the client has left: an sshd shrugs


@dataclass
class FakeSshd(paramiko.ServerInterface):
    """Use as a context manager. `attempts` are the logins that were tried, as "password" or "publickey".

    `keys` open it besides the password. `sudo` says whether `sudo -n` works, which is then left out.
    """

    password: str = PASSWORD
    keys: tuple[paramiko.PKey, ...] = ()
    sudo: bool = True
    host_key: paramiko.PKey = field(default_factory=paramiko.ECDSAKey.generate)
    attempts: list[str] = field(default_factory=list)
    connections: int = 0
    commands: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._transports: list[paramiko.Transport] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._workers: list[threading.Thread] = []
        self._targets: dict[int, tuple[str, int]] = {}
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        # A closed listener does not wake its accept(); a shut down one does.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Cut every connection, and wait until what ran on them has ended."""
        for transport in self._transports:
            transport.close()
        for process in self._processes:
            if process.poll() is None:
                _kill(process)
        for worker in self._workers[1:]:
            worker.join()

    def _start(self, task: Callable[[], None]) -> None:
        worker = threading.Thread(target=task, daemon=True)
        self._workers.append(worker)
        worker.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                transport = paramiko.Transport(sock)
                self._transports.append(transport)
                transport.add_server_key(self.host_key)
                transport.start_server(event=threading.Event(), server=self)

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002
        return "publickey,password"

    def check_auth_password(self, username: str, password: str) -> int:  # noqa: ARG002
        self.attempts.append("password")
        return common.AUTH_SUCCESSFUL if password == self.password else common.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002
        self.attempts.append("publickey")
        return common.AUTH_SUCCESSFUL if key in self.keys else common.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002
        return common.OPEN_SUCCEEDED if kind == "session" else common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]  # noqa: ARG002
    ) -> int:  # fmt: skip
        try:
            sock = socket.create_connection(destination, timeout=5)
        except OSError:
            return common.OPEN_FAILED_CONNECT_FAILED
        sock.settimeout(None)
        self._start(lambda: self._jump(chanid, sock))
        return common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        text = command.decode()
        self.commands.append(text)
        refusal = "echo 'sudo: a password is required' >&2; read line; exit 1"
        script = text.replace("sudo -n ", "") if self.sudo or "sudo" not in text else refusal
        process = subprocess.Popen(
            ("sh", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, bufsize=0,
        )  # fmt: skip
        self._processes.append(process)
        self._start(lambda: self._serve(channel, process))
        return True

    def _serve(self, channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        out, err = process.stdout, process.stderr
        pumps = [
            threading.Thread(target=_pump, args=(lambda: out.read(CHUNK), channel.sendall)),
            threading.Thread(target=_pump, args=(lambda: err.read(CHUNK), channel.sendall_stderr)),
        ]
        for pump in pumps:
            pump.start()
        feeder = threading.Thread(target=_feed, args=(channel, process), daemon=True)
        feeder.start()
        code = process.wait()
        for pump in pumps:
            pump.join()
        with contextlib.suppress(*GONE):
            channel.send_exit_status(code % 256)
            channel.close()
        feeder.join()
        out.close()
        err.close()

    def _jump(self, chanid: int, sock: socket.socket) -> None:
        transport = next(one for one in self._transports if one.is_active())
        channel = transport.accept(5)
        assert channel is not None
        assert channel.get_id() == chanid
        back = threading.Thread(target=_pump, args=(lambda: sock.recv(CHUNK), channel.sendall))
        back.start()
        _pump(lambda: channel.recv(CHUNK), sock.sendall)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        back.join()
        with contextlib.suppress(*GONE):
            channel.close()
        sock.close()


def _pump(read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
    with contextlib.suppress(*GONE):
        while octets := read():
            write(octets)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    """The client's words; and when it has gone, the end of the command, as sshd does it."""
    assert process.stdin
    stdin = process.stdin
    _pump(lambda: channel.recv(CHUNK), stdin.write)
    with contextlib.suppress(OSError):
        stdin.close()
    if channel.closed:
        _kill(process)


@dataclass
class Talker:
    """A port that accepts and says these bytes, and then nothing. Use as a context manager."""

    words: bytes = b""
    connections: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._worker = threading.Thread(target=self._accept, daemon=True)
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._worker.join()
        for sock in self._open:
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                sock.sendall(self.words)


def closed_port() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
