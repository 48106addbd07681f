"""Whom sshd lets in: the lists of sshd_config(5) for pi, of the groups pi and sudo, from cnat at 172.19.181.254."""

from __future__ import annotations

import pytest

from harness.parse.sshd_access import barrier, deafness


@pytest.mark.parametrize(
    ("keyword", "values", "is_in"),
    [
        ("allowusers", (), True), ("allowusers", ("pi",), True), ("allowusers", ("nobody", "p?"), True),
        ("allowusers", ("nobody",), False), ("allowusers", ("* !pi",), True), ("allowusers", ("!pi",), False),
        ("allowusers", ("pi@172.19.181.0/24",), True), ("allowusers", ("pi@10.0.0.0/8",), False),
        ("allowusers", ("pi@172.19.181.*",), True), ("allowusers", ("pi@cnat",), True),
        ("allowusers", ("pi@10.0.0.1,172.19.181.*",), True),
        ("allowusers", ("pi@!172.19.181.254,172.19.181.*",), False),
        ("allowusers", ("pi@!172.19.181.9,172.19.181.*",), True), ("allowusers", ("pi@172.19.181.25[4]",), False),
        ("denyusers", ("pi@172.19.181.2,172.19.181.254",), False),
        ("denyusers", ("pi@172.19.181.2,172.19.181.3",), True),
        ("denyusers", ("pi",), False), ("denyusers", ("root",), True), ("denyusers", ("pi@10.*",), True),
        ("forcecommand", ("none",), True), ("forcecommand", ("internal-sftp",), False),
        ("chrootdirectory", ("none",), True), ("chrootdirectory", ("/srv",), False),
        ("authenticationmethods", ("any",), True), ("authenticationmethods", ("publickey",), True),
        ("authenticationmethods", ("publickey,password publickey",), True),
        ("authenticationmethods", ("publickey,password",), False),
        ("allowgroups", ("sudo",), True), ("allowgroups", ("ssh-users",), False), ("denygroups", ("s*",), False),
    ],
)  # fmt: skip
def test_a_list_lets_in_or_keeps_out(keyword: str, values: tuple[str, ...], is_in: bool) -> None:  # noqa: FBT001 - a column of the table
    said = barrier({keyword: values}, "pi", ("pi", "sudo"), "cnat", "172.19.181.254")
    assert said == ("" if is_in else f"{keyword} {' '.join(values)}")


@pytest.mark.parametrize(
    ("places", "listens"),
    [
        ((), True), (("[::]:22", "0.0.0.0:22"), True), (("172.19.181.1:22",), True), (("[::]:22",), False),
        (("0.0.0.0:2222", "[::]:2222"), False), (("192.168.1.9:22",), False), (("127.0.0.1:22",), False),
        (("0.0.0.0:2222", "172.19.181.1:22"), True),
    ],
)  # fmt: skip
def test_it_must_listen_where_the_others_knock(places: tuple[str, ...], listens: bool) -> None:  # noqa: FBT001 - a column of the table
    said = deafness({"listenaddress": places}, "172.19.181.1", {22})
    assert said == ("" if listens else f"listenaddress {' '.join(places)}")
