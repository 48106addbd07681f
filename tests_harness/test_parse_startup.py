"""What a boot starts, and whether it updates: the ways in which people write it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.parse import startup
from harness.parse.startup import commands, is_update, scripts

ROOTS = "/var/spool/cron/crontabs/root"


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        (ROOTS, "# @reboot no\n@reboot /root/maj.sh >/dev/null\n0 4 * * * apt upgrade\n", ["/root/maj.sh >/dev/null"]),
        ("/var/spool/cron/crontabs/pi", "@reboot ~/maj.sh\n", ["/home/pi/maj.sh"]),
        (ROOTS, "@reboot bash ~/maj.sh\n", ["bash /root/maj.sh"]),
        ("/etc/crontab", "SHELL=/bin/sh\n@reboot root /usr/local/bin/maj\n", ["/usr/local/bin/maj"]),
        ("/etc/cron.d/maj", "@reboot\troot\tapt-get update\n", ["apt-get update"]),
        ("/etc/cron.d/maj", "@reboot /opt/maj\n", []),
        (ROOTS, "@reboot date +%F >> /tmp/boot; /root/maj.sh\n", ["date +"]),
        (ROOTS, "@reboot date +\\%F; /root/maj.sh\n", ["date +\\%F; /root/maj.sh"]),
        ("/etc/rc.local", "#!/bin/sh -e\n/home/pi/maj.sh &\nexit 0\n", ["/home/pi/maj.sh &"]),
        (
            "/etc/rc.local",
            "if [ -e /x ]; then\nexit 0\nfi\na\nexit\nb\n",
            ["if [ -e /x ]; then", "exit 0", "fi", "a"],
        ),
        (
            "/etc/rc.local",
            "f() {\nexit 1\n}\nfor i in 1; do echo; done\na\n exit 0\nb\n",
            ["f() {", "exit 1", "}", "for i in 1; do echo; done", "a"],
        ),
        ("/etc/systemd/system/maj.service", "[Service]\nExecStart=-/opt/maj\nExecStop=/opt/x\n", ["/opt/maj"]),
        ("/etc/systemd/system/maj.service", "ExecStart=/bin/sh \\\n  -c x\n", ["/bin/sh    -c x"]),
        ("/etc/systemd/system/maj.service", "ExecStart=/opt/a\nExecStart=\nExecStart=/opt/b\n", ["/opt/b"]),
        ("/etc/systemd/system/maj.service", "ExecStart=/opt/a\nExecStart=\n", []),
        ("/etc/systemd/system/maj.service", "", []),
    ],
)
def test_each_file_says_in_its_own_way_what_a_boot_runs(path: str, text: str, found: list[str]) -> None:
    assert list(commands(path, text)) == found


def test_drop_ins_are_read_behind_their_unit_by_the_order_of_names() -> None:
    unit, foreign = "/etc/systemd/system/cron-x.service", "/etc/systemd/system/cron.service.d/x.conf"
    texts = {f"{unit}.d/b.conf": "b", ROOTS: "r", f"{unit}.d/a.conf": "a", unit: "u", foreign: "f"}
    assert startup.with_drop_ins(texts) == {ROOTS: "r", unit: "u\na\nb"}


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("/root/maj.sh >/dev/null 2>&1", ["/root/maj.sh"]),
        ("sudo bash '/home/pi/maj 1.sh'", ["/home/pi/maj"]),
        ('/bin/sh -c "/opt/a && /opt/b"', ["/bin/sh", "/opt/a", "/opt/b"]),
        ("apt-get update", []),
        ("x=/opt/a;/opt/a", ["/opt/a"]),
        ("http://example.org/x", []),
    ],
)
def test_a_command_names_scripts_by_their_absolute_paths(command: str, found: list[str]) -> None:
    assert [path for path in scripts(command) if path != "/dev/null"] == found


@pytest.mark.parametrize(
    ("text", "updates"),
    [
        ("apt-get update && apt-get upgrade -y", True),
        ("sudo apt -y full-upgrade", True),
        ("apt-get -q -y \\\n  -o X::Y=z \\\n  upgrade", True),
        ("/usr/bin/apt upgrade", True),
        ("aptitude safe-upgrade", True),
        ("apt-get update", False),
        ("# apt upgrade", False),
        ("true # apt upgrade", False),
        ("apt-get install upgrade-system", False),
        ("apt update; echo upgrade", False),
        ("apt list --upgradable", False),
        ("", False),
    ],
)
def test_an_update_is_an_upgrade_by_apt(text: str, updates: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_update(text) is updates


@given(st.sampled_from([ROOTS, "/etc/rc.local", "/etc/systemd/system/x.service"]), st.text())
def test_any_text_has_some_commands_or_none(path: str, text: str) -> None:
    for command in commands(path, text):
        assert all(script.startswith("/") for script in scripts(command))
        is_update(command)


@pytest.mark.parametrize(
    ("path", "mode", "counts"),
    [
        ("/etc/rc.local", 0o755, True), ("/etc/rc.local", 0o644, False), ("/etc/cron.d/update", 0o644, True),
        ("/etc/cron.d/update.dpkg-old", 0o644, False), ("/etc/crontab", 0o600, True),
        (ROOTS, 0o600, True), ("/var/spool/cron/crontabs/tmp.Ab12cd", 0o600, False),
        ("/etc/systemd/system/up.date.service", 0o644, True),
    ],
)  # fmt: skip
def test_a_file_that_nothing_would_run_does_not_count(path: str, mode: int, counts: bool) -> None:  # noqa: FBT001 - a column of the table
    assert startup.is_run(path, mode) is counts


def test_only_cron_reads_crontabs() -> None:
    assert [path for path in startup.PATTERNS if startup.needs_cron(path)] == [
        "/var/spool/cron/crontabs/*", "/etc/crontab", "/etc/cron.d/*",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "does"),
    [
        ("/home/pi/x.sh", True), ("sh /home/pi/x.sh", True), ("sleep 9; ~/x.sh &", True), ("cd && ./x.sh", True),
        ("[ -x /home/pi/x.sh ] && /home/pi/x.sh", True), ("A=1 nohup /home/pi/x.sh >/dev/null 2>&1", True),
        ("sudo -u pi /home/pi/x.sh", True), ("sudo -H -u pi bash /home/pi/x.sh", True),
        ("su pi -c /home/pi/x.sh", True),
        ("screen -dm /home/pi/x.sh", True), ("bash -c 'sleep 9; /home/pi/x.sh'", True), ("(/home/pi/x.sh)", True),
        ("if true; then /home/pi/x.sh; fi", True),
        ("chmod +x /home/pi/x.sh", False), ("sudo chmod +x /home/pi/x.sh", False), ("pi /home/pi/x.sh", False),
        ("timeout -k 5 10 ls x.sh", False), ("sudo --user pi cat x.sh", False),
        ("sudo -u pi chmod +x /home/pi/x.sh", False), ("nice -n 5 cat x.sh", False), ("timeout 5 ls x.sh", False),
        ("timeout -k 9 5m /home/pi/x.sh", True), ("nice -5 ionice -c 3 sh x.sh", True), ("sudo -n x.sh", True),
        ("test -x /home/pi/x.sh || echo no x.sh", False), ("/bin/ls -l /home/pi/x.sh | logger", False),
    ],
)  # fmt: skip
def test_a_command_starts_what_it_runs_and_not_what_it_only_names(command: str, does: bool) -> None:  # noqa: FBT001 - a column of the table
    assert startup.starts(command, re.compile(r"x\.sh"), {"pi"}) is does


@pytest.mark.parametrize("before", ["0 4 * * * a \\\n", "# a\x85", "A=b\x0c\n"])
def test_cron_joins_no_lines_and_knows_one_end_of_a_line(before: str) -> None:
    job = "@reboot /home/pi/x.sh"
    want = () if before.startswith("#") else ("/home/pi/x.sh",)
    assert startup.commands(f"{startup.CRONTABS}pi", f"{before}{job}\n") == want
