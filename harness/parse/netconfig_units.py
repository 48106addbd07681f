"""Lines of the `[Section]` and `Key=value` files of systemd and NetworkManager, with their places."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.netconfig_words import Files, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

# systemd ends a line at any of these: read_line_full(), src/basic/fileio.c
LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n\r|\r|\n)|[^\r\n]+\Z")


@dataclass(frozen=True)
class Entry:
    """A key with its value, or (empty key) the head of a section; `head` is the line of that head.

    `start` and `end` bound the physical lines.
    """

    section: str
    key: str
    value: bytes
    head: int
    start: int
    end: int


def unit_lines(files: Files, path: str) -> list[bytes]:
    """The lines of a file with their endings. Raises ObservationError for a NUL."""
    content = files.get(path, b"")
    if b"\0" in content:
        raise ObservationError(f"{path}: holds a NUL byte, so it is no configuration that can be judged")
    return LINE.findall(content)


def entries(lines: list[bytes], *, is_continued: bool = True) -> Iterator[Entry]:
    """The heads and keys of a file in order; what is neither is passed over, as both programs do."""
    section, head, index = "", 0, 0
    while index < len(lines):
        start, text = index, lines[index].strip()
        index += 1
        if not text or text[:1] in b"#;":
            continue
        parts = [text]
        while is_continued and parts[-1].endswith(b"\\") and index < len(lines):
            line = lines[index].strip()
            index += 1
            # A comment between continued lines is left out, https://manpages.debian.org/bookworm/systemd.syntax.7
            if line[:1] not in {b"#", b";"}:
                parts[-1] = parts[-1][:-1]
                parts.append(line)
        whole = b" ".join(parts)
        if whole.startswith(b"["):
            section, head = shown(whole.strip(b"[]")), start
            yield Entry(section, "", b"", head, start, index)
        elif section and b"=" in whole:
            key, _, value = whole.partition(b"=")
            yield Entry(section, shown(key.strip()), value.strip(), head, start, index)
