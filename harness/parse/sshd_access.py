"""Whom sshd lets in to a shell of his own by a key, as `sshd -T` tells it (sshd_config(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.parse.ssh_patterns import comes_from, is_like

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ANY = "0.0.0.0"  # noqa: S104 - as sshd writes it; its IPv6 sockets take no IPv4


def barrier(found: Mapping[str, tuple[str, ...]], user: str, groups: Collection[str], host: str, address: str) -> str:
    """What keeps a user out who comes from this host with a key, as sshd prints it; empty where nothing does.

    That is one of the four lists, a command in place of his own, or a key not being enough.
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
    for keyword in ("forcecommand", "chrootdirectory"):
        if (value := " ".join(found.get(keyword, ()))) not in {"", "none"}:
            return f"{keyword} {value}"
    methods = " ".join(found.get("authenticationmethods", ()))
    is_enough = not methods or {"any", "publickey"} & set(methods.split())
    return "" if is_enough else f"authenticationmethods {methods}"


def deafness(found: Mapping[str, tuple[str, ...]], own: str, ports: Collection[int]) -> str:
    """Where sshd listens instead of one of these ports of its own address; empty where it listens there.

    `found` as for `barrier`; an sshd that says nothing of it is taken to listen.
    """
    places = found.get("listenaddress", ())
    wanted = {f"{address}:{port}" for address in (own, ANY) for port in ports}
    return "" if not places or wanted & set(places) else f"listenaddress {' '.join(places)}"


def _is_user(pattern: str, user: str, host: str, address: str) -> bool:
    """One word of a list of users. Only behind the @ it is a list, and only there ! means not (match_user)."""
    who, at, where = pattern.partition("@")
    return is_like(who, user) and (not at or comes_from(where.split(","), host, address))
