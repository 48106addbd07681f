"""Patterns as ssh and sshd read them: PATTERNS in ssh_config(5)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_like(pattern: str, text: str) -> bool:
    """Whether a text is of a pattern. Only * and ? are special; fnmatch would take [ for a class as well."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def is_listed(patterns: Sequence[str], text: str) -> bool:
    """Whether one of the patterns meets a text, and none that begins with ! does."""
    hits = [pattern for pattern in patterns if is_like(pattern.removeprefix("!"), text)]
    return bool(hits) and not any(pattern.startswith("!") for pattern in hits)


def comes_from(patterns: Sequence[str], host: str, address: str) -> bool:
    """Whether who comes from this host with this address is among patterns of names, addresses and networks.

    One with ! that meets either keeps out (match_host_and_ip in match.c of OpenSSH).
    """
    hits = [
        pattern.startswith("!")
        for pattern in patterns
        if is_like(bare := pattern.removeprefix("!"), host) or is_like(bare, address) or _is_in(bare, address)
    ]
    return bool(hits) and not any(hits)


def _is_in(pattern: str, address: str) -> bool:
    try:
        return IPv4Address(address) in IPv4Network(pattern)
    except ValueError:
        return False
