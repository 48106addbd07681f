"""States of the steps `ssh_config` and `keys` when all is well, with keys that open nothing."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.node import File
from harness.parse.authorized_keys import Key
from harness.steps import keys, ssh_config
from harness.steps.keys_doors import Door, Sshd
from harness.steps.keys_state import SSHD_FILE, Login, Pair, Rights
from harness.steps.keys_trust import called, peers
from harness.steps.ssh_config import Meaning
from tests_harness.fakes import documented_cluster

if TYPE_CHECKING:
    from harness.model import Check

Seen = dict[str, keys.State]
CLUSTER = documented_cluster()
HUB = CLUSTER.controller.name
SSH = "/home/pi/.ssh"
CONFIG = b"".join(b"Host pi%d\n    Hostname pi%d\n    User pi\n" % (number, number) for number in range(1, 5))
SSHD_TEXT = b"# as Debian ships it\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n"

DOOR = Door("yes", (".ssh/authorized_keys", ".ssh/authorized_keys2"), "no")


def public(name: str, kind: str = "ssh-ed25519") -> Key:
    """A public key by the name of whom it belongs to."""
    blob = base64.b64encode(len(kind).to_bytes(4, "big") + kind.encode() + name.encode()).decode()
    return Key((), kind, blob, f"pi@{name}")


def line(name: str, kind: str = "ssh-ed25519") -> bytes:
    """The same as a line of a file."""
    key = public(name, kind)
    return f"{key.kind} {key.blob} {key.comment}\n".encode()


def pair(name: str, file: str = "id_ed25519", kind: str = "ssh-ed25519", mode: int = 0o600) -> Pair:
    """A key pair."""
    return Pair(file, Rights(mode, "pi"), public(name, kind), File(line(name, kind), 0o644, "pi:pi"))


def host_line(name: str, *called_so: str) -> bytes:
    """A line of known_hosts."""
    key = public(f"host of {name}")
    return f"{','.join(called_so)} {key.kind} {key.blob}\n".encode()


def good_ssh_config() -> dict[str, ssh_config.State]:
    """The file of the runbook (L145-159)."""
    meanings = {node.alias: Meaning(node.alias, "pi", node.alias, "pi") for node in CLUSTER.nodes}
    return {HUB: ssh_config.State("pi", "pi", "/home/pi", File(CONFIG, 0o600, "pi:pi"), meanings)}


def good_keys() -> dict[str, keys.State]:
    """Everybody has an ed25519 pair, is let in and known where the runbook says so, and gets through."""
    return {name: _good(name) for name in CLUSTER.names}


def _good(name: str) -> keys.State:
    others = peers(name, CLUSTER)
    key = public(f"host of {name}")
    return keys.State(
        "pi", "pi", "/home/pi", {"/home/pi": Rights(0o755, "pi"), SSH: Rights(0o700, "pi")}, (pair(name),),
        authorized=File(b"".join(map(line, others)), 0o600, "pi:pi"),
        known=File(b"".join(host_line(other, called(other, CLUSTER)) for other in others), 0o600, "pi:pi"),
        host_keys={"/etc/ssh/ssh_host_ed25519_key.pub": File(f"{key.kind} {key.blob}\n".encode(), 0o644, "root:root")},
        sshd=Sshd("", dict.fromkeys(others, DOOR), {SSHD_FILE: File(SSHD_TEXT, 0o644, "root:root")}),
        by_key=True,
        logins={called(other, CLUSTER): Login(0, other) for other in others},
    )  # fmt: skip


def judge(seen: Seen) -> list[Check]:
    return list(keys.judge(seen, CLUSTER))


def damaged(name: str, **changes: Any) -> Seen:  # noqa: ANN401 - fields of a State
    """A good look in which one machine differs; and nobody logged in where that must have failed."""
    seen = good_keys()
    seen[name] = replace(seen[name], **changes)
    return seen


def written(content: bytes, mode: int = 0o600, owner: str = "pi:pi") -> File:
    return File(content, mode, owner)


def sshd(*origins: str, files: dict[str, File] | None = None, **changes: Any) -> Sshd:  # noqa: ANN401 - fields of a Door
    """The sshd of p1, or with origins that of the controller, whose doors for these differ."""
    good = good_keys()[HUB if origins else "p1"].sshd
    doors = good.doors | dict.fromkeys(origins or (HUB,), replace(DOOR, **changes))
    return replace(good, doors=doors, files=files or good.files)
