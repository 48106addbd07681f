"""Step `network`: packets of one size pass everywhere, whichever size that is; what is odd differs, and only it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actions import Run
from harness.steps import network
from tests_harness.fakes_cluster import CLUSTER, HUB, NODES, differences, good_network, without

if TYPE_CHECKING:
    from harness.model import Check

Seen = Mapping[str, network.State]
Sizes = Mapping[str, Mapping[str, int | None]]  # machine to interface to MTU
PORTS = tuple(node.link for node in CLUSTER.nodes)
INTERFACES = {HUB: ("br0", *PORTS)} | dict.fromkeys(NODES, ("usb0",))


def sizes(changed: Sizes) -> Seen:
    """The good cluster with another MTU of these interfaces."""
    return {
        name: replace(
            state,
            links=tuple(replace(one, mtu=changed.get(name, {}).get(one.name, one.mtu)) for one in state.links),
        )
        for name, state in good_network().items()
    }


def everywhere(size: int | None) -> Seen:
    return sizes({name: dict.fromkeys(interfaces, size) for name, interfaces in INTERFACES.items()})


def judge(seen: Seen) -> list[Check]:
    return list(network.judge(seen, CLUSTER))


def mtu(name: str) -> tuple[str, str]:
    return name, f"MTU of {'br0' if name == HUB else 'usb0'}"


SHORT_CABLE: Sizes = {HUB: {"br0": 1000, "ethpi3": 1000}}


@pytest.mark.parametrize(
    ("seen", "want"),
    [
        pytest.param(sizes({"p3": {"usb0": 1000}}), {mtu("p3"): ("run",)}, id="a node takes short packets only"),
        pytest.param(sizes({"p3": {"usb0": 9000}}), {mtu("p3"): ("run",)}, id="a node sends what nobody takes"),
        pytest.param(
            sizes({"p1": {"usb0": 1400}, "p3": {"usb0": 1000}}),
            {mtu("p1"): ("run",), mtu("p3"): ("run",)},
            id="two nodes",
        ),
        pytest.param(sizes({HUB: {"br0": 1000}}), {mtu(HUB): ("run",)}, id="the bridge"),
        pytest.param(sizes({HUB: {"ethpi3": 1000}}), {mtu(HUB): ("run",)}, id="a cable"),
        pytest.param(sizes(SHORT_CABLE), {mtu(HUB): ("run", "run")}, id="a cable, and the bridge shrinks with it"),
        pytest.param(
            without(sizes(SHORT_CABLE), *NODES), {mtu(HUB): ("run", "run")}, id="a cable, and no node to compare with"
        ),
        pytest.param(
            sizes({HUB: dict.fromkeys(INTERFACES[HUB], 1000)}), {mtu(HUB): ("run",) * 5}, id="all of the controller"
        ),
        pytest.param(
            without(sizes({"p3": {"usb0": 1000}}), "p1", "p2", "p4"), {mtu("p3"): ("run",)}, id="one to one"
        ),
        pytest.param(everywhere(1400), {}, id="1400 everywhere"),
        pytest.param(sizes({name: {"lo": 65536, "eth0": 9000} for name in INTERFACES}), {}, id="of other networks"),
        pytest.param(everywhere(None), {}, id="an old tape"),
        pytest.param({}, {}, id="nobody"),
    ],
)  # fmt: skip
def test_what_takes_packets_of_another_size_than_most_differs_exactly_there(
    seen: Seen, want: dict[tuple[str, str], tuple[str, ...]]
) -> None:
    assert differences(judge(seen)) == want


@pytest.mark.parametrize(
    ("seen", "want", "fixed"),
    [
        pytest.param(sizes({"p3": {"usb0": 1000}}), "1000 on usb0", ["usb0"], id="node"),
        pytest.param(sizes(SHORT_CABLE), "1000 on br0, 1000 on ethpi3", ["ethpi3", "br0"], id="bridge and port"),
    ],
)
def test_it_gets_the_size_of_the_others_and_a_bridge_gets_it_last(seen: Seen, want: str, fixed: list[str]) -> None:
    (check,) = [check for check in judge(seen) if not check.holds]
    assert (check.want, check.seen) == ("1500", want)
    assert [action.argv for action in check.fix if isinstance(action, Run)] == [
        ("ip", "link", "set", "dev", interface, "mtu", "1500") for interface in fixed
    ]


ANY_SIZES = st.fixed_dictionaries(
    {
        name: st.fixed_dictionaries(dict.fromkeys(interfaces, st.sampled_from([1000, 1400, 1500])))
        for name, interfaces in INTERFACES.items()
    }
)


@given(ANY_SIZES)
def test_a_repair_leaves_one_size(found: dict[str, dict[str, int]]) -> None:
    for check in judge(sizes(found)):
        for action in check.fix if check.aspect.startswith("MTU of") else ():
            assert isinstance(action, Run)
            found[action.node][action.argv[4]] = int(action.argv[6])
    assert len({size for interfaces in found.values() for size in interfaces.values()}) == 1
    assert differences(judge(sizes(found))) == {}
