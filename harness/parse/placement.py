"""Placement constraints of a service, as the swarm itself reads them (runbook L394-406, L468-491).

Source: github.com/moby/swarmkit, manager/constraint/constraint.go: keys of the node in any case, names of labels
in their own, values compared without regard to case; a label that is not there is an empty text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]+")
VALUE = re.compile(r"[A-Za-z0-9:_\s.*()?+\[\]\\^$|/-]+")
NODE_LABEL, ENGINE_LABEL = "node.labels.", "engine.labels."


@dataclass(frozen=True)
class Candidate:
    """A node as the scheduler sees it; `role` is manager or worker, `architecture` that of `uname -m`."""

    hostname: str
    role: str = "worker"
    id: str = ""
    os: str = "linux"
    architecture: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    engine_labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Constraint:
    """One condition: what it asks of a node, whether that must be so or must not be so, and the value."""

    key: str
    is_wanted: bool
    value: str

    def __str__(self) -> str:
        return f"{self.key} {'==' if self.is_wanted else '!='} {self.value}"


def constraint(text: str) -> Constraint:
    """One expression like `node.labels.service == web`; ObservationError where the swarm would refuse it."""
    operator = next((one for one in ("==", "!=") if one in text), None)
    if operator is None:
        raise ObservationError(f"placement: expected KEY == VALUE or KEY != VALUE, got {excerpt(text)}")
    key, _, value = (part.strip() for part in text.partition(operator))
    if not KEY.fullmatch(key) or not VALUE.fullmatch(value):
        raise ObservationError(f"placement: expected a key and a value that the swarm knows, got {excerpt(text)}")
    return Constraint(key, operator == "==", value)


def admits(constraints: Iterable[Constraint], node: Candidate) -> bool:
    """Whether a service with all these constraints may be placed on a node."""
    return all(_holds(one, node) for one in constraints)


def _holds(one: Constraint, node: Candidate) -> bool:
    seen = _seen(one.key, node)
    # A key that the swarm does not know admits no node, in either sense.
    return seen is not None and (seen.casefold() == one.value.casefold()) is one.is_wanted


def _seen(key: str, node: Candidate) -> str | None:
    plain = {
        "node.id": node.id, "node.hostname": node.hostname, "node.role": node.role, "node.platform.os": node.os,
        "node.platform.arch": node.architecture,
    }  # fmt: skip
    folded = key.casefold()
    for prefix, labels in ((NODE_LABEL, node.labels), (ENGINE_LABEL, node.engine_labels)):
        if folded.startswith(prefix) and len(key) > len(prefix):
            return labels.get(key[len(prefix) :], "")
    return plain.get(folded)
