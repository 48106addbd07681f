"""Part of steps `web` and `database`: the containers in which a service of the stack runs on one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.node import NodeAccess

AGE = "ps -o etimes= -p %s"
NAME = "com.docker.swarm.service.name"

# To the swarm a paused container is one that runs.
NOT_HERE = "blame `replicas`; where that is well, somebody paused it: `docker ps -f status=paused` and `docker unpause`"


def running(node: NodeAccess, service: str) -> tuple[str, ...]:
    """The numbers of the running containers of a service here, the oldest first."""
    filters = {"label": [f"{NAME}={service}"], "status": ["running"]}
    found = node.docker().api.containers(filters=filters)
    return tuple(one["Id"] for one in sorted(found, key=lambda one: (one["Created"], one["Id"])))


def still_starting(node: NodeAccess, container: str, deadline: int) -> int:
    """Seconds for which a container may still be starting, of the `deadline` from its start; 0 for one that is gone.

    By the kernel's clock: a Raspberry Pi sets its own only some time after its engine has started.
    """
    pid = node.docker().api.inspect_container(container)["State"]["Pid"]
    code, age, _ = node.run(AGE, str(pid))
    return 0 if code else max(0, deadline - int(age))


def short(number: str) -> str:
    """As Docker itself shows it."""
    return number[:12]
