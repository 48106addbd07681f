"""A name's entries are found as ssh finds them, and replaced without touching a byte of another's."""

from __future__ import annotations

import base64
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.parse.known_hosts import ensure, known, without

if TYPE_CHECKING:
    from pathlib import Path


def blob(word: str, kind: str = "ssh-ed25519") -> str:
    return base64.b64encode(b"\0\0\0" + bytes([len(kind)]) + kind.encode() + b"\0\0\0\x20" + word.encode() * 8).decode()


RIGHT, OLD = blob("newk"), blob("oldk")


def line(names: str, key: str) -> bytes:
    return f"{names} ssh-ed25519 {key}\n".encode()


@pytest.mark.parametrize(
    ("text", "blobs"),
    [
        pytest.param(line("pi1", RIGHT), [RIGHT], id="plain"),
        pytest.param(line("pi2,pi1,172.19.181.1", RIGHT), [RIGHT], id="one of several names"),
        pytest.param(line("PI1", RIGHT), [RIGHT], id="case"),
        pytest.param(line("pi1", OLD) + line("pi1", RIGHT), [OLD, RIGHT], id="two keys"),
        pytest.param(line("pi*", RIGHT), [RIGHT], id="pattern"),
        pytest.param(line("pi*,!pi1", RIGHT), [], id="pattern that leaves it out"),
        pytest.param(line("pi10", RIGHT) + line("[pi1]:2222", RIGHT), [], id="other names"),
        pytest.param(b"# " + line("pi1", RIGHT) + b"@revoked " + line("pi1", RIGHT), [], id="comment and marker"),
        pytest.param(b"pi1 ssh-ed25519\npi1\n\n|1|x|y ssh-ed25519 AAAA\n", [], id="broken lines"),
    ],
)
def test_entries_of_a_name_are_found(text: bytes, blobs: list[str]) -> None:
    assert [found.blob for found in known(text, "pi1")] == blobs


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"", line("pi1", RIGHT), id="empty"),
        pytest.param(line("pi1", RIGHT), line("pi1", RIGHT), id="known"),
        pytest.param(line("pi1", OLD), line("pi1", RIGHT), id="another key"),
        pytest.param(line("pi1", RIGHT) + line("pi1", OLD), line("pi1", RIGHT), id="another key beside it"),
        pytest.param(
            line("pi1,10.0.0.1", OLD), line("10.0.0.1", OLD) + line("pi1", RIGHT), id="other names keep the other key"
        ),
        pytest.param(line("pi1,!pi1", OLD), line("pi1", RIGHT), id="a line that would name nobody goes"),
        pytest.param(line("*", OLD), line("*", OLD) + line("pi1", RIGHT), id="a pattern stays"),
        pytest.param(line("*", RIGHT), line("*", RIGHT), id="known by a pattern"),
        pytest.param(
            b"\xff\r\n" + line("x", OLD).rstrip(),
            b"\xff\r\n" + line("x", OLD) + line("pi1", RIGHT),
            id="no last newline",
        ),
        pytest.param(
            b"@revoked " + line("pi1", OLD), b"@revoked " + line("pi1", OLD) + line("pi1", RIGHT), id="marker"
        ),
    ],
)
def test_a_name_gets_its_right_key_and_nothing_else_changes(before: bytes, after: bytes) -> None:
    assert ensure(before, "pi1", {RIGHT}, f"ssh-ed25519 {RIGHT} comment") == after
    assert ensure(after, "pi1", {RIGHT}, f"ssh-ed25519 {RIGHT}") == after


def test_taking_away_never_adds() -> None:
    assert without(line("pi1", OLD) + line("pi2", OLD), "pi1", {RIGHT}) == line("pi2", OLD)
    assert without(b"", "pi1", {RIGHT}) == b""


@pytest.mark.parametrize(
    ("name", "key"),
    [("pi1 x", f"ssh-ed25519 {RIGHT}"), ("*", f"ssh-ed25519 {RIGHT}"), ("pi1", "nonsense"), ("pi1", "a b\nc d")],
)
def test_what_would_not_be_one_entry_is_refused(name: str, key: str) -> None:
    with pytest.raises(UsageError):
        ensure(b"", name, {RIGHT}, key)


LINES = st.lists(
    st.one_of(
        st.binary(max_size=30).filter(lambda raw: b"\n" not in raw),
        st.builds(line, st.sampled_from(["pi1", "pi2,pi1", "pi*", "!pi1,pi2"]), st.sampled_from([OLD, RIGHT])).map(
            bytes.strip
        ),
    )
)


@given(LINES)
def test_after_one_edit_nothing_is_left_to_do_and_no_foreign_line_is_lost(lines: list[bytes]) -> None:
    before = b"\n".join(lines)
    after = ensure(before, "pi1", {RIGHT}, f"ssh-ed25519 {RIGHT}")
    assert ensure(after, "pi1", {RIGHT}, f"ssh-ed25519 {RIGHT}") == after
    assert any(found.blob == RIGHT for found in known(after, "pi1"))
    assert not any(found.is_plain and found.blob != RIGHT for found in known(after, "pi1"))
    foreign = [one for one in before.split(b"\n") if not known(one, "pi1")]
    assert [one for one in after.split(b"\n") if one in foreign and one] == [one for one in foreign if one]


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="asks ssh-keygen itself")
def test_hashed_names_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    keys = {}
    for name in ("pi1", "172.19.181.1"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
        keys[name] = (tmp_path / f"{name}.pub").read_text().split()[1]
    file.write_bytes(b"".join(line(name, key) for name, key in keys.items()))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    content = file.read_bytes()
    assert b"pi1" not in content
    assert [found.blob for found in known(content, "pi1")] == [keys["pi1"]]
    assert without(content, "pi1", ()) == content.splitlines(keepends=True)[1]
