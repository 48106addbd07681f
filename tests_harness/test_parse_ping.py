"""The summary of ping gives what was sent and received; without one nothing is known."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.ping import Summary, summary

REAL = """PING 172.19.181.77 (172.19.181.77) 56(84) bytes of data.
From 172.19.181.254 icmp_seq=1 Destination Host Unreachable

--- 172.19.181.77 ping statistics ---
"""


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("2 packets transmitted, 2 received, 0% packet loss, time 201ms", Summary(2, 2)),
        ("3 packets transmitted, 2 received, 33.3333% packet loss, time 2ms", Summary(3, 2)),
        ("2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1ms", Summary(2, 0)),
        ("1 packets transmitted, 1 received, +3 duplicates, 0% packet loss, time 0ms", Summary(1, 1)),
        (
            "4 packets transmitted, 3 received, +1 duplicates, +1 corrupted, +1 errors, 25% packet loss",
            Summary(4, 3),
        ),
        ("3 packets transmitted, 3 packets received, 0% packet loss", Summary(3, 3)),
    ],
    ids=["all", "some", "errors", "duplicates", "all remarks", "busybox"],
)
def test_summary_is_read(line: str, want: Summary) -> None:
    assert summary(f"{REAL}{line}\nrtt min/avg/max/mdev = 0.045/0.047/0.049/0.002 ms\n") == want


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ping: p9: Name or service not known",
        REAL,
        "packets transmitted, received",
        "2 packets transmitted",
    ],
)
def test_without_a_summary_nothing_is_known(text: str) -> None:
    with pytest.raises(ObservationError, match="packet loss"):
        summary(text)


@given(st.text())
def test_any_text_gives_a_value_or_an_observation_error(text: str) -> None:
    with suppress(ObservationError):
        summary(text)
    with suppress(ObservationError):
        summary(text + " packets transmitted, " + text)
