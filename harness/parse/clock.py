"""Compare a node's clock with ours, as fairly as the time that the question took allows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

SECONDS = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,9}")


@dataclass(frozen=True)
class Reading:
    """A clock is `ahead` milliseconds ahead of ours (behind: negative), give or take `doubt` milliseconds."""

    ahead: int
    doubt: int


def reading(text: str, asked: float, answered: float) -> Reading:
    """From the answer of `date +%s.%N` and our own times of question and answer, in seconds since 1970.

    The node looked at its clock at some moment between the two; ObservationError for any other text.
    """
    if not SECONDS.fullmatch(text.strip()):
        raise ObservationError(f"date: expected seconds since 1970, got {excerpt(text)}")
    middle, doubt = (asked + answered) / 2, (answered - asked) / 2
    return Reading(round((float(text) - middle) * 1000), round(doubt * 1000))
