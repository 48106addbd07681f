"""What an interface gets at boot is read as the node's own program reads it, and mended in one place."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from time import process_time
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError, UsageError
from harness.parse.netconfig import PATHS, Configured, Edit, How, Tool, Wish, configured, meets, with_static

if TYPE_CHECKING:
    from collections.abc import Mapping

MAIN, FOLDER = "/etc/network/interfaces", "/etc/network/interfaces.d"
OWN, CLUSTERCTRL = f"{FOLDER}/usb0", f"{FOLDER}/clusterctrl"
DHCLIENT, DHCPCD = "/etc/dhcp/dhclient.conf", "/etc/dhcpcd.conf"
NETWORKD, NM = "/etc/systemd/network", "/etc/NetworkManager/system-connections"
ADDRESS, GATEWAY = IPv4Interface("172.19.181.3/24"), IPv4Address("172.19.181.254")
CNAT = IPv4Interface("172.19.181.254/24")

RIGHT = b"auto usb0\niface usb0 inet static\n    address 172.19.181.3/24\n    gateway 172.19.181.254\n"
ALIAS = b"auto usb0:1\niface usb0:1 inet static\n    address 172.19.181.99/24\n"
ALIASED = (IPv4Interface("172.19.181.99/24"),)
SOURCE = b"auto lo\niface lo inet loopback\n\nsource /etc/network/interfaces.d/*\n"
LAB_CNAT = b"""auto br0
iface br0 inet static
    bridge_ports regex ethpi.*
    bridge_stp off
    bridge_waitport 0
    bridge_fd 0
    address 172.19.181.254/24
"""
# clusterhat-image, files/usr/share/clusterctrl/interfaces.bookworm.{p,cnat} and build/create.sh, shortened.
BOOKWORM_NODE = b"auto usb0\niface usb0 inet dhcp\n\tmetric 1000\n"
BOOKWORM_CNAT = b"""
auto brint br0

iface brint inet static
        bridge_ports none
        address 172.19.180.254
        netmask 255.255.255.0

iface br0 inet dhcp
        bridge_ports none
        bridge_fd 0
        post-up /usr/sbin/copyMAC eth0 br0

allow-hotplug ethpi1
iface ethpi1 inet manual
        pre-up ifup br0
        pre-up brctl addif br0 ethpi1
\tup ip link set dev ethpi1 up
"""
BOOKWORM_LEASES = b"""option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;
send host-name = gethostname();
request subnet-mask, broadcast-address, routers;
# START ClusterCTRL config
timeout 10;
lease { # Px
  interface "usb0";
  fixed-address 172.19.181.253; # ClusterCTRL Px
  option subnet-mask 255.255.255.0;
  option routers 172.19.181.254;
  option domain-name-servers 8.8.8.8;
  expire never;
}

lease { # Controller
  interface "br0";
  fixed-address 172.19.181.254;
  option subnet-mask 255.255.255.0;
  expire never;
}
"""
BULLSEYE = b"""# A sample configuration for dhcpcd.
hostname
clientid
persistent
option rapid_commit
option domain_name_servers, domain_name, domain_search, host_name
#static ip_address=192.168.0.10/24
slaac private
# ClusterCTRL
reboot 15
denyinterfaces ethpi* ethupi* ethupi*.10 brint eth0 usb0.10

profile clusterctrl_fallback_usb0
static ip_address=172.19.181.253/24 #ClusterCTRL
static routers=172.19.181.254
static domain_name_servers=8.8.8.8 208.67.222.222

profile clusterctrl_fallback_br0
static ip_address=172.19.181.254/24

interface usb0
fallback clusterctrl_fallback_usb0

interface br0
fallback clusterctrl_fallback_br0
"""
BULLSEYE_P1 = BULLSEYE.replace(b"181.253/24", b"181.1/24")
UNIT = b"[Match]\nName=usb0\n\n[Network]\nAddress=172.19.181.3/24\nGateway=172.19.181.254\n"
KEYFILE = b"""[connection]
id=usb0
interface-name=usb0

