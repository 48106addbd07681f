"""States of step `mpi` when all is well: five machines, and jobs that found the right primes."""

from __future__ import annotations

from dataclasses import replace

from harness.parse.app_results import PI_FORM, PRIMES_FORM, STATS_HEADER, Pi, Primes, Stats
from harness.primes import wanted
from harness.steps import mpi
from harness.steps.mpi_jobs import DOCUMENTED_RANGE, RANGES, THROWS, documented_hosts, in_order
from harness.steps.mpi_programs import SHIPPED, Program, digest
from harness.steps.mpi_state import PACKAGES, Job, Live, Rank, Said, called
from tests_harness.fakes import documented_cluster

CLUSTER = documented_cluster()
HUB = CLUSTER.controller.name
LIBRARY = "Open MPI 4.1.4"
SUBNET = str(CLUSTER.subnet)
NODES = in_order([node.alias for node in CLUSTER.nodes])
EVERYBODY = (*NODES, HUB)
HITS = 157_080  # of THROWS, as near to pi as it gets


def host_name(called_so: str) -> str:
    """What a machine calls itself, by the name that is given to mpiexec."""
    return {called(name, CLUSTER): name for name in CLUSTER.names}[called_so]


def program(name: str) -> Program:
    """A program as shipped."""
    return Program(digest(SHIPPED[name]), 0o644, "pi:pi", is_readable=True)


def good_machine(name: str) -> mpi.State:
    """One machine on which everything is installed, without jobs."""
    others: dict[str, tuple[str, ...]] = {
        called(other, CLUSTER): (str(CLUSTER.address(other)),) for other in CLUSTER.names if other != name
    }
    return mpi.State(
        dict.fromkeys(PACKAGES, "installed"), LIBRARY, "/usr/bin/orterun", LIBRARY, "3.1.4", "", others,
        {name: program(name) for name in SHIPPED},
    )  # fmt: skip


def right(low: int, high: int) -> Primes:
    """A right result."""
    return Primes(PRIMES_FORM, wanted(low, high))


def ranks(hosts: tuple[str, ...]) -> tuple[Rank, ...]:
    """One rank on each of these."""
    near = ("127.0.0.1", *(str(CLUSTER.address(host_name(host))) for host in hosts))
    return tuple(Rank(host_name(host), len(hosts), LIBRARY, (SUBNET, SUBNET), near) for host in hosts)


def trial(hosts: tuple[str, ...]) -> Job:
    """A job that did all it should; the one over all machines also estimated pi and asked for statistics."""
    primes = {f"{low}..{high}": right(low, high) for low, high in RANGES}
    if hosts != EVERYBODY:
        return Job(hosts, "", ranks(hosts), (), primes)
    estimate = 4 * HITS / THROWS
    pi = Pi(PI_FORM, estimate, abs(estimate - 3.141592653589793) / 3.141592653589793)
    return Job(hosts, "", ranks(hosts), (), primes, pi, Stats(STATS_HEADER, CLUSTER.names))


def good_live() -> Live:
    """All jobs of a look."""
    trials = tuple(map(trial, (EVERYBODY, *(NODES[:number] for number in range(1, len(NODES) + 1)))))
    hosts = documented_hosts(CLUSTER)
    said = (Said(len(hosts), tuple(map(host_name, hosts))),)
    low, high = DOCUMENTED_RANGE
    documented = Job(hosts, "", (), said, {f"{low}..{high}": right(low, high)})
    return Live("", trials, documented, through=replace(documented, said=()))


def good_mpi() -> dict[str, mpi.State]:
    """Everything installed, everything right."""
    seen = {name: good_machine(name) for name in CLUSTER.names}
    return seen | {HUB: replace(seen[HUB], live=good_live())}
