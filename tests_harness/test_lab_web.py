"""Faults of the step `web` on the real lab: seen exactly there, with the step to blame, and left to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests_harness import labkit, rows
from tests_harness.appkit import PASSWORDS
from tests_harness.faultkit import Fault, Where, at, go, on, prove

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab import Lab

pytestmark = pytest.mark.lab
TASK = "$(docker ps -qf label=com.docker.swarm.service.name=appli_serviceweb)"
IN_TASK = "docker exec " + TASK + " sh -c {}"
ONE_BUILD = at("web", "cnat", "one build everywhere")
SIGN_IN = "user signs in"
# Of `count-on-the-hat`, as the script has it, and of another word.
HASH = "$2y$10$gbol4nY2l0pq603jeAdyYuU9r3Kh36zk1t0oXhDJ2yRY0k2d9IYuy"
OTHER = "$2y$10$Tdyec1rw36m3vbTgJiTCkuYV.0rXyqBGOb8CZ4gte1SpGfchlPSI6"
CHANGE = "UPDATE Users SET password = '{}' WHERE login = 'user'"
FILE = "/var/www/html/{}"
KEEP, RESTORE = "cp -p {0} /tmp/kept", "cp -p /tmp/kept {0}; rm /tmp/kept"


def page(number: int) -> frozenset[Where]:
    return at("web", f"p{number}", f"page at 172.19.181.{number}:80")


def edited(name: str, edit: str) -> tuple[str, str]:
    """Shell text that changes a file of the site in the task of a node, and that takes it back.

    PHP looks only every two seconds whether a file that it has read has changed (opcache.revalidate_freq).
    """
    path = FILE.format(name)
    damage, undo = f"{KEEP.format(path)} && {edit} {path} && sleep 2.5", f"{RESTORE.format(path)}; sleep 2.5"
    return IN_TASK.format(f"'{damage}'"), IN_TASK.format(f"'{undo}'")


def fault(node: str, damage: tuple[str, str], want: frozenset[Where], unseen: tuple[str, ...] = ()) -> Fault:
    return Fault(node, damage[0], want, undo=damage[1], unseen=unseen)


FILTER = "iptables {} DOCKER-USER -i usb0 -p tcp --dport 80 -j DROP"
REDIRECT = "iptables -t nat {} PREROUTING -i usb0 -p tcp --dport 80 -j REDIRECT --to-ports 22"
FAULTS = {
    "one machine has another site": fault(
        "p2", edited("style.css", 'sed -i "1i /* edited */"'),
        at("web", "p2", "build of its task") | page(2) | ONE_BUILD, ("web[p2]",),
    ),
    "the start page is somebody else's": fault(
        "p4", edited("index.php", 'echo "<title>Apache2 Debian Default Page</title>" >'),
        at("web", "p4", "build of its task") | page(4),
    ),
    "a page that is broken": fault(
        "p3", edited("lib/session.php", 'sed -i "2i syntax error"'), at("web", "p3", "build of its task") | page(3)
    ),
    "packets are dropped": fault("p3", (FILTER.format("-I"), FILTER.format("-D")), page(3)),
    "something else answers, and not in HTTP": fault("p4", (REDIRECT.format("-I"), REDIRECT.format("-D")), page(4)),
    "the site asks another server": fault(
        "p3", edited("Config/config.json", "sed -i s/servicebd/elsewhere/"),
        at("web", "p3", "build of its task", "user signs in at 172.19.181.3:80") | page(3) | ONE_BUILD
        | at("database", "p3", "settings of the site"), ("web[p3]",),
    ),
    "a machine's container has lost its name server": fault(
        "p2",
        (
            IN_TASK.format("'echo nameserver 127.0.0.9 > /etc/resolv.conf'"),
            IN_TASK.format("'echo nameserver 127.0.0.11 > /etc/resolv.conf; echo options ndots:0 >> /etc/resolv.conf'"),
        ),
        at("web", "p2", "user signs in at 172.19.181.2:80") | at("database", "p2", "servicebd answers the site"),
        ("web[p2]",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen_exactly_there_and_left_to_a_person(ready: Lab, name: str) -> None:
    prove(ready, FAULTS[name], "web", "database")


@pytest.mark.field
def test_a_changed_password_is_refused_once_in_a_look_and_nowhere_else_tried(ready: Lab) -> None:
    count = "SELECT COUNT(*) FROM Logging WHERE description LIKE 'wrong login or password%'"
    kept = rows.write(ready)
    before = int(rows.sql(ready, count))
    rows.sql(ready, CHANGE.format(OTHER))
    try:
        seen = go(ready, "verify", ("web", "database"))
        assert seen.differing() == at("web", "cnat", SIGN_IN) | at("database", "cnat", "user user"), seen.said
        assert int(rows.sql(ready, count)) == before + 1
        assert "401" in seen.outcome("web", "cnat").reason
    finally:
        rows.sql(ready, CHANGE.format(HASH))
    well = go(ready, "verify", ("web", "database"))
    assert (well.code, int(rows.sql(ready, count))) == (0, before + 2), "the wrong password of a good look"
    rows.assert_kept(ready, kept)


def test_the_task_that_is_just_starting_is_waited_for(ready: Lab) -> None:
    # Earlier deaths of this place, as by a power cut, are of another specification then.
    on(ready, "cnat", "docker service update --quiet --force appli_serviceweb", limit=180)
    # Whatever the swarm is at, the new container runs before its Apache answers.
    on(ready, "p1", f"docker exec {TASK} sh -c 'kill -STOP $(pidof apache2)'; sleep 0.1; docker kill {TASK} >/dev/null")
    on(ready, "p1", f'n=0; until [ -n "{TASK}" ] || [ $n -ge 300 ]; do n=$((n+1)); sleep 0.1; done; [ -n "{TASK}" ]')
    done = go(ready, "verify", ("web", "database"))
    assert done.code == 0, done.said


@pytest.mark.usefixtures("ready")
def test_no_password_is_in_anything_that_a_run_leaves(tmp_path: Path) -> None:
    done = labkit.run(tmp_path, "-k", "web or database", "--log-level=DEBUG", "-rA", "--showlocals")
    assert done.code == 0, done.said
    assert done.folder
    left = {str(file): file.read_text("utf-8", "replace") for file in done.folder.rglob("*") if file.is_file()}
    for word in (*PASSWORDS.values(), "pages-of-the-hat", HASH, OTHER):
        assert [name for name, text in {"said": done.said, **left}.items() if word in text] == []