[ipv4]
address1=172.19.181.3/24,172.19.181.254
method=manual
"""


def _seen(addresses: str, gateway: str | None, path: str, how: How = "static", *, auto: bool = True) -> Configured:
    found = tuple(map(IPv4Interface, addresses.split()))
    return Configured(found, None if gateway is None else IPv4Address(gateway), path, auto, how)


def _main(content: bytes) -> dict[str, bytes]:
    return {MAIN: content}


@pytest.mark.parametrize(
    ("files", "interface", "want"),
    [
        pytest.param(_main(RIGHT), "usb0", _seen("172.19.181.3/24", "172.19.181.254", MAIN), id="lab node"),
        pytest.param(
            {MAIN: SOURCE, CLUSTERCTRL: LAB_CNAT}, "br0", _seen("172.19.181.254/24", None, CLUSTERCTRL), id="lab cnat"
        ),
        pytest.param(
            {MAIN: SOURCE, CLUSTERCTRL: BOOKWORM_CNAT, DHCLIENT: BOOKWORM_LEASES},
            "br0",
            _seen("172.19.181.254/24", None, DHCLIENT, "lease"),
            id="Bookworm cnat",
        ),
        pytest.param(
            {MAIN: SOURCE, CLUSTERCTRL: BOOKWORM_NODE, DHCLIENT: BOOKWORM_LEASES},
            "usb0",
            _seen("172.19.181.253/24", "172.19.181.254", DHCLIENT, "lease"),
            id="Bookworm node, unconfigured",
        ),
        pytest.param(_main(BOOKWORM_CNAT), "brint", _seen("172.19.180.254/24", None, MAIN), id="address and netmask"),
        pytest.param(_main(BOOKWORM_NODE), "usb0", _seen("", None, MAIN, "dhcp"), id="DHCP without lease"),
        pytest.param(_main(BOOKWORM_CNAT), "ethpi1", None, id="manual"),
        pytest.param(_main(b""), "usb0", None, id="empty"),
        pytest.param({}, "usb0", None, id="no file"),
        pytest.param({MAIN: b"", OWN: RIGHT}, "usb0", None, id="folder not included"),
        pytest.param(
            {MAIN: b"source-directory interfaces.d\n", OWN: RIGHT},
            "usb0",
            _seen("172.19.181.3/24", "172.19.181.254", OWN),
            id="folder included by source-directory, relative",
        ),
        pytest.param(
            {MAIN: b"source-directory /etc/network/interfaces.d\n", f"{OWN}.bak": RIGHT},
            "usb0",
            None,
            id="source-directory takes no dot",
        ),
        pytest.param(
            {MAIN: SOURCE, f"{OWN}.bak": RIGHT},
            "usb0",
            _seen("172.19.181.3/24", "172.19.181.254", f"{OWN}.bak"),
            id="source takes a dot",
        ),
        pytest.param({MAIN: SOURCE, f"{FOLDER}/.usb0": RIGHT}, "usb0", None, id="source takes no leading dot"),
        pytest.param(
            {MAIN: b"source interfaces.d/a interfaces.d/b\n", f"{FOLDER}/b": RIGHT},
            "usb0",
            None,
            id="second word of source",
        ),
        pytest.param(
            _main(RIGHT + ALIAS),
            "usb0",
            replace(_seen("172.19.181.3/24", "172.19.181.254", MAIN), aliases=ALIASED),
            id="alias",
        ),
        pytest.param(_main(ALIAS), "usb0", replace(_seen("", None, MAIN), aliases=ALIASED), id="alias alone"),
        pytest.param(
            _main(RIGHT + ALIAS.replace(b"auto", b"#")),
            "usb0",
            _seen("172.19.181.3/24", "172.19.181.254", MAIN),
            id="alias not at boot",
        ),
        pytest.param(_main(ALIAS), "usb", None, id="alias of another"),
    ],
)
def test_ifupdown_files_say_what_ifup_would_do(
    files: Mapping[str, bytes], interface: str, want: Configured | None
) -> None:
    assert configured(files, "ifupdown", interface) == want


# Each answer was compared with `ifup -n -v` of ifupdown 0.8.41.
@pytest.mark.parametrize(
    ("body", "addresses", "gateway"),
    [
        pytest.param(b"address 10.19.181.3", "10.19.181.3/8", None, id="class A"),
        pytest.param(b"address 172.19.181.3", "172.19.181.3/16", None, id="class B"),
        pytest.param(b"address 1.2.3.4/24\nnetmask 255.255.0.0", "1.2.3.4/16", None, id="netmask wins"),
        pytest.param(b"address 1.2.3.4\nnetmask 20", "1.2.3.4/20", None, id="netmask as length"),
        pytest.param(b"address 1.2.3.4/255.255.255.0", "1.2.3.4/24", None, id="slash mask"),
        pytest.param(b"address 1.2.3.4/24 # c\ngateway 1.2.3.9 # x", "1.2.3.4/24", "1.2.3.9", id="comments"),
        pytest.param(b"address 1.2.3.4/24\naddress 1.2.3.5/24", "1.2.3.4/24", None, id="first address"),
        pytest.param(b"address 1.2.3.4\nnetmask 24\nnetmask 24", "", None, id="two masks"),
        pytest.param(b"address 1.2.3.4/24\ngateway 1.2.3.9\ngateway 1.2.3.8", "1.2.3.4/24", None, id="two gateways"),
        pytest.param(b"# x \\\naddress \\\n 1.2.3.4/24", "1.2.3.4/24", None, id="comment is not continued"),
        pytest.param(b"address 1.2.3.4/24\\", "1.2.3.4/24", None, id="backslash at the end"),
        pytest.param(b"address 1.2.3.4/24\r\ngateway 1.2.3.9\r", "1.2.3.4/24", "1.2.3.9", id="CRLF"),
        pytest.param(b"address 1.2.3.4/24\nup x\\\\", "1.2.3.4/24", None, id="two backslashes at the end"),
        pytest.param(b"\\\n address 1.2.3.4/24", "", None, id="continued from nothing"),
        pytest.param(b"address 1.2.3.4/24\niface usb0 inet static", "", None, id="stanza without address"),
        pytest.param(b"\t\n\n  address\t\t1.2.3.4/24", "1.2.3.4/24", None, id="white space"),
        pytest.param(b"ADDRESS 1.2.3.4/24", "", None, id="case counts"),
        pytest.param(b"address 1.2.3.4/33", "", None, id="no such length"),
        pytest.param(b"address 1.2.3.4\nnetmask 255.0.255.0", "", None, id="mask with a hole"),
        pytest.param(b"address 1.2.3.999/24\ngateway none", "", None, id="no addresses"),
        pytest.param(
            b"address 1.2.3.4/24\niface usb0 inet static\naddress 5.6.7.8/8\ngateway 5.6.7.9\n"
            b"iface usb0 inet6 static\naddress fd00::1/64\niface usb1 inet static\naddress 9.9.9.9/8",
            "1.2.3.4/24 5.6.7.8/8",
            "5.6.7.9",
            id="several stanzas",
        ),
    ],
)
def test_options_of_a_stanza_are_read_as_by_ifup(body: bytes, addresses: str, gateway: str | None) -> None:
    files = _main(b"auto usb0\niface usb0 inet static\n" + body)
    assert configured(files, "ifupdown", "usb0") == _seen(addresses, gateway, MAIN)


@pytest.mark.parametrize(
    ("line", "want"),
    [
        pytest.param(b"auto usb0", True, id="auto"),
        pytest.param(b"auto lo usb0", True, id="among others"),
        pytest.param(b"allow-auto usb0", True, id="allow-auto"),
        pytest.param(b"allow-hotplug usb0", True, id="hotplug"),
        pytest.param(b"auto /usb*", True, id="pattern"),
        pytest.param(b"no-auto-down usb0", False, id="no-auto-down"),
        pytest.param(b"#auto usb0", False, id="comment"),
        pytest.param(b"auto usb00", False, id="other"),
    ],
)
def test_interface_comes_up_at_boot_only_when_told_to(line: bytes, want: bool) -> None:  # noqa: FBT001
    seen = configured(_main(line + b"\niface usb0 inet static\naddress 172.19.181.3/24\n"), "ifupdown", "usb0")
    assert seen is not None
    assert seen.is_automatic is want


@pytest.mark.parametrize(
    ("tool", "files"),
    [
        pytest.param("ifupdown", _main(b"foo bar\n"), id="option outside a stanza"),
        pytest.param("ifupdown", _main(b"iface usb0 inet static\naddress\n"), id="option without value"),
        pytest.param("ifupdown", _main(b"iface usb0 static\n"), id="no family"),
        pytest.param("ifupdown", _main(b"iface usb0 inet fixed\n"), id="no such method"),
        pytest.param("ifupdown", _main(b"iface usb0 inherits usb1\n"), id="inherits"),
        pytest.param("ifupdown", _main(b"mapping usb*\nscript x\n"), id="mapping"),
        pytest.param("ifupdown", _main(b"auto usb0=home\niface usb0 inet dhcp\n"), id="another's stanza"),
        pytest.param("ifupdown", _main(b"source /etc/network/more\n"), id="included file not read"),
        pytest.param("ifupdown", _main(b"source $HOME/x\n"), id="shell in a path"),
        pytest.param("ifupdown", _main(b"\0"), id="NUL"),
        pytest.param("ifupdown", {MAIN: BOOKWORM_NODE, DHCLIENT: BOOKWORM_LEASES * 2}, id="two leases"),
        pytest.param("ifupdown", {MAIN: BOOKWORM_NODE, DHCLIENT: b"lease {"}, id="open brace"),
        pytest.param("dhcpcd", {DHCPCD: b"\0"}, id="dhcpcd NUL"),
        pytest.param("networkd", {f"{NETWORKD}/a.network": b"[Match]\nType=ether\n"}, id="match by type"),
        pytest.param("NetworkManager", {f"{NM}/a.nmconnection": KEYFILE, f"{NM}/b.nmconnection": KEYFILE}, id="two"),
    ],
)
def test_what_files_alone_do_not_decide_is_unknown(tool: Tool, files: Mapping[str, bytes]) -> None:
    with pytest.raises(ObservationError, match="/etc/"):
        configured(files, tool, "usb0")
    with pytest.raises(ObservationError, match="/etc/"):
        with_static(files, tool, "usb0", ADDRESS, GATEWAY)


def _dhcpcd(body: bytes) -> bytes:
    return b"interface usb0\n" + body


@pytest.mark.parametrize(
    ("content", "interface", "want"),
    [
        pytest.param(
            BULLSEYE_P1, "usb0", _seen("172.19.181.1/24", "172.19.181.254", DHCPCD, "fallback"), id="Bullseye P1"
        ),
        pytest.param(BULLSEYE, "br0", _seen("172.19.181.254/24", None, DHCPCD, "fallback"), id="Bullseye CNAT"),
        pytest.param(BULLSEYE, "ethpi1", None, id="denied"),
        pytest.param(BULLSEYE, "wlan0", None, id="not named"),
        pytest.param(
            _dhcpcd(b"static ip_address=1.2.3.4/24\n"), "usb0", _seen("1.2.3.4/24", None, DHCPCD), id="static"
        ),
        pytest.param(
            _dhcpcd(b"  static \tip_address=1.2.3.4/24\t# c\n ;x\nstatic routers=1.2.3.9 1.2.3.8\n"),
            "usb0",
            _seen("1.2.3.4/24", "1.2.3.9", DHCPCD),
            id="spaces, comments, two routers",
        ),
        pytest.param(
            _dhcpcd(b"static ip_address=1.2.3.4/24\ninterface eth1\nstatic routers=1.2.3.9\n"),
            "usb0",
            _seen("1.2.3.4/24", None, DHCPCD),
            id="block ends at the next",
        ),
        pytest.param(
            _dhcpcd(b"fallback p\nprofile p\nstatic ip_address=1.2.3.4/24\n") + _dhcpcd(b"static routers=1.2.3.9\n"),
            "usb0",
            _seen("1.2.3.4/24", "1.2.3.9", DHCPCD, "fallback"),
            id="two blocks of one name",
        ),
        pytest.param(_dhcpcd(b"fallback p\n"), "usb0", _seen("", None, DHCPCD, "dhcp"), id="no such profile"),
        pytest.param(_dhcpcd(b"static ip_address=1.2.3.4/24\r\n"), "usb0", _seen("", None, DHCPCD, "dhcp"), id="CRLF"),
        pytest.param(
            b"static ip_address=1.2.3.4/24\n", "usb0", _seen("1.2.3.4/24", None, DHCPCD), id="before any block"
        ),
        pytest.param(
            _dhcpcd(b"static subnet_mask=255.255.0.0\nstatic ip_address=1.2.3.4/24\nnogateway\nstatic routers=1.2.3.9"),
            "usb0",
            _seen("1.2.3.4/16", None, DHCPCD),
            id="mask apart, no gateway",
        ),
    ],
)
def test_dhcpcd_conf_is_read_as_by_dhcpcd(content: bytes, interface: str, want: Configured | None) -> None:
    assert configured({DHCPCD: content}, "dhcpcd", interface) == want


@pytest.mark.parametrize(
    ("files", "want"),
    [
        pytest.param({"a": UNIT}, _seen("172.19.181.3/24", "172.19.181.254", "a"), id="plain"),
        pytest.param({"a": UNIT.replace(b"usb0", b"br0")}, None, id="another's"),
        pytest.param(
            {"a": b"", "b": UNIT.replace(b"=usb0", b"=eth0 usb*")},
            _seen("172.19.181.3/24", "172.19.181.254", "b"),
            id="glob",
        ),
        pytest.param({"a": UNIT.replace(b"=usb0", b"=!usb*")}, None, id="all but"),
        pytest.param(
            {"a": UNIT.replace(b"3/24", b"9/24"), "b": UNIT},
            _seen("172.19.181.9/24", "172.19.181.254", "a"),
            id="first file",
        ),
        pytest.param(
            {
                "a": b"[Match]\nName=usb0\n[Address]\nAddress = 1.2.3.4/24\n"
                b"[Route]\nDestination=9.0.0.0/8\nGateway=1.2.3.8\n"
                b"[Route]\nGateway=1.2.3.9\n[Address]\nAddress=fd00::1/64\n"
            },
            _seen("1.2.3.4/24", "1.2.3.9", "a"),
            id="sections",
        ),
        pytest.param(
            {"a": UNIT + b"Address=\nAddress=1.2.3.4/24\n"}, _seen("1.2.3.4/24", "172.19.181.254", "a"), id="taken back"
        ),
        pytest.param({"a": b"[Match]\nName=usb0\n[Network]\nDHCP=yes\n"}, _seen("", None, "a", "dhcp"), id="DHCP"),
        pytest.param({"a": b"[Network]\nAddress=1.2.3.4/24\n"}, None, id="matches nothing"),
    ],
)
def test_networkd_takes_the_first_file_that_matches(files: Mapping[str, bytes], want: Configured | None) -> None:
    seen = configured({f"{NETWORKD}/{name}.network": content for name, content in files.items()}, "networkd", "usb0")
    if want is not None:
        want = Configured(want.addresses, want.gateway, f"{NETWORKD}/{want.path}.network", True, want.how)  # noqa: FBT003
    assert seen == want


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(KEYFILE, _seen("172.19.181.3/24", "172.19.181.254", f"{NM}/a.nmconnection"), id="manual"),
        pytest.param(KEYFILE.replace(b"=usb0\n\n", b"=eth0\n"), None, id="another's"),
        pytest.param(
            KEYFILE.replace(b"id=", b"autoconnect=false\nid="),
            _seen("172.19.181.3/24", "172.19.181.254", f"{NM}/a.nmconnection", auto=False),
            id="not at boot",
        ),
        pytest.param(KEYFILE.replace(b"manual", b"disabled"), None, id="no IPv4"),
    ],
)
def test_keyfiles_are_read_and_left_to_their_owner(content: bytes, want: Configured | None) -> None:
    files = {f"{NM}/a.nmconnection": content}
    assert configured(files, "NetworkManager", "usb0") == want
    assert with_static(files, "NetworkManager", "usb0", IPv4Interface("10.0.0.1/8"), None) is None


ADDED = b"auto usb0\niface usb0 inet static\n    address 172.19.181.3/24\n    gateway 172.19.181.254\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(RIGHT, RIGHT, id="right"),
        pytest.param(RIGHT.replace(b".3/", b".13/"), RIGHT, id="wrong address"),
        pytest.param(RIGHT.replace(b"/24", b"/16"), RIGHT, id="wrong length"),
        pytest.param(RIGHT.replace(b".254", b".1"), RIGHT, id="wrong gateway"),
        pytest.param(RIGHT.replace(b".254", b".1\n    gateway 9.9.9.9"), RIGHT, id="two gateways"),
        pytest.param(RIGHT.replace(b"    gateway 172.19.181.254\n", b""), RIGHT, id="no gateway"),
        pytest.param(RIGHT.replace(b"auto usb0\n", b"# c\n"), b"# c\n" + RIGHT, id="not at boot"),
        pytest.param(b"", ADDED, id="empty"),
        pytest.param(b"auto lo", b"auto lo\n\n" + ADDED, id="no last newline"),
        pytest.param(
            b"auto usb0\r\niface usb0 inet static\r\n\tnetmask\t255.255.0.0\r\n# c\r\n\taddress  10.0.0.1\r\nauto x",
            b"auto usb0\r\niface usb0 inet static\r\n\tnetmask\t255.255.255.0\r\n# c\r\n\taddress  172.19.181.3\r\n"
            b"\tgateway 172.19.181.254\r\nauto x",
            id="CRLF, netmask apart, spacing",
        ),
        pytest.param(
            BOOKWORM_NODE,
            b"auto usb0\niface usb0 inet static\n\taddress 172.19.181.3/24\n\tgateway 172.19.181.254\n\tmetric 1000\n",
            id="DHCP without lease",
        ),
        pytest.param(
            b"auto usb0\niface usb0 \\\n inet manual\n  up x \\\n  y\n  address \\\n  1.1.1.1\n",
            b"auto usb0\niface usb0 \\\n inet static\n  up x \\\n  y\n  address 172.19.181.3/24\n"
            b"  gateway 172.19.181.254\n",
            id="continuations",
        ),
        pytest.param(
            RIGHT + b"\niface usb0 inet static\n  address 10.0.0.1/8\n  up x\niface usb0 inet6 auto\n",
            RIGHT + b"\niface usb0 inet manual\n  up x\niface usb0 inet6 auto\n",
            id="second stanza",
        ),
    ],
)
def test_stanza_is_mended_where_it_stands(before: bytes, after: bytes) -> None:
    want = Edit(MAIN, before, after)
    assert with_static(_main(before), "ifupdown", "usb0", ADDRESS, GATEWAY) == want


def test_bridge_options_of_the_controller_stay() -> None:
    broken = LAB_CNAT.replace(b"address 172.19.181.254/24", b"address 172.19.181.1/24\n    gateway 10.0.0.1")
    edit = with_static({MAIN: SOURCE, CLUSTERCTRL: broken}, "ifupdown", "br0", CNAT, None)
    assert edit == Edit(CLUSTERCTRL, broken, LAB_CNAT)


@pytest.mark.parametrize(
    ("files", "path"),
    [
        pytest.param({MAIN: SOURCE}, OWN, id="folder included"),
        pytest.param({MAIN: b"auto lo\n", CLUSTERCTRL: b"# not read\n"}, MAIN, id="folder not included"),
        pytest.param({}, MAIN, id="nothing there"),
    ],
)
def test_missing_stanza_goes_where_ifup_reads_it(files: Mapping[str, bytes], path: str) -> None:
    edit = with_static(files, "ifupdown", "usb0", ADDRESS, GATEWAY)
    assert edit is not None
    assert (edit.path, edit.before, edit.after.endswith(ADDED)) == (path, files.get(path), True)


def test_lease_of_bookworm_is_mended_where_it_stands() -> None:
    files = {MAIN: SOURCE, CLUSTERCTRL: BOOKWORM_NODE, DHCLIENT: BOOKWORM_LEASES}
    after = BOOKWORM_LEASES.replace(b"181.253;", b"181.3;")
    assert with_static(files, "ifupdown", "usb0", ADDRESS, GATEWAY) == Edit(DHCLIENT, BOOKWORM_LEASES, after)


@pytest.mark.parametrize(
    ("line", "gateway", "want"),
    [
        pytest.param(
            b"", GATEWAY, b"\n  option subnet-mask 255.255.255.0;\n  option routers 172.19.181.254;", id="add"
        ),
        pytest.param(
            b"\n  option routers 1.1.1.1 , 2.2.2.2;", None, b"\n  option subnet-mask 255.255.255.0;\n  ", id="drop"
        ),
    ],
)
def test_lease_gets_and_loses_its_options(line: bytes, gateway: IPv4Address | None, want: bytes) -> None:
    lease = b'lease {\n  interface "usb0";\n  fixed-address 1.1.1.1;%s\n}\n'
    edit = with_static({MAIN: BOOKWORM_NODE, DHCLIENT: lease % line}, "ifupdown", "usb0", ADDRESS, gateway)
    assert edit is not None
    assert edit.after == (lease % want).replace(b"1.1.1.1", b"172.19.181.3")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(BULLSEYE, BULLSEYE.replace(b"181.253/24", b"181.3/24"), id="own profile"),
        pytest.param(
            BULLSEYE.replace(b"fallback_br0\n", b"fallback_usb0\n"),
            BULLSEYE.replace(b"fallback_br0\n", b"fallback_usb0\n").replace(
                b"interface usb0\n",
                b"interface usb0\nstatic ip_address=172.19.181.3/24\nstatic routers=172.19.181.254\n",
            ),
            id="shared profile",
        ),
        pytest.param(
            b"hostname",
            b"hostname\n\ninterface usb0\nstatic ip_address=172.19.181.3/24\nstatic routers=172.19.181.254\n",
            id="no block",
        ),
        pytest.param(
            _dhcpcd(b" static ip_address=1.1.1.1/8  # why\nstatic subnet_mask=255.0.0.0\nnoarp\nprofile p\n"),
            _dhcpcd(b" static ip_address=172.19.181.3/24  # why\nstatic routers=172.19.181.254\nnoarp\nprofile p\n"),
            id="own block",
        ),
    ],
)
def test_dhcpcd_block_or_profile_is_mended_where_it_stands(before: bytes, after: bytes) -> None:
    assert with_static({DHCPCD: before}, "dhcpcd", "usb0", ADDRESS, GATEWAY) == Edit(DHCPCD, before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(UNIT.replace(b".3/24", b".9/16\nAddress=10.0.0.1/8"), UNIT, id="addresses"),
        pytest.param(UNIT.replace(b"Gateway=172.19.181.254", b"Gateway=1.1.1.1"), UNIT, id="gateway"),
        pytest.param(
            b"[Match]\nName=usb0\n[Network]\nDNS=8.8.8.8",
            b"[Match]\nName=usb0\n[Network]\nAddress=172.19.181.3/24\nGateway=172.19.181.254\nDNS=8.8.8.8",
            id="neither",
        ),
        pytest.param(UNIT.partition(b"\n[Net")[0], UNIT, id="no section"),
    ],
)
def test_own_unit_is_mended_where_it_stands(before: bytes, after: bytes) -> None:
    path = f"{NETWORKD}/20-x.network"
    assert with_static({path: before}, "networkd", "usb0", ADDRESS, GATEWAY) == Edit(path, before, after)


@pytest.mark.parametrize(
    ("other", "want"),
    [
        pytest.param("80-all", "10-usb0", id="after"),
        pytest.param("07-all", "05-usb0", id="before"),
        pytest.param("00-all", None, id="no place before it"),
    ],
)
def test_shared_unit_is_left_and_a_unit_put_before_it(other: str, want: str | None) -> None:
    files = {f"{NETWORKD}/{other}.network": UNIT.replace(b"=usb0", b"=*").replace(b".3/", b".9/")}
    edit = with_static(files, "networkd", "usb0", ADDRESS, GATEWAY)
    assert edit == (None if want is None else Edit(f"{NETWORKD}/{want}.network", None, UNIT))


@pytest.mark.parametrize(
    ("tool", "files"),
    [
        pytest.param("ifupdown", {MAIN: SOURCE + RIGHT, OWN: RIGHT.replace(b".3/", b".4/")}, id="two files"),
        pytest.param("ifupdown", {MAIN: RIGHT + ALIAS}, id="alias in the same network"),
        pytest.param("dhcpcd", {DHCPCD: b"denyinterfaces usb*\n"}, id="denied"),
        pytest.param("dhcpcd", {DHCPCD: b"nogateway\n"}, id="no gateway allowed"),
    ],
)
def test_what_one_edit_does_not_mend_is_left_to_a_person(tool: Tool, files: Mapping[str, bytes]) -> None:
    assert with_static(files, tool, "usb0", ADDRESS, GATEWAY) is None


def test_further_address_in_a_foreign_network_does_no_harm() -> None:
    files = {MAIN: RIGHT + ALIAS.replace(b"172.19.181.99", b"10.9.9.9")}
    seen = configured(files, "ifupdown", "usb0")
    assert seen is not None
    assert meets(seen, Wish(ADDRESS, GATEWAY))
    assert with_static(files, "ifupdown", "usb0", ADDRESS, GATEWAY) == Edit(MAIN, files[MAIN], files[MAIN])


@pytest.mark.parametrize("gateway", ["10.0.0.1", "172.19.181.3"])
def test_gateway_out_of_reach_is_refused(gateway: str) -> None:
    with pytest.raises(UsageError, match=gateway):
        with_static({}, "ifupdown", "usb0", ADDRESS, IPv4Address(gateway))


@pytest.mark.parametrize("name", ["", "a b", "../x", "usb0\n", "a" * 16, "-x", "*"])
def test_name_that_no_interface_has_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="name of an interface"):
        configured({}, "dhcpcd", name)


@pytest.mark.parametrize("tool", get_args(Tool))
def test_large_hostile_files_take_no_time(tool: Tool) -> None:
    paths = [path.replace("*", "x") for path in PATHS[tool]]
    started = process_time()
    for content in (b"#" + b" " * 300_000, b"iface usb0 inet static\n" + b"a \\\n" * 50_000, b'"\\' * 100_000):
        try:
            with_static({**dict.fromkeys(paths, content), MAIN: SOURCE}, tool, "usb0", ADDRESS, GATEWAY)
        except ObservationError:
            continue
    assert process_time() - started < 5


PIECES = st.sampled_from(
    rb"""auto usb0\n|allow-hotplug usb0 br0\n|iface usb0 inet static\n|iface usb0 inet dhcp\n|iface br0 inet manual\n
