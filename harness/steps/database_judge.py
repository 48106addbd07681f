"""Part of step `database`: the server's content against the script's, and what the site's containers said. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import AllowWrites, LoadSchema
from harness.step import expect
from harness.steps.database_documented import TABLES, documented_grants, statements
from harness.steps.web_containers import short

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.model import Check
    from harness.parse.database_sql import Content
    from harness.steps.database_server import Server
    from harness.steps.database_site import Site, User

MEMORY = {"tmpfs", "ramfs"}
AS_SCRIPT = "as in the script"


def judge_server(name: str, server: Server, cluster: Cluster) -> Iterator[Check]:
    """One container of the database."""
    wanted = cluster.database
    yield expect(
        name, "database answers root", want="yes", seen=f"no: {server.failure}" if server.failure else "yes",
        by_hand=f"`docker logs {short(server.container)}` here; blame `replicas`",
    )  # fmt: skip
    if server.content is None:
        return
    yield expect(
        name, "data directory", want=f"bind {wanted.data}", seen=server.mount,
        by_hand="blame `stack`; first copy what the container has written, or it is lost with the container",
    )  # fmt: skip
    if server.mount == f"bind {wanted.data}":
        yield expect(
            name, f"{wanted.data} is what the container writes to", want="yes",
            seen="yes" if server.is_same_folder else "no: another folder was put in its place while it ran",
            by_hand="its rows are lost when it ends: dump them first (`mysqldump --all-databases`), stop the service, "
            "put the old folder back, start the service",
        )  # fmt: skip
    if server.mount == f"bind {wanted.data}" and server.is_same_folder:
        yield expect(
            name, f"{wanted.data} outlives a reboot", want="yes",
            seen=f"no: it lies in memory ({server.medium})" if server.medium in MEMORY else "yes",
            by_hand=f"`findmnt -T {wanted.data}` here shows what lies over it: stop the service, copy the folder to "
            "the disk, unmount, put the copy in its place, start the service",
        )  # fmt: skip
    yield _judge_writes(name, server, server.content)
    yield from _judge_content(name, server, server.content, cluster)


def _judge_writes(name: str, server: Server, content: Content) -> Check:
    """Root may write all the same, so nobody else would say so: the site shows its pages, and keeps nothing."""
    fix = (AllowWrites(name, server.container, "let the site write again"),) if server.asks_read_only is False else ()
    why = "its own settings seem to ask for that" if server.asks_read_only else "its own settings may ask for that"
    return expect(
        name, "database takes writes", want="yes", seen="no: it is read-only" if content.is_read_only else "yes",
        fix=fix, by_hand=f"{why}: take read_only out of them (my.cnf, the service's command, "
        "`RESET PERSIST read_only`), then `SET GLOBAL read_only = 0` as root",
    )  # fmt: skip


def _judge_content(name: str, server: Server, content: Content, cluster: Cluster) -> Iterator[Check]:
    wanted, fix, by_hand = cluster.database, _fix(name, server, cluster), _by_hand(server, cluster)
    yield expect(
        name, f"database {wanted.name}", want="there", seen="there" if content.has_database else "not there",
        fix=fix, by_hand=by_hand,
    )  # fmt: skip
    for table, columns in TABLES.items():
        seen = _difference(content.tables.get(table), columns)
        words = statements(wanted.name, table, content.tables.get(table, ()))
        # No action of ours: it makes the table anew, and rows that do not fit would be changed or refused.
        mend = f"dump the table, then as root: `{'; '.join(words)}`" if words else by_hand
        yield expect(name, f"table {table}", want=AS_SCRIPT, seen=seen, fix=fix, by_hand=mend)
    yield expect(
        name,
        f"account {wanted.user}",
        want="from every host (%)",
        seen=_hosts(content.accounts),
        fix=fix,
        by_hand=by_hand,
    )
    grants = documented_grants(cluster)
    more, less = sorted(set(content.grants) - set(grants)), sorted(set(grants) - set(content.grants))
    said = [f"too much: {', '.join(more)}"] * bool(more) + [f"lacks {', '.join(less)}"] * bool(less)
    yield expect(
        name, f"grants of {wanted.user}", want=AS_SCRIPT, seen="; ".join(said) or AS_SCRIPT, fix=fix, by_hand=by_hand
    )


def _difference(seen: tuple[str, ...] | None, want: tuple[str, ...]) -> str:
    """Columns by name: their order is of no importance to anybody who names them."""
    if seen is None:
        return "not there"
    lacks, has = [one for one in want if one not in seen], [one for one in seen if one not in want]
    said = [f"lacks {', '.join(lacks)}"] * bool(lacks) + [f"has {', '.join(has)}"] * bool(has)
    return "; ".join(said) or AS_SCRIPT


def _hosts(hosts: tuple[str, ...]) -> str:
    if not hosts:
        return "not there"
    return "from every host (%)" if hosts == ("%",) else f"from {', '.join(hosts)}"


def _fix(name: str, server: Server, cluster: Cluster) -> tuple[Action, ...]:
    """The script, on an empty database only."""
    if server.script is None or server.script.obstacle:
        return ()
    wanted = cluster.database
    why = f"make {wanted.name}, which is empty, by the script of its image"
    return (LoadSchema(name, server.container, wanted.name, wanted.script, server.script.digest, why),)


def _by_hand(server: Server, cluster: Cluster) -> str:
    script = cluster.database.script
    if server.script:
        return (
            f"{script} is not run, because {server.script.obstacle}: run what is good of it by hand (runbook L357-369)"
        )
    return f"there is something in it, so nothing is run: compare with {script} of the image, dump, and mend by hand"


def judge_site(name: str, site: Site, cluster: Cluster) -> Iterator[Check]:
    """One web container: it asks the documented server, and gets an answer."""
    wanted = cluster.database
    if site.host or site.user or site.name:
        yield expect(
            name, "settings of the site", want=f"{wanted.user} asks {wanted.host} for {wanted.name}",
            seen=f"{site.user} asks {site.host} for {site.name}",
            by_hand="Config/config.json of the site and [database] of the inventory must agree; blame `images`",
        )  # fmt: skip
    yield expect(
        name, f"{wanted.host} answers the site", want="yes", seen=f"no: {site.failure}" if site.failure else "yes",
        by_hand=_blame(site.failure, wanted.host),
    )  # fmt: skip


def _blame(failure: str, host: str) -> str:
    if "getaddrinfo" in failure:
        return f"the network of the stack does not know {host} here: blame `stack`, or restart Docker on this machine"
    if "error 1045" in failure:
        return (
            "where nothing is said of the account, its password is another one than the site's: as root `ALTER USER … "
            "IDENTIFIED BY …` with that of Config/config.json (or of the secret bd_password)"
        )
    if "error 1" in failure:  # the server's own numbers begin at 1000, the client's at 2000
        return "the server is there and refuses: see what is said of its accounts and tables"
    return "blame `replicas` where it does not run; else the network of the stack: ports 7946 and 4789 (`swarm`)"


def judge_users(name: str, users: Mapping[str, User | None] | None, cluster: Cluster) -> Iterator[Check]:
    """The seeded users, as the site itself finds them."""
    if users is None:
        yield expect(
            name, "seeded users", want="asked for by the site", seen="nobody could ask for them",
            by_hand="see what the machines of the site say",
        )  # fmt: skip
        return
    for user in cluster.database.users:
        found = users.get(user.login)
        word = "the documented password" if found and found.verifies else "another password"
        yield expect(
            name, f"user {user.login}", want=f"{user.role} with the documented password",
            seen=f"{found.role} with {word}" if found else "not there",
            by_hand="where you changed it, write it into [[database.users]] of the inventory; else mend it by hand",
        )  # fmt: skip
