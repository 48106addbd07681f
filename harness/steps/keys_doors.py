"""Part of step `keys`: what sshd would do for the login user, asked for each peer that comes; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.node import File
from harness.parse import ssh_g
from harness.parse.sshd_access import barrier
from harness.steps.keys_trust import called, peers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.node import NodeAccess

# Without the address and port that are come to, a Match block on these would count as not met.
ASK = "sshd -T -C user=%s -C host=%s -C addr=%s -C laddr=%s -C lport=22"
NEXT = "--"
Settings = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Door:
    """What sshd would do for the login user who comes from one peer, so that lists and Match blocks count.

    `barrier` is the list that keeps him out after the next reload (empty: none does).
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


def look_at_sshd(node: NodeAccess, user: str, files: dict[str, File]) -> Sshd:
    """Ask as for a login of this user from each peer (`sshd -T`): a list may let in one peer and keep out another."""
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
    doors = {
        peer: _door(said, barrier(said, user, groups, hosts[peer], addresses[peer])) for peer, said in found.items()
    }
    return Sshd("", doors, files)


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
