"""Read `clusterctrl status` (alias `clusterhat`) and the firmware's throttled bits (runbook L71-81).

The exit code says nothing: an unknown argument and a machine without a HAT both may end with 0, so the text
decides. Source: burtyb/clusterhat-image, files/usr/sbin/clusterctrl.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping

# Keys are small; "ERROR: No ClusterHAT/CTRL devices found" and "Error: Missing arguments" are no keys.
LINE = re.compile(r"([a-z][a-z0-9_]*):(.*)")
POWER = {"1": True, "True": True, "0": False, "False": False}
THROTTLED = re.compile(r"(?:throttled=)?0[xX]([0-9a-fA-F]{1,16})")
BITS = {
    0: "under-voltage now",
    1: "frequency capped now",
    2: "throttled now",
    3: "soft temperature limit now",
    16: "under-voltage since boot",
    17: "frequency capped since boot",
    18: "throttled since boot",
    19: "soft temperature limit since boot",
}


def status(text: str) -> dict[str, str]:
    """Every `key:value` line as it stands; the first colon separates, the value is stripped.

    Keys differ between boards and releases, so none is required here. Raises ObservationError for an empty
    output (the program is silent where it is no controller), any other line, or a key with two values.
    """
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        match = LINE.fullmatch(line)
        if match is None:
            raise ObservationError(f"clusterctrl status: expected key:value, got {excerpt(line)}")
        value = match[2].strip()
        if found.setdefault(match[1], value) != value:
            raise ObservationError(f"clusterctrl status: two values for one key, got {excerpt(line)}")
    if not found:
        raise ObservationError(
            "clusterctrl status: no output, which means not a controller (TYPE in /etc/default/clusterctrl)",
        )
    return found


def is_powered(status: Mapping[str, str], port: str) -> bool:
    """Whether a port ("p3") has power; says nothing about whether its node has booted.

    Raises ObservationError where the status has no such port or neither 1/True nor 0/False for it.
    """
    if port not in status:
        raise ObservationError(f"clusterctrl status: no line for port {excerpt(port)}")
    if status[port] not in POWER:
        raise ObservationError(f"clusterctrl status: expected 0 or 1 for {port}, got {excerpt(status[port])}")
    return POWER[status[port]]


def throttled_sentences(value: str) -> tuple[str, ...]:
    """What the throttled bits of the controller say, present troubles before past ones; empty for none.

    `value` is that of the status ("0x50005") or the line of `vcgencmd get_throttled` ("throttled=0x50005").
    "NA" means the firmware could not be asked: nothing is known, so nothing is said. Bits without a
    documented meaning are left out. Raises ObservationError for anything else.
    """
    if value.strip() == "NA":
        return ()
    match = THROTTLED.fullmatch(value.strip())
    if match is None:
        raise ObservationError(f"throttled: expected hexadecimal like 0x50005 or NA, got {excerpt(value)}")
    bits = int(match[1], 16)
    return tuple(sentence for bit, sentence in BITS.items() if bits >> bit & 1)
