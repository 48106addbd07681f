"""Options are set in a file of fail2ban's, and no other line of it changes."""

from __future__ import annotations

import configparser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.parse.jailfile import is_readable, with_settings

WANTED = {"sshd": {"enabled": "true", "bantime": "120"}, "recidive": {"bantime": "1h"}}
FRESH = b"[sshd]\nenabled = true\nbantime = 120\n\n[recidive]\nbantime = 1h\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"", FRESH, id="no file"),
        pytest.param(FRESH, FRESH, id="already right"),
        pytest.param(FRESH.replace(b"120", b"600"), FRESH, id="wrong"),
        pytest.param(b"# mine\n[apache]\nmaxretry = 3\n", b"# mine\n[apache]\nmaxretry = 3\n\n" + FRESH, id="foreign"),
        pytest.param(FRESH + b"[sshd]\nBanTime: 5\n", FRESH + b"[sshd]\n", id="said again, otherwise"),
        pytest.param(
            FRESH.replace(b"bantime = 120", b"bantime =\n  5\n # why\n  m\nmaxretry = 3"),
            b"[sshd]\nenabled = true\n # why\nmaxretry = 3\nbantime = 120\n\n[recidive]\nbantime = 1h\n",
            id="over several lines",
        ),
        pytest.param(FRESH.rstrip(b"\n"), FRESH, id="no last newline"),
        pytest.param(b"enabled = true\n", FRESH, id="no section"),
        pytest.param(b"[sshd]\nnonsense\n", FRESH, id="not readable"),
        pytest.param(b"[sshd]\n# caf\xe9\n", b"[sshd]\n# caf\xe9\n" + FRESH[7:], id="another encoding"),
    ],
)
def test_what_is_wanted_is_said_once_and_the_rest_stays(before: bytes, after: bytes) -> None:
    assert with_settings(before, WANTED) == after


WORDS = st.sampled_from([
    "[sshd]", "[recidive]", "[DEFAULT]", "  [sshd]", "bantime = 5", "enabled=true", " bantime: 120", "bantime = 120",
    "  more", "\tmore = 1", "# note", "; note", "", "   ", "other = %(x)s", "x", "maxretry = 3\r", "[", "[[sshd]]", "=",
])  # fmt: skip


def parsed(content: bytes) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(content.decode("latin-1").replace("\r", " "))
    return parser


@given(st.lists(st.one_of(WORDS, st.text(st.characters(max_codepoint=255, exclude_characters="\n"), max_size=9))))
def test_whatever_a_file_holds_fail2ban_reads_what_is_wanted_and_the_rest_as_before(lines: list[str]) -> None:
    before = "\n".join(lines).encode("latin-1")
    after = with_settings(before, WANTED)
    said = parsed(after)
    for section, options in WANTED.items():
        assert {name: said.get(section, name, raw=True) for name in options} == options
    assert with_settings(after, WANTED) == after
    old = parsed(before if is_readable(before) else b"")
    for section in old.sections():
        for name, value in old.items(section, raw=True):
            if name not in WANTED.get(section, {}):
                assert said.get(section, name, raw=True).split() == (value or "").split()
