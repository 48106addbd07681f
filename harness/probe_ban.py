"""A stranger who fails to log in to the controller, for the disruptive test of `fail2ban` (runbook L189-206).

Beside apply.py the only module that changes a node, and no other module of the harness uses it. The stranger lives in
a network namespace of his own, with addresses that are nobody's (RFC 5737), so that no ban can hit a machine of the
cluster or the harness. All of it goes when the block ends; what a killed run left goes when the next one begins.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testinfra.host import Host

SPACE = "hatcheck-ban"
LINK = "hcban0"
NET = "192.0.2"
CONTROLLER = f"{NET}.254"
KNOWN = f"/run/{SPACE}.known_hosts"
MOST_TRIES = 6
REMOVE = f"""
for pid in $(ip netns pids {SPACE} 2>/dev/null); do kill -9 "$pid"; done
ip netns del {SPACE} 2>/dev/null; ip link del {LINK} 2>/dev/null; rm -f {KNOWN}
"""
MAKE = f"""
set -e
if ip -4 route show root {NET}.0/24 | grep -q .; then echo "{NET}.0/24 is in use here" >&2; exit 1; fi
ip netns add {SPACE}
ip link add {LINK} type veth peer name {LINK} netns {SPACE}
ip addr add {CONTROLLER}/24 dev {LINK}; ip link set {LINK} up
for address; do ip -n {SPACE} addr add "$address/24" dev {LINK}; done
ip -n {SPACE} link set {LINK} up
sed 's/^/{CONTROLLER} /' /etc/ssh/ssh_host_*_key.pub > {KNOWN}
"""
# The stranger knows the controller by its own files. He offers no password and no key: sshd writes down the user that
# it does not know, and that is what counts.
FAIL = (
    f"ip netns exec {SPACE} timeout 10 ssh -F /dev/null -b %s -o BatchMode=yes -o PubkeyAuthentication=no"
    f" -o StrictHostKeyChecking=yes -o UserKnownHostsFile={KNOWN} -o ConnectTimeout=5"
    f" hatcheck-nobody@{CONTROLLER} true"
)
GREET = (
    "import socket, sys; from contextlib import suppress\n"
    "with suppress(OSError), socket.create_connection((sys.argv[1], 22), 5, (sys.argv[2], 0)) as wire:\n"
    "    print(wire.recv(4).decode())"
)


@dataclass(frozen=True)
class Stranger:
    """Somebody at `address` who fails to log in, and somebody beside him at `bystander` who does nothing."""

    node: Host
    address: str
    bystander: str

    def fail(self, times: int) -> None:
        """Try to log in as a user that does not exist; never more often than it takes."""
        for _ in range(min(times, MOST_TRIES)):
            self.node.run(FAIL, self.address)

    def is_greeted(self, address: str) -> bool:
        """Whether sshd on the controller answers a connection from one of the two addresses."""
        found = self.node.run(f"ip netns exec {SPACE} python3 -c %s %s %s", GREET, CONTROLLER, address)
        return str(found.stdout).strip() == "SSH-"

    def release(self) -> None:
        """Lift every ban of his, and have fail2ban forget it."""
        self.node.run("fail2ban-client unban %s", self.address)


@contextmanager
def stranger(node: Host) -> Iterator[Stranger]:
    """A stranger on the controller while the block lasts; `node` must ask as root."""
    # Another one each time: jail recidive remembers a ban for a day, and five of them would count.
    address, bystander = (f"{NET}.{number}" for number in random.sample(range(1, 250), 2))
    someone = Stranger(node, address, bystander)
    node.run(REMOVE)
    try:
        made = node.run(f"make() {{ {MAKE} }}; (make %s %s)", address, bystander)
        if made.rc:
            raise RuntimeError(f"cannot make a stranger: {made.stderr.strip()}")
        yield someone
    finally:
        someone.release()
        node.run(REMOVE)
