"""Part of step `engine`: the rules that Docker writes into the firewall; without them no container gets out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.parse import docker_rules
from harness.step import expect
from harness.steps.engine_fixes import CONFIG

if TYPE_CHECKING:
    from harness.model import Check
    from harness.node import NodeAccess
    from harness.steps.engine_told import Told

# Docker's own, and the one by which the tasks of a swarm get out.
OWN, SWARM = "docker0", "docker_gwbridge"


def look(node: NodeAccess, told: Told) -> tuple[str, ...] | None:
    """What is missing; None where it shall not write any of these."""
    names = bridges(told)
    return None if names is None else docker_rules.lacking(node.ask(docker_rules.SCRIPT, root=True), names)


def bridges(told: Told) -> tuple[str, ...] | None:
    """The bridges that have rules, where they are; since 29 it can write those of nftables, too."""
    if told.is_off("iptables") or told.setting("firewall-backend") == "nftables":
        return None
    return (SWARM,) if told.is_off("ip-masq") else (OWN, SWARM)


def judge(name: str, lacks: tuple[str, ...] | None, told: Told, obstacle: str) -> list[Check]:
    """Docker writes them when it starts, and never looks again; no check where nobody asked."""
    # To restart it ends the containers of the machine: that is for a person to choose.
    anew = "`sudo systemctl restart docker` writes them anew (the containers of this machine start again)"
    seen, by_hand = f"no: {', '.join(lacks or ())}" if lacks else "yes", anew
    if told.is_off("iptables"):
        seen = "no: iptables is false, so it writes none"
        by_hand = f"take iptables out of {CONFIG}, or off the unit's command line; then {anew}"
    elif lacks is None:
        return []
    return [
        expect(
            name, "Docker's rules are in the firewall", want="yes", seen=seen,
            by_hand=f"{obstacle}; then {by_hand}" if obstacle else by_hand,
        )
    ]  # fmt: skip
