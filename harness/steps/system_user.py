"""Part of step `system`: the user that the imager makes, with shell, home and groups (runbook L55)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.errors import ObservationError
from harness.model import Check
from harness.parse.account import Account, account, login_shells
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.inventory import Os
    from harness.node import NodeAccess

SHELL = "/bin/bash"
SHELLS = "/etc/shells"
# What getusershell(3) takes where there is no list.
DEFAULT_SHELLS = ("/bin/sh", "/bin/csh")
NO_SUCH_KEY = 2  # getent(1)


@dataclass(frozen=True)
class User:
    """An account, the names of its groups, the owner of its home, and the shells one may log in with.

    `home_owner` is a user number, None where there is no such directory.
    """

    account: Account
    groups: tuple[str, ...]
    home_owner: int | None
    shells: tuple[str, ...]


def observe_user(node: NodeAccess) -> User | None:
    """Ask the user database; None where it has no such user."""
    name = node.cluster.os.user
    # As root: to whom the file may not be read there seems to be no user.
    code, out, err = node.run("getent passwd %s", name, root=True)
    if code == NO_SUCH_KEY:
        return None
    if code:
        raise ObservationError(f"{node.name}: `getent passwd {name}` gave exit {code}: {err.strip()[:200]}")
    found = account(out)
    groups = tuple(node.ask("id -nG -- %s", name, root=True).split())
    has_home = node.test("test -d %s", found.home, root=True)
    owner = int(node.ask("stat -L -c %s -- %s", "%u", found.home, root=True)) if has_home else None
    shells = node.files(SHELLS).get(SHELLS)
    listed = login_shells(shells.content.decode(errors="replace")) if shells else DEFAULT_SHELLS
    return User(found, groups, owner, listed)


def judge_user(name: str, user: User | None, wish: Os) -> Iterator[Check]:
    """That he is there; then his shell, his home and his groups."""
    who = wish.user
    make = ("useradd", "--create-home", "--shell", SHELL, "--groups", ",".join(wish.groups), who)
    why = f"make the user {who}; he has no password yet"
    seen = "there" if user else "no such user"
    yield expect(name, f"user {who}", want="there", seen=seen, fix=(Run(name, make, why),))
    if user is None:
        return
    is_listed = user.account.shell in user.shells
    yield expect(
        name, f"shell of {who}", want=f"one of {SHELLS}", seen=f"one of {SHELLS}" if is_listed else user.account.shell,
        fix=(Run(name, ("usermod", "--shell", SHELL, who), f"give {who} a shell to log in with"),),
    )  # fmt: skip
    yield from _judge_home(name, user, who)
    for group in wish.groups:
        fix = (
            Run(name, ("groupadd", "--force", "--system", group), f"have a group {group}"),
            Run(name, ("usermod", "--append", "--groups", group, who), f"put {who} into group {group}"),
        )
        seen = "yes" if group in user.groups else f"only {', '.join(user.groups)}"
        yield expect(name, f"{who} is in group {group}", want="yes", seen=seen, fix=fix)


def _judge_home(name: str, user: User, who: str) -> Iterator[Check]:
    home, number = user.account.home, f"{user.account.uid}:{user.account.gid}"
    yield expect(
        name, f"home of {who}", want=f"/home/{who}", seen=home,
        by_hand=f"`sudo usermod -d /home/{who} {who}` while {who} is not logged in, and move his files there",
    )  # fmt: skip
    make = ("install", "-d", "-m", "755", "-o", str(user.account.uid), "-g", str(user.account.gid), home)
    mend = (
        Run(name, make, f"make {home}") if user.home_owner is None
        else Run(name, ("chown", "--", number, home), f"give {home} back to {who}")
    )  # fmt: skip
    is_his = user.home_owner == user.account.uid
    yield expect(
        name, f"{who} owns his home", want="yes", seen="yes" if is_his else _owner(user.home_owner),
        # Where the account's home is somewhere else (/root, even /), nothing there is made his.
        fix=(mend,) if home == f"/home/{who}" else (), by_hand="see the aspect above: first his home has to be right",
    )  # fmt: skip


def _owner(number: int | None) -> str:
    return "no such directory" if number is None else f"it belongs to user number {number}"
