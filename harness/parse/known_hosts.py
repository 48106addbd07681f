"""Read and edit ~/.ssh/known_hosts without touching the lines of other machines (runbook L161-176; sshd(8))."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.parse.authorized_keys import KEY
from harness.parse.excerpt import excerpt
from harness.parse.ssh_patterns import is_listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# A line that begins with @ names a certificate authority or a revoked key: none of our business.
LINE = re.compile(rf"([ \t]*)([^\s#@]\S*)([ \t]+{KEY.pattern}[ \t\r]*)")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


@dataclass(frozen=True)
class Known:
    """One line for a name: the base64 text of its key, and whether it is for names and not for a pattern."""

    index: int
    blob: str
    is_plain: bool


def known(content: bytes, name: str) -> tuple[Known, ...]:
    """The lines that hold for a host name or address, in order; hashed names (ssh -o HashKnownHosts) too."""
    return tuple(_known(_lines(content), name))


def without(content: bytes, name: str, right: Collection[str]) -> bytes:
    """The content in which no line gives a name another key than the right ones, all else byte for byte.

    A name is taken off a line that has other names as well. A pattern stays: it is not an entry of this name.
    """
    lines = _lines(content)
    wrong = [found.index for found in _known(lines, name) if found.is_plain and found.blob not in right]
    for index in reversed(wrong):
        lines[index : index + 1] = _line_without(lines[index], name)
    return "".join(lines).encode("latin-1")


def ensure(content: bytes, name: str, right: Collection[str], line: str) -> bytes:
    """The content that gives a name only right keys, and one of them for certain: at the end comes `line`.

    `line` is a public key as in a .pub file. UsageError where name or line would not stand as one entry.
    """
    match = KEY.fullmatch(line.strip())
    if not NAME.fullmatch(name) or match is None or "\n" in line.strip():
        raise UsageError(f"known_hosts: expected a name and a public key, got {excerpt(f'{name} {line}')}")
    content = without(content, name, right)
    if any(found.blob in right for found in known(content, name)):
        return content
    gap = b"\n" if content and not content.endswith(b"\n") else b""
    return content + gap + f"{name} {match[1]} {match[2]}\n".encode("latin-1")


def _lines(content: bytes) -> list[str]:
    # One character per byte, so that every byte comes back.
    return re.split(r"(?<=\n)", content.decode("latin-1"))


def _known(lines: list[str], name: str) -> Iterator[Known]:
    for index, line in enumerate(lines):
        match = LINE.fullmatch(line.rstrip("\n"))
        if match is None:
            continue
        hosts, blob = match[2].split(","), match[5]
        if any(_is_same(host, name) for host in hosts):
            yield Known(index, blob, is_plain=True)
        elif is_listed([host.lower() for host in hosts], name.lower()):
            yield Known(index, blob, is_plain=False)


def _is_same(host: str, name: str) -> bool:
    if not host.startswith("|1|"):
        return host.lower() == name.lower()
    salt, _, digest = host.removeprefix("|1|").partition("|")
    try:
        made = hmac.new(base64.b64decode(salt, validate=True), name.lower().encode(), hashlib.sha1)
    except (binascii.Error, ValueError):
        return False
    return base64.b64encode(made.digest()).decode() == digest


def _line_without(line: str, name: str) -> list[str]:
    match = LINE.match(line)
    left = [host for host in match[2].split(",") if not _is_same(host, name)] if match else []
    # What is left must name somebody: only exclusions ("!pi1") match nobody.
    if match is None or all(host.startswith("!") for host in left):
        return []
    return [match[1] + ",".join(left) + line[match.end(2) :]]
