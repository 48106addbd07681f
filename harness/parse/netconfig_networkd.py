"""What systemd-networkd gives an interface at boot, and the edit of its .network file (systemd.network(5))."""

from __future__ import annotations

import posixpath
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.netconfig_units import Entry, entries, unit_lines
from harness.parse.netconfig_words import (
    Configured,
    Edit,
    Files,
    Wish,
    address_of,
    interface_of,
    line_ending,
    put_after,
    put_at_end,
    shown,
)

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Interface

FOLDER = "/etc/systemd/network"
DHCP = {b"yes", b"true", b"on", b"1", b"ipv4", b"both", b"v4"}


def configured(files: Files, interface: str) -> Configured | None:
    """What the first .network file that matches gives the interface; None where none matches.

    Raises ObservationError where a file that comes first matches by more than names.
    """
    path = _match(files, interface)
    if path is None:
        return None
    found = list(entries(unit_lines(files, path)))
    addresses = tuple(address for _, address in _addresses(found))
    gateways = [gateway for _, gateway in _gateways(found)]
    has_dhcp = any(each.section == "Network" and each.key == "DHCP" and each.value in DHCP for each in found)
    if not addresses and not has_dhcp:
        return None
    gateway = gateways[0] if gateways else None
    return Configured(addresses, gateway, path, is_automatic=True, how="static" if addresses else "dhcp")


def edit(files: Files, interface: str, wish: Wish) -> Edit | None:
    """The edit of the interface's own file, or a new file before one that it shares with others."""
    path = _match(files, interface)
    if path is None or _names(list(entries(unit_lines(files, path)))) != [interface]:
        return _new(files, interface, wish, path)
    lines = unit_lines(files, path)
    found = list(entries(lines))
    ending = line_ending(lines)
    _clear(lines, found)
    places = [entry for entry, _ in _addresses(found)] or [each for each in found if _is_address(each)]
    routes = [entry for entry, _ in _gateways(found)]
    added = _put(lines, places, b"Address", str(wish.address))
    added += _put(lines, routes, b"Gateway", None if wish.gateway is None else str(wish.gateway))
    heads = [each for each in found if each.section == "Network" and not each.key]
    if not heads:
        return Edit(path, files[path], put_at_end(lines, [b"[Network]", *added], ending))
    put_after(lines, heads[-1].end - 1, added, ending)
    return Edit(path, files[path], b"".join(lines))


def _new(files: Files, interface: str, wish: Wish, other: str | None) -> Edit | None:
    text = [b"[Match]", b"Name=" + interface.encode(), b"", b"[Network]", b"Address=" + str(wish.address).encode()]
    if wish.gateway is not None:
        text.append(b"Gateway=" + str(wish.gateway).encode())
    for number in ("10", "05", "00"):
        path = f"{FOLDER}/{number}-{interface}.network"
        if not files.get(path) and (other is None or path < other):
            return Edit(path, files.get(path), b"".join(line + b"\n" for line in text))
    return None


def _match(files: Files, interface: str) -> str | None:
    for path in sorted(files):
        if posixpath.dirname(path) != FOLDER or not path.endswith(".network"):
            continue
        found = list(entries(unit_lines(files, path)))
        matches = [each for each in found if each.section == "Match" and each.key]
        names = _names(found)
        others = {each.key for each in matches if each.value} - {"Name"}
        if (names and not _is_named(names, interface)) or not (names or others):
            continue
        if others:
            raise ObservationError(f"{path}: whether it is for {interface} depends on {', '.join(sorted(others))}=")
        return path
    return None


def _names(found: list[Entry]) -> list[str]:
    names: list[str] = []
    for entry in found:
        if entry.section == "Match" and entry.key == "Name":
            # An empty assignment takes back what was said before.
            names = names + shown(entry.value).split() if entry.value else []
    return names


def _is_named(names: list[str], interface: str) -> bool:
    # A `!` before the list turns all of it round.
    is_turned = names[0].startswith("!")
    globs = [names[0].removeprefix("!"), *names[1:]]
    return any(fnmatchcase(interface, glob) for glob in globs) != is_turned


def _is_address(entry: Entry) -> bool:
    return entry.key == "Address" and entry.section in {"Network", "Address"}


def _addresses(found: list[Entry]) -> list[tuple[Entry, IPv4Interface]]:
    kept: list[tuple[Entry, IPv4Interface]] = []
    for entry in filter(_is_address, found):
        address = interface_of(entry.value)
        if not entry.value and entry.section == "Network":
            kept = []
        elif address is not None:
            kept.append((entry, address))
    return kept


def _gateways(found: list[Entry]) -> list[tuple[Entry, IPv4Address]]:
    """The gateways of default routes: in [Network], and in a [Route] that leads everywhere."""
    narrow = {
        each.head
        for each in found
        if each.section == "Route" and each.key == "Destination" and each.value not in {b"", b"0.0.0.0/0"}
    }
    kept: list[tuple[Entry, IPv4Address]] = []
    for entry in found:
        if entry.key != "Gateway" or entry.section not in {"Network", "Route"} or entry.head in narrow:
            continue
        gateway = address_of(entry.value)
        if not entry.value and entry.section == "Network":
            kept = []
        elif gateway is not None:
            kept.append((entry, gateway))
    return kept


def _clear(lines: list[bytes], found: list[Entry]) -> None:
    """Drop the empty assignments: they would take back what is put before them."""
    for each in found:
        if each.section == "Network" and each.key in {"Address", "Gateway"} and not each.value:
            lines[each.start : each.end] = [b""] * (each.end - each.start)


def _put(lines: list[bytes], old: list[Entry], key: bytes, value: str | None) -> list[bytes]:
    """Put the value in the place of the first old entry and drop the others; what is still to be added."""
    text = None if value is None else key + b"=" + value.encode()
    for nth, entry in enumerate(old):
        last = lines[entry.end - 1]
        ending = last[len(last.rstrip(b"\r\n")) :]
        first = text + ending if nth == 0 and text is not None else b""
        lines[entry.start : entry.end] = [first, *[b""] * (entry.end - entry.start - 1)]
    return [] if old or text is None else [text]
