"""States of the documented cluster as the step `boot` sees it when all is well."""

from __future__ import annotations

from harness.node import File
from harness.parse.startup import CRONTABS
from harness.parse.units import Unit
from harness.steps import boot
from harness.steps.boot_jobs import job_of
from harness.steps.boot_scripts import PIPES, TEXT, script_of, volume_of
from tests_harness.fakes import documented_cluster

CLUSTER = documented_cluster()
HUB = CLUSTER.controller.name
CRONTAB = f"{CRONTABS}pi"
RUNS = Unit(is_there=True, is_active=True, is_enabled=True, unmet=())
# What every Debian has.
SYSTEM = {"/etc/crontab": File(b"17 * * * * root run-parts /etc/cron.hourly\n", 0o644, "root:root")}
JOBS = b"# mine\n" + b"".join(f"{job_of(script_of(pipe, CLUSTER))}\n".encode() for pipe in PIPES)


def start_script(pipe: str) -> File:
    """The documented listener."""
    return File(TEXT.format(volume=volume_of(CLUSTER), pipe=pipe).encode(), 0o755, "pi:pi")


def with_crontab(content: bytes, mode: int = 0o600, owner: str = "pi:crontab") -> dict[str, File]:
    """The files that start programs at boot, the user's crontab among them."""
    return SYSTEM | {CRONTAB: File(content, mode, owner)}


def good_boot() -> dict[str, boot.State]:
    """Three scripts and three lines on each node, none on the controller, and cron everywhere."""
    scripts = {script_of(pipe, CLUSTER): start_script(pipe) for pipe in PIPES}
    node = boot.State(scripts, with_crontab(JOBS), RUNS, absent=())
    return {HUB: boot.State({}, SYSTEM, RUNS, absent=())} | {each.name: node for each in CLUSTER.nodes}
