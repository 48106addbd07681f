"""Read and mend /etc/hosts without touching a byte that is not wrong (runbook L97-115, hosts(5)).

The file is bytes, because it belongs to the node: its encoding, spacing, comments and line endings are not
ours to change. Fields are separated by white space, `#` starts a comment anywhere, names are compared without
regard to case, and a line whose first field is no address is ignored, as the C library ignores it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

# The C library reads strings: what follows a NUL is as invisible to it as a comment.
REMARK = re.compile(rb"[#\0]")
FIELD = re.compile(rb"(\s*)(\S+)")
NAME = re.compile(r"[^\s#\\\x00-\x1f\x7f-\U0010ffff]+")


@dataclass(frozen=True)
class _Line:
    """One line in parts that join to the line again: each field with the gap before it, then the rest."""

    address: IPv4Address | IPv6Address
    fields: tuple[tuple[bytes, bytes], ...]
    rest: bytes

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(_name(field) for _, field in self.fields[1:])


def names(content: bytes) -> dict[str, tuple[str, ...]]:
    """Every name of the file in small letters, with its distinct addresses in the order of the lines.

    IPv4 and IPv6 addresses are in their canonical spelling. No content is an error.
    """
    found: dict[str, dict[str, None]] = {}
    for line in filter(None, map(_parse, _lines(content))):
        for name in line.names:
            found.setdefault(name, {})[str(line.address)] = None
    return {name: tuple(addresses) for name, addresses in found.items()}


def repair(content: bytes, wanted: Mapping[str, Collection[str]]) -> bytes:
    """The content in which each wanted name has its own IPv4 address and no other.

    `wanted` maps an IPv4 address to names. Only wrong lines change: a wrong name goes, foreign names, comment,
    spacing and line ending stay; a line that would keep no name goes, its comment becomes a comment line. What is
    missing is appended in the file's own line ending. IPv6 lines are foreign, unless they map an IPv4 address
    (::ffff:10.0.0.1), which the resolver gives to who asks for IPv4.

    Raises UsageError where `wanted` has no valid address or name, or gives one name two addresses.
    """
    home = _homes(wanted)
    kept = _where(content, lambda name, address: home.get(name, address) == address)
    present = names(kept)
    missing = {name: address for name, address in home.items() if str(address) not in present.get(name, ())}
    return _append(kept, missing, b"\r\n" if _has_crlf(content) else b"\n")


def only_at(content: bytes, allowed: Mapping[str, Collection[str]]) -> bytes:
    """The content in which each of these names, where it stands at all, stands at IPv4 addresses that are allowed.

    All else is as `repair` leaves it.
    """
    places = {name.lower(): frozenset(addresses) for name, addresses in allowed.items()}
    return _where(content, lambda name, address: name not in places or str(address) in places[name])


def without_names(content: bytes, address: str, strangers: Collection[str]) -> bytes:
    """The content in which one IPv4 address no longer has these names; all else as `repair` leaves it."""
    unwanted = {name.lower() for name in strangers}
    return _where(content, lambda name, at: name not in unwanted or str(at) != address)


def _where(content: bytes, is_right: Callable[[str, IPv4Address], bool]) -> bytes:
    """The content in which each name of an IPv4 line is right there; every other line stays."""
    kept: list[bytes] = []
    for raw in _lines(content):
        line = _parse(raw)
        if line is None or not isinstance(line.address, IPv4Address):
            kept.append(raw)
            continue
        wrong = {name for name in line.names if not is_right(name, line.address)}
        kept.append(_without(line, wrong) if wrong else raw)
    return b"".join(kept)


def with_line(content: bytes, line: str) -> bytes:
    """The content with one more line at its end, in the file's own line ending."""
    ending = b"\r\n" if _has_crlf(content) else b"\n"
    return _ended(content, ending) + line.encode() + ending


def _ended(content: bytes, ending: bytes) -> bytes:
    return content if not content or content.endswith(b"\n") else content + ending


def _lines(content: bytes) -> list[bytes]:
    # Not bytes.splitlines: a lone carriage return is white space inside a line here, not its end.
    return [line for line in re.split(rb"(?<=\n)", content) if line]


def _name(field: bytes) -> str:
    # Small letters in ASCII only, as strcasecmp in the C locale; other bytes are shown, never lost.
    return field.lower().decode("utf-8", "backslashreplace")


def _parse(raw: bytes) -> _Line | None:
    body = REMARK.split(raw, maxsplit=1)[0].rstrip()
    fields = tuple((gap, field) for gap, field in FIELD.findall(body))
    address = _address(_name(fields[0][1])) if fields else None
    return None if address is None else _Line(address, fields, raw[len(body) :])


def _address(text: str) -> IPv4Address | IPv6Address | None:
    # inet_pton: no leading zeros, no scope (fe80::1%br0). ::ffff:10.0.0.1 answers questions for IPv4 too.
    with suppress(AddressValueError):
        return IPv4Address(text)
    with suppress(AddressValueError):
        address = IPv6Address(text)
        return None if address.scope_id else address.ipv4_mapped or address
    return None


def _homes(wanted: Mapping[str, Collection[str]]) -> dict[str, IPv4Address]:
    homes: dict[str, IPv4Address] = {}
    for text, all_names in wanted.items():
        address = _address(text)
        if not isinstance(address, IPv4Address):
            raise UsageError(f"hosts: expected an IPv4 address, got {excerpt(text)}")
        for name in map(str.lower, all_names):
            if not NAME.fullmatch(name):
                raise UsageError(f"hosts: expected a host name, got {excerpt(name)}")
            if homes.setdefault(name, address) != address:
                raise UsageError(f"hosts: {name} is wanted at {homes[name]} and at {address}")
    return homes


def _without(line: _Line, wrong: set[str]) -> bytes:
    left = [(gap, field) for gap, field in line.fields[1:] if _name(field) not in wrong]
    if not left:
        # The rest is white space, then a comment or the line ending; without a comment nothing remains.
        return line.rest.lstrip()
    # The first name takes over the gap after the address, so that aligned columns stay aligned.
    left[0] = (line.fields[1][0], left[0][1])
    return b"".join(gap + field for gap, field in (line.fields[0], *left)) + line.rest


def _has_crlf(content: bytes) -> bool:
    return content.count(b"\r\n") * 2 > content.count(b"\n")


def _append(content: bytes, missing: Mapping[str, IPv4Address], ending: bytes) -> bytes:
    entries: dict[IPv4Address, list[str]] = {}
    for name, address in missing.items():
        entries.setdefault(address, []).append(name)
    if entries:
        content = _ended(content, ending)
    return content + b"".join(_entries(entries, ending))


def _entries(entries: Mapping[IPv4Address, list[str]], ending: bytes) -> Iterator[bytes]:
    for address, all_names in entries.items():
        yield f"{address} {' '.join(all_names)}".encode() + ending
