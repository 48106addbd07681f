"""Part of step `swarm`: the list of members as a manager keeps it, and one machine's own word on its membership."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.errors import EngineError, ObservationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.node import NodeAccess

READY = "ready"
# An election, or an engine that has just started, settles within seconds: waited for on the machine, with an end by
# its clock, because an answer of Docker alone may take seconds there. $0 are the seconds.
SETTLED = """
end=$(($(date +%s)+$0))
while state=$(docker info -f '{{.Swarm.LocalNodeState}} {{.Swarm.Error}}') && [ "${state%% *}" = pending ]; do
  [ "$(date +%s)" -lt "$end" ] || { echo "$state"; exit 0; }
  sleep 1
done
"""
# +ID shall be ready, -ID shall not.
AGREED = """
end=$(($(date +%s)+$0))
while :; do
  left=
  for each; do
    state=$(docker node inspect -f '{{.Status.State}}' "${each#?}" 2>/dev/null)
    case "$each:$state" in +*:ready) ;; -*:ready) left=$each ;; +*) left=$each ;; esac
    [ -z "$left" ] || break
  done
  [ "$left" ] || exit 0
  [ "$(date +%s)" -lt "$end" ] || break
  sleep 1
done
echo "${left#?} is $state"
"""
HAS_LEADER = """
end=$(($(date +%s)+$0))
until said=$(docker node ls -q 2>&1 >/dev/null); do
  [ "$(date +%s)" -lt "$end" ] || { echo "$said"; exit 0; }
  sleep 1
done
"""
PATIENCE, PATIENCE_OF_LIST = 10, 20


@dataclass(frozen=True)
class Member:
    """One line of `docker node ls`; `advertised` ("address:port") and `reachability` are of managers, else empty.

    `address` is where the manager last saw it; of a manager it may be 0.0.0.0.
    """

    id: str
    hostname: str
    role: str
    availability: str
    state: str
    labels: dict[str, str]
    is_leader: bool = False
    reachability: str = ""
    advertised: str = ""
    address: str = ""


@dataclass(frozen=True)
class Membership:
    """What an engine says of its own place: `local` is inactive, pending, active, error or locked.

    `members` is None where it is no manager, or gives no list; `complaint` then says why. `address` is what it
    tells the others; the list has for a manager whichever of its addresses it was last seen with. `locks` says whether
    a restarted manager of its swarm waits for a person with the key; None where it does not know.
    """

    local: str
    id: str
    is_manager: bool
    complaint: str
    members: tuple[Member, ...] | None
    address: str
    root: str
    locks: bool | None = None


def membership(node: NodeAccess) -> Membership:
    """Ask the engine of one machine; one that is just settling is given some seconds."""
    info = node.docker().info()
    if info["Swarm"]["LocalNodeState"] == "pending":
        node.wait(PATIENCE_OF_LIST, "its place in the swarm", SETTLED)
        info = node.docker().info()
    said = info["Swarm"]
    is_manager = bool(said["ControlAvailable"])
    members, complaint = _list(node) if is_manager else (None, said.get("Error") or "")
    return Membership(
        said["LocalNodeState"], said["NodeID"], is_manager, complaint, members, said.get("NodeAddr") or "",
        info["DockerRootDir"], _locks(said),
    )  # fmt: skip


def _locks(said: dict[str, Any]) -> bool | None:
    """What a manager says of its swarm as a whole; a worker says nothing of it."""
    spec = (said.get("Cluster") or {}).get("Spec")
    return None if spec is None else bool((spec.get("EncryptionConfig") or {}).get("AutoLockManagers"))


def settle(node: NodeAccess, own: Membership, seen: Mapping[str, Membership]) -> Membership:
    """The manager's own word once more, after its list has had some seconds to agree with what the others say.

    A member that has just started is not ready at once, and one that left is taken for ready for a while.
    """
    numbers = {name: one.id for name, one in seen.items() if one.local == "active"}
    late = [f"+{one.id}" for one in own.members or () if one.id in numbers.values() and one.state != READY]
    gone = [
        f"-{one.id}" for one in own.members or ()
        if one.hostname in seen and one.id not in numbers.values() and one.state == READY
    ]  # fmt: skip
    if not late and not gone:
        return own
    node.wait(PATIENCE_OF_LIST, "the list of members to agree with what they say", AGREED, *late, *gone)
    return replace(own, members=list_members(node))


def _list(node: NodeAccess) -> tuple[tuple[Member, ...] | None, str]:
    """The manager's list, or why it has none: without a leader it answers with an error."""
    node.wait(PATIENCE, "a leader of the swarm", HAS_LEADER)
    try:
        return list_members(node), ""
    except EngineError as error:
        return None, str(error).rpartition("Docker says: ")[2]


def list_members(node: NodeAccess) -> tuple[Member, ...]:
    """All members as a manager knows them, by hostname; EngineError where it is none."""
    found = [_member(entry, node.name) for entry in node.docker().api.nodes()]
    return tuple(sorted(found, key=lambda member: (member.hostname, member.id)))


def _member(entry: dict[str, Any], name: str) -> Member:
    try:
        spec, status, manager = entry["Spec"], entry["Status"], entry.get("ManagerStatus") or {}
        return Member(
            entry["ID"], entry["Description"]["Hostname"], spec["Role"], spec["Availability"], status["State"],
            dict(spec.get("Labels") or {}), bool(manager.get("Leader")),
            manager.get("Reachability", ""), manager.get("Addr", ""), status.get("Addr", ""),
        )  # fmt: skip
    except LookupError as error:
        raise ObservationError(f"{name}: an entry of Docker's list of nodes lacks {error}") from error
