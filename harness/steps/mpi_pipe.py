"""Part of step `mpi`: the documented job, the whole way: web container, named pipe, launcher, and back (L614-663).

It is tried where the same job has just worked without a pipe. Only where no web container runs it is not tried, and
says so: that is the business of other steps. Whatever else happens to it is a difference. It has a bound of its own,
and what is left of one that did not come back is ended by its mark.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse import app_results
from harness.parse.app_results import PRIMES_FORM
from harness.step import expect
from harness.steps.boot_scripts import volume_of
from harness.steps.mpi_jobs import DOCUMENTED_RANGE, deadline, documented_hosts
from harness.steps.mpi_programs import PRIME, path
from harness.steps.mpi_state import Job
from harness.steps.mpi_sweep import GUARD, MARK, SSH, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.inventory import Cluster
    from harness.model import Check
    from harness.node import NodeAccess
    from harness.steps.mpi_state import Live

PIPE = "pipe_module_nb_premiers"
# The words of L629; python3, because `python` may be Python 2 or nothing. The bound comes before the program, where it
# is mpiexec's own and changes nothing of what the line asks for.
REQUEST = (
    "ssh {hub} mpiexec --timeout {bound} -n {count} --host {hosts} python3 {program} {low} {high} {out} "
    "--mca btl_tcp_if_include {net}"
)
NOBODY, SILENT = 40, 41
# Runs on the first host as the login user. From standard input: the mark, the shared folder, the site's service,
# seconds, the request. The documented listener opens its pipe anew for each request and not while it is at work, so
# that nobody reads (ENXIO) may mean that it is busy.
WAY = GUARD + (
    'read -r volume; read -r service; read -r limit; read -r request; out="$volume/repoOutputResults/$mark"; '
    'end=$(($(date +%s) + limit)); is_late() { [ "$(date +%s)" -ge "$end" ]; }; '
    'say() { echo "$2" >&2; exit "$1"; }; '
    'command -v docker >/dev/null || say 40 "no web container runs there: no docker"; '
    'found=$(timeout 10 docker ps -q --filter "label=com.docker.swarm.service.name=$service" 2>&1) '
    '|| say 41 "docker ps fails: ${found:-no answer}"; '
    # Among its numbers there may be a warning, of a client's settings for example.
    'box=$(echo "$found" | grep -xE "[0-9a-f]+" | head -n 1); '
    '[ -n "$box" ] || say 40 "no web container runs there"; '
    'until said=$(printf "%s\n" "$request" | timeout 10 docker exec -i -u www-data "$box" '
    f"dd of=/hostpipe/{PIPE} oflag=nonblock conv=nocreat,notrunc status=none 2>&1); do "
    'case $said in *"No such device or address"*) is_late || { sleep 0.5; continue; } ;; esac; '
    'said=${said##*: }; say 41 "its request is not taken: ${said:-no answer}"; done; '
    'trap \'rm -f -- "$out.json" "$out.error"\' EXIT; '
    'until [ -s "$out.json" ] || [ -s "$out.error" ] || is_late; do sleep 0.2; done; '
    '[ ! -s "$out.error" ] || say 41 "$(head -c 200 -- "$out.error")"; '
    '[ -s "$out.json" ] || say 41 "no result within $limit s"; '
    'timeout 10 docker exec -u www-data "$box" cat "/hostpipe/repoOutputResults/$mark.json"'
)
# A job that was ended has a moment to say so; what it leaves below the shared folder is in nobody's way then.
CLEAN = (
    GUARD + 'read -r volume; sleep 1; rm -f -- "$volume/repoOutputResults/$mark"* "$volume/repoOutputResults/.$mark"*'
)
TO = f"timeout -k 1 %s ssh {SSH} -o LogLevel=ERROR %s %s"
THERE, THEN = f"printf '%%s\\n' %s %s %s %s %s | {TO}", f"printf '%%s\\n' %s %s | {TO}"
HELD_UP = 25.0  # seconds for what is not the job: log in, two calls of docker


def try_through(node: NodeAccess, live: Live) -> Live:
    """The same look with this job, if the documented one ended well."""
    job, cluster = live.documented, node.cluster
    if job is None or job.failure:
        return live
    mark, hosts = node.ask(MARK).strip(), documented_hosts(cluster)
    code, text, why = _send(node, mark, hosts)
    if code == NOBODY:
        return replace(live, untried=f"{hosts[0]}: {why}")
    if code:
        left = _end(node, mark, hosts)
        if code == SILENT:
            return replace(live, through=Job(hosts, "; ".join((why, *left))))
        raise ObservationError(f"{node.name}: the way through the pipe of {hosts[0]} gave exit {code}: {why}")
    low, high = DOCUMENTED_RANGE
    return replace(live, through=Job(hosts, primes={f"{low}..{high}": app_results.primes(text, low, high)}))


def _send(node: NodeAccess, mark: str, hosts: tuple[str, ...]) -> tuple[int, str, str]:
    """Exit code, result, and the first line of what went wrong. It waits a little longer than the job may take."""
    cluster = node.cluster
    limit = round(deadline(cluster) * 7 / 6)
    try:
        code, text, err = node.run(
            THERE, mark, volume_of(cluster), cluster.web_service, str(limit), request(mark, hosts, cluster),
            f"{limit + HELD_UP:.0f}", hosts[0], WAY, limit=limit + HELD_UP + 5,
        )  # fmt: skip
    except ObservationError:
        _end(node, mark, hosts)
        raise
    return code, text, err.strip().partition("\n")[0][:200]


def _end(node: NodeAccess, mark: str, hosts: tuple[str, ...]) -> Iterator[str]:
    """End what a request has left anywhere, and say what it was; then take away what it wrote for the page."""
    found = sweep(node, mark, tuple(dict.fromkeys((*hosts, node.name))))
    code, _, err = node.run(THEN, mark, volume_of(node.cluster), "10", hosts[0], CLEAN)
    if code:
        found |= {hosts[0]: f"its results are left: {err.strip()[:100]}"}
    return (f"{host}: {what}" for host, what in found.items())


def request(mark: str, hosts: tuple[str, ...], cluster: Cluster) -> str:
    """The line that the page would write (runbook L629)."""
    low, high = DOCUMENTED_RANGE
    out = f"{volume_of(cluster)}/repoOutputResults/{mark}.json"
    return REQUEST.format(
        hub=cluster.controller.name, bound=deadline(cluster), count=len(hosts), hosts=",".join(hosts),
        program=path(PRIME, cluster), low=low, high=high, out=out, net=cluster.subnet,
    )  # fmt: skip


def judge_through(hub: str, live: Live) -> Iterator[Check]:
    """That the job comes back; whether its list is right is judged like any other's."""
    job = live.through
    if job is None:
        if live.untried:
            yield expect(
                hub, "documented job through the pipe", want="tried", seen=f"not tried: {live.untried}", level="advice",
                by_hand="see steps stack and replicas",
            )  # fmt: skip
        return
    yield expect(
        hub, f"documented job through {PIPE} of {job.hosts[0]}", want="comes back", seen=job.failure or "comes back",
        by_hand=f"the job works without a pipe; on {job.hosts[0]} `journalctl -b | grep pipe_` has its words",
    )  # fmt: skip
    for result in job.primes.values():
        yield expect(hub, "form of the result that came through the pipe", want=PRIMES_FORM, seen=result.form)
