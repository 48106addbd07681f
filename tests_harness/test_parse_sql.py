"""What the `mysql` client says, and which script may be run without a person: real samples, and any text at all."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse import database_sql, mysql
from harness.parse.sql_script import obstacle

if TYPE_CHECKING:
    from collections.abc import Callable

SHIPPED = Path(__file__).parents[1] / "fixtures" / "app" / "sql" / "database_script.sql"
LOOK = """\
variable\t/var/lib/mysql/\t0
schema\tBlitzCalc_DB
column\tLogging\tlogId\tbigint(20) unsigned\tNO\tPRI\tNULL\tauto_increment
column\tLogging\tuserId\tchar(36)\tYES\t\tNULL\t
column\tLogging\tdate\tdatetime\tNO\t\tcurrent_timestamp()\t
column\tUsers\trole\tenum('ADMIN','USER')\tNO\t\t'USER'\t
part\tLogging\tENGINE\tInnoDB
part\tUsers\tENGINE\tMEMORY
part\tUsers\tTRIGGER\tmine
account\t%
privilege\t'blitzcalc'@'%'\tUSAGE\t*.*\tNO
privilege\t'blitzcalc'@'%'\tSELECT\tBlitzCalc_DB.Users\tNO
privilege\t'blitzcalc'@'localhost'\tSELECT\tBlitzCalc_DB.*\tYES
"""


def test_a_look_reads_as_the_servers_of_the_lab_and_of_mysql_write_it() -> None:
    assert database_sql.content(LOOK) == database_sql.Content(
        "/var/lib/mysql/",
        has_database=True,
        tables={
            "Logging": (
                "logId bigint unsigned NOT NULL PRI AUTO_INCREMENT", "userId char(36)",
                "date datetime NOT NULL DEFAULT CURRENT_TIMESTAMP", "ENGINE InnoDB",
            ),
            "Users": ("role enum('ADMIN','USER') NOT NULL DEFAULT 'USER'", "ENGINE MEMORY", "TRIGGER mine"),
        },
        accounts=("%",),
        grants=(
            "SELECT on BlitzCalc_DB.* WITH GRANT OPTION (as 'blitzcalc'@'localhost')",
            "SELECT on BlitzCalc_DB.Users",
        ),
        is_read_only=False,
    )  # fmt: skip


@pytest.mark.parametrize(("value", "want"), [("0", False), ("OFF", False), ("1", True), ("NO_LOCK_NO_ADMIN", True)])
def test_a_server_is_read_only_in_any_word_but_these(value: str, want: bool) -> None:  # noqa: FBT001
    assert database_sql.content(LOOK.replace("mysql/\t0", f"mysql/\t{value}")).is_read_only is want


@pytest.mark.parametrize(
    ("kind", "default", "extra", "want"),
    [
        ("datetime", "CURRENT_TIMESTAMP", "DEFAULT_GENERATED", "DEFAULT CURRENT_TIMESTAMP"),
        ("datetime", "current_timestamp()", "", "DEFAULT CURRENT_TIMESTAMP"),
        ("datetime", "NULL", "on update current_timestamp()", "ON UPDATE CURRENT_TIMESTAMP"),
        ("varchar(9)", "", "", "DEFAULT ''"),
        ("varchar(9)", "''", "", "DEFAULT ''"),
        ("int(11)", "0", "", "DEFAULT 0"),
        ("int(11)", "NULL", "auto_increment", "AUTO_INCREMENT"),
    ],
)
def test_what_a_column_does_by_itself_is_spelled_in_one_way(kind: str, default: str, extra: str, want: str) -> None:
    text = database_sql.column("x", kind, nullable=True, default=default, extra=extra)
    assert text == f"x {mysql.column_type(kind)} {want}"


@pytest.mark.parametrize(
    ("text", "want"),
    [("tables\t0\naccounts\t0\n", True), ("tables\t1\naccounts\t0\n", False), ("tables\t0\naccounts\t2\n", False)],
)
def test_empty_is_two_zeroes(text: str, want: bool) -> None:  # noqa: FBT001
    assert database_sql.is_empty(text) is want


@pytest.mark.parametrize("text", ["", "tables\t0\n", "tables\t0\ntables\t0\n", "0\n0\n", "tables\naccounts\t0"])
def test_anything_else_is_not_empty(text: str) -> None:
    with contextlib.suppress(ObservationError):
        assert database_sql.is_empty(text) is False


@given(st.text())
def test_whatever_comes_is_read_or_unknown(text: str) -> None:
    for read in (database_sql.content, database_sql.is_empty):
        _reads_or_refuses(read, text)


@given(st.text(st.sampled_from("variablecshmontgp\t\n\\0'%. ")))
def test_whatever_looks_like_rows_is_read_or_unknown(text: str) -> None:
    for read in (database_sql.content, database_sql.is_empty):
        _reads_or_refuses(read, text)


def _reads_or_refuses(read: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(ObservationError):
        read(text)


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])), min_size=1))
def test_cells_come_back_as_the_client_escaped_them(cells: list[str]) -> None:
    escaped = [cell.replace("\\", "\\\\") for cell in cells]
    (row,) = mysql.rows("\t".join(("kind", *escaped)), "kind")["kind"]
    assert list(row) == cells


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", (0, "")),
        ("ERROR 2002 (HY000): Can't connect to server on '127.0.0.1' (115)\n",
         (2002, "ERROR 2002 (HY000): Can't connect to server on '127.0.0.1' (115)")),
        ("mysql: Deprecated program name\nERROR 1045 (28000): Access denied for user 'root'@'localhost'\n",
         (1045, "ERROR 1045 (28000): Access denied for user 'root'@'localhost'")),
        ("ERROR 1064 (42000) at line 41: You have an error near 'IDENTIFIED BY 'pages-of-the-hat'' at line 1\n",
         (1064, "ERROR 1064 (42000) at line 41")),
    ],
    ids=["none", "no server", "denied", "of a script: never its words"],
)  # fmt: skip
def test_an_error_is_its_number_and_words_that_quote_no_script(text: str, want: tuple[int, str]) -> None:
    assert mysql.error(text) == want


def test_the_log_of_a_server_gives_its_last_error_and_never_a_password() -> None:
    log = "[Note] ready\n[ERROR] InnoDB: no space\n[ERROR] A temporary password is: x\n[Note] shutting down\n"
    assert mysql.server_complaint(log) == "InnoDB: no space"
    assert mysql.server_complaint("[Note] ready\n") == ""


def test_the_shipped_script_only_adds() -> None:
    assert obstacle(SHIPPED.read_text(), "BlitzCalc_DB") == ""


@pytest.mark.parametrize(
    "script",
    [
        "DROP DATABASE IF EXISTS D; CREATE DATABASE D;",
        "drop user if exists 'x'@'%';",
        "CREATE DATABASE D; TRUNCATE TABLE D.t;",
        "CREATE DATABASE D;\n-- a comment\nDELETE FROM t;",
        "/*!40000 DROP DATABASE IF EXISTS D */;",
        "/*M!100100 DROP TABLE t */;",
        "CREATE DATABASE D; /* ; */ DROP TABLE t",
        "CREATE DATABASE D; # fine\nDROP TABLE t",
        "CREATE OR REPLACE TABLE t (a INT);",
        "USE mysql; INSERT INTO user VALUES (1);",
        "INSERT INTO mysql.user VALUES (1);",
        "INSERT INTO `mysql` . user VALUES (1);",
        "GRANT ALL ON *.* TO 'x'@'%';",
        "SET PASSWORD FOR root = 'x';",
        "SET GLOBAL general_log = 1;",
        "REPLACE INTO t VALUES (1);",
        "ALTER TABLE t DROP COLUMN a;",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DROP TABLE t;",
        "CREATE DATABASE D; \\. other.sql",
        "source other.sql",
        "DELIMITER //\nCREATE PROCEDURE p() BEGIN END //",
        "INSERT INTO t VALUES ('no end);",
        "CREATE DATABASE D; /* no end",
        "",
        "-- only a comment\n",
    ],
)
def test_a_script_that_may_do_more_is_never_run(script: str) -> None:
    assert obstacle(script, "D")


@pytest.mark.parametrize(
    "script",
    [
        "CREATE DATABASE D; USE `D`; CREATE TABLE t (a INT COMMENT 'to DROP; a hint');",
        "SET NAMES utf8mb4; CREATE USER 'x'@'%' IDENTIFIED BY 'it''s; \\' DROP';",
        'INSERT INTO t VALUES ("DROP TABLE t; -- no");',
        "/* DROP DATABASE D; */ CREATE DATABASE D -- DROP\n;",
    ],
)
def test_words_in_texts_and_comments_do_no_harm(script: str) -> None:
    assert obstacle(script, "D") == ""


@given(st.text())
def test_any_script_is_judged(script: str) -> None:
    assert isinstance(obstacle(script, "D"), str)


@settings(max_examples=500)
@given(st.text(st.sampled_from("'\"`-#/*!;\\ \n dropx")), st.sampled_from(["DROP TABLE t", "DELETE FROM t"]))
def test_a_harmful_statement_of_its_own_is_seen_whatever_good_text_is_around_it(noise: str, harm: str) -> None:
    if obstacle(f"CREATE DATABASE D; {noise}\n; CREATE DATABASE E", "D") == "":
        assert obstacle(f"CREATE DATABASE D; {noise}\n; {harm}", "D")
