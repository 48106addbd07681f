"""Part of step `updates`: what starts an update at every boot of the controller, and how its last run ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from harness.actions import Run, Write
from harness.errors import ObservationError
from harness.model import Check
from harness.node import File
from harness.parse import oneshot, startup, units, units_shell
from harness.parse.oneshot import OneShot
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.node import NodeAccess

UNIT = "clusterhat-update.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
DROP_INS = f"{UNIT_PATH}.d/*.conf"
SCRIPT_PATH = "/usr/local/sbin/clusterhat-update"
TRIES, PAUSE = 20, 15  # seconds
# network-online.target says little: dhcpcd in the background (-b, as on CNAT) reaches it before there is a lease, and a
# Pi has no clock of its own, so that for apt the lists are of the future until the time has come. Hence the tries.
# `upgrade` never removes a package; --no-remove says so to who reads it. An edited configuration file is kept.
SCRIPT_TEXT = f"""\
#!/bin/sh
# Bring this machine up to date (runbook L71); started at every boot by clusterhat-update.service.
set -eu
export DEBIAN_FRONTEND=noninteractive
# Soon after a boot there may be no lease and no time yet.
tries={TRIES}
until apt-get -q -o DPkg::Lock::Timeout=300 -o APT::Update::Error-Mode=any update; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || exit 100
    sleep {PAUSE}
done
exec apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef \\
    -o Dpkg::Options::=--force-confold --no-remove upgrade
"""
# A shutdown must not kill dpkg in the middle of its work.
UNIT_TEXT = f"""\
[Unit]
Description=Bring this machine up to date at every boot
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={SCRIPT_PATH}
KillMode=process
TimeoutStopSec=900

[Install]
WantedBy=multi-user.target
"""
# Which of these files say so. Neither programs nor FIFOs are read: to open one of those would block.
WHICH = "grep -lsI -D skip -e %s -- /dev/null {}; [ $? -le 2 ]"
LINK = "find /etc/systemd/system -mindepth 2 -maxdepth 2 -name %s -printf %s"
EXECUTABLE = 0o111

CRON = "cron.service"


@dataclass(frozen=True)
class Starter:
    """One thing that runs an update at boot: the file that says so, and the script it runs (None: runs apt itself).

    `unit` is its name where systemd starts it, and so keeps how it ended.
    """

    path: str
    script: str | None
    unit: str = ""


@dataclass(frozen=True)
class AtBoot:
    """What starts updates, the files of our own way (where they are), and how the last run of a unit ended.

    `run` is of the first starter's unit, or of ours. `is_new` says that this was enabled since the last boot.
    """

    starters: tuple[Starter, ...]
    files: dict[str, File]
    run: OneShot
    is_new: bool


def observe_boot(node: NodeAccess) -> AtBoot:
    """Follow every job, unit and boot script to what it runs, and ask systemd about the unit that updates."""
    files = node.files(*startup.PATTERNS)
    texts = {
        path: file.content.decode(errors="replace") for path, file in files.items() if startup.is_run(path, file.mode)
    }  # fmt: skip
    units_whole = startup.with_drop_ins(texts)
    commands = [(path, command) for path, text in units_whole.items() for command in startup.commands(path, text)]
    scripts = sorted({script for _, command in commands for script in startup.scripts(command)})
    updating = _which_update(node, scripts)
    starters = _started(node, [one for path, command in commands if (one := _starter(path, command, updating))])
    wanted = node.files(SCRIPT_PATH, UNIT_PATH, DROP_INS, *(one.script for one in starters if one.script))
    unit = starters[0].unit if starters and starters[0].unit else UNIT
    run = oneshot.oneshot(node.ask(oneshot.COMMAND, unit))
    return AtBoot(starters, wanted, run, any(one.unit for one in starters[:1]) and _is_new(node, unit))


def _which_update(node: NodeAccess, scripts: list[str]) -> set[str]:
    if not scripts:
        return set()
    out = node.ask(WHICH.replace("{}", " ".join("%s" for _ in scripts)), startup.WORD, *scripts, root=True)
    # grep is coarse: a comment does not update.
    found = node.files(*out.splitlines()) if out else {}
    return {path for path, file in found.items() if startup.is_update(file.content.decode(errors="replace"))}


def _starter(path: str, command: str, updating: set[str]) -> Starter | None:
    script = next((script for script in startup.scripts(command) if script in updating), None)
    if script is None and not startup.is_update(command):
        return None
    unit = PurePosixPath(path).name if path.endswith(".service") else ""
    return Starter(path, script, unit)


def _started(node: NodeAccess, starters: list[Starter]) -> tuple[Starter, ...]:
    """Those that the next boot will really start: by a unit that it starts, their own or cron's. Ours comes first."""
    names = sorted({one.unit for one in starters if one.unit})
    asked = (*names, *((CRON,) if any(startup.needs_cron(one.path) for one in starters) else ()))
    known = units.units(node.ask(units_shell.command(*asked), *asked, root=True)) if asked else {}
    started = {unit for unit, seen in known.items() if seen.starts_at_boot}
    found = [one for one in starters if (one.unit or (CRON if startup.needs_cron(one.path) else "")) in {"", *started}]
    return tuple(sorted(found, key=lambda one: (one.unit != UNIT, not one.unit, one.path)))


