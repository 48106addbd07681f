"""Step `network`: one fault of the cluster's network differs at one place, with the repair that fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actions import Run
from harness.node import File
from harness.parse.ip import Link, Route
from harness.parse.netconfig import Configured, Edit
from harness.parse.units import Unit
from harness.steps import network
from harness.steps.network_boot import AtBoot
from harness.steps.network_gateway import NAT_UNIT, RULES_PATH, SYSCTL_PATH, SYSCTL_UNIT, UNIT_PATH
from harness.steps.network_paths import judge_paths
from tests_harness.fakes import outcomes_of
from tests_harness.fakes_cluster import (
    CLUSTER,
    FILTER,
    HUB,
    NAT,
    NODES,
    SYSCTL,
    differences,
    good_network,
    link,
    reached,
    without,
)

if TYPE_CHECKING:
    from harness.model import Check

Seen = Mapping[str, network.State]
Differences = dict[tuple[str, str], tuple[str, ...]]
PATHS = "ping to and from the others"
SWITCH = (HUB, "nodes reach each other through it")
WAY_OUT = (HUB, "default route")
FORWARD_LATER = (HUB, "net.ipv4.ip_forward after a reboot")
NAT_NOW, NAT_LATER = (HUB, "MASQUERADE for 172.19.181.0/24"), (HUB, "MASQUERADE after a reboot")
SAVED = f"*nat\n:POSTROUTING ACCEPT [0:0]\n{NAT.splitlines()[1]}\nCOMMIT\n".encode()
STARTED = ("networking.service", NAT_UNIT, SYSCTL_UNIT)


def judge(seen: Seen) -> list[Check]:
    return list(network.judge(seen, CLUSTER))


def file(content: bytes) -> File:
    return File(content, 0o644, "root:root")


def links(name: str, *others: Link) -> Seen:
    """With these links in place of those of the same name."""
    state = good_network()[name]
    kept = [one for one in state.links if one.name not in {other.name for other in others}]
    return good_network() | {name: replace(state, links=(*kept, *others))}


def links_without(name: str, gone: str) -> Seen:
    state = good_network()[name]
    return good_network() | {name: replace(state, links=tuple(one for one in state.links if one.name != gone))}


def routes(name: str, *found: Route) -> Seen:
    return good_network() | {name: replace(good_network()[name], routes=found)}


def gateway(enabled: Iterable[str] = STARTED, **changes: object) -> Seen:
    hub = good_network()[HUB]
    assert hub.gateway
    changed = replace(hub.gateway, **changes)  # type: ignore[arg-type]  # the rows of the table name real fields
    return good_network() | {HUB: replace(hub, gateway=changed, enabled=tuple(enabled))}


def files(changes: Mapping[str, bytes | None], *enabled: str) -> Seen:
    """With these files of the controller; None for a missing one."""
    hub = good_network()[HUB]
    assert hub.gateway
    found = hub.gateway.files | {path: file(content) for path, content in changes.items() if content is not None}
    kept = {path: one for path, one in found.items() if changes.get(path, b"") is not None}
    return gateway(enabled or STARTED, files=kept)


def boot(name: str, edit: Edit | None, *found: Configured) -> Seen:
    return good_network() | {name: replace(good_network()[name], at_boot=AtBoot(found, edit))}


def pings(*broken: tuple[str, str]) -> Seen:
    """With these pairs of machines failing, each one way."""
    return {
        name: replace(state, reached=reached(name, *(to for by, to in broken if by == name)))
        for name, state in good_network().items()
    }


def wrong_way(route: Route) -> Seen:
    """With one more route on p2, by which p3 is not reached; so p3 gets no answer either."""
    seen = pings(("p2", "p3"), ("p3", "p2"))
    return {**seen, "p2": replace(seen["p2"], routes=(*good_network()["p2"].routes, route))}


def configured(address: str = "172.19.181.2/24", *, is_automatic: bool = True) -> Configured:
    return Configured(
        (IPv4Interface(address),), CLUSTER.controller.address, "/etc/network/interfaces", is_automatic, "static"
    )


def test_a_good_cluster_holds_on_every_machine() -> None:
    checks = judge(good_network())
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)
    assert {"ethpi1 is a port of", "ethpi4 is a port of"} <= {check.aspect for check in checks if check.node == HUB}


BETWEEN = [(a, b) for a in NODES for b in NODES if a != b]
EDIT = Edit("/etc/network/interfaces", b"old\n", b"new\n")
UPLINK = good_network()[HUB].routes
CABLES = UPLINK[-1]
NODE_ROUTES = good_network()["p2"].routes
FAULTS = [
    pytest.param(
        links(HUB, link("br0", "172.19.181.254/24", is_up=False)), {(HUB, "br0 is up"): ("run",)}, id="br0 down"
    ),
    pytest.param(links(HUB, link("br0")), {(HUB, "address of br0"): ("run",)}, id="br0 without address"),
    pytest.param(
        links(HUB, link("br0", "172.19.181.254/16")), {(HUB, "address of br0"): ()}, id="br0 with another prefix"
    ),
    pytest.param(links_without(HUB, "br0"), {(HUB, "br0"): ()}, id="no br0"),
    pytest.param(links(HUB, link("ethpi3")), {(HUB, "ethpi3 is a port of"): ("run", "run")}, id="ethpi3 not in br0"),
    pytest.param(
        links(HUB, link("ethpi3", master="br0", is_up=False)),
        {(HUB, "ethpi3 is a port of"): ("run", "run")},
        id="ethpi3 down",
    ),
    pytest.param(links_without(HUB, "ethpi3"), {}, id="no ethpi3: power says it"),
    pytest.param(links("p2", link("usb0")), {("p2", "address of usb0"): ("run",)}, id="node without address"),
    pytest.param(
        links("p2", link("usb0", "172.19.181.9/24")),
        {("p2", "address of usb0"): ()},
        id="node with another address",
    ),
    pytest.param(
        links("p2", link("usb0", "172.19.181.2/24", "172.19.181.9/24")),
        {("p2", "address of usb0"): ()},
        id="node with two addresses",
    ),
    pytest.param(
        links("p2", link("usb0", "172.19.181.2/24", "10.0.0.9/24")),
        {},
        id="node with a foreign address beside",
    ),
    pytest.param(links_without("p2", "usb0"), {("p2", "usb0"): ()}, id="no usb0"),
    pytest.param(routes("p2"), {("p2", "default route"): ("run",)}, id="no default route"),
    pytest.param(
        routes("p2", Route("default", "172.19.181.1", "usb0")),
        {("p2", "default route"): ("run",)},
        id="route elsewhere",
    ),
    pytest.param(
        routes("p2", *NODE_ROUTES, Route("default", "10.0.0.1", "wlan0")),
        {("p2", "default route"): ()},
        id="two routes",
    ),
    pytest.param(
        routes(HUB, Route("default", "172.19.181.1", "br0"), CABLES), {WAY_OUT: ()}, id="controller's way out is a node"
    ),
    pytest.param(
        routes(HUB, Route("default", "172.19.181.1", "br0"), *UPLINK), {WAY_OUT: ()}, id="a node before the way out"
    ),
    pytest.param(routes(HUB, Route("default", None, None), CABLES), {WAY_OUT: ()}, id="controller's way out drops"),
    pytest.param(routes(HUB, *UPLINK, Route("default", "172.19.181.1", "br0")), {}, id="a node after the way out"),
    pytest.param(routes(HUB, Route("default", "10.0.0.1", "wlan0"), *UPLINK), {}, id="Wi-Fi and cable"),
    pytest.param(routes(HUB, Route("default", None, "ppp0"), CABLES), {}, id="a way out without a gateway"),
    pytest.param(
        routes(HUB, *UPLINK, Route("172.19.0.0/16", None, "docker_gwbridge")),
        {(HUB, "no other network overlaps"): ()},
        id="Docker overlaps",
    ),
    pytest.param(
        routes("p2", *NODE_ROUTES, Route("172.19.181.128/25", None, "docker0")),
        {("p2", "no other network overlaps"): ()},
        id="Docker overlaps inside",
    ),
    pytest.param(routes(HUB, *UPLINK, Route("128.0.0.0/1", None, "tun0")), {}, id="half the Internet by VPN"),
    pytest.param(routes(HUB, *UPLINK, Route("172.17.0.0/16", None, "docker0")), {}, id="Docker elsewhere"),
    pytest.param(gateway(forwarding=0), {(HUB, "net.ipv4.ip_forward"): ("run",)}, id="ip_forward 0 now"),
    pytest.param(files({SYSCTL: None}), {FORWARD_LATER: ("write",)}, id="ip_forward not persistent"),
    pytest.param(files({SYSCTL: b"net.ipv4.ip_forward=0\n"}), {FORWARD_LATER: ("write",)}, id="ip_forward 0 later"),
    pytest.param(
        files({"/etc/sysctl.d/90-late.conf": b"net.ipv4.ip_forward = 0\n"}),
        {FORWARD_LATER: ("write",)},
        id="a later file",
    ),
    pytest.param(
        files({"/etc/sysctl.d/99-zzz.conf": b"net.ipv4.ip_forward = 0\n", SYSCTL_PATH: b"net.ipv4.ip_forward = 1\n"}),
        {FORWARD_LATER: ()},
        id="a file later than ours",
    ),
    pytest.param(
        files({"/etc/sysctl.d/10-me.conf": b"net.ipv4.conf.all.forwarding = 0\n"}),
        {FORWARD_LATER: ()},
        id="the same switch by its other name",
    ),
    pytest.param(
        files({f"{UNIT_PATH}.d/off.conf": b"[Service]\nExecStart=\n"}), {NAT_LATER: ()}, id="NAT unit overruled"
    ),
    pytest.param(gateway(nat="-P POSTROUTING ACCEPT\n"), {NAT_NOW: ("run",)}, id="no MASQUERADE"),
    pytest.param(gateway(nat=NAT.replace(".181.0", ".182.0")), {NAT_NOW: ("run",)}, id="MASQUERADE for another subnet"),
    pytest.param(gateway(nat=NAT.replace("! -o", "-o")), {NAT_NOW: ("run",)}, id="MASQUERADE on the bridge"),
    pytest.param(gateway(["networking.service", SYSCTL_UNIT]), {NAT_LATER: ("run",)}, id="NAT unit not enabled"),
    pytest.param(files({UNIT_PATH: None}), {NAT_LATER: ("write", "run")}, id="NAT unit missing"),
    pytest.param(files({UNIT_PATH: b"[Unit]\n"}), {NAT_LATER: ("write", "run")}, id="NAT unit edited"),
    pytest.param(
        files({UNIT_PATH: None, RULES_PATH: SAVED}, "netfilter-persistent.service", SYSCTL_UNIT),
        {},
        id="NAT by saved rules",
    ),
    pytest.param(files({UNIT_PATH: None, RULES_PATH: SAVED}), {NAT_LATER: ("write", "run")}, id="saved but not loaded"),
    pytest.param(boot("p2", EDIT), {("p2", "usb0 after a reboot"): ("write",)}, id="nothing at boot"),
    pytest.param(boot("p2", None), {("p2", "usb0 after a reboot"): ()}, id="nothing at boot, nothing to edit"),
    pytest.param(
        boot("p2", EDIT, configured("172.19.181.9/24")), {("p2", "usb0 after a reboot"): ("write",)}, id="wrong at boot"
    ),
    pytest.param(
        boot("p2", EDIT, replace(configured("172.19.181.9/24"), how="dhcp")),
        {("p2", "usb0 after a reboot"): ()},
        id="a DHCP server decides",
    ),
    pytest.param(
        boot("p2", EDIT, configured(is_automatic=False)), {("p2", "usb0 after a reboot"): ("write",)}, id="not at boot"
    ),
    pytest.param(
        boot("p2", None, configured(), configured()), {("p2", "usb0 after a reboot"): ()}, id="two tools at boot"
    ),
    pytest.param(
        wrong_way(Route("172.19.181.3", None, None)),
        {("p2", "no other network overlaps"): (), ("p2", PATHS): ()},
        id="a blackhole for one peer",
    ),
    pytest.param(
        wrong_way(Route("172.19.181.3", "172.19.181.9", "usb0")), {("p2", PATHS): ()}, id="a detour to one peer"
    ),
    pytest.param(pings(("p1", "p2")), {("p2", PATHS): ()}, id="one pair fails one way"),
    pytest.param(pings(("p1", "p2"), ("p2", "p1")), {("p1", PATHS): (), ("p2", PATHS): ()}, id="one pair fails"),
    pytest.param(pings(*((name, "p3") for name in CLUSTER.names)), {("p3", PATHS): ()}, id="one node is deaf"),
    pytest.param(pings(*(("p3", name) for name in CLUSTER.names)), {("p3", PATHS): ()}, id="one node reaches nobody"),
    pytest.param(
        pings(*((a, b) for a in CLUSTER.names for b in CLUSTER.names if "p3" in {a, b})),
        {("p3", PATHS): ()},
        id="one node is cut off",
    ),
    pytest.param(pings(*((name, HUB) for name in NODES)), {(HUB, PATHS): ()}, id="controller does not answer"),
    pytest.param(pings(*((HUB, name) for name in NODES)), {(HUB, PATHS): ()}, id="controller reaches nobody"),
    pytest.param(pings(*BETWEEN), {SWITCH: ("run",)}, id="no node reaches another"),
    pytest.param(without(pings(*BETWEEN), "p4"), {SWITCH: ("run",)}, id="no node reaches another, and one is off"),
    pytest.param(
        without(pings(*((name, "p3") for name in CLUSTER.names)), "p3"), {}, id="who is off is not blamed here"
    ),
    pytest.param(without(good_network(), HUB), {}, id="controller silent"),
]


@pytest.mark.parametrize(("seen", "want"), FAULTS)
def test_a_fault_differs_exactly_there(seen: Seen, want: Differences) -> None:
    checks = judge(seen)
    assert differences(checks) == want
    assert {check.node for check in checks} == set(seen)


@pytest.mark.parametrize(("seen", "want"), FAULTS)
def test_a_difference_that_no_action_mends_says_what_a_person_can_do(seen: Seen, want: Differences) -> None:
    by_hand = {
        (check.node, check.aspect) for check in judge(seen) if not check.holds and not check.fix and check.by_hand
    }
    assert by_hand == {where for where, fix in want.items() if not fix}


@pytest.mark.parametrize(
    ("forward", "chain"),
    [(FILTER, "FORWARD"), (FILTER + "-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n", "DOCKER-USER")],
    ids=["bare", "with Docker"],
)
def test_frames_between_nodes_are_let_through_before_docker_decides(forward: str, chain: str) -> None:
    seen = dict(pings(*BETWEEN))
    hub = seen[HUB]
    assert hub.gateway
    seen[HUB] = replace(hub, gateway=replace(hub.gateway, forward=forward))
    (check,) = [check for check in judge(seen) if not check.holds]
    (action,) = check.fix
    assert isinstance(action, Run)
    rule = f"{chain} -i br0 -o br0 -j ACCEPT"
    assert action.argv == ("sh", "-c", f"iptables -w -C {rule} 2>/dev/null || iptables -w -I {rule}")


def test_a_missing_rule_is_added_once_and_no_rule_set_is_loaded() -> None:
    (check,) = [check for check in judge(gateway(nat="-P POSTROUTING ACCEPT\n")) if not check.holds]
    (action,) = check.fix
    assert isinstance(action, Run)
    rule = "POSTROUTING -s 172.19.181.0/24 ! -o br0 -j MASQUERADE"
    assert action.argv == ("sh", "-c", f"iptables -w -t nat -C {rule} 2>/dev/null || iptables -w -t nat -A {rule}")


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(files({RULES_PATH: b"*nat\n"}, "netfilter-persistent.service"), id="saved rules"),
        pytest.param(gateway(nat="nonsense"), id="live rules"),
        pytest.param(gateway(nat=""), id="nothing"),
    ],
)
def test_rules_that_cannot_be_understood_are_unknown_and_end_no_run(seen: Seen) -> None:
    outcomes = outcomes_of(network, seen, CLUSTER)
    assert "unknown" in {str(one.verdict) for one in outcomes if one.place.node == HUB}
    assert {str(one.verdict) for one in outcomes} <= {"unknown", "blocked"}


def test_a_route_without_an_interface_is_said_to_drop() -> None:
    (check,) = [
        one for one in judge(wrong_way(Route("172.19.181.3", None, None))) if "overlaps" in one.aspect and not one.holds
    ]
    assert check.seen == "172.19.181.3 on no interface, so it is dropped"


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        pytest.param((), "none", id="none"),
        pytest.param(
            (Route("default", "172.19.181.1", "br0"), UPLINK[0]),
            "via 172.19.181.1 dev br0, via 192.168.1.1 dev eth0",
            id="two",
        ),
        pytest.param((Route("default", None, None),), "on no interface, so it is dropped", id="unreachable"),
        pytest.param((Route("default", None, "eth0", "169.254.7.8"),), "dev eth0 src 169.254.7.8", id="no DHCP"),
        pytest.param((Route("default", "172.17.0.1", "docker0"),), "via 172.17.0.1 dev docker0", id="to containers"),
        pytest.param((Route("default", "192.168.1.1", "eth0", None, is_dead=True),), "none", id="no cable"),
    ],
)
def test_a_controller_that_does_not_get_out_shows_its_ways(found: tuple[Route, ...], seen: str) -> None:
    (check,) = [one for one in judge(routes(HUB, *found, CABLES)) if not one.holds]
    assert check.level == ("must" if found and found[0].dev in {None, "br0"} else "advice")
    assert (check.want, check.seen) == ("one that leaves by another interface than br0", seen)


def test_what_reads_the_settings_at_boot_is_named_and_allowed_again() -> None:
    (check,) = [check for check in judge(read_by(MASKED, {SYSCTL: None})) if not check.holds]
    assert "systemd-sysctl.service, which reads them at boot, does not start then: it is masked" in check.seen
    allow, write = check.fix
    assert isinstance(allow, Run)
    assert allow.argv == ("systemctl", "unmask", "systemd-sysctl.service")
    assert write.kind == "write"


MASKED = Unit(is_there=False, is_active=False, is_enabled=False, is_masked=True, unmet=())
HELD = Unit(is_there=True, is_active=True, is_enabled=True, unmet=("ConditionHost=p9 in /etc/x does not hold",))
UNWANTED = Unit(is_there=True, is_active=True, is_enabled=False, unmet=())
BY_ANOTHER_NAME = "/etc/sysctl.d/10-me.conf"
OVERRULING: dict[str, bytes | None] = {BY_ANOTHER_NAME: b"net.ipv4.conf.all.forwarding = 0\n"}


def read_by(reader: Unit, changes: Mapping[str, bytes | None]) -> Seen:
    hub = files(changes)[HUB]
    assert hub.gateway
    return {**files(changes), HUB: replace(hub, gateway=replace(hub.gateway, reader=reader))}


@pytest.mark.parametrize(
    ("reader", "changes", "seen", "by_hand"),
    [
        pytest.param(HELD, {}, ["ConditionHost=p9 in /etc/x does not hold"], ["have that condition"], id="a condition"),
        pytest.param(HELD, {SYSCTL: None}, ["not set in", "ConditionHost=p9"], ["have that condition"], id="and unset"),
        pytest.param(UNWANTED, {}, ["no target of the boot wants it"], ["add-wants"], id="its link is gone"),
        pytest.param(
            HELD, OVERRULING, ["0 by net", "ConditionHost=p9"], [BY_ANOTHER_NAME, "have that condition"], id="both"
        ),
        pytest.param(
            MASKED, OVERRULING, ["0 by net", "it is masked"], [BY_ANOTHER_NAME, "unmask"], id="masked and overruled"
        ),
    ],
)  # fmt: skip
def test_what_unmasking_would_not_mend_is_left_to_a_person_in_all_its_parts(
    reader: Unit, changes: Mapping[str, bytes | None], seen: list[str], by_hand: list[str]
) -> None:
    (check,) = [check for check in judge(read_by(reader, changes)) if not check.holds]
    assert not check.fix
    assert all(one in check.seen for one in seen)
    assert all(one in check.by_hand for one in by_hand)


def test_what_is_only_masked_is_only_unmasked() -> None:
    (check,) = [check for check in judge(read_by(MASKED, {})) if not check.holds]
    assert [action.kind for action in check.fix] == ["run"]


PAIRS = [(a, b) for a in CLUSTER.names for b in CLUSTER.names if a != b]


@given(st.sets(st.sampled_from(PAIRS)))
def test_every_broken_way_is_held_against_exactly_one_machine(broken: set[tuple[str, str]]) -> None:
    seen = {name: reached(name, *(b for a, b in broken if a == name)) for name in CLUSTER.names}
    checks = {(check.node, check.aspect): check for check in judge_paths(seen, CLUSTER, "FORWARD")}
    switch = checks.pop(SWITCH)
    told = [
        (one.node, way)
        for one in checks.values() if not one.holds
        for way in one.seen.removeprefix("not ").split(", ")
    ]  # fmt: skip
    left = broken if switch.holds else broken - set(BETWEEN)
    assert sorted(way for _, way in told) == sorted(f"{a} to {b}" for a, b in left)
    assert all(node in way.split(" to ") for node, way in told)


def test_a_closed_way_through_the_controller_is_opened_rule_by_rule() -> None:
    check = _way_out("-P FORWARD DROP\n")
    assert check.seen == "no: policy DROP"
    assert [type(action) for action in check.fix] == [Run, Run]


def test_a_rule_of_somebodys_in_front_is_left_to_a_person() -> None:
    check = _way_out("-P FORWARD ACCEPT\n-A FORWARD -i br0 -j DROP\n")
    assert check.seen == "no: rule -i br0 -j DROP"
    assert check.fix == ()


def _way_out(forward: str) -> Check:
    seen = judge(gateway(forward=forward))
    return next(check for check in seen if check.aspect == "FORWARD lets the nodes out")


def test_a_translation_for_an_exit_that_leads_nowhere_does_not_count() -> None:
    nat = "-P POSTROUTING ACCEPT\n-A POSTROUTING -s 172.19.181.0/24 -o docker0 -j MASQUERADE\n"
    assert not _masquerade(gateway(nat=nat, exits=("eth0",))).holds
    assert _masquerade(gateway(nat=nat.replace("docker0", "eth0"), exits=("eth0",))).holds


def _masquerade(seen: Seen) -> Check:
    return next(check for check in judge(seen) if check.aspect.startswith("MASQUERADE for"))
