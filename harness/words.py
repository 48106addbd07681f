"""How a number is said; the crew and the report both say numbers."""

from __future__ import annotations


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 cause", "2 causes"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
