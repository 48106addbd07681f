"""/etc/hosts is read as the C library reads it, and only wrong lines of it ever change."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.parse.hosts import names, only_at, repair

# Runbook L104-115, as it stands on the documented controller.
DOCUMENTED = b"""127.0.0.1       localhost
::1             localhost ip6-localhost ip6-loopback
ff02::1         ip6-allnodes
ff02::2         ip6-allrouters

127.0.1.1       cnat
172.19.181.1 pi1
172.19.181.2 pi2
172.19.181.3 pi3
172.19.181.4 pi4
"""
NODES = {f"172.19.181.{n}": [f"pi{n}"] for n in range(1, 5)}
PI1 = {"172.19.181.1": ["pi1"]}


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(b"", {}, id="empty"),
        pytest.param(b"# 10.0.0.1 pi1\n", {}, id="comment"),
        pytest.param(b"10.0.0.1\tpi1 # pi2", {"pi1": ("10.0.0.1",)}, id="trailing comment, no newline"),
        pytest.param(b"10.0.0.1 a#b\n", {"a": ("10.0.0.1",)}, id="comment inside a word"),
        pytest.param(b"10.0.0.1 a b\r\n", {"a": ("10.0.0.1",), "b": ("10.0.0.1",)}, id="CRLF"),
        pytest.param(b"10.0.0.1 PI1\n", {"pi1": ("10.0.0.1",)}, id="names have no case"),
        pytest.param(b"10.0.0.2 a\n10.0.0.1 a\n", {"a": ("10.0.0.2", "10.0.0.1")}, id="conflict"),
        pytest.param(b"10.0.0.1 a a\n10.0.0.1 a\n", {"a": ("10.0.0.1",)}, id="repeated"),
        pytest.param(b"FD00::0:1 a\nff02::1 a\n", {"a": ("fd00::1", "ff02::1")}, id="IPv6"),
        pytest.param(b"fe80::1%br0 a\n", {}, id="scope, which glibc does not take"),
        pytest.param(b"::ffff:10.0.0.1 a\n", {"a": ("10.0.0.1",)}, id="IPv4 in IPv6, which it does take"),
        pytest.param(b"10.0.0.1 a\0b c\n", {"a": ("10.0.0.1",)}, id="NUL ends a line"),
        pytest.param(b"10.0.0.300 a\nnonsense b\n10.0.0.01 c\n", {}, id="no address"),
        pytest.param(b"10.0.0.1\n", {}, id="no name"),
        pytest.param(b"10.0.0.1 caf\xe9\n", {"caf\\xe9": ("10.0.0.1",)}, id="latin-1"),
    ],
)
def test_names_are_those_the_resolver_sees(content: bytes, want: dict[str, tuple[str, ...]]) -> None:
    assert names(content) == want


def test_documented_file_is_correct_as_it_stands() -> None:
    assert repair(DOCUMENTED, NODES) == DOCUMENTED
    assert names(DOCUMENTED)["localhost"] == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(b"", b"172.19.181.1 pi1\n", id="empty"),
        pytest.param(b"10.0.0.1 a", b"10.0.0.1 a\n172.19.181.1 pi1\n", id="no last newline"),
        pytest.param(b"10.0.0.1 a\r\n", b"10.0.0.1 a\r\n172.19.181.1 pi1\r\n", id="CRLF"),
        pytest.param(b"172.19.181.1 pi1", b"172.19.181.1 pi1", id="correct without newline"),
        pytest.param(b"172.19.181.1 x PI1 # c", b"172.19.181.1 x PI1 # c", id="correct among others"),
        pytest.param(b"10.0.0.9\t\tpi1  foo  # c\n", b"10.0.0.9\t\tfoo  # c\n+", id="first name of two"),
        pytest.param(b"10.0.0.9\t\tfoo  pi1  # c\r\n", b"10.0.0.9\t\tfoo  # c\r\n+", id="last name of two"),
        pytest.param(b" 10.0.0.9 a PI1 b pi1\n", b" 10.0.0.9 a b\n+", id="twice, in any case"),
        pytest.param(b"a\n10.0.0.9 pi1\nb\n", b"a\nb\n+", id="only name"),
        pytest.param(b"10.0.0.9 pi1 # why\n", b"# why\n+", id="only name with comment"),
        pytest.param(b"10.0.0.9 pi1#why", b"#why\n+", id="only name with comment, no newline"),
        pytest.param(b"127.0.1.1 pi1\n", b"+", id="loopback is not tolerated unasked"),
        pytest.param(b"fd00::1 pi1\n", b"fd00::1 pi1\n+", id="IPv6 is foreign"),
        pytest.param(b"fe80::1%br0 pi1\n", b"fe80::1%br0 pi1\n+", id="scope is foreign"),
        pytest.param(b"::ffff:10.0.0.9 pi1 a\n", b"::ffff:10.0.0.9 a\n+", id="IPv4 in IPv6"),
        pytest.param(b"172.19.181.1 x\0 pi1\n", b"172.19.181.1 x\0 pi1\n+", id="hidden by NUL"),
        pytest.param(b"999.0.0.1 pi1\n", b"999.0.0.1 pi1\n+", id="ignored line is foreign"),
        pytest.param(b"172.19.181.1\n", b"172.19.181.1\n+", id="foreign address without name"),
        pytest.param(b"172.19.181.1 pi1\n10.0.0.9 pi1\n", b"172.19.181.1 pi1\n", id="right and wrong"),
        pytest.param(b"\xff\xfe\x00\r#\xe9\n", b"\xff\xfe\x00\r#\xe9\n+", id="bytes of any kind"),
    ],
)
def test_repair_changes_only_what_is_wrong(content: bytes, want: bytes) -> None:
    eol = b"\r\n" if b"\r\n" in content else b"\n"
    if want.endswith(b"+"):
        want = want[:-1] + b"172.19.181.1 pi1" + eol
    assert repair(content, PI1) == want


def test_missing_names_of_one_address_share_a_line() -> None:
    assert repair(b"", {"10.0.0.1": ["a", "B"], "10.0.0.2": ["c"]}) == b"10.0.0.1 a b\n10.0.0.2 c\n"


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({"10.0.0.256": ["a"]}, id="no address"),
        pytest.param({"::1": ["a"]}, id="IPv6"),
        pytest.param({"10.0.0.1": ["a\nb"]}, id="newline in a name"),
        pytest.param({"10.0.0.1": ["a#b"]}, id="comment in a name"),
        pytest.param({"10.0.0.1": [""]}, id="empty name"),
        pytest.param({"10.0.0.1": ["a"], "10.0.0.2": ["A"]}, id="two addresses for a name"),
    ],
)
def test_wish_that_cannot_be_met_is_refused(wanted: dict[str, list[str]]) -> None:
    with pytest.raises(UsageError):
        repair(b"", wanted)


def test_ten_thousand_lines_take_no_time() -> None:
    content = b"".join(b"10.0.%d.%d pi1 h%d  # c\n" % (n // 250, n % 250, n) for n in range(10_000))
    started = process_time()
    assert repair(content + b"#" + b" " * 100_000, PI1).count(b"pi1") == 1
    assert process_time() - started < 5


WORDS = st.sampled_from([b"pi1", b"PI2", b"pi3", b"foo", b"\xe9", b"172.19.181.1", b"172.19.181.2", b"#c"])
ADDRESSES = st.sampled_from([b"172.19.181.1", b"172.19.181.2", b"10.0.0.1", b"127.0.1.1", b"fd00::1", b"#"])
GAPS = st.sampled_from([b" ", b"\t", b"  \t", b"\r"])
ENDINGS = st.sampled_from([b"\n", b"\r\n", b" # note\n", b"#note\r\n", b" \n"])
LINES = st.builds(
    lambda address, pairs, ending: address + b"".join(gap + word for gap, word in pairs) + ending,
    ADDRESSES,
    st.lists(st.tuples(GAPS, WORDS), max_size=4),
    ENDINGS,
)
CONTENTS = st.binary() | st.builds(
    lambda lines, last: b"".join(lines) + last,
    st.lists(LINES, max_size=8),
    st.sampled_from([b"", b"10.0.0.7 pi1", b"# end", b"172.19.181.2 pi2"]),
)


@given(CONTENTS)
def test_repair_gives_what_was_wanted_and_then_rests(content: bytes) -> None:
    after = repair(content, NODES)
    seen = names(after)
    for address, (name,) in NODES.items():
        assert [found for found in seen[name] if ":" not in found] == [address]
    assert repair(after, NODES) == after


@given(CONTENTS)
def test_a_name_stands_only_where_it_may_and_nothing_is_added(content: bytes) -> None:
    allowed = {"PI1": ["172.19.181.1", "127.0.1.1"], "foo": ["10.0.0.1"]}
    after = only_at(content, allowed)
    before, seen = names(content), names(after)
    for name, places in allowed.items():
        kept = {address for address in before.get(name.lower(), ()) if ":" in address or address in places}
        assert set(seen.get(name.lower(), ())) == kept
    assert {name: seen.get(name, ()) for name in before if name not in {"pi1", "foo"}} == {
        name: addresses for name, addresses in before.items() if name not in {"pi1", "foo"}
    }
    assert only_at(after, allowed) == after


@given(CONTENTS)
def test_lines_without_a_wanted_name_stay_in_order_byte_for_byte(content: bytes) -> None:
    after = iter(repair(content, NODES).split(b"\n"))
    for line in content.split(b"\n")[:-1]:
        if b"pi" not in line.lower():
            assert line in after  # consumes the iterator up to the match: a subsequence


@given(CONTENTS)
def test_no_line_is_left_with_an_address_alone_by_us(content: bytes) -> None:
    def alone(octets: bytes) -> int:
        return sum(len(line.partition(b"#")[0].split()) == 1 for line in octets.split(b"\n"))

    assert alone(repair(content, NODES)) == alone(content)
