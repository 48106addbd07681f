"""Read the settings as ssh and sshd themselves resolve them: `ssh -G HOST`, `sshd -T` (runbook L133-176)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping

LINE = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:[ \t]+(.*))?")


def settings(text: str) -> dict[str, tuple[str, ...]]:
    """Every keyword in small letters with its values, one for each line, in order.

    Raises ObservationError for a line of another shape, and where there is no `port`: both programs always
    print one, so without it the text is a message or was cut short.
    """
    found: dict[str, tuple[str, ...]] = {}
    for line in filter(None, map(str.strip, text.split("\n"))):
        match = LINE.fullmatch(line)
        if match is None:
            raise ObservationError(f"ssh settings: expected keyword and value, got {excerpt(line)}")
        keyword = match[1].lower()
        found[keyword] = (*found.get(keyword, ()), match[2] or "")
    if "port" not in found:
        raise ObservationError(f"ssh settings: expected a list of settings, got {excerpt(text)}")
    return found


def one(settings: Mapping[str, tuple[str, ...]], keyword: str) -> str:
    """The only value of a keyword (in small letters); ObservationError where there are none or several."""
    values = settings.get(keyword, ())
    if len(values) != 1:
        raise ObservationError(f"ssh settings: expected one value for {keyword}, got {len(values)}")
    return values[0]
