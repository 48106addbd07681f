"""Part of step `keys`: what sshd would do for the login user, asked for each peer that comes; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.node import File
from harness.parse import ssh_g, tcp_wrappers
from harness.parse.sshd_access import barrier, deafness
from harness.steps.keys_trust import called, peers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.node import NodeAccess
    from harness.parse.tcp_wrappers import Rule

# The unit of Debian starts it with the options of this file, and they overrule the configuration. Quotes around them
# all go first; of those within xargs makes words, as systemd does.
OPTIONS = (
    "o=$(sed -n 's/^[[:space:]]*SSHD_OPTS=//p' /etc/default/ssh 2>/dev/null | tail -n 1"
    """ | sed 's/^\\(["\\x27]\\)\\(.*\\)\\1[[:space:]]*$/\\2/')"""
)
# Without the address and port that are come to, a Match block on these would count as not met.
SAY = "xargs sshd -T -C user=%s -C host=%s -C addr=%s -C laddr=%s -C lport=22"
ASK = f"""{OPTIONS} && printf '%%s' "$o" | {SAY}"""
NEXT = "--"
SSH = 22
# Debian's sshd is linked with libwrap; since OpenSSH 9.8 a part of it asks.
ASKS_WRAPPERS = 'cat "$(command -v sshd)" /usr/lib/openssh/sshd-session 2>/dev/null | grep -qF libwrap.so'
# What libwrap finds for an address: the name that leads back to it, or one of its two words where there is none.
NAME = (
    'a=%s; n=$(timeout 10 getent hosts "$a") || [ $? = 2 ] || exit 9; set -- $n; n=${2:-unknown}; '
    'if [ "$n" != unknown ]; then l=$(timeout 10 getent ahostsv4 "$n") || [ $? = 2 ] || exit 9; set -- $l; '
    '{ [ "${3-}" = "$n" ] && echo "$l" | cut -d" " -f1 | grep -qxF "$a"; } || n=paranoid; fi; echo "$a $n"'
)
Settings = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Door:
    """What sshd would do for the login user who comes from one peer, so that lists and Match blocks count.

    `barrier` is the line of tcp wrappers that keeps him out now, or the setting of sshd's that does once it is loaded
    (empty: none does).
    """

    public_keys: str
    keys_files: tuple[str, ...]
    passwords: str
    barrier: str = ""


@dataclass(frozen=True)
class Sshd:
    """The complaint of sshd about its files, or else its door for each peer by name; and the files that say so."""

    complaint: str
    doors: dict[str, Door]
    files: dict[str, File]


def look_at_sshd(node: NodeAccess, user: str, files: dict[str, File], wrapped: Sequence[Rule] = ()) -> Sshd:
    """Ask as for a login of this user from each peer (`sshd -T`): a list may let in one peer and keep out another.

    `wrapped` are the lines by which tcp wrappers may keep a peer out before sshd says a word.
    """
    addresses = {peer: str(node.cluster.address(peer)) for peer in peers(node.name, node.cluster)}
    # Unless it is told to look names up, sshd knows who comes by his address only, also where a list names a host.
    hosts = addresses
    complaint, found = _ask(node, user, hosts, addresses)
    if any("yes" in said.get("usedns", ()) for said in found.values()):
        hosts = {peer: called(peer, node.cluster) for peer in addresses}
        complaint, found = _ask(node, user, hosts, addresses)
    if complaint:
        return Sshd(complaint, {}, files)
    # With a name: without one it tells of this session, which may be older than its user's last group.
    groups = node.ask("id -Gn %s", user).split()
    shut = _ask_wrappers(node, wrapped, addresses) if wrapped else {}
    ports = {SSH, node.cluster.ssh.port} if node.is_controller else {SSH}
    deaf = deafness(next(iter(found.values())), str(node.cluster.address(node.name)), ports)
    doors = {
        peer: _door(said, shut.get(peer) or barrier(said, user, groups, hosts[peer], addresses[peer]) or deaf)
        for peer, said in found.items()
    }
    return Sshd("", doors, files)


def _ask_wrappers(node: NodeAccess, wrapped: Sequence[Rule], addresses: Mapping[str, str]) -> dict[str, str]:
    """The line of tcp wrappers that keeps each peer out; nobody, where this sshd does not ask them."""
    if not node.test(ASKS_WRAPPERS, root=True):
        return {}
    told = node.ask("; ".join(NAME for _ in addresses), *addresses.values()).splitlines()
    names = dict(line.split(" ", 1) for line in told)
    clients = {peer: tcp_wrappers.Client(address, names[address]) for peer, address in addresses.items()}
    try:
        return {peer: tcp_wrappers.barrier(wrapped, client) for peer, client in clients.items()}
    except ObservationError as error:
        raise ObservationError(f"{node.name}: {error}; so nobody logs in there to try") from error


def _ask(
    node: NodeAccess, user: str, hosts: Mapping[str, str], addresses: Mapping[str, str]
) -> tuple[str, dict[str, Settings]]:
    """The complaint, or the settings for each peer; all in one round trip."""
    own = str(node.cluster.address(node.name))
    words = [word for peer in addresses for word in (user, hosts[peer], addresses[peer], own)]
    code, out, err = node.run(f" && echo {NEXT} && ".join(ASK for _ in addresses), *words, root=True)
    if code:
        return err.strip().partition("\n")[0][:200] or f"exit {code}", {}
    return "", dict(zip(addresses, map(ssh_g.settings, out.split(f"\n{NEXT}\n")), strict=True))


def _door(said: Settings, keeps_out: str) -> Door:
    return Door(
        ssh_g.one(said, "pubkeyauthentication"), tuple(ssh_g.one(said, "authorizedkeysfile").split()),
        ssh_g.one(said, "passwordauthentication"), keeps_out,
    )  # fmt: skip
