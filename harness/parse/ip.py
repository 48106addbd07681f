"""Read the JSON of `ip -j addr`, `link`, `route` and `neigh` (runbook L50, L83-92; iproute2 5.10, 6.1).

Keys that a release adds are ignored. Objects without any key are skipped: iproute2 5.10 prints one for each
link or address that a filter such as `-4` or `dev` left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator

MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
Row = dict[str, object]


@dataclass(frozen=True)
class Link:
    """One interface.

    `is_up` is its administrative flag UP; `operstate` is the kernel's word (UP, DOWN, UNKNOWN, …). `mac` is
    in small letters, None for a link without a MAC or where the listing leaves it out (`-4`). `master` is
    the bridge that it is a port of. `ipv4` are its addresses with prefix length, none in `ip -j link`.
    `mtu` is the size of the largest packet; None on tapes from before it was read, and never in a new look.
    """

    name: str
    is_up: bool
    operstate: str
    mac: str | None
    master: str | None
    ipv4: tuple[IPv4Interface, ...]
    mtu: int | None = None


@dataclass(frozen=True)
class Route:
    """One route; a route over several hops gives one value for each hop.

    `dst` is "default", an address or a network. `gateway` is None where the destination is on the link;
    `dev` is None for a route without a device (blackhole, unreachable). `source` is the address that packets get there,
    where the route says one; `is_dead` that the kernel does not use it, because its device is down.
    """

    dst: str
    gateway: str | None
    dev: str | None
    source: str | None = None
    is_dead: bool = False


@dataclass(frozen=True)
class Neighbour:
    """One entry of the ARP cache or of IPv6's like.

    `dev` is None in a listing of one device (`ip neigh show dev br0` leaves it out). `mac` is in small
    letters and None while unresolved. `state` is what the kernel says: REACHABLE, STALE, FAILED, …;
    several words are joined by a space, and it is empty where the kernel keeps none.
    """

    address: str
    dev: str | None
    mac: str | None
    state: str


def links(text: str) -> tuple[Link, ...]:
    """The interfaces in `ip -j addr` or `ip -j link`; ObservationError where the text is neither."""
    return tuple(_link(row) for row in _rows(text, "ip addr"))


def routes(text: str) -> tuple[Route, ...]:
    """The routes in `ip -j route`, in the kernel's order; ObservationError for any other text."""
    return tuple(route for row in _rows(text, "ip route") for route in _hops(row))


def default_routes(text: str) -> tuple[Route, ...]:
    """The default routes in `ip -j route`; the first is the one in use. Raises as `routes`."""
    return tuple(route for route in routes(text) if route.dst == "default")


def neighbours(text: str) -> tuple[Neighbour, ...]:
    """The entries in `ip -j neigh`; ObservationError for any other text."""
    return tuple(_neighbour(row) for row in _rows(text, "ip neigh"))


def _rows(text: str, what: str) -> list[Row]:
    try:
        value = json.loads(text)
    # A text of brackets only exhausts the decoder's stack instead of being a ValueError.
    except (ValueError, RecursionError):
        raise ObservationError(f"{what}: expected JSON, got {excerpt(text)}") from None
    return _objects(value, what)


def _objects(value: object, what: str) -> list[Row]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ObservationError(f"{what}: expected a list of objects, got {excerpt(repr(value))}")
    return [row for row in value if row]


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise ObservationError(f"ip: expected text under {key!r}, got {excerpt(repr(row))}")
    return value


def _maybe(row: Row, key: str) -> str | None:
    return _text(row, key) if key in row else None


def _number(row: Row, key: str) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ObservationError(f"ip: expected a number under {key!r}, got {excerpt(repr(row))}")
    return value


def _words(row: Row, key: str) -> list[str]:
    value = row.get(key)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ObservationError(f"ip: expected a list of words under {key!r}, got {excerpt(repr(row))}")
    return value


def _mac(text: str | None) -> str | None:
    # Tunnels have an IP address here; that is no MAC.
    return text.lower() if text is not None and MAC.fullmatch(text.lower()) else None


def _link(row: Row) -> Link:
    name, flags = _text(row, "ifname"), _words(row, "flags")
    addresses = tuple(_ipv4(_objects(row.get("addr_info", []), "ip addr")))
    return Link(
        name,
        "UP" in flags,
        _text(row, "operstate"),
        _mac(_maybe(row, "address")),
        _maybe(row, "master"),
        addresses,
        _number(row, "mtu"),
    )


def _ipv4(rows: list[Row]) -> Iterator[IPv4Interface]:
    for row in rows:
        if _text(row, "family") != "inet":
            continue
        local, prefix = _text(row, "local"), row.get("prefixlen")
        try:
            yield IPv4Interface(f"{local}/{prefix if isinstance(prefix, int) else None}")
        except ValueError:
            raise ObservationError(f"ip addr: expected an IPv4 address, got {excerpt(repr(row))}") from None


def _hops(row: Row) -> Iterator[Route]:
    dst = _text(row, "dst")
    for hop in _objects(row["nexthops"], "ip route") if "nexthops" in row else [row]:
        via = _objects([hop["via"]], "ip route") if "via" in hop else []
        gateway = _text(via[0], "host") if via else _maybe(hop, "gateway")
        is_dead = "flags" in hop and "dead" in _words(hop, "flags")
        yield Route(dst, gateway, _maybe(hop, "dev"), _maybe(row, "prefsrc"), is_dead)


def _neighbour(row: Row) -> Neighbour:
    state = " ".join(_words(row, "state")) if "state" in row else ""
    return Neighbour(_text(row, "dst"), _maybe(row, "dev"), _mac(_maybe(row, "lladdr")), state)
