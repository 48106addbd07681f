"""Set options in a file of fail2ban's without touching another line (jail.conf(5); runbook L190-212)."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEADER = re.compile(r"\[(.+)\]")
OPTION = re.compile(r"(.*?)\s*[=:]\s*(.*)$", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """One line, and the section and option that it belongs to; `value` is None but where an option begins."""

    text: str
    section: str
    option: str
    value: str | None


def with_settings(content: bytes, wanted: Mapping[str, Mapping[str, str]]) -> bytes:
    """The file with these options (section, option, value); what fail2ban cannot read is left out as a whole."""
    lines = list(_lines(content.decode("latin-1"))) if is_readable(content) else []
    kept = [line for line in lines if not _is_replaced(line, wanted)]
    for section, options in wanted.items():
        said = {line.option for line in kept if line.section == section and line.value is not None}
        missing = [f"{option} = {value}" for option, value in options.items() if option not in said]
        at = _end(kept, section)
        if missing and at is None:
            blank = [""] if kept and kept[-1].text.strip() else []
            missing, at = [*blank, f"[{section}]", *missing], len(kept)
        kept[at:at] = [Line(text, section, "", None) for text in missing]
    text = "\n".join(line.text for line in kept)
    return (text + "\n" if text else "").encode("latin-1")


def is_readable(content: bytes) -> bool:
    """Whether fail2ban's parser (Python's own) takes the file."""
    try:
        configparser.RawConfigParser(strict=False).read_string(content.decode("latin-1").replace("\r", " "))
    except configparser.Error:
        return False
    return True


def _lines(text: str) -> Iterator[Line]:
    """Every line with its place, as configparser reads it: what is indented deeper goes on with the option."""
    section, option, depth = "", "", 0
    for raw in text.removesuffix("\n").split("\n") if text else []:
        words = raw.strip()
        indent = len(raw) - len(raw.lstrip())
        if not words or words[0] in "#;":
            yield Line(raw, section, "", None)
        elif option and indent > depth:
            yield Line(raw, section, option, None)
        elif header := HEADER.match(words):
            section, option, depth = header[1], "", indent
            yield Line(raw, section, "", None)
        else:
            depth, found = indent, OPTION.match(words)
            option, value = (found[1].lower(), found[2]) if found else ("", "")
            yield Line(raw, section, option, value)


def _is_replaced(line: Line, wanted: Mapping[str, Mapping[str, str]]) -> bool:
    value = wanted.get(line.section, {}).get(line.option)
    return value is not None and line.value != value


def _end(lines: list[Line], section: str) -> int | None:
    """Where to add to a section: behind the last line of its last part that says something."""
    inside = [at for at, line in enumerate(lines) if line.section == section and line.text.strip()]
    return inside[-1] + 1 if inside else None
