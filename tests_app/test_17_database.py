"""Step `database` (runbook L320-372, L483-495): docs/steps/database.md."""

import secrets
import time
from collections.abc import Callable

import pytest
from testinfra.host import Host

from harness.inventory import Cluster
from harness.plugin import Verify

pytestmark = pytest.mark.step("database")
FIND = "docker ps --quiet --no-trunc --filter %s"
PATIENCE = 120  # seconds until a database of a Pi answers again
TABLES = {"Users", "Logging", "Weak_passwords"}
ROLES = {"admin": "ADMIN", "user": "USER"}
# Root's password and the SQL are this shell's input, and so on no command line and in no message of testinfra.
CLIENT = """
IFS= read -r MYSQL_PWD; export MYSQL_PWD
exec mysql --no-defaults -h 127.0.0.1 -u root -N -B -D "$0"
"""
NOTE = "INSERT INTO Logging (logLevel, ip, description) VALUES ('INFO', '', '{}')"
COUNT = "SELECT COUNT(*) FROM Logging WHERE description = '{}'"
FORGET = "DELETE FROM Logging WHERE description = '{}'"


def test_database(verify: Verify) -> None:
    verify()


def _containers(node: Host, service: str) -> list[str]:
    return str(node.check_output(FIND, f"label=com.docker.swarm.service.name={service}")).split()


def _ask(node: Host, cluster: Cluster, sql: str) -> list[str]:
    (container,) = _containers(node, cluster.database_service)
    stdin = f"{cluster.database.root_password.reveal()}\n{sql}"
    answer = node.backend.feed("docker exec -i %s sh -c %s %s", container, CLIENT, cluster.database.name, stdin=stdin)
    assert answer.code == 0, answer.err.decode(errors="replace")
    return list(answer.out.decode().splitlines())


def test_database_witness(node: Host, cluster: Cluster) -> None:
    """Its client lists the tables and who is in them; the container's loader knows the name in a web container."""
    with node.sudo():
        if _containers(node, cluster.database_service):
            assert set(_ask(node, cluster, "SHOW TABLES")) >= TABLES
            found = dict(line.split("\t") for line in _ask(node, cluster, "SELECT login, role FROM Users"))
            assert found.items() >= ROLES.items()
            assert node.file(f"{cluster.database.data}/{cluster.database.name}").is_directory
        for container in _containers(node, cluster.web_service):
            assert node.check_output("docker exec %s getent hosts %s", container, cluster.database.host)


@pytest.mark.disruptive
def test_a_row_survives_a_new_container(node: Host, node_name: str, cluster: Cluster) -> None:
    """A row that the old container wrote is read in a new one, and then taken out."""
    if cluster.label_of(node_name) != "sql":
        pytest.skip("the database does not run here")
    note = f"hatcheck {secrets.token_hex(8)}"
    count = COUNT.format(note)
    with node.sudo():
        before = _containers(node, cluster.database_service)
        _ask(node, cluster, NOTE.format(note))
        try:
            node.check_output("docker service update --force --detach --quiet %s", cluster.database_service)
            _await(lambda: set(_containers(node, cluster.database_service)).isdisjoint(before), "the old one ends")
            _await(lambda: bool(_ask(node, cluster, "SELECT 1")), "the new one answers")
            assert _ask(node, cluster, count) == ["1"]
        finally:
            _ask(node, cluster, FORGET.format(note))
        assert _ask(node, cluster, count) == ["0"]


def _await(is_so: Callable[[], bool], what: str) -> None:
    """A question that fails is no answer yet."""
    deadline, why = time.monotonic() + PATIENCE, ""
    while time.monotonic() < deadline:
        try:
            if is_so():
                return
        except (AssertionError, ValueError) as error:
            why = str(error)
        time.sleep(0.5)
    pytest.fail(f"waited {PATIENCE} s in vain until {what} {why}")
