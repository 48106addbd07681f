"""An action as lines that a person can read before agreeing to it."""

from __future__ import annotations

import difflib
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.actions import (
    AllowWrites,
    Boot,
    BuildImage,
    DeployStack,
    JoinSwarm,
    LoadSchema,
    PushImage,
    Run,
    SettleService,
    Write,
    WriteSshd,
)
from harness.report.text import visible
from harness.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.actions import Action

Kind = Literal["head", "what", "file", "hunk", "same", "added", "removed", "note"]

KINDS: dict[str, Kind] = {"+": "added", "-": "removed", "@": "hunk", " ": "same"}
MAX_LINES = 400  # a plan is read before it is agreed to: every file of ours is shown whole
MAX_WIDTH = 400
MAX_COMPARED = 4000  # lines of a file; difflib's time grows with their square
NO_NEWLINE = "\\ No newline at end of file"


@dataclass(frozen=True)
class Line:
    """One line of a shown action; `text` is already safe to show and has no line break."""

    kind: Kind
    text: str


def lines(action: Action, limit: int = MAX_LINES) -> tuple[Line, ...]:
    """The action as lines: node and why, then what would be done; a file as at most `limit` diff lines."""
    if isinstance(action, Run):
        return (_head(action), Line("what", what(action)))
    if isinstance(action, Write | WriteSshd):
        return (_head(action), Line("what", what(action)), *_bounded(list(_compare(action)), limit))
    return (Line("head", visible(f"{action.node}: {what(action)}: {action.why}", MAX_WIDTH)),)


def what(action: Action) -> str:
    """What the action does, in one line without the reason."""
    if isinstance(action, Run):
        return visible(_what(action)) + ("  (last, once)" if action.last else "")
    return visible(_what(action), MAX_WIDTH)


def _what(action: Action) -> str:
    match action:
        case Write():
            said = _what_file(action)
        case WriteSshd():
            said = _what_sshd(action)
        case Boot():
            said = _what_boot(action)
        case JoinSwarm():
            said = f"join the swarm of {action.manager} at {action.remote} as {action.address}"
        case BuildImage():
            source = action.folder or "fixtures/app"
            said = f"build {action.reference} for {action.platform} of {source}/{action.dockerfile}"
        case PushImage():
            said = f"push {action.reference} by the Docker login of {action.user}"
        case DeployStack() | SettleService():
            said = _what_stack(action)
        case LoadSchema() | AllowWrites():
            said = _what_database(action)
        case Run():
            said = f"$ {shlex.join(action.argv)}"
    return said


def _what_database(action: LoadSchema | AllowWrites) -> str:
    where = f"in container {action.container[:12]}"
    if isinstance(action, AllowWrites):
        return f"mysql> SET GLOBAL read_only = 0 {where}"
    return f"run {action.script} {where}, if its database is empty"


def plain(action: Action, limit: int = MAX_LINES) -> str:
    """The lines of an action as one text."""
    return "\n".join(line.text for line in lines(action, limit))


def _head(action: Run | Write | WriteSshd) -> Line:
    return Line("head", visible(f"{action.node}: {action.why}", MAX_WIDTH))


def _what_file(action: Write) -> str:
    verb = "create" if action.before is None else "write"
    mode = [] if action.mode is None else [f"mode {action.mode:04o}"]
    owner = [] if action.owner is None else [f"owner {action.owner}"]
    rights = ", ".join((*mode, *owner))
    return f"{verb} {action.path}" + (f" ({rights})" if rights else "")


def _what_sshd(action: WriteSshd) -> str:
    verb = "create" if action.before is None else "write"
    guard = f"taken back by the node after {action.limit:g} s unless a new login works"
    return f"{verb} {action.path} and reload sshd ({guard})"


def _what_stack(action: DeployStack | SettleService) -> str:
    if isinstance(action, DeployStack):
        made = f"made from the inventory's, because {action.mesh}" if action.mesh else "the inventory's"
        return f"docker stack deploy --compose-file {action.path} {action.stack} (the file is {made})"
    anew = "docker service update --force" if action.force else "wait for"
    return f"{anew} {action.service}, until its tasks stay (at most {action.limit:g} s)"


def _what_boot(action: Boot) -> str:
    tries = f"{count(action.cycles, 'try', 'tries')} of {action.limit:g} s"
    return f"switch on {action.target} at port {action.port} ({tries})"


def _compare(action: Write | WriteSshd) -> Iterator[Line]:
    before, after = _split(action.before or b""), _split(action.after)
    if max(len(before), len(after)) > MAX_COMPARED:
        sizes = f"{count(len(before), 'line')} before, {len(after)} after"
        yield Line("note", f"too long to compare here: {sizes}")
        return
    if action.before == action.after:
        yield Line("note", "the content stays as it is")
        return
    names = ("(no file)" if action.before is None else action.path, action.path)
    differences = difflib.unified_diff(before, after, *names, lineterm="")
    for number, text in enumerate(differences):
        kind = KINDS[text[0]] if number > 1 else "file"
        yield Line(kind, visible(text.removesuffix("\n"), MAX_WIDTH))
        if kind in {"same", "added", "removed"} and not text.endswith("\n"):
            yield Line("note", NO_NEWLINE)


def _split(octets: bytes) -> list[str]:
    """Lines with their ends. Different bytes stay different text, and only a newline ends a line."""
    return re.findall(r"[^\n]*\n|[^\n]+", octets.decode("utf-8", "surrogateescape"))


def _bounded(found: list[Line], limit: int) -> Iterator[Line]:
    yield from found[:limit]
    rest = found[limit:]
    if rest:
        added, removed = (sum(line.kind == kind for line in rest) for kind in ("added", "removed"))
        left_out = count(len(rest), "more line")
        yield Line("note", f"… {left_out} left out here ({added} added, {removed} removed)")
