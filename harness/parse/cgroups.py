"""Read which control groups the kernel counts with (cgroups(7)): without `memory`, Docker cannot limit it."""

from __future__ import annotations

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

# The second file is there with version 2 only, and is the better source on new kernels.
COMMAND = "cat /proc/cgroups && cd /sys/fs/cgroup && if [ -e cgroup.controllers ]; then cat cgroup.controllers; fi"
COLUMNS = 4


def has_memory(text: str) -> bool:
    """Whether memory is counted, from the answer to `COMMAND`; ObservationError for any other text."""
    head, _, rest = text.partition("\n")
    if not head.startswith("#subsys_name"):
        raise ObservationError(f"/proc/cgroups: expected its heading, got {excerpt(text)}")
    rows = [line.split() for line in rest.splitlines() if line.strip()]
    tables = [row for row in rows if len(row) == COLUMNS and all(word.isdigit() for word in row[1:])]
    controllers = [word for row in rows if row not in tables for word in row]
    return "memory" in controllers or any(row[0] == "memory" and row[3] == "1" for row in tables)
