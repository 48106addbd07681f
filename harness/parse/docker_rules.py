"""Which of its own rules Docker would not find in the firewall any more (`iptables -S` of two tables), from 20.10 on.

Newer releases have more chains between FORWARD and DOCKER; all of them have these two, and bring packets there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt
from harness.parse.ip import links
from harness.parse.iptables import masquerades, options, table

if TYPE_CHECKING:
    from collections.abc import Collection
    from ipaddress import IPv4Network

    from harness.parse.iptables import Table

SCRIPT = "iptables -w -S && echo '== nat' && iptables -w -t nat -S && echo '== bridges' && ip -j -4 address show"
CHAIN = "DOCKER"


def lacking(text: str, bridges: Collection[str]) -> tuple[str, ...]:
    """What is missing, each as "no way from FORWARD to DOCKER"; nothing where there is none of the bridges.

    `text` is what `SCRIPT` prints. ObservationError for any other text.
    """
    parts = text.split("\n== ")
    if [part.partition("\n")[0] for part in parts[1:]] != ["nat", "bridges"]:
        raise ObservationError(f"iptables: expected two tables and the addresses, got {excerpt(text)}")
    filters, nat = table(parts[0]), table(parts[1].partition("\n")[2])
    rows = links(parts[2].partition("\n")[2])
    found = {one.name: net for one in rows for net in (each.network for each in one.ipv4 if not each.is_link_local)}
    return _lacking(filters, nat, {name: found[name] for name in bridges if name in found})


def _lacking(filters: Table, nat: Table, subnets: dict[str, IPv4Network]) -> tuple[str, ...]:
    if not subnets:
        return ()
    ways = {"FORWARD": is_reached(filters, "FORWARD"), "PREROUTING of nat": is_reached(nat, "PREROUTING")}
    return (
        *(f"no way from {start} to {CHAIN}" for start, is_there in ways.items() if not is_there),
        *(f"no MASQUERADE for {net} of {name}" for name, net in subnets.items() if not masquerades(nat, net, name)),
    )


def is_reached(rules: Table, start: str) -> bool:
    """Whether a chain sends packets to DOCKER, be it through others. On which conditions is not asked."""
    known, ahead = {start}, [start]
    while ahead:
        for rule in rules.chain(ahead.pop()):
            found = {value for _, option, value in options(rule.tokens) if option in {"-j", "-g"}} - known
            known |= found
            ahead.extend(found)
    return CHAIN in known
