"""The only module that opens connections: one per node and run, host keys verified, waits bounded.

A node that is not the controller is reached through it. What fails once is remembered for the run, so a dead
or hanging node costs one wait, and a refused login is never repeated (fail2ban counts those).
"""

from __future__ import annotations

import logging
import shlex
import socket
import threading
import time
from typing import TYPE_CHECKING

from paramiko import Channel, HostKeys, PKey, RejectPolicy, SSHClient, SSHException, Transport
from paramiko.common import OPEN_FAILED_CONNECT_FAILED
from paramiko.ssh_exception import AuthenticationException, ChannelException

from harness import backend
from harness.connection import Connection
from harness.errors import NoAnswer, ObservationError, Refused, Unreachable, UsageError
from harness.node import NodeAccess
from harness.once import Once
from harness.refusal import refusal, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.http_client import Browser
    from harness.inventory import Cluster
    from harness.reach import Reach

# $0 is the lock file; it is held until the standard input ends.
HOLD = 'flock -n -E 75 "$0" sh -c "echo held && exec cat"; [ $? != 75 ] || echo taken'
HELD, TAKEN = b"held\n", b"taken\n"
RETRY = 0.2  # seconds between two tries of a port where sshd may just be starting
# paramiko logs the traceback of every refused handshake; our own sentence says it.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class Connections:
    """The connections of one run; usable from several threads."""

    def __init__(self, cluster: Cluster, reach: Reach) -> None:
        self._cluster = cluster
        self._reach = reach
        self._known = read_known_hosts(reach)
        self._open: dict[str, Connection | ObservationError] = {}
        self._locks = {name: threading.Lock() for name in reach.doors}
        self._once = Once()

    @property
    def cluster(self) -> Cluster:
        """The inventory of the run."""
        return self._cluster

    def access(self, name: str, say: Callable[[str], None] = lambda _: None) -> NodeAccess:
        """The node to look at; raises the same Unreachable again where it was found to be so.

        `say` is told what a look waits for.
        """
        connection = self.connection(name)
        user, root = (backend.host(connection, root=root) for root in (False, True))
        return NodeAccess(
            name,
            self._cluster,
            user,
            root,
            connection.docker,
            by_key=connection.by_key,
            once=self._once,
            http=self.http,
            say=say,
        )

    def http(self, address: str, port: int) -> Browser:
        """A browser on the controller's side of the network, for one address and port."""
        from harness.http_client import Browser  # noqa: PLC0415 - only those pay for requests who ask a site

        return Browser(address, port, lambda: self._pass_on(address, port), self._reach.limit)

    def connection(self, name: str) -> Connection:
        """The one connection to this node in this run."""
        with self._locks[name]:
            if name not in self._open:
                try:
                    self._open[name] = self._connect(name)
                except ObservationError as error:
                    self._open[name] = error
            found = self._open[name]
        if isinstance(found, ObservationError):
            raise found
        return found

    def forget(self, name: str) -> None:
        """Connect anew at the next question: the node was just booted or restarted."""
        with self._locks[name]:
            found = self._open.pop(name, None)
        if isinstance(found, Connection):
            found.close()

    def renew(self) -> None:
        """Try again, when next asked, whoever could not be reached; but never repeat a refused login."""
        for name, found in tuple(self._open.items()):
            is_dead = isinstance(found, Connection) and found.is_dead
            if is_dead or (isinstance(found, Unreachable) and not isinstance(found, Refused)):
                self.forget(name)

    def greets(self, name: str) -> bool:
        """Whether a node's sshd says its banner now; no login is tried and nothing is remembered."""
        try:
            sock = self.dial(name)
        except Unreachable:
            return False
        try:
            sock.settimeout(self._reach.wait)
            return sock.recv(4) == b"SSH-"
        except OSError:
            return False
        finally:
            sock.close()

    def log_in_anew(self, name: str) -> None:
        """Prove that a login works now, beside the open connection, by the same door; raises ObservationError.

        A closed or silent port is tried again for a moment (sshd may be starting), a refused login never.
        """
        deadline = time.monotonic() + self._reach.wait
        while True:
            try:
                connection = self._connect(name)
            except Unreachable as error:
                if isinstance(error, Refused) or time.monotonic() > deadline:
                    raise
                time.sleep(RETRY)
                continue
            try:
                answer = connection.ask("true")
            finally:
                connection.close()
            if answer.code:
                raise ObservationError(f"{name}: a new login works, but `true` gives exit {answer.code} there")
            return

    def hold(self, name: str, lock: str) -> bool:
        """Take a lock file on a node for as long as this run's connection lives; False if another has it."""
        said = self.connection(name).keep(f"exec sudo -n sh -c {shlex.quote(HOLD)} {shlex.quote(lock)}")
        if said not in {HELD, TAKEN}:
            raise ObservationError(f"{name}: {lock} could not be locked: `sudo -n flock` said {said[:100]!r}")
        return said == HELD

    def close(self) -> None:
        """Close the nodes behind the controller before the controller itself."""
        for name in sorted(self._open, key=lambda name: not self._reach.doors[name].via):
            self.forget(name)

    def _connect(self, name: str) -> Connection:
        door = self._reach.doors[name]
        sock = self.dial(name)
        client = SSHClient()
        client.set_missing_host_key_policy(RejectPolicy())
        client.get_host_keys().update(self._known)
        wait, strategy = self._reach.wait, self._reach.login.strategy()
        try:
            client.connect(
                door.address, door.port, sock=sock, timeout=wait, banner_timeout=wait, auth_timeout=wait,
                channel_timeout=wait, auth_strategy=strategy,
            )  # fmt: skip
        except (SSHException, OSError, EOFError) as error:
            client.close()
            sock.close()
            kind = Refused if isinstance(error, AuthenticationException) else Unreachable
            raise kind(refusal(name, door, self._reach, error)) from error
        return Connection(name, client, self._reach, by_key=strategy.by_key)

    def dial(self, name: str) -> socket.socket | Channel:
        """A byte stream to a node's sshd: a TCP connection, or a channel through the controller."""
        door, wait = self._reach.doors[name], self._reach.wait
        if not door.via:
            try:
                return socket.create_connection((door.address, door.port), timeout=wait)
            except OSError as error:
                raise Unreachable(
                    f"{name}: no connection to {door.address} port {door.port}: {words(error)}"
                ) from error
        try:
            jump = self.connection(door.via)
        except ObservationError as error:
            raise Unreachable(f"{name}: the way to it is closed: {error}", via=door.via) from error
        try:
            return jump.transport.open_channel(
                "direct-tcpip", (door.address, door.port), ("127.0.0.1", 0), timeout=wait
            )
        except (SSHException, OSError, EOFError) as error:
            where = f"{door.address} port {door.port} through {door.via}"
            raise Unreachable(f"{name}: no connection to {where}: {words(error)}") from error

    def _pass_on(self, address: str, port: int) -> Channel:
        """A channel that the controller's sshd connects to an address; NoAnswer where only that address is at fault."""
        hub, wait = self.connection(self._cluster.controller.name), self._reach.wait
        where = f"http://{address}:{port} asked from {hub.name}"
        try:
            return hub.transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=wait)
        except ChannelException as error:
            if error.code == OPEN_FAILED_CONNECT_FAILED:
                raise NoAnswer(f"{where}: nobody takes a connection there") from error
            raise ObservationError(f"{hub.name}: its sshd passes no connection on: {error.text}") from error
        except (SSHException, OSError, EOFError) as error:
            # Silence of the address, or of the way to the controller? The second would raise here.
            hub.ask("true")
            raise NoAnswer(f"{where}: silence for {wait:g} s") from error


def host_key(connections: Connections, name: str, reach: Reach) -> PKey:
    """The key that a node's sshd shows now, unverified: for `hatcheck trust` to show to a person."""
    sock = connections.dial(name)
    transport = Transport(sock)
    try:
        transport.start_client(timeout=reach.wait)
        return transport.get_remote_server_key()
    except (SSHException, OSError, EOFError) as error:
        raise Unreachable(f"{name}: its sshd does not answer properly: {words(error)}") from error
    finally:
        transport.close()


def read_known_hosts(reach: Reach) -> HostKeys:
    """The trusted host keys; none where there is no file yet."""
    keys = HostKeys()
    if reach.known_hosts.exists():
        try:
            keys.load(str(reach.known_hosts))
        except (OSError, UnicodeDecodeError, SSHException) as error:
            raise UsageError(f"{reach.known_hosts}: not readable as a known_hosts file: {error}") from error
    return keys
