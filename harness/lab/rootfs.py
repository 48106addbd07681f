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
    DOCKER_HUB,
    INTERNET_ADDRESS,
    UPLINK_MAC,
    USER,
    Layout,
    Uplink,
    address_of,
)
from harness.lab.mounts import mount_overlay, mounts_below, remove_tree, unmount_below
from harness.lab.run import run

DOCKER_DIRS = ("docker", "containerd")  # bound at /var/lib: overlay2 cannot stack on an overlay
_COPY_SECONDS = 600.0


@dataclass(frozen=True)
class Ground:
    """What a node stands on: the base and the saved cards above it, lowest first.

    A saved card is a directory with the node's `upper` and its docker directories.
    """

    base: str
    layers: tuple[str, ...] = ()


def ground_of(layout: Layout, node: str) -> Ground | None:
    """What `node` was made on; None when it was not made completely, or when that ground is gone."""
    try:
        marker = json.loads((layout.node_state(node) / "made").read_text())
        ground = Ground(marker["base"], tuple(marker["layers"]))
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return ground if all(path.is_dir() for path in _lower(ground)) else None


def make_node(layout: Layout, node: str, ground: Ground, password: str) -> None:
    """Make `node` anew on `ground`: empty upper and docker directories, own name, interfaces and keys.

    A node with layers keeps what they hold, keys included; only the password and the uplink are always the
    lab's. The marker comes last, so what was interrupted is made again.
    """
    state = layout.node_state(node)
    unmount_below(layout.root(node))
    remove_tree(state)
    for name in ("upper", "work", *DOCKER_DIRS):
        (state / name).mkdir(parents=True)
    for name in DOCKER_DIRS if ground.layers else ():  # copied, for an engine's own overlays cannot lie on another
        run(["cp", "--archive", f"{ground.layers[-1]}/{name}/.", state / name], timeout=_COPY_SECONDS)
    mount_root(layout, node, ground)
    root = layout.root(node)
    if not ground.layers:
        _personalise(root, node)
    if node == CONTROLLER:  # the uplink is not the card's: a saved one may come from a lab with other addresses
        _write(root / "etc/network/interfaces.d/uplink", _UPLINK_INTERFACE.format(wire=layout.wire))
    run(["chroot", root, "chpasswd", "--crypt-method", "SHA512"], stdin=f"{USER}:{password}\n".encode())
    (state / "made").write_text(json.dumps(asdict(ground)))


def mount_root(layout: Layout, node: str, ground: Ground) -> None:
    """Mount the root of `node`; nothing to do when it is mounted."""
    root, state = layout.root(node), layout.node_state(node)
    if root in mounts_below(root):
        return
    root.mkdir(parents=True, exist_ok=True)
    lower = _lower(ground)
    for path in lower:
        if not path.is_dir():
            raise LabError(f"{path}, on which {node} stands, is not there; `hatcheck lab down` and up again.")
    mount_overlay(root, lower, state / "upper", state / "work")


def _lower(ground: Ground) -> list[Path]:
    return [Path(ground.base), *(Path(layer) / "upper" for layer in ground.layers)]


def _personalise(root: Path, node: str) -> None:
    for path, text in own_files(node).items():
        _write(root / path, text)
    (root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    run(["ssh-keygen", "-q", "-A", "-f", root], timeout=60)


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(0o644)


def own_files(node: str) -> dict[str, str]:
    """Path (without the first slash) and text of each file that makes a bare `node` itself."""
    return {
        "etc/hostname": f"{node}\n",
        "etc/hosts": hosts_text(node),
        "etc/network/interfaces.d/clusterctrl": interfaces_text(node),
    }


def hosts_text(node: str) -> str:
    """The /etc/hosts of a bare node: itself and no other node (runbook L104-115 fills it).

    The last line is the lab's: without a name server it is how an engine finds the lab's Docker Hub.
    """
    ipv6 = "::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n"
    return f"127.0.0.1\tlocalhost\n{ipv6}\n127.0.1.1\t{node}\n{INTERNET_ADDRESS}\t{DOCKER_HUB}\n"


def interfaces_text(node: str) -> str:
    """The ifupdown stanzas of `node` for the cluster's network."""
    if node == CONTROLLER:
        return _CONTROLLER_INTERFACES
    return _PORT_INTERFACES.format(address=address_of(node))


_PORT_INTERFACES = f"""\
auto usb0
iface usb0 inet static
    address {{address}}/24
    gateway {CONTROLLER_ADDRESS}
"""

_UPLINK_INTERFACE = f"""\
auto eth0
iface eth0 inet static
    address {{wire.controller}}/30
    up ip route replace default via {INTERNET_ADDRESS} dev eth0 onlink
"""

_CONTROLLER_INTERFACES = f"""\
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
