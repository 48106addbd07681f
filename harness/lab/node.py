"""One node as processes: booting it, entering it out of band, cutting its power."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.errors import LabError
from harness.lab import cgroups
from harness.lab.layout import CONTROLLER, GUEST_BOARD, GUEST_REPOSITORY, NETNS_HOME, Layout
from harness.lab.rootfs import DOCKER_DIRS

# Enters control groups, then becomes the program: a child of it can never be outside.
_ENTER_GROUPS = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@"'
_GUEST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GUEST_ENV = {"PATH": _GUEST_PATH, "HOME": "/root", "USER": "root", "LOGNAME": "root", "LANG": "C.UTF-8"}
_NSPAWN_SETTINGS = {
    # /sys/class/net shows the node's own links, and of /proc/sys only net is writable: a node can set
    # nothing on the machine.
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
    "SYSTEMD_NSPAWN_LOCK": "0",  # the file would be left behind at each power cut
}
_MODULES = Path("/lib/modules")
_FORBIDDEN = "sys_time"  # there is one clock, the machine's
_REBOOT_NOTICE = "is being rebooted"


def machine_name(layout: Layout, node: str) -> str:
    """Name of the node for systemd-nspawn, unique among labs."""
    return f"{layout.name}-{node}"


def boot_argv(layout: Layout, node: str, repository: Path, modules: Path | None) -> list[str]:
    """Command that boots `node` in its namespace from its mounted root."""
    state = layout.node_state(node)
    binds = [f"--bind={state / name}:/var/lib/{name}" for name in DOCKER_DIRS]
    binds.append(f"--bind-ro={repository}:{GUEST_REPOSITORY}")
    if modules is not None:
        binds.append(f"--bind-ro={modules}")
    if node == CONTROLLER:
        binds.append(f"--bind={layout.hat}:{GUEST_BOARD}")
    return [
        "systemd-nspawn",
        f"--directory={layout.root(node)}",
        f"--machine={machine_name(layout, node)}",
        f"--hostname={node}",
        f"--network-namespace-path={NETNS_HOME / layout.netns(node)}",
        "--register=no",
        "--keep-unit",
        "--capability=all",
        f"--drop-capability=CAP_{_FORBIDDEN.upper()}",
        "--system-call-filter=add_key keyctl bpf",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=read-only",
        *binds,
        "--boot",
    ]


def boot(layout: Layout, node: str, repository: Path) -> subprocess.Popen[bytes]:
    """Start `node`; its console goes to console.log and nspawn's own words to nspawn.log of its state."""
    groups = cgroups.make_group(f"{layout.cgroup}/{node}")
    argv = boot_argv(layout, node, repository, _MODULES if _MODULES.is_dir() else None)
    state = layout.node_state(node)
    with (state / "console.log").open("wb") as console, (state / "nspawn.log").open("wb") as words:
        return subprocess.Popen(
            [*enter_groups_argv(groups), *argv],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=words,
            env={"PATH": os.environ.get("PATH", _GUEST_PATH), **_NSPAWN_SETTINGS},
            cwd="/",
            start_new_session=True,
        )


def enter_groups_argv(groups: Sequence[Path]) -> list[str]:
    """Prefix of a command that shall run in these control groups."""
    return ["sh", "-c", _ENTER_GROUPS, "enter", *(f"{group}/cgroup.procs" for group in groups), "--"]


def asked_for_reboot(layout: Layout, node: str) -> bool:
    """Whether `node`, which has ended, ended in order to boot again.

    The exit code cannot tell: without systemd on the machine, nspawn fails when it tidies up.
    """
    return _REBOOT_NOTICE in (layout.node_state(node) / "nspawn.log").read_text(errors="replace")


def cut_power(layout: Layout, node: str) -> None:
    """End all of `node` at once, as a power cut does; nothing to do when nothing of it runs."""
    cgroups.end_group(f"{layout.cgroup}/{node}")


def leader_of(layout: Layout, node: str) -> int | None:
    """Machine-side process id of the init of `node`, None when it does not run."""
    for pid in sorted(cgroups.members(f"{layout.cgroup}/{node}")):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if _is_init(status):
            return pid
    return None


def has_begun(layout: Layout, node: str) -> bool:
    """Whether the init of `node` is its own: before that, whoever enters may still see the machine's files."""
    pid = leader_of(layout, node)
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pid is not None and Path(f"/proc/{pid}/comm").read_text().strip() in {"systemd", "init"}
    return False


def _is_init(status: str) -> bool:
    """Whether /proc/PID/status tells of process 1 of a namespace right below ours (not of a container's)."""
    line = next((x for x in status.splitlines() if x.startswith("NSpid:")), "")
    return line.split()[2:] == ["1"]


def enter_argv(pid: int, groups: Sequence[Path], argv: Sequence[str]) -> list[str]:
    """Command that runs `argv` as root inside the node whose init is `pid`."""
    variables = [f"{name}={value}" for name, value in _GUEST_ENV.items()]
    # Entering would otherwise keep all that the machine's root may: a node must not set the one clock.
    less = ["setpriv", f"--bounding-set=-{_FORBIDDEN}", f"--inh-caps=-{_FORBIDDEN}", "--"]
    inside = ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "-C", "--", "env", "-i", *variables]
    return [*enter_groups_argv(groups), *less, *inside, *argv]


def execute(
    layout: Layout, node: str, argv: Sequence[str], stdin: bytes | None, timeout: float
) -> subprocess.CompletedProcess[bytes]:
    """Run `argv` as root inside `node`, out of band; its exit code is the caller's to judge.

    Raises LabError when the node does not run or `argv` takes longer than `timeout` seconds.
    """
    pid = leader_of(layout, node)
    if pid is None:
        raise LabError(f"{node} does not run, so `{argv[0]}` cannot be run in it.")
    process = subprocess.Popen(
        enter_argv(pid, cgroups.groups_of(pid), argv),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        raise LabError(f"`{argv[0]}` in {node} did not end within {timeout:.0f} s.") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            _close_pipes(process)
    return subprocess.CompletedProcess(list(argv), process.returncode, out, err)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # unsent input has nowhere to go
                pipe.close()
