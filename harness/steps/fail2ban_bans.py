"""Part of step `fail2ban`: the controller shuts out no machine of the cluster; pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from harness.parse import iptables
from harness.step import expect
from harness.steps import fail2ban_fixes as fixes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.inventory import Cluster
    from harness.model import Action, Check
    from harness.parse.iptables import Rule
    from harness.steps.fail2ban_look import Server

CHAINS = "f2b-"
REFUSALS = {"REJECT", "DROP"}


def judge_bans(rules: str, server: Server | None, cluster: Cluster) -> Iterator[Check]:
    """For every machine: no jail of the server bans it, and no rule that a server left behind refuses it."""
    refusing = [rule for rule in iptables.table(rules).rules if _is_ban(rule)]
    for name in cluster.names:
        seen, fix = _find_bans(cluster.controller.name, cluster.address(name), refusing, server)
        yield expect(name, f"banned on {cluster.controller.name}", want="no", seen=", ".join(seen) or "no", fix=fix)


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
    return [f"by a rule in {rule.chain}" for rule in left], tuple(
        fixes.drop_rule(hub, rule.chain, rule.tokens) for rule in left
    )


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
