"""Names as programs of a machine resolve them: getent(1), which asks what nsswitch.conf(5) lists; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ObservationError

if TYPE_CHECKING:
    from collections.abc import Sequence

# A name server that is not there would keep each name waiting for longer than a command may last; 2 is "unknown".
ASK = """\
ask() {
  found=$(timeout 5 getent ahostsv4 "$1") || [ $? = 2 ] || { echo "getent gives no answer about $1" >&2; exit 9; }
  printf "%%s %%s\\n" "$1" "$(echo "$found" | cut -d" " -f1 | sort -u | tr "\\n" " ")"
}
"""


def command(count: int) -> str:
    """Shell text for `NodeAccess.ask`, with a `%s` for each name."""
    return ASK + "; ".join(["ask %s"] * count)


def addresses(text: str, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The IPv4 addresses of each name, none for one that is unknown.

    Raises ObservationError for an answer about other names.
    """
    found = {name: tuple(addresses) for name, *addresses in filter(None, map(str.split, text.splitlines()))}
    if set(found) != set(names):
        raise ObservationError(f"getent: expected the addresses of {', '.join(names)}, got {text!r:.200}")
    return found
