"""The documented steps, in documented order. A step is listed here or it does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.steps import arp, fail2ban, hosts, keys, network, power, ssh_config, system, updates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.step import Step

STEPS: tuple[Step, ...] = (power, network, arp, system, updates, hosts, ssh_config, keys, fail2ban)


def name_of(step: Step) -> str:
    """The short name of a step: its module's."""
    return step.__name__.rpartition(".")[2]


def with_needs(names: Iterable[str]) -> tuple[Step, ...]:
    """The steps of these names and all that they need, in documented order."""
    known = {name_of(step): step for step in STEPS}
    wanted, left = set[str](), list(names)
    while left:
        name = left.pop()
        if name not in wanted:
            wanted.add(name)
            left += known[name].NEEDS
    return tuple(step for step in STEPS if name_of(step) in wanted)
