"""Part of step `mpi`: packages, launcher, library and names of each machine, judged from what all machines said."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.fixes import install
from harness.parse.mpi import OPEN_MPI, is_open_mpi
from harness.step import expect
from harness.steps.mpi_programs import are_right
from harness.steps.mpi_state import PACKAGES, called

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.actions import Action
    from harness.inventory import Cluster
    from harness.model import Check
    from harness.steps.mpi_state import State

# Debian lets MPICH's mpiexec stand in the place of Open MPI's, and keeps both apart by this.
CHOOSE = ("update-alternatives", "--set", "mpirun", "/usr/bin/mpirun.openmpi")
DEBIAN = "/usr/bin/"
# What the dynamic linker says of a program, and Python of a module.
LIBRARY_GONE = ("error while loading shared libraries", "cannot open shared object file")
BRING_BACK = "a library that it needs is gone: `sudo apt-get -f install`, and see step updates"


def judge_installed(name: str, seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """What one machine has, also beside what the others have."""
    state = seen[name]
    fix = (install(name, *PACKAGES, why="MPI, and Python's way to it"),)
    for package, what in state.packages.items():
        yield expect(name, package, want="installed", seen=what, fix=fix)
    yield expect(
        name, "launcher", want=OPEN_MPI, seen=_family(state.launcher) or "no mpiexec", fix=_choose(name, state, fix),
        by_hand=BRING_BACK if _is_broken(state) and state.launcher_path.startswith(DEBIAN)
        else f"{state.launcher_path} is found before Debian's mpiexec: take it out of the way",
    )  # fmt: skip
    yield expect(
        name, "library of mpi4py", want=OPEN_MPI, seen=_family(state.library) or f"none: {state.complaint}",
        fix=() if _has_packages(state) else fix,
        by_hand=BRING_BACK if any(sign in state.complaint for sign in LIBRARY_GONE)
        else "another mpi4py hides Debian's: python3 -c 'import mpi4py; print(mpi4py.__file__)' shows it",
    )  # fmt: skip
    yield from _judge_versions(name, seen)
    yield from _judge_names(name, state, cluster)


def obstacle(seen: Mapping[str, State], cluster: Cluster) -> str:
    """Why a job over these machines must fail; empty where it has to work."""
    for name in seen:
        wrong = next((check for check in judge_installed(name, seen, cluster) if not check.holds), None)
        if wrong:
            return f"{name}: {wrong.aspect}: {wrong.seen}"
        if not are_right(seen[name].programs):
            return f"{name} lacks a program of the application"
    return ""


def _judge_versions(name: str, seen: Mapping[str, State]) -> Iterator[Check]:
    """Launcher against library on one machine, and both against what most machines have."""
    state = seen[name]
    if state.launcher and state.library:
        yield expect(
            name, "launcher and library are of one version", want=state.library, seen=state.launcher,
            by_hand="reinstall openmpi-bin and python3-mpi4py; mind programs of your own in /usr/local",
        )  # fmt: skip
        yield expect(
            name, "Open MPI as on the other machines", want=_usual([one.library for one in seen.values()]),
            seen=state.library, by_hand="the same release on every card: apt-get install openmpi-bin, or flash it anew",
        )  # fmt: skip
    if state.mpi4py:
        yield expect(
            name, "mpi4py as on the other machines", want=_usual([one.mpi4py for one in seen.values()]),
            seen=state.mpi4py, by_hand="the same release on every card: apt-get install python3-mpi4py",
        )  # fmt: skip


def _judge_names(name: str, state: State, cluster: Cluster) -> Iterator[Check]:
    for other in cluster.names:
        if other != name:
            alias = called(other, cluster)
            yield expect(
                name, f"{alias} resolves", want=str(cluster.address(other)),
                seen=", ".join(state.names.get(alias, ())) or "unknown name", by_hand="see step hosts",
            )  # fmt: skip


def _choose(name: str, state: State, fix: tuple[Action, ...]) -> tuple[Action, ...]:
    if not state.launcher and not _has_packages(state):
        return fix
    if (not state.launcher_path.startswith(DEBIAN) and state.launcher_path) or _is_broken(state):
        return ()
    choose = Run(name, CHOOSE, "mpi4py runs on Open MPI, so Open MPI has to launch it")
    return (choose,) if _has_packages(state) else (*fix, choose)


def _is_broken(state: State) -> bool:
    """Whether the launcher does not even start; to choose another one is of no use then."""
    return any(sign in state.launcher for sign in LIBRARY_GONE)


def _has_packages(state: State) -> bool:
    return all(what == "installed" for what in state.packages.values())


def _family(said: str) -> str:
    return OPEN_MPI if is_open_mpi(said) else said


def _usual(said: list[str]) -> str:
    """What most machines say; of two that are as frequent the first, which is the controller's."""
    return Counter(filter(None, said)).most_common(1)[0][0]
