"""Part of step `database`: the server's container on one machine, asked as root by its client (runbook L357-369)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import ObservationError
from harness.node import slices
from harness.parse import database_sql, mysql, sql_script
from harness.parse.database_sql import Content
from harness.parse.excerpt import excerpt
from harness.steps.web_containers import still_starting

if TYPE_CHECKING:
    from harness.node import NodeAccess

LIMIT = 28.0
COMMAND = " ".join(["%s"] * len(mysql.argv("", 0, LIMIT)))
LOG = "docker logs --tail 200 %s 2>&1"
READ = "docker exec %s cat -- %s"
# What its own settings and its command line ask for at each start; `SET PERSIST` keeps it in a file of the data. Only
# MariaDB's program knows by itself which groups of the settings its server reads.
ASKED = "docker exec %s sh -c %s ask %s"
ASK_SETTINGS = """
groups="mysqld server mysqld-${MYSQL_MAJOR:-5.7}"
said=$(my_print_defaults --mysqld 2>/dev/null || my_print_defaults $groups) || exit
said="$said
$(tr '\\0' '\\n' < /proc/1/cmdline)" || exit
! echo "$said" | grep -Eiq '^--(super[-_])?read[-_]only(=(1|on|true))?$' || { echo yes; exit; }
! grep -q read_only "$1/mysqld-auto.cnf" 2>/dev/null || { echo yes; exit; }
echo no
"""
# The same folder, or one that was put in its place while the container kept the old one? And on what does it lie?
FOLDERS = (
    "stat -c %%d:%%i -- %s 2>/dev/null || echo none; docker exec %s stat -c %%d:%%i -- %s && "
    "{ stat -f -c %%T -- %s || echo none; }"
)


@dataclass(frozen=True)
class Script:
    """The schema script of the container: its SHA-256, and why it must not be run (empty: it may)."""

    digest: str
    obstacle: str


@dataclass(frozen=True)
class Server:
    """One running container of the database.

    `failure` is why root could not ask it, and then there is no `content`. `mount` is what lies under its data
    directory ("bind /path", "volume name", "the container itself"), `is_same_folder` whether that is the folder which
    the machine has there now, `medium` the kind of file system that this lies on. `fresh` are the seconds for which it
    may still be starting; `script` is read only where the database is empty, and `asks_read_only`, whether the server's
    own settings ask for that (None: nobody knows), only where it is so.
    """

    container: str
    fresh: int
    failure: str = ""
    content: Content | None = None
    mount: str = ""
    is_same_folder: bool = False
    medium: str = "none"
    script: Script | None = None
    asks_read_only: bool | None = None


def look_at_server(node: NodeAccess, container: str) -> Server:
    """Wait for it if it has just been started, and ask."""
    api: Any = node.docker().api
    said = api.inspect_container(container)
    deadline = node.cluster.database.deadline
    fresh = still_starting(node, container, deadline)
    content, failure = _ask(node, container, fresh)
    # Of the time that it had, what is left for the sites that ask it.
    fresh = still_starting(node, container, deadline) if fresh else 0
    if content is None:
        return Server(container, fresh, failure)
    mount, source, target = _mount(said["Mounts"], content.datadir)
    asked = (source, container, target, source)
    *folders, medium = node.ask(FOLDERS, *asked, root=True).splitlines() if source else ["none"]
    is_same = len(folders) == 2 and len(set(folders)) == 1  # noqa: PLR2004 - one by the machine, one by the container
    script = _script(node, container) if content.is_empty else None
    asks = _asks_read_only(node, container, content.datadir) if content.is_read_only else None
    return Server(container, fresh, "", content, mount, is_same, medium, script, asks)


def _ask(node: NodeAccess, container: str, fresh: int) -> tuple[Content | None, str]:
    wanted = node.cluster.database
    sql = database_sql.LOOK.format(database=wanted.name, user=wanted.user)
    stdin = f"{wanted.root_password.reveal()}\n{sql}"
    code, out, err = 0, "", ""
    for seconds in slices(fresh):
        code, out, err = node.feed(COMMAND, *mysql.argv(container, seconds, LIMIT), stdin=stdin)
        if code != mysql.NOT_YET:
            break
        node.say(f"{node.name}: waiting for the database to answer: {_error(code, out, err)}")
    if code == 0:
        return database_sql.content(out), ""
    number, _ = mysql.error(err)
    if number in mysql.DENIED:
        raise ObservationError(
            f"{node.name}: root may not ask the database (error {number}): write its password into "
            "[database] root_password of the inventory"
        )
    late = f"not within {node.cluster.database.deadline} s of its start: " if fresh and code == mysql.NOT_YET else ""
    return None, _why(node, container, f"{late}{_error(code, out, err)}")


def _error(code: int, out: str, err: str) -> str:
    return mysql.error(err)[1] or f"exit {code}: {excerpt(err or out)}"


def _why(node: NodeAccess, container: str, error: str) -> str:
    """The client's words, and the server's own complaint where it has one."""
    code, log, _ = node.run(LOG, container, root=True)
    complaint = mysql.server_complaint(log) if code == 0 else ""
    return f"{error}; its log: {excerpt(complaint)}" if complaint else error


def _mount(mounts: list[dict[str, Any]], datadir: str) -> tuple[str, str, str]:
    """What lies under a folder of a container: in words, as a path of the machine (empty: none), and where."""
    folder = datadir.rstrip("/")
    over = [one for one in mounts if f"{folder}/".startswith(f"{one['Destination'].rstrip('/')}/")]
    if not over:
        return "the container itself", "", ""
    nearest = max(over, key=lambda one: len(one["Destination"]))
    named = nearest["Source"] if nearest["Type"] == "bind" else nearest.get("Name", nearest["Source"])
    return f"{nearest['Type']} {named}", nearest["Source"], nearest["Destination"]


def _asks_read_only(node: NodeAccess, container: str, datadir: str) -> bool | None:
    """None where it cannot be told: then a person decides."""
    code, out, _ = node.run(ASKED, container, ASK_SETTINGS, datadir.rstrip("/"), root=True)
    return None if code else out.strip() != "no"


def _script(node: NodeAccess, container: str) -> Script:
    wanted = node.cluster.database
    code, text, _ = node.run(READ, container, wanted.script, root=True)
    if code:
        return Script("", "it is not in the container")
    return Script(hashlib.sha256(text.encode()).hexdigest(), sql_script.obstacle(text, wanted.name))
