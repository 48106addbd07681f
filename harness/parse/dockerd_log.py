"""Read why dockerd did not start, from what it wrote to the journal (`journalctl -o cat -u docker`)."""

from __future__ import annotations

import re

MESSAGE = re.compile(r'level=(?:error|fatal) msg="((?:[^"\\]|\\.)*)"')
PLAIN = ("failed to ", "unable to ", "Error ", "invalid ", "Status: ")
LONGEST = 300


def complaint(text: str) -> str:
    """The last line that names a cause, bounded; empty where none does. What systemd says about it names none."""
    for line in reversed(text.splitlines()):
        match = MESSAGE.search(line)
        if match:
            return match[1].replace('\\"', '"')[:LONGEST]
        if line.startswith(PLAIN):
            return line[:LONGEST]
    return ""
