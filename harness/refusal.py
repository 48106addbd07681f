"""Why a connection failed, as a sentence for a person; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paramiko import SSHException
from paramiko.common import OPEN_FAILED_CONNECT_FAILED
from paramiko.ssh_exception import AuthenticationException, BadHostKeyException, ChannelException

if TYPE_CHECKING:
    from paramiko import PKey

    from harness.reach import Door, Reach


def refusal(name: str, door: Door, reach: Reach, error: Exception) -> str:
    """Why a handshake failed, and what to do."""
    where = f"{name} ({door.address})"
    match error:
        case BadHostKeyException():
            return (
                f"{where} shows another host key ({_print(error.key)}) than the trusted one "
                f"({_print(error.expected_key)}); if you flashed it anew, run `hatcheck trust {name}`"
            )
        case AuthenticationException():
            return f"{where} refuses the login of {reach.login.user}: {_tried(reach)}"
        case SSHException() if "not found in known_hosts" in str(error):
            return f"{where} is not trusted yet: {reach.known_hosts} has no host key of it; run `hatcheck trust {name}`"
    kept_out = ""
    if "protocol banner" in str(error):
        kept_out = (
            f" (it hangs, its /etc/hosts.deny keeps out who comes from {door.via or 'here'}, or it has no host key)"
        )
    return f"{where} accepts connections but its sshd does not answer properly: {words(error)}{kept_out}"


def words(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, ChannelException):
        if error.code == OPEN_FAILED_CONNECT_FAILED:
            return "it was refused there (no sshd runs?)"
        return f"{error.text} (refused by the controller's sshd)" if error.text else "refused by the controller's sshd"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (str(error) or type(error).__name__).partition("\n")[0][:200]


def _tried(reach: Reach) -> str:
    keys = len(reach.login.keys)
    password = (
        " and the password" if reach.login.reveal_once_known() else " and no password (HATCHECK_PASSWORD is not set)"
    )
    return f"tried {keys} key{'s' if keys != 1 else ''}{password}"


def _print(key: PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"
