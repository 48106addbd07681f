"""Part of step `mpi`: real jobs over the cluster, started on the controller; they end by themselves whatever happens.

Three bounds stand behind each other, made of the inventory's one deadline: mpiexec's own, one of `timeout` around each
daemon on its machine, and one around mpiexec. So nothing outlives a lost connection, a stopped process or the harness
itself. What runs carries a mark of its own, and only what carries it is ever ended.
"""

from __future__ import annotations

import base64
import inspect
import json
import zlib
from typing import TYPE_CHECKING, Any

from harness import probe_ranks
from harness.errors import ObservationError
from harness.parse import app_results, mpi
from harness.steps.mpi_programs import PI, PRIME, STATS, path
from harness.steps.mpi_state import Job, Live, Rank, Said, called
from harness.steps.mpi_sweep import GUARD, MARK, SSH, THERE, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.inventory import Cluster
    from harness.node import NodeAccess

DOCUMENTED_HOSTS = ("pi3", "pi2", "pi4")  # L629
DOCUMENTED_RANGE = (1, 100)
RANGES = (DOCUMENTED_RANGE, (2, 100), (10, 30), (1, 97), (97, 97), (90, 96), (0, 1), (1, 1), (1, 1_000_000))
THROWS = 200_000
TMP = "/tmp"  # noqa: S108 - only names that mktemp made up are used in it
# In the environment, because the documented command must stay as it is. The daemons stay in the foreground, or nothing
# could bound them; waiting ranks leave the processor to others.
BOUNDED = (
    "OMPI_MCA_hatcheck=%s OMPI_MCA_orte_tmpdir_base=%s MPIEXEC_TIMEOUT=%s OMPI_MCA_orte_launch_agent=%s "
    "OMPI_MCA_plm_rsh_args=%s OMPI_MCA_orte_leave_session_attached=1 OMPI_MCA_mpi_yield_when_idle=1 "
    "timeout -k 1 %s mpiexec"
)
TRIAL = BOUNDED + (" --mca btl_tcp_if_include %s --mca oob_tcp_if_include %s -n %s --host %s python3 -B -c %s %s %s")
DOCUMENTED = BOUNDED + " -n %s --host %s python3 %s %s %s %s --mca btl_tcp_if_include %s"
FETCH = GUARD + 'cat -- "/tmp/$mark.json"; rm -f -- "/tmp/$mark.json"'
RANKS = '{"ranks"'
TIMED_OUT = {110, 124, 137}
NOISE = ("---", "[", "This may be caused by", "*")


def try_jobs(node: NodeAccess, machines: Sequence[str]) -> Live:
    """A job over these machines, one for each number of ranks, and the documented one; then nothing is left of them."""
    cluster = node.cluster
    mark = node.ask(MARK).strip()
    nodes = in_order([called(name, cluster) for name in machines if name != cluster.controller.name])
    everybody = (*nodes, cluster.controller.name)
    try:
        trials, documented = _try_all(node, mark, everybody, nodes), None
        hosts = documented_hosts(cluster)
        if not trials[-1].failure and set(hosts) <= set(nodes):
            documented = _as_documented(node, mark, hosts)
    except ObservationError:
        sweep(node, mark, everybody)
        raise
    return Live("", trials, documented, sweep(node, mark, everybody))


def _try_all(node: NodeAccess, mark: str, everybody: tuple[str, ...], nodes: tuple[str, ...]) -> tuple[Job, ...]:
    """All trials up to the first that fails: what hangs once would hang again."""
    trials = [_try(node, mark, everybody, is_first=True)]
    for number in range(1, len(nodes) + 1):
        if not trials[-1].failure:
            trials.append(_try(node, mark, nodes[:number], is_first=False))
    return tuple(trials)


def in_order(aliases: Sequence[str]) -> tuple[str, ...]:
    """The documented hosts first: rank 0 of a job runs on the first."""
    first = [alias for alias in DOCUMENTED_HOSTS if alias in aliases]
    return (*first, *(alias for alias in aliases if alias not in first))


def documented_hosts(cluster: Cluster) -> tuple[str, ...]:
    """The hosts of the runbook's command; on a cluster that lacks them its first three nodes."""
    aliases = [node.alias for node in cluster.nodes]
    return DOCUMENTED_HOSTS if set(DOCUMENTED_HOSTS) <= set(aliases) else tuple(aliases[:3])


def deadline(cluster: Cluster) -> int:
    """Seconds that a job may take."""
    return cluster.mpi.deadline


def patience(cluster: Cluster) -> float:
    """Seconds that the command may take which starts a job, and ends it in three ways before."""
    return deadline(cluster) / 0.6


