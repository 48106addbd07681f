"""Leave a run on disk: `reports/<time>/` with page, result and tape, and `reports/latest` pointing there."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from harness.errors import UsageError
from harness.model import Record
from harness.report.html import render_html
from harness.report.summary import as_json, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator

LATEST = "latest"
PAGES = Path(__file__).parents[2] / "docs" / "steps"
MAX_TEXT = 20_000  # characters of one text in result.json
SURROGATE = re.compile("[\ud800-\udfff]")


def save(record: Record, tape_json: str, reports: Path, *, tape: str = "") -> Path:
    """Write the report folder of a run and point `latest` at it; gives the folder.

    `tape` names the tape that was judged again instead of a run; that leaves `latest` alone.

    The folder appears complete or not at all. UsageError where it cannot be written, with nothing half
    done left behind.
    """
    texts = {
        "report.html": render_html(record, pages=os.path.relpath(PAGES, reports.absolute() / LATEST), tape=tape),
        "result.json": result_json(record),
        # What UTF-8 cannot say becomes `\udc..`, which is just JSON's own way to write it.
        "tape.json": tape_json,
    }
    try:
        reports.mkdir(parents=True, exist_ok=True)
        folder = _place(_write(texts, reports), reports, _stamp(record.started))
        if not tape:
            _point(reports / LATEST, folder.name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{reports}: the report of this run cannot be saved there: {reason}") from error
    return folder


def result_json(record: Record) -> str:
    """The record and its summary as JSON text; `record` in it validates as a Record again.

    A text longer than MAX_TEXT is cut with a note, so that no node can fill the disk.
    """
    value = TypeAdapter(Record).dump_python(record, mode="json")
    return json.dumps(_tame({"summary": as_json(summarize(record)), "record": value}), indent=1) + "\n"


def _tame(value: object) -> object:
    if isinstance(value, str):
        # Lone surrogates are no Unicode text: other JSON readers would refuse the whole file for one.
        text = SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", value[:MAX_TEXT])
        left_out = len(value) - MAX_TEXT
        return f"{text} [{left_out} more characters left out]" if left_out > 0 else text
    if isinstance(value, dict):
        return {key: _tame(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_tame(one) for one in value]
    return value


def _stamp(started: str) -> str:
    return datetime.fromisoformat(started).astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def _write(texts: dict[str, str], reports: Path) -> Path:
    """A hidden folder with the finished files, readable by everybody as reports are."""
    folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=reports))
    try:
        for name, text in texts.items():
            _write_file(folder / name, text.encode("utf-8", "backslashreplace"))
        folder.chmod(0o755)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _write_file(file: Path, octets: bytes) -> None:
    with file.open("xb") as stream:
        os.fchmod(stream.fileno(), 0o644)
        stream.write(octets)
        stream.flush()
        os.fsync(stream.fileno())  # a folder must not appear under its name before its bytes are safe


def _place(unfinished: Path, reports: Path, stamp: str) -> Path:
    """Give the finished folder its name: the first that is free, decided by the rename itself."""
    try:
        return next(folder for name in _names(stamp) if (folder := _rename(unfinished, reports / name)))
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _names(stamp: str) -> Iterator[str]:
    yield stamp
    yield from (f"{stamp}-{number}" for number in count(2))


def _rename(source: Path, target: Path) -> Path | None:
    if os.path.lexists(target):
        return None
    try:
        return source.rename(target)
    except FileExistsError:  # another run was faster
        return None
    except OSError:
        if target.exists():  # "directory not empty" has no exception class of its own
            return None
        raise


def _point(link: Path, target: str) -> None:
    """Repoint a relative symlink so that there is no moment without one."""
    fresh = link.with_name(f".{link.name}-{target}")
    with suppress(FileNotFoundError):
        fresh.unlink()  # left by a run that was killed
    fresh.symlink_to(target)
    try:
        fresh.replace(link)
    except OSError:
        fresh.unlink()
        raise
