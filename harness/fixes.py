"""Actions that many steps need, written once; pure."""

from __future__ import annotations

from harness.actions import Run

# A package may have to be fetched and unpacked on a Pi Zero.
INSTALL_LIMIT = 1200.0


def install(node: str, *packages: str, why: str) -> Run:
    """Install Debian packages without questions, keeping every configuration file that somebody edited."""
    keep = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
    # A timer of the system may be at work with apt: wait for it instead of failing.
    wait = ("-o", "DPkg::Lock::Timeout=300")
    argv = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", *wait, *keep, "install", *packages)
    return Run(node, argv, why, limit=INSTALL_LIMIT, finishes=True)


def start_now_and_at_boot(node: str, unit: str, why: str) -> Run:
    """Enable and start a unit of systemd."""
    return Run(node, ("systemctl", "enable", "--now", unit), why)
