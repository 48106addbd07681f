"""Edit /etc/ssh/sshd_config and its drop-ins: one value at a time, everything else byte for byte (sshd_config(5)).

sshd takes the first value that it meets; what stands behind the first `Match` holds only for some logins.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

DIRECTIVE = re.compile(r'[ \t]*"?([A-Za-z][A-Za-z0-9]*)"?(?:[ \t]*=[ \t]*|[ \t]+)([^\r\n]*)', re.ASCII)
VALUE = re.compile(r"[!-~]+(?: [!-~]+)*")


def has_drop_ins(content: bytes, folder: str, keywords: Collection[str]) -> bool:
    """Whether the main file reads `folder`/*.conf before it sets any of these keywords itself."""
    mine = {keyword.lower() for keyword in keywords}
    for _, match in _global(_lines(content)):
        keyword = match[1].lower()
        if keyword == "include" and f"{folder}/*.conf" in match[2].replace('"', "").split():
            return True
        if keyword in mine:
            return False
    return False


def ensure(content: bytes, wanted: Mapping[str, str]) -> bytes:
    """The content whose first value of each keyword, for every login, is the wanted one.

    Identical where it is so. UsageError for a value that would not stay one directive.
    """
    lines = _lines(content)
    for keyword, value in wanted.items():
        if not keyword.isalpha() or not VALUE.fullmatch(value):
            raise UsageError(f"sshd_config: expected a keyword and words, got {excerpt(f'{keyword} {value}')}")
        _set(lines, keyword, value)
    return "".join(lines).encode("latin-1")


def _set(lines: list[str], keyword: str, value: str) -> None:
    found = next(((index, match) for index, match in _global(lines) if match[1].lower() == keyword.lower()), None)
    if found is None:
        _insert(lines, keyword, value)
        return
    index, match = found
    if match[2].rstrip() != value:
        lines[index] = lines[index][: match.start(2)] + value + lines[index][match.end(2) :]


def _insert(lines: list[str], keyword: str, value: str) -> None:
    """Before the first Match, where it still holds for every login; else at the end."""
    at = next((index for index, match in _directives(lines) if match[1].lower() == "match"), None)
    if at is None:
        if lines[-1] and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        at = len(lines)
    lines.insert(at, f"{keyword} {value}\n")


def _global(lines: list[str]) -> Iterator[tuple[int, re.Match[str]]]:
    for index, match in _directives(lines):
        if match[1].lower() == "match":
            return
        yield index, match


def _directives(lines: list[str]) -> Iterator[tuple[int, re.Match[str]]]:
    for index, line in enumerate(lines):
        match = DIRECTIVE.match(line)
        if match:
            yield index, match


def _lines(content: bytes) -> list[str]:
    # One character per byte, so that every byte comes back.
    return re.split(r"(?<=\n)", content.decode("latin-1"))
