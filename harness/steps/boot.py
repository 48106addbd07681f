"""Step `boot`: every boot of a web node starts the listeners of its named pipes, once each (runbook L668-712)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.actions import Write
from harness.fixes import install, start_now_and_at_boot
from harness.model import Check
from harness.node import File
from harness.parse import startup, units, units_shell
from harness.parse.units import Unit
from harness.step import LookFrom, expect
from harness.steps.boot_interpreters import observe_absent
from harness.steps.boot_jobs import judge_jobs, starters_of
from harness.steps.boot_scripts import PIPES, judge_script, script_of
from harness.steps.pipes_hardened import PROGRAM, UNIT, is_hardened
from harness.steps.pipes_hardened import install as install_listener
from harness.steps.pipes_state import is_web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("pipes",)
LOOK_FROM: LookFrom = "every node"
CRON = "cron.service"


@dataclass(frozen=True)
class State:
    """The start scripts and the files that start programs at boot, by path; and the unit of cron.

    `absent` are the programs that are to run a script, and are not there. `hardened` are the program and the unit of
    the listener without `eval`, where they are there.
    """

    scripts: dict[str, File]
    starters: dict[str, File]
    cron: Unit
    hardened: dict[str, File] = field(default_factory=dict)
    absent: tuple[str, ...] = field(kw_only=True)


def observe(node: NodeAccess) -> State:
    """Read the scripts, every crontab and rc.local; ask systemd about cron."""
    paths = [script_of(pipe, node.cluster) for pipe in PIPES]
    places = tuple(pattern for pattern in startup.PATTERNS if pattern not in startup.UNITS)
    found = node.files(*places, *paths, PROGRAM, UNIT)
    scripts = {path: found[path] for path in paths if path in found}
    return State(
        scripts,
        {path: file for path, file in found.items() if path not in {*paths, PROGRAM, UNIT}},
        units.units(node.ask(units_shell.command(CRON), CRON, root=True))[CRON],
        {path: found[path] for path in (PROGRAM, UNIT) if path in found},
        absent=observe_absent(node, scripts.values()),
    )


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """On each web node the scripts, what starts them, and cron; on any other machine, that it starts none."""
    for name, state in seen.items():
        if not is_web(name, cluster):
            yield _judge_other(name, state, cluster)
            continue
        for pipe in PIPES:
            script = state.scripts.get(script_of(pipe, cluster))
            yield from judge_script(name, pipe, script, cluster, state.absent)
        if any(map(is_hardened, state.scripts.values())):
            yield _judge_hardened(name, state, cluster)
        yield from judge_jobs(name, state.starters, cluster)
        yield from _judge_cron(name, state.cron)


def _judge_other(name: str, state: State, cluster: Cluster) -> Check:
    """Only web tasks have pipes (runbook L480): to a listener elsewhere nobody writes."""
    scripts, user = (script_of(pipe, cluster) for pipe in PIPES), cluster.os.user
    found = [path for script in scripts for path in starters_of(script, state.starters, user)]
    return expect(
        name, "starts no listener of the application", want="none", seen=", ".join(dict.fromkeys(found)) or "none",
        level="advice", by_hand="take the lines out again: no web task runs here",
    )  # fmt: skip


def _judge_hardened(name: str, state: State, cluster: Cluster) -> Check:
    """The scripts start its unit, so they start nothing without it; a listener that runs needs neither any more."""
    missing = [path for path in (PROGRAM, UNIT) if path not in state.hardened]
    whole = install_listener(name, state.scripts | state.hardened, cluster)
    # Which script starts which listener is the choice of whoever wrote it.
    fix = tuple(one for one in whole if not isinstance(one, Write) or one.path in missing)
    return expect(
        name, "what the scripts start is installed", want="yes",
        seen=f"no {' and no '.join(missing)}" if missing else "yes", fix=fix if missing else (),
        by_hand="a person wrote one of the scripts: bring the unit back, or take the documented scripts",
    )  # fmt: skip


def _judge_cron(name: str, cron: Unit) -> Iterator[Check]:
    by_hand = units.BY_HAND if cron.unmet else f"`sudo systemctl unmask {CRON}`, if nobody meant it to be off"
    fix = (
        *(() if cron.is_there else (install(name, "cron", why="run what a boot starts"),)),
        start_now_and_at_boot(name, CRON, "run what a boot starts"),
    )
    why_not = "masked" if cron.is_masked else cron.at_boot if cron.is_there else "not installed"
    for aspect, is_so in (("cron starts at boot", cron.starts_at_boot), ("cron runs", cron.is_active)):
        seen = "yes" if is_so else "no" if why_not == "yes" else why_not
        # It would not start now either.
        yield expect(
            name, aspect, want="yes", seen=seen, fix=() if cron.is_masked or cron.unmet else fix, by_hand=by_hand
        )
