"""Read which units systemd would refuse at the next boot, and why, from the words of `systemd-analyze verify`.

It warns of much that does no harm, and speaks of every unit that the one asked about leads to. Seen of systemd 252.
"""

from __future__ import annotations

import re

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # systemd 247 colours them into a pipe, too
OF_A_UNIT = re.compile(r"(?P<unit>[^\s:/]+\.[a-z]+): (?P<said>.*)")
AS_A_WHOLE = re.compile(r"Unit (?P<unit>[^\s:/]+\.[a-z]+) (?P<said>.*)")
OF_A_LINE = re.compile(r"/[^:]*:\d+: .*")
FATAL = "Unit configuration has fatal error, unit will not be started."
# What else it says of a unit is a warning.
VERDICT = re.compile(r".*(?: Refusing\.| cannot be started\.)|Failed to create .*")
ABSENT = re.compile(r"Command (?P<path>.*) is not executable: .*")
# grep's words for a command in a file of a unit's: which, its prefixes, and what is run (systemd.service(5)).
COMMAND = re.compile(r"/[^:]*:\s*Exec(?P<when>[A-Za-z]*)\s*=\s*(?P<prefix>[-@:+!|]*)\s*(?P<path>.*)")
BEFORE_IT_RUNS = ("Start", "Condition")


def refusals(code: str, lines: list[str]) -> dict[str, str]:
    """Unit name to why it would not start; `lines` are the words, then grep's of the units' commands.

    ObservationError where nobody verified anything.
    """
    if code == "0":
        return {}
    lines = [COLOUR.sub("", line) for line in lines]
    commands = [match for match in map(COMMAND.fullmatch, lines) if match]
    found: dict[str, str] = {}
    is_known, place = False, ""
    for line in lines:
        match = OF_A_UNIT.fullmatch(line) or AS_A_WHOLE.fullmatch(line)
        if OF_A_LINE.fullmatch(line):
            is_known, place = True, line
        elif match:
            is_known = True
            said = place or match["said"] if match["said"] == FATAL else match["said"]
            if match.re is AS_A_WHOLE or match["said"] == FATAL or _is_verdict(said, commands):
                found.setdefault(match["unit"], said)
    if code != "1" or not is_known:
        raise ObservationError(f"systemd-analyze verify: expected what it thinks of, got {excerpt(' '.join(lines))}")
    return found


def _is_verdict(said: str, commands: list[re.Match[str]]) -> bool:
    """Whether it cannot start so. What stops or reloads it is verified too, and may be absent then."""
    absent = ABSENT.fullmatch(said)
    if not absent:
        return VERDICT.fullmatch(said) is not None
    naming = [one for one in commands if one["path"].split()[:1] == [absent["path"]]]
    return not naming or any(one["when"].startswith(BEFORE_IT_RUNS) and "-" not in one["prefix"] for one in naming)
