"""States of the steps `web` and `database` as they are when all is well, in host mode and through the mesh."""

from __future__ import annotations

from harness.parse.database_sql import Content
from harness.parse.page import Said
from harness.steps import database, web
from harness.steps.database_documented import TABLES, documented_grants
from harness.steps.database_server import Server
from harness.steps.database_site import Site, User
from harness.steps.web_look import Inside, Published, Service
from harness.steps.web_visit import Answer, Trial, Visit
from tests_harness.fakes import documented_cluster

CLUSTER = documented_cluster()
HUB = CLUSTER.controller.name
NODES = tuple(node.name for node in CLUSTER.nodes)
BUILD = "0123456789ab"
FIELDS = ("form", "login", "password")
SERVER = Server(
    "5e17e0" * 10, 0, "",
    Content("/var/lib/mysql/", True, dict(TABLES), ("%",), documented_grants(CLUSTER), False),  # noqa: FBT003
    "bind /var/lib/mysql_volume_app", is_same_folder=True, medium="ext2/ext3",
)  # fmt: skip
USERS: dict[str, User | None] = {"admin": User("ADMIN", verifies=True), "user": User("USER", verifies=True)}
SITE = Site("web", "servicebd", "blitzcalc", "BlitzCalc_DB", "", None)


def page(name: str = "", *, login: str = "", fields: tuple[str, ...] = (), status: int = 200) -> Answer:
    """A page of the site, served by the task of a machine."""
    return Answer(status, Said("BlitzCalc", BUILD, "Start", name, fields, "f" * 32 if fields else "", login))


def visited(name: str, *, is_own: bool = True) -> Visit:
    """A visitor who was let in at a machine's address."""
    where = f"{CLUSTER.address(name)}:80"
    let_in = Answer(303, Said(), "index.php")
    return Visit(where, is_own, page(name), page(name, fields=FIELDS), let_in, page(name, login="user"))


def tried() -> Trial:
    """The right password was taken, and the wrong one refused."""
    return Trial(visited("p1"), page("p1", fields=FIELDS, status=401), page("p1"))


def good_web(mode: str = "host", obstacle: str = "") -> dict[str, web.State]:
    """A task on each node; through the mesh the controller answers, too."""
    is_own = mode == "host"
    service = Service((Published(80, mode),), NODES, 0)
    visits = () if is_own or obstacle else (visited("p2"),)
    meshed = tuple(Visit("172.19.181.254:80", False, *_rest(one)) for one in visits)  # noqa: FBT003
    hub = web.State((), service, BUILD, obstacle, tried(), (), meshed)
    return {HUB: hub} | {
        name: web.State((f"task-{name}",), inside=(_inside(name),), visits=(visited(name, is_own=is_own),))
        for name in NODES
    }


def _rest(one: Visit) -> tuple[Answer, Answer | None, Answer | None, Answer | None]:
    return one.start, one.form, one.signed_in, one.then


def _inside(name: str) -> Inside:
    return Inside(f"task-{name}", Said("BlitzCalc", BUILD, "Start", name))


def good_database() -> dict[str, database.State]:
    """The server on the controller, and each node's site gets an answer; the first one also about the users."""
    sites = {name: Site(f"web-{name}", *_settings(), USERS if name == "p1" else None) for name in NODES}
    hub = database.State((SERVER,), ())
    return {HUB: hub} | {name: database.State((), (f"web-{name}",), (sites[name],)) for name in NODES}


def _settings() -> tuple[str, str, str, str]:
    return SITE.host, SITE.user, SITE.name, SITE.failure
