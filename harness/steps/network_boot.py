"""Part of step `network`: the address and gateway that the next boot will give, by the system's own network tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Action, Write
from harness.model import Check
from harness.parse import netconfig
from harness.parse.netconfig import Configured, Edit, Tool
from harness.step import expect

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Interface

    from harness.node import NodeAccess

# By rank: where several are enabled (Bullseye's ifupdown has nothing to do beside dhcpcd), the first is edited.
TOOLS: dict[str, Tool] = {
    "dhcpcd.service": "dhcpcd",
    "NetworkManager.service": "NetworkManager",
    "systemd-networkd.service": "networkd",
    "networking.service": "ifupdown",
}


@dataclass(frozen=True)
class Wish:
    """What an interface is to have; `gateway` is None for the controller's bridge."""

    interface: str
    address: IPv4Interface
    gateway: IPv4Address | None


@dataclass(frozen=True)
class AtBoot:
    """What each enabled tool will give the interface, and the edit of one file that would make it right.

    `edit` is None where only a person can do it.
    """

    found: tuple[Configured, ...]
    edit: Edit | None


def observe_boot(node: NodeAccess, wish: Wish, enabled: tuple[str, ...]) -> AtBoot:
    """Read the files of every network tool that is enabled; `enabled` are units."""
    tools = [tool for unit, tool in TOOLS.items() if unit in enabled]
    seen = node.files(*(path for tool in tools for path in netconfig.PATHS[tool])) if tools else {}
    files = {path: file.content for path, file in seen.items()}
    found = {tool: netconfig.configured(files, tool, wish.interface) for tool in tools}
    chosen = next((tool for tool, one in found.items() if one), next(iter(tools), None))
    edit = netconfig.with_static(files, chosen, wish.interface, wish.address, wish.gateway) if chosen else None
    return AtBoot(tuple(one for one in found.values() if one), edit)


def judge_boot(name: str, wish: Wish, at_boot: AtBoot) -> Check:
    """One aspect: the interface will be what the inventory says."""
    want = _sentence((wish.address,), wish.gateway)
    is_right = len(at_boot.found) == 1 and netconfig.meets(at_boot.found[0], netconfig.Wish(wish.address, wish.gateway))
    seen = want if is_right else "; ".join(map(_words, at_boot.found)) or "nothing is configured"
    return expect(
        name, f"{wish.interface} after a reboot", want=want, seen=seen, fix=_fix(name, wish, at_boot),
        by_hand="set it with the tool that manages this machine's network, in one place; one that is not enabled "
        "or has a condition that does not hold (`systemctl cat`) does not count",
    )  # fmt: skip


def _fix(name: str, wish: Wish, at_boot: AtBoot) -> tuple[Action, ...]:
    edit = at_boot.edit
    if edit is None or edit.before == edit.after or any(one.how == "dhcp" for one in at_boot.found):
        # Where a DHCP server decides, a static address would lose the name servers that come with it.
        return ()
    mode, owner = (0o644, "root:root") if edit.before is None else (None, None)
    return (Write(name, edit.path, edit.before, edit.after, f"configure {wish.interface} for every boot", mode, owner),)


def _words(found: Configured) -> str:
    manual = "" if found.is_automatic else ", not at boot"
    return f"{_sentence(found.addresses + found.aliases, found.gateway)} ({found.path}{manual})"


def _sentence(addresses: tuple[IPv4Interface, ...], gateway: IPv4Address | None) -> str:
    return f"{', '.join(map(str, addresses)) or 'no address'}{f' via {gateway}' if gateway else ''}"
