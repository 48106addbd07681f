"""Part of step `mpi`: what the jobs of a look showed, judged by the oracle and by what the application documents."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from harness.model import Check
from harness.parse.app_results import (
    PI_FORM,
    PRIMES_FORM,
    SIGMAS,
    STATS_HEADER,
    deviation,
    is_plausible,
)
from harness.primes import wanted
from harness.step import expect
from harness.steps.mpi_jobs import DOCUMENTED_RANGE, RANGES, THROWS, deadline, documented_hosts
from harness.steps.mpi_pipe import judge_through
from harness.steps.mpi_state import called

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.inventory import Cluster
    from harness.steps.mpi_state import Job, Live

MIXED = "ranks that know nothing of each other have another launcher than library: see what mpiexec really is"
MISSING = "see what is said of the machines that are missing"
SHIPPED = "the program is as shipped, so the machine or its Python is not: run it there by hand"


def judge_live(live: Live, cluster: Cluster) -> Iterator[Check]:
    """All jobs, under the controller; the ranks of the first one also under their machines."""
    hub = cluster.controller.name
    if live.obstacle:
        yield expect(
            hub, "jobs over the cluster", want="tried", seen=f"not tried: {live.obstacle}", by_hand="mend that"
        )
        return
    everybody, *smaller = live.trials
    yield _judge_end(hub, "job over all machines", everybody, live, cluster)
    yield _judge_left(hub, live)
    yield from _judge_places(everybody, cluster)
    if everybody.failure:
        return
    if _is_one_job(everybody):
        yield from _judge_network(hub, everybody, cluster)
        yield from _judge_modules(hub, everybody)
        yield from _judge_primes(hub, everybody)
    for job in smaller:
        yield _judge_end(hub, f"job of {len(job.hosts)} ranks", job, live, cluster)
        if not job.failure:
            yield _judge_hosts(hub, f"hosts of {len(job.hosts)} ranks", job, cluster)
        if not job.failure and _is_one_job(job):
            yield from _judge_primes(hub, job)
    if all(not job.failure for job in smaller):
        yield from _judge_documented(hub, live, cluster)
        yield from _judge_through(hub, live)


def _judge_through(hub: str, live: Live) -> Iterator[Check]:
    yield from judge_through(hub, live)
    if live.through and not live.through.failure:
        low, high = DOCUMENTED_RANGE
        yield _judge_list(hub, f"primes {low}..{high} that came through the pipe", live.through, low, high)


def _judge_end(hub: str, aspect: str, job: Job, live: Live, cluster: Cluster) -> Check:
    want = f"ends well within {deadline(cluster)} s"
    return expect(
        hub, aspect, want=want, seen=f"{job.failure} ({_left(live) or 'left nothing'})" if job.failure else want,
        by_hand=f"as {cluster.ssh.user} on {hub}: mpiexec --timeout 20 --host {','.join(job.hosts)} hostname",
    )  # fmt: skip


def _is_one_job(job: Job) -> bool:
    """Whether all ranks know of each other; else there is no result of theirs to speak of."""
    return {rank.size for rank in job.ranks} == {len(job.hosts)}


def _judge_left(hub: str, live: Live) -> Check:
    """What was found after jobs that ended well; of one that failed it is a part of the reason."""
    has_failed = any(job.failure for job in (*live.trials, *filter(None, [live.documented])))
    left = "" if has_failed else _left(live)
    return expect(hub, "what the jobs left on the machines", want="nothing", seen=left or "nothing", by_hand=SHIPPED)


def _left(live: Live) -> str:
    return "; ".join(f"{host}: {what}" for host, what in live.left.items())


def _judge_places(job: Job, cluster: Cluster) -> Iterator[Check]:
    """Each machine has its own rank: not one rank N times, and not two on one machine."""
    hub = cluster.controller.name
    if job.failure:
        return
    sizes = sorted({rank.size for rank in job.ranks})
    # Each rank may well know all that were asked, and some machine could not be.
    by_hand = MISSING if sizes == [len(job.hosts)] else MIXED
    size = expect(
        hub, "size of the job over all", want=str(len(cluster.names)), seen=", ".join(map(str, sizes)) or "none",
        by_hand=by_hand,
    )  # fmt: skip
    yield replace(size, stops=False)
    hosts = [rank.host for rank in job.ranks]
    for name in cluster.names:
        if called(name, cluster) in job.hosts:
            yield expect(name, "ranks here in the job over all", want=1, seen=hosts.count(name))
    everybody = expect(
        hub, "machines of the job over all", want=_listed(cluster.names), seen=_listed(hosts), by_hand=MISSING
    )
    yield replace(everybody, stops=False)


def _judge_hosts(hub: str, aspect: str, job: Job, cluster: Cluster) -> Check:
    want = [name for name in cluster.names if called(name, cluster) in job.hosts]
    sizes = sorted({rank.size for rank in job.ranks})
    seen = _listed([rank.host for rank in job.ranks])
    return expect(
        hub, aspect, want=_listed(want), seen=seen if _is_one_job(job) else f"{seen}, of sizes {sizes}", by_hand=MIXED
    )


def _judge_network(hub: str, job: Job, cluster: Cluster) -> Iterator[Check]:
    """The parameters reached every rank, and no connection leaves the cluster's network."""
    subnet = str(cluster.subnet)
    given = {include for rank in job.ranks for include in rank.include}
    yield expect(hub, "interface parameters in every rank", want=subnet, seen=", ".join(sorted(given)) or "none")
    for rank in job.ranks:
        strangers = [peer for peer in rank.peers if not _is_near(peer, cluster)]
        yield expect(
            hub, f"connections of the rank on {rank.host}", want=f"within {subnet}",
            seen=", ".join(strangers) or (f"within {subnet}" if _has_cluster(rank.peers, cluster) else "none"),
            by_hand="look for mca-params.conf in /etc/openmpi and ~/.openmpi",
        )  # fmt: skip


