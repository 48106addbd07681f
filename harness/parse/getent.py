"""Names as programs of a machine resolve them: getent(1), which asks what nsswitch.conf(5) lists; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ObservationError

if TYPE_CHECKING:
    from collections.abc import Sequence

# A name server that is not there would keep each name waiting for longer than a command may last.
ONE = ' printf "%%s %%s\\n" %s "$(timeout 5 getent ahostsv4 %s | cut -d" " -f1 | sort -u | tr "\\n" " ")";'


def command(count: int) -> str:
    """Shell text for `NodeAccess.ask`, with two `%s` for each name: see `arguments`."""
    return (ONE * count).strip()


def arguments(names: Sequence[str]) -> tuple[str, ...]:
    """What goes with `command(len(names))`."""
    return tuple(word for name in names for word in (name, name))


def addresses(text: str, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The IPv4 addresses of each name, none for one that is unknown.

    Raises ObservationError for an answer about other names.
    """
    found = {name: tuple(addresses) for name, *addresses in filter(None, map(str.split, text.splitlines()))}
    if set(found) != set(names):
        raise ObservationError(f"getent: expected the addresses of {', '.join(names)}, got {text!r:.200}")
    return found
