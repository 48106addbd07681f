"""The only module that changes a node.

A file is written beside its place and renamed over it, after its old bytes were kept; it is not touched when it
is no longer what the plan was made from. So a run that is killed leaves either the old or the new file.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import (
    Action,
    AllowWrites,
    Boot,
    BuildImage,
    DeployStack,
    DockerAction,
    JoinSwarm,
    LoadSchema,
    PushImage,
    Run,
    SettleService,
    Write,
    WriteSshd,
)
from harness.apply_database import allow_writes, load_schema
from harness.apply_images import build_image, push_image
from harness.apply_sshd import change_sshd
from harness.apply_stack import deploy_stack, settle_service
from harness.apply_swarm import join_swarm
from harness.errors import ObservationError, RepairError, TimeLimit, UsageError
from harness.model import Done
from harness.plan import NOT_TRIED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.connect import Connections
    from harness.shell import Answer

KEPT = "/var/backups/hatcheck"
LOCK = "/run/hatcheck.lock"
OUTPUT = "/var/log/hatcheck.log"  # of what goes on without us
SETTLE = 0.5  # seconds between two tries of something that has a deadline

# $1 path, $2 sha256 of the bytes that were seen ("" for no file), $3 mode and $4 owner ("" to keep),
# $5 the new bytes in base64. A link is followed, so that it stays one.
WRITE = """
set -eu
path=$(readlink -m -- "$1"); folder=$(dirname -- "$path"); new="$folder/.${path##*/}.hatcheck"
[ ! -e "$path" ] || [ -f "$path" ] || { echo "it is not a regular file; mend it by hand" >&2; exit 3; }
if [ -e "$path" ]; then seen=$(sha256sum < "$path"); seen=${seen%% *}; else seen=; fi
[ "$seen" = "$2" ] || { echo "it has changed since it was looked at" >&2; exit 3; }
mkdir -p -- "$folder"; rm -f -- "$new"; umask 077; trap 'rm -f -- "$new"' EXIT
printf %s "$5" | base64 -d > "$new"
if [ -n "$seen" ]; then
  mkdir -p KEPT
  kept="KEPT/$(printf %s "$path" | tr / %).$(printf %.12s "$seen")"
  # Half a copy (the disk is full, the power goes) must never pass for the old bytes.
  if [ ! -e "$kept" ]; then cp -p -- "$path" "$kept.part"; sync -- "$kept.part"; mv -T -- "$kept.part" "$kept"; fi
  chown --reference="$path" -- "$new"; chmod --reference="$path" -- "$new"