def _judge_modules(hub: str, job: Job) -> Iterator[Check]:
    seen = job.pi
    bound = SIGMAS * deviation(THROWS)
    yield expect(hub, "form of pi_monte_carlo.py's result", want=PI_FORM, seen=seen.form if seen else "none")
    if seen and seen.form == PI_FORM:
        yield Check(
            hub, f"pi from {THROWS} throws", f"3.14159 ± {bound:.5f}, a whole number of hits",
            f"{seen.pi:.5f}, error {seen.error:.2g}", is_plausible(seen, THROWS), by_hand=SHIPPED,
        )  # fmt: skip
    stats = job.stats
    yield expect(hub, "header of node_stats.py", want=STATS_HEADER, seen=stats.header if stats else "none")
    if stats:
        hosts = _listed([rank.host for rank in job.ranks])
        yield expect(hub, "rows of node_stats.py", want=hosts, seen=_listed(stats.machines), by_hand=SHIPPED)
        odd = "; ".join(f"{name}: {what}" for name, what in stats.odd)
        yield expect(hub, "values of node_stats.py", want="plausible", seen=odd or "plausible", by_hand=SHIPPED)


def _judge_primes(hub: str, job: Job) -> Iterator[Check]:
    """The results of one number of ranks: each list by the oracle, and their form."""
    ranks = f"{len(job.hosts)} rank{'s' if len(job.hosts) > 1 else ''}"
    for low, high in RANGES:
        yield _judge_list(hub, f"primes {low}..{high} by {ranks}", job, low, high)
    forms = {result.form for result in job.primes.values()}
    yield expect(hub, f"form of prime.py's results by {ranks}", want=PRIMES_FORM, seen=" | ".join(sorted(forms)))


def _judge_list(hub: str, aspect: str, job: Job, low: int, high: int) -> Check:
    result, want = job.primes.get(f"{low}..{high}"), wanted(low, high)
    found = result.found if result else None
    # The digest of the whole list decides; what else is kept of it is for the eye.
    holds = found is not None and (found.count, found.digest) == (want.count, want.digest)
    seen = "the primes" if holds else str(found) if found else f"no list: {result.form if result else 'no result'}"
    return Check(
        hub, aspect, f"the {want.count} primes" if want.count != 1 else "the prime", seen, holds, by_hand=SHIPPED
    )


def _judge_documented(hub: str, live: Live, cluster: Cluster) -> Iterator[Check]:
    """The command of the runbook (L629), with its parameter after the program."""
    job, hosts = live.documented, documented_hosts(cluster)
    aspect = f"documented job over {','.join(hosts)}"
    if job is None:
        not_tried = expect(hub, aspect, want="tried", seen="not tried: not all of them can be used", by_hand=MISSING)
        yield replace(not_tried, stops=False)
        return
    yield _judge_end(hub, aspect, job, live, cluster)
    if job.failure:
        return
    want = [name for name in cluster.names if called(name, cluster) in hosts]
    sizes = ", ".join(str(one.size) for one in job.said)
    yield expect(hub, "size of the documented job", want=str(len(hosts)), seen=sizes or "not said", by_hand=MIXED)
    seen = [host for one in job.said for host in one.hosts]
    yield expect(hub, "hosts of the documented job", want=_listed(want), seen=_listed(seen))
    low, high = DOCUMENTED_RANGE
    yield _judge_list(hub, f"primes {low}..{high} of the documented job", job, low, high)
    forms = " | ".join(result.form for result in job.primes.values())
    yield expect(hub, "form of the documented job's result", want=PRIMES_FORM, seen=forms or "no result")


def _is_near(peer: str, cluster: Cluster) -> bool:
    address = ip_address(peer)
    return address.is_loopback or address in cluster.subnet


def _has_cluster(found: tuple[str, ...], cluster: Cluster) -> bool:
    return any(ip_address(peer) in cluster.subnet for peer in found)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(sorted(names)) or "none"
