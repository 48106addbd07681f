"""Read what the application's MPI programs write, as strictly as fixtures/app/mpi/README.md documents it; pure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from harness.parse.excerpt import excerpt
from harness.primes import Found, compare

# The documented forms, as `form` says them.
PRIMES_FORM = "executionTime: number with a point, primeNumbersList: list of integers"
PI_FORM = "executionTime: number with a point, pi: number with a point, error: number with a point"
STATS_HEADER = "piName;cpuUsage;cpuFrequency;memTotal;memUsed;uptime"
FIELDS = len(STATS_HEADER.split(";"))
# A right estimate is farther off than this many standard deviations once in two million runs.
SIGMAS = 5
NAMES = {float: "number with a point", int: "integer", str: "text", bool: "true or false", list: "list", dict: "object"}


@dataclass(frozen=True)
class Primes:
    """A result of prime.py: its form in words, and its list set against the primes of the range.

    `found` is None where there is no list of integers.
    """

    form: str
    found: Found | None = None


@dataclass(frozen=True)
class Pi:
    """A result of pi_monte_carlo.py: its form in words, and its two numbers."""

    form: str
    pi: float = 0.0
    error: float = 0.0


@dataclass(frozen=True)
class Stats:
    """A result of node_stats.py: its header, the machine of each row, and what is odd about which machine's row."""

    header: str
    machines: tuple[str, ...] = ()
    odd: tuple[tuple[str, str], ...] = ()


def primes(text: str, low: int, high: int) -> Primes:
    """Read a result of prime.py for a range."""
    form, value = _read(text)
    numbers = value.get("primeNumbersList")
    if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
        return Primes(form)
    return Primes(form, compare(numbers, low, high))


def pi(text: str) -> Pi:
    """Read a result of pi_monte_carlo.py."""
    form, value = _read(text)
    return Pi(form, value["pi"], value["error"]) if form == PI_FORM else Pi(form)


def deviation(throws: int) -> float:
    """The standard deviation of an estimate of pi from this many throws: 4 sqrt(p (1 - p) / throws), p = pi / 4."""
    chance = math.pi / 4
    return 4 * math.sqrt(chance * (1 - chance) / throws)


def is_plausible(found: Pi, throws: int) -> bool:
    """Whether the estimate is one of so many throws: near enough, and 4 times a whole number of hits over throws.

    So neither pi itself nor throws that were lost on the way pass.
    """
    hits = found.pi * throws / 4
    is_whole = abs(hits - round(hits)) < 1e-6  # noqa: PLR2004 - what division may lose
    is_error = math.isclose(found.error, abs(found.pi - math.pi) / math.pi, rel_tol=1e-6, abs_tol=1e-12)
    return is_whole and is_error and abs(found.pi - math.pi) <= SIGMAS * deviation(throws)


def stats(text: str) -> Stats:
    """Read a CSV of node_stats.py."""
    header, *lines = text.splitlines() or [""]
    rows = [line.split(";") for line in lines]
    odd = ((row[0], _oddity(row)) for row in rows)
    return Stats(header[:200], tuple(row[0] for row in rows), tuple(pair for pair in odd if pair[1]))


def _oddity(row: list[str]) -> str:
    """What cannot be true about a row; empty where nothing is."""
    if len(row) != FIELDS:
        return f"{len(row)} fields"
    _, load, frequency, total, used, up = row
    try:
        is_right = 0 <= float(load) <= 100 and 0 <= int(used) <= int(total) and int(total) > 0  # noqa: PLR2004 - percent
        is_right = is_right and (not frequency or 0 < float(frequency) < 100) and up.startswith("up ")  # noqa: PLR2004
    except ValueError:
        is_right = False
    return "" if is_right else excerpt(";".join(row[1:]))


def _read(text: str) -> tuple[str, dict[str, Any]]:
    try:
        value = json.loads(text)
    except ValueError:
        return f"no JSON: {excerpt(text)}", {}
    if not isinstance(value, dict):
        return f"no object but {_kind(value)}", {}
    return ", ".join(f"{key}: {_kind(one)}" for key, one in value.items())[:200] or "an empty object", value


def _kind(value: object) -> str:
    if isinstance(value, list):
        kinds = {_kind(one) for one in value} or {"integer"}
        return f"list of {' and '.join(sorted(kinds))}s"
    return NAMES.get(type(value), "null")
