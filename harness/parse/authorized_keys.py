"""Read ~/.ssh/authorized_keys and public key files, and append a key (runbook L161-176; sshd(8))."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterable

KIND = r"(?:ssh|ecdsa-sha2|sk-ssh|sk-ecdsa-sha2)-[a-zA-Z0-9.@-]+"
KEY = re.compile(rf"({KIND})[ \t]+([A-Za-z0-9+/]+={{0,2}})(?:[ \t]+(.*))?")
# Options run to the first blank outside double quotes; inside, \" is a quote.
OPTION = r'(?:[^\s,"]|"(?:[^"\\]|\\.)*")+'
OPTIONS = re.compile(rf"({OPTION}(?:,{OPTION})*)[ \t]+")


@dataclass(frozen=True)
class Key:
    """One public key. `blob` is its base64 text and alone says which key it is; `options` are as written."""

    options: tuple[str, ...]
    kind: str
    blob: str
    comment: str


def keys(content: bytes) -> tuple[Key, ...]:
    """The keys in the order of the lines; what sshd skips (blank, comment, broken line) is left out."""
    lines = content.decode("utf-8", "backslashreplace").split("\n")
    return tuple(key for key in (_key(line.strip()) for line in lines) if key is not None)


def duplicates(keys: Iterable[Key]) -> tuple[Key, ...]:
    """Every key whose blob already stood in an earlier line."""
    seen: set[str] = set()
    again = []
    for key in keys:
        if key.blob in seen:
            again.append(key)
        seen.add(key.blob)
    return tuple(again)


def with_key(content: bytes, line: str) -> bytes:
    """The content with one more public key as its last line, all else byte for byte.

    Identical where a line with that key stands there already, whatever its options and comment. Raises
    UsageError where the line is not one public key.
    """
    key = _key(line.strip())
    if key is None or "\n" in line.strip():
        raise UsageError(f"authorized_keys: expected one public key to append, got {excerpt(line)}")
    if key.blob in {present.blob for present in keys(content)}:
        return content
    gap = b"\n" if content and not content.endswith(b"\n") else b""
    return content + gap + line.strip().encode("utf-8", "surrogateescape") + b"\n"


def repeated(content: bytes) -> int:
    """How many lines give a key again with the same options; with other options a line may have its purpose."""
    return len(_repeated(_lines(content)))


def without_repeated(content: bytes) -> bytes:
    """The content without those lines, all else byte for byte."""
    lines = _lines(content)
    again = _repeated(lines)
    return b"".join(line for index, line in enumerate(lines) if index not in again)


def _lines(content: bytes) -> list[bytes]:
    return re.split(rb"(?<=\n)", content)


def _repeated(lines: list[bytes]) -> set[int]:
    seen: set[tuple[tuple[str, ...], str]] = set()
    again = set()
    for index, line in enumerate(lines):
        for key in keys(line):
            if (key.options, key.blob) in seen:
                again.add(index)
            seen.add((key.options, key.blob))
    return again


def _key(line: str) -> Key | None:
    # A line starts with a key or with options; sshd too tries the key first.
    options = None if KEY.fullmatch(line) else OPTIONS.match(line)
    match = KEY.fullmatch(line, options.end() if options else 0)
    if line.startswith("#") or match is None or not _is_of_kind(match[2], match[1]):
        return None
    words = re.findall(OPTION, options[1]) if options else []
    return Key(tuple(words), match[1], match[2], match[3] or "")


def _is_of_kind(blob: str, kind: str) -> bool:
    # RFC 4253, 6.6: a key names its own kind again, after the length of that name in four bytes.
    try:
        octets = base64.b64decode(blob, validate=True)
    except binascii.Error:
        return False
    return octets.startswith(len(kind).to_bytes(4, "big") + kind.encode())
