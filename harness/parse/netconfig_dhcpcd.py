"""What dhcpcd.conf gives an interface at boot, and the edit of its block or profile.

Bullseye images of ClusterCTRL fix the addresses by `fallback` profiles (burtyb/clusterhat-image, build/create.sh).
Reading follows dhcpcd 9.4.1, src/if-options.c `read_config` and `parse_addr`, src/common.c `get_line`: options
before the first block hold for every interface, blocks of one name add up, a carriage return is no white space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from harness.parse.netconfig_words import (
    Configured,
    Edit,
    Files,
    How,
    Wish,
    address_of,
    interface_of,
    physical_lines,
    prefix_of,
    put_after,
    put_at_end,
    shown,
)

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Interface

PATH = "/etc/dhcpcd.conf"
# A comment begins anywhere outside quotes and escapes.
UNCOMMENTED = re.compile(rb'(?:\\.|"(?:\\.|[^"\\])*"?|[^#"\\]|\\\Z)*', re.DOTALL)


@dataclass(frozen=True)
class _Line:
    """An option with its place: line number and block; the block's own head is its line too."""

    index: int
    block: tuple[bytes, bytes]
    option: bytes
    value: bytes

    @property
    def is_head(self) -> bool:
        return self.option == self.block[0]


@dataclass(frozen=True)
class _Static:
    address: IPv4Interface | None
    gateway: IPv4Address | None


def configured(files: Files, interface: str) -> Configured | None:
    """What the file gives the interface; None where it does not name it, or tells dhcpcd to leave it alone."""
    lines = _read(files)
    own = _active(lines, interface)
    static = _static(own)
    if _is_denied(lines, interface) or (static.address is None and not any(line.is_head for line in own)):
        return None
    if static.address is not None:
        return _configured(static, "static")
    profile = _fallback(own)
    if profile is None or not any(line.is_head and line.block == (b"profile", profile) for line in lines):
        return _configured(_Static(None, None), "dhcp")
    return _configured(_static(_active(lines, interface, profile)), "fallback")


def edit(files: Files, interface: str, wish: Wish) -> Edit:
    """The edit of the profile that only this interface falls back to, of its block, or a new block at the end."""
    lines = _read(files)
    physical = physical_lines(files, PATH)
    heads = {line.block: line for line in lines if line.is_head}
    block = (b"interface", interface.encode())
    own = _active(lines, interface)
    if _static(own).address is None:
        profile = (b"profile", _fallback(own) or b"")
        users = sum(line.option == b"fallback" and line.value == profile[1] for line in lines)
        block = profile if profile in heads and users == 1 else block
    address, router = (b"static ip_address=%s" % str(wish.address).encode(), b"")
    if wish.gateway is not None:
        router = b"static routers=%s" % str(wish.gateway).encode()
    if block not in heads:
        added = [b"interface " + interface.encode(), address, *([router] if router else [])]
        return Edit(PATH, files.get(PATH), put_at_end(physical, added, b"\n"))
    mine = [line for line in lines if line.block == block and line.option == b"static"]
    _drop(physical, _keyed(mine, b"subnet_mask"))
    places = _put(physical, _keyed(mine, b"ip_address"), address, heads[block].index)
    if router:
        _put(physical, _keyed(mine, b"routers"), router, places)
    else:
        _drop(physical, _keyed(mine, b"routers"))
    return Edit(PATH, files[PATH], b"".join(physical))


def _configured(static: _Static, how: How) -> Configured:
    addresses = () if static.address is None else (static.address,)
    return Configured(addresses, static.gateway, PATH, is_automatic=True, how=how)


def _read(files: Files) -> list[_Line]:
    lines: list[_Line] = []
    block = (b"", b"")
    for index, line in enumerate(physical_lines(files, PATH)):
        text = line.removesuffix(b"\n").lstrip(b" \t")
        if not text or text.startswith((b"#", b";")):
            continue
        option, _, value = _uncommented(text).replace(b"\t", b" ").partition(b" ")
        value = value.strip(b" ")
        if option in {b"interface", b"ssid", b"profile"}:
            block = (option, value)
        lines.append(_Line(index, block, option, value))
    return lines


def _uncommented(text: bytes) -> bytes:
    match = UNCOMMENTED.match(text)
    return match[0] if match else text


def _active(lines: list[_Line], interface: str, profile: bytes | None = None) -> list[_Line]:
    blocks = {(b"", b""), (b"interface", interface.encode()), (b"profile", profile)}
    return [line for line in lines if line.block in blocks]


def _is_denied(lines: list[_Line], interface: str) -> bool:
    def matches(option: bytes) -> list[bool]:
        named = (line.value for line in lines if line.option == option and line.block[0] == b"")
        return [fnmatchcase(interface, shown(word)) for value in named for word in re.split(rb"[ ,]+", value)]

    allowed = matches(b"allowinterfaces")
    return any(matches(b"denyinterfaces")) or (bool(allowed) and not any(allowed))


def _fallback(lines: list[_Line]) -> bytes | None:
    return next((line.value for line in reversed(lines) if line.option == b"fallback"), None)


def _keyed(lines: list[_Line], key: bytes) -> list[_Line]:
    return [line for line in lines if line.option == b"static" and line.value.partition(b"=")[0] == key]


def _static(lines: list[_Line]) -> _Static:
    """The last address counts, but the first mask and the first router, as in dhcpcd."""
    options = {line.option for line in lines}
    if options & {b"noipv4", b"ipv6only"}:
        return _Static(None, None)
    address: IPv4Interface | None = None
    mask: bytes | None = None
    gateway: IPv4Address | None = None
    for line in lines:
        key, _, value = line.value.partition(b"=") if line.option == b"static" else (b"", b"", b"")
        if key == b"subnet_mask" and prefix_of(value) is not None:
            mask = value
        elif key == b"ip_address" and prefix_of(value.partition(b"/")[2] or b"24") is not None:
            address = interface_of(value, mask) or address
            mask = None if address is None else str(address.netmask).encode()
        elif key == b"routers" and value:
            gateway = gateway or address_of(value.split()[0])
    return _Static(address, None if b"nogateway" in options else gateway)


def _put(physical: list[bytes], old: list[_Line], text: bytes, after: int) -> int:
    """Put the text in the place of the first old line, keeping its comment, or else after a line; the place."""
    if not old:
        put_after(physical, after, [text], b"\n")
        return after
    first = physical[old[0].index]
    indent = first[: len(first) - len(first.lstrip(b" \t"))]
    bare = _uncommented(first.removesuffix(b"\n")).rstrip(b" \t")
    physical[old[0].index] = indent + text + first[len(bare) :]
    _drop(physical, old[1:])
    return old[0].index


def _drop(physical: list[bytes], old: list[_Line]) -> None:
    for line in old:
        physical[line.index] = b""
