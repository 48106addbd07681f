"""Read a user's crontab, append one line to it or drop its repetitions (runbook L706-710; crontab(5) of Debian)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import ObservationError, UsageError
from harness.parse.excerpt import excerpt, unquoted

# A comment has a line of its own: after a command, # belongs to the command.
NOTHING = re.compile(r"[ \t]*(?:#.*)?")
VARIABLE = re.compile(r"""[ \t]*("[^"]*"|'[^']*'|[^\s="'#]+)[ \t]*=[ \t]*(.*?)[ \t]*""")
ENTRY = re.compile(r"[ \t]*(@[a-z]+|(?:[0-9A-Za-z*,/~-]+[ \t]+){4}[0-9A-Za-z*,/~-]+)[ \t]+(\S.*?)[ \t]*")


@dataclass(frozen=True)
class Entry:
    """One job: `when` is "@reboot" or the like, or the five time fields with single spaces between."""

    when: str
    command: str


def entries(text: str) -> tuple[Entry, ...]:
    """The jobs in the order of the lines; comments, blank lines and variables are none.

    Raises ObservationError for any other line. An empty text has no jobs.
    """
    return tuple(found for found in map(_parse, text.split("\n")) if isinstance(found, Entry))


def environments(text: str) -> tuple[tuple[Entry | None, dict[str, str]], ...]:
    """Each job with the variables that stand above it, without quotes; and None with those of a job at the end.

    Raises as `entries`.
    """
    found: list[tuple[Entry | None, dict[str, str]]] = []
    variables: dict[str, str] = {}
    for said in map(_parse, text.split("\n")):
        if isinstance(said, Entry):
            found.append((said, variables))
        elif said:
            variables = {**variables, said[0]: said[1]}
    return (*found, (None, variables))


def with_line(content: bytes, line: str) -> bytes:
    """The content with one more job as its last line, all else byte for byte.

    Identical where the job already stands there; a CR behind it would make it another. Raises UsageError where the
    line is not one job.
    """
    try:
        job = entries(line)
    except ObservationError as error:
        raise UsageError(f"crontab: the line to append is not one job: {error}") from error
    if len(job) != 1 or "\n" in line:
        raise UsageError(f"crontab: expected one job to append, got {excerpt(line)}")
    octets = line.strip().encode("utf-8", "surrogateescape")
    if octets in (present.strip(b" \t") for present in content.split(b"\n")):
        return content
    gap = b"\n" if content and not content.endswith(b"\n") else b""
    return content + gap + octets + b"\n"


def without_repetitions(content: bytes, line: str) -> bytes:
    """The content with one job standing there only once, the first time; all else byte for byte."""
    octets, kept, is_there = line.strip().encode("utf-8", "surrogateescape"), [], False
    for present in content.split(b"\n"):
        is_it = present.strip(b" \t") == octets
        if not (is_it and is_there):
            kept.append(present)
        is_there = is_there or is_it
    return b"\n".join(kept)


def _parse(line: str) -> Entry | tuple[str, str] | None:
    if NOTHING.fullmatch(line):
        return None
    if variable := VARIABLE.fullmatch(line):
        return unquoted(variable[1]), unquoted(variable[2])
    if entry := ENTRY.fullmatch(line):
        return Entry(" ".join(entry[1].split()), entry[2])
    raise ObservationError(f"crontab: expected a job, a variable or a comment, got {excerpt(line)}")
