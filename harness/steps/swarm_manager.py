"""Part of step `swarm`: the controller manages it, leads it and is found where the runbook says (L386); pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model import Check
from harness.step import expect
from harness.steps import swarm_fixes as fixes
from harness.steps.swarm_members import READY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.steps.swarm_members import Member, Membership

MANAGER = "active manager"
# Of an engine that is in no swarm now, and did not leave one either.
BY_HAND = {
    "locked": "`docker swarm unlock` with the key that was shown when it was locked",
    "error": "set the clock right, then `sudo systemctl restart docker`; else `journalctl -u docker` says why",
    "pending": "it is still starting: look again; else `journalctl -u docker`",
}
NO_LEADER = (
    "bring the other managers back (`docker info` on each machine says which are); where they are lost for good, "
    "only a person may decide for `docker swarm init --force-new-cluster`"
)


def judge_manager(seen: Mapping[str, Membership], cluster: Cluster) -> Iterator[Check]:
    """That there is a swarm, managed and led by the controller, and what its list says of the whole."""
    hub = cluster.controller.name
    own = seen[hub]
    fix, by_hand = _mend(seen, cluster)
    told = f"{own.local}{' manager' if own.is_manager else ' worker' if own.local == 'active' else ''}"
    complaint = f": {own.complaint}" if own.complaint and not own.is_manager else ""
    yield expect(hub, "manages the swarm", want=MANAGER, seen=told + complaint, fix=fix, by_hand=by_hand)
    if own.is_manager:
        yield expect(hub, "swarm has a leader", want="yes", seen=own.complaint or "yes", by_hand=NO_LEADER)
    if own.locks is not None:
        # Somebody may want it so: it keeps the swarm's secrets from a thief of the card.
        yield expect(
            hub, "swarm comes back by itself", want="yes", level="advice", fix=(fixes.unlock(cluster),),
            seen="no: after a reboot it stays locked until somebody types the key" if own.locks else "yes",
        )  # fmt: skip
    if own.members is not None:
        yield from _judge_list(hub, own.members, cluster)


def _mend(seen: Mapping[str, Membership], cluster: Cluster) -> tuple[tuple[Action, ...], str]:
    """A new swarm only where nobody is in any; a lost place is given back by another manager."""
    hub = cluster.controller.name
    own = seen[hub]
    if own.local in BY_HAND:
        return (), BY_HAND[own.local]
    if own.local == "active":
        by = next((name for name, one in seen.items() if one.members and own.id in {m.id for m in one.members}), None)
        if by:
            return (fixes.promote(hub, own.id, by),), ""
        return (), f"another machine manages the swarm that {hub} is in: `docker node promote {hub}` there"
    others = [name for name, one in seen.items() if one.local != "inactive"]
    if others:
        these = ", ".join(others)
        return (
            (),
            f"{these} are in a swarm already: `docker swarm leave` on each whose swarm is lost, then repair again",
        )
    return (fixes.found(cluster),), ""


def _judge_list(hub: str, members: tuple[Member, ...], cluster: Cluster) -> Iterator[Check]:
    leader = next((member for member in members if member.is_leader), None)
    others = [one for one in members if one.role == "manager" and one.hostname in cluster.names and one.hostname != hub]
    demote = tuple(fixes.demote(one.hostname, one.id, cluster) for one in others)
    yield expect(
        hub, "leader of the swarm", want=hub, seen=leader.hostname if leader else "nobody", fix=demote,
        by_hand=NO_LEADER,
    )  # fmt: skip
    own = next((one for one in members if one.hostname == hub and one.advertised), None)
    yield expect(
        hub, "advertised address", want=fixes.remote(cluster), seen=own.advertised if own else "none",
        by_hand=f"it was fixed when the swarm was made, and the workers ask there. While that address stays {hub}'s "
        "all goes on; else all machines must leave and the swarm be made anew, which loses its services and secrets",
    )  # fmt: skip
    yield expect(
        hub, "manager is reachable", want="reachable", seen=own.reachability if own else "not listed",
        by_hand="`journalctl -u docker` on this machine",
    )  # fmt: skip
    yield _judge_workers(hub, members, cluster)
    yield _judge_strangers(hub, members, cluster)


def _judge_workers(hub: str, members: tuple[Member, ...], cluster: Cluster) -> Check:
    """Of the whole cluster, so that it is said of one that cannot be asked, too; who is well goes on."""
    states = {node.name: [one.state for one in members if one.hostname == node.name] for node in cluster.nodes}
    missing = [
        f"{name} {' and '.join(found) or 'is not listed'}" for name, found in states.items() if READY not in found
    ]
    return Check(
        hub, "every node is ready", "all", ", ".join(missing) or "all", not missing,
        by_hand="each node's own line says what to do; a node without power cannot be a member", stops=False,
    )  # fmt: skip


def _judge_strangers(hub: str, members: tuple[Member, ...], cluster: Cluster) -> Check:
    strangers = [f"{one.hostname} ({one.state}, {one.id})" for one in members if one.hostname not in cluster.names]
    return expect(
        hub, "no strangers on the list", want="none", seen=", ".join(strangers) or "none", level="advice",
        by_hand="`docker node rm ID` where it is gone for good, or write it into the inventory",
    )  # fmt: skip
