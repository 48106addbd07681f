"""Step `database`: the application's database is there, complete, kept, and answers (runbook L320-372)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.step import LookFrom, expect
from harness.steps.database_judge import judge_server, judge_site, judge_users
from harness.steps.database_server import Server, look_at_server
from harness.steps.database_site import Site, ask_site
from harness.steps.web_containers import NOT_HERE, running, still_starting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.node import NodeAccess

NEEDS = ("replicas",)
LOOK_FROM: LookFrom = "every node"


@dataclass(frozen=True)
class State:
    """The database on one machine: the containers that run it here, and what the web containers here say of it."""

    servers: tuple[Server, ...]
    web: tuple[str, ...]
    sites: tuple[Site, ...] = ()


def observe(node: NodeAccess) -> State:
    """Ask the server where it runs, and see where the site does."""
    servers = (look_at_server(node, number) for number in running(node, node.cluster.database_service))
    return State(tuple(servers), running(node, node.cluster.web_service))


def look_again(node: NodeAccess, seen: Mapping[str, State]) -> State:
    """Let the web containers here ask; one of all also asks for the seeded users."""
    state = seen[node.name]
    answering = [server.fresh for one in seen.values() for server in one.servers if not server.failure]
    is_missing = not answering and any(node.cluster.label_of(name) == "sql" for name in seen)
    is_first = node.name == _first(seen, node.cluster)
    sites = []
    for number in state.web:
        # That the two are there and do not meet yet is waited for; a server that answers nobody is not.
        own = still_starting(node, number, node.cluster.database.deadline)
        patience = 0 if is_missing else max([own, *answering])
        sites.append(ask_site(node, number, patience, with_users=is_first))
    return replace(state, sites=tuple(sites))


def _first(seen: Mapping[str, State], cluster: Cluster) -> str:
    with_site = [name for name in cluster.names if name in seen and seen[name].web]
    return next(iter(with_site), "")


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Each machine's part; the seeded users are said of the machine that keeps them."""
    for name, state in seen.items():
        is_placed = cluster.label_of(name) == "sql"
        yield expect(name, "runs the database", want="yes" if is_placed else "no", seen=_told(state), by_hand=NOT_HERE)
        for server in state.servers:
            yield from judge_server(name, server, cluster)
        for site in state.sites:
            yield from judge_site(name, site, cluster)
    answered = [name for name, state in seen.items() if any(server.content for server in state.servers)]
    if answered:
        asked = [site.users for state in seen.values() for site in state.sites if site.users is not None]
        yield from judge_users(answered[0], asked[0] if asked else None, cluster)


def _told(state: State) -> str:
    number = len(state.servers)
    return "no" if number == 0 else "yes" if number == 1 else f"{number} times, on one folder"
