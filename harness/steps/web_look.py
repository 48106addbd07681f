"""Part of step `web`: how the service is published, and what its tasks say from inside their containers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.parse import page
from harness.parse.excerpt import excerpt
from harness.parse.page import Said
from harness.steps.web_containers import short

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.node import NodeAccess

HOST = "host"
# A machine's clock may have jumped since its engine started, but nothing on it is older than its kernel.
AGE = 'echo "$(( $(date +%%s) - $(date -d %s +%%s) )) $(cut -d. -f1 /proc/uptime)"'
INSIDE = "timeout 20 docker exec --user www-data %s php -d allow_url_fopen=1 -r %s"
ASK_ITSELF = """
$wait = stream_context_create(['http' => ['timeout' => 15, 'ignore_errors' => true, 'follow_location' => 0]]);
$page = @file_get_contents('http://127.0.0.1/', false, $wait, 0, 262144);
if ($page === false) { exit(3); }
echo $page;
"""


@dataclass(frozen=True)
class Published:
    """One published port of the service, and whether by the machine of a task ("host") or by all ("ingress")."""

    port: int
    mode: str


@dataclass(frozen=True)
class Service:
    """The service by the manager's word: its ports, the machines that run it, and how long it may yet be starting.

    `fresh` is in seconds from now, until the deadline of the youngest task, of the site or of its database.
    """

    ports: tuple[Published, ...]
    machines: tuple[str, ...]
    fresh: int


@dataclass(frozen=True)
class Inside:
    """One container of the service: the page that it gives itself, or the complaint of why there is none."""

    container: str
    said: Said = field(default_factory=Said)
    complaint: str = ""


def observe_service(node: NodeAccess) -> Service | None:
    """Ask the manager; None where it has no such service."""
    web, database = node.cluster.web_service, node.cluster.database_service
    api: Any = node.docker().api
    found = {one["Spec"]["Name"]: one for one in api.services(filters={"name": [web, database]})}
    if web not in found:
        return None
    wanted = {"service": [found[name]["ID"] for name in (web, database) if name in found], "desired-state": "running"}
    tasks: dict[str, list[Any]] = {}
    for one in api.tasks(filters=wanted):
        tasks.setdefault(one["ServiceID"], []).append(one)
    names = {one["ID"]: one["Description"]["Hostname"] for one in api.nodes()}
    own = tasks.get(found[web]["ID"], [])
    machines = tuple(sorted({names[one["NodeID"]] for one in own if one.get("NodeID") in names}))
    deadlines = {web: node.cluster.web.deadline, database: node.cluster.database.deadline}
    fresh = (_fresh(node, tasks.get(one["ID"]), deadlines[name]) for name, one in found.items() if name in deadlines)
    return Service(tuple(_published(found[web], node.cluster.web.port)), machines, max(fresh))


def _published(service: dict[str, Any], target: int) -> Iterator[Published]:
    for one in service["Endpoint"].get("Ports") or ():
        if one["TargetPort"] == target and one.get("Protocol", "tcp") == "tcp":
            yield Published(one["PublishedPort"], one.get("PublishMode", "ingress"))


def _fresh(node: NodeAccess, tasks: Sequence[dict[str, Any]] | None, deadline: int) -> int:
    if not tasks:
        return 0
    by_clock, uptime = map(int, node.ask(AGE, max(one["Status"]["Timestamp"] for one in tasks)).split())
    return max(0, deadline - min(max(0, by_clock), uptime))


def look_inside(node: NodeAccess, number: str) -> Inside:
    """Have a container ask itself: whatever is published, this is the page of that task."""
    code, out, err = node.feed(INSIDE, number, ASK_ITSELF, stdin="")
    if code:
        why = "its web server does not answer" if code == 3 else f"exit {code}: {excerpt(err or out)}"  # noqa: PLR2004
        return Inside(short(number), complaint=why)
    return Inside(short(number), page.read(out))
