"""Step `arp`: the controller's neighbour table says who is behind each address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from harness.actions import Run
from harness.parse.ip import Neighbour
from harness.steps import arp
from tests_harness.fakes_cluster import CLUSTER, HUB, differences, good_arp, reached, without

if TYPE_CHECKING:
    from harness.model import Check

Seen = Mapping[str, arp.State]
WRONG, P1, P2 = "02:00:00:00:00:01", "00:22:82:ff:ff:01", "00:22:82:ff:ff:02"


def judge(seen: Seen) -> list[Check]:
    return list(arp.judge(seen, CLUSTER))


def with_entry(number: int, mac: str | None, state: str = "REACHABLE", *silent: str) -> Seen:
    address = f"172.19.181.{number}"
    others = [entry for entry in good_arp()[HUB].neighbours if entry.address != address]
    return {HUB: arp.State((*others, Neighbour(address, "br0", mac, state)), reached(HUB, *silent))}


def without_entry(number: int) -> Seen:
    entries = [entry for entry in good_arp()[HUB].neighbours if entry.address != f"172.19.181.{number}"]
    return {HUB: arp.State(tuple(entries), reached(HUB))}


def also(*entries: Neighbour) -> Seen:
    return {HUB: arp.State((*good_arp()[HUB].neighbours, *entries), reached(HUB))}


def mac_of(number: int) -> tuple[str, str]:
    return f"p{number}", f"MAC of 172.19.181.{number} on br0"


ONE_EACH = (HUB, "every MAC stands for one address")
PINNED = (HUB, "no wrong MAC is pinned")


def test_a_good_cluster_holds_on_every_machine() -> None:
    checks = judge(good_arp())
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)


@pytest.mark.parametrize(
    ("seen", "want"),
    [
        pytest.param(with_entry(2, WRONG), {mac_of(2): ()}, id="wrong MAC that answers"),
        pytest.param(
            with_entry(2, WRONG, "PERMANENT"), {mac_of(2): ("run",), PINNED: ("run",)}, id="wrong MAC, pinned"
        ),
        pytest.param(
            with_entry(2, WRONG, "NOARP"), {mac_of(2): ("run",), PINNED: ("run",)}, id="wrong MAC without ARP"
        ),
        pytest.param(with_entry(2, P2, "PERMANENT"), {}, id="right MAC, pinned"),
        pytest.param(with_entry(2, P2, "STALE"), {}, id="right MAC, not just confirmed"),
        pytest.param(with_entry(2, P2, "STALE", "p2"), {mac_of(2): ()}, id="right MAC, but of old"),
        pytest.param(with_entry(2, P2, "REACHABLE", "p2"), {}, id="right MAC of a machine that answers no ping"),
        pytest.param(with_entry(2, P1), {mac_of(2): (), ONE_EACH: ()}, id="two nodes with one MAC"),
        pytest.param(with_entry(3, None, "FAILED"), {mac_of(3): ()}, id="nobody answered"),
        pytest.param(with_entry(3, None, "INCOMPLETE"), {mac_of(3): ()}, id="incomplete entry"),
        pytest.param(without_entry(3), {mac_of(3): ()}, id="no entry"),
        pytest.param(
            also(Neighbour("172.19.181.1", "eth0", WRONG, "STALE")),
            {("p1", "172.19.181.1 is seen on br0 only"): ()},
            id="also on another interface",
        ),
        pytest.param(
            also(Neighbour("172.19.181.1", "eth0", P1, "STALE")),
            {("p1", "172.19.181.1 is seen on br0 only"): ()},
            id="also on another interface, with its own MAC",
        ),
        pytest.param(also(Neighbour("172.19.181.1", "eth0", None, "FAILED")), {}, id="asked for elsewhere in vain"),
        pytest.param(also(Neighbour("192.168.1.9", "eth0", P1, "STALE")), {}, id="a MAC outside the cluster"),
    ],
)
def test_a_fault_differs_exactly_there(seen: Seen, want: dict[tuple[str, str], tuple[str, ...]]) -> None:
    checks = judge(seen)
    assert differences(checks) == want
    assert all(check.fix or check.by_hand for check in checks if not check.holds)


def test_a_pinned_wrong_mac_is_forgotten_on_the_controller() -> None:
    found = [check for check in judge(with_entry(2, WRONG, "PERMANENT", "p2")) if not check.holds]
    # Nobody gets through to p2 meanwhile, so that the controller's own place must carry the action, too.
    assert {check.node for check in found} == {HUB, "p2"}
    (action,) = {action for check in found for action in check.fix}
    assert isinstance(action, Run)
    assert (action.node, action.argv) == (HUB, ("ip", "neigh", "del", "172.19.181.2", "dev", "br0"))


def test_an_entry_that_is_not_complete_is_shown_in_words() -> None:
    seen = {check.aspect: check.seen for check in judge(with_entry(3, None, "FAILED"))}
    assert seen["MAC of 172.19.181.3 on br0"] == "no MAC (failed)"


def test_without_the_controller_there_is_nothing_to_compare() -> None:
    assert judge(without(good_arp(), HUB)) == []
