"""`hatcheck trust`: show the host keys of the machines to a person, and keep those that are accepted."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.connect import Connections, host_key, read_known_hosts
from harness.errors import HarnessError, ObservationError, UsageError
from harness.reach import Reach, reach

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from paramiko import HostKeys, PKey

    from harness.inventory import Cluster


Accept = Callable[[str, bool], bool]  # the question, and whether it is about a key that has changed


def trust(cluster: Cluster, names: Sequence[str], accept: Accept, say: Callable[[str], None]) -> None:
    """Enrol the named machines (none: all). `accept` answers one question for each new or changed key.

    The controller comes first: the nodes are seen through it. UsageError for a name that is not in the
    inventory; ObservationError, after the others were asked, for a machine that shows no key.
    """
    strangers = sorted(set(names) - set(cluster.names))
    if strangers:
        raise UsageError(f"{strangers[0]} is not in the inventory; expected one of {', '.join(cluster.names)}")
    way = reach(cluster)
    problems: list[HarnessError] = []
    for name in (name for name in cluster.names if not names or name in names):
        connections = Connections(cluster, way)  # made anew, for it reads what was just trusted
        try:
            _enrol(name, host_key(connections, name, way), way, accept, say)
        except ObservationError as error:
            problems.append(error)
        finally:
            connections.close()
    if problems:
        raise ObservationError("; ".join(map(str, problems)))


def _enrol(name: str, key: PKey, way: Reach, accept: Accept, say: Callable[[str], None]) -> None:
    known, label = read_known_hosts(way), way.doors[name].known_as
    shown = f"{key.get_name()} {key.fingerprint}"
    old = known.lookup(label)
    if old and old.get(key.get_name()) == key:
        say(f"{name}: {shown} is trusted already")
        return
    change = f"ANOTHER key than the trusted one ({_prints(old)}): " if old else ""
    if not accept(f"{name} ({label}) shows {change}{shown}. Trust it?", bool(old)):
        raise ObservationError(f"{name}: {shown} is not trusted, so nothing of {name} can be known")
    if old:
        del known[label]
    known.add(label, key.get_name(), key)
    _save(known, way)
    say(f"{name}: {shown} is trusted from now on")


def _prints(keys: Mapping[str, PKey]) -> str:
    return ", ".join(f"{kind} {key.fingerprint}" for kind, key in keys.items())


def _save(known: HostKeys, way: Reach) -> None:
    """Replace the file in one step, so that a kill leaves the old or the new one."""
    new = way.known_hosts.with_name(f".{way.known_hosts.name}.hatcheck")
    try:
        known.save(str(new))
        os.replace(new, way.known_hosts)  # noqa: PTH105 - says "atomic" to the reader
    except OSError as error:
        raise UsageError(f"{way.known_hosts}: cannot be written: {error.strerror}") from error
