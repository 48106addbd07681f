"""pytest's own JUnit file of a run: written in any case, and kept in the report."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from _pytest.junitxml import xml_key  # pytest has no public name for its JUnit writer

if TYPE_CHECKING:
    import pytest


def ask(config: pytest.Config) -> None:
    """Have it written where nobody asked for one."""
    if not config.option.xmlpath:
        config.option.xmlpath = str(_spare(config))


def keep(config: pytest.Config, target: Path) -> None:
    """Put it into the report, too; and only there where nobody asked for one."""
    written = Path(config.option.xmlpath)
    if not written.exists():
        return
    shutil.copyfile(written, target)
    if written == _spare(config) and xml_key in config.stash:
        config.stash[xml_key].logfile = str(target)


def drop(config: pytest.Config) -> None:
    """A session that is no run leaves no report, so no JUnit file that nobody asked for."""
    # A worker of pytest-xdist has the option, and leaves the writing to its controller.
    if config.option.xmlpath == str(_spare(config)) and xml_key in config.stash:
        config.pluginmanager.unregister(config.stash[xml_key])
        del config.stash[xml_key]


def clean(config: pytest.Config) -> None:
    """Remove the file that nobody asked for."""
    with suppress(OSError):
        _spare(config).unlink()


def reports(config: pytest.Config) -> Path:
    """Where runs leave their reports."""
    return config.rootpath / str(config.option.reports)


def _spare(config: pytest.Config) -> Path:
    return reports(config) / f".junit-{os.getpid()}.xml"
