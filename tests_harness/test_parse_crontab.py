"""A crontab is read as cron reads it, and gains a job without losing a byte."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError, UsageError
from harness.parse.crontab import Entry, entries, environments, with_line, without_repetitions

JOB = "@reboot /home/pi/webVolume/repoBashScripts/start_pipe_stats_cluster_hat.sh"
# Runbook L686-710, shortened.
DOCUMENTED = f"""# For example, you can run a backup of all your user accounts
# 0 5 * * 1 tar -zcf /var/backups/home.tgz /home/
#
# m h  dom mon dow   command

{JOB}
"""


@pytest.mark.parametrize(
    ("line", "want"),
    [
        pytest.param(JOB, Entry("@reboot", JOB.removeprefix("@reboot ")), id="at boot"),
        pytest.param("*/5\t0-6 1,15 * mon-fri  a  b", Entry("*/5 0-6 1,15 * mon-fri", "a  b"), id="five fields"),
        pytest.param(" @daily A=1 a # b", Entry("@daily", "A=1 a # b"), id="all after the time is command"),
    ],
)
def test_job_is_read(line: str, want: Entry) -> None:
    assert entries(f"# c\n\n{line}\n") == (want,)


def test_documented_crontab_has_one_job() -> None:
    assert [entry.when for entry in entries(DOCUMENTED)] == ["@reboot"]


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("PATH=/bin:/usr/bin", {"PATH": "/bin:/usr/bin"}),
        (' MAILTO = "" ', {"MAILTO": ""}),
        ("'A' = \"b c\"", {"A": "b c"}),
        ("A=b=c # d", {"A": "b=c # d"}),
        ("#A=b", {}),
    ],
)
def test_variable_is_no_job(line: str, want: dict[str, str]) -> None:
    assert environments(line) == ((None, want),)
    assert entries(line) == ()


def test_a_job_has_the_variables_above_it() -> None:
    text = "* * * * * a\nA=1\n@daily b\nA=2\nB=3\n"
    a, b = entries(text)
    assert environments(text) == ((a, {}), (b, {"A": "1"}), (None, {"A": "2", "B": "3"}))


@pytest.mark.parametrize("text", ["no crontab for pi", "* * * * command", "@reboot", "* * * * *"])
def test_other_line_is_an_observation_error(text: str) -> None:
    with pytest.raises(ObservationError, match="expected a job"):
        entries(text)


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(b"", b"+", id="empty"),
        pytest.param(b"# c\n", b"# c\n+", id="comment"),
        pytest.param(b"@daily a", b"@daily a\n+", id="no last newline"),
        pytest.param(b"\xff\xfe junk\n", b"\xff\xfe junk\n+", id="any bytes"),
        pytest.param(b"#" + JOB.encode() + b"\n", b"#" + JOB.encode() + b"\n+", id="commented out"),
        pytest.param(JOB.encode() + b"\r\n", JOB.encode() + b"\r\n+", id="a CR makes it another command"),
        pytest.param(DOCUMENTED.encode(), DOCUMENTED.encode(), id="already there"),
        pytest.param(b" " + JOB.encode(), b" " + JOB.encode(), id="already there, no newline"),
    ],
)
def test_job_is_appended_once(content: bytes, want: bytes) -> None:
    want = want.replace(b"+", JOB.encode() + b"\n")
    assert with_line(content, JOB) == want
    assert with_line(want, JOB) == want


@pytest.mark.parametrize("line", ["", "# a", "A=b", "junk", "@reboot a\n@reboot b", "@reboot a\n"])
def test_only_one_job_can_be_appended(line: str) -> None:
    with pytest.raises(UsageError):
        with_line(b"", line)


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(b"J\n", b"J\n", id="once"),
        pytest.param(b"J\n# c\nJ\n", b"J\n# c\n", id="twice"),
        pytest.param(b" J\nJ\t\nJ\n@daily a\n", b" J\n@daily a\n", id="with other white space"),
        pytest.param(b"J\nJ >/dev/null\n#J\nJ\r\n", b"J\nJ >/dev/null\n#J\nJ\r\n", id="what is not the same stays"),
        pytest.param(b"", b"", id="empty"),
        pytest.param(b"\xff\r\nJ\nJ", b"\xff\r\nJ", id="any bytes"),
    ],
)
def test_a_repeated_job_is_dropped(content: bytes, want: bytes) -> None:
    octets = JOB.encode()
    assert without_repetitions(content.replace(b"J", octets), JOB) == want.replace(b"J", octets)


@given(st.binary())
def test_what_is_not_the_job_is_never_dropped(content: bytes) -> None:
    assert without_repetitions(content, JOB) == content
    doubled = content + b"\n" + JOB.encode() + b"\n" + JOB.encode() + b"\n"
    assert without_repetitions(doubled, JOB) == content + b"\n" + JOB.encode() + b"\n"


@given(st.binary())
def test_append_keeps_every_byte_before(content: bytes) -> None:
    assert with_line(content, JOB).startswith(content)


@given(st.text() | st.text(alphabet="@rebot*/=\"'# \t\n15a"))
def test_any_text_gives_a_value_or_an_observation_error(text: str) -> None:
    with suppress(ObservationError):
        entries(text)
    with suppress(ObservationError):
        environments(text)
