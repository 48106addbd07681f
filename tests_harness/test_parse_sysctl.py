"""A kernel parameter has a value now and one that the next boot sets, read as systemd-sysctl reads it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.sysctl import Setting, number, persistent

KEY = "net.ipv4.ip_forward"
ETC, LIB = "/etc/sysctl.d", "/usr/lib/sysctl.d"


@pytest.mark.parametrize(("text", "want"), [("1\n", 1), ("0", 0), ("-1\n", -1)])
def test_value_now_is_a_number(text: str, want: int) -> None:
    assert number(text) == want


@pytest.mark.parametrize("text", ["", "1 0", "sysctl: cannot stat /proc/sys/net/x: No such file or directory", "x"])
def test_value_now_of_another_shape_is_unknown(text: str) -> None:
    with pytest.raises(ObservationError, match="integer"):
        number(text)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("net.ipv4.ip_forward=1\n", "1"),
        ("  net.ipv4.ip_forward =  1  \r\n", "1"),
        ("net/ipv4/ip_forward=1", "1"),
        ("-net.ipv4.ip_forward = 1", "1"),
        # As ClusterCTRL's image writes it.
        ("net.ipv4.ip_forward=1 # ClusterCTRL\n", "1"),
        ("net.ipv4.ip_forward=0\nnet.ipv4.ip_forward=1\n", "1"),
        ("net.ipv4.ip_forward=0\nnet.ipv4.*=1\n", "0"),
        ("net.ipv4.*=1\n", "1"),
        ("net.*=1\n", None),
        ("net.*=1\n-net.ipv4.ip_forward\n", None),
        ("net.ipv4.*=1\n-net.ipv4.ip_forward\n", None),
        ("#net.ipv4.ip_forward=1\n;net.ipv4.ip_forward=1\n", None),
        ("net.ipv4.ip_forward\n=\n-\n", None),
        ("net.ipv4.ip_forward2=1\n", None),
        ("net.ipv4.ip_forward=\n", ""),
        ("", None),
    ],
)
def test_line_is_read_as_systemd_reads_it(text: str, want: str | None) -> None:
    path = f"{ETC}/50-x.conf"
    assert persistent([(path, text)], KEY) == (None if want is None else Setting(want, path))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(f"{ETC}/10-a.conf", f"{LIB}/20-b.conf", id="by base name, not by directory"),
        pytest.param(f"{LIB}/10-a.conf", f"{ETC}/10-a.conf", id="etc masks its namesake"),
        pytest.param("/run/sysctl.d/10-a.conf", f"{ETC}/10-a.conf", id="etc masks run"),
        pytest.param(f"{ETC}/90-a.conf", "/etc/sysctl.conf", id="sysctl.conf is 99-sysctl.conf"),
        pytest.param("/etc/sysctl.conf", f"{ETC}/zz.conf", id="sysctl.conf is not the last word"),
        pytest.param(f"{ETC}/zz.conf.bak", f"{ETC}/10-a.conf", id="other suffix is not read"),
    ],
)
def test_second_file_wins_in_whatever_order_they_are_given(first: str, second: str) -> None:
    files = [(first, f"{KEY}=0\n"), (second, f"{KEY}=1\n")]
    assert persistent(files, KEY) == persistent(files[::-1], KEY) == Setting("1", second)


def test_masking_file_hides_what_it_does_not_set() -> None:
    assert persistent([(f"{LIB}/10-a.conf", f"{KEY}=1\n"), (f"{ETC}/10-a.conf", "")], KEY) is None


def test_slash_after_a_first_dot_is_a_dot_in_the_name() -> None:
    text = "net.ipv4.conf.eth0/10.forwarding=1\n"
    assert persistent([(f"{ETC}/a.conf", text)], "net/ipv4/conf/eth0.10/forwarding") is not None


@given(st.text(alphabet="net.ipv4/ip_forward=-*[]#; \n01") | st.text(), st.text())
def test_no_text_is_an_error(text: str, key: str) -> None:
    persistent([(f"{ETC}/a.conf", text)], key)
    with suppress(ObservationError):
        number(text)
