"""What a look of step `pipes` runs on a node, as root: who listens on the named pipes, and do they answer a container.

It is sent to the node as text (`python3 -c TEXT ORDER`) and leaves nothing there; ORDER and what it prints are JSON.
It runs on Python 3.9 and imports nothing of ours. No open of it can wait: a pipe is opened for writing with O_NONBLOCK
only, which fails where nobody reads (fifo(7)); what runs in the container has a deadline of its own.
"""

from __future__ import annotations

import errno
import grp
import json
import os
import pwd
import re
import secrets
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 3.0  # seconds until a listener that has just ended or begun hears again; systemd waits two
STEP = 0.1
OLD = 600.0  # seconds after which what an earlier look left is nobody's any more
WRITE_ONLY = 1
SHELLS = {"sh", "bash", "dash", "ash", "ksh", "zsh"}
KINDS = {stat.S_IFIFO: "pipe", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
# Runs in the container as its web server. Two writers have the pipe open at once and write in turn; a last request
# shows that the listener has gone on, and so that it is done with the others. $1 the results there, $2 as the node
# calls them, $3 seconds; then for each pipe its path there and five numbers.
ASK = """
here=$1 there=$2 end=$(($(date +%s) + $3)); shift 3
is_late() { [ "$(date +%s)" -ge "$end" ]; }
line() { printf 'echo %s >> %s/hatcheck-%s.txt\\n' "$1" "$there" "$1"; }
send() {
  until said=$(dd of="$1" oflag=nonblock conv=nocreat,notrunc status=none 2>&1); do
    case $said in *'No such device or address'*) is_late || { sleep 0.1; continue; } ;; esac
    echo "$1 ! ${said##*: }"; return
  done
}
await() { for n; do until [ -s "$here/hatcheck-$n.txt" ] || is_late; do sleep 0.1; done; done; }
told() { for n; do [ ! -e "$here/hatcheck-$n.txt" ] || echo "$pipe $n $(tr '\\n' , <"$here/hatcheck-$n.txt")"; done; }
probe() {
  pipe=$1; shift
  { line "$1"; sleep 0.3; line "$2"; } | send "$pipe" & first=$!
  { line "$3"; sleep 0.3; line "$4"; } | send "$pipe" & wait "$first" "$!"
  await "$1" "$2" "$3" "$4"; line "$5" | send "$pipe"; await "$5"; told "$@"
}
while [ $# -gt 0 ]; do probe "$1" "$2" "$3" "$4" "$5" "$6" & shift 6; done; wait
"""


class Process(NamedTuple):
    """A process of /proc; `begun` is its start in ticks since the boot, which with its number names it for good."""

    pid: int
    parent: int
    begun: int
    state: str
    uid: int
    argv: tuple[str, ...]
    cwd: str


def process(folder: Path) -> Process | None:
    """One process; None where it has ended, or is a thread of the kernel."""
    try:
        words = (folder / "stat").read_text(errors="replace").rpartition(") ")[2].split()
        argv = tuple((folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])
        if not argv:
            return None
        uid, cwd = folder.stat().st_uid, str((folder / "cwd").readlink())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Process(int(folder.name), int(words[1]), int(words[19]), words[0], uid, argv, cwd)


def processes() -> dict[int, Process]:
    """All that run now, by number."""
    found = (process(folder) for folder in Path("/proc").iterdir() if folder.name.isdigit())
    return {one.pid: one for one in found if one}


def kind_of(one: Process, pipe: Path) -> str:
    """How a process has to do with reading a pipe; empty where it has not."""
    program, *rest = one.argv
    program = Path(program).name.lstrip("-")
    if any(Path(word).name == "clusterhat_pipe.py" for word in rest[:3]):
        return "hardened" if str(pipe) in rest else ""
    if program in SHELLS and any(Path(word).name == f"start_{pipe.name}.sh" for word in rest[:2]):
        return "documented"
    cwd = one.cwd.replace(" (deleted)", "")
    # What only waits in open(2) holds nothing yet, so the documented listener's reader is known by its words.
    if program in {"cat", "tail"} and any(os.path.normpath(Path(cwd, word)) == str(pipe) for word in rest):
        return "reader"
    return "holder" if holds(one.pid, pipe) else ""


def holds(pid: int, pipe: Path) -> bool:
    """Whether a process has this very pipe open for reading, or one of its name that was deleted."""
    try:
        handles = list(os.scandir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError):
        return False
    for handle in handles:
        with suppress(OSError, ValueError):
            target = str(Path(handle.path).readlink())
            if target.endswith((f"/{pipe.name}", f"/{pipe.name} (deleted)")):
                info = Path(f"/proc/{pid}/fdinfo/{handle.name}").read_text()
                flags = int(re.findall(r"flags:\s*([0-7]+)", info)[0], 8)
                held = Path(handle.path).stat()
                is_it = target == f"{pipe} (deleted)" or (held.st_dev, held.st_ino) == identity(pipe)
                if is_it and flags & os.O_ACCMODE != WRITE_ONLY:
                    return True
    return False


def listeners(pipe: Path, running: dict[int, Process]) -> list[dict[str, Any]]:
    """Each listener once, with the processes it is made of and what it is busy with."""
    kinds = {pid: kind for pid, one in running.items() if pid != os.getpid() and (kind := kind_of(one, pipe))}
    # A shell that a listener has forked has the same words, and is the same listener.
    roots = [running[pid] for pid in kinds if running[pid].parent not in kinds]
    found = []
    for root in sorted(roots, key=lambda one: one.begun):
        members = family(root, [running[pid] for pid in kinds])
        # Cron's own shell may stand above the listener, so whatever any of them started is a job.
        jobs = [
            one for one in running.values() if one.parent in {each.pid for each in members} and one.pid not in kinds
        ]
        kind = "orphan" if is_orphan(root, running) and kinds[root.pid] == "reader" else kinds[root.pid]
        found.append({
            "name": f"{root.pid}:{root.begun}", "user": called(pwd.getpwuid, root.uid), "kind": kind,
            "words": " ".join(root.argv)[:200], "is_stopped": any(one.state in "Tt" for one in members),
            "members": [f"{one.pid}:{one.begun}" for one in members],
            "job": " ".join(jobs[0].argv)[:200] if jobs else "", "busy": int(_age(jobs[0])) if jobs else 0,
        })  # fmt: skip
    return found


def is_orphan(one: Process, running: dict[int, Process]) -> bool:
    """Whether this is the `$(cat PIPE)` of a shell that is gone: nobody will ever read what it reads."""
    parent = running.get(one.parent)
    try:
        out = str(Path(f"/proc/{one.pid}/fd/1").readlink())
    except (FileNotFoundError, ProcessLookupError):
        return False
    is_left = one.parent == 1 or (parent is not None and Path(parent.argv[0]).name == "systemd")
    return is_left and Path(one.argv[0]).name == "cat" and len(one.argv) == 2 and out.startswith("pipe:")  # noqa: PLR2004


def family(root: Process, others: list[Process]) -> list[Process]:
    """A process and those of the others that descend from it through one another."""
    children = [one for one in others if one.parent == root.pid]
    return [root, *(one for child in children for one in family(child, others))]


def _age(one: Process) -> float:
    return round(time.clock_gettime(time.CLOCK_BOOTTIME) - one.begun / os.sysconf("SC_CLK_TCK"), 1)


def called(find: Callable[[int], Any], number: int) -> str:
    """The name of a user or group; its number where it has none."""
    try:
        return str(find(number)[0])
    except KeyError:
        return str(number)


def entry(path: Path) -> dict[str, Any] | None:
    """What has this name, not followed; None for nothing."""
    try:
        seen = path.lstat()
    except FileNotFoundError:
        return None
    kind = KINDS.get(stat.S_IFMT(seen.st_mode), "device")
    owner = f"{called(pwd.getpwuid, seen.st_uid)}:{called(grp.getgrgid, seen.st_gid)}"
    return {"kind": kind, "mode": stat.S_IMODE(seen.st_mode), "owner": owner, "size": seen.st_size}


def is_heard(pipe: Path) -> bool:
    """Whether somebody has the pipe open for reading, or waits in open(2) for a writer; nothing is written."""
    try:
        handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ELOOP}:
            return False
        raise
    is_pipe = stat.S_ISFIFO(os.fstat(handle).st_mode)
    os.close(handle)
    return is_pipe


