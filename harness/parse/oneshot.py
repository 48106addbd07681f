"""Read what became of the last run of a unit that runs once and ends (systemctl(1), `show`)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt
from harness.parse.units import STARTED_AT_BOOT

PROPERTIES = (
    "Id", "LoadState", "UnitFileState", "ActiveState", "Result", "ExecMainStatus", "ExecMainStartTimestampMonotonic",
)  # fmt: skip
COMMAND = f"systemctl show -p {','.join(PROPERTIES)} -p Job %s"
RUNNING = {"activating", "active", "reloading"}
# The time now and since when this systemd runs, to tell what came first: it was enabled, or the machine was booted.
BOOT = "date +%s && cat /proc/uptime && systemctl show -p UserspaceTimestampMonotonic"


@dataclass(frozen=True)
class OneShot:
    """A unit since the last boot: whether it runs or waits to run now, has run at all, and what came of that.

    `result` is systemd's word, "success" where nothing failed; `status` the exit code.
    """

    is_there: bool
    is_enabled: bool
    is_masked: bool
    is_running: bool
    has_run: bool
    result: str
    status: int


def oneshot(text: str) -> OneShot:
    """The unit that `COMMAND` was asked about; ObservationError for any other text."""
    words = dict(line.partition("=")[::2] for line in text.strip().splitlines())
    numbers = [words.get(key, "") for key in ("ExecMainStatus", "ExecMainStartTimestampMonotonic")]
    if not words.keys() >= set(PROPERTIES) or not all(number.isascii() and number.isdigit() for number in numbers):
        raise ObservationError(f"systemctl show: expected {', '.join(PROPERTIES)}, got {excerpt(text)}")
    status, started = map(int, numbers)
    return OneShot(
        is_there=words["LoadState"] == "loaded",
        is_enabled=words["UnitFileState"] in STARTED_AT_BOOT,
        is_masked=words["LoadState"] == "masked",
        is_running=words["ActiveState"] in RUNNING or words.get("Job", "0") not in {"", "0"},
        has_run=started > 0,
        result=words["Result"],
        status=status,
    )


def booted_at(text: str) -> float:
    """When systemd began, by today's clock, in seconds since 1970; from the answer to `BOOT`."""
    try:
        now, uptime, since = text.strip().splitlines()
        microseconds = int(since.removeprefix("UserspaceTimestampMonotonic="))
        return int(now) - float(uptime.split()[0]) + microseconds / 1e6
    except (ValueError, IndexError) as error:
        raise ObservationError(f"boot time: expected date, uptime and systemd's start, got {excerpt(text)}") from error
