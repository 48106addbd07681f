"""The base that all nodes stand on, and the apt repository they install from; built once and cached.

The cache is keyed by what determines the content: the guest directory, the processor, and the code here.
"""

import hashlib
import platform
import shutil
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import LabError
from harness.lab.cache import Say, ensure_entry
from harness.lab.layout import CACHE_HOME, GUEST_REPOSITORY, I2C_GID, USER
from harness.lab.registry import Registry, make_certificate, unpack_program
from harness.lab.repository import download_packages, write_index
from harness.lab.run import run
from harness.lab.sources import machine_sources

GUEST = Path(__file__).parent / "guest"
_BUILD_SECONDS = 1800.0
_NO_DOCUMENTS = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True)
class Base:
    """A complete base in the cache."""

    home: Path

    @property
    def root(self) -> Path:
        """The root file system."""
        return self.home / "root"

    @property
    def repository(self) -> Path:
        """The local apt repository."""
        return self.home / "debs"

    @property
    def registry(self) -> Registry:
        """What Docker Hub runs on, and the certificate that the root trusts."""
        return Registry(self.home)


def recipe() -> dict[str, Any]:
    """The lists of guest/packages.toml."""
    return tomllib.loads((GUEST / "packages.toml").read_text())


def cache_key() -> str:
    """Hash of everything that determines the base: each guest file, the processor, and this build code."""
    digest = hashlib.sha256(platform.machine().encode())
    files = [file for file in sorted(GUEST.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
    code = [GUEST.parent / name for name in ("base.py", "registry.py", "repository.py")]
    for file in [*files, *code]:
        digest.update(f"\0{file.relative_to(GUEST.parent)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def cached_base() -> Base:
    """Where the base of this version is, or will be."""
    return Base(CACHE_HOME / f"base-{cache_key()}")


def ensure_base(say: Say) -> Base:
    """Return the base, built now when the cache has none. LabError with the last words of what failed."""
    base = cached_base()
    ensure_entry(base.home, lambda draft: _build(Base(draft), say), say)
    return base


def _build(base: Base, say: Say) -> None:
    base.root.mkdir()
    base.repository.mkdir()
    lists = recipe()
    for text, step in (
        ("bootstrapping the base system (once, about a minute)", _bootstrap),
        ("downloading the packages that nodes install offline", _fill_repository),
        ("setting up the base system", _customise),
    ):
        say(f"{text} …")
        began = time.monotonic()
        step(base, lists)
        say(f"  … done in {time.monotonic() - began:.0f} s")


def _bootstrap(base: Base, lists: dict[str, Any]) -> None:
    sources = [base.home / f"sources.{ending}" for ending in machine_sources(lists["suite"])]
    for file, text in zip(sources, machine_sources(lists["suite"]).values(), strict=True):
        file.write_text(text)
    excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in _NO_DOCUMENTS]
    # Neither the build nor its mounts may outlive us: setpriv has the kernel end it when we are killed,
    # and what it mounts (proc, sys, dev) is in a mount namespace of its own.
    argv = ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount"]
    argv += ["mmdebstrap", "--mode=root", "--variant=minbase"]
    argv += ["--skip=cleanup/apt", *excludes, f"--include={','.join(lists['base'])}"]
    argv += [lists["suite"], str(base.root), *map(str, sources)]
    run(argv, timeout=_BUILD_SECONDS)


def _fill_repository(base: Base, lists: dict[str, Any]) -> None:
    download_packages(base.root, base.repository, lists["repository"], _BUILD_SECONDS)
    write_index(base.repository)


def _customise(base: Base, lists: dict[str, Any]) -> None:
    """Turn a plain Debian into what a node boots from: no mirror, the guest files, user pi, few units."""
    root = base.root
    for leftover in (
        root / "etc/apt/sources.list.d",
        root / "var/lib/apt/lists",
        root / "var/cache/apt/archives",
    ):
        shutil.rmtree(leftover, ignore_errors=True)
    for empty in ("etc/apt/sources.list.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (root / empty).mkdir(parents=True)
    install_guest_files(root)
    for unit in lists["masked"]:
        _mask(root / "etc/systemd/system" / unit)
    for name in lists["sysctl_masked"]:
        _mask(root / "etc/sysctl.d" / name)
    adapt_settings(root)
    _add_user(root, lists["groups"])
    _forget_identity(root)
    unpack_program(base.repository, base.registry)
    make_certificate(root, base.registry)
    # The lists are of the repository where nodes see it, so apt has to see it there too.
    argv = ["systemd-nspawn", "--quiet", f"--directory={root}", "--register=no", "--keep-unit"]
    argv += ["--resolv-conf=off", "--timezone=off", f"--bind-ro={base.repository}:{GUEST_REPOSITORY}"]
    run([*argv, "apt-get", "update"], timeout=120)


def install_guest_files(root: Path) -> None:
    """Copy guest/rootfs over `root`: programs (a first line #!) 0755, sudoers 0440, the rest 0644."""
    source = GUEST / "rootfs"
    for file in sorted(source.rglob("*")):
        target = root / file.relative_to(source)
        if file.is_dir():
            target.mkdir(exist_ok=True)
            continue
        content = file.read_bytes()
        target.unlink(missing_ok=True)
        target.write_bytes(content)
        target.chmod(0o755 if content.startswith(b"#!") else 0o440 if "sudoers.d" in target.parts else 0o644)
    (root / "usr/sbin/clusterhat").symlink_to("clusterctrl")


def _mask(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/null")


def adapt_settings(root: Path) -> None:
    """Change the few packaged files in which a Raspberry Pi OS, or a node without a kernel, differs."""
    users, everyone = "/usr/local/bin:/usr/bin:/bin", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    # Users of a Raspberry Pi OS have sbin in their path, and `clusterctrl` is there.
    _replace(root / "etc/profile", f'  PATH="{users}:', f'  PATH="{everyone}:')
    _replace(root / "etc/login.defs", f"ENV_PATH\tPATH={users}:", f"ENV_PATH\tPATH={everyone}:")
    # The kernel's log is the machine's, not the node's.
    _replace(root / "etc/rsyslog.conf", 'module(load="imklog")', '#module(load="imklog")')


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if old not in text:
        raise LabError(f"{path} of the base does not hold {old.strip()!r} any more; adapt harness/lab/base.py.")
    path.write_text(text.replace(old, new))


def _add_user(root: Path, groups: list[str]) -> None:
    in_root = ["chroot", str(root)]
    run([*in_root, "groupadd", "--force", "--system", "--gid", str(I2C_GID), "i2c"])
    for group in groups:
        run([*in_root, "groupadd", "--force", "--system", group])
    account = ["--create-home", "--uid", "1000", "--shell", "/bin/bash", "--groups", ",".join(groups), USER]
    run([*in_root, "useradd", *account])


def _forget_identity(root: Path) -> None:
    """What each node gets of its own must not come from the machine that built the base."""
    for path in [root / "etc/hostname", *(root / "etc/ssh").glob("ssh_host_*")]:
        path.unlink(missing_ok=True)
