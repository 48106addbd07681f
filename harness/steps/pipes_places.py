"""Part of step `pipes`: the shared folder, its three folders, and that each pipe is one, with its rights; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Run
from harness.step import expect
from harness.steps.boot_scripts import script_of, volume_of
from harness.steps.pipes_hardened import is_hardened
from harness.steps.pipes_state import FOLDERS, RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.model import Check
    from harness.steps.pipes_state import Entry, State

ENTER, WRITE_TOO, WRITE_IT = 0o755, 0o777, 0o022
STICKY = 0o1000  # in such a folder nobody takes away what another one has made
# The runbook's `chmod a+w` (L614), and what the hardened listener gives its pipe.
OPEN, SHUT = 0o666, 0o620
WEB_GROUP = "www-data"
# Beside its place and renamed, so that nobody meets it with other rights. What is in its place and not empty is kept.
MAKE_PIPE = """set -eu
pipe=$1; new=$1.hatcheck
if [ -f "$pipe" ] && [ ! -L "$pipe" ] && [ ! -s "$pipe" ]; then rm -- "$pipe"
elif [ -e "$pipe" ] || [ -L "$pipe" ]; then mv -T --backup=numbered -- "$pipe" "$pipe.moved"; fi
rm -f -- "$new"; mkfifo -m 600 -- "$new"; chown -- "$2" "$new"; chmod -- "$3" "$new"; mv -T -- "$new" "$pipe\""""


def judge_folders(name: str, state: State, cluster: Cluster) -> Iterator[Check]:
    """The user has them, and the web server may enter, and take away results."""
    user = cluster.os.user
    for folder in ("", *FOLDERS):
        need = WRITE_TOO if folder == RESULTS else ENTER
        seen, want = state.entries.get(folder), f"a folder of {user} that others may {_may(folder)}"
        is_good = bool(
            seen and seen.kind == "folder" and seen.mode & need == need and seen.owner.partition(":")[0] == user
            and not (folder == RESULTS and seen.mode & STICKY)
        )  # fmt: skip
        fix = make_folder(name, folder, seen, cluster) if seen is None or seen.kind == "folder" else ()
        yield expect(
            name, folder or "webVolume", want=want, seen=want if is_good else str(seen or "nothing"), fix=fix,
            by_hand=f"move away what is in its place: {volume_of(cluster)}/{folder}",
        )  # fmt: skip
        if is_good and seen and folder != RESULTS:
            is_shut = not seen.mode & WRITE_IT
            shut = Run(name, ("chmod", "go-w", _path(folder, cluster)), "let nobody put other pipes or scripts there")
            yield expect(
                name, f"only {user} may change {folder or 'webVolume'}", want="yes",
                seen="yes" if is_shut else f"mode {seen.mode:o}", level="advice", fix=(shut,),
            )  # fmt: skip


def _may(folder: str) -> str:
    return "write to" if folder == RESULTS else "enter"


def make_folder(name: str, folder: str, seen: Entry | None, cluster: Cluster) -> tuple[Action, ...]:
    """One folder with the rights that it needs; what it has beyond them it keeps."""
    user, need = cluster.os.user, WRITE_TOO if folder == RESULTS else ENTER
    kept = (seen.mode if seen else 0) & ~(STICKY if folder == RESULTS else 0)
    mode = f"{need | kept:o}"
    argv = ("install", "-d", "-o", user, "-g", user, "-m", mode, _path(folder, cluster))
    return (Run(name, argv, "a folder that node and container share (runbook L480)"),)


def _path(folder: str, cluster: Cluster) -> str:
    return f"{volume_of(cluster)}/{folder}".rstrip("/")


def judge_pipe(name: str, pipe: str, state: State, cluster: Cluster) -> Iterator[Check]:
    """That it is a pipe; and who may write into it."""
    seen, user = state.pipes[pipe].entry, cluster.os.user
    want = f"mode {OPEN:o}, owner {user}:{user}, or mode {SHUT:o}, owner {user}:{WEB_GROUP}"
    yield expect(
        name, f"{pipe} is a named pipe", want="pipe", seen=_kind(seen), fix=make_pipe(name, pipe, state, cluster)
    )
    if seen is None or seen.kind != "pipe":
        return
    is_good = has_good_rights(seen, cluster)
    is_known = is_hardened(state.files.get(script_of(pipe, cluster)))
    yield expect(
        name, f"rights of {pipe}", want=want, seen=want if is_good else f"mode {seen.mode:o}, owner {seen.owner}",
        fix=_give_rights(name, pipe, cluster, is_shut=is_known),
    )  # fmt: skip
    yield expect(
        name, f"only the web server may write into {pipe}", want=f"mode {SHUT:o}, owner {user}:{WEB_GROUP}",
        seen=f"mode {seen.mode:o}, owner {seen.owner}", level="advice",
        fix=_give_rights(name, pipe, cluster, is_shut=True) if is_good else (), by_hand="first its rights",
    )  # fmt: skip


def has_good_rights(seen: Entry, cluster: Cluster) -> bool:
    """Whether the user reads and the web server writes, and with the documented rights or fewer."""
    user = cluster.os.user
    return (seen.mode, seen.owner) in {(OPEN, f"{user}:{user}"), (SHUT, f"{user}:{WEB_GROUP}")}


def _kind(seen: Entry | None) -> str:
    if seen is None:
        return "nothing"
    return (
        "pipe"
        if seen.kind == "pipe"
        else f"a {seen.kind} of {seen.size} bytes"
        if seen.size
        else f"an empty {seen.kind}"
    )


def make_pipe(name: str, pipe: str, state: State, cluster: Cluster) -> tuple[Action, ...]:
    """The pipe; an empty file in its place goes, anything else is moved aside."""
    owner, mode = _rights(cluster, is_shut=is_hardened(state.files.get(script_of(pipe, cluster))))
    argv = ("sh", "-c", MAKE_PIPE, "sh", f"{volume_of(cluster)}/{pipe}", owner, mode)
    return (Run(name, argv, f"make the named pipe {pipe} (runbook L606)"),)


def _give_rights(name: str, pipe: str, cluster: Cluster, *, is_shut: bool) -> tuple[Action, ...]:
    owner, mode = _rights(cluster, is_shut=is_shut)
    path, why = f"{volume_of(cluster)}/{pipe}", f"let the web server write into {pipe} (runbook L614)"
    return (Run(name, ("chown", "-h", owner, path), why), Run(name, ("chmod", mode, path), why))


def _rights(cluster: Cluster, *, is_shut: bool) -> tuple[str, str]:
    user = cluster.os.user
    return (f"{user}:{WEB_GROUP}", f"{SHUT:o}") if is_shut else (f"{user}:{user}", f"{OPEN:o}")
