"""Running the schema script, with real shells and a stand-in for `docker` and `mysql`: when, and above all when not."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import pytest

from harness.actions import AllowWrites, LoadSchema
from harness.apply_database import allow_writes, load_schema
from harness.errors import RepairError
from harness.inventory import Cluster, parse
from harness.shell import Answer

SECRET = "it's \\a $ecret"  # noqa: S105 - of nobody
SCRIPT = "CREATE DATABASE BlitzCalc_DB; CREATE USER 'x'@'%' IDENTIFIED BY 'pages';\n"
# `docker exec [-i] CONTAINER COMMAND…` runs the command here.
DOCKER = '#!/bin/sh\nshift; [ "$1" != -i ] || shift; shift; exec "$@"\n'
MYSQL = """#!/bin/sh
[ "$1" = --no-defaults ] || exit 9
[ "$MYSQL_PWD" = "$(cat password)" ] || { echo "ERROR 1045 (28000): Access denied" >&2; exit 1; }
case "$*" in
  *"-e SELECT 1") [ ! -s down ] || { sed -i 1d down; echo "ERROR 2002 (HY000): Can't connect" >&2; exit 1; }; echo 1 ;;
  *) cat > asked
     if ! grep -q '[^[:space:]]' asked; then :
     elif grep -q information_schema asked; then cat content
     elif [ -e fails ]; then cat fails >&2; exit 1
     else cat asked >> ran; fi ;;
esac
"""


@dataclass
class World:
    """A machine with a database: its folder has `content`, `password`, `down`, and what `ran`."""

    folder: Path
    cluster: Cluster = field(default_factory=lambda: parse({"database": {"root_password": SECRET}}, "nowhere", Path()))
    commands: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, text in {"docker": DOCKER, "mysql": MYSQL}.items():
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)
        self.put("password", SECRET).put("content", "tables\t0\naccounts\t0\n").put("script.sql", SCRIPT)

    def put(self, name: str, text: str) -> Self:
        """Write one file of it."""
        (self.folder / name).write_text(text)
        return self

    def connection(self, name: str) -> Self:
        """The only machine."""
        assert name == "cnat"
        return self

    def ask(self, script: str, *, root: bool, limit: float | None) -> Answer:
        """A local shell, which reads the script as the remote one does: from its input."""
        assert root
        assert limit
        self.commands.append(script)
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}", "LC_ALL": "C"}
        done = subprocess.run(
            ("sh",),
            input=script.encode(),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def load(self, **change: object) -> None:
        """Carry out the action."""
        digest = hashlib.sha256(SCRIPT.encode()).hexdigest()
        action = LoadSchema("cnat", "c0ffee", "BlitzCalc_DB", "script.sql", digest, "because", limit=0.0)
        load_schema(replace(action, **change), self, self.said.append)  # type: ignore[arg-type]

    @property
    def ran(self) -> str:
        """The SQL that changed something."""
        file = self.folder / "ran"
        return file.read_text().strip() + "\n" if file.exists() else ""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refusal(world: World, **change: object) -> str:
    with pytest.raises(RepairError) as caught:
        world.load(**change)
    message = str(caught.value)
    assert SECRET not in message
    assert "\n" not in message
    return message


def test_an_empty_database_gets_exactly_the_script(world: World) -> None:
    world.load()
    assert world.ran == SCRIPT


def test_the_password_is_in_no_first_line_and_so_in_no_message_of_a_time_limit(world: World) -> None:
    world.load()
    assert any("ecret" in command for command in world.commands)
    assert not any("ecret" in command.partition("<<")[0] for command in world.commands)


@pytest.mark.parametrize("content", ["tables\t1\naccounts\t0\n", "tables\t0\naccounts\t1\n", "garbage\n", ""])
def test_whatever_is_not_surely_empty_is_left_as_it_is(world: World, content: str) -> None:
    assert "is left as it is" in refusal(world.put("content", content))
    assert world.ran == ""


def test_a_script_that_was_changed_since_it_was_looked_at_is_not_run(world: World) -> None:
    assert "is not the one that was looked at" in refusal(world.put("script.sql", SCRIPT + "DROP DATABASE x;"))
    assert world.ran == ""


def test_a_script_that_drops_is_not_run_even_if_it_is_the_one(world: World) -> None:
    script = f"DROP DATABASE IF EXISTS BlitzCalc_DB; {SCRIPT}"
    digest = hashlib.sha256(script.encode()).hexdigest()
    assert "it has the statement DROP DATABASE IF" in refusal(world.put("script.sql", script), digest=digest)
    assert world.ran == ""


def test_a_server_that_starts_is_waited_for_with_a_word_and_then_run_once(world: World) -> None:
    world.put("down", "x\n" * 8).load(limit=60.0)
    assert world.ran == SCRIPT
    assert world.said == ["cnat: waiting for the database to answer (error 2002)"]


def test_a_server_that_never_comes_is_given_up_with_its_reason(world: World) -> None:
    said = refusal(world.put("down", "x\n" * 99))
    assert said == "cnat: the database does not answer within 0 s: ERROR 2002 (HY000): Can't connect"


def test_a_refused_password_is_tried_once(world: World) -> None:
    assert "the database refuses: ERROR 1045" in refusal(world.put("password", "another"))
    assert len(world.commands) == 1


def test_a_script_that_fails_quotes_nothing_of_itself(world: World) -> None:
    world.put("fails", "ERROR 1064 (42000) at line 1: error near 'IDENTIFIED BY 'pages''\n")
    assert refusal(world).endswith("did not run to its end: ERROR 1064 (42000) at line 1")


def test_a_server_is_told_to_write_again_and_nothing_else(world: World) -> None:
    allow_writes(AllowWrites("cnat", "c0ffee", "because"), world)
    assert world.ran == "SET GLOBAL read_only = 0;\n"


def test_a_server_that_refuses_to_write_again_says_why(world: World) -> None:
    world.put("fails", "ERROR 1227 (42000): Access denied; you need SUPER\n")
    with pytest.raises(RepairError, match="cnat: the database does not take writes again: ERROR 1227") as caught:
        allow_writes(AllowWrites("cnat", "c0ffee", "because"), world)
    assert SECRET not in str(caught.value)
