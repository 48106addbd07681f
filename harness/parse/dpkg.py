"""Read the state of all packages from dpkg's own database (dpkg-query(1), db:Status-Abbrev)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

# One question tells what is broken, what is installed and what is held.
COMMAND = "dpkg-query -W -f %s"
FORMAT = "${db:Status-Abbrev}|${binary:Package}\\n"
LINE = re.compile(r"([uihrp])([ncHUFWti])([ R])\|([a-z0-9][a-z0-9+.-]*(?::[a-z0-9-]+)?)")
# Not installed, only its configuration left, installed.
SETTLED = {"n", "c", "i"}
WORDS = {
    "H": "half-installed",
    "U": "unpacked",
    "F": "half-configured",
    "W": "triggers-awaited",
    "t": "triggers-pending",
}


@dataclass(frozen=True)
class Packages:
    """`installed` maps a package to whether it is held; `broken` to what is the matter with it."""

    installed: dict[str, bool]
    broken: dict[str, str]


def packages(text: str) -> Packages:
    """All packages of an answer in `FORMAT`; ObservationError for any other text, or none at all."""
    installed, broken = dict[str, bool](), dict[str, str]()
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        if not match:
            raise ObservationError(f"dpkg-query: expected a state and a package, got {excerpt(line)}")
        want, state, error, name = match.groups()
        if error == "R":
            broken[name] = "must be reinstalled"
        elif state not in SETTLED:
            broken[name] = WORDS[state]
        elif state == "i":
            installed[name] = want == "h"
    if not installed:
        raise ObservationError("dpkg-query: expected at least one installed package, got none")
    return Packages(installed, broken)
