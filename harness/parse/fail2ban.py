"""Read what the fail2ban server says and what its files would make of it (runbook L185-220; fail2ban-client(1)).

Only stdout belongs here: fail2ban 1.0.2 always warns on stderr. Formats seen with 0.11.2 to 1.0.2.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

FIELD = re.compile(r"[ |`-]*([A-Za-z][A-Za-z ]*):[ \t]*(.*)")
INTEGER = re.compile(r"-?[0-9]{1,12}")
SPAN = re.compile(r"([0-9]{1,9})[ ]*([a-z]*)[ ]*", re.IGNORECASE)
PROMPT = "fail2ban> "
PORTS = re.compile(r"[\w:,-]+")
COUNTS = re.compile(r"^Lines: [0-9]+ lines, [0-9]+ ignored, ([0-9]+) matched", re.MULTILINE)
NO_PROPERTY = re.compile(r"'\w+' object has no attribute '\w+'")
LEVEL = re.compile(r"Current logging level is '?([A-Z]+)'?")
# A minute is the short "m", a month needs "mo" (fail2ban, server/mytime.py).
UNITS = (
    (re.compile(r"|s|ss|sec?|seconds?"), 1),
    (re.compile(r"m|mm|min?|minutes?"), 60),
    (re.compile(r"h|hh|hou?|hours?"), 3600),
    (re.compile(r"d|dd|da|days?"), 86_400),
    (re.compile(r"w|ww|wee?|weeks?"), 604_800),
    (re.compile(r"mon?|months?"), 2_629_800),
    (re.compile(r"y|yy|yea?|years?"), 31_557_600),
)


@dataclass(frozen=True)
class Jail:
    """One running jail: the log files that it reads (none with the journal) and the addresses it bans."""

    files: tuple[str, ...]
    banned: tuple[str, ...]


def answers(text: str, count: int) -> tuple[str, ...]:
    """What `fail2ban-client -i` says to `count` questions and a "quit"; ObservationError for another number.

    An answer is empty where the server is down: the reason is on stderr.
    """
    _, *found = text.split(PROMPT)
    if len(found) != count + 1:
        raise ObservationError(f"fail2ban: expected {count} answers, got {len(found) - 1} in {excerpt(text)}")
    return tuple(found[:count])


def jails(text: str) -> tuple[str, ...]:
    """The names in `fail2ban-client status`; ObservationError where the server did not answer that."""
    return tuple(_field(text, "Jail list").replace(",", " ").split())


def jail(text: str) -> Jail:
    """`fail2ban-client status JAIL`; ObservationError for an unknown jail or a server that is down."""
    files = _field(text, "File list") if "Journal matches:" not in text else ""
    return Jail(tuple(files.split()), tuple(_field(text, "Banned IP list").split()))


def number(text: str) -> int:
    """`get JAIL maxretry`, `bantime` or `findtime` (seconds); ObservationError for anything but an integer."""
    if not INTEGER.fullmatch(text.strip()):
        raise ObservationError(f"fail2ban: expected an integer, got {excerpt(text)}")
    return int(text)


def actions(text: str) -> tuple[str, ...]:
    """The names in `get JAIL actions`; ObservationError for any other text."""
    head, _, rest = text.strip().partition("\n")
    if head.startswith("No actions for jail"):
        return ()
    if not head.endswith("has the following actions:"):
        raise ObservationError(f"fail2ban: expected the actions of a jail, got {excerpt(text)}")
    return tuple(name for name in re.split(r"[,\s]+", rest) if name)


def properties(text: str) -> tuple[str, ...]:
    """The names in `get JAIL actionproperties ACTION`; ObservationError for any other text."""
    head, _, rest = text.strip().partition("\n")
    if not head.endswith("has the following properties:"):
        raise ObservationError(f"fail2ban: expected the properties of an action, got {excerpt(text)}")
    return tuple(name for name in re.split(r"[,\s]+", rest) if name)


def log_paths(text: str) -> tuple[str, ...]:
    """The files in `get JAIL logpath`; ObservationError for any other text."""
    head, *lines = text.strip().split("\n")
    if head.strip() == "No file is currently monitored":
        return ()
    if not head.startswith("Current monitored log file") or not all(line[:3] in {"|- ", "`- "} for line in lines):
        raise ObservationError(f"fail2ban: expected monitored log files, got {excerpt(text)}")
    return tuple(line[3:].strip() for line in lines)


def journal_match(text: str) -> tuple[str, ...]:
    """The words in `get JAIL journalmatch`, as journalctl takes them (none: everything).

    Raises ObservationError for any other text.
    """
    head, _, words = text.strip().partition("\n")
    if head.startswith("No journal match filter"):
        return ()
    if not head.startswith("Current match filter"):
        raise ObservationError(f"fail2ban: expected what a jail takes from the journal, got {excerpt(text)}")
    return tuple(words.split())


def ignored(text: str) -> tuple[str, ...]:
    """The addresses and networks in `get JAIL ignoreip`; ObservationError for any other text."""
    head, *lines = text.strip().split("\n")
    if head.strip() == "No IP address/network is ignored":
        return ()
    if not head.startswith("These IP addresses/networks are ignored") or not all(
        line[:3] in {"|- ", "`- "} for line in lines
    ):
        raise ObservationError(f"fail2ban: expected ignored networks, got {excerpt(text)}")
    return tuple(line[3:].strip() for line in lines)


def ports(text: str) -> str:
    """`get JAIL action ACTION port`, like "22", "ssh" or "0:65535"; ObservationError for any other text."""
    if not PORTS.fullmatch(text.strip()):
        raise ObservationError(f"fail2ban: expected ports, got {excerpt(text)}")
    return text.strip()


def level(text: str) -> str:
    """`get loglevel`, like "INFO"; ObservationError for any other text."""
    found = LEVEL.fullmatch(text.strip())
    if not found:
        raise ObservationError(f"fail2ban: expected a logging level, got {excerpt(text)}")
    return found[1]


def target(text: str) -> str:
    """`get logtarget`: a file, or a word like SYSLOG; ObservationError for any other text."""
    head, _, line = text.strip().partition("\n")
    if not head.startswith("Current logging target is") or line[:3] != "`- ":
        raise ObservationError(f"fail2ban: expected a logging target, got {excerpt(text)}")
    return line[3:].strip()


def matched(text: str) -> int:
    """How many lines a filter matched in `fail2ban-regex`; ObservationError where it does not say that."""
    found = COUNTS.search(text)
    if not found:
        raise ObservationError(f"fail2ban-regex: expected a line of counts, got {excerpt(text)}")
    return int(found[1])


def banned(text: str) -> dict[str, tuple[str, ...]]:
    """`fail2ban-client banned`: every jail with its banned addresses; ObservationError for any other text."""
    rows = _literal(text.strip())
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ObservationError(f"fail2ban: expected a list of jails, got {excerpt(text)}")
    found: dict[str, tuple[str, ...]] = {}
    for name, addresses in (item for row in rows for item in row.items()):
        if not isinstance(addresses, list):
            raise ObservationError(f"fail2ban: expected a list of addresses, got {excerpt(text)}")
        found[str(name)] = tuple(map(str, addresses))
    return found


def dump(text: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """What the files would set (`fail2ban-client -d`): jail, setting, its values in order as written.

    Like {"sshd": {"bantime": ("120",), "addaction": ("iptables",), "addlogpath": ("/var/log/auth.log",)}};
    every enabled jail is there, and its actions' ports as "port". Raises ObservationError where a line is
    no list of words, or the configuration itself is reported as wrong.
    """
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in filter(None, map(str.strip, text.split("\n"))):
        match _literal(line):
            case ["add", str(name), *_]:
                found.setdefault(name, {})
            case ["set", str(name), str(key), value, *_] if name in found:
                found[name][key] = (*found[name].get(key, ()), str(value))
            case ["multi-set", str(name), "action", str(), list(pairs)] if name in found:
                values = tuple(str(pair[1]) for pair in pairs if isinstance(pair, list) and pair[:1] == ["port"])
                found[name]["port"] = (*found[name].get("port", ()), *values)
            case [str(word), *_] if word != "config-error":
                pass
            case _:
                raise ObservationError(f"fail2ban -d: expected a command, got {excerpt(line)}")
    if not found:
        raise ObservationError(f"fail2ban -d: expected at least one jail, got {excerpt(text)}")
    return found


def orders(text: str) -> dict[str, dict[str, dict[str, str]]]:
    """What each action of each jail would be told by the files (`fail2ban-client -d`): jail, action, property, text.

    Like {"sshd": {"iptables": {"actionban": "<iptables> -I f2b-sshd 1 -s <ip> -j <blocktype>", "port": "22"}}}.
    Raises ObservationError where a line is no list of words.
    """
    found: dict[str, dict[str, dict[str, str]]] = {}
    for line in filter(None, map(str.strip, text.split("\n"))):
        match _literal(line):
            case ["multi-set", str(name), "action", str(action), list(pairs)]:
                told = {str(pair[0]): str(pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2}  # noqa: PLR2004 - a pair
                found.setdefault(name, {})[action] = told
            case _:
                pass
    return found


def order(text: str) -> str | None:
    """`get JAIL action ACTION PROPERTY`; None for an action that is written in Python and has no such property."""
    return None if NO_PROPERTY.fullmatch(text.strip()) else text.strip()


def seconds(text: str) -> int:
    """A time as a file writes it ("120", "10m", "1d 12h", "-1" for ever) in seconds.

    Raises ObservationError for anything else; fail2ban would also evaluate arithmetic.
    """
    if text.strip() == "-1":
        return -1
    total, at, text = 0, 0, text.strip()
    while at < len(text) or not text:
        span = SPAN.match(text, at)
        unit = next((size for name, size in UNITS if span and name.fullmatch(span[2].lower())), None)
        if span is None or unit is None:
            raise ObservationError(f"fail2ban: expected a time like 10m, got {excerpt(text)}")
        total, at = total + int(span[1]) * unit, span.end()
    return total


def _field(text: str, name: str) -> str:
    fields = (match for match in map(FIELD.fullmatch, text.split("\n")) if match)
    found = next((match[2].strip() for match in fields if match[1] == name), None)
    if found is None:
        raise ObservationError(f"fail2ban: expected a line {name!r}, got {excerpt(text)}")
    return found


def _literal(text: str) -> object:
    try:
        value: object = ast.literal_eval(text)
    # All that literal_eval documents for text that is no literal, or nested too deeply.
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ObservationError(f"fail2ban: expected a list, got {excerpt(text)}") from None
    return value
