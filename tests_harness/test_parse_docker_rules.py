"""Docker's own rules are found in what releases of it write, and missed where somebody took them out."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.docker_rules import lacking

BRIDGES = ("docker0", "docker_gwbridge")
POLICIES = "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n"
# Of docker.io 20.10.24 on Debian 12, in a swarm.
FILTER = f"""{POLICIES}-N DOCKER
-N DOCKER-ISOLATION-STAGE-1
-N DOCKER-USER
-N f2b-sshd
-A INPUT -p tcp -m tcp --dport 22 -j f2b-sshd
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -o docker_gwbridge -j DOCKER
-A FORWARD -i docker_gwbridge -o docker_gwbridge -j DROP
-A DOCKER -d 172.18.0.3/32 ! -i docker_gwbridge -o docker_gwbridge -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-USER -j RETURN
-A f2b-sshd -j RETURN
"""
# As release 28 nests its chains.
FILTER_28 = f"""{POLICIES}-N DOCKER
-N DOCKER-BRIDGE
-N DOCKER-CT
-N DOCKER-FORWARD
-N DOCKER-USER
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
"""
NAT_POLICIES = "-P PREROUTING ACCEPT\n-P INPUT ACCEPT\n-P OUTPUT ACCEPT\n-P POSTROUTING ACCEPT\n"
NAT_OWN = f"""{NAT_POLICIES}-N DOCKER
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
"""
OF_SWARM = "-A POSTROUTING -s 172.18.0.0/16 ! -o docker_gwbridge -j MASQUERADE\n"
NAT = f"{NAT_OWN}{OF_SWARM}-A POSTROUTING -s 172.18.0.3/32 -d 172.18.0.3/32 -p tcp -m tcp --dport 80 -j MASQUERADE\n"
ADDRESSES = {"docker0": "172.17.0.1", "docker_gwbridge": "172.18.0.1"}
ALL = (
    "no way from FORWARD to DOCKER", "no way from PREROUTING of nat to DOCKER",
    "no MASQUERADE for 172.17.0.0/16 of docker0", "no MASQUERADE for 172.18.0.0/16 of docker_gwbridge",
)  # fmt: skip


def said(filters: str, nat: str, *bridges: str) -> str:
    rows = [
        {"ifname": name, "flags": ["UP"], "operstate": "DOWN", "mtu": 1500,
         "addr_info": [{"family": "inet", "local": ADDRESSES[name], "prefixlen": 16}]}
        for name in bridges
    ]  # fmt: skip
    return f"{filters}== nat\n{nat}== bridges\n{json.dumps(rows)}\n"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(said(FILTER, NAT, *BRIDGES), (), id="20.10 in a swarm"),
        pytest.param(said(FILTER, NAT_OWN, "docker0"), (), id="before there is a swarm"),
        pytest.param(said(FILTER_28, NAT_OWN, "docker0"), (), id="28"),
        pytest.param(said(POLICIES, NAT_POLICIES), (), id="no bridge of Docker's"),
        pytest.param(said(POLICIES, NAT_POLICIES, *BRIDGES), ALL, id="all flushed"),
        pytest.param(said(f"{POLICIES}-N DOCKER\n", f"{NAT_POLICIES}-N DOCKER\n", *BRIDGES), ALL, id="empty chains"),
        pytest.param(said(FILTER, NAT_POLICIES, "docker0"), ALL[1:3], id="nat flushed"),
        pytest.param(said(POLICIES, NAT, *BRIDGES), ALL[:1], id="filter flushed"),
        pytest.param(said(FILTER, NAT_OWN, *BRIDGES), ALL[3:], id="no way out for the swarm's tasks"),
        pytest.param(said(FILTER_28.replace("-A FORWARD -j DOCKER-FORWARD\n", ""), NAT_OWN, "docker0"), ALL[:1],
                     id="28, no jump"),
        pytest.param(said(FILTER, NAT_OWN.replace("! -o docker0 -j MASQUERADE", "-j SNAT --to-source 192.0.2.1"),
                          "docker0"), (), id="translated by somebody else"),
        pytest.param(said(f"{POLICIES}-N a\n-N b\n-A FORWARD -j a\n-A a -j b\n-A b -g a\n", NAT, *BRIDGES), ALL[:1],
                     id="chains in a circle, which the kernel refuses"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(text: str, want: tuple[str, ...]) -> None:
    assert lacking(text, BRIDGES) == want


def test_only_bridges_that_are_asked_for_count() -> None:
    assert lacking(said(FILTER, f"{NAT_POLICIES}-N DOCKER\n{OF_SWARM}", *BRIDGES), BRIDGES[1:]) == ALL[1:2]


@pytest.mark.parametrize(
    "text",
    [
        "", FILTER, f"{FILTER}== nat\n{NAT}", said("iptables: no\n", NAT, *BRIDGES), said(FILTER, "", *BRIDGES),
        f"{FILTER}== nat\n{NAT}== bridges\nx\n",
    ],
    ids=["nothing", "one table", "two tables", "no listing", "an empty one", "no addresses"],
)  # fmt: skip
def test_other_text_is_unknown(text: str) -> None:
    with pytest.raises(ObservationError):
        lacking(text, BRIDGES)


@given(st.lists(st.sampled_from([*said(FILTER, NAT, *BRIDGES).splitlines(), "x", "-A FORWARD -j"])))
def test_any_text_is_read_or_unknown(lines: list[str]) -> None:
    with suppress(ObservationError):
        assert set(lacking("\n".join(lines), BRIDGES)) <= set(ALL)
