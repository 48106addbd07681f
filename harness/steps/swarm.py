"""Step `swarm`: the controller manages a swarm, and every node is a ready worker of it, once (runbook L374-392)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.model import Check
from harness.parse import certificate, sockets
from harness.step import LookFrom
from harness.steps.swarm_certificate import judge_certificate
from harness.steps.swarm_manager import judge_manager
from harness.steps.swarm_members import READY, Membership, membership, settle
from harness.steps.swarm_paths import CONNECT, OPEN, await_ports, doors, judge_paths, listened, refusals, shut_doors
from harness.steps.swarm_workers import judge_entry, judge_worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("network", "engine")
LOOK_FROM: LookFrom = "every node"
CERTIFICATE = "{}/swarm/certificates/swarm-node.crt"


@dataclass(frozen=True)
class State:
    """One machine's membership by its own word, and what it takes to talk to the others.

    `certificate` is the seconds until it ends, None where the machine is in no swarm. `shut` are the doors of
    other members ("cnat:2377") that did not open; None where they were not tried.
    """

    membership: Membership
    certificate: int | None
    listens: tuple[str, ...]
    rules: str
    shut: tuple[str, ...] | None = None


def observe(node: NodeAccess) -> State:
    """Ask the engine, and read certificate, ports and firewall."""
    found = membership(node)
    if found.local == "active":
        await_ports(node)
    state = State(
        found,
        _seconds_left(node, found) if found.local != "inactive" else None,
        sockets.listens(node.ask(sockets.COMMAND, root=True)),
        node.ask("iptables -w -S", root=True),
    )
    # Judged once here, so that rules that nobody can read are an unknown of this machine.
    refusals(node.name, state.rules, state.listens, node.cluster.names, node.cluster)
    return state


def _seconds_left(node: NodeAccess, found: Membership) -> int:
    path = CERTIFICATE.format(found.root)
    files = node.files(path)
    if path not in files:
        raise ObservationError(f"{node.name}: it is in a swarm ({found.local}), but there is no {path}")
    return certificate.end(files[path].content) - int(node.ask("date %s", "+%s"))


def look_again(node: NodeAccess, seen: Mapping[str, State]) -> State:
    """Let the list settle, and knock at the doors of those who are in a swarm."""
    state, hub = seen[node.name], node.cluster.controller.name
    if hub not in seen:
        raise ObservationError(f"{node.name}: only {hub} knows the swarm, and it gave no answer", via=hub)
    if node.name == hub:
        memberships = {name: one.membership for name, one in seen.items()}
        state = replace(state, membership=settle(node, state.membership, memberships))
    members = {name: one.membership for name, one in seen.items() if one.membership.local == "active"}
    if node.name not in members:
        return state
    # Who is ready talks to the manager all the time; the manager would complain in its log of a silent caller.
    is_ready = any(one.id == state.membership.id and one.state == READY for one in seen[hub].membership.members or ())
    to_try = {name: one.is_manager and not is_ready for name, one in members.items()}
    tried = {
        (name, port): node.run(CONNECT, OPEN, str(node.cluster.address(name)), str(port))[0] == 0
        for name, port in doors(node.name, to_try, node.cluster)
    }
    return replace(state, shut=shut_doors(tried))


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """The manager first, then each machine's place in its list, its certificate and its ports."""
    hub = cluster.controller.name
    if hub not in seen:
        return  # what looked at it says why
    memberships = {name: state.membership for name, state in seen.items()}
    yield from judge_manager(memberships, cluster)
    members = memberships[hub].members
    for name, state in seen.items():
        if name != hub:
            yield judge_worker(name, state.membership, members, cluster)
        if members is not None:
            yield from judge_entry(name, state.membership, members, cluster)
        if state.certificate is not None:
            yield judge_certificate(name, state.certificate, cluster)
        if state.shut is not None:
            wanted = listened(is_manager=state.membership.is_manager, cluster=cluster)
            refused = refusals(name, state.rules, wanted, [peer for peer in memberships if peer != name], cluster)
            yield from judge_paths(name, wanted, state.listens, state.shut, refused)
