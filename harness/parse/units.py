"""Ask systemd for the units of interest only: listing all of them takes half a second even on a fast machine.

Whether the next boot starts a unit is one question: it is enabled, so that a target of the boot wants it; it is not
masked; and its conditions hold (systemd.unit(5)). What runs now says nothing of that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState")
# What is enabled in /run is forgotten at the boot.
STARTED_AT_BOOT = {"enabled", "generated", "alias"}
# It is there, and systemd refuses what somebody wrote into it or into a drop-in: what runs goes on till the next boot.
BROKEN = {"bad-setting", "error"}
# It has nothing to be enabled by, so systemctl does not say whether a target wants it.
STATIC = "static"
# The boot reads the files, whatever systemd read before; so all this is asked of the files. A unit of which only its
# alias is left is enabled for systemctl, but nothing wants it. Conditions are put to systemd's own judge, only where
# there are any, because that takes a Pi its time; those about what is gone at the next boot cannot be judged before it.
SCRIPT = """\
set -- {units}
systemctl show -p {properties} -- "$@" || exit
is_wanted() {{
  for top in /etc/systemd/system /run/systemd/generator /run/systemd/generator.late \\
    /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    for link in "$top"/*.wants/"$1" "$top"/*.requires/"$1" "$top"/*.upholds/"$1"; do
      [ -L "$link" ] || [ -e "$link" ] || continue
      case $link in */rescue.target.*|*/emergency.target.*) ;; *) return 0 ;; esac
    done
  done
  return 1
}}
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
for unit; do is_wanted "$unit" || printf '\\nUnwanted=%%s\\n' "$unit"; conditions "$unit"; done
"""
# Where the boot goes to: asked once, by the step that all others wait for.
TARGET = """\
for top in /lib /usr/lib /usr/local/lib /etc; do
  [ ! -L "$top/systemd/system/default.target" ] || default=$(readlink -m "$top/systemd/system/default.target")
done
printf '\\nDefault=%%s\\n' "${default##*/}"
"""
# Where the boot would start next to nothing.
BARE = {"rescue.target", "emergency.target", "sysinit.target", "basic.target", "null"}
SAID = re.compile(r"(/[^:]*):\s*((?:Condition|Assert).*)")
# Whoever wrote a condition meant something by it.
BY_HAND = (
    "have that condition hold; or, if nobody means to keep it off, take the line out of its file and `sudo systemctl "
    "daemon-reload` (default.target: `sudo systemctl set-default multi-user.target`)"
)
FAILED = re.compile(r"\S+: ((?:Condition|Assert).*) failed\.")


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


def command(*units: str, and_target: bool = False) -> str:
    """Shell text for `NodeAccess.ask` as root, with a `%s` for each unit."""
    text = SCRIPT.format(units=" ".join("%s" for _ in units), properties=",".join(PROPERTIES))
    return f"{text}{TARGET}" if and_target else text


def units(text: str) -> dict[str, Unit]:
    """Unit name to what systemd and its files say of it; ObservationError for a text of another shape."""
    found: dict[str, Unit] = {}
    for block in text.strip().split("\n\n"):
        words = dict(line.partition("=")[::2] for line in block.splitlines())
        if words.keys() >= set(PROPERTIES):
            found[words["Id"]] = _unit(words)
        elif words.get("Unwanted") in found:
            found[words["Unwanted"]] = replace(found[words["Unwanted"]], is_enabled=False)
        elif words.get("Conditions") in found:
            found[words["Conditions"]] = replace(found[words["Conditions"]], unmet=_unmet(block))
        elif words.get("Default") in BARE:
            why = (f"default.target is {words['Default']}",)
            found = {name: replace(unit, unmet=(*unit.unmet, *why)) for name, unit in found.items()}
        elif words.keys() != {"Default"} and words.keys() != {"Unwanted"}:
            raise ObservationError(f"systemctl show: expected {', '.join(PROPERTIES)}, got {excerpt(block)}")
    return found


def _unit(words: dict[str, str]) -> Unit:
    is_refused = words["LoadState"] in BROKEN
    return Unit(
        words["LoadState"] == "loaded" or is_refused,
        words["ActiveState"] == "active",
        words["UnitFileState"] in {*STARTED_AT_BOOT, STATIC} and not is_refused,
        words["LoadState"] == "masked",
        unmet=(),
    )


def _unmet(block: str) -> tuple[str, ...]:
    lines = block.splitlines()
    if lines[-1] == "exit 0":
        return ()
    files = {_packed(said[2]): said[1] for said in map(SAID.fullmatch, lines) if said}
    failed = dict.fromkeys(match[1] for match in map(FAILED.fullmatch, lines) if match)
    if not failed:
        raise ObservationError(f"systemd-analyze condition: expected one that failed, got {excerpt(lines[-2])}")
    return tuple(f"{one} in {files.get(_packed(one), 'its files')} does not hold" for one in failed)


def _packed(condition: str) -> str:
    return re.sub(r"\s", "", condition)
