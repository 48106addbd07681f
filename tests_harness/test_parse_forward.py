"""What becomes of the nodes' packets in FORWARD: rule sets as Docker, fail2ban, ufw and people leave them."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.forward import obstacle
from harness.parse.iptables import table

NET = IPv4Network("172.19.181.0/24")
OUT, BACK = "-i br0 -j ACCEPT", "-o br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
DOCKER = (
    "-j DOCKER-USER", "-j DOCKER-ISOLATION-STAGE-1",
    "-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-o docker0 -j DOCKER",
    "-i docker0 ! -o docker0 -j ACCEPT", "-i docker0 -o docker0 -j ACCEPT",
)  # fmt: skip
CHAINS = (
    "-A DOCKER-USER -j RETURN", "-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
    "-A DOCKER-ISOLATION-STAGE-1 -j RETURN",
    "-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP", "-A DOCKER-ISOLATION-STAGE-2 -j RETURN",
)  # fmt: skip


def see(policy: str, *rules: str, exits: tuple[str, ...] = ("eth0",)) -> str:
    lines = (rule if rule.startswith("-A") else f"-A FORWARD {rule}" for rule in rules)
    return obstacle(table("\n".join((f"-P FORWARD {policy}", *lines))), "br0", NET, exits)


@pytest.mark.parametrize(
    ("policy", "rules"),
    [
        pytest.param("ACCEPT", (), id="policy"),
        pytest.param("DROP", (OUT, BACK), id="both ways"),
        pytest.param("DROP", ("-i br0 ! -o br0 -j ACCEPT", BACK), id="the rules of the CNAT image"),
        pytest.param("DROP", ("-i br0 -o eth0 -j ACCEPT", "-i eth0 -o br0 -j ACCEPT"), id="by the one exit there is"),
        pytest.param("DROP", ("-s 172.19.0.0/16 -j ACCEPT", "-d 172.19.181.0/24 -j ACCEPT"), id="by address"),
        pytest.param("DROP", ("-m state --state NEW,RELATED,ESTABLISHED -j ACCEPT",), id="by state, all of them"),
        pytest.param("DROP", (*DOCKER, OUT, BACK, *CHAINS), id="behind Docker's own"),
        pytest.param("DROP", (*DOCKER, f"-A DOCKER-USER {OUT}", f"-A DOCKER-USER {BACK}"), id="in DOCKER-USER"),
        pytest.param("ACCEPT", ("-i wlan0 -j DROP",), id="a DROP of others"),
        pytest.param("ACCEPT", ("-i br0 -p tcp -m tcp --dport 25 -j DROP",), id="a DROP of some"),
        pytest.param("ACCEPT", ("-m conntrack --ctstate INVALID -j DROP",), id="a DROP of what is invalid"),
        pytest.param("ACCEPT", ("! -i br0 -o br0 -m conntrack --ctstate NEW -j DROP",), id="no strangers in"),
        pytest.param("ACCEPT", (OUT, BACK, "-j REJECT --reject-with icmp-port-unreachable"), id="a REJECT at the end"),
    ],
)  # fmt: skip
def test_packets_pass(policy: str, rules: tuple[str, ...]) -> None:
    assert see(policy, *rules) == ""


@pytest.mark.parametrize(
    ("policy", "rules", "why"),
    [
        pytest.param("DROP", (), "policy DROP", id="policy"),
        pytest.param("DROP", (OUT,), "policy DROP", id="answers do not come in"),
        pytest.param("DROP", (BACK,), "policy DROP", id="nothing goes out"),
        pytest.param("DROP", (*DOCKER, *CHAINS), "policy DROP", id="Docker alone"),
        pytest.param("DROP", ("-i eth1 -j ACCEPT", "-o br0 -j ACCEPT"), "policy DROP", id="another way in"),
        pytest.param("DROP", ("-i br0 -o wlan0 -j ACCEPT", BACK), "policy DROP", id="by an exit that leads nowhere"),
        pytest.param("DROP", ("-i br0 -m conntrack --ctstate NEW -j ACCEPT", BACK), "policy DROP", id="first one only"),
        pytest.param("ACCEPT", ("-i br0 -j DROP",), "rule -i br0 -j DROP", id="under policy ACCEPT"),
        pytest.param("ACCEPT", ("-s 172.19.181.0/24 -j DROP",), "rule -s 172.19.181.0/24 -j DROP", id="by address"),
        pytest.param("ACCEPT", ("-o eth0 -j REJECT",), "rule -o eth0 -j REJECT", id="the exit is shut"),
        pytest.param("ACCEPT", ("-j DROP", OUT, BACK), "rule -j DROP", id="before what would let them"),
        pytest.param("ACCEPT", ("-j OURS", "-A OURS -i br+ -j DROP"), "rule -i br+ -j DROP", id="in a chain"),
        pytest.param("DROP", ("-g OURS", OUT, BACK, "-A OURS -i eth7 -j DROP"), "policy DROP", id="gone to a chain"),
        pytest.param("DROP", ("-j OURS", "-A OURS -j OURS"), "policy DROP", id="a chain that calls itself"),
    ],
)  # fmt: skip
def test_packets_do_not_pass(policy: str, rules: tuple[str, ...], why: str) -> None:
    assert see(policy, *rules) == why


def test_where_the_exit_is_unknown_all_but_the_bridge_is_outside() -> None:
    assert see("DROP", "-i br0 ! -o br0 -j ACCEPT", BACK, exits=()) == ""
    assert see("DROP", "-i br0 -o eth0 -j ACCEPT", BACK, exits=()) == "policy DROP"


def test_a_listing_without_the_chain_is_not_understood() -> None:
    with pytest.raises(ObservationError, match="FORWARD"):
        obstacle(table("-P INPUT ACCEPT\n"), "br0", NET, ())


WORDS = st.sampled_from(
    ["-i", "-o", "-s", "-d", "-j", "!", "br0", "eth0", "+", "DROP", "ACCEPT", "X", "--ctstate", "-m"]
)


@given(st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=5))
def test_no_rule_set_ends_the_run(rules: list[str]) -> None:
    try:
        said = see("ACCEPT", *rules)
    except ObservationError:
        return
    assert said == "" or said.startswith("rule ")
