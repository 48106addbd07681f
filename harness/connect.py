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
from paramiko.ssh_exception import AuthenticationException, BadHostKeyException, ChannelException

from harness import backend
from harness.backend import Asker
from harness.errors import ObservationError, Refused, TimeLimit, Unreachable, UsageError
from harness.node import NodeAccess
from harness.shell import CHUNK, START, START_AS_ROOT, Answer, Shell

if TYPE_CHECKING:
    from harness.inventory import Cluster
    from harness.reach import Door, Reach

# A command's error output is read after its output; this much may wait unread without blocking the node.
WINDOW = 16 * 1024 * 1024
RETRY = 0.2  # seconds between two tries of a port where sshd may just be starting
# paramiko logs the traceback of every refused handshake; our own sentence says it.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class Connection(Asker):
    """A verified ssh connection to one node, with a user and a root shell opened when first asked.

    `by_key` says whether a key opened it, and not the password.
    """

    def __init__(self, name: str, client: SSHClient, reach: Reach, *, by_key: bool) -> None:
        self.name = name
        self.by_key = by_key
        self._client = client
        self._reach = reach
        self._shells: dict[bool, Shell] = {}
        self._kept: list[Channel] = []
        self._dead: ObservationError | None = None
        self._lock = threading.RLock()

    @property
    def is_dead(self) -> bool:
        """Whether it was lost on the way."""
        return self._dead is not None

    @property
    def transport(self) -> Transport:
        """The transport, for jumps to nodes behind this one."""
        transport = self._client.get_transport()
        if transport is None or not transport.is_active():
            raise Unreachable(f"{self.name}: the connection was lost")
        return transport

    def ask(self, script: str, *, root: bool = False, limit: float | None = None) -> Answer:
        """Run quoted shell text; after a TimeLimit the command is ended, which shows if the node still lives."""
        with self._lock:
            if self._dead:
                raise self._dead
            shell = self._shell(root=root)
            try:
                return shell.run(script, limit=limit or self._reach.limit)
            except TimeLimit:
                self._drop(shell, root=root)
                raise
            except Unreachable as error:
                self._dead = error
                raise

    def keep(self, command: str) -> bytes:
        """Start a command that lives until the connection ends; the first bytes it says (none: it ended)."""
        channel = self._start(command)
        self._kept.append(channel)
        try:
            return channel.recv(CHUNK)
        except TimeoutError:
            raise TimeLimit(f"{self.name}: no answer within {self._reach.wait:g} s to `{command}`") from None

    def close(self) -> None:
        """End the shells and the connection."""
        for shell in self._shells.values():
            shell.close()
        self._client.close()

    def _shell(self, *, root: bool) -> Shell:
        if root not in self._shells:
            channel = self._start(START_AS_ROOT if root else START)
            try:
                self._shells[root] = Shell(self.name, channel, limit=self._reach.wait)
            except Unreachable as error:
                # The connection answers (we just opened a channel on it): it is the shell that refuses.
                who = "become root without a password (sudo)" if root else "start a shell"
                raise ObservationError(f"{self.name}: cannot {who}: {error}") from error
        return self._shells[root]

    def _start(self, command: str) -> Channel:
        try:
            channel = self.transport.open_session(window_size=WINDOW, timeout=self._reach.wait)
            channel.settimeout(self._reach.wait)
            channel.exec_command(command)
        except (SSHException, OSError, EOFError) as error:
            self._dead = Unreachable(f"{self.name}: the connection no longer answers: {_words(error)}")
            raise self._dead from error
        return channel

    def _drop(self, shell: Shell, *, root: bool) -> None:
        """End the session that hangs, by its own id; a node that cannot even do that is dead to this run."""
        del self._shells[root]
        shell.close()
        sudo = "sudo -n " if root else ""
        try:
            channel = self._start(f"{sudo}pkill -KILL -s {shell.session}")
        except Unreachable:
            return
        channel.status_event.wait(self._reach.wait)
        channel.close()


class Connections:
    """The connections of one run; usable from several threads."""

    def __init__(self, cluster: Cluster, reach: Reach) -> None:
        self._cluster = cluster
        self._reach = reach
        self._known = read_known_hosts(reach)
        self._open: dict[str, Connection | ObservationError] = {}
        self._locks = {name: threading.Lock() for name in reach.doors}

    def access(self, name: str) -> NodeAccess:
        """The node to look at; raises the same Unreachable again where it was found to be so."""
        connection = self.connection(name)
        user, root = (backend.host(connection, root=root) for root in (False, True))
        return NodeAccess(name, self._cluster, user, root, by_key=connection.by_key)

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
        script = f"flock -n {shlex.quote(lock)} sh -c 'echo held && exec cat'"
        return self.connection(name).keep(f"exec sudo -n {script}") == b"held\n"

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
            raise kind(self._sentence(name, door, error)) from error
        return Connection(name, client, self._reach, by_key=strategy.by_key)

    def dial(self, name: str) -> socket.socket | Channel:
        """A byte stream to a node's sshd: a TCP connection, or a channel through the controller."""
        door, wait = self._reach.doors[name], self._reach.wait
        if not door.via:
            try:
                return socket.create_connection((door.address, door.port), timeout=wait)
            except OSError as error:
                raise Unreachable(
                    f"{name}: no connection to {door.address} port {door.port}: {_words(error)}"
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
            raise Unreachable(f"{name}: no connection to {where}: {_words(error)}") from error

    def _sentence(self, name: str, door: Door, error: Exception) -> str:
        """Why a handshake failed, and what to do."""
        where = f"{name} ({door.address})"
        match error:
            case BadHostKeyException():
                return (
                    f"{where} shows another host key ({_print(error.key)}) than the trusted one "
                    f"({_print(error.expected_key)}); if you flashed it anew, run `hatcheck trust {name}`"
                )
            case AuthenticationException():
                return f"{where} refuses the login of {self._reach.login.user}: {_tried(self._reach)}"
            case SSHException() if "not found in known_hosts" in str(error):
                file = self._reach.known_hosts
                return f"{where} is not trusted yet: {file} has no host key of it; run `hatcheck trust {name}`"
        return f"{where} accepts connections but its sshd does not answer properly: {_words(error)}"


def host_key(connections: Connections, name: str, reach: Reach) -> PKey:
    """The key that a node's sshd shows now, unverified: for `hatcheck trust` to show to a person."""
    sock = connections.dial(name)
    transport = Transport(sock)
    try:
        transport.start_client(timeout=reach.wait)
        return transport.get_remote_server_key()
    except (SSHException, OSError, EOFError) as error:
        raise Unreachable(f"{name}: its sshd does not answer properly: {_words(error)}") from error
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


def _tried(reach: Reach) -> str:
    keys = len(reach.login.keys)
    password = (
        " and the password" if reach.login.reveal_once_known() else " and no password (HATCHECK_PASSWORD is not set)"
    )
    return f"tried {keys} key{'s' if keys != 1 else ''}{password}"


def _print(key: PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"


def _words(error: BaseException) -> str:
    if isinstance(error, ChannelException):
        if error.code == OPEN_FAILED_CONNECT_FAILED:
            return "it was refused there (no sshd runs?)"
        return f"{error.text} (refused by the controller's sshd)" if error.text else "refused by the controller's sshd"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (str(error) or type(error).__name__).partition("\n")[0][:200]
