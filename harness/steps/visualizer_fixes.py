"""Part of step `visualizer`: start, wait for, or remove that one service, and no other; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.actions import Run, SettleService
from harness.parse.image_name import full_name

if TYPE_CHECKING:
    from harness.actions import Action
    from harness.inventory import Cluster

# What is called visualizer and is one; anything else of that name may be somebody's work.
KNOWN = {"docker.io/dockersamples/visualizer", "docker.io/alexellis2/visualizer-arm"}
# $1 is the service, $2 the port, then addresses. Its tasks stop after the command has returned; the look that follows
# would find the port still open.
REMOVE = """
docker service rm "$1" || exit 1
port=$2; shift 2; end=$(($(date +%s)+60)); quiet=0
# The program in the container ends first, and a second later the engine closes the port that refuses already.
while [ $quiet -lt 4 ] && [ "$(date +%s)" -lt $end ]; do
  open=$(ss -Hlnt "sport = :$port")
  for address; do
    # 1 is a refusal; a machine too busy to refuse may still have it open.
    timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$address" "$port" 2>/dev/null; [ $? = 1 ] || open=1
  done
  [ "$open" ] && quiet=0 || quiet=$((quiet+1))
  sleep 0.5
done
"""
SOCKET = "/var/run/docker.sock"


def image_of(entry: dict[str, Any]) -> str:
    """The image of a service of `/services`."""
    return str(entry["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"])


def remove(number: str, image: str, cluster: Cluster) -> tuple[Action, ...]:
    """Remove it by its number, and only if what it runs is a visualizer."""
    wanted = cluster.visualizer
    if full_name(image)[0] not in KNOWN | {full_name(wanted.image)[0]}:
        return ()
    addresses = (str(cluster.address(name)) for name in cluster.names)
    argv = ("sh", "-c", REMOVE, "remove", number, str(wanted.port), *addresses)
    return (
        Run(cluster.controller.name, argv, f"remove service {wanted.service}, which is for tests only", limit=90.0),
    )


def start(obstacle: str, cluster: Cluster) -> tuple[Action, ...]:
    """Start it on the controller, where the socket of a manager is; it can only be read there."""
    wanted = cluster.visualizer
    mode = ",mode=host" if obstacle else ""
    argv = (
        "docker", "service", "create", "--detach", "--quiet", "--name", wanted.service,
        "--constraint", f"node.hostname=={cluster.controller.name}",
        "--publish", f"published={wanted.port},target={wanted.target}{mode}",
        "--mount", f"type=bind,source={SOCKET},target={SOCKET},readonly", wanted.image,
    )  # fmt: skip
    because = f", its port in host mode, because {obstacle}" if obstacle else ""
    made = Run(cluster.controller.name, argv, f"start service {wanted.service}{because}", limit=90.0)
    return (made, *settle(cluster))


def settle(cluster: Cluster) -> tuple[Action, ...]:
    """Wait for it."""
    return (SettleService(cluster.controller.name, cluster.visualizer.service, "wait until it stays", limit=180.0),)
