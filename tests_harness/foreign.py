"""Debian packages of other architectures, fetched by an apt of their own: nothing is added to this machine's."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.arch.tree import Entry, Folder, Link, Other, Regular
from harness.errors import LabError
from harness.lab.layout import CACHE_HOME
from harness.lab.run import attempt, missing_programs, run
from harness.lab.sources import machine_sources

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE = "bookworm"
HOME = CACHE_HOME / "foreign"
PACKAGES = ("busybox-static", "dash", "libc6")
PROGRAMS = ("apt-get", "dpkg-deb", "qemu-arm-static")
DOWNLOAD_SECONDS = 300


@dataclass(frozen=True)
class Root:
    """A folder of this machine that holds a foreign file tree."""

    path: Path

    def find(self, path: str, /) -> Entry | None:
        """As a tree of an image: links are not followed here."""
        real = self.path / path.lstrip("/")
        if real.is_symlink():
            return Link(str(real.readlink()))
        if real.is_dir():
            return Folder()
        if real.is_file():
            return Regular(real.read_bytes(), real.stat().st_mode & 0o7777)
        return Other() if real.exists() else None


def why_not() -> str:
    """Why this machine cannot fetch and run foreign programs; empty where it can."""
    if absent := missing_programs(PROGRAMS):
        return f"{', '.join(absent)} is not installed (`make setup`)"
    if not any(folder.is_dir() and os.access(folder, os.W_OK) for folder in (HOME, CACHE_HOME, CACHE_HOME.parent)):
        return f"{HOME} cannot be written: not root"
    return ""


def ensure_root(architecture: str) -> Root:
    """The unpacked packages of an architecture; fetched once, then cached. LabError where that does not work."""
    root = HOME / f"{SUITE}-{architecture}"
    HOME.mkdir(parents=True, exist_ok=True)
    with _locked(HOME):
        if not root.is_dir():
            draft = HOME / f"draft-{architecture}"
            shutil.rmtree(draft, ignore_errors=True)
            _unpack(_download(draft / "apt", architecture), draft / "root")
            (draft / "root").rename(root)
            shutil.rmtree(draft)
    return Root(root)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two test runs at once fetch one after the other."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _download(home: Path, architecture: str) -> list[Path]:
    """Fetch the packages with lists, status and cache of our own, from this machine's sources of Debian."""
    for folder in ("etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/apt.conf.d", "var/lib/apt/lists/partial",
                   "var/cache/apt/archives/partial", "var/lib/dpkg", "debs"):  # fmt: skip
        (home / folder).mkdir(parents=True)
    sources = machine_sources(SUITE)
    if not sources:
        raise LabError(f"This machine has no apt source of Debian {SUITE}.")
    for ending, text in sources.items():
        (home / f"etc/apt/sources.list.d/machine.{ending}").write_text(text)
    (home / "var/lib/dpkg/status").touch()
    # How to get out (a proxy, a certificate) is this machine's business; what is written here is not.
    for file in Path("/etc/apt/apt.conf.d").glob("*"):
        if b"Proxy" in (setting := file.read_bytes()) or b"CaInfo" in setting:
            (home / "etc/apt/apt.conf.d" / file.name).write_bytes(setting)
    options = {
        "Dir": home, "Dir::State::status": home / "var/lib/dpkg/status", "APT::Architecture": architecture,
        "APT::Architectures::": architecture, "APT::Sandbox::User": "root", "Acquire::Retries": 3,
    }  # fmt: skip
    apt = ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    # A mirror that is being changed fails for one of several lists; what counts is that the packages are had.
    attempt([*apt, "update"], timeout=DOWNLOAD_SECONDS)
    # apt downloads into the folder it stands in.
    run(["env", "--chdir", str(home / "debs"), *apt, "download", *PACKAGES], timeout=DOWNLOAD_SECONDS)
    found = sorted((home / "debs").glob("*.deb"))
    if len(found) != len(PACKAGES):
        raise LabError(f"apt downloaded {len(found)} of {len(PACKAGES)} packages for {architecture}.")
    return found


def _unpack(debs: list[Path], root: Path) -> None:
    root.mkdir()
    for deb in debs:
        run(["dpkg-deb", "--extract", deb, root], timeout=120)


def returned(cpu: str, root: Path, *argv: str) -> int:
    """How a program ended on an emulated processor: its exit code, or minus the signal that killed it."""
    done = attempt(["qemu-arm-static", "-cpu", cpu, "-L", root, *argv], timeout=120)
    return done.returncode
