"""Whom sshd lets in: the lists of sshd_config(5) for pi, of the groups pi and sudo, from cnat at 172.19.181.254."""

from __future__ import annotations

import pytest

from harness.parse.sshd_access import barrier


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
        ("allowgroups", ("sudo",), True), ("allowgroups", ("ssh-users",), False), ("denygroups", ("s*",), False),
    ],
)  # fmt: skip
def test_a_list_lets_in_or_keeps_out(keyword: str, values: tuple[str, ...], is_in: bool) -> None:  # noqa: FBT001 - a column of the table
    said = barrier({keyword: values}, "pi", ("pi", "sudo"), "cnat", "172.19.181.254")
    assert said == ("" if is_in else f"{keyword} {' '.join(values)}")
