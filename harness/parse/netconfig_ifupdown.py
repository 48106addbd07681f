"""What ifupdown gives an interface at boot, and the edit of its stanza (interfaces(5), Debian 12)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.parse import netconfig_dhclient
from harness.parse.netconfig_stanzas import FOLDER, MAIN, Interfaces, Option, Stanza, read_interfaces
from harness.parse.netconfig_words import (
    Configured,
    Edit,
    Files,
    Wish,
    address_of,
    interface_of,
    line_ending,
    physical_lines,
    prefix_of,
    put_after,
    put_at_end,
)

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Interface

DEFAULT_INDENT = b"    "


def configured(files: Files, interface: str) -> Configured | None:
    """What the stanzas of the interface and its aliases give it, together; None where they are absent or `manual`."""
    found = read_interfaces(files)
    own = _configured(files, found, interface)
    aliases = [alias for alias in found.aliases(interface) if alias.method == b"static"]
    if not aliases:
        return own
    # An alias is an address of the interface itself, with a name for ifconfig.
    only = own or Configured((), None, aliases[0].path, is_automatic=True, how="static")
    return replace(only, aliases=_given(aliases))


def _configured(files: Files, found: Interfaces, interface: str) -> Configured | None:
    stanzas = [each for each in found.of(interface) if each.method in {b"static", b"dhcp"}]
    if not stanzas:
        return None
    is_automatic = found.is_automatic(interface)
    if any(each.method == b"static" for each in stanzas):
        return _static(stanzas, is_automatic=is_automatic)
    lease = netconfig_dhclient.lease_of(files, interface)
    if lease is None:
        return Configured((), None, stanzas[0].path, is_automatic, "dhcp")
    return Configured((lease.address,), lease.gateway, netconfig_dhclient.PATH, is_automatic, "lease")


def edit(files: Files, interface: str, wish: Wish) -> Edit | None:
    """The edit of the first stanza of the interface that can carry the wish, or a new stanza."""
    found = read_interfaces(files)
    stanzas = found.of(interface)
    if not stanzas:
        return _new(files, found, interface, wish)
    main = min(stanzas, key=_rank)
    if main.method == b"dhcp" and found.is_automatic(interface):
        lease = netconfig_dhclient.edit(files, interface, wish)
        if lease is not None:
            return lease
    lines = physical_lines(files, main.path)
    ending = line_ending(lines)
    for other in stanzas:
        if other is not main and other.path == main.path and other.method in {b"static", b"dhcp"}:
            # Its other lines (`up …`) go on to work, which they would not without the stanza.
            _set_method(lines, other, b"manual")
            for name in (b"address", b"netmask", b"gateway"):
                _set(lines, other.named(name), None)
    _set_method(lines, main, b"static")
    _fill(lines, main, wish, ending)
    if not found.is_automatic(interface):
        lines[main.start] = b"auto " + interface.encode() + ending + lines[main.start]
    return Edit(main.path, files[main.path], b"".join(lines))


def _static(stanzas: list[Stanza], *, is_automatic: bool) -> Configured:
    own = [stanza for stanza in stanzas if stanza.method == b"static"]
    addresses = _given(own)
    if len(addresses) < len(own):
        # ifup gives the whole interface up at a stanza without address.
        return Configured((), None, own[0].path, is_automatic, "static")
    gateway = next(filter(None, map(_gateway, own)), None)
    return Configured(addresses, gateway, own[0].path, is_automatic, "static")


def _given(stanzas: list[Stanza]) -> tuple[IPv4Interface, ...]:
    return tuple(filter(None, map(_address, stanzas)))


def _address(stanza: Stanza) -> IPv4Interface | None:
    # ifup joins the lines of a repeated option: it takes the first word of addresses, two masks break its command.
    address, netmask = stanza.named(b"address"), stanza.named(b"netmask")
    if not address or len(netmask) > 1:
        return None
    return interface_of(address[0].value.split()[0], netmask[0].value if netmask else None)


def _gateway(stanza: Stanza) -> IPv4Address | None:
    gateways = stanza.named(b"gateway")
    # The value goes to a shell as it is: a comment is harmless there, a second gateway is an error.
    return address_of(gateways[0].value.partition(b" #")[0].rstrip()) if len(gateways) == 1 else None


def _rank(stanza: Stanza) -> int:
    return {b"static": 0, b"dhcp": 1}.get(stanza.method, 2)


def _new(files: Files, found: Interfaces, interface: str, wish: Wish) -> Edit:
    own = f"{FOLDER}/{interface}"
    is_included = own in read_interfaces({**files, own: b""}).paths
    path = own if is_included else MAIN
    added = [b"iface %s inet static" % interface.encode(), b"%saddress %s" % (DEFAULT_INDENT, _octets(wish.address))]
    if wish.gateway is not None:
        added.append(b"%sgateway %s" % (DEFAULT_INDENT, _octets(wish.gateway)))
    if not found.is_automatic(interface):
        added.insert(0, b"auto " + interface.encode())
    lines = physical_lines(files, path)
    return Edit(path, files.get(path), put_at_end(lines, added, line_ending(lines)))


def _octets(value: IPv4Interface | IPv4Address) -> bytes:
    return str(value).encode()


def _set_method(lines: list[bytes], stanza: Stanza, method: bytes) -> None:
    head = b"".join(lines[stanza.start : stanza.end])
    # Gaps may hold a continuation; a word that is broken by one is left alone, and the edit then refused.
    gap = rb"(?:\s|\\\n)+"
    pattern = rb"(\s*iface%s%s%sinet%s)%s" % (gap, re.escape(stanza.words[1]), gap, gap, re.escape(stanza.method))
    changed = re.sub(rb"\A" + pattern, rb"\g<1>" + method, head)
    lines[stanza.start : stanza.end] = [changed, *[b""] * (stanza.end - stanza.start - 1)]


def _fill(lines: list[bytes], stanza: Stanza, wish: Wish, ending: bytes) -> None:
    address, netmask, gateway = (stanza.named(name) for name in (b"address", b"netmask", b"gateway"))
    length = wish.address.network.prefixlen
    if netmask:
        is_dotted = b"." in netmask[0].value
        mask = str(wish.address.netmask if is_dotted else length).encode()
        _set(lines, netmask, mask, is_right=prefix_of(netmask[0].value) == length)
    text = _octets(wish.address.ip if netmask else wish.address)
    _set(lines, address, text, is_right=_address(stanza) == wish.address)
    route = None if wish.gateway is None else _octets(wish.gateway)
    _set(lines, gateway, route, is_right=_gateway(stanza) == wish.gateway)
    indent = _indent(lines[stanza.options[0].start]) if stanza.options else DEFAULT_INDENT
    added = [] if address else [indent + b"address " + text]
    if route is not None and not gateway:
        added.append(indent + b"gateway " + route)
    # A stanza's head may be one line for Python by now, its physical lines merged into the first.
    put_after(lines, address[0].start if address else stanza.start, added, ending)


def _indent(line: bytes) -> bytes:
    return line[: len(line) - len(line.lstrip())]


def _set(lines: list[bytes], options: list[Option], value: bytes | None, *, is_right: bool = False) -> None:
    """Give the first of the options the value (None: drop it) unless it is right; drop all others."""
    for nth, option in enumerate(options):
        whole = b"".join(lines[option.start : option.end])
        if nth == 0 and is_right and value is not None:
            changed = whole
        elif nth == 0 and value is not None:
            gap = re.match(rb"[ \t]+", whole.lstrip()[len(option.name) :])
            tail = whole[len(whole.rstrip()) :] if whole.endswith(b"\n") else b""
            changed = _indent(whole) + option.name + (gap[0] if gap else b" ") + value + tail
        else:
            changed = b""
        lines[option.start : option.end] = [changed, *[b""] * (option.end - option.start - 1)]
