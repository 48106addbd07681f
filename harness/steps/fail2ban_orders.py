"""Part of step `fail2ban`: a ban would be carried out, as far as the orders of its action say; pure."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from harness.model import Check
from harness.parse import ban_orders
from harness.parse.excerpt import excerpt
from harness.parse.firewall import Packet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from harness.actions import Action
    from harness.steps.fail2ban_look import Server, Settings

STRANGER, OTHER = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")  # nobody's (RFC 5737)
BY_HAND = (
    "`sudo fail2ban-client -d | grep \"'action'\"` has its orders: take what changes them out of "
    "/etc/fail2ban/action.d/*.local and jail.d/*.local, then `sudo fail2ban-client reload --restart`"
)


def judge_orders(
    name: str, server: Server, planned: Mapping[str, Settings] | None, exits: Collection[str], fix: tuple[Action, ...]
) -> Iterator[Check]:
    """What each jail would do to ban a stranger, now and after the next reload; without banning one.

    Banning is no question: it leaves a line that recidive counts for a day.
    """
    for jail, settings in server.settings.items():
        if not settings.actions:
            continue  # said already
        now = _hindrance(settings, exits)
        then = _hindrance(planned[jail], exits) if planned and jail in planned and planned[jail].actions else ""
        seen = f"no: {now}" if now else f"not after a reload: {then}" if then else "yes"
        # The files must be right before the server takes them in.
        mend = fix if now and planned and not then else ()
        yield Check(
            name, f"jail {jail} carries out its bans", "yes", seen, not (now or then),
            fix=mend, by_hand="" if mend else BY_HAND,
        )  # fmt: skip


def _hindrance(settings: Settings, exits: Collection[str]) -> str:
    """Why no action of the jail bans; empty where one does, or may well do so."""
    followed = [action for action in settings.actions if action in ban_orders.FOLLOWED]
    found = [_fault(settings, action, exits) for action in followed]
    found = found or [_muteness(settings, action) for action in settings.actions]
    return "" if "" in found else "; ".join(found)


def _fault(settings: Settings, action: str, exits: Collection[str]) -> str:
    orders, port = settings.orders.get(action, {}), re.search("[0-9]+", settings.ports)
    for way in exits or ("",):
        packet, other = (Packet(one, "tcp", int(port[0]) if port else 22, way) for one in (STRANGER, OTHER))
        if order := ban_orders.fault(orders, packet, other):
            return f"{order} of {action} is {_shown(ban_orders.resolved(orders, order))}"
    return ""


def _shown(text: str) -> str:
    """Where the rules go is in the last line that has one."""
    return excerpt(next((line for line in reversed(text.splitlines()) if " -j " in line), text))


def _muteness(settings: Settings, action: str) -> str:
    """Whether orders that are not understood do not even name who is banned; one written in Python has none."""
    orders = settings.orders.get(action, {})
    ban = orders.get(ban_orders.BAN, "")
    is_mute = bool(orders) and "<" not in ban
    return f"{ban_orders.BAN} of {action} is {excerpt(ban)}" if is_mute else ""
