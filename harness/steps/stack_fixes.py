"""Part of step `stack`: what is wanted of the services here, and the one change that brings it; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import DeployStack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.inventory import Cluster
    from harness.parse.compose import Compose

FILE = "docker-compose-stack.yml"


@dataclass(frozen=True)
class Wanted:
    """The services as they are to be on these machines, and why they differ from the person's file (empty: not)."""

    compose: Compose
    mesh: str


def wanted_stack(obstacles: Mapping[str, str], cluster: Cluster) -> Wanted:
    """The file's services; where a machine's kernel can carry no mesh, with all ports in host mode."""
    compose = cluster.stack.content.compose.of_stack(cluster.stack.name)
    if not obstacles:
        return Wanted(compose, "")
    name, why = next(iter(obstacles.items()))
    return Wanted(compose.in_host_mode(), f"on {name} {why}")


def deploy(mesh: str, cluster: Cluster) -> DeployStack:
    """Deploy the file of the inventory from the controller, where the runbook keeps it (L494)."""
    user, stack = cluster.os.user, cluster.stack
    return DeployStack(
        cluster.controller.name, stack.name, f"/home/{user}/{FILE}", stack.content.digest, mesh, f"{user}:{user}",
        "run the services as the file of the stack says",
    )  # fmt: skip