def look(pipe: Path, running: dict[int, Process]) -> dict[str, Any]:
    """Who listens on one pipe, and whether it is heard at this moment."""
    seen = entry(pipe)
    heard = bool(seen and seen["kind"] == "pipe") and is_heard(pipe)
    return {"entry": seen, "is_heard": heard, "listeners": listeners(pipe, running)}


def look_at_all(pipes: list[Path]) -> dict[str, dict[str, Any]]:
    """Each pipe by its name; one whose listener is just between two requests, or starts anew, gets a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        running = processes()
        found = {pipe.name: look(pipe, running) for pipe in pipes}
        if all(map(is_ready, found.values())) or time.monotonic() > deadline:
            return found
        time.sleep(STEP)


def foreign(container: dict[str, str], volume: Path, names: list[str]) -> list[str]:
    """What a container sees under these names that is not the same on the node: its folder, or a pipe in it."""
    top = Path(f"/proc/{container['pid']}/root{container['destination']}")
    return [name for name in ("", *names) if identity(top / name) != identity(volume / name)]


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what has this name, not followed; None for nothing."""
    with suppress(FileNotFoundError):
        return (seen := path.lstat()).st_dev, seen.st_ino
    return None


def ask(container: dict[str, str], volume: Path, names: list[str], limit: float) -> dict[str, dict[str, Any]]:
    """Send requests from inside a container, and count what comes back there; nothing of it stays."""
    there, results = container["destination"], volume / "repoOutputResults"
    numbers = {f"{there}/{name}": [f"{secrets.randbelow(10**20):020}" for _ in range(5)] for name in names}
    words = [word for path, five in numbers.items() for word in (path, *five)]
    argv = ["docker", "exec", "-u", "www-data", "-e", "LC_ALL=C", container["id"], "timeout", str(int(limit) + 2), "sh",
            "-c", ASK, "sh", f"{there}/repoOutputResults", str(results), str(int(limit)), *words]  # fmt: skip
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit + 5, check=False
        )
    finally:
        for number in (number for five in numbers.values() for number in five):
            with suppress(FileNotFoundError):
                (results / f"hatcheck-{number}.txt").unlink()
    if done.returncode:
        raise RuntimeError(f"docker exec gave exit {done.returncode}: {(done.stderr or done.stdout).strip()[:200]}")
    return {Path(path).name: came_back(path, five, done.stdout) for path, five in numbers.items()}


