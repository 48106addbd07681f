"""Part of step `pipes`: exactly one listener on each pipe, alive, hearing, and of the user; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Run
from harness.step import expect
from harness.steps.boot_scripts import PIPES, complaint_of, mend_script, script_of, volume_of
from harness.steps.pipes_hardened import PROGRAM, SHIPPED_PROGRAM, WHY, install, is_hardened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.model import Check
    from harness.steps.pipes_state import Listener, Pipe, State

LIMIT = 60.0
RENEW = ("systemctl", "restart", "clusterhat-pipe@*.service")
# $1 user, $2 pipe, $3 start script ("": start none), $4 name of a unit; then "pid:ticks" of the processes to end. A
# unit of its own outlives our connection and every session, and its words are in the journal. No open here can wait.
LISTEN = """user=$1 pipe=$2 script=$3 unit=$4; shift 4; old=
hears() { timeout 5 dd if=/dev/null of="$pipe" oflag=nonblock conv=nocreat,notrunc status=none 2>/dev/null; }
begun() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
for one; do [ "$(begun "${one%:*}")" != "${one#*:}" ] || old="$old ${one%:*}"; done
[ -z "$old" ] || { kill -KILL $old; sleep 0.5; }
[ -n "$script" ] || exit 0
hears && exit 0
systemctl reset-failed "$unit" 2>/dev/null
systemd-run --quiet --collect --unit="$unit" --uid="$user" -- "$script" || exit
for n in $(seq 100); do hears && exit 0; sleep 0.2; done
echo "nobody listens on $pipe after 20 s: journalctl -u $unit" >&2; exit 1"""
ONE = "by one listener of {}"


def judge_listeners(name: str, pipe: str, state: State, cluster: Cluster) -> Iterator[Check]:
    """Who listens now, by /proc and by an open that cannot wait."""
    want, found = ONE.format(cluster.os.user), state.pipes[pipe]
    seen = _said(found, cluster.os.user) or want
    yield expect(
        name, f"{pipe} is listened to", want=want, seen=seen, fix=_mended(name, pipe, state, cluster),
        by_hand=_by_hand(pipe, state, cluster),
    )  # fmt: skip


def judge_strays(name: str, strays: dict[str, tuple[Listener, ...]]) -> Iterator[Check]:
    """A machine without web tasks has no pipes to listen on."""
    found = [one.words for ones in strays.values() for one in ones]
    yield expect(
        name, "listens on no pipe of the application", want="none", seen=", ".join(found) or "none", level="advice",
        by_hand="end it, and see step boot for what starts it: no web task runs here",
    )  # fmt: skip


def judge_kind(name: str, state: State, cluster: Cluster, *, is_well: bool) -> Iterator[Check]:
    """The documented loop runs whatever is written into its pipe, and nothing starts it again."""
    loops = [pipe for pipe in PIPES if any(one.kind != "hardened" for one in state.pipes[pipe].listeners)]
    are_ours = all(is_ours(pipe, one, cluster) for pipe in loops for one in state.pipes[pipe].listeners)
    ready = install(name, state.files, cluster) if is_well and are_ours else ()
    starts = [listen(name, pipe, _loops(state.pipes[pipe]), cluster) for pipe in loops] or [Run(name, RENEW, WHY)]
    yield expect(
        name, "the listeners run known jobs only", want="yes", seen=_said_of_kind(loops, state),
        level="advice", fix=(*ready, *starts) if ready else (),
        by_hand="fixtures/app/listener has one without eval; first what else is wrong, and scripts of your own",
    )  # fmt: skip


def _said_of_kind(loops: Sequence[str], state: State) -> str:
    """A listener of another release may refuse the jobs of this one."""
    if loops:
        return f"no: the documented loop on {', '.join(loops)} runs whatever is written"
    listeners = [one for pipe in PIPES for one in state.pipes[pipe].listeners]
    is_old = bool(listeners) and PROGRAM in state.files and state.files[PROGRAM].content != SHIPPED_PROGRAM
    return f"those of another release: {PROGRAM} is not the one of fixtures/app" if is_old else "yes"


def _loops(found: Pipe) -> list[str]:
    return [word for one in found.listeners if one.kind != "hardened" for word in one.members]


def listen(name: str, pipe: str, ends: Sequence[str], cluster: Cluster) -> Run:
    """End these processes, and have the start script's listener hear."""
    argv = ("sh", "-c", LISTEN, "sh", cluster.os.user, f"{volume_of(cluster)}/{pipe}", script_of(pipe, cluster))
    return Run(name, (*argv, f"start_{pipe}", *ends), f"have one listener on {pipe} (runbook L615)", limit=LIMIT)


