"""What an action's orders do to a firewall is followed for any text, and to an end."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.parse.ban_orders import BAN, ORDERS, PROPERTIES, START, TAGS, UNBAN, fault, resolved
from harness.parse.firewall import Packet

PACKET, OTHER = (Packet(IPv4Address(address), "tcp", 22, "eth0") for address in ("192.0.2.1", "192.0.2.2"))
WORDS = ("iptables", "-I", "-A", "-D", "INPUT", "f", "1", "-s", "<ip>", "-j", "DROP", "!", "--dport", "$p",
         "<name>", ">", ";", "\n", "{", "for p in a,b;", "'", "#", "-t", "-i")  # fmt: skip
TEXTS = st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=20).map(" ".join)
GOOD = {
    START: "iptables -N f\niptables -I INPUT -p tcp -j f",
    BAN: "iptables -I f 1 -s <ip> -j DROP",
    UNBAN: "iptables -D f -s <ip> -j DROP",
}


@given(st.dictionaries(st.sampled_from(PROPERTIES), TEXTS))
def test_any_orders_either_work_or_one_of_them_is_at_fault(orders: dict[str, str]) -> None:
    assert fault(orders, PACKET, OTHER) in {"", *ORDERS}


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        pytest.param({}, "", id="plain"),
        pytest.param({BAN: "for a in <ip>; do iptables -I f -s $a -j DROP; done"}, BAN, id="what a variable has"),
        pytest.param({BAN: "iptables -I f -s <ip> -j DROP 'open"}, BAN, id="an open quote"),
        pytest.param({BAN: "# iptables -I f -s <ip> -j DROP"}, BAN, id="a comment"),
        pytest.param({BAN: "iptables -t raw -I f -s <ip> -j DROP"}, BAN, id="another table"),
        pytest.param({BAN: "iptables \\\n -w 3 --insert f --source <ip> --jump DROP 2>&1 >/dev/null || exit 1",
                      UNBAN: "iptables -D f --source <ip> --jump DROP"}, "", id="long words on two lines"),
        pytest.param({START: "for p in udp tcp; do iptables -I INPUT -p ${p} -j f; done"}, "", id="a loop"),
        pytest.param({START: "iptables -N f<br>iptables -I INPUT -m state --state NEW<sp>-p tcp -j f"}, "",
                     id="tags of fail2ban's own"),
        pytest.param({START: "iptables -I INPUT -p tcp --dport http,https -j f"}, START, id="the ports of others"),
    ],
)  # fmt: skip
def test_the_order_at_fault_is_found(changed: dict[str, str], found: str) -> None:
    assert fault({**GOOD, **changed}, PACKET, OTHER) == found


def test_a_tag_that_names_itself_comes_to_an_end() -> None:
    assert len(resolved(dict.fromkeys((BAN, *TAGS), "".join(f"<{tag}>" for tag in TAGS)), BAN)) <= 10_000
