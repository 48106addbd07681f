"""States of the documented cluster as the steps `system` and `updates` see it when all is well."""

from __future__ import annotations

from harness.node import File
from harness.parse.account import Account
from harness.parse.clock import Reading
from harness.parse.disk import Space
from harness.parse.oneshot import OneShot
from harness.parse.os_release import Release
from harness.parse.units import Unit
from harness.steps import system, updates
from harness.steps.system_name import Name
from harness.steps.system_user import User
from harness.steps.updates_boot import SCRIPT_PATH, SCRIPT_TEXT, UNIT, UNIT_PATH, UNIT_TEXT, AtBoot, Starter
from tests_harness.fakes import documented_cluster

CLUSTER = documented_cluster()
HUB = CLUSTER.controller.name
OWN_LINES = "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost\n\n127.0.1.1\t{}\n"
PI = User(Account(1000, 1000, "/home/pi", "/bin/bash"), ("pi", "adm", "sudo"), 1000, ("/bin/sh", "/bin/bash"))
RUNS = Unit(is_there=True, is_active=True, is_enabled=True, unmet=())
ABSENT = Unit(is_there=False, is_active=False, is_enabled=False, unmet=())
RAN = OneShot(
    is_there=True, is_enabled=True, is_masked=False, is_running=False, has_run=True, result="success", status=0
)
OURS = Starter(UNIT_PATH, SCRIPT_PATH, UNIT)
FILES = {
    SCRIPT_PATH: File(SCRIPT_TEXT.encode(), 0o755, "root:root"),
    UNIT_PATH: File(UNIT_TEXT.encode(), 0o644, "root:root"),
}
AT_BOOT = AtBoot((OURS,), FILES, RAN, is_new=False)


# As Debian has them: folders, a device, and files.
BASE = {
    **dict.fromkeys(("/", "/etc", "/home"), 0o040755), "/tmp": 0o041777, "/var/tmp": 0o041777,
    "/dev/null": 0o020666, **dict.fromkeys(("/etc/passwd", "/etc/group"), 0o100644),
}  # fmt: skip


def own_name(name: str) -> Name:
    """A machine that knows itself."""
    file, lines = File(f"{name}\n".encode(), 0o644, "root:root"), OWN_LINES.format(name).encode()
    return Name(name, file, File(lines, 0o644, "root:root"))


def good_machine(name: str) -> system.State:
    """The documented card in one machine."""
    return system.State(
        own_name(name), Release("raspbian", "bullseye"), "armhf", 32, PI, RUNS, ABSENT, Reading(100, 50),
        is_writable=True, medium=system.LASTING, space=Space(16_000_000_000, 9_000_000_000, 900_000, 800_000),
        counts_memory=True, base=BASE,
    )  # fmt: skip


def good_system() -> dict[str, system.State]:
    """The documented card in every machine."""
    return {name: good_machine(name) for name in CLUSTER.names}


def good_updates() -> dict[str, updates.State]:
    """Whole packages everywhere, a held engine, and our own update at boot on the controller."""
    engine = {"docker.io": True, "containerd": True, "runc": True}
    return {name: updates.State({}, engine, AT_BOOT if name == HUB else None) for name in CLUSTER.names}
