"""Part of step `swarm`: the changes that are safe to make; a swarm is never left, forced or made anew by any. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import JoinSwarm, Run

if TYPE_CHECKING:
    from harness.inventory import Cluster

# $1 is the member; then the new order of managers is waited for, because the look that follows asks it.
END = "e=$(($(date +%s)+60)); until"
LATE = "[ $(date +%s) -ge $e ]; do sleep 1; done"
DEMOTE = (
    f'docker node demote "$1" && {END} [ "$(docker node inspect self -f "{{{{.ManagerStatus.Leader}}}}")" = true ] && '
    f'[ -z "$(docker node inspect "$1" -f "{{{{if .ManagerStatus}}}}still{{{{end}}}}")" ] || {LATE}'
)
PROMOTE = (
    f'docker node promote "$1" && {END} [ "$(docker node inspect "$1" -f '
    f'"{{{{if .ManagerStatus}}}}{{{{.ManagerStatus.Reachability}}}}{{{{end}}}}")" = reachable ] || {LATE}'
)
LIMIT = 90.0


def remote(cluster: Cluster) -> str:
    """Where the manager is asked to let somebody join, and what it advertises."""
    return f"{cluster.controller.address}:{cluster.swarm.port}"


def found(cluster: Cluster) -> Run:
    """Make the swarm. Docker itself refuses where the machine is in one; the token that it prints goes nowhere."""
    listen = f"0.0.0.0:{cluster.swarm.port}"
    argv = ("docker", "swarm", "init", "--advertise-addr", remote(cluster), "--listen-addr", listen)
    return Run(cluster.controller.name, argv, "make a swarm that this machine manages", limit=LIMIT)


def join(name: str, why: str, cluster: Cluster) -> JoinSwarm:
    """Join, or wait for who has joined already."""
    hub = cluster.controller.name
    return JoinSwarm(name, hub, str(cluster.address(name)), remote(cluster), why)


def forget(name: str, number: str, cluster: Cluster) -> Run:
    """Take a dead entry off the list; without --force Docker refuses one that lives."""
    return Run(cluster.controller.name, ("docker", "node", "rm", number), f"forget a dead entry called {name}")


def activate(name: str, number: str, cluster: Cluster) -> Run:
    """Let a member have tasks again."""
    argv = ("docker", "node", "update", "--availability", "active", number)
    return Run(cluster.controller.name, argv, f"give {name} tasks again")


def unlock(cluster: Cluster) -> Run:
    """Have a restarted manager find its key by itself; the swarm goes on meanwhile."""
    argv = ("docker", "swarm", "update", "--autolock=false")
    return Run(cluster.controller.name, argv, "let the swarm come back from a reboot by itself")


def demote(name: str, number: str, cluster: Cluster) -> Run:
    """Make a manager a worker; its tasks go on."""
    return Run(cluster.controller.name, ("sh", "-c", DEMOTE, "demote", number), f"make {name} a worker", limit=LIMIT)


def promote(name: str, number: str, by: str) -> Run:
    """Make the controller a manager again, by another one."""
    return Run(by, ("sh", "-c", PROMOTE, "promote", number), f"make {name} a manager", limit=LIMIT)
