"""Whom tcp wrappers keep out, by lines that libwrap itself was asked about (7.6.q-32 of Debian 12, `hosts_ctl`)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.tcp_wrappers import ALLOW, DENY, PARANOID, UNKNOWN, Client, barrier, rules

P1 = Client("172.19.181.1", "pi1")


def lets_in(allow: str, deny: str, client: Client = P1) -> bool:
    return not barrier(rules({ALLOW: allow.encode(), DENY: deny.encode()}), client)


OUT = [
    "sshd: 172.19.181.1\n",
    "ALL: ALL\n",
    "SSHD: all\n",
    "ss*: ALL\n",
    "vsftpd, sshd : 10.0.0.1,172.19.\n",
    "sshd sftp: 172.19.181.0/255.255.255.0\n",
    "sshd: 172.19.181.0/24\n",
    "sshd: 172.19.0.0/16\n",
    "ALL: 0.0.0.0/0.0.0.0\n",
    "sshd: 1*.1\n",
    "sshd: p?1\n",
    "sshd: pi1\n",
    "sshd: LOCAL\n",
    "sshd: KNOWN\n",
    "sshd: ALL EXCEPT LOCAL EXCEPT pi1\n",
    "ALL EXCEPT in.x: ALL EXCEPT 172.19.181.2\n",
    "sshd:ALL EXCEPT\n",
    "sshd: ALL@172.19.181.1\n",
    "sshd: 172.19.181.1\\\n, 9.9.9.9\n",
    "sshd: 172.19.181.\\\n1\n",
    "sshd:172.19.181.1\r\n",
    "sshd: 1.2.3.4 # 172.19.181.1\n",
    "  # sshd: ALL\n",
    "# mine\n\nsshd ALL\nsshd: ALL\n",
    "sshd: 172.19.181.1/32 : severity err\n",
    "sshd: ALL: spawn (echo %a | mail root) & : deny\n",
    "sshd: ALL: twist echo no\n",
    "sshd: 9.9.9.9",
    "# a remark",
    "   ",
]
IN = [
    "",
    "\n",
    "sshd: 172.19.181.2\n",
    "in.telnetd: ALL\n",
    "ALL EXCEPT sshd: ALL\n",
    "sshd EXCEPT sshd: ALL\n",
    "# sshd: ALL\n",
    "#\\\nsshd: ALL\n",
    "sshd ALL\n",
    "sshd: \n",
    ": ALL\n",
    "sshd:EXCEPT ALL\n",
    "sshd: .pi1 .lan *.lan\n",
    "sshd: PARANOID UNKNOWN\n",
    "sshd: 0.0.0.0/0\n",
    "sshd: 172.19.181.1/24\n",
    "sshd: 172.19.181.1/33\n",
    "sshd: 172.19.181\n",
    "sshd: [::]/0 [fe80::1]\n",
    "sshd: '172.19.181.1'\n",
    "sshd: x@10.0.0.1\n",
    "sshd: @friends EXCEPT 172.19.\n",
    "sshd: ALL: allow\n",
    "sshd: 172.19.181.1 : allow\nsshd: ALL\n",
    "in.x: ALL\n\\\n",
]


@pytest.mark.parametrize("deny", OUT)
def test_who_is_meant_is_kept_out_and_the_line_is_named(deny: str) -> None:
    assert barrier(rules({DENY: deny.encode()}), P1).startswith("line ")


@pytest.mark.parametrize("deny", IN)
def test_who_is_not_meant_is_let_in(deny: str) -> None:
    assert lets_in("", deny)


@pytest.mark.parametrize(
    ("allow", "is_in"),
    [
        ("sshd: 172.19.181.\n", True),
        ("sshd: pi1\n", True),
        ("sshd: 172.19.181.0/24: severity info: allow\n", True),
        ("sshd: ALL: keepalive\n", True),
        ("sshd: 10.0.0.0/8\n", False),
        ("sshd: 172.19.181.1", False),
        ("sshd: ALL: deny\n", False),
        ("sshd: pi1: ALLOW\nsshd: ALL: DENY\n", True),
    ],
)
def test_what_lets_in_is_asked_first(allow: str, is_in: bool) -> None:  # noqa: FBT001
    assert lets_in(allow, "ALL: ALL\n") is is_in


@pytest.mark.parametrize(
    ("allow", "deny", "line"),
    [
        ("", "# mine\nsshd: @friends\n", "line 2 of /etc/hosts.deny"),
        ("sshd: /etc/hosts.equiv\n", "ALL: ALL\n", "line 1 of /etc/hosts.allow"),
        ("", "sshd: ann@ALL\n", "line 1 of /etc/hosts.deny"),
        ("", "sshd@172.19.181.254: ALL\n", "line 1 of /etc/hosts.deny"),
        ("", "sshd-session: ALL\n", "line 1 of /etc/hosts.deny"),
        ("sshd: ALL: bogus\n", "", "line 1 of /etc/hosts.allow"),
        ("sshd: ALL: allow: keepalive\n", "", "line 1 of /etc/hosts.allow"),
        ("sshd: ALL :\n", "", "line 1 of /etc/hosts.allow"),
        ("sshd: ALL: severity nonsense\n", "", "line 1 of /etc/hosts.allow"),
        ("", "sshd: 172.19.181.01/32\n", "line 1 of /etc/hosts.deny"),
        ("", f"sshd: {'1.1.1.1 ' * 300}\n", "line 1 of /etc/hosts.deny"),
    ],
)
def test_a_line_that_is_not_understood_and_would_decide_is_unknown(allow: str, deny: str, line: str) -> None:
    with pytest.raises(ObservationError, match=line):
        lets_in(allow, deny)


@pytest.mark.parametrize(
    ("allow", "deny", "is_in"),
    [
        ("sshd: @friends\n", "", True),
        ("sshd: 172.\nsshd: @friends\n", "ALL: ALL\n", True),
        ("", "sshd: 172.\nsshd: @friends\n", False),
        ("", "sshd: @friends\nALL: ALL\n", False),
    ],
)
def test_a_line_that_is_not_understood_and_decides_nothing_is_let_be(allow: str, deny: str, is_in: bool) -> None:  # noqa: FBT001
    assert lets_in(allow, deny) is is_in


def test_a_client_may_have_no_name_or_a_false_one() -> None:
    nobody, liar = Client("172.19.181.1", UNKNOWN), Client("172.19.181.1", PARANOID)
    for deny, out in (("ALL: UNKNOWN\n", nobody), ("ALL: PARANOID\n", liar)):
        assert [one for one in (P1, nobody, liar) if not lets_in("", deny, one)] == [out]
    assert lets_in("", "ALL: LOCAL KNOWN pi1\n", nobody)


@given(st.text(), st.text())
def test_no_text_brings_anything_else(allow: str, deny: str) -> None:
    try:
        lets_in(allow, deny)
    except ObservationError:
        return
