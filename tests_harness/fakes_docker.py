"""Docker without Docker: good states of the steps around it, and an engine that answers over a pair of sockets."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Self, cast

from harness.parse.units import Unit
from harness.steps import engine, labels, swarm
from harness.steps.engine_daemon import Daemon
from harness.steps.swarm_members import Member, Membership
from tests_harness.fakes import documented_cluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from paramiko import Channel

CLUSTER = documented_cluster()
HUB = CLUSTER.controller.name
RUNS = Unit(is_there=True, is_active=True, is_enabled=True, unmet=())
DAEMON = Daemon(
    "20.10.24+dfsg1", "arm", "json-file", "overlay2", "/var/lib/docker", "/var/lib/docker", limits_memory=True,
    may_use=True, groups=("pi", "sudo", "docker"), lacks=(),
)  # fmt: skip
RULES = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"
HALF_A_YEAR = 180 * 86_400
PORTS = ("22/tcp", "4789/udp", "7946/tcp", "7946/udp")


def good_engine() -> dict[str, engine.State]:
    """One release of Docker everywhere, and pi may use it."""
    return dict.fromkeys(CLUSTER.names, engine.State(RUNS, True, None, "on disk", "", DAEMON))  # noqa: FBT003


def member(name: str) -> Member:
    """The line of `docker node ls` of a machine of the runbook."""
    address = str(CLUSTER.address(name))
    if name == HUB:
        manager = (True, "reachable", f"{address}:2377")
        return Member(f"id-{name}", name, "manager", "active", "ready", {"service": "sql"}, *manager)
    return Member(f"id-{name}", name, "worker", "active", "ready", {"service": "web"})


MEMBERS = tuple(member(name) for name in sorted(CLUSTER.names))


def good_swarm() -> dict[str, swarm.State]:
    """Everybody is a member, and gets through to everybody."""
    return {name: _good(name) for name in CLUSTER.names}


def _good(name: str) -> swarm.State:
    is_hub = name == HUB
    own = Membership(
        "active", f"id-{name}", is_hub, "", MEMBERS if is_hub else None, str(CLUSTER.address(name)), "/var/lib/docker",
        False if is_hub else None,
    )  # fmt: skip
    return swarm.State(own, HALF_A_YEAR, (*PORTS, "2377/tcp") if is_hub else PORTS, RULES, ())


def good_labels() -> dict[str, labels.State]:
    """web on the nodes, sql on the controller."""
    return {HUB: labels.State(MEMBERS)}


@dataclass
class FakeEngine:
    """An engine: method and path to status and answer, "/v1.41" left out. `dial` gives a channel to it.

    `asked` are the requests as "GET /info" with their bodies, `headers` those of the last one, `dialled` counts
    channels. A path that is not in `answers` is 404; the answer "hang" never comes. An answer to HEAD says what lies
    at a path of a container; a tuple of bytes comes piece by piece, and "cut" in it ends the connection. Use as a
    context manager.
    """

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    dialled: int = 0

    def __enter__(self) -> Self:
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """End all channels, as a restart of the engine does."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def dial(self) -> Channel:
        """A new channel."""
        self.dialled += 1
        ours, theirs = socket.socketpair()
        self._ends += (ours, theirs)
        thread = threading.Thread(target=_serve, args=(theirs, self), daemon=True)
        self._threads.append(thread)
        thread.start()
        return cast("Channel", _End(ours))


class _End:
    """What an HTTP connection needs of a channel, on a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.settimeout: Callable[[float | None], None] = sock.settimeout
        self.sendall: Callable[[bytes], None] = sock.sendall
        self.recv: Callable[[int], bytes] = sock.recv
        self.close: Callable[[], None] = sock.close

    @property
    def closed(self) -> bool:
        return self._sock.fileno() < 0

    eof_received = False


def _serve(end: socket.socket, fake: FakeEngine) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            path = self.path.split("?")[0]
            short = "/" + path.split("/", 2)[2] if path.startswith("/v1.") else path
            length = int(self.headers.get("Content-Length") or 0)
            body = _body(self.rfile.read(length), self.headers.get("Content-Type") or "")
            asked = f"{self.command} {short}"
            fake.asked.append((asked, body))
            fake.headers = dict(self.headers.items())
            status, said = fake.answers.get(asked, (404, {"message": f"no such path {short}"}))
            if said == "hang":
                self.close_connection = True
                self.rfile.read(1)
                return
            self.send_response(status)
            if isinstance(said, tuple):
                self.pieces(said)
                return
            octets = said if isinstance(said, bytes) else json.dumps(said).encode()
            if self.command == "HEAD":
                self.send_header("X-Docker-Container-Path-Stat", base64.b64encode(octets).decode())
                octets = b""
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def pieces(self, said: tuple[bytes | str, ...]) -> None:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in said:
                if isinstance(piece, str):
                    self.close_connection = True
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - the standard library's names

        def log_message(self, *_: object) -> None:
            pass

    with contextlib.suppress(OSError, ValueError):
        Handler(end, "client", cast("Any", None))
        end.shutdown(socket.SHUT_RDWR)


def _body(octets: bytes, kind: str) -> Any:  # noqa: ANN401 - JSON, or what it is
    return json.loads(octets) if octets and kind.startswith("application/json") else octets or None


VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24+dfsg1", "Arch": "arm"}
INACTIVE = {"LocalNodeState": "inactive", "NodeID": "", "ControlAvailable": False, "Error": ""}
