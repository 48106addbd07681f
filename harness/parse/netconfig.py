"""Which address and gateway an interface gets at boot from the node's own files, and the edit that gives it others.

The runbook takes the addresses of cnat and its nodes for granted (L50, L85-95); whether they come back after a
reboot depends on the program that is enabled there: dhcpcd on Bullseye, ifupdown on Bookworm and in the lab,
systemd-networkd or NetworkManager elsewhere. Only files that were read count: a drop-in folder, an included
file outside /etc/network/interfaces.d, or a script that calls `ip` is beyond these functions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.parse import netconfig_dhcpcd, netconfig_ifupdown, netconfig_networkd, netconfig_networkmanager
from harness.parse.excerpt import excerpt
from harness.parse.netconfig_words import Configured, Edit, Files, How, Tool, Wish

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Interface

__all__ = ["PATHS", "Configured", "Edit", "How", "Tool", "Wish", "configured", "meets", "with_static"]

# What a caller has to read on a node, in the syntax of a shell; what is not there is left out of `files`.
PATHS: dict[Tool, tuple[str, ...]] = {
    "ifupdown": ("/etc/network/interfaces", "/etc/network/interfaces.d/*", "/etc/dhcp/dhclient.conf"),
    "dhcpcd": ("/etc/dhcpcd.conf",),
    "networkd": ("/etc/systemd/network/*.network",),
    "NetworkManager": ("/etc/NetworkManager/system-connections/*.nmconnection",),
}

_READ = {
    "ifupdown": netconfig_ifupdown.configured,
    "dhcpcd": netconfig_dhcpcd.configured,
    "networkd": netconfig_networkd.configured,
    "NetworkManager": netconfig_networkmanager.configured,
}
_EDIT = {
    "ifupdown": netconfig_ifupdown.edit,
    "dhcpcd": netconfig_dhcpcd.edit,
    "networkd": netconfig_networkd.edit,
}


def configured(files: Files, tool: Tool, interface: str) -> Configured | None:
    """What `files` (path to content, see PATHS) make `tool` give `interface` at boot.

    None: nothing there configures IPv4 on it. Raises ObservationError where the files cannot be judged (the
    program itself would stumble, or more than the files decides), UsageError for what is no interface name.
    """
    _check_name(interface)
    return _READ[tool](files, interface)


def with_static(
    files: Files, tool: Tool, interface: str, address: IPv4Interface, gateway: IPv4Address | None
) -> Edit | None:
    """The edit of one file after which `interface` gets `address`, nothing else of its network, and `gateway`.

    An address that stands in a dhcpcd fallback profile or a dhclient lease is mended where it stands: the
    ClusterCTRL images keep the name servers beside it. Gateway None means that there shall be none. What is
    right already gives an edit that changes nothing.

    None: no edit of one file does it and a person must: NetworkManager keeps its files itself, the interface
    is configured in several files, or something else in them stands against it. No edit is given that does
    not, by `configured`, bring what was asked. Raises as `configured` does, and UsageError for a gateway that
    is not in the network of the address.
    """
    wish = _checked(address, gateway)
    seen = configured(files, tool, interface)
    if seen is not None and meets(seen, wish):
        return Edit(seen.path, files.get(seen.path), files.get(seen.path, b""))
    edit = _EDIT[tool](files, interface, wish) if tool in _EDIT else None
    if edit is None:
        return None
    after = configured({**files, edit.path: edit.after}, tool, interface)
    return edit if after is not None and meets(after, wish) else None


def meets(seen: Configured, wish: Wish) -> bool:
    """Whether an interface gets at boot what it shall have; an alias in a foreign network does no harm."""
    is_alone = seen.addresses == (wish.address,) and not any(one.ip in wish.address.network for one in seen.aliases)
    return seen.is_automatic and is_alone and seen.gateway == wish.gateway


def _check_name(interface: str) -> None:
    # Sixteen bytes with the closing NUL, https://man7.org/linux/man-pages/man7/netdevice.7.html
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", interface):
        raise UsageError(f"netconfig: expected the name of an interface, got {excerpt(interface)}")


def _checked(address: IPv4Interface, gateway: IPv4Address | None) -> Wish:
    if gateway is not None and (gateway not in address.network or gateway == address.ip):
        raise UsageError(f"netconfig: {gateway} cannot be the gateway of {address}")
    return Wish(address, gateway)
