"""testinfra over our own connections: host keys verified, one shell per node, time limits."""

from __future__ import annotations

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


class ShellBackend(BaseBackend):  # type: ignore[misc]  # testinfra has no types
    """testinfra's way of asking, over one Asker. `sudo()` of testinfra goes to the root shell."""

    NAME = "hatcheck"

    def __init__(self, asker: Asker, *, root: bool) -> None:
        super().__init__(asker.name, sudo=root)
        self._asker = asker
        # Saves the question which encoding the node's Python prefers: our shells run with LC_ALL=C.
        self._encoding = "utf-8"

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:  # noqa: ANN401 - testinfra's signature
        """Run a testinfra command; arguments are quoted here and nowhere else."""
        script = self.quote(command, *args)
        if self.sudo and self.sudo_user:
            script = self.quote("sudo -n -u %s /bin/sh -c %s", self.sudo_user, script)
        answer = self._asker.ask(script, root=self.sudo)
        return self.result(answer.code, self.encode(script), answer.out, answer.err)

    def decode(self, data: bytes) -> str:
        """Bytes of a node as text; what is not UTF-8 is kept visible instead of raising."""
        return data.decode("utf-8", errors="backslashreplace")


def host(asker: Asker, *, root: bool) -> Host:
    """A testinfra host over an Asker; as the login user, or as root."""
    backend = ShellBackend(asker, root=root)
    made = Host(backend)
    backend.set_host(made)
    return made
