"""Step `hosts`: what /etc/hosts must say, and an edit that mends it without touching a right byte."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actions import Write
from harness.node import File
from harness.steps import hosts
from tests_harness.fakes_cluster import CLUSTER, HUB, NODES, differences, good_hosts, hosts_file

if TYPE_CHECKING:
    from harness.model import Check

Seen = Mapping[str, hosts.State]
GOOD = hosts_file("p1")
LATE = b"172.19.181.3 p1\n172.19.181.9 cnat\n"
OTHERS = "no other name of the cluster is wrong"
ALL = {f"address of {name}" for name in ("localhost", "cnat", "pi2", "pi3", "pi4")} | {"IPv6 loopback has its name"}


def judge(seen: Seen) -> list[Check]:
    return list(hosts.judge(seen, CLUSTER))


def with_file(content: bytes, mode: int = 0o644) -> Seen:
    return good_hosts() | {"p1": hosts.State(File(content, mode, "root:root"), {})}


def mended(seen: Seen) -> Seen:
    """What the actions make of the files, one after the other, each only from the bytes that it was made from."""
    files = {name: state.file for name, state in seen.items()}
    for action in dict.fromkeys(action for check in judge(seen) if not check.holds for action in check.fix):
        assert isinstance(action, Write)
        old = files[action.node]
        assert action.before == old.content, "a second write would be refused"
        files[action.node] = File(action.after, old.mode if action.mode is None else action.mode, old.owner)
    return {name: hosts.State(file, {}) for name, file in files.items()}


def test_a_good_cluster_holds_on_every_machine() -> None:
    checks = judge(good_hosts())
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)


def test_a_machine_must_know_its_peers_but_not_itself() -> None:
    aspects = {(check.node, check.aspect) for check in judge(good_hosts())}
    assert {aspect for node, aspect in aspects if node == HUB and "pi" in aspect} == {
        f"address of pi{number}" for number in range(1, 5)
    }
    assert ("p1", "address of cnat") in aspects
    assert ("p1", "address of pi1") not in aspects


@pytest.mark.parametrize(
    ("content", "aspects"),
    [
        pytest.param(GOOD.replace(b".181.2 pi2", b".181.9 pi2"), {"address of pi2"}, id="wrong address"),
        pytest.param(GOOD + b"172.19.181.9 pi2\n", {"address of pi2"}, id="second, conflicting address"),
        pytest.param(GOOD.replace(b"172.19.181.2 pi2\n", b""), {"address of pi2"}, id="missing line"),
        pytest.param(GOOD.replace(b"172.19.181.2 pi2\n", b"# 172.19.181.2 pi2\n"), {"address of pi2"}, id="comment"),
        pytest.param(GOOD.replace(b" cnat\n", b" hub\n"), {"address of cnat"}, id="controller missing"),
        pytest.param(GOOD + b"127.0.1.1 cnat\n", {"address of cnat"}, id="controller taken for oneself"),
        pytest.param(GOOD.replace(b"127.0.0.1\tlocalhost\n", b""), {"address of localhost"}, id="loopback lost"),
        pytest.param(GOOD.replace(b"::1\t", b"#\t"), {"IPv6 loopback has its name"}, id="IPv6 loopback lost"),
        pytest.param(GOOD + b"172.19.181.3 pi1\n", {OTHERS}, id="own alias at another machine"),
        pytest.param(GOOD + b"172.19.181.3 P2 mine\n", {OTHERS}, id="host name of a peer at another machine"),
        pytest.param(GOOD + b"127.0.1.1 p2\n", {OTHERS}, id="host name of a peer taken for oneself"),
        pytest.param(GOOD + b"10.0.0.9 p1\n", {OTHERS}, id="own host name at a second address"),
        pytest.param(GOOD + b"172.19.181.1 pi1 p1\n172.19.181.2 p2\n", set(), id="further names, each at its own"),
        pytest.param(GOOD + b"127.0.1.1 p1 pi1\n", set(), id="own names on one's own loopback"),
        pytest.param(GOOD + b"10.0.0.9 pi11 p1x ap2\n", set(), id="names that only look like ours"),
        pytest.param(
            b"",
            ALL,
            id="empty",
        ),
        pytest.param(GOOD.replace(b"\n", b"\r\n"), set(), id="CRLF"),
        pytest.param(GOOD.rstrip(b"\n"), set(), id="no last newline"),
        pytest.param(GOOD + b"172.19.181.2 pi2 # again\n", set(), id="said twice"),
        pytest.param(GOOD + b"fe80::2 pi2\n", set(), id="an IPv6 address beside it"),
        pytest.param(GOOD + b"10.0.0.1 caf\xe9\n", set(), id="a foreign line in another encoding"),
    ],
)  # fmt: skip
def test_a_fault_differs_exactly_there_and_one_write_mends_it(content: bytes, aspects: set[str]) -> None:
    seen = with_file(content)
    assert differences(judge(seen)) == {("p1", aspect): ("write",) for aspect in aspects}
    assert differences(judge(mended(seen))) == {}


def test_a_further_name_that_is_wrong_goes_and_is_not_put_elsewhere() -> None:
    content = b"# mine\n" + GOOD + b"172.19.181.3\tp2  mine # odd\n172.19.181.4 pi1\n"
    after = mended(with_file(content))["p1"].file.content
    assert after == b"# mine\n" + GOOD + b"172.19.181.3\tmine # odd\n"


def test_a_host_name_is_judged_on_the_controller_too() -> None:
    seen = good_hosts() | {HUB: hosts.State(File(hosts_file(HUB) + LATE, 0o644, "root:root"), {})}
    (check,) = [check for check in judge(seen) if not check.holds]
    assert (check.node, check.aspect, check.seen) == (HUB, OTHERS, "cnat is 172.19.181.9, p1 is 172.19.181.3")


def test_a_peer_on_the_ipv6_loopback_is_for_a_person() -> None:
    checks = judge(with_file(GOOD + b"::1 localhost pi2 p3 p1\n"))
    (alias, name) = [check for check in checks if not check.holds]
    assert (alias.aspect, alias.fix, name.aspect, name.fix, name.seen) == (
        "address of pi2",
        (),
        OTHERS,
        (),
        "p3 is ::1",
    )
    assert name.by_hand == "take p3 off the line of ::1"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o000])
def test_a_file_that_not_everybody_may_read_gets_the_missing_bits_only(mode: int) -> None:
    seen = with_file(GOOD, mode)
    assert differences(judge(seen)) == {("p1", "/etc/hosts may be read by everybody"): ("write",)}
    assert mended(seen)["p1"].file == File(GOOD, mode | 0o444, "root:root")


def test_a_wrong_line_in_an_unreadable_file_is_one_write() -> None:
    seen = with_file(GOOD + b"172.19.181.9 pi2\n", 0o600)
    assert differences(judge(mended(seen))) == {}
    assert mended(seen)["p1"].file.mode == 0o644


def test_a_right_mode_is_not_given_again() -> None:
    (check,) = [check for check in judge(with_file(GOOD + b"172.19.181.9 pi2\n")) if not check.holds]
    assert [action.mode for action in check.fix if isinstance(action, Write)] == [None]


def test_only_the_wrong_line_changes() -> None:
    content = b"# mine\r\n" + GOOD.replace(b".181.2 pi2", b".181.9 pi2 # odd") + b"10.0.0.1 caf\xe9"
    after = mended(with_file(content))["p1"].file.content
    assert set(content.splitlines()) - set(after.splitlines()) == {b"172.19.181.9 pi2 # odd"}
    assert after.startswith(b"# mine\r\n")


def test_every_machine_is_judged_by_its_own_list() -> None:
    seen = {name: hosts.State(File(hosts_file(HUB), 0o644, "root:root"), {}) for name in CLUSTER.names}
    assert differences(judge(seen)) == {(name, "address of cnat"): ("write",) for name in NODES}


LINES = st.lists(
    st.one_of(
        st.binary(max_size=20).filter(lambda raw: b"\n" not in raw),
        st.sampled_from([
            b"127.0.0.1 localhost", b"::1 localhost", b"172.19.181.2 pi2 pi3", b"10.0.0.1 PI2 #x", b"127.0.1.1 cnat p1",
            b"172.19.181.3 p1 p2", b"172.19.181.1 PI1 foreign",
        ]),
    )
)  # fmt: skip


@given(LINES)
def test_what_names_no_machine_of_ours_stays_byte_for_byte(lines: list[bytes]) -> None:
    after = mended(with_file(b"\n".join(lines) + b"\n"))["p1"].file.content.split(b"\n")
    ours = re.compile(rb"p[1-4]|pi[1-4]|cnat|localhost", re.IGNORECASE)
    rest = iter(after)
    assert all(line in rest for line in lines if not ours.search(line)), "a subsequence"


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.integers(0, 0o7777))
def test_whatever_a_file_holds_one_repair_makes_it_right(lines: list[bytes], ending: bytes, mode: int) -> None:
    seen = with_file(ending.join(lines), mode)
    assert differences(judge(mended(seen))) == {}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"pi3": ()}, "pi3 is unknown"),
        ({"pi3": ("10.0.0.3",), "cnat": ("172.19.181.254", "192.168.1.9")},
         "pi3 is 10.0.0.3, cnat is 172.19.181.254 and 192.168.1.9"),
    ],
    ids=["the file is not asked", "somebody else answers"],
)  # fmt: skip
def test_a_right_file_that_programs_do_not_follow_is_named(found: dict[str, tuple[str, ...]], said: str) -> None:
    state = hosts.State(good_hosts()["p1"].file, found)
    (check,) = (check for check in judge(good_hosts() | {"p1": state}) if not check.holds)
    assert (check.aspect, check.seen, check.fix) == ("programs find what the file says", said, ())
    assert "nsswitch.conf" in check.by_hand


@pytest.mark.parametrize(
    ("content", "mode", "asked"),
    [
        (GOOD, 0o644, ("cnat", "pi2", "pi3", "pi4")),
        (GOOD, 0o640, ()),
        (GOOD.replace(b"172.19.181.3 pi3", b""), 0o644, ("cnat", "pi2", "pi4")),
        (GOOD + LATE, 0o644, ("pi2", "pi3", "pi4")),
        (GOOD + b"fe80::3 pi3\n", 0o644, ("cnat", "pi2", "pi3", "pi4")),
        (GOOD + b"::1 pi3\n", 0o644, ("cnat", "pi2", "pi4")),
    ],
    ids=["all", "not for him to read", "one is missing", "one is twice", "IPv6 beside it", "on the loopback"],
)
def test_programs_are_asked_only_for_what_the_file_has_right(content: bytes, mode: int, asked: tuple[str, ...]) -> None:
    assert hosts.right_names("p1", File(content, mode, "root:root"), CLUSTER) == asked
