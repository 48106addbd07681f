"""Ask systemd for the units of interest only: listing all of them takes half a second even on a fast machine.

Whether the next boot starts a unit is one question: it is enabled, so that a target of the boot wants it; it is not
masked; and its conditions hold (systemd.unit(5)). What runs now says nothing of that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt
from harness.parse.units_shell import PROPERTIES
from harness.parse.verified import refusals

# What is enabled in /run is forgotten at the boot.
STARTED_AT_BOOT = {"enabled", "generated", "alias"}
# It is there, and systemd refuses what somebody wrote into it or into a drop-in: what runs goes on till the next boot.
BROKEN = {"bad-setting", "error"}
# It has nothing to be enabled by, so systemctl does not say whether a target wants it.
STATIC = "static"
# Where the boot would start next to nothing.
BARE = {"rescue.target", "emergency.target", "sysinit.target", "basic.target", "null"}
# systemd's answer of the last time that it read the files.
REFUSED = "systemd refuses it: `systemd-analyze verify` there says why"
SAID = re.compile(r"(/[^:]*):\s*((?:Condition|Assert).*)")
# Whoever wrote a condition, or what systemd refuses, meant something by it.
BY_HAND = (
    "have that condition hold, or correct what systemd refuses; or, if nobody means to keep it off, take the line out "
    "of its file and `sudo systemctl daemon-reload` (default.target: `sudo systemctl set-default multi-user.target`)"
)
FAILED = re.compile(
    r"\S+: (?:((?:Condition|Assert).*) failed\.|Couldn't determine result for (.*), assuming failed: .*)"
)


@dataclass(frozen=True)
class Unit:
    """One unit: whether it is installed, runs now, is enabled for the boot, and is forbidden to start.

    `unmet` is what would keep the boot from starting it all the same, each a sentence.
    """

    is_there: bool
    is_active: bool
    is_enabled: bool
    is_masked: bool = False
    unmet: tuple[str, ...] = field(kw_only=True)

    @property
    def starts_at_boot(self) -> bool:
        """Whether the next boot will start it."""
        return self.is_enabled and not self.unmet

    @property
    def at_boot(self) -> str:
        """What a check says of that: yes, or no and why."""
        return f"no: {', '.join(self.unmet)}" if self.unmet else "yes" if self.is_enabled else "no"


def units(text: str) -> dict[str, Unit]:
    """Unit name to what systemd and its files say of it; ObservationError for a text of another shape."""
    found: dict[str, Unit] = {}
    for block in text.strip().split("\n\n"):
        words = dict(line.partition("=")[::2] for line in block.splitlines())
        if words.keys() >= set(PROPERTIES):
            found[words["Id"]] = _unit(words)
        elif words.get("Unwanted") in found:
            found[words["Unwanted"]] = replace(found[words["Unwanted"]], is_enabled=False)
        elif words.get("Masked") in found:
            found[words["Masked"]] = replace(found[words["Masked"]], is_enabled=False, is_masked=True)
        elif words.get("Conditions") in found:
            unit = found[words["Conditions"]]
            found[words["Conditions"]] = replace(unit, unmet=(*unit.unmet, *_unmet(block)))
        elif "Verified" in words:
            found |= _verified({name: found[name] for name in words["Verified"].split() if name in found}, block)
        elif words.get("Default") in BARE:
            why = (f"default.target is {words['Default']}",)
            found = {name: replace(unit, unmet=(*unit.unmet, *why)) for name, unit in found.items()}
        elif words.keys() not in ({"Default"}, {"Unwanted"}, {"Masked"}):
            raise ObservationError(f"systemctl show: expected {', '.join(PROPERTIES)}, got {excerpt(block)}")
    return found


def _unit(words: dict[str, str]) -> Unit:
    is_refused = words["LoadState"] in BROKEN
    return Unit(
        words["LoadState"] == "loaded" or is_refused,
        words["ActiveState"] == "active",
        words["UnitFileState"] in {*STARTED_AT_BOOT, STATIC},
        words["LoadState"] == "masked",
        unmet=(REFUSED,) if is_refused else (),
    )


def _verified(asked: dict[str, Unit], block: str) -> dict[str, Unit]:
    _, code, *lines = (*block.splitlines(), "")
    try:
        refused = refusals(code.removeprefix("exit "), lines)
    except ObservationError:
        # What does not start anyhow needs no other reason.
        if all(unit.unmet for unit in asked.values()):
            return {}
        raise
    return {
        name: replace(
            unit,
            unmet=(
                *(one for one in unit.unmet if one != REFUSED),
                *([f"systemd refuses it: {refused[name]}"] if name in refused else ()),
            ),
        )
        for name, unit in asked.items()
    }


def _unmet(block: str) -> tuple[str, ...]:
    lines = block.splitlines()
    if lines[-1] == "exit 0":
        return ()
    files = {_packed(said[2]): said[1] for said in map(SAID.fullmatch, lines) if said}
    failed = dict.fromkeys(match[1] or match[2] for match in map(FAILED.fullmatch, lines) if match)
    if not failed:
        raise ObservationError(f"systemd-analyze condition: expected one that failed, got {excerpt(lines[-2])}")
    return tuple(f"{one} in {files.get(_packed(one), 'its files')} does not hold" for one in failed)


def _packed(condition: str) -> str:
    return re.sub(r"\s", "", condition)
