"""Part of step `system`: the machine knows its own name, now and after a reboot; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Action, Run, Write
from harness.model import Check
from harness.node import File
from harness.parse import hosts
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.inventory import Cluster

PATH = "/etc/hostname"
HOSTS = "/etc/hosts"
# Debian's own address for a machine's name, so that it resolves with no network at all.
OWN, LOOPBACK = "127.0.1.1", "127.0.0.1"


@dataclass(frozen=True)
class Name:
    """The name that the kernel has now, and the two files that keep it; None where there is no such file."""

    live: str
    file: File | None
    hosts: File | None


def judge_name(name: str, seen: Name, cluster: Cluster) -> Iterator[Check]:
    """The host name of the inventory, live and in /etc/hostname, and a line of /etc/hosts for it."""
    known = hosts.names(seen.hosts.content if seen.hosts else b"")
    fix = _fix(name, seen.hosts, cluster)
    found = [address for address in known.get(name, ()) if ":" not in address]
    yield expect(
        name, f"address of {name} for itself", want=OWN, fix=fix,
        seen=OWN if _is_own(found, name, cluster) else ", ".join(found) or "unknown name",
    )  # fmt: skip
    others = [other for other in _others(name, cluster) if OWN in known.get(other, ())]
    yield expect(name, f"{OWN} is no other machine", want="yes", seen=", ".join(others) or "yes", fix=fix)
    # After the line in /etc/hosts: sudo looks the new name up.
    rename = (Run(name, ("hostnamectl", "set-hostname", name), f"call this machine {name}, now and at every boot"),)
    yield expect(name, "host name", want=name, seen=seen.live, fix=rename)
    yield expect(name, "host name after a reboot", want=name, seen=_kept(seen.file), fix=rename)


def _is_own(found: Sequence[str], name: str, cluster: Cluster) -> bool:
    """Its address in the cluster is right as well: some prefer that, and so does MPI; so is that of localhost."""
    ipv4 = [address for address in found if ":" not in address]
    return ipv4 in ([OWN], [LOOPBACK], [str(cluster.address(name))])


def _others(name: str, cluster: Cluster) -> tuple[str, ...]:
    """The names of all machines but this one's; a card that was flashed for another one has its name there."""
    nodes = (each for node in cluster.nodes if node.name != name for each in (node.name, node.alias))
    hub = () if name == cluster.controller.name else (cluster.controller.name,)
    return (*hub, *dict.fromkeys(nodes))


def _fix(name: str, file: File | None, cluster: Cluster) -> tuple[Action, ...]:
    before = file.content if file else b""
    after = hosts.without_names(before, OWN, _others(name, cluster))
    if not _is_own(hosts.names(after).get(name, ()), name, cluster):
        after = hosts.repair(after, {OWN: (name,)})
    mode, owner = (None, None) if file else (0o644, "root:root")
    if after == before:
        return ()
    return (Write(name, HOSTS, file.content if file else None, after, f"let {name} know itself", mode, owner),)


def _kept(file: File | None) -> str:
    """The first line that is no comment, as systemd reads it (hostname(5))."""
    if file is None:
        return f"no {PATH}"
    lines = (line.strip() for line in file.content.decode(errors="backslashreplace").splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "nothing")
