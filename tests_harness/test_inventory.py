"""The inventory: an empty file is the documented cluster, and every mistake in one is one sentence."""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.inventory import Cluster, load, parse
from harness.reach import find_cluster

P1 = '[[nodes]]\nname = "p1"\n'
WRITTEN_OUT = """
[[nodes]]
name = "zero"
address = "172.19.181.1"
mac = "00:22:82:FF:FF:01"
alias = "pizero"
port = "p1"
link = "ethpi1"
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "cluster.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(file: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    return message.removeprefix(f"{file}: ")


def test_an_empty_file_is_the_documented_cluster(tmp_path: Path) -> None:
    cluster = load(written(tmp_path, ""))
    assert cluster.names == ("cnat", "p1", "p2", "p3", "p4")
    assert str(cluster.subnet) == "172.19.181.0/24"
    assert (str(cluster.controller.address), cluster.controller.bridge) == ("172.19.181.254", "br0")
    assert (cluster.ssh.host, cluster.ssh.port, cluster.ssh.user, cluster.ssh.direct) == ("cnat.local", 22, "pi", False)
    assert [str(node.address) for node in cluster.nodes] == [f"172.19.181.{n}" for n in range(1, 5)]
    assert [node.mac for node in cluster.nodes] == [f"00:22:82:ff:ff:0{n}" for n in range(1, 5)]
    assert [(node.alias, node.port, node.link, node.interface) for node in cluster.nodes] == [
        (f"pi{n}", f"p{n}", f"ethpi{n}", "usb0") for n in range(1, 5)
    ]


def test_the_shipped_file_is_the_documented_cluster_but_for_the_way_in_and_the_system_of_the_lab() -> None:
    shipped = load(Path(__file__).parents[1] / "cluster.toml")
    empty = parse({}, "", Path())
    assert shipped.model_dump(exclude={"ssh", "os"}) == empty.model_dump(exclude={"ssh", "os"})
    assert shipped.os == find_cluster("lab").os


def test_the_documented_system_is_the_32_bit_raspberry_pi_os(tmp_path: Path) -> None:
    documented = load(written(tmp_path, "")).os
    assert (documented.id, documented.codenames) == ("raspbian", ("bullseye", "bookworm"))
    assert (documented.architecture, documented.word_size) == ("armhf", 32)
    assert (documented.user, documented.groups) == ("pi", ("sudo",))


@pytest.mark.parametrize(("architecture", "bits"), [("armhf", 32), ("armel", 32), ("arm64", 64), ("amd64", 64)])
def test_an_architecture_brings_its_word_size(architecture: str, bits: int) -> None:
    assert parse({"os": {"architecture": architecture}}, "", Path()).os.word_size == bits


def test_an_architecture_that_is_none_is_refused_with_those_there_are(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, '[os]\narchitecture = "armv6l"'))
    assert message == "os.architecture: expected one of armhf, armel, arm64, amd64, got 'armv6l'"


def test_a_name_pn_brings_the_documented_rest_with_it_in_the_subnet_at_hand(tmp_path: Path) -> None:
    text = 'subnet = "10.0.0.0/16"\ncontroller = {address = "10.0.9.9"}\n[[nodes]]\nname = "p16"\n'
    node = load(written(tmp_path, text)).node("p16")
    assert (str(node.address), node.mac, node.alias, node.port, node.link) == (
        "10.0.0.16", "00:22:82:ff:ff:10", "pi16", "p16", "ethpi16",
    )  # fmt: skip


def test_what_is_written_wins_over_what_is_documented(tmp_path: Path) -> None:
    node = load(written(tmp_path, P1 + 'mac = "02:00:00:00:00:AA"\ninterface = "eth0"')).node("p1")
    assert (node.mac, node.interface, node.port) == ("02:00:00:00:00:aa", "eth0", "p1")


def test_a_node_may_have_any_name_when_the_rest_is_written_out(tmp_path: Path) -> None:
    cluster = load(written(tmp_path, WRITTEN_OUT))
    assert cluster.names == ("cnat", "zero")
    assert cluster.node("zero").mac == "00:22:82:ff:ff:01"
    assert cluster.address("zero") == IPv4Address("172.19.181.1")
    assert cluster.interface_of("cnat") == IPv4Interface("172.19.181.254/24")


def test_the_documented_swarm_has_web_on_the_nodes_and_sql_on_the_controller(tmp_path: Path) -> None:
    cluster = load(written(tmp_path, ""))
    assert [cluster.label_of(name) for name in cluster.names] == ["sql", "web", "web", "web", "web"]
    assert (cluster.engine.package, cluster.swarm.port, cluster.swarm.label) == ("docker.io", 2377, "service")


def test_paths_are_relative_to_the_folder_of_the_inventory(tmp_path: Path) -> None:
    cluster = load(written(tmp_path, 'ssh = {identity = "/keys/id"}'))
    assert cluster.path(cluster.ssh.known_hosts) == tmp_path / "known_hosts"
    assert cluster.path(cluster.ssh.identity or Path()) == Path("/keys/id")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("colour = 1", ("colour: unknown key", "expected one of name, subnet, ssh"), id="key at the top"),
        pytest.param("ssh = {colour = 1}", ("ssh.colour: unknown key", "host, port, user"), id="key in ssh"),
        pytest.param(
            "controller = {mac = 1}", ("controller.mac: unknown key", "name, address, bridge"), id="key in controller"
        ),
        pytest.param(P1 + "colour = 1", ("nodes[0].colour: unknown key", "name, address, mac"), id="key in a node"),
        pytest.param('folder = "/"', ("folder: unknown key", "expected one of name"), id="the key that is only ours"),
        pytest.param(
            P1 + 'address = "1.2.3"', ("nodes[0].address", "expected an IPv4 address", "'1.2.3'"), id="address"
        ),
        pytest.param(P1 + 'address = "fe80::1"', ("nodes[0].address", "expected an IPv4 address"), id="IPv6"),
        pytest.param(P1 + 'mac = "00:22:82"', ("nodes[0].mac", "expected a MAC address", "'00:22:82'"), id="mac"),
        pytest.param(
            'subnet = "172.19.181.1/24"', ("subnet: expected an IPv4 network", "172.19.181.1/24"), id="subnet"
        ),
        pytest.param('ssh = {host = ""}', ("ssh.host", "got ''"), id="host"),
        pytest.param(
            'ssh = {host = "pi@cnat"}', ("ssh.host: expected a host name or an address alone",), id="user in the host"
        ),
        pytest.param("ssh = {port = 0}", ("ssh.port", "expected 1 or more", "got 0"), id="port"),
        pytest.param('ssh = {port = "twenty"}', ("ssh.port", "expected a whole number", "'twenty'"), id="type"),
        pytest.param('ssh = {user = "Pi;"}', ("ssh.user", "'Pi;'"), id="user"),
        pytest.param("ssh = {wait = 0}", ("ssh.wait", "expected more than 0", "got 0"), id="wait"),
        pytest.param("ssh = {limit = inf}", ("ssh.limit", "expected 3600 or less", "got inf"), id="limit"),
        pytest.param("ssh = 1", ("ssh", "got 1"), id="no table"),
        pytest.param('name = "a/b"', ("name", "got 'a/b'"), id="name of the cluster"),
        pytest.param(
            'controller = {name = "CNAT"}', ("controller.name: expected a host name", "'CNAT'"), id="host name"
        ),
        pytest.param('controller = {bridge = "br0; id"}', ("controller.bridge", "'br0; id'"), id="interface"),
        pytest.param(P1 + 'port = "1"', ("nodes[0].port", "got '1'"), id="HAT port"),
        pytest.param(P1 + P1, ("name p1 is given to 2 machines",), id="name twice"),
        pytest.param(
            P1 + '[[nodes]]\nname = "p2"\naddress = "172.19.181.1"',
            ("address 172.19.181.1 is given to 2",),
            id="address twice",
        ),
        pytest.param(
            P1 + '[[nodes]]\nname = "p2"\nmac = "00:22:82:FF:FF:01"',
            ("mac 00:22:82:ff:ff:01 is given to 2",),
            id="mac twice",
        ),
        pytest.param(P1 + '[[nodes]]\nname = "p2"\nport = "p1"', ("port p1 is given to 2",), id="port twice"),
        pytest.param(P1 + '[[nodes]]\nname = "p2"\nlink = "ethpi1"', ("link ethpi1 is given to 2",), id="link twice"),
        pytest.param(P1 + '[[nodes]]\nname = "p2"\nalias = "pi1"', ("alias pi1 is given to 2",), id="alias twice"),
        pytest.param(
            P1 + '[[nodes]]\nname = "p2"\nalias = "p1"', ("name or alias p1 is given to 2",), id="alias is a name"
        ),
        pytest.param(P1 + 'alias = "cnat"', ("name or alias cnat is given to 2",), id="alias is the controller"),
        pytest.param('controller = {name = "p3"}', ("p3 is given to 2",), id="name of the controller"),
        pytest.param(
            'controller = {address = "172.19.181.3"}',
            ("address 172.19.181.3 is given to 2",),
            id="address of the controller",
        ),
        pytest.param(
            P1 + 'address = "10.0.0.1"', ("10.0.0.1 is not a host address of the subnet 172.19.181.0/24",), id="outside"
        ),
        pytest.param(P1 + 'address = "172.19.181.255"', ("172.19.181.255 is not a host address",), id="broadcast"),
        pytest.param(
            'controller = {address = "10.0.0.1"}', ("10.0.0.1 is not a host address",), id="controller outside"
        ),
        pytest.param("engine = {name = 1}", ("engine.name: unknown key", "one of package"), id="key in engine"),
        pytest.param('engine = {package = "docker io"}', ("engine.package", "'docker io'"), id="package"),
        pytest.param("swarm = {colour = 1}", ("swarm.colour: unknown key", "port, label"), id="key in swarm"),
        pytest.param('swarm = {label = "a b"}', ("swarm.label", "'a b'"), id="label"),
        pytest.param("mpi = {deadline = 1}", ("mpi.deadline", "got 1"), id="no time for a job"),
        pytest.param("swarm = {certificate_days = 90}", ("swarm.certificate_days", "got 90"), id="certificate"),
        pytest.param(
            '[swarm.placement]\nweb = ["p1", "p9"]', ("swarm.placement: p9 is not a machine", "cnat, p1"), id="placed"
        ),
        pytest.param(
            '[swarm.placement]\nweb = ["p1"]\nsql = ["p1"]', ("placement: p1 is named 2 times",), id="placed twice"
        ),
        pytest.param("web = 3", ("web: expected a table of keys and values, got 3",), id="web is a number"),
        pytest.param("web = {colour = 1}", ("web.colour: unknown key", "service, port"), id="key in web"),
        pytest.param('web = {login = "root"}', ("web.login: root is no seeded user", "admin, user"), id="who signs in"),
        pytest.param('database = {name = "a; b"}', ("database.name", "'a; b'"), id="name in SQL"),
        pytest.param('database = {data = "here"}', ("database.data", "'here'"), id="relative folder"),
        pytest.param("database = {users = []}", ("database.users", "expected 1 or more"), id="no users"),
        pytest.param(
            '[[database.users]]\nlogin = "user"\npassword = "x"', ("database.users[0].role: missing",), id="no role"
        ),
        pytest.param("database = {root_password = 4711}", ("root_password: expected a text",), id="password"),
        pytest.param("nodes = []", ("nodes: expected at least one node",), id="no nodes"),
        pytest.param("nodes = 4", ("nodes: expected tables written [[nodes]]", "got 4"), id="nodes is a number"),
        pytest.param('nodes = ["p1"]', ("nodes[0]", "got 'p1'"), id="nodes are texts"),
        pytest.param(
            '[[nodes]]\nname = "zero"', ("nodes[0].address: missing", "p1 to p99", "4 more"), id="unconventional name"
        ),
        pytest.param("[[nodes]]", ("nodes[0].name: missing",), id="no name"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_its_key_and_what_was_expected(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    message = refusal(written(tmp_path, text))
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    "text",
    [
        "database = {root_password = 4711}",
        'database = {root_password = ["4711"]}',
        'database = {root_password = "4711\\n"}',
        f'database = {{root_password = "4711{"x" * 72}"}}',
        'database = {users = ["4711"]}',
        '[[database.users]]\nlogin = "user"\nrole = "USER"\npassword = 4711',
        '[[database.users]]\nlogin = 4711\nrole = "USER"\npassword = "x"',
    ],
)
def test_what_stands_where_a_password_belongs_is_never_shown(tmp_path: Path, text: str) -> None:
    assert "4711" not in refusal(written(tmp_path, text))


def test_passwords_are_masked_wherever_a_cluster_is_printed_and_compare_by_their_text(tmp_path: Path) -> None:
    cluster = load(written(tmp_path, 'database = {root_password = "4711"}'))
    printed = f"{cluster!r} {cluster} {cluster.model_dump()} {cluster.model_dump_json()}"
    for word in ("4711", "administer-the-hat", "count-on-the-hat"):
        assert word not in printed
    assert cluster.database.root_password.reveal() == "4711"
    assert cluster == load(tmp_path / "cluster.toml")
    assert cluster != load(written(tmp_path, ""))


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        pytest.param(b'name = "a"\nssh = \n', ("not TOML", "line 2"), id="not TOML"),
        pytest.param(b"[ssh]\n[ssh]\n", ("not TOML", "line 2"), id="table twice"),
        pytest.param(b'name = "caf\xe9"', ("cannot be read as a text file", "utf-8"), id="not UTF-8"),
    ],
)
def test_a_file_that_is_no_toml_says_where(tmp_path: Path, octets: bytes, words: tuple[str, ...]) -> None:
    file = tmp_path / "cluster.toml"
    file.write_bytes(octets)
    message = refusal(file)
    assert [word for word in words if word not in message] == [], message


def test_a_file_that_is_not_there_is_told_from_a_folder(tmp_path: Path) -> None:
    assert "no such inventory; expected a TOML file" in refusal(tmp_path / "nowhere.toml")
    assert "cannot be read" in refusal(tmp_path)


def test_a_node_is_not_looked_up_under_the_name_of_the_controller() -> None:
    with pytest.raises(KeyError):
        parse({}, "", Path()).node("cnat")


SCALARS = st.one_of(
    st.text(max_size=20), st.integers(), st.floats(), st.booleans(), st.dates(), st.datetimes(), st.times()
)
KEYS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["name", "subnet", "ssh", "controller", "nodes", "folder", "address", "mac", "alias", "port", "host"]
    ),
)
VALUES = st.recursive(
    st.one_of(SCALARS, st.sampled_from(["p1", "p99", "172.19.181.1", "0.0.0.0/0", "10.0.0.0/30", "00:22:82:ff:ff:01"])),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


def parsed(tables: dict[str, object]) -> Cluster | str:
    try:
        return parse(tables, "some.toml", Path())
    except UsageError as error:
        return str(error)


# The standard library's word on `false` where an address should be; nothing follows from it.
@pytest.mark.filterwarnings("ignore:__int__ returned non-int:DeprecationWarning")
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_whatever_toml_says_it_is_a_cluster_or_a_sentence(tables: dict[str, object]) -> None:
    found = parsed(tables)
    assert isinstance(found, Cluster) or (found.startswith("some.toml: ") and "\n" not in found)


@given(st.text(max_size=60))
def test_whatever_a_name_is_it_is_kept_or_refused(name: str) -> None:
    tables: dict[str, object] = {**tomllib.loads(WRITTEN_OUT)}
    tables["nodes"] = [{**tomllib.loads(WRITTEN_OUT)["nodes"][0], "name": name}]
    found = parsed(tables)
    if isinstance(found, Cluster):
        assert found.names == ("cnat", name)
    else:
        assert repr(name) in found or name in {"cnat", "pizero"}


def test_the_home_of_a_stranger_is_a_sentence_when_the_path_is_needed() -> None:
    cluster = parse({"ssh": {"identity": "~no-such-user/id"}}, "some.toml", Path())
    with pytest.raises(UsageError, match=r"^~no-such-user/id: no such home directory"):
        cluster.path(cluster.ssh.identity or Path())
