"""What `systemd-analyze verify` says is told apart: what systemd refuses, and of whom, from what it only warns of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.verified import refusals

# systemd 252.
TWICE = "Service has more than one ExecStart= setting, which is only allowed for Type=oneshot services. Refusing."
NO_NAME = "Neither a valid executable name nor an absolute path: foo/bar"
FATAL = "x.service: Unit configuration has fatal error, unit will not be started."
BAD = "Unit x.service has a bad unit file setting."
ABSENT = "Command /bin/nowhere is not executable: No such file or directory"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        pytest.param((f"x.service: {TWICE}", BAD), TWICE, id="two commands"),
        pytest.param((f"\x1b[0;1;31mx.service: {TWICE}\x1b[0m",), TWICE, id="two commands, by systemd 247"),
        pytest.param((f"/etc/x.service:4: {NO_NAME}", FATAL, BAD), f"/etc/x.service:4: {NO_NAME}", id="a line of it"),
        pytest.param((f"x.service: {ABSENT}",), ABSENT, id="no such program"),
        pytest.param((f"x.service: {ABSENT}", "/etc/x.service:ExecStart = @/bin/nowhere x"), ABSENT, id="its program"),
        pytest.param((f"x.service: {ABSENT}", "/etc/x.service:ExecStop=/bin/nowhere x"), None, id="one for its end"),
        pytest.param(
            (f"x.service: {ABSENT}", "/etc/x:ExecReload=/bin/nowhere", "/etc/x:ExecStartPre=-/bin/nowhere"), None,
            id="one for its end, tried before",
        ),
        pytest.param((BAD,), "has a bad unit file setting.", id="without a reason"),
        pytest.param(("Unit x.service not found.",), "not found.", id="not found"),
        pytest.param(
            ("x.service: Failed to create x.service/start: Unit y.service not found.",),
            "Failed to create x.service/start: Unit y.service not found.", id="what it needs is not there",
        ),
        pytest.param((f"y.service: {TWICE}", "Unit y.service has a bad unit file setting."), None, id="another unit"),
        pytest.param(("/etc/x.service:3: Unknown section 'X'. Ignoring.",), None, id="a section nobody knows"),
        pytest.param(("x.service: Found ordering cycle on y.service/start",), None, id="a warning"),
    ],
)  # fmt: skip
def test_only_what_keeps_the_unit_from_its_start_counts(lines: tuple[str, ...], found: str | None) -> None:
    assert refusals("1", list(lines)).get("x.service") == found


def test_warnings_alone_are_no_verdict() -> None:
    assert refusals("0", [f"x.service: {TWICE}"]) == {}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("127", "sh: 1: systemd-analyze: not found"), ("1", "Failed to initialize manager: Permission denied"),
        ("1", ""), ("137", f"x.service: {TWICE}"), ("", ""),
    ],
)  # fmt: skip
def test_where_nothing_was_verified_nothing_is_known(code: str, said: str) -> None:
    with pytest.raises(ObservationError):
        refusals(code, [said])


@given(st.text(max_size=3), st.lists(st.text()))
def test_no_words_bring_anything_else(code: str, lines: list[str]) -> None:
    try:
        refusals(code, lines)
    except ObservationError:
        return
