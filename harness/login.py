"""Who we are when we log in: a bounded list of keys, then a password once, never shown and never saved.

Each failed login is a line in the node's log that fail2ban counts, so a run tries each node once, with at
most `MOST_KEYS` keys (sshd gives up at six tries) and one password.
"""

from __future__ import annotations

import getpass
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from paramiko import Agent, PasswordRequiredException, PKey, SSHException
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey, Password
from paramiko.config import SSHConfig
from paramiko.pkey import UnknownKeyType

from harness.errors import UsageError
from harness.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSWORD_VARIABLE = "HATCHECK_PASSWORD"  # noqa: S105 - the name of a variable, not a password
MOST_KEYS = 3
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass
class Login:
    """User, keys, and where a password comes from if the keys do not open the door."""

    user: str
    keys: tuple[PKey, ...] = ()
    password: Callable[[], Secret | None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def strategy(self) -> Strategy:
        """A fresh paramiko strategy for one connection."""
        return Strategy(self)

    def reveal_once_known(self) -> Secret | None:
        """The password; the nodes log in at the same time, and a person is asked only once."""
        with self._lock:
            secret = self.password()
            self.password = lambda: secret
        return secret


class Strategy(AuthStrategy):
    """Keys first, then the password; once it has succeeded, `by_key` says which of the two it was."""

    def __init__(self, login: Login) -> None:
        super().__init__(ssh_config=SSHConfig())
        self._login = login
        self.by_key = True

    def get_sources(self) -> Iterator[AuthSource]:
        """What to try, one after the other; paramiko asks for the next one when one was refused."""
        for key in self._login.keys:
            yield InMemoryPrivateKey(self._login.user, key)
        secret = self._login.reveal_once_known()
        if secret is not None:
            self.by_key = False
            yield Password(self._login.user, secret.reveal)


def find(user: str, identity: Path | None) -> Login:
    """The login of the person who runs us: the named key, or the agent's and the usual ones."""
    keys = (_load(identity),) if identity else tuple(_usual_keys())[:MOST_KEYS]
    return Login(user, keys, _password_of_the_person)


def _load(path: Path) -> PKey:
    try:
        return PKey.from_path(path)
    except (PasswordRequiredException, TypeError):  # TypeError is how the cryptography package says it
        raise UsageError(
            f"{path}: the key has a passphrase; add it to your ssh-agent and leave ssh.identity out"
        ) from None
    except (OSError, SSHException, UnknownKeyType, ValueError) as error:
        raise UsageError(f"{path}: not a usable private key: {error}") from error


def _usual_keys() -> Iterator[PKey]:
    yield from Agent().get_keys()
    for name in DEFAULT_KEYS:
        path = Path.home() / ".ssh" / name
        if path.is_file():
            try:
                yield _load(path)
            except UsageError:
                continue  # a locked or odd key of the person is no error: it was not asked for


def _password_of_the_person() -> Secret | None:
    from_environment = os.environ.get(PASSWORD_VARIABLE)
    if from_environment is not None:
        return Secret(from_environment)
    try:
        with Path("/dev/tty").open("rb"):
            pass
    except OSError:
        return None
    return Secret(getpass.getpass("Password of the nodes' login user (not shown): "))
