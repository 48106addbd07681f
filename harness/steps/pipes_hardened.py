"""Part of step `pipes`: the listener without `eval` that this project ships, and what it takes to have it; pure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.actions import Run, Write
from harness.steps.boot_scripts import PIPES, is_documented, script_of, volume_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.node import File

SOURCE = Path(__file__).parents[2] / "fixtures" / "app" / "listener"
PROGRAM = "/usr/local/lib/clusterhat/clusterhat_pipe.py"
UNIT = "/etc/systemd/system/clusterhat-pipe@.service"
WHY = "the listener that knows its jobs, without eval"
SHIPPED_PROGRAM = (SOURCE / "clusterhat_pipe.py").read_bytes()
SHIPPED_UNIT = (SOURCE / "clusterhat-pipe@.service").read_text(encoding="utf-8")
SCRIPTS = {pipe: (SOURCE / f"start_{pipe}.sh").read_bytes() for pipe in PIPES}
ONLY_CALLED = "cnat"  # the request of the application, and so the listener, has the controller's name in it


def is_hardened(script: File | None) -> bool:
    """Whether a start script starts the unit."""
    return script is not None and b"clusterhat-pipe@" in script.content


def unit_of(cluster: Cluster) -> bytes:
    """The unit for this cluster's user, hosts and network; for the documented one it is the shipped one."""
    text = SHIPPED_UNIT.replace("User=pi\n", f"User={cluster.os.user}\n")
    text = text.replace("/home/pi/webVolume", volume_of(cluster))
    hosts, subnet = ",".join(node.alias for node in cluster.nodes), str(cluster.subnet)
    options = ("" if hosts == "pi1,pi2,pi3,pi4" else f" --hosts {hosts}") + (
        "" if subnet == "172.19.181.0/24" else f" --subnet {subnet}"
    )
    return text.replace("--group www-data\n", f"--group www-data{options}\n").encode()


def install(node: str, files: Mapping[str, File], cluster: Cluster) -> tuple[Action, ...]:
    """The program, its unit, and the start scripts of the documented names; () where a person wrote one of these."""
    scripts = {pipe: files.get(script_of(pipe, cluster)) for pipe in PIPES}
    if cluster.controller.name != ONLY_CALLED:
        return ()
    if any(
        script and not (is_documented(pipe, script, cluster) or is_hardened(script)) for pipe, script in scripts.items()
    ):
        return ()
    user = cluster.os.user
    wanted = {
        PROGRAM: (SHIPPED_PROGRAM, 0o755, "root:root"), UNIT: (unit_of(cluster), 0o644, "root:root"),
    } | {script_of(pipe, cluster): (SCRIPTS[pipe], 0o755, f"{user}:{user}") for pipe in PIPES}  # fmt: skip
    writes = [
        Write(node, path, files[path].content if path in files else None, content, WHY, mode, owner)
        for path, (content, mode, owner) in wanted.items()
        if path not in files or files[path].content != content
    ]
    return (*writes, Run(node, ("systemctl", "daemon-reload"), "have systemd know the unit"))
