"""The listing of a firewall is read whole, and the question of address translation is answered from it."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.iptables import Rule, masquerades, table, tables

SAMPLES = Path(__file__).parents[1] / "fixtures" / "samples"
LISTED = (SAMPLES / "iptables-S.txt").read_text()
NAT = (SAMPLES / "iptables-S-nat.txt").read_text()
SAVED = (SAMPLES / "iptables-save.txt").read_text()
SUBNET = IPv4Network("172.19.181.0/24")
GOOD = "-s 172.19.181.0/24 ! -o br0 -j MASQUERADE"


def test_policies_and_rules_are_read() -> None:
    seen = table(LISTED)
    assert seen.policy("FORWARD") == "DROP"
    assert seen.chain("DOCKER-USER") == (Rule("DOCKER-USER", ("-j", "RETURN")),)
    assert seen.chain("FORWARD")[1].tokens == ("-i", "br0", "!", "-o", "br0", "-j", "ACCEPT")


def test_saved_tables_equal_the_listed_ones() -> None:
    saved = tables(SAVED)
    assert saved == {"filter": table(LISTED), "nat": table(NAT)}


def test_quoted_comment_is_one_word() -> None:
    seen = table('-A FORWARD -m comment --comment "a \\"quoted\\" com\\\\ment  x" -j ACCEPT')
    assert seen.rules[0].tokens[3] == 'a "quoted" com\\ment  x'


def test_policy_of_a_chain_that_is_not_listed_is_unknown() -> None:
    with pytest.raises(ObservationError, match="FORWARD"):
        table(NAT).policy("FORWARD")


def test_counters_of_a_saved_file_are_skipped() -> None:
    assert tables("*nat\n:A ACCEPT [1:2]\n[3:4] -A A -j B\nCOMMIT\n")["nat"].rules == (Rule("A", ("-j", "B")),)


def test_last_section_of_a_table_counts() -> None:
    assert tables("*nat\n-A A -j B\nCOMMIT\n*nat\nCOMMIT\n")["nat"].rules == ()


@pytest.mark.parametrize(
    "text",
    ["", "iptables: No chain/target/match by that name.", '-A A --comment "open', "-A", "-P INPUT", "*nat"],
)
def test_other_text_is_no_listing(text: str) -> None:
    with pytest.raises(ObservationError):
        table(text)


@pytest.mark.parametrize(
    "text", ["-A A -j B", "*nat\n-A A -j B\n", "*nat\n*filter\nCOMMIT", "COMMIT", "*nat\n-I A\nCOMMIT"]
)
def test_other_text_is_no_saved_file(text: str) -> None:
    with pytest.raises(ObservationError):
        tables(text)


def test_empty_saved_file_has_no_tables() -> None:
    assert tables("# nothing\n") == {}


def test_real_nat_table_translates() -> None:
    assert masquerades(table(NAT), SUBNET, "br0")


@pytest.mark.parametrize(
    "rules",
    [
        [GOOD],
        ["-s 172.19.181.0/24 -o eth0 -j MASQUERADE"],
        ["-o wlan0 -j MASQUERADE"],
        ["-s 172.19.0.0/16 -j MASQUERADE"],
        ["-s 172.19.181.0/255.255.255.0 -j MASQUERADE --random-fully"],
        ["--source 172.19.181.0/24 --out-interface eth+ --jump MASQUERADE"],
        ["-s 10.0.0.0/8,172.19.181.0/24 -j MASQUERADE"],
        ["-o eth0 -j SNAT --to-source 192.168.0.25"],
        ["-s 172.19.181.0/24 ! -d 172.19.181.0/24 -j MASQUERADE"],
        ["! -s 10.0.0.0/8 -o eth0 -j MASQUERADE"],
        ['-m comment --comment "-o br0" -s 172.19.181.0/24 -j MASQUERADE'],
        ["-s 172.19.181.0/24 -d 172.19.181.0/24 -j RETURN", GOOD],
        ["-o br0 -j ACCEPT", GOOD],
        ["-o wlan0 -j RETURN", GOOD],
        ["-s 172.17.0.0/16 -j ACCEPT", GOOD],
        ["-o wlan0 -j RETURN", "-o wlan0 -j MASQUERADE", "-o eth0 -j MASQUERADE"],
    ],
    ids=" / ".join,
)
def test_rule_that_takes_the_subnet_translates(rules: list[str]) -> None:
    assert masquerades(table("".join(f"-A POSTROUTING {rule}\n" for rule in rules)), SUBNET, "br0")


@pytest.mark.parametrize(
    "rules",
    [
        ["-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"],
        ["-s 172.19.181.0/24 -o br0 -j MASQUERADE"],
        ["-s 172.19.181.0/24 -o br+ -j MASQUERADE"],
        ["-s 172.19.181.0/25 ! -o br0 -j MASQUERADE"],
        ["! -s 172.19.181.0/24 -j MASQUERADE"],
        ["! -s 172.19.181.7/32 -j MASQUERADE"],
        ["-s 172.19.181.0/24 -p tcp -m tcp --dport 80 -j MASQUERADE"],
        ["-s 172.19.181.0/24 -d 10.0.0.0/8 -j MASQUERADE"],
        ["-o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE"],
        ["-s 172.19.181.0/24 -j RETURN", GOOD],
        ["! -o br0 -j ACCEPT", GOOD],
        ["-o eth0 -j RETURN", "-o eth0 -j MASQUERADE"],
        ["-s 172.19.181.0/24 ! -o br0"],
        ["-j"],
        ["!"],
    ],
    ids=" / ".join,
)
def test_other_rule_does_not_translate(rules: list[str]) -> None:
    assert not masquerades(table("".join(f"-A POSTROUTING {rule}\n" for rule in rules)), SUBNET, "br0")


def test_what_is_sent_back_before_it_stays_as_it_is_though_the_rule_names_another_way() -> None:
    nat = table("-A POSTROUTING -o eth0 -j RETURN\n-A POSTROUTING -s 172.19.181.0/24 ! -o br0 -j MASQUERADE\n")
    assert not masquerades(nat, SUBNET, "br0", ("eth0",))
    assert masquerades(nat, SUBNET, "br0", ("eth0", "wlan0"))


def test_rule_in_another_chain_does_not_translate() -> None:
    assert not masquerades(table(f"-A DOCKER {GOOD}"), SUBNET, "br0")


WORDS = st.sampled_from(
    [
        "-A",
        "-P",
        "-N",
        "POSTROUTING",
        "!",
        "-s",
        "-d",
        "-o",
        "-j",
        "MASQUERADE",
        "br0",
        "1.2.3.4",
        "x/33",
        '"',
    ]
)
LINES = st.lists(st.lists(WORDS | st.text(max_size=4), max_size=8).map(" ".join), max_size=6).map("\n".join)


@given(LINES | LINES.map(lambda text: f"*nat\n{text}\nCOMMIT\n"))
def test_any_text_gives_a_value_or_an_observation_error(text: str) -> None:
    with suppress(ObservationError):
        masquerades(table(text), SUBNET, "br0")
    with suppress(ObservationError):
        for seen in tables(text).values():
            masquerades(seen, SUBNET, "br0")
