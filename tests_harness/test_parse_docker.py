"""The small parsers around Docker: certificates, listening ports, and what a firewall does with a packet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse import certificate, iptables, sockets
from harness.parse.firewall import Packet, refusal

END = datetime(2027, 2, 20, 18, 43, tzinfo=UTC)


def pem(end: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "swarm-ca")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = made.serial_number(1).not_valid_before(END - timedelta(days=900)).not_valid_after(end)
    return dated.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_certificate_ends_when_it_says_and_the_first_of_a_chain_counts() -> None:
    assert certificate.end(pem(END)) == int(END.timestamp())
    assert certificate.end(pem(END) + pem(END + timedelta(days=9))) == int(END.timestamp())


@given(st.binary())
def test_what_is_no_certificate_is_unknown(octets: bytes) -> None:
    with pytest.raises(ObservationError, match="expected a certificate in PEM"):
        certificate.end(octets)


SS = """\
udp UNCONN 0      0        0.0.0.0:4789  0.0.0.0:*
udp UNCONN 0      0              *:7946        *:*
tcp LISTEN 0      4096   127.0.0.1:36071 0.0.0.0:*
tcp LISTEN 0      128         [::]:22       [::]:*
tcp LISTEN 0      4096 [::1]:5000  [::]:*
tcp LISTEN 0      4096 172.19.181.254:2377  0.0.0.0:*
"""


def test_ports_are_those_that_others_can_get_at() -> None:
    assert sockets.listens(SS) == ("22/tcp", "2377/tcp", "4789/udp", "7946/udp")
    assert sockets.listens("") == ()


@pytest.mark.parametrize("line", ["tcp LISTEN 0 1", "unix x y z a b", "tcp LISTEN 0 1 0.0.0.0:http *:*"])
def test_another_text_is_no_list_of_ports(line: str) -> None:
    with pytest.raises(ObservationError, match="ss: expected"):
        sockets.listens(line)


ACCEPT = "-P INPUT ACCEPT\n"
DROP = "-P INPUT DROP\n"
UFW = """\
-N ufw-before-input
-N ufw-not-local
-N ufw-user-input
-A INPUT -j ufw-before-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN
-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny
-A ufw-not-local -j DROP
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
"""
REFUSED = "INPUT: -p udp -m udp --dport 7946 -j DROP"


@pytest.mark.parametrize(
    ("rules", "want"),
    [
        pytest.param(ACCEPT, "", id="open"),
        pytest.param(DROP, "policy of INPUT", id="policy"),
        pytest.param(ACCEPT + "-A INPUT -p udp -m udp --dport 7946 -j DROP", REFUSED, id="this port"),
        pytest.param(ACCEPT + "-A INPUT -p tcp -m tcp --dport 7946 -j DROP", "", id="another protocol"),
        pytest.param(ACCEPT + "-A INPUT -p udp -m udp --dport 53 -j DROP", "", id="another port"),
        pytest.param(ACCEPT + "-A INPUT -p udp -m multiport --dports 53,7000:8000 -j REJECT --reject-with x",
                     "INPUT: -p udp -m multiport --dports 53,7000:8000 -j REJECT --reject-with x", id="in a range"),
        pytest.param(ACCEPT + "-A INPUT -s 10.0.0.0/8 -j DROP", "", id="another source"),
        pytest.param(ACCEPT + "-A INPUT -s 172.19.181.0/24 -j DROP", "INPUT: -s 172.19.181.0/24 -j DROP", id="source"),
        pytest.param(ACCEPT + "-A INPUT ! -s 172.19.181.0/24 -j DROP", "", id="all but us"),
        pytest.param(ACCEPT + "-A INPUT ! -i br0 -j DROP", "", id="all but our interface"),
        pytest.param(ACCEPT + "-A INPUT -i wlan+ -j DROP", "", id="other interfaces"),
        pytest.param(ACCEPT + "-A INPUT -i br+ -j DROP", "INPUT: -i br+ -j DROP", id="interfaces like ours"),
        pytest.param(ACCEPT + "-A INPUT -m set --match-set bad src -j DROP", "", id="a condition nobody knows"),
        pytest.param(ACCEPT + "-A INPUT ! -m owner -j DROP", "", id="nor its contrary"),
        pytest.param(DROP + "-A INPUT -s 172.19.181.0/24 -j ACCEPT", "", id="let in"),
        pytest.param(DROP + "-A INPUT -d 172.19.181.254/32 -j ACCEPT", "", id="let in to this address"),
        pytest.param(ACCEPT + "-A INPUT -d 10.0.0.1/32 -j DROP", "", id="to another address"),
        pytest.param(DROP + "-A INPUT -m iprange --src-range 172.19.181.1-172.19.181.9 -j ACCEPT", "",
                     id="perhaps let in"),
        pytest.param(DROP + "-A INPUT -m set --match-set ours src -j x\n-N x\n-A x -j ACCEPT", "",
                     id="perhaps let in by a chain"),
        pytest.param(DROP + "-N x\n-A INPUT -j x\n-A x -m limit --limit 5/min -j RETURN\n-A x -j RETURN",
                     "policy of INPUT", id="back from a chain in any case"),
        pytest.param(ACCEPT + "-N x\n-A INPUT -j x\n-A x -m limit --limit 5/min -j RETURN\n-A x -j DROP", "",
                     id="perhaps back before it is refused"),
        pytest.param(DROP + "-A INPUT -p udp -m udp --sport 53 -j ACCEPT", "policy of INPUT", id="only for answers"),
        pytest.param(DROP + "-A INPUT -p udp -m udp --sport 1024:65535 -j ACCEPT", "", id="from any high port"),
        pytest.param(DROP + "-A INPUT -i eth1 -m iprange --src-range 172.19.181.1-172.19.181.9 -j ACCEPT",
                     "policy of INPUT", id="surely not let in"),
        pytest.param(DROP + '-A INPUT -m comment --comment "- all -j" -j ACCEPT', "", id="a comment like a rule"),
        pytest.param(DROP + UFW, "policy of INPUT", id="ufw without our ports"),
        pytest.param(DROP + UFW + "-A ufw-user-input -p udp -m udp --dport 7946 -j ACCEPT", "", id="ufw with them"),
        pytest.param(ACCEPT + "-N x\n-A INPUT -j x\n-A x -j RETURN\n-A x -j DROP", "", id="back from a chain"),
        pytest.param(ACCEPT + "-N x\n-A INPUT -j x\n-A x -j x", "", id="a loop ends"),
        pytest.param(DROP + "-A INPUT -m state --state NEW -j ACCEPT", "", id="new ones are let in"),
        pytest.param(ACCEPT + "-A INPUT -j LOG", "", id="only written down"),
    ],
)  # fmt: skip
def test_a_packet_goes_the_way_of_the_rules(rules: str, want: str) -> None:
    packet = Packet(IPv4Address("172.19.181.1"), "udp", 7946, "br0", IPv4Address("172.19.181.254"))
    assert refusal(iptables.table(rules), packet) == want
