"""Part of step `pipes`: the web container sees the node's own pipes, and its requests come back once; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Run
from harness.step import expect
from harness.steps.boot_scripts import PIPES, volume_of
from harness.steps.pipes_places import has_good_rights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.steps.pipes_state import Container, Live, State

LIMIT = 180.0
ORPHANED = "another folder, one that was deleted here"
# $1 container, $2 folder. The swarm makes another task for the one that ended, and this waits for it.
RENEW = """timeout 60 docker stop -- "$1" >/dev/null || exit
for n in $(seq 90); do
  for one in $(docker ps -q --no-trunc); do
    [ "$one" != "$1" ] || continue
    docker inspect -f '{{range .Mounts}}{{println .Source}}{{end}}' "$one" | grep -qxF -- "$2" && exit 0
  done; sleep 1
done 2>/dev/null
echo "no other container with $2 runs after 90 s: docker service ps says why" >&2; exit 1"""
ONCE = "each once"


def judge_containers(name: str, state: State, cluster: Cluster) -> Iterator[Check]:
    """There is one, and what it has under the pipes' names is what the node has (runbook L618-622)."""
    is_there = any(one.service == cluster.web_service for one in state.containers)
    yield expect(
        name, "a web container has the shared folder", want="yes", seen="yes" if is_there else "no",
        by_hand=f"see steps stack and replicas: none with {volume_of(cluster)} runs here",
    )  # fmt: skip
    for one in state.containers:
        # What is no pipe on the node cannot be the same one, and is told there.
        pipes = [pipe for pipe in PIPES if state.pipes[pipe].entry]
        lost = [pipe for pipe in pipes if pipe in one.foreign]
        seen = ORPHANED if "" in one.foreign else f"others: {', '.join(lost)}" if lost else "the same"
        yield expect(
            name, f"{one.service or one.id[:12]} sees the node's pipes", want="the same", seen=seen,
            fix=_renew(name, one, cluster) if one.service and "" in one.foreign else (),
            by_hand=f"`docker restart {one.id[:12]}`, which is no task of the swarm" if not one.service
            else "something is mounted over them in the container",
        )  # fmt: skip


def judge_live(name: str, state: State, cluster: Cluster) -> Iterator[Check]:
    """What was sent from inside the container, wherever nothing that was seen before speaks against it."""
    for pipe in PIPES:
        found = state.pipes[pipe]
        live = found.live
        if live is None or found.entry is None or not has_good_rights(found.entry, cluster):
            continue
        why = "the listener and the container look well, so see its words: `journalctl -b -t bash -u 'start_pipe_*'`"
        yield expect(
            name, f"{pipe} answers a container", want="once", seen=live.error or _times(live.last), by_hand=why
        )
        yield expect(name, f"two writers at once into {pipe}", want=ONCE, seen=_of_writers(live), by_hand=why)


def _times(count: int) -> str:
    return {0: "no answer in time", 1: "once"}.get(count, f"{count} times")


def _of_writers(live: Live) -> str:
    if live.error:
        return live.error
    if all(count == 1 for count in live.writers):
        return ONCE
    lost, more = live.writers.count(0), sum(count > 1 for count in live.writers)
    return f"of {len(live.writers)} requests {lost} lost, {more} carried out more than once"


def _renew(name: str, one: Container, cluster: Cluster) -> tuple[Run, ...]:
    argv = ("sh", "-c", RENEW, "sh", one.id, volume_of(cluster))
    return (Run(name, argv, "have the swarm make a new task, which sees the folder of today", limit=LIMIT),)
