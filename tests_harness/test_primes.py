"""The oracle: right by other means, and not to be deceived by the runbook's listing or by a right number of numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.primes import Found, compare, digest, primes, wanted
from tests_harness.labkit import ROOT

LISTING: list[int] = json.loads((ROOT / "fixtures" / "samples" / "runbook-primes.json").read_text())["primeNumbersList"]


def is_prime(number: int) -> bool:
    """Miller and Rabin's test; with these bases it is exact below 3 215 031 751 (OEIS A014233)."""
    if number < 2:
        return False
    for base in (2, 3, 5, 7):
        if number % base == 0:
            return number == base
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_passes(number, base, odd, twos) for base in (2, 3, 5, 7))


def _passes(number: int, base: int, odd: int, twos: int) -> bool:
    power = pow(base, odd, number)
    return power in {1, number - 1} or any(pow(power, 2**turn, number) == number - 1 for turn in range(1, twos))


def is_right(numbers: Any, low: int, high: int) -> bool:  # noqa: ANN401 - any sequence of numbers
    return compare(numbers, low, high) == wanted(low, high)


@pytest.mark.parametrize(("power", "count"), [*enumerate((4, 25, 168, 1229, 9592, 78498), 1)])
def test_there_are_as_many_as_everybody_knows(power: int, count: int) -> None:
    """OEIS A006880."""
    assert len(primes(1, 10**power)) == count


def test_they_are_the_ones_that_another_way_finds() -> None:
    assert primes(0, 20_000) == tuple(filter(is_prime, range(20_001)))
    assert primes(980_000, 1_000_000) == tuple(filter(is_prime, range(980_000, 1_000_001)))


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [
        (0, 1, ()), (1, 1, ()), (0, 0, ()), (2, 2, (2,)), (1, 2, (2,)), (97, 97, (97,)), (90, 96, ()),
        (90, 97, (97,)), (10, 30, (11, 13, 17, 19, 23, 29)), (4, 9, (5, 7)),
    ],
)  # fmt: skip
def test_both_bounds_are_included(low: int, high: int, want: tuple[int, ...]) -> None:
    assert primes(low, high) == want


def test_the_listing_of_the_runbook_is_rejected_though_its_length_is_right() -> None:
    found = compare(LISTING, 1, 100)
    assert found.count == wanted(1, 100).count == 25
    assert found != wanted(1, 100)
    assert str(found) == "25 numbers; lacks 2; has 1"


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        pytest.param([1, *primes(3, 100)], "lacks 2; has 1", id="1 instead of 2"),
        pytest.param([*primes(1, 96), 99], "lacks 97; has 99", id="composite instead of the last"),
        pytest.param([2, *primes(2, 89)], "lacks 97; not ascending, or one twice", id="one twice"),
        pytest.param(list(reversed(primes(1, 100))), "not ascending", id="backwards"),
        pytest.param(list(range(1, 26)), "lacks 29, 31, 37, 41, 43, …; has 1, 4, 6, 8, 9, …", id="as many, but any"),
        pytest.param([], "0 numbers; lacks 2, 3, 5, 7, 11, …", id="none"),
        pytest.param(list(primes(1, 96)), "24 numbers; lacks 97", id="upper bound left out"),
        pytest.param([*primes(1, 100), 101], "26 numbers; has 101", id="one too many"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_rejected_and_its_difference_named(numbers: list[int], words: str) -> None:
    assert not is_right(numbers, 1, 100)
    assert words in str(compare(numbers, 1, 100))


def test_words_that_lie_about_a_list_change_no_verdict() -> None:
    assert Found(25, digest(LISTING)) != wanted(1, 100)


@given(st.integers(0, 3000), st.integers(0, 300), st.lists(st.integers(-5, 4000), max_size=40))
def test_only_the_primes_themselves_pass(low: int, more: int, numbers: list[int]) -> None:
    high = low + more
    assert is_right(primes(low, high), low, high)
    assert is_right(numbers, low, high) is (numbers == list(filter(is_prime, range(low, high + 1))))
