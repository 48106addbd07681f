"""An action as lines: complete, safe to show and of bounded length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actions import (
    Action,
    AllowWrites,
    Boot,
    BuildImage,
    DeployStack,
    JoinSwarm,
    LoadSchema,
    PushImage,
    Run,
    SettleService,
    Write,
    WriteSshd,
)
from harness.report.diff import MAX_LINES, MAX_WIDTH, lines, plain
from harness.report.text import duration, visible
from harness.words import count
from tests_harness.test_report_samples import HOSTILE, write_hosts

CASES = [
    pytest.param(b"a\n", b"b\n", ["-a", "+b"], id="changed"),
    pytest.param(None, b"a\n", ["+a"], id="new"),
    pytest.param(b"a\n", b"", ["-a"], id="emptied"),
    pytest.param(b"a\r\n", b"a\n", ["-a␍", "+a"], id="carriage return"),
    pytest.param(b"a", b"a\n", ["-a", "\\ No newline at end of file", "+a"], id="newline added"),
    pytest.param(b"\xff\n", b"\xfe\n", ["-\\xff", "+\\xfe"], id="not utf-8"),
    pytest.param(b"a\x0cb\n", b"a\x0bb\n", ["-a␌b", "+a␋b"], id="form feed is no line end"),
    pytest.param("é\n".encode(), "è\n".encode(), ["-é", "+è"], id="utf-8"),
    pytest.param(b"-- x\n", b"++ y\n", ["--- x", "+++ y"], id="lines that look like a header"),
    pytest.param(b"a\n", b"a\n", ["the content stays as it is"], id="only the rights change"),
]


def write(before: bytes | None, after: bytes) -> Write:
    return Write("p1", "/etc/f", before, after, "because")


@pytest.mark.parametrize(("before", "after", "expected"), CASES)
def test_a_file_is_shown_as_a_diff(before: bytes | None, after: bytes, expected: list[str]) -> None:
    shown = [line.text for line in lines(write(before, after)) if line.kind in {"added", "removed", "note"}]
    assert shown == expected


def test_a_file_names_node_path_rights_and_why() -> None:
    action = Write("p1", "/etc/f", None, b"a\n", "it must be there", 0o600, "pi:pi")
    assert plain(action).splitlines()[:4] == [
        "p1: it must be there",
        "create /etc/f (mode 0600, owner pi:pi)",
        "--- (no file)",
        "+++ /etc/f",
    ]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        pytest.param(
            Run("p1", ("echo", "a b", "$x"), "why"), "p1: why\n$ echo 'a b' '$x'", id="quoted as a shell would"
        ),
        pytest.param(
            Run("p1", ("systemctl", "restart", "ssh"), "why", last=True),
            "p1: why\n$ systemctl restart ssh  (last, once)",
            id="restart at the end",
        ),
        pytest.param(
            JoinSwarm("p4", "cnat", "172.19.181.4", "172.19.181.254:2377", "it is in none"),
            "p4: join the swarm of cnat at 172.19.181.254:2377 as 172.19.181.4: it is in none",
            id="joining shows no token",
        ),
        pytest.param(
            BuildImage("cnat", "a/b:c", "linux/arm/v6", "", "dockerConfig/f", ".", "why"),
            "cnat: build a/b:c for linux/arm/v6 of fixtures/app/dockerConfig/f: why",
            id="building says for which processor and of what",
        ),
        pytest.param(
            PushImage("cnat", "a/b:c", "pi", "why"),
            "cnat: push a/b:c by the Docker login of pi: why",
            id="pushing says by whose login",
        ),
        pytest.param(
            DeployStack("cnat", "appli", "/home/pi/f.yml", "digest", "", "pi:pi", "run it"),
            "cnat: docker stack deploy --compose-file /home/pi/f.yml appli (the file is the inventory's): run it",
            id="deploying shows nothing of the file",
        ),
        pytest.param(
            DeployStack("cnat", "appli", "/f.yml", "digest", "no IP_VS", "pi:pi", "run it"),
            "cnat: docker stack deploy --compose-file /f.yml appli (the file is made from the inventory's, "
            "because no IP_VS): run it",
            id="a made file is called so",
        ),
        pytest.param(
            SettleService("cnat", "appli_web", "spread", force=True),
            "cnat: docker service update --force appli_web, until its tasks stay (at most 300 s): spread",
            id="tasks are made anew",
        ),
        pytest.param(
            SettleService("cnat", "appli_web", "wait"),
            "cnat: wait for appli_web, until its tasks stay (at most 300 s): wait",
            id="tasks are waited for",
        ),
        pytest.param(
            AllowWrites("cnat", "c0ffee" * 4, "write"),
            "cnat: mysql> SET GLOBAL read_only = 0 in container c0ffeec0ffee: write",
            id="a server is told one thing",
        ),
        pytest.param(
            LoadSchema("cnat", "c0ffee" * 4, "D", "/x.sql", "d16e57", "it is empty"),
            "cnat: run /x.sql in container c0ffeec0ffee, if its database is empty: it is empty",
            id="a schema shows no password",
        ),
        pytest.param(
            Boot("cnat", "p4", "p4", "ethpi4", "no answer", 150.0, 3),
            "cnat: switch on p4 at port p4 (3 tries of 150 s): no answer",
            id="boot",
        ),
    ],
)
def test_other_actions_are_a_line_or_two(action: Action, expected: str) -> None:
    assert plain(action) == expected


def test_a_change_of_sshd_is_a_diff_that_says_how_it_is_guarded() -> None:
    assert plain(WriteSshd("p1", "/etc/ssh/s", None, b"X yes\n", "why")).splitlines()[:2] == [
        "p1: why",
        "create /etc/ssh/s and reload sshd (taken back by the node after 90 s unless a new login works)",
    ]


def test_a_long_diff_is_cut_and_says_by_how_much() -> None:
    after = b"".join(b"line %d\n" % number for number in range(1000))
    shown = lines(write(None, after), limit=10)
    assert shown[-1].text == "… 993 more lines left out here (993 added, 0 removed)"
    assert len(shown) == 2 + 10 + 1


def test_a_file_too_long_to_compare_says_so() -> None:
    assert lines(write(b"\n" * 5000, b"x"))[-1].text == "too long to compare here: 5000 lines before, 1 after"


@given(st.binary(max_size=300) | st.none(), st.binary(max_size=300))
def test_any_bytes_make_safe_lines_that_tell_the_change(before: bytes | None, after: bytes) -> None:
    shown = lines(write(before, after))
    assert all(line.text.replace("\t", "").isprintable() for line in shown)
    if (before or b"") != after:
        assert {line.kind for line in shown} & {"added", "removed"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_bounded_and_printable(text: str) -> None:
    octets = text.encode("utf-8", "surrogatepass")
    shown = lines(Write("p1", text, octets, octets * 2, text))
    assert len(shown) <= MAX_LINES + 3
    assert all(line.text.isprintable() and len(line.text) < MAX_WIDTH + 60 for line in shown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain ü 漢", "plain ü 漢", id="letters pass"),
        pytest.param("\x1b[2J", "␛[2J", id="escape"),
        pytest.param("a\x00b\x7f", "a␀b␡", id="nul and delete"),
        pytest.param("\u202egnp", "\\u202egnp", id="reading order"),
        pytest.param("\udcff\ud800", "\\xff\\ud800", id="surrogates"),
        pytest.param("a\u00a0b", "a\\xa0b", id="a space that is none"),
        pytest.param("x" * 12, "xxxxxxxxxx… [2 more characters left out]", id="too long"),
    ],
)
def test_invisible_characters_are_made_visible(text: str, expected: str) -> None:
    assert visible(text, limit=10) == expected


def test_the_context_of_a_change_is_shown() -> None:
    assert " 127.0.0.1\tlocalhost" in plain(write_hosts()).splitlines()


def test_numbers_and_lengths_read_as_people_say_them() -> None:
    assert [count(1, "cause"), count(2, "try", "tries")] == ["1 cause", "2 tries"]
    assert [duration(4.21), duration(185)] == ["4.2 s", "3 min 05 s"]
