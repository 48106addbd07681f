"""The questions of the benchmark: what a careful person asks of each node with testinfra, and a step that asks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
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
    return {
        **{f"{path} exists": partial(_file, path=path, what="exists") for path in FILES},
        **{f"mode of {path}": partial(_file, path=path, what="mode") for path in FILES},
        **{f"owner of {path}": partial(_file, path=path, what="user") for path in FILES},
        **{f"{unit} runs": partial(_unit, unit=unit, what="is_running") for unit in UNITS},
        **{f"{unit} is enabled": partial(_unit, unit=unit, what="is_enabled") for unit in UNITS},
        **{f"{package} is installed": partial(_package, package=package) for package in PACKAGES},
        **{f"{what} of pi": partial(_user, what=what) for what in ("exists", "shell", "groups", "home")},
        "localhost": lambda host: host.addr("localhost").is_resolvable,
        "process sshd": lambda host: len(host.process.filter(comm="sshd")) > 0,
        "ip_forward": lambda host: host.sysctl("net.ipv4.ip_forward"),
        "root is mounted": lambda host: host.mount_point("/").exists,
        "kernel": lambda host: host.check_output("uname -r"),
    }


def _file(host: Any, path: str, what: str) -> object:  # noqa: ANN401 - testinfra has no types
    return getattr(host.file(path), what)


def _unit(host: Any, unit: str, what: str) -> object:  # noqa: ANN401
    return getattr(host.service(unit), what)


def _package(host: Any, package: str) -> object:  # noqa: ANN401
    return host.package(package).is_installed


def _user(host: Any, what: str) -> object:  # noqa: ANN401
    return getattr(host.user("pi"), what)


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
