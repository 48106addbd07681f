"""What pydantic finds wrong with a value, in one short sentence of ours: what was expected there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

BARE_KEY = re.compile(r"[A-Za-z0-9_-]*\Z")
MAX_SHOWN = 60

# By pydantic's type of error; `{}` is filled from its context (https://docs.pydantic.dev/latest/errors/validation_errors/).
WORDS = {
    "missing": "missing",
    "extra_forbidden": "unknown key",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected a text",
    "bytes_type": "expected a text",
    "path_type": "expected a path",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "frozen_set_type": "expected a list",
    "dict_type": "expected a table of keys and values",
    "model_type": "expected a table of keys and values",
    "dataclass_type": "expected a table of keys and values",
    "literal_error": "expected {expected}",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected {ge:g} or more",
    "less_than_equal": "expected {le:g} or less",
    "too_short": "expected {min_length} or more",
    "string_pattern_mismatch": "expected a text of the form {pattern}",
}


def expected(error: ErrorDetails) -> str:
    """What was expected: "expected a whole number", "missing"."""
    words = WORDS.get(error["type"])
    if words:
        return words.format(**error.get("ctx", {}))
    message = error["msg"].removeprefix("Value error, ")
    return re.sub(r"^[Ii]nput should be", "expected", message[:1].lower() + message[1:])


def dotted(*parts: int | str) -> str:
    """A path of keys and indices as a person writes it: `nodes[0].name`."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if BARE_KEY.match(part) else f".{part!r}"
    return text.removeprefix(".")


def misfit(error: ErrorDetails, within: Sequence[int | str] = ()) -> str:
    """The whole of it for a file that a program wrote: where, what was expected, what is there."""
    where = dotted(*within, *error["loc"])
    is_there = error["type"] not in {"missing", "extra_forbidden"}
    shown = repr(error["input"])
    got = f", got {shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + '…'}" if is_there else ""
    return f"{where}: {expected(error)}{got}" if where else f"{expected(error)}{got}"
