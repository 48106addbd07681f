"""Part of step `stack`: the paths of a machine that services mount (runbook L480, L490); pure but for the question."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.errors import ObservationError
from harness.model import Check
from harness.parse.placement import admits, constraint
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.inventory import Cluster
    from harness.parse.compose import Service
    from harness.parse.services import Machine

# Where an empty folder is what a service begins with. Elsewhere (a disk that is not mounted, a socket, a setting) a
# folder of ours would hide what is really missing.
OURS_TO_MAKE = ("/home", "/srv", "/opt", "/var/lib", "/var/local")
# Docker's own folders, and those of packages, are nobody's to make.
NOT_OURS = ("/var/lib/docker", "/var/lib/containerd", "/var/lib/dpkg", "/var/lib/apt", "/var/lib/systemd")


@dataclass(frozen=True)
class Question:
    """A question about any number of paths."""

    script: str

    def command(self, paths: Sequence[str]) -> str:
        """The command with a place for the script and one for each path."""
        return " ".join(("sh -c %s ask", *("%s",) * len(paths)))


LINK = "link to nothing"
# One line for each path; what lies under a folder that does not let us in is no answer.
SOURCES = Question("""
for path; do
  if [ -e "$path" ]; then stat -L -c %F -- "$path" || exit 9
  elif [ -L "$path" ]; then echo "link to nothing"
  elif ls -d -- "$path" 2>&1 | grep -q 'No such file\\|Not a directory'; then echo -; else exit 9; fi
done
""")


def kinds(text: str, paths: Sequence[str]) -> dict[str, str | None]:
    """The kind of each path in stat's words, None for one that is not there; ObservationError for another text."""
    lines = text.splitlines()
    if len(lines) != len(paths) or not all(lines):
        raise ObservationError(f"expected a line for each of {len(paths)} paths, got {len(lines)}")
    return {path: None if line == "-" else line for path, line in zip(paths, lines, strict=True)}


def may_run(service: Service, machines: Sequence[Machine]) -> tuple[str, ...]:
    """The members on which the constraints of a service let it run."""
    conditions = [constraint(text) for text in service.deploy.placement.constraints]
    return tuple(machine.name for machine in machines if admits(conditions, machine.candidate))


def judge_sources(
    name: str, found: Mapping[str, str | None], machines: Sequence[Machine], cluster: Cluster
) -> Iterator[Check]:
    """Each path that a service would mount on this machine; where it mounts none, that is said."""
    compose = cluster.stack.content.compose
    here = [service for service in compose.services.values() if name in may_run(service, machines)]
    paths = sorted({path for service in here for path in service.paths})
    if not paths:
        yield expect(name, "mounted by services", want="nothing", seen="nothing")
    for path in paths:
        yield _judge_source(name, path, found[path], cluster)


def _judge_source(name: str, path: str, seen: str | None, cluster: Cluster) -> Check:
    """Where we would make a folder, nothing else will do; elsewhere it may be a socket or a file."""
    fix = _make(name, path, cluster)
    want = "directory" if fix else "anything but nothing"
    holds = seen == want if fix else seen not in {None, LINK}
    by_hand = f"make it on {name}, or mount the disk that holds it; `docker service ps` shows who waits for it"
    if seen is not None:
        fix, by_hand = (), f"what is at {path} on {name} is a {seen}: move it aside"
    return Check(name, f"{path} is there", want, seen or "nothing", holds, fix=fix, by_hand="" if fix else by_hand)


def _make(name: str, path: str, cluster: Cluster) -> tuple[Run, ...]:
    """A new folder is of the person whose home it is in; elsewhere of root, and the image's start takes it over."""
    place = PurePosixPath(path)
    if ".." in place.parts or place.suffix or not _is_ours(place):
        return ()
    home = PurePosixPath("/home") / cluster.os.user
    owner = cluster.os.user if place.is_relative_to(home) else "root"
    argv = ("install", "-d", "-o", owner, "-g", owner, "-m", "755", path)
    return (Run(name, argv, f"make the folder that a service mounts, of {owner}"),)


def _is_ours(place: PurePosixPath) -> bool:
    roots = [root for root in OURS_TO_MAKE if place.is_relative_to(root) and str(place) != root]
    return bool(roots) and not any(place.is_relative_to(root) for root in NOT_OURS)
