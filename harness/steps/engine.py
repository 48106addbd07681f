"""Step `engine`: Docker runs on every machine, the same release, for the machine's own processor (runbook L378)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.model import Check
from harness.node import File
from harness.parse import daemon_json, dockerd_log, dockerd_options, units, units_shell
from harness.parse.units import Unit
from harness.step import LookFrom, expect
from harness.steps import engine_fixes as fixes
from harness.steps.engine_daemon import Daemon, judge_daemons, observe_daemon
from harness.steps.engine_fixes import CONFIG, REQUIRED, UNIT
from harness.steps.engine_told import Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("system",)
LOOK_FROM: LookFrom = "every node"
# After a boot it may still be about to start: a job is queued for it, or it is at it. Waited for, with an end by the
# machine's clock; $0 are the seconds.
PATIENCE = 20
NEEDED = (UNIT, *REQUIRED)
STARTED = """
end=$(($(date +%s)+$0))
while :; do
  state=$(systemctl show -P ActiveState docker.service) job=$(systemctl show -P Job docker.service)
  case "$state $job" in "activating "*|*" "[1-9]*) ;; *) exit 0 ;; esac
  [ "$(date +%s)" -lt "$end" ] || break
  sleep 1
done
echo "it is $state${job:+, and systemd has job $job for it}"
"""
HAS_COMMAND = 'if [ "$(command -v docker)" ]; then echo yes; else echo no; fi'
# A kernel whose modules went away with its package cannot load those of Docker any more; one with all built in
# has no list of modules, and needs none.
MODULES = (
    'if [ -s "/lib/modules/$(uname -r)/modules.dep" ]; then echo on disk; '
    'elif [ ! -e /proc/modules ]; then echo built in; else echo "no /lib/modules/$(uname -r)"; fi'
)
EITHER = "runtimes"  # dockerd takes both together; any other key must not be said twice
HAVE_MODULES = {"on disk", "built in"}
# Of the last start only: what an earlier one complained about may be mended.
COMPLAINTS = 'journalctl -q --no-pager -o cat _SYSTEMD_INVOCATION_ID="$(systemctl show -P InvocationID docker.service)"'


@dataclass(frozen=True)
class State:
    """Docker on one machine: its unit, its command, its file of settings (None: no file), and the kernel's modules.

    `complaint` is why it does not run, if it says so; `daemon` is None where none runs. `options` is what its command
    line sets beside the file, by the same keys.
    """

    unit: Unit
    has_command: bool
    config: File | None
    modules: str
    complaint: str
    daemon: Daemon | None
    options: dict[str, str] = field(default_factory=dict)


def observe(node: NodeAccess) -> State:
    """Ask systemd, the file system, and the engine itself only where it runs: who dials would start it."""
    node.wait(PATIENCE, "Docker to start", STARTED)
    found = units.units(node.ask(units_shell.command(*NEEDED, need_each_other=True), *NEEDED, root=True))
    # Masked, refused, or under a condition that does not hold, what the service requires keeps it from the next start.
    is_kept_off = any(found[name].is_masked for name in REQUIRED)
    unmet = tuple(dict.fromkeys(one for name in NEEDED for one in found[name].unmet))
    unit = replace(found[UNIT], is_enabled=found[UNIT].is_enabled and not is_kept_off, unmet=unmet)
    has_command = node.ask(HAS_COMMAND).strip() == "yes"
    config = node.files(CONFIG).get(CONFIG)
    options = dockerd_options.options(node.ask(dockerd_options.SCRIPT, root=True)) if unit.is_there else {}
    return State(
        unit,
        has_command,
        config,
        node.ask(MODULES).strip(),
        "" if unit.is_active or not unit.is_there else dockerd_log.complaint(node.ask(COMPLAINTS, root=True)),
        observe_daemon(node, Told(config, options)) if unit.is_active and has_command else None,
        options,
    )


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Installed, started and configured on each machine; then what the engines say, set side by side."""
    for name, state in seen.items():
        yield _judge_package(name, state, cluster)
        yield expect(
            name, "kernel has its modules", want="yes", seen="yes" if state.modules in HAVE_MODULES else state.modules,
            by_hand="reboot this machine: its kernel was upgraded, and the modules of the one that runs are gone",
        )  # fmt: skip
        if state.unit.is_there or state.unit.is_masked:
            yield from _judge_unit(name, state)
            yield _judge_config(name, state)
    daemons = {name: state.daemon for name, state in seen.items() if state.daemon}
    told = {name: Told(seen[name].config, seen[name].options, _obstacle(seen[name])) for name in daemons}
    yield from judge_daemons(daemons, told, cluster)


def _judge_package(name: str, state: State, cluster: Cluster) -> Check:
    is_there = state.unit.is_there or state.unit.is_masked
    fix = fixes.bring(name, cluster.engine.package, is_there=is_there)
    complete = "yes" if state.has_command else "no command docker"
    return expect(name, "Docker is installed", want="yes", seen=complete if is_there else "no", fix=fix)


def _judge_unit(name: str, state: State) -> Iterator[Check]:
    by_hand = _obstacle(state)
    fix = () if by_hand else (fixes.start(name),)
    yield expect(
        name, "Docker starts at boot", want="yes", seen=state.unit.at_boot,
        fix=fix if state.unit.unmet or not state.unit.is_active else (fixes.enable(name),), by_hand=by_hand,
    )  # fmt: skip
    seen = "yes" if state.unit.is_active else f"no: {state.complaint}" if state.complaint else "no"
    yield expect(name, "Docker runs", want="yes", seen=seen, fix=fix, by_hand=by_hand)


def _obstacle(state: State) -> str:
    """Why it is of no use to start it now or to enable it, and does harm to restart it."""
    if state.unit.unmet:
        return units.BY_HAND
    if _complaint(state)[0]:
        return f"mend {CONFIG} first"
    return "" if state.modules in HAVE_MODULES else "reboot first: the modules of the running kernel are gone"


def _judge_config(name: str, state: State) -> Check:
    complaint, by_hand = _complaint(state)
    return expect(
        name, f"{CONFIG} can be read", want="yes", seen=f"no: {complaint}" if complaint else "yes", by_hand=by_hand
    )


def _complaint(state: State) -> tuple[str, str]:
    """Why the next start will fail of its settings, and what to do; two empty texts where it will not."""
    content = state.config.content if state.config else b"{}"
    if complaint := daemon_json.complaint(content):
        return complaint, f"correct the JSON of {CONFIG}; `python3 -m json.tool {CONFIG}` shows where it is wrong"
    if misfit := daemon_json.misfit(content):
        by_hand = f"mend that in {CONFIG}; the engine that runs has not read it yet, or is dead of it"
        return f"{misfit}: the next start fails", by_hand
    if twice := ", ".join(key for key in daemon_json.settings(content) if key in state.options and key != EITHER):
        by_hand = f"say it in one place: take {twice} out of {CONFIG}, or that option out of the unit's command line"
        return f"it says {twice}, and so does the unit's command line: the next start fails", by_hand
    return "", ""
