"""The settings that ssh and sshd resolve are read as lists, because some keywords come more than once."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.ssh_g import one, settings

SAMPLE = (Path(__file__).parents[1] / "fixtures" / "samples" / "ssh-G.txt").read_text()


def test_real_settings_are_read() -> None:
    seen = settings(SAMPLE)
    assert one(seen, "hostname") == "172.19.181.1"
    assert one(seen, "user") == "pi"
    assert seen["identityfile"] == ("~/.ssh/a", "~/.ssh/b")
    assert one(seen, "canonicalizepermittedcnames") == "none"


def test_settings_of_sshd_have_the_same_shape() -> None:
    seen = settings("port 22\naddressfamily any\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:22\nacceptenv\n")
    assert seen["listenaddress"] == ("[::]:22", "0.0.0.0:22")
    assert seen["acceptenv"] == ("",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/home/pi/.ssh/config: line 2: Bad configuration option: bogus",
        "Privilege separation user sshd does not exist",
        "host pi1\nuser pi\n",
    ],
)
def test_message_is_no_list_of_settings(text: str) -> None:
    with pytest.raises(ObservationError):
        settings(text)


@pytest.mark.parametrize("keyword", ["identityfile", "nosuch"])
def test_one_value_is_asked_of_one_value(keyword: str) -> None:
    with pytest.raises(ObservationError, match=keyword):
        one(settings(SAMPLE), keyword)


@given(st.text())
def test_any_text_gives_a_value_or_an_observation_error(text: str) -> None:
    with suppress(ObservationError):
        settings(text)
    with suppress(ObservationError):
        settings(f"port 22\n{text}")
