"""One verified ssh connection to a node: two shells that stay open, the way to Docker, and what lives as long as it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from paramiko import Channel, SSHClient, SSHException, Transport
from paramiko.ssh_exception import ChannelException

from harness.backend import Asker
from harness.errors import ObservationError, TimeLimit, Unreachable
from harness.refusal import words
from harness.shell import CHUNK, START, START_AS_ROOT, Answer, Shell

if TYPE_CHECKING:
    from harness.docker_client import Docker
    from harness.reach import Reach

# A command's error output is read after its output; this much may wait unread without blocking the node.
WINDOW = 16 * 1024 * 1024


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
        self._docker: Docker | None = None
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

    def docker(self) -> Docker:
        """The engine's client, over channels of this connection; ObservationError where no engine answers."""
        # docker-py takes a quarter of a second to import, which only those pay who ask Docker.
        from harness.docker_client import dial, open_docker  # noqa: PLC0415

        with self._lock:
            if self._docker is None:
                limit = self._reach.limit
                self._docker = open_docker(self.name, lambda: dial(self, self._start_shell, limit), limit)
            return self._docker

    def close(self) -> None:
        """End the shells, the way to Docker, and the connection."""
        if self._docker:
            self._docker.close()
        for shell in self._shells.values():
            shell.close()
        self._client.close()

    def _shell(self, *, root: bool) -> Shell:
        if root not in self._shells:
            channel = self._start_shell(root)
            try:
                self._shells[root] = Shell(self.name, channel, limit=self._reach.wait)
            except Unreachable as error:
                # The connection answers (we just opened a channel on it): it is the shell that refuses.
                who = "become root without a password (sudo)" if root else "start a shell"
                raise ObservationError(f"{self.name}: cannot {who}: {error}") from error
        return self._shells[root]

    def _start_shell(self, root: bool) -> Channel:  # noqa: FBT001 - which of the two shells
        return self._start(START_AS_ROOT if root else START)

    def _start(self, command: str) -> Channel:
        try:
            channel = self.transport.open_session(window_size=WINDOW, timeout=self._reach.wait)
            channel.settimeout(self._reach.wait)
            channel.exec_command(command)
        except ChannelException as error:
            raise ObservationError(f"{self.name}: its sshd opens no further session: {error.text}") from error
        except (SSHException, OSError, EOFError) as error:
            self._dead = Unreachable(f"{self.name}: the connection no longer answers: {words(error)}")
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
