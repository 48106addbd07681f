"""Ask systemd for the units of interest only: listing all of them takes half a second even on a fast machine.

Whether the next boot starts a unit is one question: it is enabled, so that a target of the boot wants it; it is not
masked; and its conditions hold (systemd.unit(5)). What runs now says nothing of that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt
from harness.parse.verified import refusals

PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState")
# What is enabled in /run is forgotten at the boot.
STARTED_AT_BOOT = {"enabled", "generated", "alias"}
# It is there, and systemd refuses what somebody wrote into it or into a drop-in: what runs goes on till the next boot.
BROKEN = {"bad-setting", "error"}
# It has nothing to be enabled by, so systemctl does not say whether a target wants it.
STATIC = "static"
# Where a unit's file may be, the weakest first. What is in /run/systemd/system is gone at the boot; what a generator
# made of other files will be made again.
TOPS = (
    "/run/systemd/generator.late", "/lib/systemd/system", "/usr/lib/systemd/system", "/usr/local/lib/systemd/system",
    "/run/systemd/generator", "/etc/systemd/system",
)  # fmt: skip
# The boot reads the files, whatever systemd read before; so all this is asked of the files. A unit of which only its
# alias is left is enabled for systemctl, but nothing wants it. Conditions are put to systemd's own judge, only where
# there are any, because that takes a Pi its time; those about what is gone at the next boot cannot be judged before it.
# Nor is there another judge of whether systemd accepts a unit: it is asked, once for all, where somebody wrote below
# /etc, or where it has refused one already. `root` is for tests.
SCRIPT = """\
root= tops='{tops}' each={each}
set -- {units}
shown=$(systemctl show -p {properties} -- "$@") || exit
printf '%%s\\n' "$shown"
case $shown in *LoadState=bad-setting*|*LoadState=error*) refused=yes ;; *) refused= ;; esac
fragment() {{
  file=
  for top in $tops; do [ ! -e "$root$top/$1" ] || file=$root$top/$1; done
}}
is_wanted() {{
  for top in $tops; do
    for link in "$root$top"/*.wants/"$1" "$root$top"/*.requires/"$1" "$root$top"/*.upholds/"$1"; do
      [ -L "$link" ] || [ -e "$link" ] || continue
      case $link in */rescue.target.*|*/emergency.target.*) ;; *) return 0 ;; esac
    done
  done
  return 1
}}
is_changed() {{
  for one in "$root/etc/systemd/system/$1" "$root/etc/systemd/system/$1.d"/*.conf \\
    "$root/etc/systemd/system/${{1##*.}}.d"/*.conf; do
    [ ! -L "$one" ] && [ ! -e "$one" ] || return 0
  done
  return 1
}}
in_files() {{
  words=$1 unit=$2
  fragment "$unit"
  set -- "$file"
  for top in /lib /usr/lib /usr/local/lib /etc; do
    set -- "$@" "$root$top/systemd/system/${{unit##*.}}.d"/*.conf "$root$top/systemd/system/$unit.d"/*.conf
  done
  grep -EHs "^[[:space:]]*$words[A-Za-z]*[[:space:]]*=" "$@" | sed 's/[[:space:]]*$//'
}}
conditions() {{
  found=$(in_files '(Condition|Assert)' "$1" | grep -Ev '=[[:space:]|!]*/(run|tmp|var/run|dev/shm)(/|$)')
  [ -n "$found" ] || return 0
  printf '\\nConditions=%%s\\n%%s\\n' "$(systemctl show -P Id -- "$1")" "$found"
  printf '%%s\\n' "$found" | sed 's/^[^:]*:[[:space:]]*//' | xargs -d '\\n' systemd-analyze condition 2>&1
  echo "exit $?"
}}
verify() {{
  said=$(cd / && SYSTEMD_LOG_COLOR=0 SYSTEMD_UNIT_PATH={path} systemd-analyze verify --man=no -- "$@" 2>&1)
  printf '\\nVerified=%%s\\nexit %%s\\n' "$*" $?
  printf '%%s\\n' "$said" | grep .
  for unit; do in_files Exec "$unit"; done
}}
for unit; do
  shift
  fragment "$unit"
  [ -n "$file" ] || {{ printf '\\nUnwanted=%%s\\n' "$unit"; continue; }}
  [ -s "$file" ] || {{ printf '\\nMasked=%%s\\n' "$unit"; continue; }}
  is_wanted "$unit" || {{ printf '\\nUnwanted=%%s\\n' "$unit"; [ "$each" ] || continue; }}
  conditions "$unit"
  [ -z "$refused" ] && ! is_changed "$unit" || set -- "$@" "$unit"
done
[ $# = 0 ] || verify "$@"
"""
# Where the boot goes to: asked once, by the step that all others wait for.
TARGET = """\
for top in /lib /usr/lib /usr/local/lib /etc; do
  target=$root$top/systemd/system/default.target
  [ ! -L "$target" ] || default=$(readlink -m "$target")
done
printf '\\nDefault=%%s\\n' "${default##*/}"
"""
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


def command(*units: str, and_target: bool = False, need_each_other: bool = False) -> str:
    """Shell text for `NodeAccess.ask` as root, with a `%s` for each unit.

    What no target wants starts neither way, so nothing else is asked of it, but where another unit needs it.
    """
    text = SCRIPT.format(
        units=" ".join("%s" for _ in units),
        properties=",".join(PROPERTIES),
        tops=" ".join(TOPS),
        # By itself it looks for nothing that a generator made, and misses it.
        path=":".join(reversed(TOPS)),
        each="yes" if need_each_other else "",
    )
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
    failed = dict.fromkeys(match[1] for match in map(FAILED.fullmatch, lines) if match)
    if not failed:
        raise ObservationError(f"systemd-analyze condition: expected one that failed, got {excerpt(lines[-2])}")
    return tuple(f"{one} in {files.get(_packed(one), 'its files')} does not hold" for one in failed)


def _packed(condition: str) -> str:
    return re.sub(r"\s", "", condition)
