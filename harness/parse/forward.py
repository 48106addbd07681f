"""What becomes of the nodes' packets in the filter table's chain FORWARD: go through its rules as the kernel does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.parse.iptables import Rule, Table, is_interface, nets, options

if TYPE_CHECKING:
    from collections.abc import Collection
    from ipaddress import IPv4Network

DEPTH = 10  # chains that call each other; iptables refuses circles, a listing by hand may have them
STATES = {"--ctstate", "--state"}


@dataclass(frozen=True)
class _Side:
    """The bridge's side, or all that is not: of that, `names` are the interfaces that count (none: unknown)."""

    bridge: str
    is_inside: bool
    names: frozenset[str] = frozenset()

    def is_all_of(self, pattern: str, *, is_not: bool) -> bool:
        """Whether every packet on this side meets `[!] -i PATTERN` (or -o)."""
        if pattern == "+":
            return not is_not
        if self.is_inside or self.names:
            names = {self.bridge} if self.is_inside else self.names
            return all(is_interface(name, pattern) is not is_not for name in names)
        return is_not and pattern == self.bridge


@dataclass(frozen=True)
class _Way:
    """Packets of one state from one side to the other; an address that is None may be any."""

    incoming: _Side
    outgoing: _Side
    source: IPv4Network | None
    destination: IPv4Network | None
    state: str


def obstacle(filters: Table, bridge: str, subnet: IPv4Network, exits: Collection[str]) -> str:
    """What keeps new packets of the subnet in, or their answers out; empty where nothing does.

    "policy DROP", or the rule as iptables prints it. A rule for only some of the packets (a port, an address)
    decides nothing here, neither for nor against. `exits` are the interfaces that lead out (none: unknown).
    Raises ObservationError where the listing has no chain FORWARD.
    """
    inside, outside = _Side(bridge, is_inside=True), _Side(bridge, is_inside=False, names=frozenset(exits))
    ways = (
        _Way(inside, outside, subnet, None, "NEW"),
        _Way(inside, outside, subnet, None, "ESTABLISHED"),
        _Way(outside, inside, None, subnet, "ESTABLISHED"),
    )
    policy = filters.policy("FORWARD")
    fates = (_fate(filters, "FORWARD", way) or (policy, f"policy {policy}") for way in ways)
    return next((why for target, why in fates if target != "ACCEPT"), "")


def _fate(filters: Table, chain: str, way: _Way, depth: int = 0) -> tuple[str, str] | None:
    """The target that takes the way's packets, and the rule that says so; None where they come back."""
    for rule in filters.chain(chain):
        target = _target(rule, way)
        if target == "RETURN":
            return None
        if target in {"ACCEPT", "DROP", "REJECT"}:
            return target, f"rule {' '.join(rule.tokens)}"
        found = _fate(filters, target, way, depth + 1) if target and depth < DEPTH else None
        if found or (target and "-g" in rule.tokens):
            return found  # who goes to a chain does not come back to this one
    return None


def _target(rule: Rule, way: _Way) -> str:
    """Where the rule sends all packets of the way; empty where it takes only some of them, or none."""
    target = ""
    for is_not, option, value in options(rule.tokens):
        if option in {"-j", "-g"}:
            target = value
        elif not _takes_all(option, value, way, is_not=is_not):
            return ""
    return target


def _takes_all(option: str, value: str, way: _Way, *, is_not: bool) -> bool:
    """Whether one condition lets every packet of the way through; False where that is not certain."""
    match option:
        case "-i":
            return way.incoming.is_all_of(value, is_not=is_not)
        case "-o":
            return way.outgoing.is_all_of(value, is_not=is_not)
        case "-s" | "-d":
            end = way.source if option == "-s" else way.destination
            return not is_not and any(net.prefixlen == 0 or (end and end.subnet_of(net)) for net in nets(value))
    if option in STATES:
        return (way.state in value.split(",")) is not is_not
    return option in {"--comment", "--reject-with"} or (option, value) in {
        ("-m", "comment"), ("-m", "conntrack"), ("-m", "state"), ("-p", "all")
    }  # fmt: skip
