"""testinfra over our own connections: host keys verified, one shell per node, time limits."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

if TYPE_CHECKING:
    from harness.shell import Answer


class Asker:
    """Anything that runs quoted shell text on one node; the live one is `connect.Connection`."""

    name: str

    def ask(self, script: str, *, root: bool = False, limit: float | None = None) -> Answer:
        """Run it and give the answer; ObservationError when there is none."""
        raise NotImplementedError


class RootScript(str):
    """Shell text that testinfra wants run as root: it goes to the root shell instead of through sudo again."""

    __slots__ = ()


class ShellBackend(BaseBackend):  # type: ignore[misc]  # testinfra has no types
    """testinfra's way of asking, over one Asker. `with host.sudo():` goes to the root shell."""

    NAME = "hatcheck"

    def __init__(self, asker: Asker, *, root: bool) -> None:
        super().__init__(asker.name, sudo=root)
        self._asker = asker
        # Saves the question which encoding the node's Python prefers: our shells run with LC_ALL=C.
        self._encoding = "utf-8"

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """What testinfra wraps a command with inside `host.sudo()`, or always for a root host."""
        if sudo_user is None:
            return RootScript(command)
        return str(self.quote("sudo -n -u %s /bin/sh -c %s", sudo_user, command))

    def run(self, command: str, *args: str, limit: float | None = None, **_: Any) -> CommandResult:  # noqa: ANN401 - testinfra's
        """Run a testinfra command; arguments are quoted here and nowhere else. `limit` is ours, in seconds."""
        script = self.get_command(command, *args)
        answer = self._asker.ask(script, root=isinstance(script, RootScript), limit=limit)
        return self.result(answer.code, self.encode(script), answer.out, answer.err)

    def feed(self, command: str, *args: str, stdin: str) -> Answer:
        """Run a one-line command as root with a text as its input, which testinfra neither sees nor logs."""
        return self._asker.ask(fed(self.quote(command, *args), stdin), root=True)

    def decode(self, data: bytes) -> str:
        """Bytes of a node as text; what is not UTF-8 is kept visible instead of raising."""
        return data.decode("utf-8", errors="backslashreplace")


def fed(command: str, stdin: str) -> str:
    """Shell text of a one-line command with its input. An error of ours names only the first line of a script."""
    mark = f"END-{secrets.token_hex(16)}"
    return f"{command} <<'{mark}'\n{stdin}\n{mark}"


def host(asker: Asker, *, root: bool) -> Host:
    """A testinfra host over an Asker; as the login user, or as root."""
    backend = ShellBackend(asker, root=root)
    made = Host(backend)
    backend.set_host(made)
    return made
