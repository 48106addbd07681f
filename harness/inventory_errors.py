"""What is wrong in an inventory, as one sentence: the key, what was expected, and what was there."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel

from harness.expected import dotted, expected
from harness.inventory_machines import WORD_SIZES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

SHAPES = {
    "host": "expected a host name or an address alone (user and port have keys of their own)",
    "name": "expected a host name of small letters, digits and hyphens",
    "alias": "expected a host name of small letters, digits and hyphens",
    "address": "expected an IPv4 address like 172.19.181.3",
    "subnet": "expected an IPv4 network like 172.19.181.0/24",
    "mac": "expected a MAC address like 00:22:82:ff:ff:03",
    "nodes": "expected tables written [[nodes]]",
    "images.web": "expected the name of an image like wzehren/phpsae",
    "images.database": "expected the name of an image like wzehren/mysqlsae",
    "architecture": f"expected one of {', '.join(WORD_SIZES)}",
}


def sentence(error: ErrorDetails, inventory: type[BaseModel]) -> str:
    """One problem as "key: what was expected, got what"."""
    *parents, last = error["loc"] or ("",)
    where = dotted(*parents, last)
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; expected one of {keys(_table_at(inventory, parents))}"
    if error["type"] == "missing":
        if parents[:1] != ["nodes"]:
            return f"{where}: missing"
        return f"{where}: missing; a node that is not called p1 to p99 needs it written out"
    if not where:
        return error["msg"].removeprefix("Value error, ")
    wanted = SHAPES.get(where) or SHAPES.get(str(last)) or expected(error)
    if "password" in str(last) or "users" in parents:
        return f"{where}: {wanted}"  # and not what was there: it may be a password in the wrong place
    return f"{where}: {wanted}, got {error['input']!r}"


def keys(table: type[BaseModel]) -> str:
    """The keys that a person may write in a table."""
    fields = table.model_fields.items()
    return ", ".join(name for name, field in fields if not field.exclude and not field.json_schema_extra)


def _table_at(table: type[BaseModel], path: Sequence[int | str]) -> type[BaseModel]:
    """The table at a path of keys and list indices."""
    for part in path:
        if part in table.model_fields:
            kind = table.model_fields[str(part)].annotation
            table = next(one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, BaseModel))
    return table