def came_back(path: str, numbers: list[str], said: str) -> dict[str, Any]:
    """How often each request of two writers came back, and the last one; and what went wrong in sending them."""
    lines = [line.split(" ", 2) for line in said.splitlines() if line.startswith(f"{path} ")]
    error = next((rest for _, number, rest in lines if number == "!"), "")
    texts = {number: rest.split(",") for _, number, rest in lines if number != "!"}
    *writers, last = (texts.get(number, []).count(number) for number in numbers)
    return {"error": error, "writers": writers, "last": last}


def sweep(results: Path) -> None:
    """Take away what an answer that came too late for an earlier look left."""
    for file in results.glob("hatcheck-*.txt"):
        with suppress(FileNotFoundError):
            if re.fullmatch(r"hatcheck-[0-9]{20}\.txt", file.name) and time.time() - file.lstat().st_mtime > OLD:
                file.unlink()


def main() -> None:
    """One look."""
    order = json.loads(sys.argv[1])
    volume, names = Path(order["volume"]), list(order["pipes"])
    if not order["is_web"]:
        running = processes()
        print(json.dumps({name: listeners(volume / name, running) for name in names}))  # noqa: T201
        return
    sweep(volume / "repoOutputResults")
    pipes = look_at_all([volume / name for name in names])
    boxes = {one["id"]: foreign(one, volume, names) for one in order["containers"]}
    live: dict[str, Any] = {}
    for box in order["containers"]:
        differing = boxes[box["id"]]
        ready = [name for name in names if name not in differing and is_ready(pipes[name])]
        live = live or (ask(box, volume, ready, order["limit"]) if ready and "" not in differing else {})
    told = {
        "entries": {name: found for name in ("", *order["folders"]) if (found := entry(volume / name))},
        "pipes": pipes, "foreign": boxes, "live": live,
    }  # fmt: skip
    print(json.dumps(told))  # noqa: T201 - the shell carries it home


def is_ready(pipe: dict[str, Any]) -> bool:
    """Whether a request can come back at once: one listener, which hears, is not stopped and does nothing else."""
    found = pipe["listeners"]
    return bool(pipe["is_heard"] and len(found) == 1 and not found[0]["is_stopped"] and not found[0]["job"])


if __name__ == "__main__":
    main()
