"""The wires of the lab: a network namespace per node, the USB cables, the uplink and the direct wire.

The uplink is a network of three: the controller, the machine, and the lab's internet, which is the controller's
gateway. So nothing that a node sends reaches further than this machine, and nothing depends on its firewall.

A namespace is made anew at each boot, so nothing of a node's network outlives a reboot that would not on
hardware. The controller's ends of cables wait in the hub while the controller has no namespace: the
nodes keep running and keep their addresses, as they do on a ClusterHAT.
"""

import json
from typing import Any

from harness.lab.layout import (
    CONTROLLER,
    DIRECT_ADDRESS,
    DIRECT_CABLE,
    INTERNET_ADDRESS,
    NETNS_HOME,
    NODES,
    PORTS,
    UPLINK_MAC,
    Layout,
    cable_of,
    port_number,
)
from harness.lab.run import attempt, run

_SWITCH = "lan"


def ip_json(*words: str) -> list[dict[str, Any]]:
    """Answer of `ip -j …`, as a list of objects."""
    answer: list[dict[str, Any]] = json.loads(run(["ip", "-j", *words]) or b"[]")
    return answer


def links_in(netns: str | None) -> set[str]:
    """Names of the links in `netns` (None: the machine's own); empty when there is no such namespace."""
    where = () if netns is None else ("-n", netns)
    done = attempt(["ip", "-j", *where, "link", "show"])
    return {link["ifname"] for link in json.loads(done.stdout or b"[]")} if done.returncode == 0 else set()


def make_netns(netns: str) -> None:
    """Make namespace `netns` as a fresh kernel has it: an idle loopback and no forwarding."""
    run(["ip", "netns", "add", netns])
    # A new namespace copies the machine's setting, and a machine with an engine forwards.
    run(["ip", "netns", "exec", netns, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"])


def remove_netns(netns: str) -> None:
    """Remove `netns` with its links; nothing to do when it is not there."""
    for link in links_in(netns) - {"lo"}:
        # By name first: the kernel takes a namespace down later, and a far end would linger until then.
        attempt(["ip", "-n", netns, "link", "del", link])
    if (NETNS_HOME / netns).exists():
        run(["ip", "netns", "del", netns])


def controller_home(layout: Layout) -> str:
    """Namespace that holds the controller's ends of cables now: the controller's, or the hub."""
    home = layout.netns(CONTROLLER)
    return home if (NETNS_HOME / home).exists() else layout.hub


def wire_internet(layout: Layout) -> None:
    """Make the internet's namespace, a switch in it, and the machine's wire to that switch."""
    netns = layout.internet
    make_netns(netns)
    _add_veth(None, layout.uplink, netns, "machine", near_mac=None, far_mac=None)
    commands = (
        f"link add {_SWITCH} type bridge",
        f"link set machine master {_SWITCH}",
        f"address add {INTERNET_ADDRESS}/32 dev {_SWITCH}",
        *(f"link set {link} up" for link in ("lo", "machine", _SWITCH)),
        f"route add {layout.wire.net} dev {_SWITCH}",
        "route add unreachable default",
    )
    for command in commands:
        run(["ip", "-n", netns, *command.split()])
    # A router that knows no further way says so at once; one that does not forward would keep silent.
    run(["ip", "netns", "exec", netns, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    run(["ip", "address", "replace", f"{layout.wire.machine}/30", "dev", layout.uplink])
    run(["ip", "link", "set", layout.uplink, "up"])


def wire_controller(layout: Layout) -> None:
    """Make the controller's namespace with its uplink, and plug in all cables that wait in the hub."""
    netns = layout.netns(CONTROLLER)
    make_netns(netns)
    _add_veth(layout.internet, CONTROLLER, netns, "eth0", near_mac=None, far_mac=UPLINK_MAC)
    run(["ip", "-n", layout.internet, "link", "set", CONTROLLER, "master", _SWITCH, "up"])
    for link in sorted(links_in(layout.hub) - {"lo"}):
        run(["ip", "-n", layout.hub, "link", "set", link, "netns", netns])


def unwire_controller(layout: Layout) -> None:
    """Take the controller's namespace away; its cables wait in the hub."""
    netns = layout.netns(CONTROLLER)
    for link in sorted(links_in(netns) & {*map(cable_of, PORTS), DIRECT_CABLE}):
        run(["ip", "-n", netns, "link", "set", link, "netns", layout.hub])
    remove_netns(netns)


def wire_port(layout: Layout, node: str) -> None:
    """Make the namespace of `node` and its USB cable to the controller."""
    number = port_number(node)
    make_netns(layout.netns(node))
    _add_veth(
        layout.netns(node),
        "usb0",
        controller_home(layout),
        cable_of(node),
        near_mac=f"00:22:82:ff:ff:{number:02x}",
        far_mac=f"00:22:82:ff:fe:{number:02x}",
    )


def unwire_port(layout: Layout, node: str) -> None:
    """Take the namespace of `node` away; its cable vanishes from the controller at once."""
    remove_netns(layout.netns(node))


def wire_direct(layout: Layout) -> None:
    """Give the machine itself a wire into the cluster network; harmless when it has one."""
    if layout.direct not in links_in(None):
        _add_veth(None, layout.direct, controller_home(layout), DIRECT_CABLE, near_mac=None, far_mac=None)
    run(["ip", "address", "replace", f"{DIRECT_ADDRESS}/24", "dev", layout.direct])
    run(["ip", "link", "set", layout.direct, "up"])


def unwire_direct(layout: Layout) -> None:
    """Take the direct wire away; harmless when there is none."""
    attempt(["ip", "link", "del", layout.direct])


def remove_wires(layout: Layout) -> None:
    """Remove every namespace and link of this lab, whatever state they are in."""
    for netns in (*(layout.netns(node) for node in NODES), layout.hub, layout.internet):
        remove_netns(netns)
    for link in {layout.uplink, layout.direct} & links_in(None):
        attempt(["ip", "link", "del", link])


def _add_veth(
    near: str | None, near_name: str, far: str, far_name: str, *, near_mac: str | None, far_mac: str | None
) -> None:
    """One veth pair from namespace `near` (None: the machine's own) to namespace `far`, both ends down."""
    where = () if near is None else ("-n", near)
    own = () if near_mac is None else ("address", near_mac)
    other = () if far_mac is None else ("address", far_mac)
    pair = ("link", "add", near_name, *own, "type", "veth", "peer", "name", far_name, *other, "netns", far)
    run(["ip", *where, *pair])
