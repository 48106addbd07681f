"""Step `system`: each card carries the documented system, under its own name and ready to work (runbook L47-55)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.errors import ObservationError
from harness.fixes import start_now_and_at_boot
from harness.model import Check
from harness.parse import cgroups, disk, os_release, units, units_shell
from harness.parse.clock import Reading
from harness.parse.excerpt import excerpt
from harness.step import LookFrom, expect
from harness.steps.system_base import judge_base, observe_base
from harness.steps.system_clock import judge_clocks
from harness.steps.system_name import HOSTS, PATH, Name, judge_name
from harness.steps.system_user import User, judge_user, observe_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("arp",)
LOOK_FROM: LookFrom = "every node"
RELEASE = "/etc/os-release"
# Not `uname -m`: since March 2023 a 32-bit system on a Pi 4 runs a 64-bit kernel.
# Last the word by which raspi-config has all files written to memory (its "Overlay File System"): until Bullseye, and
# since Bookworm.
OVERLAYS, LASTING = ("boot=overlay", "overlayroot=tmpfs"), "lasting"
MACHINE = (
    "uname -n && dpkg --print-architecture && getconf LONG_BIT && "
    f"{{ tr ' ' '\\n' < /proc/cmdline | grep -m 1 {' '.join(f'-e ^{word}' for word in OVERLAYS)} || echo {LASTING}; }}"
)
SSH, SSH_SOCKET = "ssh.service", "ssh.socket"
# Debian's own way to keep it from starting, at the next boot as well: both units say so.
KEPT_OFF = "/etc/ssh/sshd_not_to_be_run"
LEAST_SHARE = 5.0  # percent
LEAST_FREE = 200_000_000


@dataclass(frozen=True)
class State:
    """One machine's name and system, its user, sshd, clock, and the room on its root file system.

    `medium` is the word of the kernel's command line by which all is written to memory only, or "lasting"; `base` has
    the modes of what every program takes for granted.
    """

    name: Name
    release: os_release.Release
    architecture: str
    word_size: int
    user: User | None
    ssh: units.Unit
    ssh_socket: units.Unit
    clock: Reading
    is_writable: bool
    medium: str
    space: disk.Space
    counts_memory: bool
    base: dict[str, int]


def observe(node: NodeAccess) -> State:
    """Ask the machine about itself; its clock last, over shells that are open by then."""
    files = node.files(PATH, HOSTS, RELEASE)
    if RELEASE not in files:
        raise ObservationError(f"{node.name}: {RELEASE} is not there")
    live, architecture, word_size, medium = _machine(node.ask(MACHINE))
    ssh = units.units(node.ask(units_shell.command(SSH, SSH_SOCKET, and_target=True), SSH, SSH_SOCKET, root=True))
    return State(
        Name(live, files.get(PATH), files.get(HOSTS)),
        os_release.release(files[RELEASE].content.decode(errors="replace")),
        architecture,
        word_size,
        observe_user(node),
        ssh[SSH],
        ssh[SSH_SOCKET],
        # To root the kernel denies this for one reason only: it is mounted read-only.
        is_writable=node.test("test -w %s", "/", root=True),
        medium=medium,
        space=disk.space(node.ask(disk.COMMAND, "/")),
        counts_memory=cgroups.has_memory(node.ask(cgroups.COMMAND)),
        base=observe_base(node),
        clock=node.clock(),
    )


def _machine(text: str) -> tuple[str, str, int, str]:
    match text.split():
        case [name, architecture, "32" | "64" as word_size, str(medium)] if medium.startswith((*OVERLAYS, LASTING)):
            return name, architecture, int(word_size), medium
    raise ObservationError(f"expected a name, an architecture, 32 or 64, and a medium, got {excerpt(text)}")


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Everything that the later steps take for granted on a machine."""
    for name, state in seen.items():
        yield from judge_name(name, state.name, cluster)
        yield from _judge_image(name, state, cluster)
        yield from judge_base(name, state.base)
        yield from judge_user(name, state.user, cluster.os)
        yield from _judge_ssh(name, state.ssh, state.ssh_socket)
        yield from _judge_disk(name, state)
        yield expect(
            name, "the kernel counts memory", want="yes", seen="yes" if state.counts_memory else "no", level="advice",
            by_hand="add cgroup_enable=memory cgroup_memory=1 to the one line of cmdline.txt in the boot partition, "
            "and reboot; until then Docker cannot limit memory",
        )  # fmt: skip
    yield from judge_clocks({name: state.clock for name, state in seen.items()}, cluster)


