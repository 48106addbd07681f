"""The faults of the field, one at a time on the green lab: seen exactly there, mended or left to a person."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from harness.apply import lock_out_others
from harness.lab import NODES
from harness.reach import find_cluster
from harness.session import open_connections
from tests_harness import labkit
from tests_harness.faultkit import Fault, Where, at, drop_in, go, on, prove, prove_nothing_is_left, without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.lab import Lab

pytestmark = pytest.mark.lab
STEPS = ("power", "network", "arp", "hosts")
CHOSEN = ("-k", "power or network or arp or hosts")
HOSTS, LEFT_BESIDE = "/etc/hosts", "/etc/.hosts.hatcheck"
SYSCTL, LATER = "/etc/sysctl.d/99-zz-clusterhat.conf", "/etc/sysctl.d/99-zzz.conf"
UNIT, TOOL = "/etc/systemd/system/clusterhat-nat.service", "/usr/sbin/clusterctrl"
HAT_SAYS = f"mv {TOOL} /root/ && printf '#!/bin/sh\\n%s\\n' '{{}}' > {TOOL} && chmod 755 {TOOL}"
HAT_BACK = f"mv /root/clusterctrl {TOOL}"
PINNED = "ip neigh replace 172.19.181.3 lladdr 00:22:82:ff:ff:{} dev br0 nud {}"
# As with another USB gadget; the first word to the controller lets it learn.
NEW_MAC = (
    "ip link set usb0 down; ip link set usb0 address {} up; ip route replace default via 172.19.181.254; "
    "ping -c 2 -W 2 172.19.181.254"
)
STANZAS = "/etc/network/interfaces"
ALIAS = r"'\nauto usb0:1\niface usb0:1 inet static\n  address 172.19.181.99/24\n'"
DROP_PING = "iptables {} INPUT -p icmp --icmp-type echo-request -j DROP"
FORWARD_NOW, FORWARD_LATER = "net.ipv4.ip_forward", "net.ipv4.ip_forward after a reboot"
NAT_NOW, NAT_LATER = "MASQUERADE for 172.19.181.0/24", "MASQUERADE after a reboot"
PATHS = "ping to and from the others"


def name_of(peer: str, *nodes: str) -> frozenset[Where]:
    return frozenset(("hosts", node, f"address of {peer}") for node in nodes)


def other_names(node: str) -> frozenset[Where]:
    return at("hosts", node, "no other name of the cluster is wrong")


def network(node: str, *aspects: str) -> frozenset[Where]:
    return at("network", node, *aspects)


def later(node: str, damage: str, aspect: str, undo: str = "") -> Fault:
    """What only shows at the next boot, so not to everyday commands."""
    return Fault(node, damage, network(node, aspect), undo=undo, unseen=(f"network[{node}]",))


FAULTS = {
    "hosts: wrong address": Fault("p2", f"sed -i 's/.*pi3$/172.19.181.33 pi3/' {HOSTS}", name_of("pi3", "p2")),
    "hosts: line endings of DOS": Fault("p2", f"sed -i 's/$/\\r/' {HOSTS}"),
    "hosts: DOS and wrong": Fault("p2", f"sed -i 's/.*pi3/1.2.3.4 pi3/; s/\\r*$/\\r/' {HOSTS}", name_of("pi3", "p2")),
    "hosts: last newline lost": Fault(
        "p1", f'sed -i /pi4/d {HOSTS}; printf %s "$(cat {HOSTS})" > {HOSTS}', name_of("pi4", "p1")
    ),
    "hosts: tabs": Fault("p1", f"sed -i 's/^\\(172[^ ]*\\) /\\t\\1\\t\\t/' {HOSTS}"),
    "hosts: a line twice": Fault("p1", f"echo 172.19.181.2 pi2 pi2 >> {HOSTS}"),
    "hosts: two addresses": Fault("p1", f"echo 10.9.9.9 pi2 foreign >> {HOSTS}", name_of("pi2", "p1")),
    "hosts: its own alias leads elsewhere": Fault("p1", f"echo 172.19.181.3 pi1 >> {HOSTS}", other_names("p1")),
    "hosts: a host name leads to another node": Fault(
        "cnat", f"echo 172.19.181.3 p1 mine >> {HOSTS}", other_names("cnat"), after=f"sed -i /mine/d {HOSTS}"
    ),
    "hosts: host names beside the aliases": Fault(
        "p4", f"sed -i 's/^172.*pi\\([123]\\)$/& p\\1/' {HOSTS}; grep -q 'pi3 p3' {HOSTS}",
        after=f"sed -i 's/ p[123]$//' {HOSTS}",
    ),
    "hosts: loopback lost": Fault("p3", f"sed -i /^127.0.0.1/d {HOSTS}", name_of("localhost", "p3")),
    "hosts: IPv6 loopback lost": Fault(
        "p3", f"sed -i /^::1/d {HOSTS}", at("hosts", "p3", "IPv6 loopback has its name")
    ),
    "hosts: mode 600": Fault("p4", f"chmod 600 {HOSTS}", at("hosts", "p4", f"{HOSTS} may be read by everybody")),
    "hosts: programs do not ask it": Fault(
        "p4", "sed -i.was '/^hosts:/s/files//' /etc/nsswitch.conf",
        at("hosts", "p4", "programs find what the file says"), undo="mv /etc/nsswitch.conf.was /etc/nsswitch.conf",
    ),
    "hosts: trailing garbage": Fault("p4", f"head -c 3000 /dev/zero | tr '\\0' '\\377' >> {HOSTS}"),
    "hosts: ten thousand lines": Fault(
        "p1", f"seq 10000 | sed 's/^/10.1.1.1 foreign/' >> {HOSTS}; sed -i /pi4/d {HOSTS}", name_of("pi4", "p1"),
        after=f"[ $(grep -c foreign[0-9] {HOSTS}) = 10000 ] && sed -i /foreign[0-9]/d {HOSTS}",
    ),
    "hosts: a peer on the loopback line": Fault(
        "p1", f"echo ::1 pi2 >> {HOSTS}", name_of("pi2", "p1"), undo=f"sed -i '/^::1 pi2/d' {HOSTS}"
    ),
    "hosts: a link": Fault(
        "p1", f"mv {HOSTS} /etc/real; ln -s real {HOSTS}; sed -i /pi4/d /etc/real", name_of("pi4", "p1"),
        after=f"[ -L {HOSTS} ] && mv -T /etc/real {HOSTS}",
    ),
    "hosts: a folder in its place": Fault(
        "p1", f"mv {HOSTS} /etc/real; mkdir {HOSTS}", unknown=("system[p1]",),
        undo=f"rmdir {HOSTS}; mv /etc/real {HOSTS}",
    ),
    "network: forwarding off": Fault("cnat", "sysctl -qw net.ipv4.ip_forward=0", network("cnat", FORWARD_NOW)),
    "network: sysctl file emptied": later("cnat", f": > {SYSCTL}", FORWARD_LATER),
    "network: a later file says 0": later(
        "cnat", f"echo net.ipv4.ip_forward=0 > {LATER}", FORWARD_LATER, undo=f"rm {LATER}"
    ),
    "network: MASQUERADE deleted": Fault("cnat", "iptables -t nat -F POSTROUTING", network("cnat", NAT_NOW)),
    "network: MASQUERADE overruled": Fault(
        "cnat", "iptables -t nat -I POSTROUTING -s 172.19.181.0/24 -j RETURN", network("cnat", NAT_NOW),
        undo="iptables -t nat -D POSTROUTING -s 172.19.181.0/24 -j RETURN", unseen=("network[cnat]",),
    ),
    "network: unit disabled": later("cnat", "systemctl -q disable clusterhat-nat", NAT_LATER),
    "network: unit edited": later("cnat", f"sed -i s/MASQUERADE/ACCEPT/ {UNIT}", NAT_LATER),
    "network: cable out of the bridge": Fault(
        "cnat", "ip link set ethpi3 nomaster", network("cnat", "ethpi3 is a port of"), unknown=("power[p3]",)
    ),
    "network: somebody shuts the way out": Fault(
        "cnat", "iptables -I FORWARD -i br0 ! -o br0 -j DROP", network("cnat", "FORWARD lets the nodes out"),
        undo="iptables -D FORWARD -i br0 ! -o br0 -j DROP", unseen=("network[cnat]",),
    ),
    "network: default route lost": Fault("p2", "ip route del default", network("p2", "default route")),
    "network: the controller goes out by a node": Fault(
        "cnat", "ip route show default > /root/way; ip route replace default via 172.19.181.1 dev br0",
        network("cnat", "default route"), undo="ip route replace $(cat /root/way); rm /root/way",
    ),
    "network: long packets are lost": Fault("p3", "ip link set dev usb0 mtu 1000", network("p3", "MTU of usb0")),
    "network: FORWARD is DROP": Fault(
        "cnat", "iptables -P FORWARD DROP; iptables -F FORWARD",
        network("cnat", "FORWARD lets the nodes out", "nodes reach each other through it"),
        after="iptables -P FORWARD ACCEPT", unseen=("network[cnat]",),
    ),
    "network: wrong address at the next boot": later(
        "p2", "grep -rl 172.19.181.2 /etc/network /etc/dhcp | xargs sed -i s/172.19.181.2/172.19.181.22/",
        "usb0 after a reboot",
    ),
    "network: an alias at the next boot": later(
        "p3", f"cp {STANZAS} /root/; printf {ALIAS} >> {STANZAS}", "usb0 after a reboot",
        undo=f"mv /root/interfaces {STANZAS}",
    ),
    "network: pings are dropped": Fault(
        "p2", DROP_PING.format("-A"), network("p2", PATHS), undo=DROP_PING.format("-D")
    ),
    "network: Docker took the subnet": Fault(
        "cnat", "ip link add docker9 type bridge; ip addr add 172.19.0.1/16 dev docker9; ip link set docker9 up",
        network("cnat", "no other network overlaps"), undo="ip link del docker9", unseen=("network[cnat]",),
    ),
    "network: a second address": Fault(
        "p3", "ip addr add 172.19.181.99/24 dev usb0", network("p3", "address of usb0"),
        undo="ip addr del 172.19.181.99/24 dev usb0", unseen=("network[p3]",),
    ),
    "network: nothing reads the sysctl files at boot": later(
        "cnat", "systemctl -q mask systemd-sysctl", FORWARD_LATER
    ),
    "network: the sysctl files are read on another machine only": later(
        "cnat", drop_in("systemd-sysctl.service", "[Unit]", "ConditionHost=p9"), FORWARD_LATER,
        undo=without("systemd-sysctl.service"),
    ),
    "network: a blackhole for one peer": Fault(
        "p2", "ip route add blackhole 172.19.181.3", network("p2", "no other network overlaps", PATHS),
        undo="ip route del blackhole 172.19.181.3", unseen=("network[p2]",),
    ),
    "network: ip says nonsense": Fault(
        "p1", "printf '#!/bin/sh\\necho [{;\\n' > /usr/local/sbin/ip; chmod +x /usr/local/sbin/ip",
        unknown=("network[p1]",), undo="rm /usr/local/sbin/ip",
    ),
    "arp: pinned to a stranger": Fault(
        "cnat", PINNED.format("09", "permanent"), at("arp", "cnat", "no wrong MAC is pinned"), unknown=("power[p3]",)
    ),
    "arp: pinned to a neighbour": Fault(
        "cnat", PINNED.format("02", "permanent"),
        at("arp", "cnat", "no wrong MAC is pinned", "every MAC stands for one address"), unknown=("power[p3]",),
    ),
    "arp: pinned without asking ever again": Fault(
        "cnat", PINNED.format("09", "noarp"), at("arp", "cnat", "no wrong MAC is pinned"), unknown=("power[p3]",)
    ),
    "arp: two are pinned": Fault(
        "cnat", f"{PINNED.format('09', 'permanent')}; {PINNED.format('08', 'permanent').replace('.3 ', '.4 ')}",
        at("arp", "cnat", "no wrong MAC is pinned"), unknown=("power[p3]", "power[p4]"),
    ),
    "arp: two are exchanged": Fault(
        "cnat", f"{PINNED.format('04', 'permanent')}; {PINNED.format('03', 'permanent').replace('.3 ', '.4 ')}",
        at("arp", "cnat", "no wrong MAC is pinned"), unknown=("power[p3]", "power[p4]"),
    ),
    "arp: a node pins the controller": Fault(
        "p1", "ip neigh replace 172.19.181.254 lladdr 00:22:82:ff:fe:99 dev usb0 nud permanent",
        unknown=("power[p1]",), undo="ip neigh del 172.19.181.254 dev usb0",
    ),
    "arp: pinned as it should be": Fault(
        "cnat", PINNED.format("03", "permanent"), after="ip neigh del 172.19.181.3 dev br0"
    ),
    "arp: table emptied": Fault("cnat", "ip neigh flush all"),
    "arp: another MAC": Fault(
        "p3", NEW_MAC.format("00:22:82:ff:ff:63"), at("arp", "p3", "MAC of 172.19.181.3 on br0"),
        undo=NEW_MAC.format("00:22:82:ff:ff:03"),
    ),
    "arp: seen on another wire": Fault(
        "cnat", "ip neigh replace 172.19.181.2 lladdr 00:22:82:ff:ff:02 dev eth0 nud reachable",
        at("arp", "p2", "172.19.181.2 is seen on br0 only"), undo="ip neigh del 172.19.181.2 dev eth0",
    ),
    "power: no software": Fault(
        "cnat", f"mv {TOOL} /root/",
        at("power", "cnat", "clusterctrl installed", "clusterhat installed"), undo=HAT_BACK,
        unseen=("power[cnat]",),
    ),
    "power: HAT says nonsense": Fault("cnat", HAT_SAYS.format("echo oops"), unknown=("power[cnat]",), undo=HAT_BACK),
    "power: HAT says nothing": Fault("cnat", HAT_SAYS.format("true"), unknown=("power[cnat]",), undo=HAT_BACK),
    "power: HAT calls living nodes off": Fault(
        "cnat", HAT_SAYS.format("echo p1:0; echo p2:1; echo p3:1; echo p4:1"),
        at("power", "p1", "HAT port p1 powered"), undo=HAT_BACK, unseen=("power[p1]",),
    ),
    "power: no board": Fault(
        "cnat", "mv /run/clusterctrl/board.sock /run/clusterctrl/x", unknown=("power[cnat]",),
        undo="mv /run/clusterctrl/x /run/clusterctrl/board.sock",
    ),
    "power: sshd stopped": Fault("p3", "systemctl stop ssh", unknown=("power[p3]",), undo="systemctl start ssh"),
    "power: sshd masked": Fault(
        "p3", "systemctl -q mask --now ssh", unknown=("power[p3]",),
        undo="systemctl -q unmask ssh; systemctl start ssh",
    ),
    "power: a login that talks": Fault(
        "p3", "cp /home/pi/.bashrc /root/; sed -i '1i head -c 99999 /dev/urandom; echo hello >&2' /home/pi/.bashrc",
        after="cp /root/.bashrc /home/pi/",
    ),
    "power: a login that ends": Fault(
        "p3", "cp /home/pi/.bashrc /root/; sed -i '1i exit 3' /home/pi/.bashrc", unknown=("power[p3]",),
        undo="cp /root/.bashrc /home/pi/",
    ),
    "power: sudo wants a password": Fault(
        "p3", "sed -i 's/NOPASSWD: //' /etc/sudoers.d/010_pi-nopasswd", unknown=("network[p3]",),
        undo="sed -i 's/ALL$/NOPASSWD: ALL/' /etc/sudoers.d/010_pi-nopasswd",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_seen_exactly_there_and_mended_or_left_to_a_person(green: Lab, fault: Fault) -> None:
    prove(green, fault, *STEPS)
    on(green, "cnat", "ip neigh flush all")  # else an address that was silent stays so for some seconds


class TestUnwritable:
    """The change is refused in words, the file stays whole, nothing is left beside it, and the next run mends."""

    @pytest.mark.parametrize(
        ("damage", "undo"),
        [
            pytest.param(f"chattr +i {HOSTS}", f"chattr -i {HOSTS}", id="immutable"),
            pytest.param("mount --bind /etc /etc; mount -o remount,ro,bind /etc", "umount -l /etc", id="read-only"),
            pytest.param(f"mount --bind {HOSTS} {HOSTS}", f"umount -l {HOSTS}", id="mounted"),
            pytest.param(
                "mkdir -p /var/backups/hatcheck; mount -t tmpfs -o size=4k none /var/backups/hatcheck; "
                "head -c 9999 /dev/zero > /var/backups/hatcheck/fill || true",
                "umount -l /var/backups/hatcheck", id="no room for the old bytes",
            ),
        ],
    )  # fmt: skip
    def test_a_file_that_cannot_be_changed_stays_whole(self, green: Lab, damage: str, undo: str) -> None:
        on(green, "p1", f"sed -i /pi4/d {HOSTS}")
        before = on(green, "p1", f"cat {HOSTS}")
        on(green, "p1", damage)
        try:
            said = [go(green, "repair", STEPS).outcome("hosts", "p1").reason for _ in range(2)]
            assert all("is left as it was" in reason for reason in said), said
            assert on(green, "p1", f"cat {HOSTS}; ls {LEFT_BESIDE} 2>/dev/null || true") == before
        finally:
            on(green, "p1", undo)
        assert go(green, "repair", STEPS).code == 0


class TestAtOnceAndKilled:
    def test_a_second_repair_is_refused_in_one_sentence(self, green: Lab, tmp_path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HATCHECK_LAB", green.layout.name)
            with contextlib.closing(open_connections(find_cluster("lab"))) as first:
                lock_out_others(first, "cnat")
                done = labkit.run(tmp_path, "--repair", *CHOSEN)
        assert done.code == 4, done.said
        assert "another repair of this cluster is running" in done.said
        assert "Traceback" not in done.said
        assert labkit.run(tmp_path, "--repair", *CHOSEN).code == 0

    @pytest.mark.parametrize("seconds", [0.9, 1.3, 1.7, 2.4])
    def test_after_a_kill_the_next_repair_finishes_the_work(self, green: Lab, tmp_path: Path, seconds: float) -> None:
        for node in NODES:
            on(green, node, f"sed -i '/pi/d; /foreign/d' {HOSTS}; seq 500 | sed 's/^/10.1.1.1 foreign/' >> {HOSTS}")
        on(green, "cnat", f"rm -f {SYSCTL} {UNIT}; sysctl -qw net.ipv4.ip_forward=0; iptables -t nat -F")
        _kill_midway(green, tmp_path, seconds)
        done = go(green, "repair", STEPS)
        assert done.code == 0, done.said
        assert go(green, "repair", STEPS).applied() == 0
        for node in NODES:
            left = on(green, node, "find /etc /var/backups/hatcheck -name '.*.hatcheck' -o -name '*.part'")
            assert left == "", node
            assert on(green, node, f"grep -c foreign {HOSTS}; sed -i /foreign/d {HOSTS}") == "500\n"

    def test_a_node_that_dies_in_the_middle_ends_no_run(self, green: Lab, tmp_path: Path) -> None:
        with _started(green, tmp_path) as process:
            time.sleep(1.2)
            green.power("p3", on=False)
            assert process.wait(60) in {0, 1, 10}
        try:
            assert labkit.run(tmp_path, "--repair", *CHOSEN).code == 0
        finally:
            green.power("p3", on=True)
            green.up()


@contextlib.contextmanager
def _started(lab: Lab, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--cluster=lab", "--repair"]
    with subprocess.Popen(
        [*command, f"--reports={folder}", *CHOSEN], cwd=labkit.ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "HATCHECK_LAB": lab.layout.name},
    ) as process:  # fmt: skip
        yield process


def _kill_midway(lab: Lab, folder: Path, seconds: float) -> None:
    with _started(lab, folder) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)


def test_nothing_is_left_of_all_this(green: Lab) -> None:
    prove_nothing_is_left(green)
