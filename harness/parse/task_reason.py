"""Why a task does not run, in words a person can act on (runbook L231, L477): from its state, error and exit code.

Source of the scheduler's words: github.com/moby/swarmkit, manager/scheduler/filter.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.parse.services import Task

MISSING = re.compile(r"bind source path does not exist: (\S+)")
NOBODY = re.compile(r"no suitable node(?: \((.*)\))?")
# SIGSEGV and SIGILL: what a program for a newer ARM does on a Pi Zero.
OTHER_PROCESSOR = {139, 132}
UNPLACED = "scheduling constraints not satisfied"
SCHEDULER = {
    UNPLACED: "no machine carries the label that its constraint asks for: step labels",
    "not available for new tasks": "a machine is down, drained or paused: step swarm",
    "host-mode port already in use": "each other machine that may run it has its port in use already",
    "unsupported platform": "the image is for another platform: step images",
    "insufficient resources": "it reserves more memory or processor than is left",
    "max replicas per node limit": "each machine has as many of it as the file allows",
    "missing plugin": "a plugin of Docker is missing",
}
ERRORS = {
    "exec format error": "the image is for another processor: step images",
    "no such image": "the image is not there, and nobody has it to offer: step images",
    "port is already allocated": "something else on this machine has its port: `sudo ss -lntp`",
    "address already in use": "something else on this machine has its port: `sudo ss -lntp`",
    "oom": "the machine ran out of memory",
}


def why(task: Task) -> str:
    """The state of a task that does not run, with its reason and whose concern that is."""
    where = task.node or "nobody has it"
    return f"{where}: {task.state}{f': {_reason(task)}' if _reason(task) else ''}"


def _reason(task: Task) -> str:
    missing, nobody = MISSING.search(task.error), NOBODY.search(task.error)
    if missing:
        return f"{missing[1]} is missing there: step stack"
    if nobody:
        return _of_scheduler(nobody[1] or "")
    if task.state in {"failed", "complete", "shutdown"} and task.exit_code in OTHER_PROCESSOR:
        return f"exit {task.exit_code}: its programs are for another processor: step images"
    known = next((words for key, words in ERRORS.items() if key in task.error.casefold()), "")
    return f"{task.error[:160]}{f' ({known})' if known else ''}"


def _of_scheduler(text: str) -> str:
    """All that the scheduler says of the machines, each part with what it means."""
    parts = [part.strip() for part in text.split(";") if part.strip()]
    # That a service may not run everywhere is as it should be, and no reason beside another one.
    parts = [part for part in parts if UNPLACED not in part] or parts
    words = [next((f"{part} ({words})" for key, words in SCHEDULER.items() if key in part), part) for part in parts]
    return f"no suitable node: {'; '.join(words)}" if words else "no suitable node"


def is_hopeless(task: Task) -> bool:
    """Whether it waits for something that no waiting brings."""
    return task.state == "pending" and bool(NOBODY.search(task.error))
