"""Ask systemd for the units of interest only: listing all of them takes half a second even on a fast machine."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState")
# A static unit waits for another one to want it, and what is enabled in /run is forgotten at the boot.
STARTED_AT_BOOT = {"enabled", "generated", "alias"}
# It is there, and systemd refuses what somebody wrote into it or into a drop-in: what runs goes on till the next boot.
BROKEN = {"bad-setting", "error"}


@dataclass(frozen=True)
class Unit:
    """One unit: whether it is installed, runs now, starts at boot, and is forbidden to (systemctl(1), `show`)."""

    is_there: bool
    is_active: bool
    is_enabled: bool
    is_masked: bool = False


def command(*units: str) -> str:
    """Shell text for `NodeAccess.ask`, with a `%s` for each unit."""
    return f"systemctl show -p {','.join(PROPERTIES)} {' '.join('%s' for _ in units)}"


def units(text: str) -> dict[str, Unit]:
    """Unit name to what systemd says of it; ObservationError for a text of another shape."""
    found: dict[str, Unit] = {}
    for block in text.strip().split("\n\n"):
        words = dict(line.partition("=")[::2] for line in block.splitlines())
        if not words.keys() >= set(PROPERTIES):
            raise ObservationError(f"systemctl show: expected {', '.join(PROPERTIES)}, got {excerpt(block)}")
        found[words["Id"]] = Unit(
            words["LoadState"] in {"loaded", *BROKEN},
            words["ActiveState"] == "active",
            words["UnitFileState"] in STARTED_AT_BOOT and words["LoadState"] not in BROKEN,
            words["LoadState"] == "masked",
        )
    return found


def kept_out(text: str) -> tuple[str, ...]:
    """The units that no boot starts, in the text that `units` reads: masked, and not just until the next boot."""
    blocks = (dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.strip().split("\n\n"))
    return tuple(words["Id"] for words in blocks if words.get("UnitFileState") == "masked")
