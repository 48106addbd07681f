"""Keys are known by their blob; a key is appended once and no byte before it changes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.parse.authorized_keys import Key, duplicates, keys, repeated, with_key, without_repeated


def blob(kind: str, octets: bytes = b"\x00\x00\x00\x01x") -> str:
    return base64.b64encode(len(kind).to_bytes(4, "big") + kind.encode() + octets).decode()


ED, RSA = blob("ssh-ed25519"), blob("ssh-rsa")
LINE = f"ssh-ed25519 {ED} pi@p1"


@pytest.mark.parametrize(
    ("line", "want"),
    [
        pytest.param(LINE, Key((), "ssh-ed25519", ED, "pi@p1"), id="plain"),
        pytest.param(f"ssh-rsa\t{RSA}", Key((), "ssh-rsa", RSA, ""), id="no comment"),
        pytest.param(f" ssh-rsa {RSA} a  b \r", Key((), "ssh-rsa", RSA, "a  b"), id="blanks around"),
        pytest.param(f"no-pty ssh-rsa {RSA}", Key(("no-pty",), "ssh-rsa", RSA, ""), id="option"),
        pytest.param(
            f'from="a,b c",command="echo \\"x y\\"",no-pty ssh-rsa {RSA} c',
            Key(('from="a,b c"', 'command="echo \\"x y\\""', "no-pty"), "ssh-rsa", RSA, "c"),
            id="quoted options",
        ),
    ],
)
def test_key_is_read(line: str, want: Key) -> None:
    assert keys(f"# c\n\n{line}\n".encode()) == (want,)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(f"#{LINE}", id="comment"),
        pytest.param(f"# x {LINE}", id="comment before a key"),
        pytest.param("ssh-ed25519", id="no blob"),
        pytest.param("ssh-ed25519 AAAA", id="blob of no kind"),
        pytest.param(f"ssh-rsa {ED}", id="blob of another kind"),
        pytest.param(f"ssh-ed25519 {ED[:-3]}", id="cut base64"),
        pytest.param(f'from="a {LINE}', id="open quote"),
        pytest.param("-----BEGIN OPENSSH PRIVATE KEY-----", id="private key"),
    ],
)
def test_line_that_sshd_skips_is_no_key(line: str) -> None:
    assert keys(line.encode()) == ()
    with pytest.raises(UsageError):
        with_key(b"", line)


def test_duplicates_are_the_later_lines_of_a_blob() -> None:
    content = f"{LINE}\nssh-rsa {RSA}\nno-pty ssh-ed25519 {ED} other\n".encode()
    assert duplicates(keys(content)) == (Key(("no-pty",), "ssh-ed25519", ED, "other"),)


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(b"", b"+", id="empty"),
        pytest.param(b"x", b"x\n+", id="no last newline"),
        pytest.param(b"\xff\n", b"\xff\n+", id="any bytes"),
        pytest.param(f"no-pty {LINE}".encode(), f"no-pty {LINE}".encode(), id="there with options"),
    ],
)
def test_key_is_appended_once(content: bytes, want: bytes) -> None:
    want = want.replace(b"+", LINE.encode() + b"\n")
    assert with_key(content, LINE) == want
    assert with_key(want, LINE) == want


def test_two_lines_are_not_one_key() -> None:
    with pytest.raises(UsageError):
        with_key(b"", f"{LINE}\n{LINE}")


@given(st.binary() | st.text(alphabet='ssh-ra AB,="\\\n').map(str.encode))
def test_any_content_is_read_and_kept(content: bytes) -> None:
    after = with_key(content, LINE)
    assert after.startswith(content)
    assert ED in {key.blob for key in keys(after)}


def test_comment_in_another_encoding_keeps_its_bytes() -> None:
    octets = f"ssh-ed25519 {ED} ".encode() + b"h\xe9l\xe8ne\n"
    assert with_key(b"", octets.decode("utf-8", "surrogateescape")) == octets


def test_lines_that_repeat_a_key_go_and_those_with_other_options_stay() -> None:
    content = f"# mine\r\n{LINE}\nno-pty {LINE}\n{LINE} again\nbroken\xff\n{LINE}".encode("latin-1")
    assert repeated(content) == 2
    assert without_repeated(content) == f"# mine\r\n{LINE}\nno-pty {LINE}\nbroken\xff\n".encode("latin-1")
    assert repeated(without_repeated(content)) == 0
