"""Which numbers are prime: the oracle that the application's own program is judged by; pure.

It shares no code with that program. A list is judged as an exact set in order, never by how long it is: the
runbook's own listing (L638-663) has 25 numbers as it should, with 1 in it and without 2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 5


@dataclass(frozen=True)
class Found:
    """A list of numbers set against the primes of its range: short enough for a tape, exact enough for a verdict.

    `digest` is SHA-256 over the whole list in its order, and decides. The rest is for people: how many numbers there
    are, the first few primes that are missing and numbers that should not be there, and whether all ascend.
    """

    count: int
    digest: str
    missing: tuple[int, ...] = ()
    foreign: tuple[int, ...] = ()
    ascends: bool = True

    def __str__(self) -> str:
        """The difference in words."""
        parts = [
            f"lacks {_listed(self.missing)}" if self.missing else "",
            f"has {_listed(self.foreign)}" if self.foreign else "",
            "" if self.ascends else "not ascending, or one twice",
        ]
        return "; ".join([f"{self.count} numbers", *filter(None, parts)])


@lru_cache(maxsize=32)
def primes(low: int, high: int) -> tuple[int, ...]:
    """All primes from `low` to `high`, both included, ascending (sieve of Eratosthenes)."""
    is_prime = [False, False] + [True] * (high - 1)
    number = 2
    while number * number <= high:
        if is_prime[number]:
            for multiple in range(number * number, high + 1, number):
                is_prime[multiple] = False
        number += 1
    return tuple(number for number in range(max(low, 0), high + 1) if is_prime[number])


@lru_cache(maxsize=32)
def wanted(low: int, high: int) -> Found:
    """What the right list of a range looks like."""
    right = primes(low, high)
    return Found(len(right), digest(right))


def compare(numbers: Sequence[int], low: int, high: int) -> Found:
    """Set a list against the primes of its range."""
    right = primes(low, high)
    missing, foreign = sorted(set(right).difference(numbers)), sorted(set(numbers).difference(right))
    ascends = all(one < other for one, other in pairwise(numbers))
    return Found(len(numbers), digest(numbers), tuple(missing[:SHOWN]), tuple(foreign[:SHOWN]), ascends)


def digest(numbers: Sequence[int]) -> str:
    """SHA-256 of a list in its order."""
    return hashlib.sha256(",".join(map(str, numbers)).encode()).hexdigest()


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers)) + (", …" if len(numbers) == SHOWN else "")
