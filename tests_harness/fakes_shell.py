"""A real local `sh` behind what `Shell` needs of a paramiko channel."""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paramiko import Channel


class LocalChannel:
    """Pipes to a process, with the names of a channel; `close` ends the process."""

    def __init__(self, argv: Sequence[str] = ("sh",)) -> None:
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        self._limit: float | None = None

    def settimeout(self, limit: float | None) -> None:
        """Bound the next waits, in seconds."""
        self._limit = limit

    def sendall(self, octets: bytes) -> None:
        """Give the process all of it; TimeoutError if it does not take it in time."""
        deadline = time.monotonic() + (self._limit or 0)
        stream = self._fd("stdin")
        os.set_blocking(stream, False)
        while octets:
            self._await([], [stream], deadline)
            octets = octets[os.write(stream, octets) :]

    def recv(self, size: int) -> bytes:
        """The next bytes of its output."""
        return self._receive("stdout", size)

    def recv_stderr(self, size: int) -> bytes:
        """The next bytes of its error output."""
        return self._receive("stderr", size)

    def recv_stderr_ready(self) -> bool:
        """Whether there is something of its error output."""
        return bool(select.select([self._fd("stderr")], [], [], 0)[0])

    def close(self) -> None:
        """Kill it, and give back what it used."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def _fd(self, name: str) -> int:
        return int(getattr(self.process, name).fileno())

    def _receive(self, name: str, size: int) -> bytes:
        stream = self._fd(name)
        self._await([stream], [], time.monotonic() + (self._limit or 0))
        return os.read(stream, size)

    def _await(self, readers: list[int], writers: list[int], deadline: float) -> None:
        if not any(select.select(readers, writers, [], max(0.0, deadline - time.monotonic()))):
            raise TimeoutError


def as_channel(channel: LocalChannel) -> Channel:
    """The same object by the name of its role."""
    return cast("Channel", channel)
