"""How one talks to the board: a JSON object per line, over a unix socket, one question per connection."""

import json
import socket
import socketserver
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, LabError

Message = dict[str, Any]
Answer = Callable[[Message], Message]
_LONGEST = 4096


def ask(path: Path, question: Message, timeout: float = 60) -> Message:
    """Send `question` to the board that listens at `path` and return its answer.

    Raises LabError when nobody answers within `timeout` seconds, and with the board's own words when it
    refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(timeout)
            wire.connect(str(path))
            wire.sendall(json.dumps(question).encode() + b"\n")
            answer: Message = json.loads(wire.makefile().readline())
    except (OSError, ValueError) as why:
        raise LabError(f"The lab's board does not answer `{question['do']}`: {why}.") from why
    if "error" in answer:
        raise LabError(str(answer["error"]))
    return answer


class Listener(socketserver.ThreadingUnixStreamServer):
    """A socket at `path` that answers each question with what `answer` returns for it."""

    daemon_threads = True

    def __init__(self, path: Path, answer: Answer) -> None:
        self.answer = answer
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Exchange)


class _Exchange(socketserver.StreamRequestHandler):
    """One question, one answer; nonsense is answered, not obeyed."""

    timeout = 10

    def handle(self) -> None:
        if not isinstance(self.server, Listener):
            raise TypeError("an exchange needs a Listener")
        try:
            question = json.loads(self.rfile.readline(_LONGEST))
            answer = self.server.answer(question)
        except HarnessError as why:
            answer = {"error": str(why)}
        except (OSError, ValueError, TypeError, KeyError) as why:
            answer = {"error": f"not understood: {why!r}"}
        try:
            self.wfile.write(json.dumps(answer).encode() + b"\n")
        except OSError:
            return  # who asked has left; what was asked for is done all the same
