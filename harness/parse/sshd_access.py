"""Whom sshd lets in at all, by the four lists of sshd_config(5): DenyUsers, AllowUsers, DenyGroups, AllowGroups."""

from __future__ import annotations

from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def barrier(found: Mapping[str, tuple[str, ...]], user: str, groups: Collection[str], host: str, address: str) -> str:
    """The list that keeps a user out who comes from this host, as sshd prints it; empty where none does.

    `found` is what `sshd -T` says (see `ssh_g.settings`).
    """
    names = {"denyusers": (user,), "allowusers": (user,), "denygroups": tuple(groups), "allowgroups": tuple(groups)}
    for keyword, owned in names.items():
        patterns = [word for line in found.get(keyword, ()) for word in line.split()]
        is_listed = any(_is_listed(patterns, name, host, address) for name in owned)
        if patterns and is_listed is keyword.startswith("deny"):
            return f"{keyword} {' '.join(patterns)}"
    return ""


def _is_listed(patterns: list[str], name: str, host: str, address: str) -> bool:
    """Whether a pattern meets the name and none takes it out again."""
    hits = [pattern.startswith("!") for pattern in patterns if _is_met(pattern.removeprefix("!"), name, host, address)]
    return bool(hits) and not any(hits)


def _is_met(pattern: str, name: str, host: str, address: str) -> bool:
    who, at, where = pattern.partition("@")
    return fnmatchcase(name, who) and (not at or fnmatchcase(host, where) or _is_from(where, address))


def _is_from(where: str, address: str) -> bool:
    try:
        return IPv4Address(address) in IPv4Network(where)
    except ValueError:
        return fnmatchcase(address, where)
