"""HTTP connections whose sockets are channels of an ssh connection: for docker-py and for requests."""

from __future__ import annotations

from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from paramiko import Channel


class ChannelPool(HTTPConnectionPool):
    """At most `size` connections, each over a channel that `dial` opens; `limit` in seconds for each wait."""

    def __init__(self, host: str, dial: Callable[[], Channel], limit: float, size: int) -> None:
        super().__init__(host, maxsize=size, block=True, timeout=limit)
        self._dial = dial
        self._limit = limit

    def _new_conn(self) -> _Connection:
        return _Connection(self.host, self._dial, self._limit)

    def _get_conn(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - urllib3's protocol class
        return super()._get_conn(timeout or self._limit)


class _Connection(HTTPConnection):
    """An HTTP connection whose socket is a channel."""

    sock: Any

    def __init__(self, host: str, dial: Callable[[], Channel], limit: float) -> None:
        super().__init__(host, timeout=limit)
        self._dial = dial

    def connect(self) -> None:
        """Dial."""
        self.sock = _Socket(self._dial())

    @property
    def is_connected(self) -> bool:
        """Without a question to the operating system, which knows nothing of channels."""
        return self.sock is not None and self.sock.is_open


class _Socket:
    """A channel that ends, as a socket does, when neither its connection nor an answer that is being read needs it.

    The standard library closes the connection of an answer without a length before it reads that answer.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._users = 1
        self.settimeout = channel.settimeout
        self.sendall = channel.sendall

    @property
    def is_open(self) -> bool:
        """Whether another request can go this way."""
        return self._users > 0 and not self._channel.closed and not self._channel.eof_received

    def makefile(self, _mode: str, _buffering: int = -1) -> BufferedReader:
        """A reader of the channel."""
        self._users += 1
        return BufferedReader(_Reader(self._channel, self.close))

    def close(self) -> None:
        """One user less."""
        self._users -= 1
        if self._users == 0:
            self._channel.close()


class _Reader(RawIOBase):
    """The bytes of a channel; `release` is called once, when nobody reads on."""

    def __init__(self, channel: Channel, release: Callable[[], None]) -> None:
        super().__init__()
        self._channel = channel
        self._release = release

    def readable(self) -> bool:
        """It is for nothing else."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - the standard library's protocol
        """What has come, at most as much as fits."""
        octets = self._channel.recv(len(buffer))
        buffer[: len(octets)] = octets
        return len(octets)

    def close(self) -> None:
        """No more of it."""
        if not self.closed:
            super().close()
            self._release()
