"""Step `hosts`: the machines know each other by name (runbook L97-115)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Action, Write
from harness.errors import ObservationError
from harness.model import Check
from harness.node import File
from harness.parse import getent, hosts
from harness.step import LookFrom, expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("system",)
LOOK_FROM: LookFrom = "every node"
PATH = "/etc/hosts"
LOOPBACK = {"127.0.0.1": ("localhost",)}
LOOPBACK_6 = "::1"
# Where a machine may find its own names (hosts(5); step `system` says which of them it must have).
OWN = ("127.0.0.1", "127.0.1.1")
READABLE = 0o444


@dataclass(frozen=True)
class State:
    """The file /etc/hosts, byte for byte, and the addresses that programs of the login user get for its peers.

    They are asked for the peers that the file has right and lets him read: only there could they differ from it.
    """

    file: File
    resolved: dict[str, tuple[str, ...]]


def observe(node: NodeAccess) -> State:
    """Read the file; that there is none is not an answer on a Debian machine."""
    found = node.files(PATH)
    if PATH not in found:
        raise ObservationError(f"{node.name}: {PATH} is not a regular file")
    right = right_names(node.name, found[PATH], node.cluster)
    if not right:
        return State(found[PATH], {})
    said = node.ask(getent.command(len(right)), *right)
    return State(found[PATH], getent.addresses(said, right))


def right_names(name: str, file: File, cluster: Cluster) -> tuple[str, ...]:
    """The peers whose one IPv4 address in the file is theirs; none where the login user may not read it.

    For a peer at ::1 the C library says 127.0.0.1, too.
    """
    if file.mode & READABLE != READABLE:
        return ()
    known = {
        called: [one for one in at if ":" not in one or one == LOOPBACK_6]
        for called, at in hosts.names(file.content).items()
    }
    peers = _peers(name, cluster)
    return tuple(peer for address, names in peers.items() for peer in names if known.get(peer) == [address])


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Each name that a machine must know, the loopback lines, and that everybody may read them."""
    for name, state in seen.items():
        known = hosts.names(state.file.content)
        wanted = {**LOOPBACK, **_peers(name, cluster)}
        further = _further(name, cluster)
        fix = _fix(name, state.file, wanted, further)
        for address, names in wanted.items():
            for peer in names:
                yield _judge_name(name, peer, address, known, fix)
        yield _judge_further(name, further, known, fix)
        yield expect(
            name, "IPv6 loopback has its name", want="localhost",
            seen="localhost" if LOOPBACK_6 in known.get("localhost", ()) else "no name", fix=fix,
        )  # fmt: skip
        yield expect(
            name, f"{PATH} may be read by everybody", want="yes",
            seen="yes" if state.file.mode & READABLE == READABLE else f"mode {state.file.mode:o}",
            fix=fix,
        )  # fmt: skip
        yield _judge_programs(name, state.resolved, cluster)


def _judge_programs(name: str, resolved: Mapping[str, tuple[str, ...]], cluster: Cluster) -> Check:
    """The file may be right and not be asked: nsswitch.conf(5) says who is."""
    wanted = {peer: address for address, names in _peers(name, cluster).items() for peer in names}
    other = [
        f"{peer} is {' and '.join(found) or 'unknown'}" for peer, found in resolved.items() if found != (wanted[peer],)
    ]
    return expect(
        name, "programs find what the file says", want="yes", seen=", ".join(other) or "yes",
        by_hand=f"{PATH} is right, but something else is asked: the line `hosts:` of /etc/nsswitch.conf begins with"
        " `files` on Debian",
    )  # fmt: skip


def _peers(name: str, cluster: Cluster) -> dict[str, tuple[str, ...]]:
    """What the runbook has a machine know: the controller all nodes; a node the controller and its siblings."""
    peers: dict[str, tuple[str, ...]] = {
        str(node.address): (node.alias,) for node in cluster.nodes if node.name != name
    }
    if name == cluster.controller.name:
        return peers
    return {str(cluster.controller.address): (cluster.controller.name,), **peers}


def _further(name: str, cluster: Cluster) -> dict[str, tuple[str, ...]]:
    """The names of the cluster that it need not know, and the IPv4 addresses at which each may stand."""
    known = {alias for aliases in _peers(name, cluster).values() for alias in aliases}
    places = [(cluster.controller.name, cluster.controller.name, cluster.controller.address)]
    places += [(node.name, called, node.address) for node in cluster.nodes for called in (node.name, node.alias)]
    return {
        called: (str(address), *(OWN if owner == name else ()))
        for owner, called, address in places if called not in known
    }  # fmt: skip


def _judge_further(
    name: str, further: Mapping[str, tuple[str, ...]], known: Mapping[str, tuple[str, ...]], fix: tuple[Action, ...]
) -> Check:
    found = [(called, address) for called in further for address in known.get(called, ())]
    wrong = [f"{called} is {at}" for called, at in found if ":" not in at and at not in further[called]]
    # As for the names that it must know: another machine on the loopback line would be this one.
    misled = [called for called, at in found if at == LOOPBACK_6 and OWN[0] not in further[called]]
    return expect(
        name, "no other name of the cluster is wrong", want="yes",
        seen=", ".join((*wrong, *(f"{called} is {LOOPBACK_6}" for called in misled))) or "yes",
        fix=fix if wrong else (), by_hand=f"take {', '.join(misled)} off the line of {LOOPBACK_6}",
    )  # fmt: skip


def _judge_name(
    name: str, peer: str, address: str, known: Mapping[str, tuple[str, ...]], fix: tuple[Action, ...]
) -> Check:
    # IPv6 lines are none of this step's business, but a peer on the loopback line would be this machine itself.
    is_misled = LOOPBACK_6 in known.get(peer, ()) and address not in LOOPBACK
    found = [one for one in known.get(peer, ()) if ":" not in one or (one == LOOPBACK_6 and is_misled)]
    return expect(
        name, f"address of {peer}", want=address, seen=", ".join(found) or "unknown name", fix=() if is_misled else fix,
        by_hand=f"take {peer} off the line of {LOOPBACK_6}",
    )  # fmt: skip


def _fix(
    name: str, file: File, wanted: Mapping[str, tuple[str, ...]], further: Mapping[str, tuple[str, ...]]
) -> tuple[Action, ...]:
    after = hosts.only_at(hosts.repair(file.content, wanted), further)
    if LOOPBACK_6 not in hosts.names(after).get("localhost", ()):
        after = hosts.with_line(after, f"{LOOPBACK_6} localhost ip6-localhost ip6-loopback")
    mode = None if file.mode & READABLE == READABLE else file.mode | READABLE
    if after == file.content and mode is None:
        return ()
    # One action for both: a second one would find the file changed since it was looked at, and be refused.
    return (Write(name, PATH, file.content, after, "name the machines of the cluster", mode),)
