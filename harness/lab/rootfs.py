"""The root file system of a node: the base below, layers above it, the node's own changes on top.

What makes a node itself (name, interfaces, keys) is written here before its first boot, as an imager and
the first boot of the ClusterCTRL images do it.
"""

import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import LabError
from harness.lab.layout import (
    CONTROLLER,
    CONTROLLER_ADDRESS,
    UPLINK_MAC,
    USER,
    Layout,
    Uplink,
    address_of,
)
from harness.lab.mounts import mount_overlay, mounts_below, remove_tree, unmount_below
from harness.lab.run import run

DOCKER_DIRS = ("docker", "containerd")  # bound at /var/lib: overlay2 cannot stack on an overlay


@dataclass(frozen=True)
class Ground:
    """What a node stands on: the base and the saved layers above it, lowest first."""

    base: str
    layers: tuple[str, ...] = ()


def is_made(layout: Layout, node: str, ground: Ground) -> bool:
    """Whether `node` was made completely, and on this very ground."""
    try:
        marker = json.loads((layout.node_state(node) / "made").read_text())
    except (FileNotFoundError, ValueError):
        return False
    return bool(marker == json.loads(json.dumps(asdict(ground))))


def make_node(layout: Layout, node: str, ground: Ground, password: str) -> None:
    """Make `node` anew on `ground`: empty upper and docker directories, own name, interfaces and keys.

    A node with layers keeps what they hold, keys included; only the password is always the lab's.
    The marker comes last, so what was interrupted is made again.
    """
    state = layout.node_state(node)
    unmount_below(layout.root(node))
    remove_tree(state)
    for name in ("upper", "work", *DOCKER_DIRS):
        (state / name).mkdir(parents=True)
    mount_root(layout, node, ground)
    root = layout.root(node)
    if not ground.layers:
        _personalise(root, node, layout.wire)
    run(["chroot", root, "chpasswd", "--crypt-method", "SHA512"], stdin=f"{USER}:{password}\n".encode())
    (state / "made").write_text(json.dumps(asdict(ground)))


def mount_root(layout: Layout, node: str, ground: Ground) -> None:
    """Mount the root of `node`; nothing to do when it is mounted."""
    root, state = layout.root(node), layout.node_state(node)
    if root in mounts_below(root):
        return
    root.mkdir(parents=True, exist_ok=True)
    lower = [Path(ground.base), *map(Path, ground.layers)]
    for path in lower:
        if not path.is_dir():
            raise LabError(f"{path}, on which {node} stands, is not there; `hatcheck lab down` and up again.")
    mount_overlay(root, lower, state / "upper", state / "work")


def _personalise(root: Path, node: str, wire: Uplink) -> None:
    for path, text in own_files(node, wire).items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o644)
    (root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    run(["ssh-keygen", "-q", "-A", "-f", root], timeout=60)


def own_files(node: str, wire: Uplink) -> dict[str, str]:
    """Path (without the first slash) and text of each file that makes a bare `node` itself."""
    return {
        "etc/hostname": f"{node}\n",
        "etc/hosts": hosts_text(node),
        "etc/network/interfaces.d/clusterctrl": interfaces_text(node, wire),
    }


def hosts_text(node: str) -> str:
    """The /etc/hosts of a bare node: itself and nobody else (runbook L104-115 fills it)."""
    ipv6 = "::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n"
    return f"127.0.0.1\tlocalhost\n{ipv6}\n127.0.1.1\t{node}\n"


def interfaces_text(node: str, wire: Uplink) -> str:
    """The ifupdown stanzas of `node`."""
    if node == CONTROLLER:
        return _CONTROLLER_INTERFACES.format(wire=wire)
    return _PORT_INTERFACES.format(address=address_of(node))


_PORT_INTERFACES = f"""\
auto usb0
iface usb0 inet static
    address {{address}}/24
    gateway {CONTROLLER_ADDRESS}
"""

_CONTROLLER_INTERFACES = f"""\
auto eth0
iface eth0 inet static
    address {{wire.controller}}/30
    gateway {{wire.machine}}

auto br0
iface br0 inet static
    bridge_ports regex ethpi.*
    bridge_hw {UPLINK_MAC}
    bridge_stp off
    bridge_waitport 0
    bridge_fd 0
    address {CONTROLLER_ADDRESS}/24
"""


def host_keys(layout: Layout, node: str) -> list[str]:
    """Public ssh host keys of `node` as `type base64`, read from its mounted root."""
    files = sorted((layout.root(node) / "etc/ssh").glob("ssh_host_*_key.pub"))
    return [" ".join(file.read_text().split()[:2]) for file in files]


def known_hosts_text(keys: Mapping[str, Sequence[str]], wire: Uplink) -> str:
    """The known_hosts of the whole lab; `keys` holds the `type base64` keys of each node."""
    lines = []
    for node, own in keys.items():
        names = f"{wire.controller},{address_of(node)}" if node == CONTROLLER else address_of(node)
        lines += [f"{names} {key}\n" for key in own]
    return "".join(lines)


def write_atomically(path: Path, text: str, mode: int) -> None:
    """Write `text` to `path` so that a reader sees the old or the new text, never with a wider mode."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    draft.chmod(mode)
    shutil.move(draft, path)
