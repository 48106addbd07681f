"""A judge that shares nothing with hatcheck: the shell script `oracle.sh` over plain ssh, through the controller."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.lab import Lab

ORACLE = Path(__file__).with_name("oracle.sh")
SENTENCE = re.compile(r"(\w+) (cnat|p[1-4]) (ok|bad)$", re.MULTILINE)
# One login per node serves many questions; an idle one ends by itself, and a dead one is noticed.
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
  ServerAliveInterval 2
  ServerAliveCountMax 2
  ControlMaster auto
  ControlPath {folder}/%n
  ControlPersist 30
  LogLevel ERROR
"""


def judge(lab: Lab, *steps: str) -> dict[str, bool]:
    """Place as "step[node]" to whether the script finds it good, for the places of these steps that it judges."""
    config = _config(lab)
    askpass = {"SSH_ASKPASS": str(config.with_name("askpass")), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"}
    variables = {**os.environ, **askpass}
    subprocess.run(
        ["ssh", "-F", str(config), "cnat", "true"], env=variables, timeout=30, check=True, stdin=subprocess.DEVNULL
    )
    done = subprocess.run(
        ["sh", str(ORACLE), str(config), *steps],
        env=variables,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=True,
    )
    # A login may talk before the script does.
    said = [(f"{step}[{node}]", word == "ok") for step, node, word in SENTENCE.findall(done.stdout)]
    return {place: all(fine for other, fine in said if other == place) for place, _ in said}


def _config(lab: Lab) -> Path:
    access = lab.access()
    folder = _folder(lab.layout.name)
    config, askpass = folder / "config", folder / "askpass"
    config.write_text(CONFIG.format(address=access.address, known_hosts=access.known_hosts, folder=folder))
    askpass.write_text(f"#!/bin/sh\ncat {lab.layout.password}\n")
    askpass.chmod(0o700)
    return config


@cache
def _folder(_lab: str) -> Path:
    """Short, for sockets live in it; gone with this process."""
    folder = Path(tempfile.mkdtemp(prefix="second-judge-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