def _is_new(node: NodeAccess, unit: str) -> bool:
    """Whether the unit was enabled after the machine was booted: then it had no occasion to run."""
    times = node.ask(LINK, unit, "%T@\\n", root=True).split()
    try:
        newest = max(map(float, times), default=0.0)
    except ValueError as error:
        raise ObservationError(f"{node.name}: find gave no times: {error}") from error
    return newest > oneshot.booted_at(node.ask(oneshot.BOOT))


def judge_boot(name: str, seen: AtBoot) -> Iterator[Check]:
    """There is a script that updates, it may be executed, every boot starts it, and its last run succeeded."""
    starter = seen.starters[0] if seen.starters else None
    # A person's own way is as good as ours; where there is none, ours is set up or completed.
    script = starter.script if starter else SCRIPT_PATH
    yield _judge_script(name, script, seen.files)
    yield _judge_start(name, seen)
    if starter:
        yield _judge_run(name, starter, seen)


def _judge_start(name: str, seen: AtBoot) -> Check:
    fix = (
        # A masked unit is a link to /dev/null, so it must go before the file comes.
        *((Run(name, ("systemctl", "unmask", UNIT), "allow the update to start"),) if seen.run.is_masked else ()),
        *_written(name, UNIT_PATH, seen.files.get(UNIT_PATH), UNIT_TEXT, 0o644),
        Run(name, ("systemctl", "enable", UNIT), "update at every boot"),
    )
    where = ", ".join(_drop_ins(seen)) or f"what `systemctl cat {UNIT}` shows"
    return expect(
        name, "every boot updates", want="yes", seen="yes" if seen.starters else _nothing(seen),
        fix=() if _is_held(seen) else fix,
        by_hand=f"a command or a condition in {where} keeps {SCRIPT_PATH} from being run: take it out, if nobody means "
        "it, and `sudo systemctl daemon-reload`",
    )  # fmt: skip


def _drop_ins(seen: AtBoot) -> dict[str, str]:
    return {
        path: seen.files[path].content.decode(errors="replace")
        for path in sorted(seen.files) if path.startswith(f"{UNIT_PATH}.d/")
    }  # fmt: skip


def _is_held(seen: AtBoot) -> bool:
    """Whether our own files, written and enabled, start nothing all the same."""
    if SCRIPT_PATH not in startup.commands(UNIT_PATH, "\n".join((UNIT_TEXT, *_drop_ins(seen).values()))):
        return True
    script, unit = seen.files.get(SCRIPT_PATH), seen.files.get(UNIT_PATH)
    is_update = script is not None and startup.is_update(script.content.decode(errors="replace"))
    return seen.run.is_enabled and is_update and unit is not None and unit.content == UNIT_TEXT.encode()


def _judge_script(name: str, script: str | None, files: Mapping[str, File]) -> Check:
    want = "there, updates, and may be executed"
    file = files.get(script) if script else None
    if script is None:
        seen = want  # the job runs apt itself
    elif file is None:
        seen = f"no {script}"
    elif not startup.is_update(file.content.decode(errors="replace")):
        seen = f"{script} does not update"
    else:
        seen = want if file.mode & EXECUTABLE else f"mode {file.mode:o}, which nobody may execute"
    if script != SCRIPT_PATH:
        fix: tuple[Run | Write, ...] = (Run(name, ("chmod", "a+x", "--", script or ""), "let it be executed"),)
    elif file and startup.is_update(file.content.decode(errors="replace")):
        fix = (Write(name, script, file.content, file.content, "let it be executed", file.mode | EXECUTABLE),)
    else:
        fix = _written(name, SCRIPT_PATH, file, SCRIPT_TEXT, 0o755)
    return expect(name, "update script", want=want, seen=seen, fix=fix)


def _judge_run(name: str, starter: Starter, seen: AtBoot) -> Check:
    run, want = seen.run, "succeeded"
    if not starter.unit:
        return expect(
            name, "last update", want=want, seen=f"{starter.path} starts it, and keeps no record", level="advice",
            by_hand="let a unit of systemd start it: that keeps how it ended",
        )  # fmt: skip
    by_hand = f"`journalctl -u {starter.unit}` says why; run it again with `sudo systemctl start {starter.unit}`"
    if run.is_running:
        return Check(name, "last update", want, "is at work", holds=True)
    if not run.has_run:
        when = "has not run yet: it was set up after the last boot" if seen.is_new else "did not run at the last boot"
        return Check(name, "last update", want, when, holds=seen.is_new, by_hand=by_hand)
    is_good = run.result == "success" and run.status == 0
    return Check(
        name, "last update", want, want if is_good else f"{run.result} (exit {run.status})", is_good, by_hand=by_hand
    )


def _nothing(seen: AtBoot) -> str:
    if seen.run.is_masked:
        return f"{UNIT} is masked"
    if seen.run.is_enabled:
        return f"{UNIT} starts nothing that updates"
    return f"{UNIT} is not enabled" if seen.run.is_there else "no job, unit or boot script does"


def _written(name: str, path: str, file: File | None, text: str, mode: int) -> tuple[Write, ...]:
    before, after = file.content if file else None, text.encode()
    if before == after and file and file.mode == mode:
        return ()
    return (Write(name, path, before, after, "update at every boot (runbook L71)", mode, "root:root"),)
