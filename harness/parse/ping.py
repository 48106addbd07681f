"""Read the summary of `ping` of iputils or busybox, for the way from node to node (runbook L50)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

COUNT = r"[0-9]{1,9}"
SUMMARY = re.compile(
    rf"^({COUNT}) packets transmitted, ({COUNT}) (?:packets )?received"
    rf"(?:, \+{COUNT} (?:duplicates|corrupted|errors))*, [0-9.]+% packet loss\b",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Summary:
    """Packets sent and received; duplicates and errors are in neither."""

    sent: int
    received: int


def summary(text: str) -> Summary:
    """The counts of one ping; ObservationError where it ended without a summary (unknown name, killed)."""
    match = SUMMARY.search(text)
    if match is None:
        raise ObservationError(f"ping: expected a line with '% packet loss', got {excerpt(text)}")
    return Summary(sent=int(match[1]), received=int(match[2]))
