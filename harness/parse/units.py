"""Ask systemd for the units of interest only: listing all of them takes half a second even on a fast machine.

Whether the next boot starts a unit is one question with three answers: it is enabled, it is not masked, and its
conditions hold (systemd.unit(5)). What runs now says nothing of that: conditions are only asked at a start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState")
# A static unit waits for another one to want it, and what is enabled in /run is forgotten at the boot.
STARTED_AT_BOOT = {"enabled", "generated", "alias"}
# It is there, and systemd refuses what somebody wrote into it or into a drop-in: what runs goes on till the next boot.
BROKEN = {"bad-setting", "error"}
# The boot reads the files, whatever systemd read before; so the conditions are those of the files, and systemd's own
# judge is asked about them: only where there are any, because that takes a Pi its time. Those about what is gone at the
# next boot cannot be judged before it.
SCRIPT = """\
set -- {units}
systemctl show -p {properties} -- "$@" || exit
conditions() {{
  unit=$1 file=
  for top in /lib /usr/lib /usr/local/lib /etc; do
    [ ! -e "$top/systemd/system/$unit" ] || file=$top/systemd/system/$unit
  done
  set -- "$file"
  for top in /lib /usr/lib /usr/local/lib /etc; do
    set -- "$@" "$top/systemd/system/${{unit##*.}}.d"/*.conf "$top/systemd/system/$unit.d"/*.conf
  done
  found=$(grep -EHs '^[[:space:]]*(Condition|Assert)[A-Za-z]+[[:space:]]*=' "$@" |
    grep -Ev '=[[:space:]|!]*/(run|tmp|var/run|dev/shm)(/|$)')
  [ -n "$found" ] || return 0
  printf '\\nConditions=%%s\\n%%s\\n' "$(systemctl show -P Id -- "$unit")" "$found"
  printf '%%s\\n' "$found" | sed 's/^[^:]*:[[:space:]]*//' | xargs -d '\\n' systemd-analyze condition 2>&1
  echo "exit $?"
}}
for unit; do conditions "$unit"; done
"""
SAID = re.compile(r"(/[^:]*):\s*((?:Condition|Assert).*)")
# Whoever wrote a condition meant something by it.
BY_HAND = (
    "have that condition hold; or, if nobody means to keep it off, take the line out of its file and `sudo systemctl "
    "daemon-reload`"
)
FAILED = re.compile(r"\S+: ((?:Condition|Assert).*) failed\.")


@dataclass(frozen=True)
class Unit:
    """One unit: whether it is installed, runs now, is enabled for the boot, and is forbidden to start.

    `unmet` are the conditions that would keep it from starting, each with the file that says so.
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
        if self.unmet:
            return f"no: {' and '.join(self.unmet)} does not hold"
        return "yes" if self.is_enabled else "no"


def command(*units: str) -> str:
    """Shell text for `NodeAccess.ask` as root, with a `%s` for each unit."""
    return SCRIPT.format(units=" ".join("%s" for _ in units), properties=",".join(PROPERTIES))


def units(text: str) -> dict[str, Unit]:
    """Unit name to what systemd says of it; ObservationError for a text of another shape."""
    found: dict[str, Unit] = {}
    for block in text.strip().split("\n\n"):
        words = dict(line.partition("=")[::2] for line in block.splitlines())
        if (name := words.get("Conditions")) in found:
            found[name] = replace(found[name], unmet=_unmet(block))
            continue
        if not words.keys() >= set(PROPERTIES):
            raise ObservationError(f"systemctl show: expected {', '.join(PROPERTIES)}, got {excerpt(block)}")
        found[words["Id"]] = Unit(
            words["LoadState"] in {"loaded", *BROKEN},
            words["ActiveState"] == "active",
            words["UnitFileState"] in STARTED_AT_BOOT and words["LoadState"] not in BROKEN,
            words["LoadState"] == "masked",
            unmet=(),
        )
    return found


def kept_out(text: str) -> tuple[str, ...]:
    """The units that no boot starts, in the text that `units` reads: masked, and not just until the next boot."""
    blocks = (dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.strip().split("\n\n"))
    return tuple(words["Id"] for words in blocks if words.get("UnitFileState") == "masked")
def _unmet(block: str) -> tuple[str, ...]:
    lines = block.splitlines()
    if lines[-1] == "exit 0":
        return ()
    files = {_packed(said[2]): said[1] for said in map(SAID.fullmatch, lines) if said}
    failed = dict.fromkeys(match[1] for match in map(FAILED.fullmatch, lines) if match)
    if not failed:
        raise ObservationError(f"systemd-analyze condition: expected one that failed, got {excerpt(lines[-2])}")
    return tuple(f"{one} in {files.get(_packed(one), 'its files')}" for one in failed)


def _packed(condition: str) -> str:
    return re.sub(r"\s", "", condition)