def _end(name: str, pipe: str, ends: Sequence[str], cluster: Cluster) -> Run:
    argv = ("sh", "-c", LISTEN, "sh", cluster.os.user, f"{volume_of(cluster)}/{pipe}", "", "", *ends)
    return Run(name, argv, f"leave one listener on {pipe}", limit=LIMIT)


def is_ours(pipe: str, one: Listener, cluster: Cluster) -> bool:
    """Whether a listener is certainly one that our start script started, and not a person's."""
    path = script_of(pipe, cluster)
    return one.kind in {"hardened", "orphan"} or (one.kind == "documented" and path in one.words.split())


def _said(found: Pipe, user: str) -> str:
    """What is wrong; empty where nothing is."""
    if not found.listeners:
        return "by somebody who is not found in /proc" if found.is_heard else "by nobody"
    if len(found.listeners) > 1:
        words = ", ".join(f"{one.words} ({one.name.partition(':')[0]})" for one in found.listeners)
        return f"by {len(found.listeners)} that take requests from each other: {words}"
    (one,) = found.listeners
    return _said_of(one, user, is_heard=found.is_heard)


def _said_of(one: Listener, user: str, *, is_heard: bool) -> str:
    if one.kind == "orphan":
        return "by what a listener that was ended left: it takes one request, and nobody runs it"
    if one.is_stopped:
        return f"by one that was stopped by a signal: {one.words}"
    if one.job:
        return f"by one that is busy since {one.busy} s with `{one.job}`"
    if not is_heard:
        return f"by one that does not hear, for it waits on a pipe that is gone: {one.words}"
    return "" if one.user == user else f"by one of {one.user}: {one.words}"


def _mended(name: str, pipe: str, state: State, cluster: Cluster) -> tuple[Action, ...]:
    """The start script if it starts nothing, and one listener by it; () where a person's would be ended."""
    found = state.pipes[pipe].listeners
    script = state.files.get(script_of(pipe, cluster))
    why = complaint_of(pipe, script, cluster, state.absent)
    scripts = mend_script(name, pipe, script, cluster, state.absent) if why else ()
    if why and not scripts:
        return ()
    if not found:
        return () if state.pipes[pipe].is_heard else (*scripts, listen(name, pipe, (), cluster))
    if not all(is_ours(pipe, one, cluster) for one in found) or (len(found) == 1 and found[0].job):
        return ()
    # One that is at work stays, and systemd would start a hardened one again. Of two loops one may be deaf: both go.
    stay = [one for one in found if one.job] or [one for one in found if one.kind == "hardened"] * (len(found) > 1)
    ends = [word for one in found if one not in stay[:1] for word in one.members]
    return (_end(name, pipe, ends, cluster),) if stay else (*scripts, listen(name, pipe, ends, cluster))


def _by_hand(pipe: str, state: State, cluster: Cluster) -> str:
    script = state.files.get(script_of(pipe, cluster))
    why = complaint_of(pipe, script, cluster, state.absent)
    if why:
        return f"see step boot: start_{pipe}.sh listens {why}"
    numbers = [one.name.partition(":")[0] for one in state.pipes[pipe].listeners if not is_ours(pipe, one, cluster)]
    kind = "hardened" if is_hardened(script) else "documented"
    if numbers:
        return (
            f"not started by start_{pipe}.sh: `kill {' '.join(numbers)}` if nobody needs it, then start the {kind} one"
        )
    return f"`sudo fuser -v {volume_of(cluster)}/{pipe}` shows who; `kill` it once its job is no longer needed"
