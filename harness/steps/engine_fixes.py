"""Part of step `engine`: the changes that bring Docker about; none of them removes anything. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Action, Run, Write
from harness.fixes import INSTALL_LIMIT, install
from harness.parse import daemon_json

if TYPE_CHECKING:
    from harness.node import File

UNIT, REQUIRED = "docker.service", ("docker.socket", "containerd.service")
CONFIG = "/etc/docker/daemon.json"
GROUP = "docker"
# The first start on a Pi Zero takes its time; the look that follows decides, not this.
AWAIT = "e=$(($(date +%s)+60)); until docker version >/dev/null 2>&1 || [ $(date +%s) -ge $e ]; do sleep 1; done"
UNITS = "docker.socket docker.service"
START = (
    # Whoever failed to start it five times in a row is refused until the count is set back.
    f"systemctl -q unmask containerd.service {UNITS}; systemctl reset-failed {UNITS} 2>/dev/null; "
    f"systemctl -q enable {UNITS} && systemctl start {UNITS} && {{ {AWAIT}; }}"
)
RESTART = f"systemctl restart docker.service && {{ {AWAIT}; }}"
# Since Debian 13 the command is in a package of its own.
AGAIN = (
    'export DEBIAN_FRONTEND=noninteractive; apt-get -q -y -o DPkg::Lock::Timeout=300 install --reinstall "$1" && '
    "{ command -v docker >/dev/null || apt-get -q -y install docker-cli; }"
)
START_LIMIT = 240.0


def bring(node: str, package: str, *, is_there: bool) -> tuple[Action, ...]:
    """Install the package; where only the command is missing, install it again."""
    why = "run containers"
    if is_there:
        again = ("sh", "-c", AGAIN, "install", package)
        return (Run(node, again, "bring back the command docker", limit=INSTALL_LIMIT, finishes=True),)
    return (install(node, package, why=why), start(node))


def start(node: str) -> Run:
    """Start it now and at every boot, and wait until it answers."""
    return Run(node, ("sh", "-c", START), "have Docker run, now and at boot", limit=START_LIMIT)


def enable(node: str) -> Run:
    """Start it at every boot; what runs is not disturbed."""
    script = f"systemctl -q unmask containerd.service {UNITS} && systemctl -q enable {UNITS}"
    return Run(node, ("sh", "-c", script), "have Docker start at boot")


def let_in(node: str, user: str) -> tuple[Action, ...]:
    """Put a user into Docker's group; it counts from his next login on."""
    return (
        Run(node, ("groupadd", "--force", "--system", GROUP), f"have a group {GROUP}"),
        Run(node, ("usermod", "--append", "--groups", GROUP, user), f"let {user} use Docker"),
    )


def bound_logs(node: str, config: File | None) -> tuple[Action, ...]:
    """Have Docker rotate the logs of new containers; nothing where a person must look at its settings."""
    before = config.content if config else None
    after = daemon_json.with_rotation(before)
    if after is None:
        return ()
    return (
        Write(node, CONFIG, before, after, "bound the log of each new container", 0o644, "root:root"),
        Run(node, ("sh", "-c", RESTART), "have Docker take in its settings", last=True, limit=START_LIMIT),
    )