|iface usb0 inet6 auto\n|\taddress 172.19.181.3/24\n|  address 10.0.0.9\r\n|    netmask 255.255.0.0\n|  # note\n|\n
|  gateway 172.19.181.254\n|gateway 10.0.0.1\n|  up route add \\\n|  address \\\n|interface usb0\n|profile p\n
|interface br0\n|fallback p\n|static ip_address=172.19.181.3/24 #c\n|static ip_address=10.0.0.1/8\n|nogateway\n
|static routers=172.19.181.254\n|static routers=10.0.0.2\n|[Match]\n|Name=usb0\n|Name=usb*\n|[Network]\r\n
|[Address]\n|Address=10.0.0.1/8\n|Address=172.19.181.3/24\n|Address=\n|Gateway=10.0.0.2\n|Gateway=\n|[Route]\n
|auto usb0:1\n|iface usb0:1 inet static\n
|DHCP=yes\n|DNS=8.8.8.8\\\n|; c\n|lease {\n|interface "usb0";|fixed-address 1.1.1.1;\n|option routers 1.1.1.2;\n
|option subnet-mask 255.0.0.0;|}\n|\xe9\xff\n|\\""".decode("unicode_escape")
    .encode("latin-1")
    .replace(b"\n\n|", b"\n|")
    .split(b"|")
)
CONTENTS = st.binary(max_size=60) | st.lists(PIECES, max_size=14).map(b"".join)
ALL_PATHS = [
    MAIN,
    OWN,
    DHCLIENT,
    DHCPCD,
    f"{NETWORKD}/10-usb0.network",
    f"{NETWORKD}/50-x.network",
    f"{NM}/a.nmconnection",
]
FILES = st.dictionaries(st.sampled_from(ALL_PATHS), CONTENTS)
OURS = (b"address", b"netmask", b"gateway", b"static ip_address", b"static routers", b"static subnet_mask")
KEYS = (*OURS, b"Address", b"Gateway", b"iface", b"auto", b"fixed-address", b"option", b"interface")


@given(FILES, st.sampled_from(get_args(Tool)), st.sampled_from([GATEWAY, None]))
def test_edit_brings_what_was_asked_and_then_rests(
    files: dict[str, bytes], tool: Tool, gateway: IPv4Address | None
) -> None:
    try:
        edit = with_static(files, tool, "usb0", ADDRESS, gateway)
    except ObservationError:
        return
    if edit is None:
        return
    after = {**files, edit.path: edit.after}
    seen = configured(after, tool, "usb0")
    assert seen is not None
    assert (seen.addresses, seen.gateway, seen.is_automatic) == ((ADDRESS,), gateway, True)
    assert not [one for one in seen.aliases if one in ADDRESS.network]
    assert with_static(after, tool, "usb0", ADDRESS, gateway) == Edit(seen.path, after[seen.path], after[seen.path])


@given(FILES, st.sampled_from(get_args(Tool)))
def test_foreign_lines_stay_in_order_byte_for_byte(files: dict[str, bytes], tool: Tool) -> None:
    try:
        edit = with_static(files, tool, "usb0", ADDRESS, GATEWAY)
    except ObservationError:
        return
    if edit is None or b"\\" in (edit.before or b""):  # a continued line is ours as a whole
        return
    after = iter(edit.after.split(b"\n"))
    for line in (edit.before or b"").split(b"\n"):
        if line and not any(key in line for key in KEYS):
            assert line in after  # consumes the iterator up to the match: a subsequence


@given(st.lists(PIECES.filter(lambda piece: b"\\" not in piece), max_size=14).map(b"".join))
def test_every_sound_file_of_ifupdown_can_be_mended(content: bytes) -> None:
    try:
        assert with_static({MAIN: content}, "ifupdown", "usb0", ADDRESS, GATEWAY) is not None
    except ObservationError:
        return


@given(st.lists(PIECES, max_size=14).map(b"".join))
def test_every_dhcpcd_conf_without_a_ban_on_gateways_can_be_mended(content: bytes) -> None:
    content = content.replace(b"nogateway", b"nohook x").replace(b"\\", b"")
    # An address for all interfaces comes before that of one.
    assert with_static({DHCPCD: b"ssid x\n" + content}, "dhcpcd", "usb0", ADDRESS, GATEWAY) is not None
