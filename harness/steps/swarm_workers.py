"""Part of step `swarm`: each machine's place in the manager's list, by the number that it says itself; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.step import expect
from harness.steps import swarm_fixes as fixes
from harness.steps.swarm_manager import BY_HAND
from harness.steps.swarm_members import READY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.steps.swarm_members import Member, Membership

LEAVE = "`docker swarm leave` on {}, where no container of that swarm may be needed any more; then repair again"


def judge_worker(name: str, own: Membership, members: Sequence[Member] | None, cluster: Cluster) -> Check:
    """In the swarm of the controller, and in no other."""
    hub = cluster.controller.name
    if own.local == "inactive":
        fix = (fixes.join(name, f"have {name} work for the swarm of {hub}", cluster),)
        return expect(name, f"in the swarm of {hub}", want="yes", seen="no: in none", fix=fix)
    if members is None:
        by_hand = f"mend {hub} first; if its swarm is lost: {LEAVE.format(name)}"
        return expect(name, f"in the swarm of {hub}", want="yes", seen=f"{hub} knows of none", by_hand=by_hand)
    if not own.id:
        # Without its number nobody can tell which entry is its own, so none is taken away and nothing is joined anew.
        seen = f"no: Docker's swarm part does not start ({own.local}: {own.complaint or 'it does not say why'})"
        by_hand = BY_HAND.get(own.local, BY_HAND["error"])
        return expect(name, f"in the swarm of {hub}", want="yes", seen=seen, by_hand=by_hand)
    is_listed = _is_listed(own, members)
    if is_listed and own.local == "active":
        return expect(name, f"in the swarm of {hub}", want="yes", seen="yes")
    why = f": {own.complaint}" if own.complaint else ""
    back = (fixes.join(name, f"have {name} find back into the swarm", cluster),) if is_listed else ()
    seen = f"{own.local}{why}" if is_listed else f"no: in another one ({own.local}{why})"
    return expect(name, f"in the swarm of {hub}", want="yes", seen=seen, fix=back, by_hand=LEAVE.format(name))


def judge_entry(name: str, own: Membership, members: Sequence[Member], cluster: Cluster) -> Iterator[Check]:
    """What the manager says of a machine that is a member; and that its name stands there once."""
    entry = next((one for one in members if one.id and one.id == own.id), None)
    yield _judge_namesakes(name, own, members, cluster)
    if entry is None:
        return
    hub = cluster.controller.name
    role = "manager" if name == hub else "worker"
    if name != hub:
        fix = (fixes.join(name, f"wait until {name} is ready, or restart its Docker", cluster),)
        yield expect(name, "state in the swarm", want=READY, seen=entry.state, fix=fix)
    yield expect(
        name, "availability", want="active", seen=entry.availability, fix=(fixes.activate(name, entry.id, cluster),)
    )
    yield expect(
        name, "role", want=role, seen=entry.role,
        fix=(fixes.demote(name, entry.id, cluster),) if role == "worker" else (),
        by_hand=f"`docker node promote {entry.id}` on another manager",
    )  # fmt: skip
    yield expect(
        name, "name in the swarm", want=name, seen=entry.hostname,
        by_hand="the name was another one when Docker started: `sudo systemctl restart docker` here, which "
        "restarts its containers",
    )  # fmt: skip
    yield expect(
        name, "address in the swarm", want=str(cluster.address(name)), seen=own.address or "none",
        by_hand=f"it joined by another way; `docker swarm leave` on {name}, and repair again: it loses its tasks for a "
        "moment" if name != hub else "the manager was made with another address: see its advertised address",
    )  # fmt: skip


def _is_listed(own: Membership, members: Sequence[Member]) -> bool:
    """Whether its number is on the list; one that does not say its number is on none that we know of."""
    return bool(own.id) and any(one.id == own.id for one in members)


def _judge_namesakes(name: str, own: Membership, members: Sequence[Member], cluster: Cluster) -> Check:
    """Other entries of the same name: a machine that joined again leaves a dead one behind.

    Where the machine neither left nor shows which entry is its own, a dead one may be its own: with it would go its
    labels, and a restart of Docker would heal nothing any more.
    """
    named = [one for one in members if one.hostname == name]
    others = [one for one in named if one.id != own.id]
    may_forget = own.local == "inactive" or _is_listed(own, members)
    if not own.id and not may_forget and len(named) == 1:
        others = []
    dead = [one for one in others if one.state == "down"]
    fix = tuple(fixes.forget(name, one.id, cluster) for one in dead) if may_forget and dead == others else ()
    by_hand = f"one that is not down may be another machine that calls itself {name}: see `docker node inspect`"
    return expect(
        name, "other entries of its name", want="none",
        seen=", ".join(f"{one.id} ({one.state})" for one in others) or "none", fix=fix,
        by_hand=by_hand if may_forget else f"first have {name} in the swarm: then it shows which entry is its own",
    )  # fmt: skip
