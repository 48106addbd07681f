"""The lab on this very machine: power, reboots, cables, crashes, and that nothing is left behind."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import LabError
from harness.lab import NODES, PORTS, Lab, address_of, process
from harness.lab import cli as lab_cli
from harness.lab.cgroups import hierarchies, members
from harness.lab.mounts import mounts_below
from tests_harness.labkit import LAB_NAME

pytestmark = pytest.mark.lab
SECONDS = 40.0
CAP_SYS_ADMIN, CAP_SYS_TIME = 1 << 21, 1 << 25


def said(lab: Lab, node: str, script: str) -> str:
    done = lab.exec(node, ["sh", "-c", script], timeout=60)
    assert done.returncode == 0, f"{node}: {script}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


def holds(lab: Lab, node: str, script: str) -> bool:
    """Whether the node runs and `script` succeeds in it."""
    try:
        return lab.exec(node, ["sh", "-c", script], timeout=20).returncode == 0
    except LabError:
        return False


def await_true(question: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not question():
        assert time.monotonic() < deadline, f"within {SECONDS:.0f} s this did not become true: {what}"
        time.sleep(0.1)


def await_ssh(lab: Lab, node: str) -> None:
    script = f"exec 3<>/dev/tcp/{address_of(node)}/22 && read -t 2 -r x <&3 && [[ $x == SSH-* ]]"
    await_true(lambda: holds(lab, "cnat", f"bash -c '{script}'"), f"sshd of {node} sends its banner")


def cables_on_bridge(lab: Lab) -> set[str]:
    return set(said(lab, "cnat", "ls /sys/class/net/br0/brif").split())


def is_running(lab: Lab, node: str) -> bool:
    return {seen.node: seen.is_running for seen in lab.status().nodes}[node]


def board_pid(lab: Lab) -> int:
    pid = lab.status().board_pid
    assert pid is not None
    return pid


def test_all_nodes_run_and_are_who_they_should_be(lab: Lab) -> None:
    for node in NODES:
        assert said(lab, node, "hostname") == node
        assert f"inet {address_of(node)}/24" in said(lab, node, "ip address")


def test_up_again_changes_nothing(lab: Lab) -> None:
    before = board_pid(lab)
    said(lab, "p1", "touch /run/before")
    lab.up()
    assert board_pid(lab) == before
    assert holds(lab, "p1", "test -e /run/before")


def test_a_bare_node_has_nothing_of_the_runbook(bare: Lab) -> None:
    lab = bare
    assert said(lab, "cnat", "cat /proc/sys/net/ipv4/ip_forward") == "0"
    assert "MASQUERADE" not in said(lab, "cnat", "iptables -t nat -S")
    for node in NODES:
        assert "172.19" not in said(lab, node, "cat /etc/hosts")
        assert not holds(lab, node, "test -e /home/pi/.ssh")
        assert not holds(lab, node, "command -v docker || command -v fail2ban-client")


def test_the_arp_table_reads_as_the_documented_one(lab: Lab) -> None:
    for node in PORTS:
        said(lab, "cnat", f"ping -c 1 -W 2 {address_of(node)}")
    assert "? (172.19.181.3) at 00:22:82:ff:ff:03 [ether] on br0" in said(lab, "cnat", "arp -an")


def test_a_node_sees_its_own_links_and_cannot_set_the_machine(lab: Lab) -> None:
    assert set(said(lab, "p1", "ls /sys/class/net").split()) == {"lo", "usb0"}
    assert not holds(lab, "p1", "echo 1 > /proc/sys/kernel/panic")
    for pid in ("1", "self"):  # asked of the capabilities: to try it would be to set the clock
        bounds = said(lab, "p1", f"sed -n 's/^CapBnd:.//p' /proc/{pid}/status")
        assert not int(bounds, 16) & CAP_SYS_TIME
        assert int(bounds, 16) & CAP_SYS_ADMIN


def test_nodes_see_each_other_and_pi_may_ping_and_sudo(lab: Lab) -> None:
    said(lab, "p1", "su - pi -c 'ping -c 1 -W 2 172.19.181.2'")
    assert said(lab, "p1", "su - pi -c 'sudo -n id -un'") == "root"


def test_the_machine_reaches_the_uplink_and_not_the_nodes(lab: Lab) -> None:
    access = lab.access()
    with socket.create_connection((access.address, access.port), 5) as wire:
        assert wire.recv(4) == b"SSH-"
    assert not can_connect("172.19.181.1")
    ways = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert "172.19.181." not in ways
    assert "198.51.100." in ways


def test_the_password_logs_in_and_is_in_no_repr(lab: Lab) -> None:
    paramiko = pytest.importorskip("paramiko")
    access = lab.access()
    assert access.password not in repr(access)
    assert lab.layout.password.stat().st_mode & 0o777 == 0o600
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(access.known_hosts))
        client.connect(
            access.address, access.port, access.user, access.password, look_for_keys=False, allow_agent=False
        )
        assert client.exec_command("hostname")[1].read() == b"cnat\n"


def test_known_hosts_names_the_real_keys_of_all_nodes(lab: Lab) -> None:
    known = lab.access().known_hosts
    for node in NODES:
        offered = said(lab, "cnat", f"ssh-keyscan -t ed25519 {address_of(node)} 2>/dev/null").split()[2]
        found = subprocess.run(
            ["ssh-keygen", "-F", address_of(node), "-f", known], capture_output=True, text=True, check=True
        )
        assert offered in found.stdout


def test_exec_passes_stdin_output_and_exit_code(lab: Lab) -> None:
    done = lab.exec("p2", ["sh", "-c", "cat; echo no >&2; exit 7"], stdin=b"\x00yes\xff")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"\x00yes\xff", b"no\n")


def test_exec_that_takes_too_long_is_ended(lab: Lab) -> None:
    with pytest.raises(LabError, match="did not end within 1 s"):
        lab.exec("p2", ["sleep", "4711"], timeout=1)
    await_true(lambda: not holds(lab, "p2", "ps -C sleep"), "nothing of it is left in the node")


def test_the_command_line_passes_the_exit_code_through(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    name = lab.layout.name
    assert lab_cli.main(["--lab", name, "exec", "p1", "--", "sh", "-c", "echo out; exit 9"]) == 9
    assert capfd.readouterr().out == "out\n"
    assert lab_cli.main(["--lab", name, "status"]) == 0
    assert "p4    power on   running" in capfd.readouterr().out


def test_status_of_the_hat_has_the_documented_lines(lab: Lab) -> None:
    text = said(lab, "cnat", "su - pi -c 'clusterhat status'")
    answers = dict(line.split(":", 1) for line in text.splitlines())
    assert answers["hat_version"] == "2.6"
    assert [answers[node] for node in PORTS] == ["1", "1", "1", "1"]
    assert list(answers)[-4:] == list(PORTS)


def test_clusterctrl_answers_wrong_use_as_the_real_one(lab: Lab) -> None:
    assert said(lab, "cnat", "clusterctrl whatever") == "Error: Missing arguments"
    done = lab.exec("cnat", ["clusterctrl", "on", "p9"])
    assert (done.returncode, done.stdout) == (1, b"ERROR: Valid options are p1-p4\n")
    done = lab.exec("cnat", ["su", "-s", "/bin/sh", "nobody", "-c", "clusterctrl status"])
    assert (done.returncode, done.stdout) == (1, b"ERROR: No ClusterHAT/CTRL devices found\n")


def test_power_off_pulls_the_cable_and_on_brings_it_back(lab: Lab) -> None:
    said(lab, "p2", "echo kept > /root/file; touch /run/before; sync")
    said(lab, "cnat", "clusterctrl off p2")
    assert "p2:0" in said(lab, "cnat", "clusterctrl status").splitlines()
    assert not is_running(lab, "p2")
    assert not holds(lab, "cnat", "test -e /sys/class/net/ethpi2")
    said(lab, "cnat", "clusterctrl on p2")
    assert "p2:1" in said(lab, "cnat", "clusterctrl status").splitlines()
    await_ssh(lab, "p2")
    assert "ethpi2" in cables_on_bridge(lab)
    assert said(lab, "p2", "cat /root/file") == "kept"
    assert not holds(lab, "p2", "test -e /run/before")


def test_poweroff_inside_leaves_the_port_powered_until_off_and_on(lab: Lab) -> None:
    said(lab, "p3", "systemctl poweroff")
    await_true(lambda: not is_running(lab, "p3"), "p3 is halted")
    assert "p3:1" in said(lab, "cnat", "clusterctrl status").splitlines()
    said(lab, "cnat", "clusterctrl on p3")
    assert not is_running(lab, "p3"), "a powered port is left alone"
    said(lab, "cnat", "clusterctrl off p3; clusterctrl on p3")
    await_ssh(lab, "p3")


def test_a_reboot_wipes_what_was_not_on_disk_and_keeps_files(lab: Lab) -> None:
    said(lab, "p1", "iptables -A INPUT -s 192.0.2.1 -j DROP; ip address add 192.0.2.9/32 dev usb0")
    said(lab, "p1", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo kept > /root/file; touch /run/before")
    said(lab, "p1", "systemctl reboot")
    await_true(lambda: holds(lab, "p1", "test ! -e /run/before"), "p1 booted again")
    await_ssh(lab, "p1")
    assert "192.0.2" not in said(lab, "p1", "iptables -S; ip address")
    assert said(lab, "p1", "cat /proc/sys/net/ipv4/ip_forward") == "0"
    assert said(lab, "p1", "cat /root/file") == "kept"


def test_a_reboot_of_the_controller_brings_all_cables_back_and_spares_the_nodes(bare: Lab) -> None:
    lab = bare
    said(lab, "p4", "touch /run/before")
    said(lab, "cnat", "touch /run/before; iptables -t nat -A POSTROUTING -j MASQUERADE; systemctl reboot")
    await_true(lambda: holds(lab, "cnat", "test ! -e /run/before"), "cnat booted again")
    await_ssh(lab, "p4")
    await_true(lambda: cables_on_bridge(lab) == {"ethpi1", "ethpi2", "ethpi3", "ethpi4"}, "cables are back")
    assert "MASQUERADE" not in said(lab, "cnat", "iptables -t nat -S")
    assert holds(lab, "p4", "test -e /run/before")
    said(lab, "cnat", "clusterctrl status | grep -q p4:1")


def test_a_package_installs_offline_and_a_reset_makes_the_node_new(lab: Lab) -> None:
    key = said(lab, "p1", "cat /etc/ssh/ssh_host_ed25519_key.pub")
    done = lab.exec("p1", ["apt-get", "install", "--yes", "fail2ban"], timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    assert holds(lab, "p1", "fail2ban-client --version")
    lab.reset("p1")
    assert not holds(lab, "p1", "command -v fail2ban-client")
    new_key = said(lab, "p1", "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert new_key != key.split()[1]
    assert new_key in lab.access().known_hosts.read_text()


def test_sshd_messages_reach_the_authentication_log(lab: Lab) -> None:
    said(lab, "p2", "logger -p auth.info -t sshd hatcheck-was-here")
    await_true(lambda: holds(lab, "p2", "grep -q hatcheck-was-here /var/log/auth.log"), "auth.log has it")


def test_direct_wiring_comes_survives_a_controller_reboot_and_goes(lab: Lab) -> None:
    lab.up(direct=True)
    assert lab.access().is_direct
    await_true(lambda: can_connect("172.19.181.2"), "the machine reaches p2")
    said(lab, "cnat", "touch /run/before; systemctl reboot")
    await_true(lambda: holds(lab, "cnat", "test ! -e /run/before"), "cnat booted again")
    await_true(lambda: can_connect("172.19.181.2"), "the machine reaches p2 again")
    lab.up(direct=False)
    assert not can_connect("172.19.181.2")


def can_connect(address: str) -> bool:
    """Whether an sshd answers: a gateway of the machine may accept connections to anywhere."""
    try:
        with socket.create_connection((address, 22), 1) as wire:
            wire.settimeout(1)
            return wire.recv(4) == b"SSH-"
    except OSError:
        return False


def test_up_recovers_from_a_killed_board_and_keeps_files(lab: Lab) -> None:
    said(lab, "p2", "echo kept > /root/file; sync")
    os.kill(board_pid(lab), signal.SIGKILL)
    await_true(lambda: process.board_pid(lab.layout) is None, "the board is gone")
    with pytest.raises(LabError, match="not up"):
        lab.access()
    lab.up()
    assert said(lab, "p2", "cat /root/file") == "kept"
    assert cables_on_bridge(lab) == {"ethpi1", "ethpi2", "ethpi3", "ethpi4"}


def test_up_recovers_from_an_up_that_was_killed(lab: Lab) -> None:
    lab.down()
    program = "import sys; from harness.lab import Lab; Lab(sys.argv[1]).up()"
    starter = subprocess.Popen([sys.executable, "-c", program, LAB_NAME])
    await_true((lab.layout.state / "nodes" / "p1").exists, "the killed `up` is half way")
    starter.kill()
    starter.wait()
    lab.up()
    for node in NODES:
        assert said(lab, node, "hostname") == node


def test_a_taken_network_is_refused_before_anything_is_touched(lab: Lab) -> None:
    other = Lab("hatlab-other")
    wire = other.layout.wire
    subprocess.run(["ip", "link", "add", "hatother0", "type", "veth", "peer", "name", "hatother1"], check=True)
    try:
        subprocess.run(["ip", "address", "add", f"{wire.machine}/30", "dev", "hatother0"], check=True)
        with pytest.raises(LabError, match=f"needs {wire.net}, which this machine already uses"):
            other.up()
    finally:
        subprocess.run(["ip", "link", "del", "hatother0"], check=True)
    assert not other.layout.state.exists()
    assert lab.status().is_up


def test_down_leaves_nothing_even_without_a_board(lab: Lab) -> None:
    os.kill(board_pid(lab), signal.SIGKILL)
    lab.down()
    lab.down()
    assert leftovers(lab) == []
    with contextlib.redirect_stdout(io.StringIO()) as out:
        lab_cli.main(["--lab", LAB_NAME, "status"])
    assert out.getvalue() == f"lab {LAB_NAME}: down\n"


def leftovers(lab: Lab) -> list[str]:
    found = [str(path) for path in (lab.layout.state, lab.layout.runtime) if path.exists()]
    found += [str(top / lab.layout.cgroup) for top in hierarchies() if (top / lab.layout.cgroup).exists()]
    found += [str(point) for point in mounts_below(lab.layout.runtime)]
    found += [str(path) for path in Path("/run/systemd/nspawn").glob(f"*/{LAB_NAME}*")]
    found += [str(pid) for pid in members(lab.layout.cgroup)]
    for argv in (["ip", "netns", "list"], ["ip", "-o", "link"], ["ps", "-eo", "args"]):
        seen = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        found += [line for line in seen.splitlines() if LAB_NAME in line and "pytest" not in line]
    return found
