"""Part of step `mpi`: what one look sees on one machine, and how it is asked; no job is started here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse import dpkg, getent, mpi
from harness.parse.app_results import Pi, Primes, Stats
from harness.steps import mpi_programs
from harness.steps.mpi_programs import Program

if TYPE_CHECKING:
    from harness.inventory import Cluster
    from harness.node import NodeAccess

PACKAGES = ("openmpi-bin", "python3-mpi4py")
LAUNCHER = (
    'found=$(command -v mpiexec) || exit 0; readlink -f -- "$found"; timeout 10 mpiexec --version 2>&1 | head -n 2'
)
# As the login user and with his paths, for so do the jobs run; it starts nothing, and leaves no compiled module.
LIBRARY = "timeout 20 python3 -B -c %s"
ASK_LIBRARY = """
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
print(mpi4py.__version__)
print(MPI.Get_library_version())
"""
FAILED = 1


@dataclass(frozen=True)
class Rank:
    """What one rank of a trial job said: its machine, how many ranks it knows of, and the library it runs on.

    `include` are the two interface parameters as they reached it; `peers` the addresses that it and the daemon
    beside it have connections to.
    """

    host: str
    size: int
    library: str
    include: tuple[str, ...]
    peers: tuple[str, ...]


@dataclass(frozen=True)
class Said:
    """The line in which a program of the application says how it ran."""

    size: int
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One job that was tried: the names given to mpiexec, and why it did not end well (empty: it did).

    `primes` are by range ("1..100"), as they came from rank 0's machine.
    """

    hosts: tuple[str, ...]
    failure: str = ""
    ranks: tuple[Rank, ...] = ()
    said: tuple[Said, ...] = ()
    primes: dict[str, Primes] = field(default_factory=dict)
    pi: Pi | None = None
    stats: Stats | None = None


@dataclass(frozen=True)
class Live:
    """The jobs of one look: why none was tried, or one over all machines, then one for each number of ranks.

    `documented` was started as the runbook starts it. `left` is what a job that failed left on a machine, by the
    name given to mpiexec; it is gone. `through` came to the launcher through a named pipe; where it did not because
    of what other steps say, `untried` has the reason.
    """

    obstacle: str = ""
    trials: tuple[Job, ...] = ()
    documented: Job | None = None
    left: dict[str, str] = field(default_factory=dict)
    through: Job | None = None
    untried: str = ""


@dataclass(frozen=True)
class State:
    """MPI on one machine.

    `packages` maps ours to "installed" or what is the matter; `launcher` and `library` are identities (parse.mpi),
    empty where there is none, and `complaint` then says why. `names` maps the names of the others to their addresses
    here. `live` is of the controller, where the jobs start.
    """

    packages: dict[str, str]
    launcher: str
    launcher_path: str
    library: str
    mpi4py: str
    complaint: str
    names: dict[str, tuple[str, ...]]
    programs: dict[str, Program]
    live: Live | None = None


def look(node: NodeAccess) -> State:
    """Everything that one machine can say of itself."""
    path, _, version = node.ask(LAUNCHER).partition("\n")
    mpi4py, library, complaint = _ask_library(node)
    return State(
        _packages(node), mpi.identity(version), path, library, mpi4py, complaint, _names(node), mpi_programs.look(node)
    )


def called(name: str, cluster: Cluster) -> str:
    """The name by which a machine is given to mpiexec and ssh."""
    return name if name == cluster.controller.name else cluster.node(name).alias


def _packages(node: NodeAccess) -> dict[str, str]:
    found = dpkg.packages(node.ask(dpkg.COMMAND, dpkg.FORMAT))
    state = dict.fromkeys(found.installed, "installed") | found.broken
    return {name: state.get(name, "not installed") for name in PACKAGES}


def _ask_library(node: NodeAccess) -> tuple[str, str, str]:
    """Version of mpi4py, identity of the library beneath it, and why there is none."""
    code, out, err = node.run(LIBRARY, ASK_LIBRARY)
    if code == FAILED:
        return "", "", err.strip().rpartition("\n")[2][:200] or "python3 cannot import it"
    if code:
        raise ObservationError(f"{node.name}: python3 does not say which MPI it has: exit {code}: {err.strip()[:200]}")
    version, _, library = out.partition("\n")
    return version, mpi.identity(library), ""


def _names(node: NodeAccess) -> dict[str, tuple[str, ...]]:
    others = [called(name, node.cluster) for name in node.cluster.names if name != node.name]
    return getent.addresses(node.ask(getent.command(len(others)), *others), others)