def _judge_image(name: str, state: State, cluster: Cluster) -> Iterator[Check]:
    """What only another card can mend: nothing here ever turns one architecture into another."""
    wish = cluster.os
    kind = "CNAT" if name == cluster.controller.name else f"lite-{name}"
    by_hand = (
        f"flash the card with the image …-{wish.codenames[0]}-ClusterCTRL-{wish.architecture}-…{kind}.img, "
        "or write what is meant into [os] of the inventory"
    )
    wanted = [f"{wish.id} {codename}" for codename in wish.codenames]
    found = f"{state.release.id} {state.release.codename or 'without a code name'}"
    want = " or ".join(wanted)
    yield expect(name, "operating system", want=want, seen=want if found in wanted else found, by_hand=by_hand)
    for aspect, wants, sees in (
        ("architecture of the programs", wish.architecture, state.architecture),
        ("word size of the programs", f"{wish.word_size} bits", f"{state.word_size} bits"),
    ):
        yield expect(name, aspect, want=wants, seen=sees, by_hand=by_hand)


def _judge_ssh(name: str, service: units.Unit, socket: units.Unit) -> Iterator[Check]:
    """By its service, or by the socket that starts it."""
    why = "allow the ssh server to start"
    mend = (
        *((Run(name, ("mv", "-fT", "--", KEPT_OFF, f"{KEPT_OFF}.off"), why),) if service.unmet else ()),
        *((Run(name, ("systemctl", "unmask", SSH), why),) if service.is_masked else ()),
        start_now_and_at_boot(name, SSH, "let people and other machines in"),
    )
    fix = mend if all(KEPT_OFF in one for one in service.unmet) else ()
    is_running = "yes" if service.is_active or socket.is_active else "no"
    unit = socket if socket.starts_at_boot else service
    for aspect, seen in (("ssh server runs", is_running), ("ssh server starts at boot", unit.at_boot)):
        yield expect(name, aspect, want="yes", seen=seen, fix=fix, by_hand=units.BY_HAND)


def _judge_disk(name: str, state: State) -> Iterator[Check]:
    space = state.space
    yield expect(
        name, "root file system can be written", want="yes", seen="yes" if state.is_writable else "no: read-only",
        by_hand="`dmesg | tail` says why the kernel stopped writing; a dying card is the usual reason. To go on for "
        "now: `sudo mount -o remount,rw /`",
    )  # fmt: skip
    yield expect(
        name, "what is written lasts", want="yes", seen="yes" if state.medium == LASTING else f"no: {state.medium}",
        by_hand="it is forgotten at the next reboot: switch the overlay file system off (`sudo raspi-config`, "
        "Performance Options), reboot, and look again",
    )  # fmt: skip
    free = f"{space.free_share:.0f} % and {space.free / 1e6:.0f} MB"
    has_room = space.free_share >= LEAST_SHARE and space.free >= LEAST_FREE
    clean = "`sudo apt-get clean; sudo journalctl --vacuum-size=50M`, then see what is large: `sudo du -xh / | sort -h`"
    want = f"at least {LEAST_SHARE:g} % and {LEAST_FREE / 1e6:.0f} MB"
    yield Check(name, "free space on /", want, free, has_room, by_hand=clean)
    yield Check(
        name, "free inodes on /", f"at least {LEAST_SHARE:g} %", f"{space.free_inode_share:.0f} %",
        space.free_inode_share >= LEAST_SHARE, by_hand="find the many small files: `sudo du --inodes -x / | sort -n`",
    )  # fmt: skip
