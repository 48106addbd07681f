"""Read which ports a machine listens on (`ss -Hlntu`, iproute2)."""

from __future__ import annotations

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

COMMAND = "ss -H -l -n -t -u"
LEAST_COLUMNS = 6
HERE_ONLY = ("127.", "[::1]")


def listens(text: str) -> tuple[str, ...]:
    """Ports as "7946/udp" that others can get at, sorted; ObservationError for a text of another shape."""
    found = set[str]()
    for line in filter(str.strip, text.splitlines()):
        words = line.split()
        if len(words) < LEAST_COLUMNS or words[0] not in {"tcp", "udp"}:
            raise ObservationError(f"ss: expected protocol, state, queues and addresses, got {excerpt(line)}")
        address, _, port = words[4].rpartition(":")
        if not port.isdigit():
            raise ObservationError(f"ss: expected a port after the address, got {excerpt(line)}")
        if not address.startswith(HERE_ONLY):
            found.add(f"{port}/{words[0]}")
    return tuple(sorted(found))
