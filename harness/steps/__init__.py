"""The documented steps, in documented order. A step is listed here or it does not exist.

A step's module is loaded when it is first asked for: who looks at `hosts` does not wait for what `images` needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.step import Step
    from harness.steps import (
        arp,
        boot,
        database,
        engine,
        fail2ban,
        hosts,
        images,
        keys,
        labels,
        mpi,
        network,
        pipes,
        power,
        replicas,
        ssh_config,
        stack,
        swarm,
        system,
        updates,
        visualizer,
        web,
    )

    # Only for mypy, which holds each of them against the protocol; test_walls.py holds it against the names below.
    CHECKED: tuple[Step, ...] = (
        power, network, arp, system, updates, hosts, ssh_config, keys, fail2ban,
        engine, images, swarm, labels, stack, replicas, web, database, visualizer, pipes, boot, mpi,
    )  # fmt: skip

STEPS: tuple[str, ...] = (
    "power", "network", "arp", "system", "updates", "hosts", "ssh_config", "keys", "fail2ban",
    "engine", "images", "swarm", "labels", "stack", "replicas", "web", "database", "visualizer", "pipes", "boot", "mpi",
)  # fmt: skip


def load(name: str) -> Step:
    """The step of this name, which is one of STEPS."""
    return cast("Step", import_module(f"{__name__}.{name}"))


def name_of(step: Step) -> str:
    """The short name of a step: its module's."""
    return step.__name__.rpartition(".")[2]


def with_needs(names: Iterable[str]) -> tuple[Step, ...]:
    """The steps of these names and all that they need, in documented order."""
    found: dict[str, Step] = {}
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found[name] = load(name)
            left += found[name].NEEDS
    return tuple(found[name] for name in STEPS if name in found)
