"""What the keyfiles of NetworkManager give an interface at boot; it owns them, so they are read and never edited."""

from __future__ import annotations

import posixpath
import re

from harness.errors import ObservationError
from harness.parse.netconfig_units import Entry, entries, unit_lines
from harness.parse.netconfig_words import Configured, Files, address_of, interface_of

FOLDER = "/etc/NetworkManager/system-connections"
ADDRESS = re.compile(r"address(?:es)?\d*")


def configured(files: Files, interface: str) -> Configured | None:
    """What the connection that names the interface gives it; None where none names it.

    Connections without `interface-name` are left out: which of them comes up where is decided at run time.
    Raises ObservationError for two connections of one interface. Source: nm-settings-keyfile(5).
    """
    found: list[Configured] = []
    for path in sorted(files):
        if posixpath.dirname(path) == FOLDER and path.endswith(".nmconnection"):
            keys = list(entries(unit_lines(files, path), is_continued=False))
            if _value(keys, "connection", "interface-name") == interface.encode():
                found += _connection(path, keys)
    if len(found) > 1:
        raise ObservationError(f"{FOLDER}: {len(found)} connections name {interface}, so which holds is not known")
    return found[0] if found else None


def _value(keys: list[Entry], section: str, key: str) -> bytes:
    return next((each.value for each in reversed(keys) if (each.section, each.key) == (section, key)), b"")


def _connection(path: str, keys: list[Entry]) -> list[Configured]:
    method = _value(keys, "ipv4", "method")
    if method not in {b"manual", b"auto"}:
        return []
    # `address1=172.19.181.3/24,172.19.181.254`: the gateway may follow the address.
    rows = [row.value.split(b",") for row in keys if row.section == "ipv4" and ADDRESS.fullmatch(row.key)]
    addresses = tuple(filter(None, (interface_of(row[0].strip()) for row in rows)))
    beside = [address_of(row[1].strip()) for row in rows if len(row) > 1]
    gateway = address_of(_value(keys, "ipv4", "gateway")) or next(filter(None, beside), None)
    is_automatic = _value(keys, "connection", "autoconnect") not in {b"false", b"no", b"0"}
    return [Configured(addresses, gateway, path, is_automatic, "static" if method == b"manual" else "dhcp")]
