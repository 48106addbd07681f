"""Parts of a stack's file that can be written in two ways: ports, volumes, environment and commands.

Both ways end in one form. A value that fits neither raises ValueError with what was expected.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.parse.excerpt import excerpt

PORT = re.compile(
    r"(?:(?:\d+\.\d+\.\d+\.\d+):)?(?:(?P<published>\d+(?:-\d+)?):)?(?P<target>\d+(?:-\d+)?)(?:/(?P<protocol>\w+))?"
)
MOST_PORTS = 1000  # of one range
PORT_SHAPE = 'expected a port like "80:80"'
NAMES_SHAPE = "expected a table of names"
BIND_SHAPE = "expected a folder from the root on, for it is looked for on each node"


class Port(BaseModel):
    """A published port; `published` 0 lets the swarm choose one."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    target: int = Field(ge=1, le=65535)
    published: int = Field(default=0, ge=0, le=65535)
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    mode: Literal["ingress", "host"] = "ingress"

    def __str__(self) -> str:
        return f"{self.published or 'any'}->{self.target}/{self.protocol} ({self.mode})"


class Mount(BaseModel):
    """What a task sees as `target`: a path of the node, a volume that Docker keeps, or memory (`type` tmpfs).

    `source` is empty for what has no name: memory, and a volume that each task has for itself.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    type: str = Field(default="bind", min_length=1)
    source: str = ""
    target: str = Field(min_length=1)
    read_only: bool = False

    def __str__(self) -> str:
        kind = "" if self.type == "bind" else self.type
        return f"{f'{kind} {self.source}'.strip()}:{self.target}{':ro' if self.read_only else ''}"


def read_ports(value: object) -> object:
    """Entries as tables; a range is as many as it has ports."""
    if not isinstance(value, list):
        return _read_before(value, "expected a list of ports")
    return [port for entry in value for port in ([entry] if isinstance(entry, dict) else _short_ports(str(entry)))]


def _read_before(value: object, expected: str) -> object:
    """What was parsed before (the inventory on a tape) is one of our own tuples; nothing is nothing."""
    if value is None or isinstance(value, tuple):
        return value or ()
    raise ValueError(expected)


def _short_ports(text: str) -> list[dict[str, Any]]:
    match = PORT.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{PORT_SHAPE}, got {excerpt(text)}")
    targets = _range(match["target"])
    published = _range(match["published"]) if match["published"] else [0] * len(targets)
    if len(targets) != len(published):
        raise ValueError(f"{PORT_SHAPE}, or two ranges of the same length")
    protocol = {"protocol": match["protocol"].lower()} if match["protocol"] else {}
    return [{"target": one, "published": other, **protocol} for one, other in zip(targets, published, strict=True)]


def _range(text: str) -> list[int]:
    first, _, last = text.partition("-")
    found = range(int(first), int(last or first) + 1)
    if not 0 < len(found) <= MOST_PORTS:
        raise ValueError(f"expected a range of at most {MOST_PORTS} ports")
    return list(found)


def read_mounts(value: object) -> object:
    """The entries as tables."""
    if not isinstance(value, list):
        return _read_before(value, "expected a list of volumes")
    return [_mount(entry) for entry in value]


def _mount(entry: object) -> dict[str, Any]:
    if isinstance(entry, dict):
        written = {key: item for key, item in entry.items() if item is not None}
        if written.get("type", "bind") == "bind":
            _refuse_relative(str(written.get("source", "")))
        return written
    source, colon, rest = str(entry).partition(":")
    if not colon:
        return {"type": "volume", "target": source}
    target, _, options = rest.partition(":")
    is_path = source.startswith(("/", ".", "~"))
    if is_path:
        _refuse_relative(source)
    kind = "bind" if is_path else "volume"
    return {"type": kind, "source": source, "target": target, "read_only": "ro" in options.split(",")}


def read_own_names(value: object) -> object:
    """The volumes or networks of a file that Docker calls by names of their own, and not by that of the stack."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(NAMES_SHAPE)  # noqa: TRY004 - pydantic wants it
    names = {key: _own_name(str(key), entry) for key, entry in value.items()}
    return {key: name for key, name in names.items() if name}


def _own_name(key: str, entry: object) -> str:
    """Empty where it has none; a name as the inventory on a tape has it stays."""
    if not isinstance(entry, dict):
        return entry if isinstance(entry, str) else ""
    external = entry.get("external")
    if isinstance(external, dict):  # as it was written before version 3.4
        return str(external.get("name") or key)
    return str(entry.get("name") or (key if external else ""))


def _refuse_relative(source: str) -> None:
    if not source.startswith("/"):
        raise ValueError(f"{BIND_SHAPE}, got {excerpt(source)}")


def read_networks(value: object) -> object:
    """Their names; the stack's own one where there are none."""
    if value is not None and not isinstance(value, list | dict | tuple):
        raise ValueError("expected a list of networks")
    return tuple(map(str, value or ("default",)))


def read_environment(value: object) -> dict[str, str | None]:
    """Names to values; None for a name without one."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {str(name): None if text is None else _text(text) for name, text in value.items()}
    if not isinstance(value, list):
        raise ValueError("expected names with values")  # noqa: TRY004 - pydantic wants it
    pairs = (str(entry).partition("=") for entry in value)
    return {name: text if equals else None for name, equals, text in pairs}


def _text(value: object) -> str:
    if isinstance(value, bool | dict | list):
        raise ValueError("expected texts and numbers: put true and false in quotes")  # noqa: TRY004 - pydantic wants it
    return str(value)


def read_words(value: object) -> object:
    """A command as its words; text is split as a shell does."""
    return tuple(shlex.split(value)) if isinstance(value, str) else value or ()
