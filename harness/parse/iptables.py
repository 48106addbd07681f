"""Read the rules of a firewall: `iptables -S [-t TABLE]` and the format of `iptables-save` (runbook L50).

The persistent rules in /etc/iptables/rules.v4 are in the second format. Rules stay lists of words, as
iptables(8) prints them; questions about them are functions.
"""

from __future__ import annotations

import shlex
from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

# A file written by hand may spell options out; iptables itself prints the short ones.
SHORT = {
    "--append": "-A",
    "--source": "-s",
    "--src": "-s",
    "--destination": "-d",
    "--dst": "-d",
    "--in-interface": "-i",
    "--out-interface": "-o",
    "--jump": "-j",
    "--goto": "-g",
}
# A rule with only these conditions beside source and output interface still takes every packet of its source.
HARMLESS = {"--comment", "--to-source", "--random", "--random-fully", "--persistent"}
TRANSLATING = {"MASQUERADE", "SNAT"}
MULTICAST = IPv4Network("224.0.0.0/4")


@dataclass(frozen=True)
class Rule:
    """One appended rule: its chain and the words after it, as ("-s", "172.19.181.0/24", "!", "-o", …)."""

    chain: str
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The rules of one table in their order; `policies` has the built-in chains only."""

    policies: dict[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    def policy(self, chain: str) -> str:
        """ACCEPT or DROP for a built-in chain; ObservationError where the listing has no such chain."""
        if chain not in self.policies:
            raise ObservationError(f"iptables: expected a policy for chain {excerpt(chain)}, found none")
        return self.policies[chain]

    def chain(self, name: str) -> tuple[Rule, ...]:
        """The rules of one chain in order; empty where there are none."""
        return tuple(rule for rule in self.rules if rule.chain == name)


def table(text: str) -> Table:
    """The table that `iptables -S` listed; ObservationError for an empty text or a line of another shape."""
    policies: dict[str, str] = {}
    rules: list[Rule] = []
    lines = list(_words(text))
    for words in lines:
        match words:
            case ["-P", chain, policy, *_]:
                policies[chain] = policy
            case ["-N", _]:
                pass
            case ["-A", chain, *tokens]:
                rules.append(Rule(chain, tuple(tokens)))
            case _:
                raise ObservationError(f"iptables -S: expected -P, -N or -A, got {excerpt(' '.join(words))}")
    if not lines:
        raise ObservationError("iptables -S: expected at least one chain, got an empty listing")
    return Table(policies, tuple(rules))


def tables(text: str) -> dict[str, Table]:
    """The tables of an `iptables-save` text by name; none for a text without any.

    Of two sections for one table the last counts, because iptables-restore empties the table before each.
    Raises ObservationError for a line of another shape, and for a section without COMMIT: iptables-restore
    would not load it.
    """
    found: dict[str, Table] = {}
    name, policies, rules = "", dict[str, str](), list[Rule]()
    for words in _words(text):
        match words:
            case [star] if star.startswith("*") and not name:
                name, policies, rules = star[1:], {}, []
            case [chain, policy, *_] if chain.startswith(":") and name:
                policies |= {chain[1:]: policy} if policy != "-" else {}
            case ["-A", chain, *tokens] if name:
                rules.append(Rule(chain, tuple(tokens)))
            case ["COMMIT"] if name:
                found[name], name = Table(policies, tuple(rules)), ""
            case _:
                raise ObservationError(f"iptables-save: expected a rule, got {excerpt(' '.join(words))}")
    if name:
        raise ObservationError(f"iptables-save: expected COMMIT after table {excerpt(name)}, got the end")
    return found


def masquerades(nat: Table, subnet: IPv4Network, bridge: str, exits: Collection[str] = ()) -> bool:
    """Whether packets of the subnet that leave by another interface than the bridge get a new source address.

    True for a MASQUERADE or SNAT in POSTROUTING whose source covers the subnet, which has no further
    condition, is not for the bridge alone, and is not behind an ACCEPT, RETURN or DROP of the same packets.
    A rule for one exit only counts where the exit is one of `exits` (none given: any will do).
    Chains that POSTROUTING jumps to are not followed. Raises ObservationError for a source that is
    no address.
    """
    found = [match for rule in nat.chain("POSTROUTING") if (match := _match(rule, subnet, bridge))]
    deciding = [match for match in found if match.target in {*TRANSLATING, "ACCEPT", "RETURN", "DROP"}]
    # Where nobody knows the exits, any that a rule names may be one.
    ways = exits or {match.out or "" for match in deciding}
    first = (next((one for one in deciding if one.out is None or is_interface(way, one.out)), None) for way in ways)
    return any(match is not None and match.target in TRANSLATING for match in first)


@dataclass(frozen=True)
class _Match:
    """A rule that takes all packets of the subnet that leave by `out` (None: by any but the bridge)."""

    target: str
    out: str | None


def _match(rule: Rule, subnet: IPv4Network, bridge: str) -> _Match | None:
    target, out = "", None
    for is_not, option, value in options(rule.tokens):
        if option == "-s":
            is_taken = any(subnet.overlaps(net) if is_not else subnet.subnet_of(net) for net in nets(value))
            if is_taken is is_not:
                return None
        elif option == "-o":
            out = None if is_not or value == "+" else value
        elif option == "-j":
            target = value
        elif not _is_harmless(option, value, subnet, is_not=is_not):
            return None
    return None if out is not None and is_interface(bridge, out) else _Match(target, out)


def _is_harmless(option: str, value: str, subnet: IPv4Network, *, is_not: bool) -> bool:
    if option == "-d":
        # `! -d` of the subnet itself only leaves out what does not leave it.
        return is_not and all(net.subnet_of(subnet) or net.subnet_of(MULTICAST) for net in nets(value))
    return option in HARMLESS or (option, value) == ("-m", "comment")


def is_interface(name: str, pattern: str) -> bool:
    """Whether an interface is meant by a name, or by the beginning of one and a plus."""
    return name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern


def options(tokens: Iterable[str]) -> Iterator[tuple[bool, str, str]]:
    """Each option as (negated, option, first value or ""); a further value comes as an option of its own."""
    words = deque(tokens)
    while words:
        is_not = words[0] == "!"
        if is_not:
            words.popleft()
        option = words.popleft() if words else ""
        has_value = bool(words) and (option == "--comment" or not words[0].startswith(("-", "!")))
        yield is_not, SHORT.get(option, option), words.popleft() if has_value else ""


def nets(value: str) -> list[IPv4Network]:
    """The networks of `-s` or `-d`; ObservationError for what is no address."""
    try:
        return [IPv4Network(part, strict=False) for part in value.split(",")]
    except ValueError:
        raise ObservationError(f"iptables: expected an address or network, got {excerpt(value)}") from None


def _words(text: str) -> Iterator[list[str]]:
    for line in filter(None, map(str.strip, text.split("\n"))):
        if line.startswith("#"):
            continue
        try:
            words = shlex.split(line)
        except ValueError:
            raise ObservationError(f"iptables: expected closed quotes, got {excerpt(line)}") from None
        # iptables-save -c puts [packets:bytes] before a rule.
        words = words[1:] if words[0].startswith("[") else words
        yield [SHORT.get(word, word) for word in words[:1]] + words[1:]
