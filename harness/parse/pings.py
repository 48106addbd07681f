"""Ask whether addresses answer ping, all at once in one command, and read what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterable

# One packet usually does; the second try is for the first ARP question after a boot. ping(8): exit 0 for an
# answer, 1 for none, 2 for trouble of its own. One second of waiting, twice at the most.
ASK = (
    "for a in %s; do ( ping -n -q -c 1 -W 1 $a >/dev/null 2>&1 || ping -n -q -c 2 -i 0.2 -W 1 $a >/dev/null 2>&1;"
    " echo $a $? ) & done; wait"
)


def command(addresses: Iterable[str]) -> str:
    """Shell text that pings all addresses at once and prints `ADDRESS EXIT` for each."""
    return ASK.replace("%s", " ".join(addresses), 1)


def answers(text: str) -> dict[str, bool]:
    """Address to whether it answered; ObservationError where ping itself was in trouble."""
    found: dict[str, bool] = {}
    for line in text.splitlines():
        address, _, code = line.partition(" ")
        if code not in {"0", "1", "2"}:
            raise ObservationError(f"ping: expected an address and exit 0, 1 or 2, got {excerpt(line)}")
        # Exit 2 is also "network is unreachable": no route is no answer, and the route is its own aspect.
        found[address] = code == "0"
    return found
