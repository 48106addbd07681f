"""One `sh` that stays open on a node and answers command after command.

Each command runs in a subshell of its own, and its two outputs are framed by a nonce, so a question costs one
round trip and one fork instead of a channel, a login shell and a profile (what stock testinfra pays).
"""

from __future__ import annotations

import re
import secrets
import shlex
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ObservationError, TimeLimit, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from paramiko import Channel

# Enough for any state that a step keeps; a node that sends more is not answering the question.
LARGEST_ANSWER = 8 * 1024 * 1024
CHUNK = 64 * 1024
# sbin is where arp, iptables and clusterctrl live, and not on a plain user's PATH; a fixed locale keeps
# messages parseable.
START = "exec env LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh"
# The first sudo of a user leaves a mark in his home; a look must leave nothing, so it is taken back.
START_AS_ROOT = (
    'mark=$HOME/.sudo_as_admin_successful; [ ! -e "$mark" ] || mark=; '
    f'exec sudo -n sh -c \'[ -z "$1" ] || rm -f -- "$1"; {START}\' sh "$mark"'
)


@dataclass(frozen=True)
class Answer:
    """What one command gave: exit code and the bytes of its two outputs."""

    code: int
    out: bytes
    err: bytes


class Shell:
    """A running remote `sh`. One command at a time; after a TimeLimit or Unreachable it is of no more use."""

    def __init__(self, name: str, channel: Channel, *, limit: float) -> None:
        """Greet the shell: skip what a login printed, and learn its session for `session`."""
        self._name = name
        self._channel = channel
        self._nonce = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._rest = {"out": b"", "err": b""}
        greeting = self.run('read -r stat </proc/$$/stat && printf "\\n@%s@" "$stat"', limit=limit)
        match = re.search(rb"@\d+ \(.*\) \S \d+ \d+ (\d+) ", greeting.out)
        if not match:
            message = greeting.err.decode(errors="replace").strip().partition("\n")[0]
            raise ObservationError(f"{name}: the remote shell does not start as expected: {message[:200]}")
        self.session = int(match[1])

    def run(self, script: str, *, limit: float) -> Answer:
        """Run shell text whose arguments are quoted already; `limit` in seconds.

        TimeLimit when it does not end in time, Unreachable when the connection ends first.
        """
        mark = self._nonce
        frame = f"( eval {shlex.quote(script)} ) </dev/null; printf '\\n{mark} %d\\n' $?; printf '\\n{mark} 0\\n' >&2\n"
        deadline = time.monotonic() + limit
        with self._lock:
            try:
                self._channel.settimeout(limit)
                self._channel.sendall(frame.encode())
                out, code = self._read("out", self._channel.recv, deadline)
                err, _ = self._read("err", self._channel.recv_stderr, deadline)
            except TimeoutError:
                asked = script.strip().partition("\n")[0][:80]
                raise TimeLimit(f"{self._name}: no answer within {limit:g} s to `{asked}`") from None
            except (OSError, EOFError) as error:
                words = str(error) if isinstance(error, EOFError) else self._last_words() or str(error)
                raise Unreachable(f"{self._name}: the connection ended while asking: {words or 'closed'}") from error
        return Answer(code, out, err)

    def close(self) -> None:
        """End the remote shell by ending its input."""
        self._channel.close()

    def _read(self, stream: str, receive: Callable[[int], bytes], deadline: float) -> tuple[bytes, int]:
        """Read one framed answer; the bytes before the mark, and the number behind it."""
        mark = re.compile(rb"\n" + self._nonce.encode() + rb" (\d+)\n")
        data = bytearray(self._rest[stream])
        searched = 0
        while not (match := mark.search(data, searched)):
            # The mark may straddle two chunks.
            searched = max(0, len(data) - len(self._nonce) - 16)
            if len(data) > LARGEST_ANSWER:
                raise EOFError(f"more than {LARGEST_ANSWER // 1024 // 1024} MiB came back")
            data += self._receive(receive, deadline)
        self._rest[stream] = bytes(data[match.end() :])
        return bytes(data[: match.start()]), int(match[1])

    def _receive(self, receive: Callable[[int], bytes], deadline: float) -> bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._channel.settimeout(left)
        chunk = receive(CHUNK)
        if not chunk:
            raise EOFError(self._last_words())
        return chunk

    def _last_words(self) -> str:
        """What the remote side said on its error output before it closed (for example sudo's refusal)."""
        if not self._channel.recv_stderr_ready():
            return ""
        return self._channel.recv_stderr(CHUNK).decode(errors="replace").strip().partition("\n")[0][:200]
