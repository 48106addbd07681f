"""The cache of what labs are made of: who may write, what is kept, what goes.

Each entry is a directory called `<kind>-<key>`; it has this name only when it is complete.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.lab.layout import CACHE_HOME
from harness.lab.mounts import remove_tree

Say = Callable[[str], None]

_DAY = 86400.0


@contextmanager
def locked(directory: Path, say: Say) -> Iterator[None]:
    """Hold the lock of `directory`; another holder is waited for, after saying so."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another hatcheck lab command to finish")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def ensure_entry(home: Path, build: Callable[[Path], None], say: Say) -> None:
    """Have the entry `home`: where there is none, `build` fills a draft that then gets its name.

    What other versions left is removed, and so is what was interrupted.
    """
    CACHE_HOME.mkdir(parents=True, exist_ok=True)
    if not home.is_dir():
        with locked(CACHE_HOME, say):
            if not home.is_dir():
                draft = home.with_name(f"draft-{home.name}")
                remove_tree(draft)
                draft.mkdir()
                build(draft)
                draft.rename(home)
                remove_older(home)
    os.utime(home)


def remove_older(newest: Path, kept: float = _DAY) -> None:
    """Remove entries of the same kind that nobody used for `kept` seconds, but none that a running lab stands on.

    Two checkouts of this project may take turns on one machine: neither shall build anew each time.
    """
    kind = newest.name.partition("-")[0]
    in_use = Path("/proc/self/mountinfo").read_text()
    for home in CACHE_HOME.glob(f"{kind}-*"):
        if home != newest and str(home) not in in_use and time.time() - home.stat().st_mtime > kept:
            remove_tree(home)
    for draft in CACHE_HOME.glob(f"draft-{kind}-*"):
        remove_tree(draft)


def purge_cache(say: Say) -> None:
    """Remove all that is cached."""
    if CACHE_HOME.is_dir():
        with locked(CACHE_HOME, say):
            for entry in CACHE_HOME.iterdir():
                remove_tree(entry)
