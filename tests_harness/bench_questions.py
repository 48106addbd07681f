"""The questions of the benchmark: what a careful person asks of each node with testinfra, and a step that asks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.step import LookFrom, expect

if TYPE_CHECKING:
    from harness.inventory import Cluster
    from harness.model import Check
    from harness.node import NodeAccess

Question = Callable[[Any], object]
FILES = ("/etc/passwd", "/etc/hosts", "/etc/hostname", "/etc/ssh/sshd_config", "/etc/sudoers.d/010_pi-nopasswd")
UNITS = ("ssh", "cron", "rsyslog", "networking")
PACKAGES = ("openssh-server", "sudo", "cron", "rsyslog", "iproute2", "systemd")


def questions() -> dict[str, Question]:
    """Name to question; a question takes a testinfra host and gives something printable."""
    asked: dict[str, Question] = {}
    for path in FILES:
        asked[f"{path} exists"] = lambda host, path=path: host.file(path).exists
        asked[f"mode of {path}"] = lambda host, path=path: oct(host.file(path).mode)
        asked[f"owner of {path}"] = lambda host, path=path: host.file(path).user
    for unit in UNITS:
        asked[f"{unit} runs"] = lambda host, unit=unit: host.service(unit).is_running
        asked[f"{unit} is enabled"] = lambda host, unit=unit: host.service(unit).is_enabled
    for package in PACKAGES:
        asked[f"{package} is installed"] = lambda host, package=package: host.package(package).is_installed
    asked["user pi"] = lambda host: host.user("pi").exists
    asked["shell of pi"] = lambda host: host.user("pi").shell
    asked["groups of pi"] = lambda host: host.user("pi").groups
    asked["home of pi"] = lambda host: host.user("pi").home
    asked["localhost"] = lambda host: host.addr("localhost").is_resolvable
    asked["process sshd"] = lambda host: len(host.process.filter(comm="sshd")) > 0
    asked["ip_forward"] = lambda host: host.sysctl("net.ipv4.ip_forward")
    asked["root is mounted"] = lambda host: host.mount_point("/").exists
    asked["kernel"] = lambda host: host.check_output("uname -r")
    return asked


NEEDS: tuple[str, ...] = ()
LOOK_FROM: LookFrom = "every node"


@dataclass(frozen=True)
class State:
    """Question to answer, as text."""

    answers: dict[str, str]


def observe(node: NodeAccess) -> State:
    """Ask everything, one question after the other, as a user's own testinfra code would."""
    return State({name: str(ask(node.host)) for name, ask in questions().items()})


def judge(seen: Mapping[str, State], _: Cluster) -> Iterator[Check]:
    """Every question was answered."""
    for node, state in seen.items():
        for name, answer in state.answers.items():
            yield expect(node, name, want=answer or "an answer", seen=answer)
