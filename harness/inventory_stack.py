"""The part of the inventory that says what runs on the swarm: the stack's own file, and the visualizer."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import Field

from harness.errors import UsageError
from harness.inventory_words import Table
from harness.parse.compose import Compose, parse

SHIPPED = Path(__file__).parents[1] / "fixtures" / "app" / "docker-compose-stack.yml"


class StackFile(Table):
    """What the file of a stack says, and the SHA-256 of its bytes; read with the inventory, and kept on a tape."""

    compose: Compose
    digest: str


class Stack(Table):
    """The stack of the application (runbook L408-491).

    `file` is relative to the inventory's folder; not written, it is the one that this project ships.
    """

    name: str = Field(default="appli", pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,40}$")
    file: Path | None = None
    content: StackFile = Field(json_schema_extra={"is_ours": True})


class Visualizer(Table):
    """The page that shows who runs what, for tests only (runbook L515-528); `target` is its port in the container."""

    enabled: bool = False
    image: str = Field(default="dockersamples/visualizer", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$")
    service: str = Field(default="visualizer", pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$")
    port: int = Field(default=5000, ge=1, le=65535)
    target: int = Field(default=8080, ge=1, le=65535)


def stack_file(file: Path | None, folder: Path) -> Path:
    """Where the file of the stack is on this machine; None is the one that this project ships."""
    try:
        return SHIPPED if file is None else folder / file.expanduser()
    except RuntimeError:
        raise UsageError(f"{file}: no such home directory; expected a path of a person that exists") from None


def with_file(stack: object, source: str, folder: Path) -> object:
    """The table [stack] with what its file says; a tape has that already."""
    file = stack.get("file") if isinstance(stack, dict) else None
    if not isinstance(stack, dict) or "content" in stack or not isinstance(file, str | None):
        return stack
    path = stack_file(None if file is None else Path(file), folder)
    try:
        octets = path.read_bytes()
        compose = parse(octets.decode(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read as a text file: {error}"
        raise UsageError(f"{source}: stack.file: {path}: {why}; expected the file of `docker stack deploy`") from None
    return {**stack, "content": {"compose": compose, "digest": hashlib.sha256(octets).hexdigest()}}
