"""How a step sees one node: ordinary testinfra hosts, and questions that never answer by default."""

from __future__ import annotations

import math
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.actions import Octets  # noqa: TC001 - read at run time, for tapes
from harness.errors import MissingTool, ObservationError
from harness.parse.clock import Reading, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testinfra.host import Host

    from harness.docker_client import Docker
    from harness.http_client import Browser
    from harness.inventory import Cluster

COMMAND_NOT_FOUND = 127
# One header line and then exactly that many bytes, for each file that a pattern meets.
FILES = 'for f in {}; do [ ! -f "$f" ] || {{ stat -L -c "%s %a %U:%G %n" -- "$f" && cat -- "$f" || exit 9; }}; done'

# A folder in a file's place is no missing file; one that a pattern meets by chance is nobody's concern.
FOLDERS = 'for f in {}; do [ ! -d "$f" ] || {{ echo "$f is a folder" >&2; exit 9; }}; done'

# Fixed once, so that a step of this machine's own clock during a run does not look like one of a node's.
EPOCH = time.time() - time.monotonic()
SLICE = 5  # seconds of waiting within one command, and so between two words to the person who looks on
CLOCK_TRIES = 3
GOOD_CLOCK = 200  # milliseconds of doubt
BAD_CLOCK = 1000


@dataclass(frozen=True)
class File:
    """A file as seen on a node: its bytes, permission bits, and owner as "user:group"."""

    content: Octets
    mode: int
    owner: str


def _nobody() -> Docker:
    raise ObservationError("there is no way to a Docker engine here")


