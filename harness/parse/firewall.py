"""What a firewall does with a packet: a walk through the rules that `iptables -S` lists (iptables(8))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt
from harness.parse.iptables import is_interface, nets, options

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from ipaddress import IPv4Address

    from harness.parse.iptables import Rule, Table

REFUSALS = {"DROP", "REJECT"}
EPHEMERAL = 32768  # Linux talks from this port on (ip_local_port_range)
DEEPEST = 20  # jumps; the kernel allows no loops, a listing could


@dataclass(frozen=True)
class Packet:
    """The first packet of somebody who wants to talk to a port of this machine; it may come to any of its addresses."""

    source: IPv4Address
    protocol: str
    port: int
    interface: str
    destination: IPv4Address | None = None


@dataclass(frozen=True)
class _Hit:
    """The rule that ends a walk: where it goes, and its chain and words."""

    target: str
    rule: str


def refusal(filters: Table, packet: Packet) -> str:
    """What in INPUT drops or rejects such a packet: "INPUT: -s … -j DROP", "policy of INPUT"; empty where nothing does.

    A condition that is not understood here is never held against the machine: such a rule refuses nothing, and may
    let in. ObservationError for a listing without INPUT, or an address in it that is none.
    """
    hit = _walk(filters, "INPUT", packet, DEEPEST, REFUSALS | {"ACCEPT"}, in_doubt={"ACCEPT"})
    if hit is None:
        return "" if filters.policy("INPUT") == "ACCEPT" else "policy of INPUT"
    return hit.rule if hit.target in REFUSALS else ""


def shortcut(filters: Table, packet: Packet, chain: str) -> str:
    """What accepts such a packet before INPUT hands it to a chain; empty where nothing does, or it is never handed on.

    A rule with a condition that is not understood is taken not to match; errors as for `refusal`.
    """
    if not any(_target(rule) == chain and _is_match(rule, packet) for rule in filters.chain("INPUT")):
        return ""
    hit = _walk(filters, "INPUT", packet, DEEPEST, REFUSALS | {"ACCEPT", chain})
    return hit.rule if hit and hit.target == "ACCEPT" else ""


def _walk(
    filters: Table, chain: str, packet: Packet, depth: int, ends: Collection[str], in_doubt: Collection[str] = ()
) -> _Hit | None:
    """The first rule that sends the packet to one of the ends, None for the end of the chain.

    Where nobody can say whether a rule matches, the walk goes both ways, as long as the packet may meet one of
    `in_doubt`; only these end it then.
    """
    for rule in filters.chain(chain) if depth else ():
        target, is_match = _target(rule), _is_match(rule, packet)
        if target is None or is_match is False or (is_match is None and not in_doubt):
            continue
        open_ends = ends if is_match else in_doubt
        if target in open_ends:
            return _Hit(target, f"{chain}: {' '.join(rule.tokens)}")
        if target == "RETURN":
            if is_match:
                return None
            ends = in_doubt  # what stands below may not be reached
            continue
        hit = _walk(filters, target, packet, depth - 1, open_ends, in_doubt)
        if hit is not None:
            return hit
    return None


def _target(rule: Rule) -> str | None:
    tokens = rule.tokens
    return next((tokens[at + 1] for at, word in enumerate(tokens[:-1]) if word in {"-j", "-g"}), None)


def _is_match(rule: Rule, packet: Packet) -> bool | None:
    """Whether all its conditions are met; None where that hangs on one that is not understood."""
    said = [_truth(is_not, _is_met(option, value, packet)) for is_not, option, value in _conditions(rule)]
    if False in said:
        return False
    return None if None in said else True


def _truth(is_not: bool, is_met: bool | None) -> bool | None:  # noqa: FBT001 - a condition's two halves
    return None if is_met is None else is_met is not is_not


def _is_met(option: str, value: str, packet: Packet) -> bool | None:  # noqa: C901, PLR0911 - a table
    """Whether a condition is met; None where it is not understood."""
    match option:
        case "-p":
            return value in {packet.protocol, "all"}
        case "-s":
            return any(packet.source in net for net in nets(value))
        case "-d" if packet.destination:
            return any(packet.destination in net for net in nets(value))
        case "--dst-type":
            return "LOCAL" in value.split(",")  # all in INPUT is for this machine
        case "-i":
            return is_interface(packet.interface, value)
        case "--sport" | "--sports" if all(_last(part) < EPHEMERAL for part in value.split(",")):
            return False  # who begins to talk does so from a high port
        case "--syn" | "--tcp-flags" | "SYN":
            return True
        case "RST" | "FIN" | "ACK" | "NONE" | "ALL":
            return False  # of the flags the first packet has only SYN
        case "--dport" | "--dports":
            return any(_covers(part, packet.port) for part in value.split(","))
        case "--ctstate" | "--state":
            return "NEW" in value.split(",")
        case "-m" if value in {"tcp", "udp", "multiport", "conntrack", "state", "comment", "addrtype"}:
            return True
        case "--comment" | "--reject-with":
            return True
    return None


def _conditions(rule: Rule) -> Iterator[tuple[bool, str, str]]:
    """Each condition as (negated, option, value); the target and what belongs to it are left out."""
    return (condition for condition in options(rule.tokens) if condition[1] not in {"-j", "-g"})


def _covers(ports: str, port: int) -> bool:
    return _number(ports.partition(":")[0] or "0", ports) <= port <= _last(ports)


def _last(ports: str) -> int:
    first, colon, last = ports.partition(":")
    return _number(last or ("65535" if colon else first), ports)


def _number(text: str, ports: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ObservationError(f"iptables: expected a port or a range, got {excerpt(ports)}") from None
