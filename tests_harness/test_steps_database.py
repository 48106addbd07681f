"""Step `database`: what must be in it and who may ask it, one fault a row, and when its script may be run."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.actions import LoadSchema
from harness.errors import ObservationError
from harness.inventory import parse
from harness.parse import mysql
from harness.parse.database_sql import Content, column
from harness.parse.sql_script import obstacle
from harness.steps import database
from harness.steps.database_documented import ENGINE, PRIVILEGES, TABLES, documented_grants, statements
from harness.steps.database_server import Script, look_at_server
from harness.steps.database_site import PROBE, Site, User, ask_site
from tests_harness.fakes_app import CLUSTER, HUB, SERVER, SITE, USERS, good_database
from tests_harness.fakes_cluster import differences

if TYPE_CHECKING:
    from harness.model import Check
    from harness.node import NodeAccess

Seen = Mapping[str, database.State]
SQL = Path(__file__).parents[1] / "fixtures" / "app" / "sql" / "database_script.sql"
CONTENT = cast("Content", SERVER.content)
NOTHING = Content(CONTENT.datadir, False, {}, (), (), False)  # noqa: FBT003
GOOD_SCRIPT, BAD_SCRIPT = Script("d16e57", ""), Script("d16e57", "it has the statement DROP DATABASE X")
ANSWERS = "servicebd answers the site"
ALL_CONTENT = {
    (HUB, aspect)
    for aspect in (
        "database BlitzCalc_DB", "table Users", "table Logging", "table Weak_passwords", "account blitzcalc",
        "grants of blitzcalc",
    )
}  # fmt: skip


def judge(seen: Seen) -> list[Check]:
    return list(database.judge(seen, CLUSTER))


def server(**change: object) -> dict[str, database.State]:
    """The good database, with another server."""
    return good_database() | {HUB: database.State((replace(SERVER, **change),), ())}  # type: ignore[arg-type]


def content(**change: object) -> dict[str, database.State]:
    return server(content=replace(CONTENT, **change))  # type: ignore[arg-type]


def table(name: str, *columns: str) -> dict[str, database.State]:
    return content(tables=CONTENT.tables | {name: columns})


def site(where: str, **change: object) -> dict[str, database.State]:
    state = good_database()[where]
    return good_database() | {where: replace(state, sites=(replace(state.sites[0], **change),))}  # type: ignore[arg-type]


def users(**found: User | None) -> dict[str, database.State]:
    return site("p1", users=USERS | found)


def test_a_good_database_holds_on_every_machine() -> None:
    checks = judge(good_database())
    assert differences(checks) == {}
    assert {check.node for check in checks} == set(CLUSTER.names)


FAULTS: dict[str, tuple[Seen, set[tuple[str, str]]]] = {
    "not running": (good_database() | {HUB: database.State((), ())}, {(HUB, "runs the database")}),
    "running on a node, too": (
        good_database() | {"p1": replace(good_database()["p1"], servers=(SERVER,))}, {("p1", "runs the database")}
    ),
    "twice": (good_database() | {HUB: database.State((SERVER, SERVER), ())}, {(HUB, "runs the database")}),
    "not answering": (server(content=None, failure="ERROR 2002"), {(HUB, "database answers root")}),
    "in a volume": (server(mount="volume 3f", is_same_folder=False), {(HUB, "data directory")}),
    "in another folder": (server(mount="bind /srv"), {(HUB, "data directory")}),
    "in the container": (server(mount="the container itself"), {(HUB, "data directory")}),
    "in a folder that is gone": (
        server(is_same_folder=False), {(HUB, "/var/lib/mysql_volume_app is what the container writes to")}
    ),
    "a table is missing": (
        content(tables={name: TABLES[name] for name in ("Users", "Logging")}), {(HUB, "table Weak_passwords")}
    ),
    "a column is missing": (table("Users", *TABLES["Users"][1:]), {(HUB, "table Users")}),
    "a column too many": (table("Logging", *TABLES["Logging"], "more int"), {(HUB, "table Logging")}),
    "a hash does not fit": (
        table("Users", *(one.replace("(255)", "(40)") for one in TABLES["Users"])), {(HUB, "table Users")}
    ),
    "a key is lost": (table("Weak_passwords", column("password", "varchar(64)")), {(HUB, "table Weak_passwords")}),
    "no number for new rows": (
        table("Logging", *(one.replace(" AUTO_INCREMENT", "") for one in TABLES["Logging"])), {(HUB, "table Logging")}
    ),
    "no date for new rows": (
        table("Logging", *(one.partition(" DEFAULT")[0] for one in TABLES["Logging"])), {(HUB, "table Logging")}
    ),
    "rows that do not outlive the server": (
        table("Users", *(one.replace("InnoDB", "MEMORY") for one in TABLES["Users"])), {(HUB, "table Users")}
    ),
    "a trigger": (table("Logging", *TABLES["Logging"], "TRIGGER mine"), {(HUB, "table Logging")}),
    "read-only by its own settings": (
        server(content=replace(CONTENT, is_read_only=True), asks_read_only=True), {(HUB, "database takes writes")}
    ),
    "read-only, and nobody knows why": (
        server(content=replace(CONTENT, is_read_only=True)), {(HUB, "database takes writes")}
    ),
    "no account": (content(accounts=(), grants=()), {(HUB, "account blitzcalc"), (HUB, "grants of blitzcalc")}),
    "an account of one host": (content(accounts=("10.0.1.7",)), {(HUB, "account blitzcalc")}),
    "an account that may not ask as often as it likes": (
        content(accounts=("% with limits",)), {(HUB, "account blitzcalc")}
    ),
    "in memory": (server(medium="tmpfs"), {(HUB, "/var/lib/mysql_volume_app outlives a reboot")}),
    "a second account": (content(accounts=("%", "localhost")), {(HUB, "account blitzcalc")}),
    "may do all": (
        content(grants=(*CONTENT.grants, "ALL PRIVILEGES on *.* WITH GRANT OPTION")), {(HUB, "grants of blitzcalc")}
    ),
    "may not write its log": (
        content(grants=tuple(one for one in CONTENT.grants if "INSERT" not in one)), {(HUB, "grants of blitzcalc")}
    ),
    "a seeded user is gone": (users(admin=None), {(HUB, "user admin")}),
    "another role": (users(user=User("ADMIN", verifies=True)), {(HUB, "user user")}),
    "another password": (users(user=User("USER", verifies=False)), {(HUB, "user user")}),
    "nobody could ask for the users": (site("p1", users=None), {(HUB, "seeded users")}),
    "one machine cannot ask": (site("p2", failure="error 2002: getaddrinfo for servicebd failed"), {("p2", ANSWERS)}),
    "the site asks another server": (site("p3", host="172.19.181.254"), {("p3", "settings of the site")}),
    "a site without settings": (site("p3", host="", user="", name="", failure="error 1045: no"), {("p3", ANSWERS)}),
    "partly made": (
        server(content=replace(CONTENT, tables={}), script=None),
        {(HUB, "table Users"), (HUB, "table Logging"), (HUB, "table Weak_passwords")},
    ),
    "empty, and the script drops": (server(content=NOTHING, script=BAD_SCRIPT), ALL_CONTENT),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "want"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_differs_exactly_there_and_is_left_to_a_person(seen: Seen, want: set[tuple[str, str]]) -> None:
    checks = judge(seen)
    assert differences(checks) == dict.fromkeys(want, ())
    assert all(check.by_hand for check in checks if not check.holds)


def test_a_server_that_somebody_made_read_only_is_told_to_write_again() -> None:
    checks = judge(server(content=replace(CONTENT, is_read_only=True), asks_read_only=False))
    assert differences(checks) == {(HUB, "database takes writes"): ("allow_writes",)}


@pytest.mark.parametrize(
    ("name", "old", "new", "want"),
    [
        (
            "Logging", " AUTO_INCREMENT", "",
            ["ALTER TABLE BlitzCalc_DB.Logging MODIFY logId bigint unsigned NOT NULL AUTO_INCREMENT"],
        ),
        (
            "Users", " DEFAULT 'USER'", "",
            ["ALTER TABLE BlitzCalc_DB.Users MODIFY role enum('ADMIN','USER') NOT NULL DEFAULT 'USER'"],
        ),
        ("Users", "InnoDB", "MEMORY", ["ALTER TABLE BlitzCalc_DB.Users ENGINE = InnoDB"]),
        ("Logging", "ENGINE InnoDB", "ENGINE InnoDB\nTRIGGER mine", ["DROP TRIGGER BlitzCalc_DB.mine"]),
        ("Users", " UNI", "", []),
        ("Users", "lastName", "surname", []),
        ("Weak_passwords", "(64)", "(63)", []),
    ],
)  # fmt: skip
def test_a_person_is_told_the_very_statement_and_none_that_would_lose_something(
    name: str, old: str, new: str, want: list[str]
) -> None:
    seen = tuple("\n".join(TABLES[name]).replace(old, new).splitlines())
    (check,) = [one for one in judge(table(name, *seen)) if one.aspect == f"table {name}"]
    assert (check.holds, check.fix) == (False, ())
    assert list(statements("BlitzCalc_DB", name, seen)) == want
    assert all(statement in check.by_hand for statement in want)
    assert ("as root" in check.by_hand) is bool(want)


def test_an_empty_database_is_made_by_one_run_of_the_script_that_was_judged() -> None:
    checks = judge(server(content=NOTHING, script=GOOD_SCRIPT))
    assert set(differences(checks)) == ALL_CONTENT
    (action,) = {action for check in checks for action in check.fix}
    assert isinstance(action, LoadSchema)
    assert (action.node, action.database, action.digest) == (HUB, "BlitzCalc_DB", "d16e57")
    assert "root" not in str(action).replace("/root", "")


@pytest.mark.parametrize(
    ("tables", "accounts", "is_empty"),
    [({}, (), True), ({"Users": ("x",)}, (), False), ({}, ("%",), False), ({"Mine": ("x",)}, (), False)],
)
def test_empty_is_no_table_and_no_account(
    tables: dict[str, tuple[str, ...]], accounts: tuple[str, ...], is_empty: bool  # noqa: FBT001
) -> None:  # fmt: skip
    assert replace(NOTHING, tables=tables, accounts=accounts).is_empty is is_empty


def test_the_documented_schema_is_that_of_the_shipped_script() -> None:
    script = SQL.read_text()
    assert obstacle(script, CLUSTER.database.name) == ""
    made = dict(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\) ENGINE = InnoDB", script, re.DOTALL))
    documented = {name: [one for one in columns if one != ENGINE] for name, columns in TABLES.items()}
    assert all(columns[-1] == ENGINE for columns in TABLES.values())
    assert {name: re.findall(r"^    (\w+)", body, re.MULTILINE) for name, body in made.items()} == {
        name: [one.split()[0] for one in columns] for name, columns in documented.items()
    }
    for name, body in made.items():
        types = re.findall(r"^    \w+ +(\S.*?) +(?:NOT )?NULL", body, re.MULTILINE)
        wanted = [one.partition(" ")[2].partition(" NOT NULL")[0] for one in documented[name]]
        assert [" ".join(kind.split(" CHARACTER")[0].split()).replace(", ", ",").lower() for kind in types] == [
            re.sub(r" (PRI|UNI)$", "", kind).lower() for kind in wanted
        ]
        besides = [re.findall(r"DEFAULT [^\s,]+|AUTO_INCREMENT", line) for line in body.strip().splitlines()]
        assert besides == [re.findall(r"DEFAULT \S+|AUTO_INCREMENT", one) for one in documented[name]]
    granted = re.findall(r"GRANT ([A-Z, ]+) ON BlitzCalc_DB\.(\w+)", script)
    assert {table: tuple(sorted(may.split(", "))) for may, table in granted} == PRIVILEGES
    assert [user.login for user in CLUSTER.database.users] == re.findall(r"invalid', '(\w+)'", script)
    assert len(documented_grants(CLUSTER)) == 4


@dataclass
class Php:
    """A node whose web container gives this to the probe, after `before`.

    Each is an exit code and an output; `given` is what the probe was asked.
    """

    code: int = 0
    out: str = ""
    before: list[tuple[int, str]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    name: str = "p1"

    def __post_init__(self) -> None:
        self.cluster = CLUSTER

    def feed(self, command: str, *arguments: str, stdin: str) -> tuple[int, str, str]:
        """The answer, without PHP."""
        assert "%s" in command
        self.given += [*arguments, stdin]
        return (*(self.before.pop(0) if self.before else (self.code, self.out)), "PHP Fatal error: mysqli")

    def say(self, what: str) -> None:
        """Somebody looks on."""
        self.said.append(what)


@dataclass
class Client:
    """A node whose database gives these answers (exit code, words of the error) in turn, each after `late` s."""

    answers: list[tuple[int, str]]
    late: float = 0.0
    said: list[str] = field(default_factory=list)
    name: str = HUB

    def __post_init__(self) -> None:
        self.cluster = CLUSTER

    def docker(self) -> Any:  # noqa: ANN401 - docker-py has no types of its own
        return self

    @property
    def api(self) -> Any:  # noqa: ANN401 - docker-py has no types of its own
        return self

    def inspect_container(self, _container: str) -> dict[str, Any]:
        """Its process."""
        return {"State": {"Pid": 23}}

    def run(self, command: str, *arguments: str, root: bool = False) -> tuple[int, str, str]:
        """The age of its process, just below the deadline; or its log."""
        if command.startswith("ps "):
            assert arguments == ("23",)
            return 0, f" {CLUSTER.database.deadline - 1}\n", ""
        assert root
        return 0, "2026-11-22T16:00:01Z 0 [ERROR] InnoDB: the card is full", ""

    def feed(self, _command: str, *_arguments: str, stdin: str) -> tuple[int, str, str]:
        """The next answer."""
        assert stdin
        time.sleep(self.late)
        code, words = self.answers.pop(0)
        return code, "", words

    def say(self, what: str) -> None:
        """Somebody looks on."""
        self.said.append(what)


NOT_YET = "ERROR 2002 (HY000): Can't connect to MySQL server on '127.0.0.1' (115)"


def test_a_database_that_is_waited_for_is_named_with_its_last_error_and_so_is_its_silence_at_the_deadline() -> None:
    node = Client([(mysql.NOT_YET, "ERROR 2003 (HY000): early"), (mysql.NOT_YET, NOT_YET)], late=0.6)
    found = look_at_server(cast("NodeAccess", node), "db")
    assert node.said == [
        "cnat: waiting for the database to answer: ERROR 2003 (HY000): early",
        f"cnat: waiting for the database to answer: {NOT_YET}",
    ]
    assert found.content is None
    deadline = CLUSTER.database.deadline
    log = "'InnoDB: the card is full'"
    assert found.failure == f"not within {deadline} s of its start: {NOT_YET}; its log: {log}"


def test_a_database_that_refuses_is_not_waited_for() -> None:
    node = Client([(1, "ERROR 1040 (HY000): Too many connections")])
    found = look_at_server(cast("NodeAccess", node), "db")
    assert found.failure.startswith("ERROR 1040")
    assert node.said == []


def said(**change: object) -> str:
    return json.dumps(
        {
            "host": "servicebd",
            "user": "blitzcalc",
            "name": "BlitzCalc_DB",
            "failure": "",
            "is_early": False,
            "users": None,
        }
        | change
    )


def ask(node: Php, *, with_users: bool = True) -> Site:
    return ask_site(cast("NodeAccess", node), "web", 5, with_users=with_users)


def test_the_site_is_asked_for_users_by_its_input_and_says_only_roles_and_verdicts() -> None:
    node = Php(out=said(users=[["ADMIN", True], None]))
    assert ask(node) == replace(SITE, users={"admin": User("ADMIN", verifies=True), "user": None})
    *arguments, given = node.given
    assert json.loads(given)["users"][0] == ["admin", "administer-the-hat"]
    assert not any("-the-hat" in argument for argument in arguments)


def test_a_site_that_does_not_find_its_database_yet_is_waited_for_and_the_reason_is_said() -> None:
    why = "error 2002: php_network_getaddresses: getaddrinfo for servicebd failed"
    node = Php(out=said(), before=[(0, said(failure=why, is_early=True))] * 2)
    assert ask(node, with_users=False) == SITE
    assert node.said == [f"p1: waiting for the database to answer the site: {why}"] * 2


def test_a_name_that_is_looked_up_for_too_long_is_waited_for_too() -> None:
    node = Php(out=said(), before=[(124, "")])
    assert ask(node, with_users=False) == SITE
    (words,) = node.said
    assert words.startswith("p1: waiting for the database to answer the site: PHP there does not end in time")


def test_what_a_database_answers_is_not_waited_for() -> None:
    node = Php(out=said(failure="error 1045: Access denied"))
    assert ask(node, with_users=False).failure == "error 1045: Access denied"
    assert node.said == []


def test_who_is_not_to_ask_for_users_gets_no_password() -> None:
    node = Php(out=said())
    assert ask(node, with_users=False) == SITE
    assert json.loads(node.given[-1])["users"] == []


def test_a_container_without_php_or_mysqli_is_a_failure_of_the_site() -> None:
    assert "PHP there gives exit 255: 'PHP Fatal error: mysqli'" in ask(Php(255)).failure


@pytest.mark.parametrize("out", ["", "<html>", "[]", said(users=5), said(users=[1]), said(users=[]), '{"host": 1}'])
def test_an_answer_of_another_shape_is_unknown(out: str) -> None:
    with pytest.raises(ObservationError, match="p1: the answer of PHP does not read"):
        ask(Php(out=out))


@pytest.mark.parametrize("word", ["bd_password'] ?? ''", "password_verify($given, $row['password'])"])
def test_the_probe_keeps_what_is_secret_in_the_container(word: str) -> None:
    assert word in PROBE
    printed = re.findall(r"echo (.*);", PROBE)
    assert printed == ["json_encode($said, JSON_INVALID_UTF8_SUBSTITUTE)"]
    assert "$said['password']" not in PROBE


def test_the_deadline_and_names_are_of_the_inventory() -> None:
    other = parse({"database": {"name": "Mine", "user": "me", "host": "db"}}, "nowhere", Path())
    checks = {check.aspect for check in database.judge(good_database(), other)}
    assert {"database Mine", "account me", "db answers the site"} <= checks
