"""The lease that dhclient.conf gives an interface when no DHCP server answers (dhclient.conf(5)).

This is how the Bookworm images of ClusterCTRL fix the addresses: burtyb/clusterhat-image, build/create.sh.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from harness.errors import ObservationError
from harness.parse.netconfig_words import Edit, Files, Wish, address_of, prefix_of

PATH = "/etc/dhcp/dhclient.conf"
TOKEN = re.compile(rb'#[^\n]*|"(?:[^"\\]|\\.)*"|[{};,]|[^\s{};,#"]+|"', re.DOTALL)


@dataclass(frozen=True)
class _Statement:
    """The words before a semicolon; `spans` are their places in the file, `start` and `end` bound them all."""

    words: tuple[bytes, ...]
    spans: tuple[tuple[int, int], ...]

    @property
    def start(self) -> int:
        return self.spans[0][0]

    @property
    def end(self) -> int:
        return self.spans[-1][1]


@dataclass(frozen=True)
class Lease:
    """What one `lease { … }` gives, with the statements that say so."""

    address: IPv4Interface
    gateway: IPv4Address | None
    fixed: _Statement
    mask: _Statement | None
    routers: _Statement | None


def lease_of(files: Files, interface: str) -> Lease | None:
    """The static lease of an interface. Raises ObservationError for two, of which the server decides."""
    content = files.get(PATH, b"")
    found = [lease for body in _leases(content) if (lease := _lease(body, interface)) is not None]
    if len(found) > 1:
        raise ObservationError(f"{PATH}: {len(found)} leases for {interface}, so which one holds is not known")
    return found[0] if found else None


def edit(files: Files, interface: str, wish: Wish) -> Edit | None:
    """The edit of that lease's address, mask and routers; None where there is no lease."""
    lease = lease_of(files, interface)
    if lease is None:
        return None
    content = files[PATH]
    indent = re.search(rb"[ \t]*\Z", content[: lease.fixed.start])
    gap = b"\n" + (indent[0] if indent else b"")
    changes: list[tuple[int, int, bytes]] = [(*lease.fixed.spans[1], str(wish.address.ip).encode())]
    added = b""
    if lease.mask is None:
        added += gap + b"option subnet-mask %s;" % str(wish.address.netmask).encode()
    else:
        changes.append((lease.mask.spans[2][0], lease.mask.spans[-2][1], str(wish.address.netmask).encode()))
    if lease.routers is not None and wish.gateway is None:
        changes.append((lease.routers.start, lease.routers.end, b""))
    elif lease.routers is not None:
        changes.append((lease.routers.spans[2][0], lease.routers.spans[-2][1], str(wish.gateway).encode()))
    elif wish.gateway is not None:
        added += gap + b"option routers %s;" % str(wish.gateway).encode()
    changes.append((lease.fixed.end, lease.fixed.end, added))
    for start, end, text in sorted(changes, reverse=True):
        content = content[:start] + text + content[end:]
    return Edit(PATH, files[PATH], content)


def _leases(content: bytes) -> list[list[_Statement]]:
    """The statements of every `lease { … }` that stands by itself."""
    tokens = [match for match in TOKEN.finditer(content) if not match[0].startswith(b"#")]
    found: list[list[_Statement]] = []
    words: list[re.Match[bytes]] = []
    depth, is_lease = 0, False
    for token in tokens:
        if token[0] == b"{":
            depth += 1
            is_lease = is_lease if depth > 1 else [word[0] for word in words] == [b"lease"]
            if is_lease and depth == 1:
                found.append([])
            words = []
        elif token[0] == b"}":
            depth, words = max(0, depth - 1), []
        else:
            words.append(token)
            if token[0] == b";":
                if is_lease and depth == 1:
                    found[-1].append(_Statement(tuple(w[0] for w in words), tuple(w.span() for w in words)))
                words = []
    if depth:
        raise ObservationError(f"{PATH}: a brace is not closed, so dhclient would not read the file")
    return found


def _lease(body: list[_Statement], interface: str) -> Lease | None:
    def last(*words: bytes) -> _Statement | None:
        size = len(words)
        matching = [each for each in body if each.words[:size] == words and len(each.words) > size + 1]
        return matching[-1] if matching else None

    owner, fixed = last(b"interface"), last(b"fixed-address")
    if owner is None or owner.words[1].strip(b'"') != interface.encode() or fixed is None:
        return None
    mask, routers = last(b"option", b"subnet-mask"), last(b"option", b"routers")
    address, prefix = address_of(fixed.words[1]), prefix_of(mask.words[2]) if mask else 32
    if address is None or prefix is None:
        raise ObservationError(f"{PATH}: the lease of {interface} has no address that can be read")
    gateway = address_of(routers.words[2]) if routers else None
    return Lease(IPv4Interface((address, prefix)), gateway, fixed, mask, routers)
