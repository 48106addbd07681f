"""The JSON of iproute2 is read whatever a release adds, and any other text is unknown, not "no interface".

The samples come from a name space shaped like the controller: br0 with ports ethpi1, ethpi2; eth0 to the LAN.
"""

from __future__ import annotations

import json
from contextlib import suppress
from ipaddress import IPv4Interface
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.ip import Link, Neighbour, Route, default_routes, links, neighbours, routes

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = Path(__file__).parents[1] / "fixtures" / "samples"
ADDR, LINK, ROUTE, NEIGH = ((SAMPLES / f"ip-{name}.json").read_text() for name in ("addr", "link", "route", "neigh"))
READERS: list[Callable[[str], object]] = [links, routes, default_routes, neighbours]


def test_bridge_and_its_port_are_seen() -> None:
    seen = {link.name: link for link in links(ADDR)}
    bridge = IPv4Interface("172.19.181.254/24")
    assert seen["br0"] == Link("br0", True, "UP", "dc:a6:32:01:02:03", None, (bridge,), 1500)  # noqa: FBT003
    assert seen["ethpi1"].master == "br0"
    assert seen["ethpi1"].ipv4 == ()
    assert not seen["wlan0"].is_up


def test_ip_link_is_the_same_without_addresses() -> None:
    assert [link.name for link in links(LINK)] == [link.name for link in links(ADDR)]
    assert all(link.ipv4 == () for link in links(LINK))


def test_empty_objects_of_old_releases_are_skipped() -> None:
    text = '[{},{"ifname":"usb0","flags":["UP"],"mtu":1400,"operstate":"UNKNOWN","addr_info":[{}]},{}]'
    assert links(text) == (Link("usb0", True, "UNKNOWN", None, None, (), 1400),)  # noqa: FBT003


def test_address_of_a_tunnel_is_no_mac() -> None:
    (link,) = links('[{"ifname":"sit0","flags":[],"mtu":1480,"operstate":"DOWN","address":"0.0.0.0"}]')
    assert link.mac is None


@pytest.mark.parametrize("rest", ["", ',"mtu":"1500"', ',"mtu":null', ',"mtu":true'])
def test_a_link_without_its_size_is_an_observation_error(rest: str) -> None:
    with pytest.raises(ObservationError, match="a number under 'mtu'"):
        links(f'[{{"ifname":"usb0","flags":[],"operstate":"UP"{rest}}}]')


def test_routes_are_seen() -> None:
    assert default_routes(ROUTE) == (Route("default", "192.168.0.1", "eth0"),)
    assert ("172.19.181.0/24", None, "br0") in [(one.dst, one.gateway, one.dev) for one in routes(ROUTE)]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("[]", (), id="none"),
        pytest.param(
            '[{"type":"blackhole","dst":"10.9.0.0/16","flags":[]}]',
            (Route("10.9.0.0/16", None, None),),
            id="blackhole",
        ),
        pytest.param(
            '[{"dst":"10.8.0.0/16","flags":[],"nexthops":[{"gateway":"192.168.0.3","dev":"eth0","weight":1,"flags":[]},'
            '{"gateway":"192.168.0.4","dev":"eth0","weight":1,"flags":[]}]}]',
            (Route("10.8.0.0/16", "192.168.0.3", "eth0"), Route("10.8.0.0/16", "192.168.0.4", "eth0")),
            id="several hops",
        ),
        pytest.param(
            '[{"dst":"10.7.0.0/16","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","flags":[]}]',
            (Route("10.7.0.0/16", "fe80::1", "eth0"),),
            id="gateway of the other family",
        ),
        pytest.param(
            '[{"dst":"default","dev":"eth0","scope":"link","prefsrc":"169.254.7.8","metric":202,"flags":["dead"]}]',
            (Route("default", None, "eth0", "169.254.7.8", is_dead=True),),
            id="no answer from a DHCP server, no cable",
        ),
    ],
)
def test_uncommon_routes_are_seen(text: str, want: tuple[Route, ...]) -> None:
    assert routes(text) == want


def test_neighbours_are_seen() -> None:
    seen = {neighbour.address: neighbour for neighbour in neighbours(NEIGH)}
    assert seen["172.19.181.1"] == Neighbour("172.19.181.1", "br0", "00:22:82:ff:ff:01", "REACHABLE")
    assert seen["172.19.181.2"] == Neighbour("172.19.181.2", "br0", None, "INCOMPLETE")
    assert seen["172.19.181.3"].state == "STALE"
    assert seen["172.19.181.4"] == Neighbour("172.19.181.4", "br0", None, "FAILED")


def test_listing_of_one_device_names_no_device() -> None:
    assert neighbours('[{"dst":"172.19.181.4","state":["FAILED"]}]') == (
        Neighbour("172.19.181.4", None, None, "FAILED"),
    )


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param('Device "br0" does not exist.', id="message"),
        pytest.param(ADDR[:-20], id="cut short"),
        pytest.param("{}", id="no list"),
        pytest.param("[1]", id="no objects"),
        pytest.param('[{"dst":1,"ifname":2}]', id="wrong types"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("[" + "9" * 5000 + "]", id="huge number"),
    ],
)
def test_other_text_is_an_observation_error(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ObservationError):
        read(text)


@pytest.mark.parametrize("prefix", ["33", "null", '"255.0.0.0"', "true", "-1"])
def test_impossible_prefix_is_an_observation_error(prefix: str) -> None:
    info = f'{{"family":"inet","local":"10.0.0.1","prefixlen":{prefix}}}'
    with pytest.raises(ObservationError, match="IPv4 address"):
        links(f'[{{"ifname":"a","flags":[],"operstate":"UP","addr_info":[{info}]}}]')


KEYS = st.sampled_from(
    ["ifname", "flags", "mtu", "operstate", "address", "addr_info", "dst", "dev", "via", "nexthops", "state"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)


@given(st.text() | st.lists(st.dictionaries(KEYS, JSON)).map(json.dumps))
def test_any_text_gives_a_value_or_an_observation_error(text: str) -> None:
    for read in READERS:
        with suppress(ObservationError):
            read(text)
