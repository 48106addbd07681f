"""A host obtains the wanted values from ~/.ssh/config, and ssh itself agrees; no other byte changes."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.parse import ssh_g
from harness.parse.ssh_config import ensure, without_errors

if TYPE_CHECKING:
    from pathlib import Path

WANTED = {"pi1": {"Hostname": "pi1", "User": "pi"}}
OWN = "Host pi1\n    Hostname pi1\n    User pi\n"
# Runbook L146-159.
DOCUMENTED = "".join(f"Host pi{n}\n    Hostname pi{n}\n    User pi\n" for n in range(1, 5))

CASES = [
    pytest.param("", OWN, id="empty"),
    pytest.param(DOCUMENTED, DOCUMENTED, id="documented"),
    pytest.param("# c", f"# c\n{OWN}", id="no last newline"),
    pytest.param("Host x\r\n User y\r\n", "Host x\r\n User y\r\n" + OWN.replace("\n", "\r\n"), id="CRLF"),
    pytest.param(
        "Host pi1\n\tHostName = 'x'  # c\n\tuser=\"y\"\n", "Host pi1\n\tHostName = pi1  # c\n\tuser=pi\n", id="own"
    ),
    pytest.param(
        "Host pi1\n  Port 22\nHost z", "Host pi1\n  Port 22\n  Hostname pi1\n  User pi\nHost z", id="own lacks both"
    ),
    pytest.param("Host pi1", OWN, id="own is empty"),
    pytest.param("Host *\n User x\n", f"{OWN}Host *\n User x\n", id="star block wins"),
    pytest.param("A no\n\n# all\nHost *\n User x\n", f"A no\n\n{OWN}# all\nHost *\n User x\n", id="comment of a block"),
    pytest.param(f"{OWN}Host *\n User x\n", f"{OWN}Host *\n User x\n", id="star block comes too late"),
    pytest.param(f"Host *\n User x\n{OWN}", f"Host pi1\n    User pi\nHost *\n User x\n{OWN}", id="own comes too late"),
    pytest.param("Host * !pi1\n User x\n", f"Host * !pi1\n User x\n{OWN}", id="excluded from a block"),
    pytest.param("Host pi1 pi2\n User x\n", f"{OWN}Host pi1 pi2\n User x\n", id="block of several"),
    pytest.param(
        "Host pi? # c\n User pi\n Hostname pi1\n", "Host pi? # c\n User pi\n Hostname pi1\n", id="right by pattern"
    ),
    pytest.param("User x\nHost y\n", f"{OWN}Host *\nUser x\nHost y\n", id="head wins"),
    pytest.param("User pi\nPort 22\n", "User pi\nPort 22\nHost pi1\n    Hostname pi1\n", id="head is right"),
    pytest.param("Match user x\n User y\n", f"{OWN}Match user x\n User y\n", id="match first"),
    pytest.param(f"{OWN}Match all\n User y\n", f"{OWN}Match all\n User y\n", id="match later"),
    pytest.param(
        "Host pi1\n  Include x\n", "Host pi1\n    Hostname pi1\n    User pi\n  Include x\n", id="include in own"
    ),
    pytest.param("Host z\n Include x\n", f"Host z\n Include x\n{OWN}", id="include for another"),
    pytest.param("Include x\n", f"{OWN}Host *\nInclude x\n", id="include first"),
    pytest.param("Host pi[1]\n User x\n", f"Host pi[1]\n User x\n{OWN}", id="bracket is no class"),
    pytest.param("# \xe9\xff\nHost PI1\n User x\n", f"# \xe9\xff\nHost PI1\n User x\n{OWN}", id="other case, any byte"),
]


def resolved(file: Path) -> tuple[str, str]:
    run = subprocess.run(["ssh", "-G", "-F", file, "pi1"], check=True, capture_output=True, text=True)
    seen = ssh_g.settings(run.stdout)
    return ssh_g.one(seen, "hostname"), ssh_g.one(seen, "user")


@pytest.mark.parametrize(("before", "want"), CASES)
def test_only_what_decides_is_edited(before: str, want: str) -> None:
    assert ensure(before.encode("latin-1"), WANTED).decode("latin-1") == want


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs the ssh client to compare with")
@pytest.mark.parametrize("before", [case.values[0] for case in CASES if case.id != "comment of a block"])
def test_ssh_itself_obtains_the_wanted_values(before: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_bytes(ensure(before.encode("latin-1"), WANTED))
    assert resolved(file) == ("pi1", "pi")


def test_several_hosts_are_mended_at_once() -> None:
    broken = DOCUMENTED.replace("Hostname pi3", "Hostname pi2").replace("Host pi4\n    Hostname pi4\n    User pi\n", "")
    wanted = {f"pi{n}": {"Hostname": f"pi{n}", "User": "pi"} for n in range(1, 5)}
    assert ensure(broken.encode(), wanted).decode() == DOCUMENTED


@pytest.mark.parametrize("word", ["", "a b", "a\nb", "*", "a#b", '"a"', "é"])
def test_word_that_needs_quotes_is_refused(word: str) -> None:
    for wanted in ({word: {"User": "pi"}}, {"pi1": {"User": word}}, {"pi1": {word: "pi"}}):
        with pytest.raises(UsageError):
            ensure(b"", wanted)


LEGAL = ["Host pi1", "Host *", "Host pi1 pi2", "Host !pi1 *", "Match all", "Match user x", "", "# c", "  User pi"]
LEGAL += ["\tUser x # c", "HostName=pi1", "Hostname y", "Include z", "Port 22"]
LINES = st.sampled_from([*LEGAL, "junk", 'User "', "User", "Host", "Host '#' pi1"])
CONTENTS = st.binary() | st.builds(
    lambda lines, ending, last: (ending.join(lines) + last).encode(),
    st.lists(LINES, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n"]),
)


@given(CONTENTS)
def test_edit_of_any_content_is_done_once(content: bytes) -> None:
    after = ensure(content, WANTED)
    assert ensure(after, WANTED) == after


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs the ssh client to compare with")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(LEGAL), max_size=10))
def test_ssh_obtains_the_values_from_any_legal_file(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    file = tmp_path_factory.mktemp("ssh") / "config"
    file.write_bytes(ensure("\n".join(lines).encode(), WANTED))
    assert resolved(file) == ("pi1", "pi")


@given(CONTENTS)
def test_lines_that_set_neither_value_stay_in_order_byte_for_byte(content: bytes) -> None:
    after = iter(ensure(content, WANTED).split(b"\n"))
    for line in content.split(b"\n")[:-1]:
        if b"user" not in line.lower() and b"host" not in line.lower():
            assert line in after


def test_the_lines_that_ssh_names_become_comments() -> None:
    """Both shapes of ssh's complaint; another file's lines are not this one's."""
    said = "/x/config: line 1: Bad configuration option: a\n/x/config line 3: no argument\n/y line 2: bad\n"
    assert without_errors(b"a b\r\nUser pi\nUser", said, "/x/config") == b"# a b\r\nUser pi\n# User"
    assert without_errors(b"", said, "/x/config") == b""