fi
[ -z "$4" ] || chown -- "$4" "$new"
[ -z "$3" ] || chmod -- "$3" "$new"
sync -- "$new"; mv -T -- "$new" "$path"
""".replace("KEPT", KEPT)

# What must not be cut off has a session of its own, which nobody ends with ours, and no pipe that could break.
FINISH = f"""
setsid --wait "$@" </dev/null >{OUTPUT} 2>&1; code=$?
tail -n 3 {OUTPUT} >&2; exit "$code"
"""


@dataclass(frozen=True)
class Applier:
    """Carries out actions over the run's connections; `say` is told what begins."""

    connections: Connections
    say: Callable[[str], None]

    def apply(self, actions: Sequence[Action]) -> tuple[Done, ...]:
        """Apply nodes in parallel and in order within a node; a failure ends that node's list only."""
        of_node: dict[str, list[Action]] = defaultdict(list)
        for action in actions:
            of_node[action.node].append(action)
        with ThreadPoolExecutor(max_workers=max(1, len(of_node))) as threads:
            results = threads.map(self._apply_in_order, of_node.values())
            return tuple(done for node in results for done in node)

    def _apply_in_order(self, actions: Sequence[Action]) -> list[Done]:
        done: list[Done] = []
        for action in actions:
            # A node that does not boot is no reason to leave the next one dark; anything else may build on it.
            broken = any(one.failure for one in done if not isinstance(one.action, Boot))
            done.append(Done(action, NOT_TRIED if broken else self._try(action)))
        return done

    def _try(self, action: Action) -> str:
        self.say(f"{action.node}: {action.why}")
        try:
            match action:
                case Run() | Write() | WriteSshd() | Boot():
                    self._change_machine(action)
                case _:
                    self._change_docker(action)
        except (RepairError, ObservationError) as error:
            return str(error)
        return ""

    def _change_machine(self, action: Run | Write | WriteSshd | Boot) -> None:
        match action:
            case Run(finishes=True):
                self._finish(action)
            case Run():
                self._run(action.node, shlex.join(action.argv), action.limit)
            case Write():
                self._write(action)
            case WriteSshd():
                change_sshd(action, self.connections)
            case Boot():
                self._boot(action)

    def _change_docker(self, action: DockerAction) -> None:
        match action:
            case JoinSwarm():
                join_swarm(action, self.connections, self.say)
            case BuildImage():
                build_image(action, self.connections, self.say)
            case PushImage():
                push_image(action, self.connections)
            case AllowWrites():
                allow_writes(action, self.connections)
            case LoadSchema():
                load_schema(action, self.connections, self.say)
            case DeployStack():
                cluster = self.connections.access(action.node).cluster
                deploy_stack(action, cluster, self.connections, self._write, self.say)
            case SettleService():
                settle_service(action, self.connections, self.say)

    def _finish(self, action: Run) -> None:
        script, command = shlex.join(("sh", "-c", FINISH, "sh", *action.argv)), shlex.join(action.argv)[-120:]
        try:
            answer = self.connections.connection(action.node).ask(script, root=True, limit=action.limit)
        except TimeLimit:
            late = f"`{command}` is not done after {action.limit:g} s, and goes on"
            raise RepairError(f"{action.node}: {late}; {OUTPUT} there says how far it is, then repair again") from None
        if answer.code:
            raise RepairError(f"{action.node}: `{command}` gave exit {answer.code}: {_last_line(answer)}")

    def _run(self, node: str, script: str, limit: float) -> str:
        answer = self.connections.connection(node).ask(script, root=True, limit=limit)
        if answer.code:
            raise RepairError(f"{node}: `{script.strip()[:120]}` gave exit {answer.code}: {_last_line(answer)}")
        return answer.out.decode(errors="replace")

    def _write(self, action: Write) -> None:
        seen = "" if action.before is None else hashlib.sha256(action.before).hexdigest()
        mode = "" if action.mode is None else f"{action.mode:o}"
        text = base64.b64encode(action.after).decode()
        arguments = (action.path, seen, mode, action.owner or "", text)
        # A function and not `sh -c`: the bytes of a large file do not fit in an argument vector.
        script = f"write() {{ {WRITE}\n}}; write {' '.join(map(shlex.quote, arguments))}"
        try:
            self._run(action.node, script, limit=60.0)
        except RepairError as error:
            words = str(error).rpartition(": ")[2]
            raise RepairError(f"{action.node}: {action.path} is left as it was: {words}") from error

    def _boot(self, action: Boot) -> None:
        """Power on and wait for sshd's banner; a node that gives no sign of life is switched off and on again.

        A node whose link has come up on the controller runs a system, whatever its sshd does: it is not cut off.
        """
        self.connections.forget(action.target)
        for cycle in range(action.cycles):
            if cycle:
                # It never came up, so there is no system on it that could be shut down cleanly first.
                self._run(action.node, shlex.join(("clusterhat", "off", action.port)), limit=30.0)
            self._run(action.node, shlex.join(("clusterhat", "on", action.port)), limit=60.0)
            if self._await_greeting(action.target, action.limit):
                return
            if self._has_link(action):
                raise RepairError(f"{action.target}: its system runs ({action.link} is there) but ssh does not answer")
        tries = f"{action.target}: powered on {action.cycles} times"
        raise RepairError(f"{tries} and never answered ssh; look at its card and cable")

    def _has_link(self, action: Boot) -> bool:
        answer = self.connections.connection(action.node).ask(shlex.join(("ip", "link", "show", action.link)))
        return answer.code == 0

    def _await_greeting(self, name: str, limit: float) -> bool:
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if self.connections.greets(name):
                return True
            self.say(f"{name}: waiting for it to boot")
            time.sleep(SETTLE)
        return False


def _last_line(answer: Answer) -> str:
    words = (answer.err or answer.out).decode(errors="replace").strip()
    return words.rpartition("\n")[2][:200]


def lock_out_others(connections: Connections, controller: str) -> None:
    """Make this the only repair of the cluster; UsageError if another one is at work."""
    if not connections.hold(controller, LOCK):
        holder = f"another repair of this cluster is running (it holds {LOCK} on {controller})"
        raise UsageError(f"{holder}; wait for it to end")
