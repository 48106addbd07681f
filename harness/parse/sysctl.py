"""Read kernel parameters: the value now and what the next boot will set (runbook L50; sysctl.d(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INTEGER = re.compile(r"-?[0-9]{1,20}")
# ClusterCTRL's image writes `net.ipv4.ip_forward=1 # ClusterCTRL`. A comment is not allowed there, but the
# kernel reads the leading numbers and leaves the rest.
NUMBERS_THEN_REMARK = re.compile(r"(-?[0-9]+(?:[ \t]+-?[0-9]+)*)[ \t]+#.*")
DIRECTORIES = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")


@dataclass(frozen=True)
class Setting:
    """The value that a boot will set, and the path of the file that says so."""

    value: str
    path: str


@dataclass(frozen=True)
class _Line:
    key: tuple[str, ...]
    setting: Setting | None  # None: the line only takes the key out of what patterns set


def number(text: str) -> int:
    """The integer that `sysctl -n KEY` printed; ObservationError where it printed anything else."""
    if not INTEGER.fullmatch(text.strip()):
        raise ObservationError(f"sysctl: expected an integer, got {excerpt(text)}")
    return int(text)


def persistent(files: Iterable[tuple[str, str]], key: str) -> Setting | None:
    """What systemd-sysctl will set for a key at boot; None where no file sets it.

    `files` are (absolute path, text) in any order. They are read by base name, and of equal base names only
    the one in the strongest directory (/etc, /run, /usr/local/lib, /usr/lib). /etc/sysctl.conf counts as
    99-sysctl.conf, so give it only where that link stands in /etc/sysctl.d (Debian 11 and 12). The last
    assignment wins, and one by full name wins over any pattern. A line that is no assignment is ignored,
    as systemd-sysctl does, so no text is an error.
    """
    asked = _key(key)
    matching = [line for line in _lines(files) if _is_match(line.key, asked)]
    exact = [line for line in matching if line.key == asked]
    return (exact or matching)[-1].setting if matching else None


def _lines(files: Iterable[tuple[str, str]]) -> Iterator[_Line]:
    for path, text in _in_order(files):
        for raw in text.split("\n"):
            line = _line(raw.strip(), path)
            if line is not None:
                yield line


def _in_order(files: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    strongest: dict[str, tuple[str, str]] = {}
    for path, text in sorted(files, key=lambda file: _rank(file[0])):
        name = "99-sysctl.conf" if path == "/etc/sysctl.conf" else PurePosixPath(path).name
        if name.endswith(".conf"):
            strongest.setdefault(name, (path, text))
    return [strongest[name] for name in sorted(strongest)]


def _rank(path: str) -> int:
    homes = (rank for rank, home in enumerate(DIRECTORIES) if path.startswith(f"{home}/sysctl."))
    return next(homes, len(DIRECTORIES))


def _line(line: str, path: str) -> _Line | None:
    if not line or line[0] in "#;":
        return None
    name, equals, value = line.partition("=")
    if not equals and not line.startswith("-"):
        return None
    # A leading hyphen before an assignment only means that a failure to set it is no error.
    key = _key(name.strip().removeprefix("-").strip())
    return _Line(key, Setting(_value(value.strip()), path) if equals else None)


def _value(text: str) -> str:
    remarked = NUMBERS_THEN_REMARK.fullmatch(text)
    return remarked[1] if remarked else text


def _key(name: str) -> tuple[str, ...]:
    # The first separator decides: after a dot, dots separate and a slash stands for a dot in a name.
    first = re.search(r"[./]", name)
    if first is None or first[0] == "/":
        return tuple(name.strip("/").split("/"))
    return tuple(part.replace("/", ".") for part in name.split("."))


def _is_match(pattern: tuple[str, ...], key: tuple[str, ...]) -> bool:
    # Part by part, because a star does not reach over a separator.
    return all(
        want is not None and part is not None and fnmatchcase(part, want) for want, part in zip_longest(pattern, key)
    )
