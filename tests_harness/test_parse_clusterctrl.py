"""The status of the HAT is read as it is printed, and silence is never taken for "off"."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.clusterctrl import is_powered, status, throttled_sentences

# 8086.support, cat 13 id 107: a ClusterHAT and two ClusterCTRL boards (facts 10).
VENDOR = """clusterhat:1
clusterctrl:2
maxpi:10
ctrl_bus:20:4:3 21:3:3
hat_version:1.2
hat_size:4
hat_vendor:8086 Consultancy
hat_product_id:0x0004
throttled:0x0
hat_alert:0
p1:1
p2:0
p3:True
p4:False
ctrl20:FW:1.1 ADC1:5014mV T1:18.60C
p5:0
u5:1
"""


def test_first_colon_separates() -> None:
    seen = status(VENDOR)
    assert seen["ctrl_bus"] == "20:4:3 21:3:3"
    assert seen["hat_vendor"] == "8086 Consultancy"
    assert seen["throttled"] == "0x0"


@pytest.mark.parametrize(("port", "want"), [("p1", True), ("p2", False), ("p3", True), ("p4", False)])
def test_power_is_printed_as_number_or_word(port: str, want: bool) -> None:  # noqa: FBT001  a table's column
    assert is_powered(status(VENDOR), port) is want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("", "not a controller", id="silent program"),
        pytest.param(" \n\n", "not a controller", id="blank"),
        pytest.param("ERROR: No ClusterHAT/CTRL devices found\n", "No ClusterHAT", id="no HAT"),
        pytest.param("Error: Missing arguments", "Missing arguments", id="unknown argument"),
        pytest.param("p1:1\nTraceback (most recent call last):\n", "Traceback", id="crash of the program"),
        pytest.param("p1:1\np1:0\n", "two values", id="contradiction"),
    ],
)
def test_other_output_is_an_error_that_shows_it(text: str, want: str) -> None:
    with pytest.raises(ObservationError, match=want):
        status(text)


@pytest.mark.parametrize("seen", [{}, {"p11": "1"}, {"p1": ""}, {"p1": "2"}], ids=str)
def test_power_that_is_not_told_is_unknown(seen: dict[str, str]) -> None:
    with pytest.raises(ObservationError):
        is_powered(seen, "p1")


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("0x0", ()),
        ("NA", ()),
        (
            "throttled=0x50005\n",
            ("under-voltage now", "throttled now", "under-voltage since boot", "throttled since boot"),
        ),
        ("0x80008", ("soft temperature limit now", "soft temperature limit since boot")),
        ("0x20000", ("frequency capped since boot",)),
        ("0x10", ()),
    ],
)
def test_throttled_bits_are_told_as_sentences(value: str, want: tuple[str, ...]) -> None:
    assert throttled_sentences(value) == want


@pytest.mark.parametrize("value", ["", "5", "0x", "0xg", "error=1", "VCHI initialization failed"])
def test_throttled_of_another_shape_is_an_error(value: str) -> None:
    with pytest.raises(ObservationError):
        throttled_sentences(value)


@given(st.text())
def test_any_text_gives_a_value_or_an_observation_error(text: str) -> None:
    with suppress(ObservationError):
        is_powered(status(text), "p1")
    with suppress(ObservationError):
        throttled_sentences(text)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True),
        st.from_regex(r"[!-~]*", fullmatch=True),
        min_size=1,
    )
)
def test_what_is_printed_is_read_back(printed: dict[str, str]) -> None:
    assert status("".join(f"{key}:{value}\n" for key, value in printed.items())) == printed
