"""What the fail2ban server says is read, and what it does not say stays unknown.

The dump and the status are those of fail2ban 1.0.2 with the documented jails.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse import fail2ban

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = Path(__file__).parents[1] / "fixtures" / "samples"
DUMP = (SAMPLES / "fail2ban-d.txt").read_text()
STATUS = (SAMPLES / "fail2ban-status-sshd.txt").read_text()
READERS: list[Callable[[str], object]] = [
    fail2ban.jails,
    fail2ban.jail,
    fail2ban.number,
    fail2ban.actions,
    fail2ban.log_paths,
    fail2ban.journal_match,
    fail2ban.banned,
    fail2ban.dump,
    fail2ban.seconds,
    fail2ban.ignored,
    fail2ban.ports,
    fail2ban.level,
    fail2ban.target,
    fail2ban.matched,
]


def test_jails_are_listed() -> None:
    assert fail2ban.jails("Status\n|- Number of jail:\t2\n`- Jail list:\trecidive, sshd\n") == ("recidive", "sshd")
    assert fail2ban.jails("Status\n|- Number of jail:\t0\n`- Jail list:\t\n") == ()


def test_jail_tells_its_files_and_bans() -> None:
    assert fail2ban.jail(STATUS) == fail2ban.Jail(("/var/log/auth.log",), ("192.0.2.2",))


def test_jail_on_the_journal_reads_no_file() -> None:
    text = STATUS.replace("File list:\t/var/log/auth.log", "Journal matches:\t_SYSTEMD_UNIT=sshd.service + _COMM=sshd")
    assert fail2ban.jail(text).files == ()


def test_stripped_empty_list_is_no_ban() -> None:
    assert fail2ban.jail(STATUS.replace("\t192.0.2.2\n", "")).banned == ()


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("No journal match filter set", ()),
        ("Current match filter:\n_SYSTEMD_UNIT=ssh.service + _COMM=sshd\n",
         ("_SYSTEMD_UNIT=ssh.service", "+", "_COMM=sshd")),
    ],
)  # fmt: skip
def test_what_a_jail_takes_from_the_journal_is_read_as_journalctl_takes_it(text: str, want: tuple[str, ...]) -> None:
    assert fail2ban.journal_match(text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("The jail sshd has the following actions:\niptables\n", ("iptables",)),
        ("The jail sshd has the following actions:\niptables, sendmail\n", ("iptables", "sendmail")),
        ("No actions for jail sshd\n", ()),
    ],
)
def test_actions_are_listed(text: str, want: tuple[str, ...]) -> None:
    assert fail2ban.actions(text) == want


def test_properties_of_an_action() -> None:
    """fail2ban 1.0.2."""
    text = "The jail sshd action iptables has the following properties:\nactionban, actionunban, blocktype, port\n"
    assert fail2ban.properties(text) == ("actionban", "actionunban", "blocktype", "port")
    with pytest.raises(ObservationError, match="expected the properties of an action"):
        fail2ban.properties("'Invalid Action name: nope'")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Current monitored log file(s):\n`- /var/log/auth.log\n", ("/var/log/auth.log",)),
        ("Current monitored log file(s):\n|- /a\n`- /b c\n", ("/a", "/b c")),
        ("No file is currently monitored\n", ()),
    ],
)
def test_log_paths_are_listed(text: str, want: tuple[str, ...]) -> None:
    assert fail2ban.log_paths(text) == want


def test_banned_addresses_are_told_by_jail() -> None:
    text = "[{'sshd': ['192.0.2.1', '192.0.2.2']}, {'recidive': []}]\n"
    assert fail2ban.banned(text) == {"sshd": ("192.0.2.1", "192.0.2.2"), "recidive": ()}


def test_dump_tells_what_the_files_would_set() -> None:
    seen = fail2ban.dump(DUMP)
    assert list(seen) == ["sshd", "recidive"]
    assert seen["sshd"]["maxretry"] == ("5",)
    assert seen["sshd"]["bantime"] == ("120",)
    assert seen["sshd"]["addaction"] == ("iptables",)
    assert seen["sshd"]["addlogpath"] == ("/var/log/auth.log",)
    assert seen["recidive"]["findtime"] == ("1d",)
    assert seen["recidive"]["addaction"] == ("iptables-allports",)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("120", 120),
        ("10m", 600),
        ("10M\n", 600),
        ("1h", 3600),
        ("1h30min", 5400),
        ("1d 12h", 129_600),
        ("2 days", 172_800),
        ("1w", 604_800),
        ("1mo", 2_629_800),
        ("1year", 31_557_600),
        ("-1", -1),
    ],
)
def test_time_of_a_file_is_told_in_seconds(text: str, want: int) -> None:
    assert fail2ban.seconds(text) == want


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("Sorry but the jail 'sshd' does not exist\n", id="unknown jail"),
        pytest.param("Failed to access socket path: /run/fail2ban.sock. Is fail2ban running?", id="down"),
        pytest.param("['config-error', \"Jail 'sshd' skipped\"]", id="wrong configuration"),
        pytest.param("[" * 5000, id="deep"),
        pytest.param("(1,", id="no literal"),
    ],
)
def test_other_text_is_an_observation_error(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ObservationError):
        read(text)


@given(st.text() | st.text(alphabet="[]{}'\":,\\ \n1aset") | st.text().map(lambda text: f"['set', 'a', {text}]"))
def test_any_text_gives_a_value_or_an_observation_error(text: str) -> None:
    for read in READERS:
        with suppress(ObservationError):
            read(text)


TALK = "Fail2Ban v1.0.2 reads log file\n\nfail2ban> Server replied: pong\nfail2ban> 5\nfail2ban> "


def test_answers_of_one_talk_are_told_apart() -> None:
    assert fail2ban.answers(TALK, 2) == ("Server replied: pong\n", "5\n")
    assert fail2ban.answers("fail2ban> fail2ban> fail2ban> ", 2) == ("", "")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_answers_is_no_answer(count: int) -> None:
    with pytest.raises(ObservationError, match=f"expected {count} answers, got 2"):
        fail2ban.answers(TALK, count)


def test_ignored_networks_are_listed() -> None:
    text = "These IP addresses/networks are ignored:\n|- 127.0.0.0/8\n|- 172.19.181.0/24\n`- ::1\n"
    assert fail2ban.ignored(text) == ("127.0.0.0/8", "172.19.181.0/24", "::1")
    assert fail2ban.ignored("No IP address/network is ignored\n") == ()


@pytest.mark.parametrize("text", ["22\n", "ssh\n", "0:65535\n", "22,2222\n"])
def test_ports_are_read(text: str) -> None:
    assert fail2ban.ports(text) == text.strip()


@pytest.mark.parametrize("text", ["", "'Invalid Action name: iptables'", "22 23"])
def test_what_is_no_port_is_no_answer(text: str) -> None:
    with pytest.raises(ObservationError, match="expected ports"):
        fail2ban.ports(text)


def test_level_and_target_of_the_servers_own_log() -> None:
    assert fail2ban.level("Current logging level is 'INFO'\n") == "INFO"
    assert fail2ban.target("Current logging target is:\n`- /var/log/fail2ban.log\n") == "/var/log/fail2ban.log"


@pytest.mark.parametrize("count", [0, 1])
def test_matches_of_a_filter_are_counted(count: int) -> None:
    assert fail2ban.matched(f"Results\n\nLines: 1 lines, 0 ignored, {count} matched, {1 - count} missed\n") == count


def test_dump_has_the_ports_of_the_actions() -> None:
    assert {name: fail2ban.dump(DUMP)[name]["port"] for name in ("sshd", "recidive")} == {
        "sshd": ("22",),
        "recidive": ("0:65535",),
    }