def _each_time(_key: str, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is asked
    return ask()


def _unheard(_what: str) -> None:
    """Nobody looks on."""


def _nowhere(address: str, port: int) -> Browser:
    raise ObservationError(f"there is no way to {address} port {port} here")


@dataclass(frozen=True)
class NodeAccess:
    """One node to look at: its name, the cluster it belongs to, and a testinfra host over our connection.

    `host` asks as the login user, `root` through sudo. Both are ordinary testinfra hosts; `ask` and
    `test` are for the plain command whose failure means that nothing was learnt. `docker()` is docker-py's client
    for the engine of the node; it raises ObservationError where none runs. `by_key` says that the harness itself
    came in by a key, so it does not need the password. `once` asks what is the same on every node only once in a run:
    it gives the first answer under a key again. `http(address, port)` is a browser on the controller's side of the
    network. `say` is told what is being waited for, and why it is not there yet.
    """

    name: str
    cluster: Cluster
    host: Host
    root: Host
    docker: Callable[[], Docker] = _nobody
    by_key: bool = False
    once: Callable[[str, Callable[[], Any]], Any] = _each_time
    http: Callable[[str, int], Browser] = _nowhere
    say: Callable[[str], None] = _unheard

    @property
    def is_controller(self) -> bool:
        """Whether this is the machine that carries the HAT."""
        return self.name == self.cluster.controller.name

    def ask(self, command: str, *arguments: str, root: bool = False, limit: float | None = None) -> str:
        """The standard output of a command whose exit code must be 0.

        Each `%s` of `command` is replaced by one argument, quoted. MissingTool for exit 127,
        ObservationError for any other failure; never an empty answer in place of one. `limit` as for `run`.
        """
        code, out, err = self.run(command, *arguments, root=root, limit=limit)
        if code:
            raise ObservationError(f"{self.name}: `{_short(command)}` gave exit {code}: {_cause(err or out)}")
        return out

    def wait(self, seconds: int, what: str, script: str, *arguments: str) -> str:
        """Have a script of the shell wait as root until it prints nothing; what it last printed where time is over.

        It prints what is still missing. It waits for $0 seconds at most, by the machine's clock; its arguments are $1
        and so on. Between two of these slices the missing is said.
        """
        missing, command = "", " ".join(("sh -c %s %s", *["%s"] * len(arguments)))
        for some in slices(seconds):
            missing = self.ask(command, script, str(some), *arguments, root=True).strip()
            if not missing:
                break
            self.say(f"{self.name}: waiting for {what}: {_first_line(missing)}")
        return missing

    def test(self, command: str, *arguments: str, root: bool = False) -> bool:
        """Exit 0 as True and 1 as False; every other exit is an ObservationError."""
        code, _, err = self.run(command, *arguments, root=root)
        if code not in {0, 1}:
            raise ObservationError(f"{self.name}: `{_short(command)}` gave exit {code}: {_cause(err)}")
        return code == 0

    def files(self, *patterns: str) -> dict[str, File]:
        """The regular files that shell patterns meet, by path, read as root in one round trip.

        A pattern that meets nothing gives nothing; a file that cannot be read raises ObservationError, and so
        does a folder where a file is asked for by its full name.
        """
        exact = [shlex.quote(pattern) for pattern in patterns if "*" not in pattern]
        words = " ".join(map(_quoted_but_globs, patterns))
        script = "; ".join((FOLDERS.format(" ".join(exact)), FILES.format(words)) if exact else (FILES.format(words),))
        result = self.root.run(script)
        if result.rc:
            raise ObservationError(f"{self.name}: cannot read {', '.join(patterns)}: {_first_line(result.stderr)}")
        return dict(_split(result.stdout_bytes))

    def clock(self) -> Reading:
        """How far the node's clock is ahead of this machine's; the best of a few tries where the way is slow."""
        best = self._read_clock()
        for _ in range(CLOCK_TRIES - 1):
            if best.doubt > GOOD_CLOCK:
                best = min(best, self._read_clock(), key=lambda one: one.doubt)
        if best.doubt > BAD_CLOCK:
            raise ObservationError(f"{self.name}: its clock cannot be read: each answer took {best.doubt / 500:.1f} s")
        return best

    def _read_clock(self) -> Reading:
        asked = EPOCH + time.monotonic()
        text = self.ask("date %s", "+%s.%N")
        return reading(text, asked, EPOCH + time.monotonic())

    def feed(self, command: str, *arguments: str, stdin: str) -> tuple[int, str, str]:
        """As `run`, as root, with a text for the command's input: the way for what no process list may show.

        Neither the message of an error nor a log of testinfra has that text.
        """
        answer = self.root.backend.feed(command, *arguments, stdin=stdin)
        return answer.code, answer.out.decode(errors="backslashreplace"), answer.err.decode(errors="backslashreplace")

    def run(
        self, command: str, *arguments: str, root: bool = False, limit: float | None = None
    ) -> tuple[int, str, str]:
        """Exit code, output and error output of a command that ran; MissingTool if it is not there.

        `limit` is in seconds; not given, it is that of the inventory for one command.
        """
        own = {} if limit is None else {"limit": limit}
        result = (self.root if root else self.host).run(command, *arguments, **own)
        if result.rc == COMMAND_NOT_FOUND:
            raise MissingTool(f"{self.name}: cannot ask: {_first_line(result.stderr) or command}")
        return result.rc, result.stdout, result.stderr


def slices(seconds: int) -> Iterator[int]:
    """How long each of several commands may wait until so many seconds have passed by our clock; one at least."""
    end = time.monotonic() + seconds
    yield min(SLICE, seconds)
    while (left := end - time.monotonic()) > 0:
        yield min(SLICE, math.ceil(left))


def _quoted_but_globs(pattern: str) -> str:
    return "*".join(shlex.quote(part) if part else "" for part in pattern.split("*"))


def _split(octets: bytes) -> Iterator[tuple[str, File]]:
    while octets:
        header, _, rest = octets.partition(b"\n")
        size, mode, owner, path = header.decode(errors="backslashreplace").split(" ", 3)
        yield path, File(rest[: int(size)], int(mode, 8), owner)
        octets = rest[int(size) :]


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]


def _short(command: str) -> str:
    """A script of several lines is known by its first one."""
    line = _first_line(command)
    return line if line == command.strip() else f"{line} …"


def _cause(text: str) -> str:
    """Python says last what went wrong, all others first."""
    return text.strip().splitlines()[-1][:200] if text.startswith("Traceback ") else _first_line(text)
