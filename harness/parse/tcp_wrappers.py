"""Whom tcp wrappers keep out of sshd: /etc/hosts.allow and /etc/hosts.deny as libwrap reads them (hosts_access(5)).

What cannot be told from the files alone (a netgroup, a user on the other side, a file of hosts) is neither yes nor no,
and counts only where it would decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt
from harness.parse.ssh_patterns import is_like

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ALLOW, DENY = "/etc/hosts.allow", "/etc/hosts.deny"
DAEMON = "sshd"
# The part of newer servers that may be asked for under its own name.
PART = "sshd-session"
UNKNOWN, PARANOID = "unknown", "paranoid"
LONGEST = 2000  # characters of a line; libwrap reads a longer one in parts
# A colon in brackets is of an IPv6 address, and one behind a backslash of a command.
COLON = re.compile(r":(?![^\[\]]*\])")
OPTION = re.compile(r"(?<!\\):")
WORDS = re.compile(r"[,\s]+")
NUMERIC = re.compile(r"[0-9./]*")
# Options that let a connection pass as the file says (hosts_options(5)). libwrap refuses everybody where it meets one
# that it does not understand, so nothing is guessed here.
ASIDE = re.compile(
    r"(?:keepalive|nice(?:\s+\d+)?|linger\s+\d+|rfc931(?:\s+\d+)?|umask\s+[0-7]+|setenv\s+\w+\s.*|spawn\s.*"
    r"|severity\s+(?:(?:auth|authpriv|daemon|local[0-7])\.)?(?:emerg|alert|crit|err|warning|notice|info|debug))",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Client:
    """Who comes: address, and name as sshd's machine finds it.

    The name is "unknown" where there is none, and "paranoid" where it does not lead back to the address.
    """

    address: str
    name: str

    @property
    def is_known(self) -> bool:
        """Whether its name is to be believed."""
        return self.name not in {UNKNOWN, PARANOID}


@dataclass(frozen=True)
class Rule:
    """One line that says something: whom it is for, and whether it lets in (None: nobody can tell)."""

    where: str
    daemons: tuple[str, ...]
    clients: tuple[str, ...]
    lets_in: bool | None


def rules(contents: Mapping[str, bytes]) -> tuple[Rule, ...]:
    """The lines of both files in the order in which they are asked; `contents` by path, without those that lack."""
    return tuple(rule for path in (ALLOW, DENY) for rule in _rules(path, contents.get(path, b"")))


def barrier(found: Sequence[Rule], client: Client) -> str:
    """The line that keeps a client out of sshd; empty where none does.

    ObservationError where what decides is not understood.
    """
    doubtful: list[str] = []
    outcomes: dict[str, None] = {}
    for rule in found:
        is_met = _is_met(rule, client)
        if is_met is False:
            continue
        if is_met is None or rule.lets_in is None:
            doubtful.append(rule.where)
        if rule.lets_in is not False:
            outcomes[""] = None
        if not rule.lets_in:
            outcomes[rule.where] = None
        if is_met:
            break
    else:
        outcomes[""] = None
    if "" in outcomes and len(outcomes) > 1:
        raise ObservationError(f"whether sshd lets {client.address} in is not understood, for {doubtful[0]}")
    return next(iter(outcomes))


def _is_met(rule: Rule, client: Client) -> bool | None:
    is_ours = _is_listed(rule.daemons, _is_sshd)
    return _both(is_ours, _is_listed(rule.clients, lambda word: _is_client(word, client)))


def _rules(path: str, content: bytes) -> Iterator[Rule]:
    for number, line, has_end in _lines(content.decode(errors="replace")):
        where = f"line {number} of {path} ({excerpt(line)})"
        if not has_end:
            # A line without an end is left out of hosts.allow, and shuts everybody out in hosts.deny.
            yield from () if path == ALLOW else [Rule(f"{where}, which has no line end,", ("ALL",), ("ALL",), False)]  # noqa: FBT003
            continue
        if len(line) > LONGEST:
            yield Rule(where, ("ALL",), ("ALL",), None)
            continue
        daemons, colon, rest = line.partition(":")
        clients, *options = COLON.split(rest, maxsplit=1)
        # Where there is no colon libwrap complains, and goes on.
        if colon and not line.startswith("#"):
            lets_in = _end(options[0], path) if options else path == ALLOW
            yield Rule(where, _words(daemons), _words(clients), lets_in)


def _lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """Each line with the number of its last part, and whether it has an end; a backslash before it joins the next."""
    whole = ""
    *lines, rest = text.split("\n")
    for number, line in enumerate(lines, 1):
        whole += line.removesuffix("\\")
        if not line.endswith("\\"):
            yield number, whole, True
            whole = ""
    if whole + rest:
        yield len(lines) + bool(rest), whole + rest, False


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, WORDS.split(text)))


def _end(options: str, path: str) -> bool | None:
    """Whether a line lets in, by its options and else by its file; None for one that is not understood."""
    *others, last = (option.strip() for option in OPTION.split(options))
    if not all(ASIDE.fullmatch(option) for option in others):
        return None
    if last.lower() in {"allow", "deny"}:
        return last.lower() == "allow"
    if re.match(r"twist\b", last, re.IGNORECASE):
        return False  # another program answers in place of sshd
    return path == ALLOW if ASIDE.fullmatch(last) else None


def _is_listed(words: Sequence[str], is_met: Callable[[str], bool | None]) -> bool | None:
    """Whether a list meets: "a b EXCEPT c EXCEPT d" is a b EXCEPT (c EXCEPT d)."""
    end = next((at for at, word in enumerate(words) if word.upper() == "EXCEPT"), len(words))
    hits = {is_met(word) for word in words[:end]}
    hit = True if True in hits else None if None in hits else False
    if hit is False or end == len(words):
        return hit
    left_out = _is_listed(words[end + 1 :], is_met)
    return _both(hit, None if left_out is None else not left_out)


def _both(one: bool | None, other: bool | None) -> bool | None:  # noqa: FBT001 - the words of a logic
    return False if False in {one, other} else None if None in {one, other} else True


def _is_sshd(word: str) -> bool | None:
    name, at, _ = word.partition("@")
    if _is_text(name, DAEMON):
        return None if at else True
    return None if name == PART else False


def _is_client(word: str, client: Client) -> bool | None:
    if word.startswith(("/", "@")):
        return None  # a file of hosts, a netgroup
    user, at, host = word.partition("@")
    if not at:
        return _is_host(word, client)
    # The user is whom the other side says by ident.
    return _both(_is_host(host, client), True if user.upper() == "ALL" else None)


def _is_host(word: str, client: Client) -> bool | None:
    match word.upper():
        case "KNOWN":
            return client.is_known
        case "LOCAL":
            return client.is_known and "." not in client.name
    if word.startswith("["):
        return False  # IPv6, which nobody of the cluster has
    if "/" in word:
        return _is_in(word, client.address)
    return _is_text(word, client.address) or (not NUMERIC.fullmatch(word) and _is_text(word, client.name))


def _is_in(word: str, address: str) -> bool | None:
    """By net/mask or net/length; a net with bits beyond its mask meets nobody. None where Python knows no such net."""
    net, _, mask = word.partition("/")
    try:
        if mask.isdigit():
            length = int(mask)
            bits = (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF if 0 < length <= 32 else 0  # noqa: PLR2004
            return bits > 0 and int(IPv4Address(address)) & bits == int(IPv4Address(net))
        return int(IPv4Address(address)) & int(IPv4Address(mask)) == int(IPv4Address(net))
    except ValueError:
        return None


def _is_text(word: str, text: str) -> bool:
    word, text = word.lower(), text.lower()
    if word == "all":
        return True
    if word.startswith("."):
        return len(text) > len(word) and text.endswith(word)
    if word.endswith("."):
        return text.startswith(word)
    return is_like(word, text)
