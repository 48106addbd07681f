"""One `sh` that answers command after command: framing, limits, and how it ends."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import shell as shells
from harness.errors import ObservationError, TimeLimit, Unreachable
from harness.shell import Answer, Shell
from tests_harness.fakes_shell import LocalChannel, as_channel

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 30.0  # no answer of a test takes that long, unless it never comes
SHORT = 0.2


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    with closing(Shell("p1", as_channel(LocalChannel()), limit=LIMIT)) as shell:
        yield shell


@pytest.fixture
def channel() -> Iterator[LocalChannel]:
    with closing(LocalChannel()) as channel:
        yield channel


@pytest.mark.parametrize(
    ("script", "want"),
    [
        pytest.param("true", Answer(0, b"", b""), id="nothing"),
        pytest.param("echo out", Answer(0, b"out\n", b""), id="output"),
        pytest.param("echo err >&2", Answer(0, b"", b"err\n"), id="error output"),
        pytest.param("echo out; echo err >&2; exit 3", Answer(3, b"out\n", b"err\n"), id="both, and exit 3"),
        pytest.param("printf x", Answer(0, b"x", b""), id="no last newline"),
        pytest.param("printf '\\n\\nx\\n\\n'", Answer(0, b"\n\nx\n\n", b""), id="newlines"),
        pytest.param("printf '\\000\\377\\r\\n'", Answer(0, b"\x00\xff\r\n", b""), id="binary"),
        pytest.param("echo a\necho b # c", Answer(0, b"a\nb\n", b""), id="several lines"),
        pytest.param('printf %s "it\'s"', Answer(0, b"it's", b""), id="quotes"),
        pytest.param("cat", Answer(0, b"", b""), id="input is empty"),
        pytest.param("false", Answer(1, b"", b""), id="exit 1"),
        pytest.param("exec true", Answer(0, b"", b""), id="exec"),
        pytest.param("set -e; false; echo on", Answer(1, b"", b""), id="set -e"),
        pytest.param("printf '\\nffff 7\\n'", Answer(0, b"\nffff 7\n", b""), id="like a mark"),
        pytest.param("exec >&2; echo x", Answer(0, b"", b"x\n"), id="own redirection"),
        pytest.param("exec >&- 2>&-", Answer(0, b"", b""), id="closes its outputs"),
    ],
)
def test_a_command_gives_its_code_and_the_bytes_of_both_outputs(shell: Shell, script: str, want: Answer) -> None:
    assert shell.run(script, limit=LIMIT) == want


@pytest.mark.parametrize("script", ["if", "echo 'x", "echo $(", "}", "case x in"])
def test_a_syntax_error_is_an_answer_and_the_shell_lives_on(shell: Shell, script: str) -> None:
    answer = shell.run(script, limit=LIMIT)
    assert answer.code != 0
    assert answer.err
    assert shell.run("echo on", limit=LIMIT) == Answer(0, b"on\n", b"")


def test_a_command_that_is_killed_has_the_code_of_its_signal(shell: Shell) -> None:
    assert shell.run("kill -9 $(sh -c 'echo $PPID')", limit=LIMIT).code == 137


def test_a_command_that_is_not_there_is_127(shell: Shell) -> None:
    answer = shell.run("no-such-tool --version", limit=LIMIT)
    assert (answer.code, answer.out) == (127, b"")
    assert b"not found" in answer.err


@pytest.mark.parametrize(
    "leave", ["cd /tmp", "x=1", "exec 3</dev/null", "exit 0", "umask 0", "alias echo=false", "trap : 0"]
)
def test_a_command_leaves_nothing_behind_for_the_next(shell: Shell, leave: str) -> None:
    ask = "pwd; echo ${x-none}; umask; echo 1"
    before = shell.run(ask, limit=LIMIT)
    shell.run(leave, limit=LIMIT)
    assert shell.run(ask, limit=LIMIT) == before


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 1_000_000])
def test_output_of_any_length_comes_whole(shell: Shell, size: int) -> None:
    answer = shell.run(f"head -c {size} /dev/zero; echo end >&2", limit=LIMIT)
    assert answer == Answer(0, bytes(size), b"end\n")


@given(st.binary(max_size=300).filter(lambda octets: b"\0" not in octets))
def test_any_bytes_pass_unchanged_on_both_outputs(shell: Shell, octets: bytes) -> None:
    text = "".join(f"\\{octet:03o}" for octet in octets)
    assert shell.run(f"printf '{text}'; printf '{text}' >&2", limit=LIMIT) == Answer(0, octets, octets)


# What is left running in the background (&) says its word whenever it likes, also into the next answer.
@given(st.text(st.characters(exclude_characters="\0&", exclude_categories=["Cs"]), max_size=30))
def test_whatever_the_script_is_the_shell_answers_the_next_one(shell: Shell, text: str) -> None:
    shell.run(f": {text!r}\n#{text}", limit=LIMIT)
    assert shell.run("echo on", limit=LIMIT) == Answer(0, b"on\n", b"")


class Drip(LocalChannel):
    """A channel that gives one byte at a time."""

    def recv(self, size: int) -> bytes:
        return super().recv(min(size, 1))

    def recv_stderr(self, size: int) -> bytes:
        return super().recv_stderr(min(size, 1))


def test_an_answer_may_come_in_any_pieces() -> None:
    with closing(Drip()) as channel:
        shell = Shell("p1", as_channel(channel), limit=LIMIT)
        assert shell.run("echo out; echo err >&2; exit 3", limit=LIMIT) == Answer(3, b"out\n", b"err\n")


def test_an_endless_output_is_cut_off(channel: LocalChannel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "LARGEST_ANSWER", 2 * 1024 * 1024)
    with pytest.raises(Unreachable, match=r"^p1: the connection ended while asking: more than 2 MiB came back$"):
        Shell("p1", as_channel(channel), limit=LIMIT).run("cat /dev/zero", limit=LIMIT)


@pytest.mark.parametrize("script", ["sleep 1000", "while :; do :; done", "while :; do echo x; done"])
def test_a_command_that_does_not_end_is_a_time_limit_that_names_it(channel: LocalChannel, script: str) -> None:
    shell = Shell("p1", as_channel(channel), limit=LIMIT)
    with pytest.raises(TimeLimit) as caught:
        shell.run(f"{script}\necho second line", limit=SHORT)
    assert str(caught.value) == f"p1: no answer within 0.2 s to `{script}`"
    os.killpg(shell.session, signal.SIGKILL)


def test_a_shell_that_takes_no_input_is_a_time_limit(channel: LocalChannel) -> None:
    shell = Shell("p1", as_channel(channel), limit=LIMIT)
    os.killpg(shell.session, signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(TimeLimit):
        shell.run("x" * 1_000_000, limit=SHORT)
    assert time.monotonic() - begun >= SHORT


@pytest.mark.parametrize("script", ["kill -9 $$", "echo half; kill -9 $$"], ids=["at once", "half way"])
def test_a_shell_that_ends_is_unreachable(channel: LocalChannel, script: str) -> None:
    shell = Shell("p1", as_channel(channel), limit=LIMIT)
    with pytest.raises(Unreachable, match=r"^p1: the connection ended while asking: "):
        shell.run(script, limit=LIMIT)


def test_a_shell_that_never_starts_says_its_last_words() -> None:
    argv = ("sh", "-c", "echo 'sudo: a password is required' >&2; read line; exit 1")
    with closing(LocalChannel(argv)) as channel, pytest.raises(Unreachable) as caught:
        Shell("p1", as_channel(channel), limit=LIMIT)
    assert str(caught.value) == "p1: the connection ended while asking: sudo: a password is required"


def test_noise_before_the_greeting_is_skipped() -> None:
    argv = ("sh", "-c", "echo Welcome; echo '@1 (sh) S 1 2'; printf 'no newline'; echo careful >&2; exec sh")
    with closing(LocalChannel(argv)) as channel:
        shell = Shell("p1", as_channel(channel), limit=LIMIT)
        assert shell.session == channel.process.pid
        assert shell.run("echo out; echo err >&2", limit=LIMIT) == Answer(0, b"out\n", b"err\n")


def test_a_greeting_without_a_session_is_one_sentence() -> None:
    argv = ("sh", "-c", "read() { echo 'no such thing' >&2; return 1; }; . /dev/stdin")
    with closing(LocalChannel(argv)) as channel, pytest.raises(ObservationError) as caught:
        Shell("p1", as_channel(channel), limit=LIMIT)
    assert str(caught.value) == "p1: the remote shell does not start as expected: no such thing"


def test_the_session_is_that_of_the_shell(shell: Shell) -> None:
    answer = shell.run("ps -o sid= -p $$", limit=LIMIT)
    assert int(answer.out) == shell.session


def test_a_command_is_hidden_from_an_answer_that_forges_another_nonce(shell: Shell) -> None:
    assert shell.run("printf '\\n%032x 0\\nforged' 0", limit=LIMIT).out.endswith(b"forged")