def _bounds(mark: str, cluster: Cluster) -> tuple[str, ...]:
    daemon, last = (f"{patience(cluster) * part:.1f}" for part in (0.7, 0.8))
    return mark, f"{TMP}/{mark}", str(deadline(cluster)), f"timeout -k 1 {daemon} orted", SSH, last


def _try(node: NodeAccess, mark: str, hosts: tuple[str, ...], *, is_first: bool) -> Job:
    cluster, subnet = node.cluster, str(node.cluster.subnet)
    work: list[tuple[str, str, list[str]]] = [
        (f"{low}..{high}", path(PRIME, cluster), [str(low), str(high)]) for low, high in RANGES
    ]
    if is_first:
        work += [("pi.json", path(PI, cluster), [str(THROWS)]), ("stats.csv", path(STATS, cluster), [])]
    code, out, err = node.run(
        TRIAL, *_bounds(mark, cluster), subnet, subnet, str(len(hosts)), ",".join(hosts),
        inspect.getsource(probe_ranks), f"{TMP}/{mark}-results", json.dumps(work), limit=patience(cluster),
    )  # fmt: skip
    failure = _failure(code, err or out, cluster)
    ranks, files = _heard(node.name, out, len(hosts))
    primes = {
        f"{low}..{high}": app_results.primes(files[name], low, high)
        for low, high in RANGES if (name := f"{low}..{high}") in files
    }  # fmt: skip
    pi, stats = files.get("pi.json"), files.get("stats.csv")
    return Job(
        hosts, failure, ranks, (), primes, None if pi is None else app_results.pi(pi),
        None if stats is None else app_results.stats(stats),
    )  # fmt: skip


def _as_documented(node: NodeAccess, mark: str, hosts: tuple[str, ...]) -> Job:
    cluster = node.cluster
    low, high = DOCUMENTED_RANGE
    code, out, err = node.run(
        DOCUMENTED, *_bounds(mark, cluster), str(len(hosts)), ",".join(hosts),
        path(PRIME, cluster), str(low), str(high), f"{TMP}/{mark}.json", str(cluster.subnet),
        limit=patience(cluster),
    )  # fmt: skip
    failure = _failure(code, err or out, cluster)
    said = tuple(_said(line) for line in out.splitlines() if line.startswith('{"size"'))
    if failure:
        return Job(hosts, failure, (), said)
    code, text, err = node.run(THERE, mark, hosts[0], FETCH)
    if code:
        return Job(hosts, f"no result on {hosts[0]}: {_words(err)}", (), said)
    return Job(hosts, "", (), said, {f"{low}..{high}": app_results.primes(text, low, high)})


def _failure(code: int, words: str, cluster: Cluster) -> str:
    if code in TIMED_OUT:
        return f"no end within {deadline(cluster)} s"
    return f"exit {code}: {_words(words)}" if code else ""


def _words(text: str) -> str:
    """The first lines that say something."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(NOISE)]
    return " ".join(lines[:2])[:200] or "no words"


def _heard(name: str, out: str, size: int) -> tuple[tuple[Rank, ...], dict[str, str]]:
    """What the ranks said of themselves, and the text of each file that came back.

    Where they are no job of that size, each of them is a rank 0, and they spoil one another's files on the way.
    """
    lines = [line.removeprefix(probe_ranks.MARK) for line in out.splitlines() if line.startswith(probe_ranks.MARK)]
    try:
        told = [json.loads(line) for line in lines if line.startswith(RANKS)]
        ranks = tuple(rank for words in told for rank in _ranks(words["ranks"]))
        if any(rank.size != size for rank in ranks):
            return ranks, {}
        sent = [json.loads(line) for line in lines if not line.startswith(RANKS)]
        return ranks, {words["file"]: _unpacked(words["packed"]) for words in sent}
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise ObservationError(f"{name}: what a rank answered does not read: {error}") from error


def _unpacked(packed: str) -> str:
    octets = zlib.decompressobj().decompress(base64.b64decode(packed, validate=True), probe_ranks.LARGEST)
    return octets.decode(errors="backslashreplace")


def _ranks(told: Sequence[dict[str, Any]]) -> Iterator[Rank]:
    for one in told:
        yield Rank(one["host"], one["size"], mpi.identity(one["library"]), tuple(one["include"]), tuple(one["peers"]))


def _said(line: str) -> Said:
    try:
        found = json.loads(line)
        return Said(int(found["size"]), tuple(map(str, found["hosts"])))
    except (ValueError, KeyError, TypeError) as error:
        raise ObservationError(f"prime.py: expected size and hosts, got {line[:100]!r}") from error
