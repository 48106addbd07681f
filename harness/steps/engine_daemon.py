"""Part of step `engine`: what a running engine says of itself, and who may use it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.model import Check
from harness.parse import daemon_json
from harness.step import expect
from harness.steps import engine_firewall
from harness.steps import engine_fixes as fixes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess
    from harness.steps.engine_told import Told

SOCKET = "/run/docker.sock"
USUAL = "/var/lib/docker"
# As a login of this moment would have it, whatever our own login was given.
MAY_USE = "runuser -u %s -- test -w %s"
# dpkg's names and those of Go, in which the engine is written. The kernel's own name (`docker info`) is another
# thing: a 64-bit kernel runs 32-bit programs.
GO_NAMES = {"armhf": "arm", "armel": "arm", "arm64": "arm64", "amd64": "amd64"}


@dataclass(frozen=True)
class Daemon:
    """An engine that answers: its release, the architecture it was built for, and what it can do.

    `folder` is where it keeps images, containers, and its place in the swarm, by the means of `storage_driver`;
    `next_folder` where it will look for them once it starts again.

    `may_use` is of the cluster's user at his next login, `groups` are those that he has then. `lacks` is which of its
    rules are not in the firewall, None where that is not asked.
    """

    version: str
    architecture: str
    log_driver: str
    storage_driver: str
    folder: str
    next_folder: str
    limits_memory: bool
    may_use: bool
    groups: tuple[str, ...]
    lacks: tuple[str, ...] | None = None


def observe_daemon(node: NodeAccess, told: Told) -> Daemon:
    """Ask the engine over its own interface; ObservationError for an answer of another shape."""
    docker, user = node.docker(), node.cluster.os.user
    version, info = docker.version(), docker.info()
    try:
        said = version["Version"], version["Arch"], info["LoggingDriver"], info["Driver"], info["DockerRootDir"]
        limits_memory = bool(info["MemoryLimit"])
        folder = _next_folder(node, told)
    except LookupError as error:
        raise ObservationError(f"{node.name}: Docker's answer lacks {error}") from error
    groups = tuple(node.ask("id -nG -- %s", user).split())
    may_use = node.test(MAY_USE, user, SOCKET, root=True)
    return Daemon(*said, folder, limits_memory, may_use, groups, engine_firewall.look(node, told))


def _next_folder(node: NodeAccess, told: Told) -> str:
    """Where it will look at its next start, by its real path."""
    return node.ask("readlink -m -- %s", told.setting("data-root") or USUAL).strip()


def judge_daemons(daemons: Mapping[str, Daemon], told: Mapping[str, Told], cluster: Cluster) -> Iterator[Check]:
    """Each engine by itself, and its release against that of the controller."""
    release = _reference(daemons, cluster.controller.name)
    for name, daemon in daemons.items():
        yield expect(
            name, "release of Docker", want=release, seen=_release(daemon.version),
            by_hand=f"install {release} here, too: `apt-cache madison {cluster.engine.package}` lists what there is, "
            "and `sudo apt-mark hold` keeps it",
        )  # fmt: skip
        yield expect(
            name, "architecture of Docker", want=GO_NAMES[cluster.os.architecture], seen=daemon.architecture,
            by_hand=f"install {cluster.engine.package} from the sources of this system: the kernel may be of another "
            "architecture than its programs, and Docker must be of theirs",
        )  # fmt: skip
        yield _judge_user(name, daemon, cluster.os.user)
        moved = _moved(daemon, told[name])
        yield _judge_next_start(name, daemon, moved)
        obstacle = told[name].obstacle or (f"mend first that {moved}" if moved else "")
        yield _judge_logs(name, daemon, told[name], obstacle)
        yield from engine_firewall.judge(name, daemon.lacks, told[name], obstacle)
        yield expect(
            name, "Docker can limit memory", want="yes", seen="yes" if daemon.limits_memory else "no", level="advice",
            by_hand="add cgroup_enable=memory cgroup_memory=1 to the one line of cmdline.txt in the boot partition, "
            "and reboot",
        )  # fmt: skip


def _reference(daemons: Mapping[str, Daemon], controller: str) -> str:
    """The controller's release; while it has none, the most frequent one."""
    if controller in daemons:
        return _release(daemons[controller].version)
    counted = Counter(_release(daemon.version) for daemon in daemons.values())
    return max(counted, key=lambda release: (counted[release], release), default="")


def _release(version: str) -> str:
    """Major and minor: 20.10 of 20.10.24+dfsg1."""
    return ".".join(version.split(".")[:2])


def _judge_user(name: str, daemon: Daemon, user: str) -> Check:
    in_group = fixes.GROUP in daemon.groups
    seen = f"no, though he is in group {fixes.GROUP}" if in_group else f"no: not in group {fixes.GROUP}"
    return expect(
        name, f"{user} may use Docker", want="yes", seen="yes" if daemon.may_use else seen,
        fix=() if in_group else fixes.let_in(name, user),
        by_hand=f'`ls -l {SOCKET}` must say srw-rw---- root {fixes.GROUP}: set "group" in {fixes.CONFIG} right, or '
        "`sudo systemctl restart docker.socket docker`",
    )  # fmt: skip


def _moved(daemon: Daemon, told: Told) -> str:
    """What its next start would look for elsewhere; empty where it finds its own."""
    # With user namespaces its folder lies in the one that was asked for.
    moved = [] if f"{daemon.folder}/".startswith(f"{daemon.next_folder}/") else [f"data-root is {daemon.next_folder}"]
    driver = told.setting("storage-driver")
    if driver and driver != daemon.storage_driver:
        moved.append(f"storage-driver is {driver}")
    return ", ".join(moved)


def _judge_next_start(name: str, daemon: Daemon, moved: str) -> Check:
    """A change of these is a new engine with nothing in it, once it starts again."""
    return expect(
        name, "Docker finds its own at the next start", want="yes", seen=f"no: {moved}" if moved else "yes",
        by_hand=f"set that right where it is said, in {fixes.CONFIG} or on the unit's command line, or it starts with "
        f"no image, no container and no swarm: all of them are in {daemon.folder}, by {daemon.storage_driver}",
    )  # fmt: skip


def _judge_logs(name: str, daemon: Daemon, told: Told, obstacle: str) -> Check:
    on_line, config = told.options.get("log-opts"), told.config
    is_bounded = (
        daemon.log_driver != daemon_json.ENDLESS
        or "max-size=" in (on_line or "")
        or (config is not None and daemon_json.has_rotation(config.content))
    )
    # The same key in the file as well, and Docker would not start again.
    place = (
        f"log-opts into {fixes.CONFIG}" if on_line is None else "--log-opt max-size=10m behind the --log-opt there is"
    )
    return expect(
        name, "logs of containers are bounded", want="yes", level="advice",
        seen="yes" if is_bounded else f"no: {daemon.log_driver} keeps everything",
        fix=() if is_bounded or obstacle or on_line is not None else fixes.bound_logs(name, config),
        by_hand=obstacle or f"write {place}",
    )  # fmt: skip
