"""Part of step `boot`: the user's crontab starts each script once, cron reads it, and nothing else starts one; pure.

What Debian's cron leaves out was tried on it: a whole crontab for one line that it does not understand, for a last
job without a newline, and for any mode but 600; a job whose line ends with CR runs a program that is not there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.actions import Action, Write
from harness.errors import ObservationError
from harness.model import Check
from harness.parse import crontab, startup
from harness.step import expect
from harness.steps.boot_scripts import PIPES, script_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.inventory import Cluster
    from harness.node import File

WANT = "once, by the crontab of {}"
MODE = 0o600
SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh"}
GROUP = "crontab"
PROGRAMS = {"/bin", "/usr/bin"}  # where cat is


def judge_jobs(name: str, starters: Mapping[str, File], cluster: Cluster) -> Iterator[Check]:
    """One @reboot line for each script (runbook L708-710), in a crontab that cron accepts."""
    user = cluster.os.user
    path = startup.CRONTABS + user
    file = starters.get(path)
    mended = _mended(name, path, starters, cluster)
    for pipe in PIPES:
        script = script_of(pipe, cluster)
        found = starters_of(script, starters, user)
        yield expect(
            name, f"a boot starts {_short(script)}", want=WANT.format(user), seen=_said(found, path, user),
            fix=mended if _is_ours(script, found, file) else (),
            by_hand=f"leave only the line `{job_of(script)}` of `crontab -e`",
        )  # fmt: skip
    if file:
        yield from _judge_file(name, file, mended, cluster)


def _judge_file(name: str, file: File, mended: tuple[Action, ...], cluster: Cluster) -> Iterator[Check]:
    user = cluster.os.user
    who, told = f"the crontab of {user}", _environments(file.content, cluster)
    yield expect(
        name, f"cron understands {who}", want="yes", seen=_complaint(file.content),
        by_hand="mend that line by `crontab -e`: because of it cron runs no job of this crontab at all",
    )  # fmt: skip
    # By the last part of the path; where the file does not say it, cron has places and a shell of its own (crontab(5)).
    shells = [one.get("SHELL", "/bin/sh").rpartition("/")[2] for one in told]
    paths = [one.get("PATH", "/usr/bin:/bin") for one in told]
    yield expect(
        name, f"{who} runs its jobs by a shell", want="yes",
        seen=next((f"no: SHELL is {shell}" for shell in shells if shell not in SHELLS), "yes"),
        by_hand="take the line SHELL= away by `crontab -e`",
    )  # fmt: skip
    yield expect(
        name, f"the jobs of {who} find their programs", want="yes",
        seen=next((f"no: PATH is {path}" for path in paths if not _has_programs(path)), "yes"),
        by_hand="add :/usr/bin:/bin to the line PATH= by `crontab -e`, or take it away: a listener needs cat",
    )  # fmt: skip
    is_ended = _ended(file.content) == file.content
    yield expect(
        name, f"the last job of {who} has a line's end", want="yes",
        seen="yes" if is_ended else "no, and so cron runs no job of this crontab at all", fix=mended,
    )  # fmt: skip
    yield expect(
        name, f"cron accepts the rights of {who}", want="yes",
        seen="yes" if _is_accepted(file, user) else f"mode {file.mode:o}, owner {file.owner}", fix=mended,
    )  # fmt: skip


def job_of(script: str) -> str:
    """The documented line."""
    return f"@reboot {script}"


def starters_of(script: str, starters: Mapping[str, File], user: str) -> list[str]:
    """What starts a script at boot, each as often as it does: its file, and the script if it is another of that name.

    Only the name counts: the way to it may be written with ~, $HOME or `cd`.
    """
    named = _named(script)
    found = []
    for path, file in starters.items():
        if not startup.is_run(path, file.mode):
            continue
        # A CR before the line's end would be lost as white space, but for cron it belongs to the command.
        text = file.content.decode(errors="replace").replace("\r", "\0")
        nobody = {user, "root"} if path.startswith(startup.CRONTABS) else set()
        for command in startup.commands(path, text):
            if not startup.starts(command, named, nobody):
                continue
            others = [one for one in startup.scripts(command) if one.endswith(f"/{_short(script)}") and one != script]
            found.append(f"{path} with {others[0]}" if others else path)
    return found


def _named(script: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-]){re.escape(_short(script))}(?![\w.\0-])")


def _short(script: str) -> str:
    return script.rpartition("/")[2]


def _said(found: Sequence[str], path: str, user: str) -> str:
    counts = {one: found.count(one) for one in found}
    words = [
        f"{'once' if count == 1 else f'{count} times'}, by {one.replace(path, f'the crontab of {user}')}"
        for one, count in counts.items()
    ]
    return " and ".join(words) or "nothing does"


def _is_ours(script: str, found: Sequence[str], file: File | None) -> bool:
    """Whether our change of the crontab makes it right: nothing starts it yet, or only the same line repeated."""
    if not found:
        return True
    same = [line for line in (file.content if file else b"").split(b"\n") if line.strip(b" \t") == _octets(script)]
    return len(same) == len(found)


def _octets(script: str) -> bytes:
    return job_of(script).encode()


def _complaint(content: bytes) -> str:
    try:
        crontab.entries(content.decode(errors="replace"))
    except ObservationError as error:
        return str(error).rpartition("got ")[2]
    return "yes"


def _has_programs(path: str) -> bool:
    return bool(PROGRAMS & {place.rstrip("/") for place in path.split(":")})


def _environments(content: bytes, cluster: Cluster) -> list[dict[str, str]]:
    """The variables of each job that starts a script; where none does, those of one that were added at the end."""
    try:
        jobs = crontab.environments(content.decode(errors="replace"))
    except ObservationError:
        return [{}]  # said above: nothing of it runs
    names = [_named(script_of(pipe, cluster)) for pipe in PIPES]
    ours = [told for job, told in jobs if job and any(startup.starts(job.command, name) for name in names)]
    return ours or [jobs[-1][1]]


def _ended(content: bytes) -> bytes:
    """The content, its last line with an end if it is a job; cron does not mind a comment without one."""
    last = content.rpartition(b"\n")[2].strip()
    return content if not last or last.startswith(b"#") else content + b"\n"


def _is_accepted(file: File, user: str) -> bool:
    return file.mode == MODE and file.owner.partition(":")[0] in {user, "root"}


def _mended(name: str, path: str, starters: Mapping[str, File], cluster: Cluster) -> tuple[Action, ...]:
    """One write for all lines: they are added at the end or their repetitions dropped, all else stays as it is."""
    user, file = cluster.os.user, starters.get(path)
    before = file.content if file else None
    after = _ended(before or b"")
    for pipe in PIPES:
        script = script_of(pipe, cluster)
        found = starters_of(script, starters, user)
        if not found:
            after = crontab.with_line(after, job_of(script))
        elif _is_ours(script, found, file):
            after = crontab.without_repetitions(after, job_of(script))
    rights = (None, None) if file and _is_accepted(file, user) else (MODE, f"{user}:{GROUP}")
    return (Write(name, path, before, after, "start the listeners at boot (runbook L708)", *rights),)
