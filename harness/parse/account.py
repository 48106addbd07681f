"""Read one line of the user database (passwd(5)), and the shells that one may log in with (shells(5))."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

FIELDS = 7
# passwd(5): where the field is empty, it is this.
DEFAULT_SHELL = "/bin/sh"


@dataclass(frozen=True)
class Account:
    """A user as `getent passwd` shows him."""

    uid: int
    gid: int
    home: str
    shell: str


def account(line: str) -> Account:
    """The user of one line; ObservationError for any other text."""
    fields = line.strip("\n").split(":")
    if len(fields) != FIELDS or not all(_is_number(field) for field in fields[2:4]):
        raise ObservationError(f"passwd: expected {FIELDS} fields with two numbers, got {excerpt(line)}")
    return Account(int(fields[2]), int(fields[3]), fields[5], fields[6] or DEFAULT_SHELL)


def login_shells(text: str) -> tuple[str, ...]:
    """The shells of /etc/shells; a text without any has none."""
    lines = (line.partition("#")[0].strip() for line in text.split("\n"))
    return tuple(line for line in lines if line.startswith("/"))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
