"""The words of the inventory that its tables share: names, addresses, passwords, and what a table is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, StringConstraints

from harness.secret import Secret

HOSTNAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
Hostname = Annotated[str, StringConstraints(pattern=HOSTNAME)]
Interface = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,15}$")]
Mac = Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$", to_lower=True)]
User = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
LABEL = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$"
# ACCOUNT/NAME or HOST/…/NAME, in small letters; Docker Hub's own host is not written.
IMAGE = r"^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"
SERVICE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
SQL_NAME = r"^[A-Za-z0-9_]{1,64}$"
LONGEST_PASSWORD = 72  # bytes that bcrypt minds


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    is_good = isinstance(value, str) and value.isprintable() and 0 < len(value.encode()) <= LONGEST_PASSWORD
    if not isinstance(value, str) or not is_good:
        raise ValueError("expected a text of one line, at most 72 bytes long")
    return Secret(value)


# It is on no tape: there stands a mask in its place.
Password = Annotated[Secret, PlainValidator(_secret), PlainSerializer(lambda _: "***", return_type=str)]


class Table(BaseModel):
    """A table of the inventory: no key but its own, and no change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
