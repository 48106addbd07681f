"""The application really works: Apache, PHP, MariaDB and the hardened listener on one lab node, asked by a browser.

The network of the cluster is not used: a stand-in for ssh starts the program on the node itself.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests_harness.appkit import PASSWORDS, SITE, Machine, build_of, sign_in
from tests_harness.pipekit import APP, DEADLINE, PRIMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab import Lab

pytestmark = pytest.mark.lab
NODE = "p4"
PACKAGES = "apache2 libapache2-mod-php php-mysql mariadb-server"
VOLUME = "/home/pi/webVolume"
PIPE = f"/hostpipe/{PRIMES}"
UNIT = f"clusterhat-pipe@{PRIMES}.service"
# `ssh cnat mpiexec … python3 PROGRAM …` becomes the program itself, and leaves a line behind.
SSH = """#!/bin/sh
echo "$*" >> /home/pi/asked
while [ "$1" != python3 ]; do shift; done
exec "$@"
"""
PRIME = """import json, sys
first, last = map(int, sys.argv[1:3])
if first == 13: sys.exit(3)
primes = [n for n in range(max(2, first), last + 1) if all(n % d for d in range(2, int(n**0.5) + 1))]
json.dump({"executionTime": 0.02, "primeNumbersList": primes}, open(sys.argv[3], "w"), indent=3)
"""
THROWS = """import json, sys
json.dump({"executionTime": 0.02, "pi": 3.14, "error": 0.0005}, open(sys.argv[2], "w"), indent=3)
"""
STATISTICS = """import sys
keys = "piName;cpuUsage;cpuFrequency;memTotal;memUsed;uptime"
open(sys.argv[1], "w").write(keys + "\\np4;1.5;1.0;426;<b>99</b>;up 1 hour\\n")
"""
INJECTIONS = ["1; touch /tmp/hacked", "$(touch /tmp/hacked)", "`touch /tmp/hacked`", "1\ntouch /tmp/hacked", "1 || id",
              "", " 1", "-1", "1e3", "0x10", "100\n", "9" * 30, "1000001", "1'--", "<script>", "٣"]  # fmt: skip


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[Machine]:
    """The application installed by its own Dockerfiles, script and unit; the node is as flashed again afterwards."""
    lab.reset(NODE)
    one = Machine(lab, NODE)
    one.shell(f"DEBIAN_FRONTEND=noninteractive apt-get -q -y install {PACKAGES} >&2", timeout=300)
    one.shell("rm /var/www/html/index.html; echo '127.0.0.1 servicebd' >> /etc/hosts")
    one.shell("echo 'export NODE_NAME=p4' >> /etc/apache2/envvars")
    one.follow(APP / "dockerConfig" / "dockerfilePHP", APP)
    one.follow(APP / "dockerConfig" / "dockerfileMYSQL", APP / "sql")
    one.shell("systemctl restart apache2; mysql < /docker-entrypoint-initdb.d/database_script.sql", timeout=120)
    _install_listener(one)
    yield one
    lab.reset(NODE)


def _install_listener(one: Machine) -> None:
    one.put(APP / "listener" / "clusterhat_pipe.py", "/usr/local/lib/clusterhat")
    one.put(APP / "listener" / "clusterhat-pipe@.service", "/etc/systemd/system")
    one.shell(f"install -d -o pi -g pi -m 777 {VOLUME} {VOLUME}/repoOutputResults")
    one.shell(f"install -d -o pi -g pi {VOLUME}/repoBashScripts {VOLUME}/repoPythonScripts; mkdir -p /hostpipe")
    one.shell(f"mount --bind {VOLUME} /hostpipe")
    for path, text in {
        "/opt/stand-in/ssh": SSH,
        f"{VOLUME}/repoPythonScripts/prime.py": PRIME,
        f"{VOLUME}/repoPythonScripts/pi_monte_carlo.py": THROWS,
        f"{VOLUME}/repoPythonScripts/node_stats.py": STATISTICS,
        "/etc/systemd/system/clusterhat-pipe@.service.d/lab.conf": (
            "[Service]\nEnvironment=PATH=/opt/stand-in:/usr/bin:/bin\n"
        ),
    }.items():
        one.shell(f"mkdir -p $(dirname {path}); cat > {path}; chmod 755 {path}", stdin=text.encode())
    one.shell("systemctl daemon-reload")
    for name in (PRIMES, "pipe_module_calcul_pi", "pipe_stats_cluster_hat"):
        one.shell(f"systemctl start clusterhat-pipe@{name}")
        _until(one, f"test -p {VOLUME}/{name}")


def _until(one: Machine, question: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while one.lab.exec(NODE, ["sh", "-c", question]).returncode:
        assert time.monotonic() < deadline, f"waited {DEADLINE} s in vain for: {question}"
        time.sleep(0.1)


@pytest.fixture
def clean(machine: Machine) -> Machine:
    """The machine without anything that an injection could have left."""
    machine.shell(f"rm -rf /tmp/hacked /home/pi/asked {VOLUME}/repoOutputResults/*")
    return machine


def asked(machine: Machine) -> str:
    """What was started on the node so far."""
    return machine.shell("cat /home/pi/asked 2>/dev/null || true")


def test_every_page_says_the_build_that_the_files_have(machine: Machine) -> None:
    for answer in machine.browse(("index.php",), ("login.php",), ("prime.php",), ("pi.php",)):
        assert answer.status == 200
        assert f'<meta name="build" content="{build_of(SITE)}">' in answer.text


@pytest.mark.parametrize("login", PASSWORDS)
def test_a_seeded_user_signs_in_and_out(machine: Machine, login: str) -> None:
    *_, signed_in, out, after = machine.browse(*sign_in(login), ("logout.php", {}), ("index.php",))
    assert signed_in.url == "http://127.0.0.1/index.php"
    assert f'<b id="login">{login}</b>' in signed_in.text
    assert 'id="login"' not in out.text + after.text


@pytest.mark.parametrize(
    ("login", "password"),
    [("admin", "administer-the-hat "), ("admin", ""), ("admin", PASSWORDS["user"]), ("nobody", PASSWORDS["admin"]),
     ("admin' OR '1'='1", "x"), ("admin' -- ", PASSWORDS["admin"]), ("", ""), ("<b>admin", "x")],
)  # fmt: skip
def test_a_wrong_login_or_password_is_refused(machine: Machine, login: str, password: str) -> None:
    *_, refused, after = machine.browse(*sign_in(login, password), ("index.php",))
    assert refused.status == 401
    assert 'id="login"' not in refused.text + after.text
    assert "session" not in refused.cookies


def test_a_session_that_was_tampered_with_is_none(machine: Machine) -> None:
    """The signature is of the user: the administrator's number on a user's cookie does not make him one."""
    *_, signed_in = machine.browse(*sign_in("user"))
    forged = re.sub("0002", "0001", signed_in.cookies["session"])
    assert forged != signed_in.cookies["session"]
    (answer,) = machine.browse(("index.php",), cookie=f"session={forged}")
    assert 'id="login"' not in answer.text
    (answer,) = machine.browse(("index.php",), cookie=f"session={signed_in.cookies['session']}")
    assert 'id="login"' in answer.text, "the true one is taken, by whichever task it meets"


def test_a_form_of_another_site_is_refused(clean: Machine) -> None:
    # The hidden field that the browser would bring is overwritten.
    fields = {"first": "1", "last": "100", "nodes": "1", "form": "0" * 32}
    _, answer = clean.browse(("prime.php",), ("prime.php", fields))
    assert answer.status == 403
    assert asked(clean) == ""


def test_a_visitor_computes_on_this_node_alone(clean: Machine) -> None:
    _, answer = clean.browse(("prime.php",), ("prime.php", {"first": "1", "last": "100", "nodes": "1"}))
    assert answer.status == 200
    assert '<b id="count">25</b>' in answer.text
    assert '<p id="primes">2, 3, 5, ' in answer.text
    assert "-n 1 --host pi4 " in asked(clean)
    assert asked(clean).count("\n") == 1, "once"
    assert clean.shell(f"ls {VOLUME}/repoOutputResults") == "", "the result was taken away"


def test_a_user_computes_on_all_nodes_and_this_one_comes_first(clean: Machine) -> None:
    *_, answer = clean.browse(*sign_in("user"), ("pi.php",), ("pi.php", {"throws": "1000", "nodes": "4"}))
    assert '<b id="pi">3.14</b>' in answer.text
    assert "-n 4 --host pi4,pi1,pi2,pi3 " in asked(clean)


def test_a_visitor_cannot_take_more_than_one_node(clean: Machine) -> None:
    _, answer = clean.browse(("prime.php",), ("prime.php", {"first": "1", "last": "9", "nodes": "4"}))
    assert answer.status == 400
    assert asked(clean) == ""


@pytest.mark.parametrize("value", INJECTIONS)
@pytest.mark.parametrize("field", ["first", "last", "nodes"])
def test_an_injection_through_the_page_runs_nothing(clean: Machine, field: str, value: str) -> None:
    fields = {"first": "1", "last": "100", "nodes": "1", field: value}
    *_, answer = clean.browse(*sign_in("user"), ("prime.php",), ("prime.php", fields))
    assert answer.status == 400
    assert "<script>" not in answer.text
    assert asked(clean) == ""
    clean.shell("! test -e /tmp/hacked")


def test_a_list_for_a_number_is_no_number(clean: Machine) -> None:
    fields = {"first[]": "1", "last": "100", "nodes": "1"}
    _, answer = clean.browse(("prime.php",), ("prime.php", fields))
    assert answer.status == 400


@pytest.mark.parametrize("request_", ["touch /tmp/hacked", "1; touch /tmp/hacked", "echo $(touch /tmp/hacked)"])
def test_an_injection_straight_into_the_pipe_runs_nothing(clean: Machine, request_: str) -> None:
    send = f"printf '%s\\n' '{request_}' | dd of={PIPE} oflag=nonblock conv=nocreat,notrunc status=none"
    clean.shell(f"su -s /bin/sh www-data -c {_quoted(send)}")
    results = f"{VOLUME}/repoOutputResults"
    probe = f"echo 77 >> {results}/hatcheck-77.txt"
    clean.shell(f"printf '%s\\n' '{probe}' | dd of={PIPE} oflag=nonblock conv=nocreat,notrunc status=none")
    _until(clean, f"test -s {results}/hatcheck-77.txt")
    clean.shell("! test -e /tmp/hacked")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_the_listener_is_asked_by_the_web_server_and_by_nobody_else(machine: Machine) -> None:
    assert machine.shell(f"stat -c '%A %U %G' {VOLUME}/{PRIMES}") == "prw--w---- pi www-data\n"
    machine.shell(f"! su -s /bin/sh nobody -c 'echo x > {PIPE}' 2>/dev/null")


def test_the_administrator_sees_the_nodes_and_nobody_else_does(clean: Machine) -> None:
    *_, page, answer = clean.browse(*sign_in("admin"), ("statistics.php",), ("statistics.php", {}))
    assert page.status == 200
    assert "<td>pi4</td><td>1.5</td>" in answer.text, "a node is called as it is documented"
    assert "--timeout 60 --map-by seq -n 5 --host pi4,pi1,pi2,pi3,cnat " in asked(clean)
    assert "&lt;b&gt;99&lt;/b&gt;" in answer.text, "what comes from a node is escaped"
    assert "signed in" in answer.text
    *_, of_user = clean.browse(*sign_in("user"), ("statistics.php",))
    assert of_user.status == 403
    (of_visitor,) = clean.browse(("statistics.php",))
    assert of_visitor.url == "http://127.0.0.1/login.php"


def test_a_computation_that_fails_says_so(clean: Machine) -> None:
    _, answer = clean.browse(("prime.php",), ("prime.php", {"first": "13", "last": "100", "nodes": "1"}))
    assert answer.status == 502
    assert "exit code 3" in answer.text


def test_a_listener_that_was_killed_comes_back_by_itself(clean: Machine) -> None:
    before = clean.shell(f"systemctl show -p MainPID {UNIT}")
    clean.shell(f"systemctl kill -s KILL {UNIT}")
    _until(clean, f"systemctl is-active {UNIT} && [ \"$(systemctl show -p MainPID {UNIT})\" != '{before.strip()}' ]")
    send = f"echo 5 >> {VOLUME}/repoOutputResults/hatcheck-5.txt"
    _until(clean, f"printf '%s\\n' '{send}' | dd of={PIPE} oflag=nonblock conv=nocreat,notrunc status=none")
    _until(clean, f"test -s {VOLUME}/repoOutputResults/hatcheck-5.txt")


def test_a_pipe_that_was_deleted_comes_back(clean: Machine) -> None:
    inode = clean.shell(f"stat -c %i {VOLUME}/{PRIMES}; rm {VOLUME}/{PRIMES}").strip()
    _until(clean, f"test -p {VOLUME}/{PRIMES} && systemctl is-active {UNIT}")
    assert inode
    _, answer = clean.browse(("prime.php",), ("prime.php", {"first": "2", "last": "3", "nodes": "1"}))
    assert '<b id="count">2</b>' in answer.text


@pytest.mark.parametrize(
    ("damage", "words"),
    [("true", "Nobody listens"), (f"rm {PIPE}; echo mine > {PIPE}", "There is no pipe"),
     (f"rm {PIPE}", "There is no pipe")],
)  # fmt: skip
def test_without_a_listener_the_page_answers_at_once_and_makes_no_file(clean: Machine, damage: str, words: str) -> None:
    clean.shell(f"systemctl stop {UNIT}; {damage}; ls -l /hostpipe > /tmp/before")
    try:
        begun = time.monotonic()
        _, answer = clean.browse(("prime.php",), ("prime.php", {"first": "1", "last": "9", "nodes": "1"}))
        assert (answer.status, words in answer.text) == (503, True), answer.text
        assert time.monotonic() - begun < 60, "not after the wait for a result"
        clean.shell("ls -l /hostpipe | diff /tmp/before -")
    finally:
        clean.shell(f"test -p {PIPE} || rm -f {PIPE}; systemctl start {UNIT}")
        _until(clean, f"test -p {PIPE}")


@pytest.mark.parametrize("page", ["Config/config.json", "lib/database.php", "lib/", "Config/", ".htaccess"])
def test_what_the_pages_are_made_of_is_not_served(machine: Machine, page: str) -> None:
    (answer,) = machine.browse((page,))
    assert answer.status in {403, 404}
    assert "pages-of-the-hat" not in answer.text


def test_php_may_start_no_program(machine: Machine) -> None:
    machine.shell('echo \'<?php echo function_exists("exec") ? "may" : "may not";\' > /var/www/html/try.php')
    try:
        (answer,) = machine.browse(("try.php",))
    finally:
        machine.shell("rm /var/www/html/try.php")
    assert answer.text == "may not"


def test_the_script_may_run_again_and_keeps_every_row(machine: Machine) -> None:
    machine.shell(
        "mysql BlitzCalc_DB",
        stdin=b"""
        INSERT INTO Logging (logLevel, ip, description) VALUES ('INFO', '', 'kept');
        UPDATE Users SET firstName = 'Mine' WHERE login = 'user';
    """,
    )
    dump = "mysqldump --skip-dump-date BlitzCalc_DB; mysql -N -e \"SHOW GRANTS FOR 'blitzcalc'@'%'\""
    before = machine.shell(dump)
    machine.shell("mysql < /docker-entrypoint-initdb.d/database_script.sql")
    assert machine.shell(dump) == before
    assert "Mine" in before


def test_the_application_account_may_do_little(machine: Machine) -> None:
    client = "mysql -h 127.0.0.1 -ublitzcalc -ppages-of-the-hat BlitzCalc_DB"
    machine.shell(client, stdin=b"SELECT COUNT(*) FROM Users")
    for query in ("DROP TABLE Users", "UPDATE Users SET role = 1", "DELETE FROM Logging", "SELECT * FROM mysql.user"):
        machine.shell(f"! {client} 2>/tmp/said; grep denied /tmp/said", stdin=query.encode())


def test_without_the_database_the_start_page_stands_and_a_login_says_why_not(machine: Machine) -> None:
    machine.shell("systemctl stop mariadb", timeout=120)
    try:
        start, _, login = machine.browse(("index.php",), *sign_in("admin"))
    finally:
        machine.shell("systemctl start mariadb", timeout=120)
    assert start.status == 200
    assert (login.status, "database does not answer" in login.text) == (503, True)
    assert PASSWORDS["admin"] not in login.text


def test_a_database_that_refuses_the_site_is_an_error_and_no_matter_of_patience(machine: Machine) -> None:
    rename = "mysql -e \"RENAME USER '{}'@'%' TO '{}'@'%'\""
    machine.shell(rename.format("blitzcalc", "somebody"))
    try:
        *_, login = machine.browse(*sign_in("admin"))
    finally:
        machine.shell(rename.format("somebody", "blitzcalc"))
    assert (login.status, "database refuses this site" in login.text) == (500, True), login.text


def test_apache_logged_no_error_of_the_pages(machine: Machine) -> None:
    errors = machine.shell("grep -e 'PHP [A-Z][a-z]* *[a-z]*:' /var/log/apache2/error.log || true")
    assert errors == ""
