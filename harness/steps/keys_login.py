"""Part of step `keys`: real logins between the machines, each tried once, and only where it has to work.

A refused login is a line that fail2ban counts, so nothing is tried while a reason is known why it must fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.model import Check
from harness.step import expect
from harness.steps.keys_sshd import takes_keys
from harness.steps.keys_state import Login
from harness.steps.keys_trust import called, knows, lets_in, peers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess
    from harness.steps.keys_state import State

# One attempt each, all at once; no question is asked, nothing is learnt or written on the way. The answer has a mark,
# because others speak as well: a banner, a shell that misses its locale, a login file. Where the login fails, the last
# line is why. A user whom the other machine may not have would be counted there: such a login is not tried.
MARK = "name="
NOT_TRIED = 254
ONE = (
    "{ user=$(ssh -G %s 2>/dev/null </dev/null | sed -n 's/^user //p'); "
    f'if [ "$user" ] && [ "$user" != %s ]; then code={NOT_TRIED}; '
    'said="not tried: ~/.ssh/config here, or that of the system, has it log in as $user"; else '
    "said=$(ssh -o BatchMode=yes -o ConnectTimeout=5 -o ConnectionAttempts=1 -o StrictHostKeyChecking=yes "
    "-o UpdateHostKeys=no -o PreferredAuthentications=publickey -o LogLevel=ERROR %s "
    f"'hostname | sed s/^/{MARK}/' 2>&1 </dev/null); code=$?; fi; "
    f'[ "$code" != 0 ] || said=$(printf %%s "$said" | sed -n s/^{MARK}//p); '
    'printf \'%%s %%s %%s\\n\' %s "$code" "$(printf %%s "$said" | tail -n 1)"; } & '
)


def command(names: tuple[str, ...]) -> str:
    """Shell text for `NodeAccess.ask`, with four `%s` for each name: it, the user, and it twice again."""
    return f"{ONE * len(names)}wait"


def log_in(node: NodeAccess, user: str, names: tuple[str, ...]) -> dict[str, Login]:
    """Log in from this machine to each of these names as its own user is called, and ask for the host name there."""
    if not names:
        return {}
    words = [word for name in names for word in (name, user, name, name)]
    lines = node.ask(command(names), *words).splitlines()
    found = {}
    for line in lines:
        name, code, said = (*line.split(" ", 2), "", "")[:3]
        if name not in names or not code.isdigit():
            raise ObservationError(f"{node.name}: ssh: expected a name and an exit code, got {line[:80]!r}")
        found[name] = Login(int(code), said.strip()[:200])
    return found


def obstacle(origin: str, target: str, seen: Mapping[str, State], cluster: Cluster) -> str:
    """Why a login by key must fail; empty where it has to work."""
    here, there = seen[origin], seen[target]
    address = str(cluster.address(origin))
    lets = [lets_in(there, key, address) for key in here.usable_keys]
    door = there.sshd.doors.get(origin)
    keeps_out = door.barrier if door else ""
    answer = knows(here, called(target, cluster), str(cluster.address(target)), there.own_host_keys)
    reasons = {
        f"{origin} has no key pair that ssh can use": not here.usable_keys,
        f"{target} does not let the key of {origin} in": "yes" not in lets,
        f"{origin} does not know the host key of {target}": answer != "yes",
        f"~/.ssh of {origin} is not its user's": not _is_readable(here),
        f"sshd of {target} does not let {there.user} in from {origin}: {keeps_out}": bool(keeps_out),
        f"sshd of {target} takes no such keys": door is None or not takes_keys(door, there.home),
        f"sshd of {target} does not trust the rights of home, ~/.ssh or authorized_keys": not _is_trusted(there),
    }
    return next((reason for reason, is_so in reasons.items() if is_so), "")


def _is_readable(state: State) -> bool:
    folder = state.rights.get(state.folder)
    return folder is not None and folder.owner == state.user and (
        state.known is not None and state.known.owner.startswith(f"{state.user}:")
    )  # fmt: skip


def _is_trusted(state: State) -> bool:
    ways = [state.rights.get(path) for path in (state.home, state.folder)]
    file = state.authorized
    if file is None or file.mode & 0o022:
        return False
    owner = file.owner.partition(":")[0]
    # sshd reads it as the user, so that of root helps only where others may read it.
    is_read = owner == state.user or (owner == "root" and bool(file.mode & 0o004))
    return is_read and all(way is not None and way.keeps_others_out_of_writing(state.user) for way in ways)


def judge_logins(name: str, seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """Both directions between a node and the controller, under the node."""
    hub = cluster.controller.name
    for origin, target in ((hub, name), (name, hub)):
        yield _judge(name, origin, target, seen, cluster)


def works(origin: str, target: str, seen: Mapping[str, State], cluster: Cluster) -> bool:
    """Whether a login was tried and ended on the right machine."""
    return _said(origin, target, seen, cluster) == target


def all_work(name: str, seen: Mapping[str, State], cluster: Cluster) -> bool:
    """Whether every documented login from and to a machine works."""
    others = peers(name, cluster)
    return all(
        other in seen and works(name, other, seen, cluster) and works(other, name, seen, cluster) for other in others
    )  # fmt: skip


def _judge(name: str, origin: str, target: str, seen: Mapping[str, State], cluster: Cluster) -> Check:
    alias = called(target, cluster)
    return expect(
        name, f"`ssh {alias} hostname` on {origin}", want=target, seen=_said(origin, target, seen, cluster),
        by_hand=f"first what that names; then, as {seen[origin].user} on {origin}: ssh -v {alias} hostname",
    )  # fmt: skip


def _said(origin: str, target: str, seen: Mapping[str, State], cluster: Cluster) -> str:
    reason = obstacle(origin, target, seen, cluster)
    login = seen[origin].logins.get(called(target, cluster))
    if reason or login is None:
        return f"not tried: {reason or 'nobody asked'}"
    if login.code == 0:
        return login.words or "a login, but no host name"
    return login.words if login.code == NOT_TRIED else f"exit {login.code}: {login.words}"
