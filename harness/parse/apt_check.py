"""Read what `apt-get check` says of packages whose dependencies are not met (apt-get(8))."""

from __future__ import annotations

import re

# Whoever is at work on packages has the lock: to ask with it finds them at rest, or fails. Without it nothing is
# written at all, and anybody may ask. Without sources its cache is made of dpkg's database alone, which is quick also
# on a Pi Zero.
LOCKED = (
    "env LC_ALL=C apt-get -q check -o Dir::Etc::sourcelist=/dev/null "
    "-o Dir::Etc::sourceparts=/dev/null -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
)
COMMAND = f"{LOCKED} -o Debug::NoLocking=true"
HEADING = "The following packages have unmet dependencies:"
PACKAGE = re.compile(r" (\S+) : (.+)")


def unmet(text: str) -> dict[str, str]:
    """Each package to what it lacks, as "Depends: libopenmpi3 (>= 4.1.4) but it is not installed"."""
    found: dict[str, list[str]] = {}
    _, _, rest = text.partition(f"{HEADING}\n")
    for line in rest.splitlines():
        if not line.startswith(" "):
            break
        if match := PACKAGE.fullmatch(line):
            found[match[1]] = [match[2].strip()]
        elif found:
            # A package that lacks more than one has them below each other.
            found[next(reversed(found))].append(line.strip())
    # It knows of no source here, so that nothing could be installed.
    return {name: ", ".join(said).replace("is not installable", "is not installed") for name, said in found.items()}
