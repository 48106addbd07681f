"""Part of step `fail2ban`: the controller shuts out no machine of the cluster; pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from harness.parse import iptables
from harness.parse.firewall import Packet, shortcut
from harness.step import expect
from harness.steps import fail2ban_fixes as fixes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.model import Check
    from harness.parse.iptables import Rule
    from harness.steps.fail2ban_look import Server

CHAINS = "f2b-"
JAILS = ("sshd", "recidive")
STRANGER, SSH = IPv4Address("192.0.2.1"), 22  # nobody's address (RFC 5737)
REFUSALS = {"REJECT", "DROP"}


def judge_bans(rules: str, server: Server | None, cluster: Cluster, *, is_silent: bool = False) -> Iterator[Check]:
    """No jail of the server bans a machine, and no rule that a server left behind refuses it.

    Said of each machine under its own name, and once more of the controller: a machine that recidive bans cannot be
    reached any more, so nothing would be said of it. `is_silent`: a server runs and gives no answer; it may well know
    of a rule that looks left over, so none is taken away.
    """
    hub = cluster.controller.name
    refusing = [rule for rule in iptables.table(rules).rules if _is_ban(rule)]
    found = {name: _find_bans(hub, cluster.address(name), refusing, server) for name in cluster.names}
    found = {name: (seen, () if is_silent else fix) for name, (seen, fix) in found.items()}
    for name, (seen, fix) in found.items():
        if name != hub:
            yield expect(name, f"banned on {hub}", want="no", seen=", ".join(seen) or "no", fix=fix)
    banned = [f"{name} {' and '.join(seen)}" for name, (seen, _) in found.items() if seen]
    every = tuple(action for _, fix in found.values() for action in fix)
    yield expect(hub, "bans no machine of the cluster", want="none", seen=", ".join(banned) or "none", fix=every)


def judge_order(rules: str, hub: str, exits: Collection[str], fix: tuple[Action, ...]) -> Check:
    """No rule lets a stranger in to sshd, by an interface of a default route, before fail2ban has its say.

    Where there is no jump to a jail yet, nobody was banned since its start; it comes first when it comes.
    """
    filters = iptables.table(rules)
    packets = [Packet(STRANGER, "tcp", SSH, way) for way in exits or ("",)]
    found = {
        f"{rule}, before {CHAINS}{jail}": None
        for jail in JAILS for packet in packets if (rule := shortcut(filters, packet, f"{CHAINS}{jail}"))
    }  # fmt: skip
    return expect(
        hub, "no rule lets ssh in before the bans", want="none", seen="; ".join(found) or "none", fix=fix,
        by_hand="whoever is banned comes in by that rule: put it behind the jump to that chain (`iptables -S INPUT`)",
    )  # fmt: skip


def _find_bans(
    hub: str, address: IPv4Address, refusing: list[Rule], server: Server | None
) -> tuple[list[str], tuple[Action, ...]]:
    bans = [
        (jail, banned) for jail, all_banned in (server.banned if server else {}).items()
        for banned in all_banned if _covers(banned, address)
    ]  # fmt: skip
    if bans:
        # Its rule goes with it; what then is left of rules is nobody's.
        seen = [f"by jail {jail}" + (f" as {banned}" if banned != str(address) else "") for jail, banned in bans]
        return seen, tuple(fixes.unban(hub, jail, banned) for jail, banned in bans)
    left = [rule for rule in refusing if _covers(_source(rule), address)]
    seen = [f"by a rule in {rule.chain}" for rule in left]
    return seen, tuple(fixes.drop_rule(hub, rule.chain, rule.tokens) for rule in left)


def _is_ban(rule: Rule) -> bool:
    return (
        rule.chain.startswith(CHAINS)
        and "-j" in rule.tokens
        and _after(rule, "-j") in REFUSALS
        and "!" not in rule.tokens
    )


def _source(rule: Rule) -> str:
    return _after(rule, "-s") if "-s" in rule.tokens else "0.0.0.0/0"


def _after(rule: Rule, option: str) -> str:
    return rule.tokens[rule.tokens.index(option) + 1]


def _covers(banned: str, address: IPv4Address) -> bool:
    try:
        return address in IPv4Network(banned, strict=False)
    except ValueError:
        return False  # an IPv6 address, or a jail that bans names
