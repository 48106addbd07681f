"""Whether this machine can carry a lab; everything is asked before anything is touched."""

import ctypes
import ipaddress
import os
import shutil
from pathlib import Path
from typing import Any

from harness.errors import LabError
from harness.lab import network
from harness.lab.cgroups import hierarchies, members
from harness.lab.layout import CLUSTER_NET, Layout
from harness.lab.run import attempt, missing_programs, run
from harness.parse.ipvs import QUESTION, ingress_obstacle

# Debian package of each program, so that the message tells what to install.
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "mount": "mount",
    "modprobe": "kmod",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "ssh-keygen": "openssh-client",
    "chroot": "coreutils",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
}
_NEEDED_BYTES = 6 * 1024**3  # the cache, five engines with their images, and a copy of them
_NEEDED_INOTIFY = 30  # of root's inotify instances: a node's systemd has 3, dbus, logind and containerd one each


def check_machine(layout: Layout, *, direct: bool) -> None:
    """Raise LabError, naming what is missing, unless a lab can run here and none runs yet."""
    check_root()
    if absent := missing_programs(list(PROGRAMS)):
        packages = " ".join(sorted({PROGRAMS[name] for name in absent}))
        raise LabError(f"The lab needs {', '.join(absent)}: apt-get install {packages}.")
    if "overlay" not in Path("/proc/filesystems").read_text() and attempt(["modprobe", "overlay"]).returncode:
        raise LabError("The kernel of this machine has no overlay file system.")
    if not hierarchies():
        raise LabError("This machine has no control groups mounted at /sys/fs/cgroup.")
    _check_space()
    if not members(layout.cgroup):  # what a crash left will give its own back
        _check_inotify()
    check_addresses(layout, str(layout.wire.net))
    if direct:
        check_addresses(layout, CLUSTER_NET)
    _try_network(f"{layout.name}-try")


def ingress_note() -> str:
    """A sentence for the user when this machine's kernel, which the nodes share, cannot carry a routing mesh."""
    obstacle = ingress_obstacle(run(["sh", "-c", QUESTION]).decode())
    return f"note: no swarm port can be published in ingress mode here, for {obstacle}" if obstacle else ""


def check_root() -> None:
    """Raise LabError unless we are root."""
    if os.geteuid() != 0:
        raise LabError("The lab needs root: it makes namespaces, mounts and network links.")


def _check_space() -> None:
    free = shutil.disk_usage("/var").free
    if free < _NEEDED_BYTES:
        needed = _NEEDED_BYTES // 1024**3
        raise LabError(f"The lab needs {needed} GiB free below /var, which has {free / 1024**3:.1f} GiB.")


def _check_inotify() -> None:
    """Without them a node's init gives up at once, and says so only on its console."""
    free = inotify_left(_NEEDED_INOTIFY)
    if free < _NEEDED_INOTIFY:
        raise LabError(
            f"The lab needs {_NEEDED_INOTIFY} of root's inotify instances and this machine has {free} left: "
            "end other labs or containers, or raise sysctl fs.inotify.max_user_instances."
        )


def inotify_left(enough: int) -> int:
    """How many more inotify instances our user may have, counted up to `enough`."""
    libc = ctypes.CDLL(None, use_errno=True)
    opened: list[int] = []
    try:
        while len(opened) < enough and (handle := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
            opened.append(handle)
        return len(opened)
    finally:
        for handle in opened:
            os.close(handle)


def check_addresses(layout: Layout, net: str) -> None:
    """Raise LabError when the machine uses any part of `net` on a link that is not this lab's."""
    used = foreign_use(
        network.ip_json("address", "show"),
        network.ip_json("route", "show"),
        net,
        own={layout.uplink, layout.direct},
    )
    if used:
        raise LabError(f"The lab needs {net}, which this machine already uses ({used}).")


def foreign_use(links: list[dict[str, Any]], routes: list[dict[str, Any]], net: str, own: set[str]) -> str:
    """The first address or route that overlaps `net` on a link not in `own`, or an empty string.

    `links` and `routes` are the answers of `ip -j address` and `ip -j route`.
    """
    wanted = ipaddress.IPv4Network(net)
    uses = [
        (f"{entry['local']}/{entry['prefixlen']}", link["ifname"])
        for link in links
        for entry in link.get("addr_info", [])
        if entry.get("family") == "inet"
    ]
    uses += [(r["dst"], r.get("dev", "?")) for r in routes if r["dst"] != "default"]
    for text, device in uses:
        if device not in own and ipaddress.IPv4Network(text, strict=False).overlaps(wanted):
            return f"{text} on {device}"
    return ""


def _try_network(netns: str) -> None:
    """Make one of each kind of thing the lab is wired with, in a namespace that is thrown away."""
    trials = {
        "veth pairs": ["ip", "-n", netns, "link", "add", "v0", "type", "veth", "peer", "name", "v1"],
        "bridges": ["ip", "-n", netns, "link", "add", "b0", "type", "bridge"],
        "iptables": ["ip", "netns", "exec", netns, "iptables", "-t", "nat", "-S"],
    }
    network.remove_netns(netns)
    if attempt(["ip", "netns", "add", netns]).returncode != 0:
        raise LabError("This machine does not let us make network namespaces.")
    try:
        for what, argv in trials.items():
            if attempt(argv).returncode != 0:
                raise LabError(f"The kernel of this machine has no {what} in a network namespace.")
    finally:
        network.remove_netns(netns)
