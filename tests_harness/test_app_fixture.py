"""The shipped application is what the runbook documents, and nothing in it can lose data or become a command."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import bcrypt
import pytest

from tests_harness.appkit import PASSWORDS, SITE, build_of, instructions
from tests_harness.pipekit import APP, PI, PRIMES, STATISTICS

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = (APP / "sql" / "database_script.sql").read_text()
PAGES = sorted(SITE.rglob("*.php"))
# Runbook L468-491.
DOCUMENTED_STACK = """version: "3.0"

services:
  serviceweb:
    image: wzehren/phpsae
    ports:
      - "80:80"
    deploy:
      placement:
        constraints: [node.labels.service == web ]
      replicas: 4
    volumes:
      - "/home/pi/webVolume:/hostpipe"

  servicebd:
    image: wzehren/mysqlsae
    ports:
      - "3306:3306"
    deploy:
      placement:
        constraints: [node.labels.service == sql ]
      replicas: 1
    volumes:
      - "/var/lib/mysql_volume_app:/var/lib/mysql"
"""
OURS = '    environment:\n      NODE_NAME: "{{.Node.Hostname}}"\n'
# What starts a program or reads code from a text in PHP; the backtick too.
DANGEROUS = re.compile(
    r"(?<![\w>:$])(eval|assert|exec|system|passthru|shell_exec|popen|proc_open|pcntl_\w+|create_function|unserialize"
    r"|extract|mail|include|include_once|call_user_func\w*)\s*\(|`"
)
# What `<?=` may have behind it: only the one function that escapes.
SHORT_ECHO = re.compile(r"<\?=\s*(.*?)\s*\?>")


def statements(text: str) -> list[str]:
    """The statements of an SQL script without comments, white space as single spaces."""
    code = re.sub(r"(?m)^--.*$", "", text)
    return [" ".join(one.split()) for one in code.split(";") if one.strip()]


def code_of(page: Path) -> str:
    """A page without its comments."""
    return re.sub(r"(?m)(^|\s)//.*$|/\*.*?\*/", "", page.read_text())


def test_the_stack_file_is_the_documented_one_and_one_line_more() -> None:
    text = re.sub(r"(?m)^#.*\n", "", (APP / "docker-compose-stack.yml").read_text())
    assert text.count(OURS) == 1
    assert text.replace(OURS, "") == DOCUMENTED_STACK


@pytest.mark.parametrize(
    ("file", "want"),
    [
        ("dockerfilePHP", [("ARG", "BASE=php:8.2-apache"), ("FROM", "${BASE}"), ("VOLUME", "/hostpipe"),
                           ("COPY", "./src/ /var/www/html/")]),
        ("dockerfileMYSQL", [("ARG", "BASE=clover/mysql:5.7"), ("FROM", "${BASE}"),
                             ("COPY", "./database_script.sql /docker-entrypoint-initdb.d/"),
                             ("WORKDIR", "/docker-entrypoint-initdb.d/")]),
    ],
)  # fmt: skip
def test_a_dockerfile_does_what_is_documented(file: str, want: list[tuple[str, str]]) -> None:
    found = list(instructions((APP / "dockerConfig" / file).read_text()))
    assert [one for one in want if one not in found] == []
    assert not [rest for word, rest in found if word == "RUN" and re.search(r"\bapt(-get)?\b", rest)], "no network"


@pytest.mark.parametrize("statement", statements(SCRIPT), ids=lambda text: text[:40])
def test_a_statement_of_the_script_only_adds(statement: str) -> None:
    assert re.match(r"CREATE (DATABASE|TABLE|USER) IF NOT EXISTS |USE |GRANT |INSERT IGNORE ", statement)


def test_the_script_has_the_three_documented_tables_and_an_account_that_cannot_change_users() -> None:
    assert re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", SCRIPT) == ["Users", "Logging", "Weak_passwords"]
    grants = [one for one in statements(SCRIPT) if one.startswith("GRANT")]
    assert {word for grant in grants for word in grant.split(" ON ")[0].replace(",", "").split()[1:]} == {
        "SELECT",
        "INSERT",
    }
    assert not [grant for grant in grants if "INSERT" in grant and "Logging" not in grant]


def test_the_site_knows_the_database_as_the_script_makes_it() -> None:
    config = json.loads((SITE / "Config" / "config.json").read_text())
    assert config["bd_hostname"] == "servicebd"
    assert f"CREATE USER IF NOT EXISTS '{config['bd_user']}'@'%' IDENTIFIED BY '{config['bd_password']}'" in SCRIPT
    assert f"USE {config['bd_name']};" in SCRIPT


@pytest.mark.parametrize("login", PASSWORDS)
def test_a_seeded_password_is_kept_as_a_hash_only(login: str) -> None:
    (row,) = re.findall(rf"'{login}', 'Hat', '\w+',\s+'(\$2y\$10\$[./A-Za-z0-9]{{53}})', '{login.upper()}'\)", SCRIPT)
    assert bcrypt.checkpw(PASSWORDS[login].encode(), row.encode())
    assert not bcrypt.checkpw(b"wrong", row.encode())
    assert not [path for path in SITE.rglob("*.*") if PASSWORDS[login] in path.read_text()]
    assert PASSWORDS[login] not in SCRIPT
    assert PASSWORDS[login] in (APP / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_a_page_starts_nothing_and_escapes_everything(page: Path) -> None:
    code = code_of(page)
    assert [found[0] for found in DANGEROUS.finditer(code)] == []
    assert [one for one in SHORT_ECHO.findall(code) if not (one.startswith("e(") and one.endswith(")"))] == []
    assert not re.search(r"\b(echo|print|printf|vprintf)\b(?!_)", code), "only <?= e(…) ?> writes"
    assert code.startswith("<?php\ndeclare(strict_types=1);\n")


@pytest.mark.parametrize(
    ("code", "is_dangerous"),
    [("exec($a)", True), ("system ('id')", True), ("`id`", True), ("eval($x)", True), ("$x->exec()", False),
     ("execute_query(", False), ("file_put_contents(", False)],
)  # fmt: skip
def test_the_wall_around_the_pages_sees_what_starts_a_program(code: str, is_dangerous: bool) -> None:  # noqa: FBT001
    assert bool(DANGEROUS.search(code)) is is_dangerous


def test_what_an_administrator_may_not_want_public_is_not_a_page() -> None:
    conf = (APP / "dockerConfig" / "application.conf").read_text()
    assert '<DirectoryMatch "^/var/www/html/(Config|lib)(/|$)">\n    Require all denied' in conf


@pytest.mark.parametrize("pipe", [PRIMES, PI, STATISTICS])
@pytest.mark.parametrize("folder", ["repoBashScripts", "listener"])
def test_a_start_script_of_either_kind_has_the_documented_name_and_its_own_pipe(folder: str, pipe: str) -> None:
    script = APP / folder / f"start_{pipe}.sh"
    assert script.stat().st_mode & 0o777 == 0o755
    text = script.read_text()
    assert text.startswith("#!/bin/")
    assert set(re.findall(r"pipe_\w+", re.sub(r"(?m)^#.*$", "", text))) == {pipe}


def test_the_build_changes_with_every_byte_and_every_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    first = build_of(tmp_path)
    (tmp_path / "a").write_text("y")
    second = build_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, build_of(tmp_path)}) == 3
