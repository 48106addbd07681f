"""The guarded change of sshd's configuration: no moment of it, and no death of ours, may cost the next login.

The node itself is told first to take the change back after a while; then the file is written, tested (`sshd -t`)
and loaded (reload: open sessions stay), and only a new login from here calls the taking back off.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from typing import TYPE_CHECKING, Protocol

from harness.errors import ObservationError, RepairError

if TYPE_CHECKING:
    from harness.actions import WriteSshd
    from harness.shell import Answer

KEPT = "/var/backups/hatcheck"
GUARD = "hatcheck-sshd-rollback"
STEP_LIMIT = 60.0  # seconds for one of the scripts below, also on a Pi Zero
REJECTED = 5
REFUSALS = {
    3: "an earlier change was never confirmed, and the node is about to take it back itself: try again in two minutes",
    4: "it has changed since it was looked at",
}

# Takes a change back. $1 path, $2 the kept file ("-" for none), $3 sha256 of the bytes that were written: what somebody
# else wrote since is not ours to take back.
RESTORE = """
path=$1; kept=$2; new="$path.hatcheck-old"
now=$(sha256sum < "$path" 2>/dev/null) || now=
[ "${now%% *}" = "$3" ] || exit 0
if [ "$kept" != - ]; then cp -p -- "$kept" "$new" && mv -T -- "$new" "$path"; else rm -f -- "$path"; fi
systemctl reload-or-restart ssh
"""

# $1 path, $2 sha256 of the bytes that were seen ("" for no file), $3 the new bytes in base64, $4 their sha256,
# $5 seconds until the node takes them back, $6 RESTORE. The timer outlives this shell, its session and the harness.
# sshd drops its listening sockets before it reads its files again, so other sockets mean that the new file is in force.
CHANGE = """
set -eu
path=$(readlink -m -- "$1"); folder=$(dirname -- "$path"); new="$path.hatcheck-new"; kept=-
! systemctl is-active --quiet GUARD.timer GUARD.service || exit 3
if [ -e "$path" ]; then seen=$(sha256sum < "$path"); seen=${seen%% *}; else seen=; fi
[ "$seen" = "$2" ] || exit 4
mkdir -p -- "$folder" KEPT
if [ -n "$seen" ]; then
  kept="KEPT/$(printf %s "$path" | tr / %).$(printf %.12s "$seen")"
  [ -e "$kept" ] || { cp -p -- "$path" "$kept.part"; sync -- "$kept.part"; mv -T -- "$kept.part" "$kept"; }
fi
rm -f -- "$new"; printf %s "$3" | base64 -d > "$new"
if [ -n "$seen" ]; then chown --reference="$path" -- "$new"; chmod --reference="$path" -- "$new"
else chown root:root -- "$new"; chmod 0644 -- "$new"; fi
sync -- "$new"
sockets() { readlink "/proc/$(systemctl show -P MainPID ssh)"/fd/* | grep '^socket:' | sort || true; }
printf %s "$6" > /run/GUARD.sh
systemd-run --quiet --collect --unit=GUARD --on-active="$5" --timer-property=AccuracySec=100ms \
  /bin/sh /run/GUARD.sh "$path" "$kept" "$4"
mv -T -- "$new" "$path"
sshd -t || exit 5
before=$(sockets)
systemctl reload ssh
for _ in $(seq 100); do [ "$(sockets)" = "$before" ] || exit 0; sleep 0.1; done
echo "sshd did not load its files again" >&2; exit 6
""".replace("KEPT", KEPT).replace("GUARD", GUARD)

# $1 path, $2 sha256 of the new bytes. Where the time ran out after all, the file is the old one again.
CONFIRM = """
systemctl stop GUARD.timer
now=$(sha256sum < "$1") && [ "${now%% *}" = "$2" ] && ! systemctl is-active --quiet GUARD.service
""".replace("GUARD", GUARD)

# Nothing to take back where it was never armed.
UNDO = """
! systemctl is-active --quiet GUARD.timer || { systemctl start --wait GUARD.service && systemctl stop GUARD.timer; }
""".replace("GUARD", GUARD)


class Asker(Protocol):
    """The open connection to the node."""

    def ask(self, script: str, *, root: bool, limit: float | None) -> Answer:
        """Run quoted shell text."""


class Doors(Protocol):
    """What the guarded change needs of the run's connections."""

    def connection(self, name: str, /) -> Asker:
        """The open connection."""

    def log_in_anew(self, name: str, /) -> None:
        """Prove that a login works now; ObservationError where not."""


def change_sshd(action: WriteSshd, doors: Doors) -> None:
    """Write, test, reload, log in anew, and only then keep it; RepairError says why it was taken back."""
    node, where = doors.connection(action.node), f"{action.node}: {action.path}"
    try:
        answer = _change(action, node)
        if answer.code in REFUSALS:
            raise RepairError(f"{where} is left as it was: {REFUSALS[answer.code]}")
        if answer.code == 0:
            doors.log_in_anew(action.node)
            confirmed = _ask(node, CONFIRM, action.path, _hash(action.after))
    except ObservationError as error:
        raise RepairError(f"{where} {_undo(action, node)}: {error}") from error
    if answer.code:
        raise RepairError(f"{where} {_undo(action, node)}: {_said(answer)}")
    if confirmed.code:
        raise RepairError(f"{where} is as it was: the new login came too late to confirm it")


def _change(action: WriteSshd, node: Asker) -> Answer:
    seen = "" if action.before is None else _hash(action.before)
    text = base64.b64encode(action.after).decode()
    return _ask(node, CHANGE, action.path, seen, text, _hash(action.after), f"{action.limit:g}s", RESTORE)


def _undo(action: WriteSshd, node: Asker) -> str:
    """Take the change back at once where the node still answers; what is true of the file then."""
    try:
        if _ask(node, UNDO).code == 0:
            return "is as it was"
    except ObservationError:
        pass
    return f"is taken back by the node itself within {action.limit:g} s"


def _ask(node: Asker, script: str, *arguments: str) -> Answer:
    # A function and not `sh -c`: the bytes of a large file do not fit in an argument vector.
    words = " ".join(map(shlex.quote, arguments))
    return node.ask(f"guarded() {{ {script}\n}}; guarded {words}", root=True, limit=STEP_LIMIT)


def _said(answer: Answer) -> str:
    lines = [line.strip() for line in (answer.err or answer.out).decode(errors="replace").splitlines() if line.strip()]
    verdict = "sshd rejects it" if answer.code == REJECTED else f"the change gave exit {answer.code}"
    return f"{verdict}: {'; '.join(lines[:2])[:300]}"


def _hash(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
