"""Whom sshd lets in at all, by the four lists of sshd_config(5): DenyUsers, AllowUsers, DenyGroups, AllowGroups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.parse.ssh_patterns import comes_from, is_like

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def barrier(found: Mapping[str, tuple[str, ...]], user: str, groups: Collection[str], host: str, address: str) -> str:
    """The list that keeps a user out who comes from this host, as sshd prints it; empty where none does.

    `found` is what `sshd -T` says (see `ssh_g.settings`).
    """
    for keyword in ("denyusers", "allowusers", "denygroups", "allowgroups"):
        patterns = [word for line in found.get(keyword, ()) for word in line.split()]
        if keyword.endswith("users"):
            is_named = any(_is_user(pattern, user, host, address) for pattern in patterns)
        else:
            is_named = any(is_like(pattern, group) for pattern in patterns for group in groups)
        if patterns and is_named is keyword.startswith("deny"):
            return f"{keyword} {' '.join(patterns)}"
    return ""


def _is_user(pattern: str, user: str, host: str, address: str) -> bool:
    """One word of a list of users. Only behind the @ it is a list, and only there ! means not (match_user)."""
    who, at, where = pattern.partition("@")
    return is_like(who, user) and (not at or comes_from(where.split(","), host, address))
