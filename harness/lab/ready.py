"""The ready lab: what `pytest --repair` makes of five bare nodes, saved, so that it need not be made each time.

Nothing but our own repair makes it, from bare, in one run that must end green. What is saved is each node's card
(with its own host keys and machine id), its docker directories, and what was pushed to Docker Hub: all of it after
a clean power-off, so that no database or swarm state is caught half-written. It is keyed by the base, the images,
and every file that decides what a repair does.
"""

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import harness
from harness.errors import LabError
from harness.lab.base import Base
from harness.lab.cache import Say, locked
from harness.lab.images import Images
from harness.lab.layout import CACHE_HOME, NODES, Layout
from harness.lab.mounts import remove_tree
from harness.lab.node import execute
from harness.lab.rootfs import DOCKER_DIRS
from harness.lab.run import run

_PROJECT = Path(harness.__file__).parent.parent
_SOURCES = ("harness", "tests_infra", "tests_app", "fixtures/app")
_OTHER = ("harness/lab/", "harness/report/")  # the lab is in the base's key, and a report changes no node
_DAYS = 30.0  # the certificates of a swarm's nodes last for 90
_REPAIR_SECONDS = 1800.0
_HALT_SECONDS = 120.0
_SAVE_SECONDS = 600.0


@dataclass(frozen=True)
class Ready:
    """A saved green cluster in the cache."""

    home: Path

    def card(self, node: str) -> Path:
        """What `node` had: its `upper` and its docker directories."""
        return self.home / node

    @property
    def store(self) -> Path:
        """What was pushed to Docker Hub."""
        return self.home / "registry"

    def is_usable(self) -> bool:
        """Whether it is there and not so old that what it holds may have expired."""
        try:
            age = time.time() - (self.home / "made").stat().st_mtime
        except FileNotFoundError:
            return False
        return 0 <= age < _DAYS * 86400


def cached_ready(base: Base, images: Images) -> Ready:
    """Where the green cluster of this version, on `base` and with `images`, is or will be."""
    digest = hashlib.sha256(f"{base.home.name}\0{images.home.name}".encode())
    for file in deciding_files():
        digest.update(f"\0{file.relative_to(_PROJECT)}\0".encode())
        digest.update(file.read_bytes())
    return Ready(CACHE_HOME / f"ready-{digest.hexdigest()[:16]}")


def deciding_files() -> list[Path]:
    """Every file of the project that decides what a repair does."""
    found = [file for top in _SOURCES for file in sorted((_PROJECT / top).rglob("*")) if file.is_file()]
    names = {file: str(file.relative_to(_PROJECT)) for file in found}
    return [file for file, name in names.items() if not name.startswith(_OTHER) and "__pycache__" not in file.parts]


def repair(layout: Layout, say: Say) -> None:
    """Run `pytest --cluster lab --repair` on the running lab of `layout`; LabError unless it ends with exit code 0."""
    if not (_PROJECT / "tests_infra").is_dir():
        raise LabError(f"{_PROJECT} has no tests_infra: a green lab is made by the project's own repair.")
    options = ["--cluster=lab", "--repair", "-q", "--no-header", "-p", "no:cacheprovider"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, f"--reports={layout.state / 'reports'}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=_PROJECT,
        env={**os.environ, "HATCHECK_LAB": layout.name, "PYTEST_ADDOPTS": ""},
        text=True,
    )
    log = layout.state / "repair.log"
    with log.open("w") as words:
        code = _follow(process, words, say)
    if code != 0:
        raise LabError(
            f"`pytest --cluster lab --repair` did not make bare nodes green (exit code {code}), so nothing is saved. "
            f"The lab is left as it is; see {log} and the report below {layout.state / 'reports'}."
        )


def _follow(process: subprocess.Popen[str], log: TextIO, say: Say) -> int:
    """Log what `process` says until it ends, by force when it takes too long, and pass on its progress; its exit code.

    The progress of a run is told in lines that begin with `…` (progress.py), its end in one of `as documented`.
    """
    alarm = threading.Timer(_REPAIR_SECONDS, process.kill)
    alarm.start()
    try:
        with process:
            for line in process.stdout or ():
                log.write(line)
                if line.startswith(("…", "as documented")):
                    say(f"  {line.rstrip()}")
    finally:
        alarm.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return process.wait()


def halt(layout: Layout, is_running: Callable[[], bool]) -> None:
    """Shut the systems of all nodes down, workers first, and return when none runs; LabError when one goes on."""
    for name in reversed(NODES):
        execute(layout, name, ["systemctl", "--no-block", "poweroff"], None, 30)
    deadline = time.monotonic() + _HALT_SECONDS
    while is_running():
        if time.monotonic() > deadline:
            raise LabError(f"A node does not halt within {_HALT_SECONDS:.0f} s, so nothing is saved.")
        time.sleep(0.1)


def save(layout: Layout, ready: Ready, say: Say) -> None:
    """Move what the halted, tidied lab of `layout` holds into the cache as `ready`."""
    with locked(CACHE_HOME, say):
        draft = Ready(CACHE_HOME / f"draft-{ready.home.name}")
        remove_tree(draft.home)
        draft.home.mkdir(mode=0o700)  # it holds private host keys
        for name in NODES:
            draft.card(name).mkdir()
            for part in ("upper", *DOCKER_DIRS):
                _move(layout.node_state(name) / part, draft.card(name) / part)
        _move(layout.registry / "upper", draft.store)
        (draft.home / "made").touch()
        remove_tree(ready.home)
        draft.home.rename(ready.home)


def _move(source: Path, target: Path) -> None:
    # Not shutil: between file systems it would lose the attributes by which an overlay tells what was deleted.
    run(["mv", "--no-target-directory", source, target], timeout=_SAVE_SECONDS)
