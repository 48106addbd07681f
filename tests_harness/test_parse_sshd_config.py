"""sshd's configuration is changed in the one place that has the first word, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.parse.sshd_config import ensure, has_drop_ins

FOLDER = "/etc/ssh/sshd_config.d"
INCLUDE = b"Include /etc/ssh/sshd_config.d/*.conf\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"", b"X yes\n", id="empty"),
        pytest.param(b"X yes\n", b"X yes\n", id="right"),
        pytest.param(b"x=no # why\nX no\n", b"x=yes\nX no\n", id="the first one counts"),
        pytest.param(b"#X no\nUsePAM yes", b"#X no\nUsePAM yes\nX yes\n", id="at the end"),
        pytest.param(b"Match User a\n X no\n", b"X yes\nMatch User a\n X no\n", id="before a Match"),
        pytest.param(b"A \xff\r\n  X\tno\r\n", b"A \xff\r\n  X\tyes\r\n", id="spacing and other bytes stay"),
    ],
)
def test_a_value_is_set_where_it_holds_for_every_login(before: bytes, after: bytes) -> None:
    assert ensure(before, {"X": "yes"}) == after


@pytest.mark.parametrize(
    ("content", "is_first"),
    [
        pytest.param(INCLUDE + b"X no\n", True, id="Debian"),
        pytest.param(b"X no\n" + INCLUDE, False, id="main file first"),
        pytest.param(b"UsePAM yes\n" + INCLUDE, True, id="others before"),
        pytest.param(b"#" + INCLUDE, False, id="comment"),
        pytest.param(b"Match all\n" + INCLUDE, False, id="in a Match"),
        pytest.param(b"Include /etc/other/*.conf\n", False, id="another folder"),
        pytest.param(b"", False, id="none"),
    ],
)
def test_drop_ins_have_the_word_where_they_are_read_first(content: bytes, is_first: bool) -> None:  # noqa: FBT001
    assert has_drop_ins(content, FOLDER, ("x",)) is is_first


@pytest.mark.parametrize("value", ["", "a\nb", " a", "a  b"])
def test_what_would_not_stay_one_directive_is_refused(value: str) -> None:
    with pytest.raises(UsageError):
        ensure(b"", {"X": value})


@given(st.lists(st.sampled_from([b"X no", b"x yes", b"Match all", b"#X", b"Y\xff 1", b"", b"X=no"]), max_size=8))
def test_one_edit_is_enough(lines: list[bytes]) -> None:
    after = ensure(b"\n".join(lines), {"X": "yes"})
    assert ensure(after, {"X": "yes"}) == after
    assert len(after.split(b"\n")) <= len(lines) + 2
