"""A second judge that shares nothing with hatcheck says the same of bare nodes, of green ones, and of faults."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests_harness.test_lab_faults import NODES, go, shell

if TYPE_CHECKING:
    from harness.lab import Lab

pytestmark = pytest.mark.lab
ORACLE = Path(__file__).with_name("oracle.sh")
HOSTS = "/etc/hosts"
CONFIG = """\
Host cnat
  HostName {address}
Host p1 p2 p3 p4
  ProxyJump cnat
Match host p1
  HostName 172.19.181.1
Match host p2
  HostName 172.19.181.2
Match host p3
  HostName 172.19.181.3
Match host p4
  HostName 172.19.181.4
Host *
  User pi
  UserKnownHostsFile {known_hosts}
  ConnectTimeout 3
  ControlMaster auto
  ControlPath {folder}/%n
  ControlPersist 20
  LogLevel ERROR
"""


@pytest.fixture(scope="module")
def green(lab: Lab) -> Lab:
    done = go(lab, "repair")
    assert done.code == 0, done.said
    return lab


def oracle(lab: Lab, folder: Path) -> dict[str, bool]:
    """Place as "step[node]" to whether the oracle finds it good."""
    access = lab.access()
    folder.mkdir(exist_ok=True)
    config, askpass = folder / "config", folder / "askpass"
    config.write_text(CONFIG.format(address=access.address, known_hosts=access.known_hosts, folder=folder))
    askpass.write_text(f"#!/bin/sh\ncat {lab.layout.password}\n")
    askpass.chmod(0o700)
    variables = {**os.environ, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"}
    command = ["sh", str(ORACLE), str(config)]
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=True)
    finally:
        for node in NODES:
            subprocess.run(["ssh", "-F", str(config), "-O", "exit", node], capture_output=True, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    return {f"{step}[{node}]": word == "ok" for step, node, word in lines}


def hatcheck(lab: Lab) -> dict[str, bool]:
    """The same of hatcheck; a plan also looks behind the first difference."""
    record = go(lab, "plan").record
    assert record
    looked = {str(outcome.place): outcome.checks for outcome in record.outcomes if outcome.checks}
    return {place: all(check.holds for check in found if check.level == "must") for place, found in looked.items()}


def agree(lab: Lab, folder: Path) -> set[str]:
    """The places that both find bad; fails where they contradict each other."""
    ours, theirs = hatcheck(lab), oracle(lab, folder)
    common = ours.keys() & theirs.keys()
    assert {place: ours[place] for place in common} == {place: theirs[place] for place in common}
    return {place for place in common if not ours[place]}


def test_they_agree_on_bare_nodes(bare: Lab, tmp_path: Path) -> None:
    assert agree(bare, tmp_path) == {"network[cnat]", *(f"hosts[{node}]" for node in NODES)}


@pytest.mark.parametrize(
    ("node", "damage", "want"),
    [
        pytest.param("cnat", "true", set(), id="green"),
        pytest.param("cnat", "sysctl -qw net.ipv4.ip_forward=0", {"network[cnat]"}, id="forwarding off"),
        pytest.param("p2", "ip route del default", {"network[p2]"}, id="route lost"),
        pytest.param("p3", f"sed -i 's/.*pi4$/10.9.9.9 pi4/' {HOSTS}", {"hosts[p3]"}, id="wrong address of a name"),
        pytest.param("p1", f"echo 10.9.9.9 pi2 >> {HOSTS}", {"hosts[p1]"}, id="two addresses for a name"),
        pytest.param("cnat", f"sed -i 's/$/\\r/' {HOSTS}", set(), id="line endings of DOS"),
    ],
)
def test_they_agree_after_a_fault(green: Lab, tmp_path: Path, node: str, damage: str, want: set[str]) -> None:
    shell(green, node, damage)
    assert agree(green, tmp_path) == want
    assert go(green, "repair").code == 0
    assert agree(green, tmp_path) == set()
