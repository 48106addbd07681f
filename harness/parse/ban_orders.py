"""What the orders of a fail2ban action do to a firewall (jail.conf(5), action.d/iptables.conf, iptables(8)).

They are a few lines of shell. The calls of iptables among them are followed here, on a firewall without rules and as if
no condition stood before them: fail2ban's own orders ask first whether a rule is there already.
"""

from __future__ import annotations

import re
import shlex
from itertools import islice, product
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.firewall import Packet, refusal
from harness.parse.iptables import SHORT, Rule, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START, CHECK, BAN, UNBAN = ORDERS = ("actionstart", "actioncheck", "actionban", "actionunban")
# What they name in <>, where fail2ban has not put it in yet.
TAGS = ("port", "protocol", "name", "chain", "iptables", "lockingopt", "blocktype", "returntype")
PROPERTIES = (*ORDERS, *TAGS)
# The package's actions that put one rule of iptables for each address, and have all of these. No other is understood.
FOLLOWED = frozenset({"iptables", "iptables-multiport", "iptables-allports", "iptables-new"})
TAG = re.compile(r"<([\w/]+)>")
DEPTH, LONGEST = 5, 10_000  # of tags in tags, and characters: one that names itself ends here
TURNS = 64  # of loops in loops
PROGRAM = re.compile(r"(?:.*/)?iptables(?:-nft|-legacy)?")
LOOP = re.compile(r"\bfor (\w+) in (?:\$\(echo )?'?([\w ,]+)")
COMMENT = re.compile(r"(?:^|(?<=\s))#.*", re.MULTILINE)
PORT = re.compile(r"(?<=-dport )\S+|(?<=-dports )\S+")
OPERATORS, KEYWORDS = set(";&|()\n"), {"{", "}", "!", "do", "then", "else", "if"}
REDIRECTING = set("<>&")
OWN_TAGS = {"sp": " ", "br": "\n"}  # what fail2ban itself puts in at work
SPELT_OUT = {**SHORT, "--insert": "-I", "--delete": "-D"}


def resolved(orders: Mapping[str, str], order: str) -> str:
    """The text of an order with all that is known put in for its tags."""
    text, orders = orders.get(order, ""), {**OWN_TAGS, **orders}
    for _ in range(DEPTH):
        text = TAG.sub(lambda tag: orders.get(tag[1], tag[0]), text)[:LONGEST]
    return text


def fault(orders: Mapping[str, str], packet: Packet, other: Packet) -> str:
    """Which order keeps a ban from its work; empty where it refuses the packet, no other, and is lifted again.

    An order that gives iptables what can only be read at work, like an address in a variable, is taken to fail.
    """
    if not _is_check(resolved(orders, CHECK)):
        return CHECK
    try:
        return _followed(orders, packet, other)
    except ObservationError:
        return BAN


def _followed(orders: Mapping[str, str], packet: Packet, other: Packet) -> str:
    begun = _carried_out(orders, START, packet, Table({"INPUT": "ACCEPT"}))
    banned = _carried_out(orders, BAN, packet, begun)
    if refusal(begun, packet):
        return START
    if not refusal(banned, packet):
        return START if _is_unled(begun, banned, packet) else BAN
    if refusal(banned, other):
        return BAN
    return UNBAN if refusal(_carried_out(orders, UNBAN, packet, banned), packet) else ""


def _is_unled(begun: Table, banned: Table, packet: Packet) -> bool:
    """Whether a ban has its rule, in a chain that such a packet never comes to."""
    chain = next((rule.chain for rule in banned.rules if rule not in begun.rules), "")
    wall = Table(begun.policies, (Rule(chain, ("-j", "DROP")), *begun.rules))
    return bool(chain) and not refusal(wall, packet)


def _is_check(text: str) -> bool:
    """Whether what must hold before a ban is a question to iptables, or none; else nobody knows that it ever holds."""
    commands = list(_commands(text))
    return not commands or any(PROGRAM.fullmatch(words[0]) or words in (["true"], ["/bin/true"]) for words in commands)


def _carried_out(orders: Mapping[str, str], order: str, packet: Packet, before: Table) -> Table:
    text = resolved(orders, order).replace("<ip>", str(packet.source))
    text = PORT.sub(_numbers, TAG.sub(r"?\1", text))  # a tag that nobody knows is no redirection
    after = before
    for words in _commands(text):
        if PROGRAM.fullmatch(words[0]):
            after = _changed(after, [SPELT_OUT.get(word, word) for word in words[1:]])
    return after


def _changed(table: Table, words: list[str]) -> Table:
    """The table after one call of iptables; questions, new chains and other tables change nothing."""
    at = next((at for at, word in enumerate(words) if word in {"-A", "-I", "-D"}), None)
    if at is None or len(words) < at + 2 or ("-t" in words and "filter" not in words):
        return table
    what, chain, *rest = words[at:]
    place = int(rest.pop(0)) - 1 if rest and rest[0].isdecimal() else 0
    rule = Rule(chain, tuple(word for word in rest if word not in {"-w", "--wait"}))
    rules, others = list(table.chain(chain)), [one for one in table.rules if one.chain != chain]
    if what == "-D":
        rules = [one for one in rules if one != rule]
    else:
        rules.insert(place if what == "-I" else len(rules), rule)
    return Table(table.policies, (*others, *rules))


def _commands(text: str) -> Iterator[list[str]]:
    """The words of each simple command, once for each turn of a loop; none where the shell could not read it either."""
    text = COMMENT.sub("", text.replace("\\\n", " "))
    loops = {name: re.split(r"[ ,]+", values.strip()) for name, values in LOOP.findall(text)}
    for turn in islice(product(*loops.values()), TURNS):
        said = text
        for name, value in zip(loops, turn, strict=True):
            said = said.replace(f"${{{name}}}", value).replace(f"${name}", value)
        yield from _simple(said)


def _simple(text: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    try:
        tokens = [*lexer, ";"]
    except ValueError:
        return
    words: list[str] = []
    is_redirected = False
    for word in tokens:
        if is_redirected:
            is_redirected = False
        elif set(word) <= REDIRECTING and word != "&":
            is_redirected = True
            words = words[:-1] if words and words[-1].isdecimal() and len(words) > 1 else words
        elif set(word) <= OPERATORS:
            if words:
                yield words
            words = []
        elif words or word not in KEYWORDS:
            words.append(word)


def _numbers(ports: re.Match[str]) -> str:
    """Ports as numbers; of names only ssh's counts."""
    parts = ("22" if one == "ssh" else one for one in ports[0].split(","))
    return ",".join(one if re.fullmatch("[0-9:]+", one) else "0" for one in parts)
