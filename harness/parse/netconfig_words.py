"""The words of netconfig (what is asked, what is answered) and what its four dialects have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPV4LENGTH, AddressValueError, IPv4Address, IPv4Interface
from typing import TYPE_CHECKING, Literal, TypeAlias

from harness.actions import Octets  # noqa: TC001 - read at run time, for tapes
from harness.errors import ObservationError

if TYPE_CHECKING:
    from collections.abc import Mapping

Tool: TypeAlias = Literal["ifupdown", "dhcpcd", "networkd", "NetworkManager"]
How: TypeAlias = Literal["static", "fallback", "lease", "dhcp"]
Files: TypeAlias = "Mapping[str, bytes]"


@dataclass(frozen=True)
class Configured:
    """What the files of a node give one interface at boot, before anything a DHCP server may add.

    `path` is the file in which the addresses stand. `how` is `static`; `fallback` (a dhcpcd profile) or `lease`
    (of dhclient.conf), which both hold only when no DHCP server answers; or `dhcp`: only a server knows.
    """

    addresses: tuple[IPv4Interface, ...]
    gateway: IPv4Address | None
    path: str
    is_automatic: bool
    how: How
    aliases: tuple[IPv4Interface, ...] = ()


@dataclass(frozen=True)
class Edit:
    """The change of one file: its bytes before (None where there was no such file) and after."""

    path: str
    before: Octets | None
    after: Octets


@dataclass(frozen=True)
class Wish:
    """The one IPv4 address an interface shall have, and its default gateway, if it shall have one."""

    address: IPv4Interface
    gateway: IPv4Address | None


def physical_lines(files: Files, path: str) -> list[bytes]:
    """The lines of a file with their endings; no lines where there is no file.

    Raises ObservationError for a NUL: the programs read the file as C strings, each cut off in its own way.
    """
    content = files.get(path, b"")
    if b"\0" in content:
        raise ObservationError(f"{path}: holds a NUL byte, so it is no configuration that can be judged")
    # Not splitlines: for ifupdown and dhcpcd a lone carriage return does not end a line.
    return [line for line in re.split(rb"(?<=\n)", content) if line]


def line_ending(lines: list[bytes]) -> bytes:
    """The ending that most of the lines have, a plain newline when in doubt."""
    return b"\r\n" if sum(line.endswith(b"\r\n") for line in lines) * 2 > len(lines) else b"\n"


def put_after(lines: list[bytes], index: int, added: list[bytes], ending: bytes) -> None:
    """Put `added` right after the line at `index`, in place, so that the indices of all lines stay."""
    body = lines[index] if not lines[index] or lines[index].endswith(b"\n") else lines[index] + ending
    lines[index] = b"".join((body, *(line + ending for line in added)))


def put_at_end(lines: list[bytes], added: list[bytes], ending: bytes) -> bytes:
    """The content with `added` as a paragraph of its own at the end."""
    body = b"".join(lines)
    if body and not body.endswith(b"\n"):
        body += ending
    # The blank line is not only pretty: it ends a continuation that the last line may have left open.
    return body + (ending if body else b"") + b"".join(line + ending for line in added)


def shown(octets: bytes) -> str:
    """Octets as text that always decodes and never equals an address by accident."""
    return octets.decode("ascii", "backslashreplace")


def address_of(octets: bytes) -> IPv4Address | None:
    """The dotted address, or None."""
    try:
        return IPv4Address(shown(octets))
    except AddressValueError:
        return None


def prefix_of(octets: bytes) -> int | None:
    """The length of a prefix (`24`) or dotted mask (`255.255.255.0`), None for any other text."""
    if re.fullmatch(rb"[0-9]{1,3}", octets):
        return int(octets) if int(octets) <= IPV4LENGTH else None
    mask = address_of(octets)
    if mask is None:
        return None
    bits = f"{int(mask):032b}"
    return bits.count("1") if "01" not in bits else None


def class_prefix_of(address: IPv4Address) -> int:
    """The length that all four programs assume when none is given: that of the old address classes."""
    return next((bits for bits, end in ((8, 128), (16, 192), (24, 224)) if address.packed[0] < end), 32)


def interface_of(octets: bytes, mask: bytes | None = None) -> IPv4Interface | None:
    """`A/24`, `A/255.255.255.0` or `A` with its mask apart (which wins) or of its class; None if neither."""
    text, _, length = octets.partition(b"/")
    address = address_of(text)
    if address is None:
        return None
    prefix = prefix_of(mask or length) if mask or length else class_prefix_of(address)
    return None if prefix is None else IPv4Interface((address, prefix))
