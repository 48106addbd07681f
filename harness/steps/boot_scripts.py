"""Part of step `boot`: the start script of each pipe, that the user may run it and it listens on its own pipe; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.actions import Action, Write
from harness.model import Check
from harness.step import expect
from harness.steps.boot_interpreters import programs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from harness.inventory import Cluster
    from harness.node import File

# In the order of the runbook (L674-676).
PIPES = ("pipe_module_calcul_pi", "pipe_module_nb_premiers", "pipe_stats_cluster_hat")
# The runbook makes empty files (L674) and shows the loop elsewhere (L615).
TEXT = """\
#!/bin/bash
# The documented listener (runbook L615, L674): whatever comes through the pipe is run.
pipe={volume}/{pipe}
while true; do
    # Without the pipe `cat` fails at once, and the loop would take the whole processor.
    if [ -p "$pipe" ]; then eval "$(cat "$pipe")"; else sleep 1; fi
done
"""
# How the listeners that are known begin to listen: the loop of the runbook, whatever it calls its pipe, and the unit
# or the program without `eval`. A page may have written the file, so no pattern may look far.
TURN = re.compile(rb"\b(?:while|until)\b")
EVAL = re.compile(rb"\beval\b[^\n]{0,99}?(?:\$\(|`)\s*(?:cat\b|<)\s*[\"']?([^\s\"'`)]+)")
HARDENED = re.compile(rb"clusterhat-pipe@|clusterhat_pipe\.py\b")
COMMENT = re.compile(rb"(?m)(?:^|(?<=\s))#.*$")
MODE = 0o755
RUN_IT, WRITE_IT = 0o5, 0o022


def volume_of(cluster: Cluster) -> str:
    """The folder that a node shares with its web container (runbook L480)."""
    return f"/home/{cluster.os.user}/webVolume"


def script_of(pipe: str, cluster: Cluster) -> str:
    """The script that a boot starts for a pipe (runbook L708-710)."""
    return f"{volume_of(cluster)}/repoBashScripts/start_{pipe}.sh"


def complaint_of(pipe: str, file: File | None, cluster: Cluster, absent: Collection[str]) -> str:
    """Why this script starts no listener on its pipe; empty where it does. `absent` programs are not there."""
    wrong = _wrong(pipe, file, absent)
    return wrong or ("" if file is None or _may_run(file, cluster.os.user) else f"on nothing: {_rights(file)}")


def is_documented(pipe: str, file: File, cluster: Cluster) -> bool:
    """Whether it is the script that a repair writes, or one that does nothing."""
    return file.content == _ours(pipe, cluster) or not _code(file.content).strip()


def _ours(pipe: str, cluster: Cluster) -> bytes:
    return TEXT.format(volume=volume_of(cluster), pipe=pipe).encode()


def judge_script(name: str, pipe: str, file: File | None, cluster: Cluster, absent: Collection[str]) -> Iterator[Check]:
    """That it listens on its pipe and may be run; and, as advice, that nobody else may change it."""
    user, path = cluster.os.user, script_of(pipe, cluster)
    short, wrong = path.rpartition("/")[2], _wrong(pipe, file, absent)
    fix = mend_script(name, pipe, file, cluster, absent)
    by_hand = f"it is not empty: read it, and have it listen on {pipe}, run by a program that is there (#!/bin/bash)"
    yield expect(name, f"{short} listens", want=f"on {pipe}", seen=wrong or f"on {pipe}", fix=fix, by_hand=by_hand)
    if file is None:
        return
    if not wrong:
        seen = "yes" if _is_known(pipe, _code(file.content)) else "not recognised"
        yield expect(
            name, f"{short} is a known listener", want="yes", seen=seen, level="advice",
            by_hand=f"read it: it names {pipe}, and neither runs what comes through it nor starts what does",
        )  # fmt: skip
    may_run = _may_run(file, user)
    yield expect(
        name, f"{short} may be run by {user}", want="yes", seen="yes" if may_run else _rights(file),
        fix=fix, by_hand=f"`sudo chmod a+rx {path}`, once its content is right",
    )  # fmt: skip
    is_shut = not file.mode & WRITE_IT
    shut = Write(name, path, file.content, file.content, "let nobody else change it", file.mode & ~WRITE_IT)
    # Two writes of one file would be in each other's way; the next pass comes to this one.
    yield expect(
        name, f"only {user} may change {short}", want="yes", seen="yes" if is_shut else _rights(file),
        level="advice", fix=() if wrong or not may_run else (shut,), by_hand="first what else is wrong with it",
    )  # fmt: skip


def _wrong(pipe: str, file: File | None, absent: Collection[str]) -> str:
    """Why a boot would not start the listener of this pipe with it; empty where it would."""
    if file is None:
        return "no such file"
    first, code = file.content.partition(b"\n")[0], _code(file.content)
    if not code.strip():
        return "nothing: it does nothing"
    if not _names(pipe, code):
        other = next((one for one in PIPES if _names(one, code)), "")
        return f"on {other}" if other else f"nothing: it does not name {pipe}"
    if not first.startswith(b"#!"):
        return "nothing: its first line is no #!"
    if first.endswith(b"\r"):
        return "nothing: a CR ends its first line, so there is no such interpreter"
    lacking = [program for program in programs(file.content) if program in absent]
    return f"nothing: its first line names {lacking[0]}, which is not there" if lacking else ""


def _is_known(pipe: str, code: bytes) -> bool:
    """Whether it listens in one of the two ways that are known; a name is not enough (`rm -f pipe_x`, `tail -f`)."""
    turn = TURN.search(code)
    read = [one[1] for one in EVAL.finditer(code, turn.end())] if turn else []
    return HARDENED.search(code) is not None or any(word[:1] == b"$" or _names(pipe, word) for word in read)


def _code(content: bytes) -> bytes:
    return COMMENT.sub(b"", content)


def _names(pipe: str, code: bytes) -> bool:
    return re.search(rb"(?<![A-Za-z0-9_])%s(?![A-Za-z0-9_])" % pipe.encode(), code) is not None


def _may_run(file: File, user: str) -> bool:
    owner, group = file.owner.split(":")
    shift = 6 if owner == user else 3 if group == user else 0
    return file.mode >> shift & RUN_IT == RUN_IT


def mend_script(
    name: str, pipe: str, file: File | None, cluster: Cluster, absent: Collection[str]
) -> tuple[Action, ...]:
    """One write for all that we may change: what a person wrote is kept, but for a first line that is missing.

    The documented script is written anew where only what runs it and the ends of its lines are others.
    """
    user, path, ours = cluster.os.user, script_of(pipe, cluster), _ours(pipe, cluster)
    if file is None:
        return (Write(name, path, None, ours, f"listen on {pipe} (runbook L615)", MODE, f"{user}:{user}"),)
    before, code = file.content, _code(file.content)
    if not code.strip() or (_wrong(pipe, file, absent) and _below_first(before) == _below_first(ours)):
        after = ours
    elif not _names(pipe, code) or (_wrong(pipe, file, absent) and before.startswith(b"#!")):
        return ()
    else:
        after = before if before.startswith(b"#!") else b"#!/bin/bash\n" + before
    return (Write(name, path, before, after, f"listen on {pipe} (runbook L615)", file.mode | 0o555),)


def _below_first(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n").partition(b"\n")[2]


def _rights(file: File) -> str:
    return f"mode {file.mode:o}, owner {file.owner}"
