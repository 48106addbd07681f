"""Faults of the step `database` on the real lab: seen exactly there, an empty one is made, and no row is ever lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.actions import LoadSchema
from harness.model import Verdict
from tests_harness import labkit, rows
from tests_harness.appkit import PASSWORDS
from tests_harness.faultkit import EVERYTHING, Fault, Where, at, go, on, prove, prove_nothing_is_left
from tests_harness.test_lab_swarm import watched

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab import Lab

pytestmark = pytest.mark.lab
NODES = ("p1", "p2", "p3", "p4")
SCRIPT = "/docker-entrypoint-initdb.d/database_script.sql"
TASK = "$(docker ps -qf label=com.docker.swarm.service.name=appli_servicebd)"
ROOT = f"docker exec -i {TASK} mysql -h 127.0.0.1 -u root -proot BlitzCalc_DB"
BY_HAND = f"docker exec -i {TASK} sh -c 'mysql -h 127.0.0.1 -u root -proot < {SCRIPT}'"
EMPTY = "DROP DATABASE BlitzCalc_DB; DROP USER blitzcalc"
FOLDER = "/var/lib/mysql_volume_app"
TABLES = ("table Users", "table Logging", "table Weak_passwords")
# Without the account nobody can ask for the site, and nobody is let in.
LOCKED_OUT = (
    at("database", "cnat", "account blitzcalc", "grants of blitzcalc", "seeded users")
    | frozenset(("database", node, "servicebd answers the site") for node in NODES)
    | at("web", "cnat", "user signs in")
)
NOTHING = LOCKED_OUT | at("database", "cnat", "database BlitzCalc_DB", *TABLES)


def asked(damage: str, undo: str, want: frozenset[Where], unseen: tuple[str, ...] = ()) -> Fault:
    """Damage by SQL as root."""
    return Fault("cnat", f'{ROOT} -e "{damage}"', want, undo=f'{ROOT} -e "{undo}"', unseen=unseen)


FAULTS = {
    "a role was changed": asked(
        "UPDATE Users SET role = 'USER' WHERE login = 'admin'", "UPDATE Users SET role = 'ADMIN' WHERE login = 'admin'",
        at("database", "cnat", "user admin"),
    ),
    "the account may do more": asked(
        "GRANT DELETE ON BlitzCalc_DB.Users TO blitzcalc", "REVOKE DELETE ON BlitzCalc_DB.Users FROM blitzcalc",
        at("database", "cnat", "grants of blitzcalc"),
    ),
    "the account is gone, the rows are not": Fault(
        "cnat", f'{ROOT} -e "DROP USER blitzcalc"', LOCKED_OUT, undo=BY_HAND
    ),
    "a column is narrower": asked(
        "ALTER TABLE Users MODIFY firstName VARCHAR(32) NOT NULL",
        "ALTER TABLE Users MODIFY firstName VARCHAR(64) NOT NULL",
        at("database", "cnat", "table Users"), ("database[cnat]",),
    ),
    "new rows get no number": asked(
        "ALTER TABLE Logging MODIFY logId BIGINT UNSIGNED NOT NULL",
        "ALTER TABLE Logging MODIFY logId BIGINT UNSIGNED NOT NULL AUTO_INCREMENT",
        at("database", "cnat", "table Logging"), ("database[cnat]",),
    ),
    "rows are kept in memory only": asked(
        "ALTER TABLE Weak_passwords ENGINE = MEMORY", "ALTER TABLE Weak_passwords ENGINE = InnoDB",
        at("database", "cnat", "table Weak_passwords"), ("database[cnat]",),
    ),
    "read-only": Fault(
        "cnat", f'{ROOT} -e "SET GLOBAL read_only = 1"', at("database", "cnat", "database takes writes"),
        unseen=("database[cnat]",),
    ),
    "the account may not ask as often as it likes": asked(
        "ALTER USER blitzcalc WITH MAX_QUERIES_PER_HOUR 4000", "ALTER USER blitzcalc WITH MAX_QUERIES_PER_HOUR 0",
        at("database", "cnat", "account blitzcalc"), ("database[cnat]",),
    ),
    "a table has another name": asked(
        "RENAME TABLE Weak_passwords TO Gone", "RENAME TABLE Gone TO Weak_passwords",
        at("database", "cnat", "table Weak_passwords") | at("web", "cnat", "user signs in"),
    ),
    "another folder was put in place of the data": Fault(
        "cnat", f"mv {FOLDER} {FOLDER}.old; mkdir {FOLDER}",
        at("database", "cnat", f"{FOLDER} is what the container writes to"),
        undo=f"rmdir {FOLDER}; mv {FOLDER}.old {FOLDER}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen_exactly_there_and_no_row_is_lost(ready: Lab, name: str) -> None:
    prove(ready, FAULTS[name], "web", "database")


def test_an_empty_database_is_made_by_the_script_and_nobody_sees_a_password(ready: Lab, tmp_path: Path) -> None:
    on(ready, "cnat", f'{ROOT} -e "{EMPTY}"')
    with watched(ready, "cnat", "p1") as commands:
        done = labkit.run(tmp_path, "--repair", "-k", "web or database", "--log-level=DEBUG")
    assert done.code == 0, done.said
    assert done.record
    actions = {one.action for outcome in done.record.outcomes for one in outcome.done}
    assert [type(action) for action in actions] == [LoadSchema]
    first = {
        (one.place.step, check.node, check.aspect)
        for one in done.record.outcomes
        for check in one.first
        if check.level == "must" and not check.holds
    }
    assert first == NOTHING
    assert done.verdicts()["web[cnat]"] is Verdict.REPAIRED
    assert done.folder
    left = "".join(file.read_text("utf-8", "replace") for file in done.folder.rglob("*") if file.is_file())
    said = done.said + left + "".join(commands.values())
    assert "docker" in commands["cnat"]
    for word in (*PASSWORDS.values(), "pages-of-the-hat", "-proot", "MYSQL_PWD=root"):
        assert word not in said


@pytest.mark.field
def test_a_script_that_drops_is_not_run_even_on_an_empty_database(ready: Lab) -> None:
    drop = f"docker exec {TASK} sed -i '1i DROP DATABASE IF EXISTS BlitzCalc_DB;' {SCRIPT}"
    on(ready, "cnat", f'{drop}; {ROOT} -e "{EMPTY}"')
    try:
        done = go(ready, "repair", ("web", "database"))
        assert done.applied() == 0, done.said
        assert done.differing() == NOTHING
        checks = done.outcome("database", "cnat").checks
        assert any("it has the statement DROP DATABASE IF" in check.by_hand for check in checks)
    finally:
        on(ready, "cnat", f"docker exec {TASK} sed -i 1d {SCRIPT}")
    done = go(ready, "repair", ("web", "database"))
    assert (done.code, done.applied()) == (0, 1), done.said


def test_a_server_that_is_just_starting_is_waited_for_and_keeps_its_rows(ready: Lab) -> None:
    kept = rows.write(ready)
    on(ready, "cnat", f"docker kill {TASK} >/dev/null")
    on(ready, "cnat", f'n=0; until [ -n "{TASK}" ] || [ $n -ge 300 ]; do n=$((n+1)); sleep 0.1; done; [ -n "{TASK}" ]')
    done = go(ready, "verify", ("web", "database"))
    assert done.code == 0, done.said
    rows.assert_kept(ready, kept)


@pytest.mark.field
def test_a_root_password_that_we_do_not_know_is_unknown_and_not_a_difference(ready: Lab) -> None:
    on(
        ready,
        "cnat",
        f'{ROOT} -e "SET PASSWORD FROM root = 1" 2>/dev/null || {ROOT} -e "ALTER USER root IDENTIFIED BY \'x\'"',
    )
    try:
        done = go(ready, "repair", ("web", "database"))
        assert done.applied() == 0
        assert done.verdicts()["database[cnat]"] is Verdict.UNKNOWN
        assert "root_password of the inventory" in done.outcome("database", "cnat").reason
    finally:
        on(
            ready,
            "cnat",
            f"docker exec -i {TASK} mysql -h 127.0.0.1 -u root -px -e \"ALTER USER root IDENTIFIED BY 'root'\"",
        )


def test_a_row_survives_a_new_container_of_the_service(ready: Lab, tmp_path: Path) -> None:
    kept = rows.write(ready)
    done = labkit.run(tmp_path, "--disruptive", "-k", "database and cnat")
    assert done.code == 0, done.said
    assert "1 skipped" not in done.said
    rows.assert_kept(ready, kept)


def test_nothing_of_these_faults_is_left(ready: Lab) -> None:
    prove_nothing_is_left(ready, EVERYTHING)
