"""Read /etc/os-release: which system this is (os-release(5))."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt


@dataclass(frozen=True)
class Release:
    """What a system calls itself: ID and VERSION_CODENAME (empty where it has none, as a rolling release)."""

    id: str
    codename: str


def release(text: str) -> Release:
    """The system of an os-release file; ObservationError where a line or the ID is not as it must be."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.strip().partition("=")
        if not equals or not key.replace("_", "a").isalnum():
            raise ObservationError(f"os-release: expected NAME=value, got {excerpt(line)}")
        found[key] = _unquoted(value)
    if "ID" not in found:
        raise ObservationError(f"os-release: expected an ID, got {excerpt(text)}")
    return Release(found["ID"], found.get("VERSION_CODENAME", ""))


def _unquoted(value: str) -> str:
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ObservationError(f"os-release: {error} in {excerpt(value)}") from error
    if len(words) > 1:
        raise ObservationError(f"os-release: expected one value, got {excerpt(value)}")
    return words[0] if words else ""
