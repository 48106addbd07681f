"""Part of step `keys`: what one look sees on one machine, and how it is asked; never a private key or password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.node import File
from harness.parse import authorized_keys, tcp_wrappers
from harness.parse.authorized_keys import Key
from harness.steps.keys_doors import Sshd, look_at_sshd

if TYPE_CHECKING:
    from harness.node import NodeAccess

WHO = 'id -un; id -gn; printf "%s\\n" "$HOME"'
# In the order in which ssh offers them (ssh_config(5), IdentityFile); a key on a token cannot log in unattended.
PAIRS = ("id_rsa", "id_ecdsa", "id_ed25519")
BEST = ("id_ed25519", "id_ecdsa", "id_rsa")
HOST_KEY = "/etc/ssh/ssh_host_"
HOST_KEYS = f"{HOST_KEY}*_key.pub"
SSHD_FILE = "/etc/ssh/sshd_config"
SSHD_FOLDER = "/etc/ssh/sshd_config.d"
RIGHTS = (
    f'for f in %s %s %s %s %s {HOST_KEY}*_key; do [ ! -e "$f" ] || stat -L -c "%%a %%U %%n" -- "$f" || exit 9; done'
)
# What public key a private one has, as ssh-keygen computes it: with no passphrase, or not at all. Of sshd's own, too:
# sshd proves who it is by the private one, and a file beside it may be of another.
PUBLIC = (
    f"for f in %s %s %s {HOST_KEY}*_key; do "
    '[ ! -e "$f" ] || printf "%%s %%s\\n" "$f" "$(ssh-keygen -y -P "" -f "$f" 2>/dev/null)"; done'
)


@dataclass(frozen=True)
class Rights:
    """Permission bits and owning user of a file or folder."""

    mode: int
    owner: str

    def __str__(self) -> str:
        return f"mode {self.mode:o}, owner {self.owner}"

    def keeps_others_out_of_writing(self, user: str) -> bool:
        """What sshd demands of the way to authorized_keys (sshd_config(5), StrictModes)."""
        return self.owner in {user, "root"} and not self.mode & 0o022


@dataclass(frozen=True)
class Pair:
    """A private key file: its rights, its public key as computed (None: it needs a passphrase or is broken).

    `written` is the content of the .pub file beside it.
    """

    name: str
    rights: Rights
    public: Key | None
    written: File | None

    @property
    def is_matched(self) -> bool:
        """Whether the .pub file is that of the private key; ssh offers what the .pub file says."""
        said = authorized_keys.keys(self.written.content) if self.written else ()
        return self.public is not None and [key.blob for key in said] == [self.public.blob]

    def is_usable(self, user: str) -> bool:
        """Whether ssh would log in with it and ask nothing."""
        is_private = self.rights.owner == user and not self.rights.mode & 0o077
        return is_private and self.public is not None and (self.is_matched or self.written is None)


@dataclass(frozen=True)
class Login:
    """What `ssh NAME hostname` gave: its exit code, and the host name; where it failed, its last line."""

    code: int
    words: str


@dataclass(frozen=True)
class State:
    """Keys, trust and rights of one machine's login user; also the rights of sshd's own private keys.

    `by_key` says that the harness itself came in by a key. `logins` are the live ones that were tried from here,
    by the name that ssh was given: only those that had to work.
    """

    user: str
    group: str
    home: str
    rights: dict[str, Rights]
    pairs: tuple[Pair, ...]
    authorized: File | None
    known: File | None
    host_keys: dict[str, File]
    sshd: Sshd
    by_key: bool
    logins: dict[str, Login] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """~/.ssh."""
        return f"{self.home}/.ssh"

    @property
    def own_keys(self) -> dict[str, Key]:
        """The public keys of the pairs that need no passphrase, by file name; the one to hand out first."""
        found = {pair.name: pair.public for pair in self.pairs if pair.public}
        return {name: found[name] for name in BEST if name in found}

    @property
    def usable_keys(self) -> tuple[Key, ...]:
        """Those of them that ssh would use as the files lie there now."""
        return tuple(pair.public for pair in self.pairs if pair.public and pair.is_usable(self.user))

    @property
    def own_host_keys(self) -> dict[str, str]:
        """The base64 texts of the machine's own host keys, and the .pub line of each; the one to learn first."""
        found = {}
        for file in self.host_keys.values():
            for key in authorized_keys.keys(file.content):
                found[key.blob] = f"{key.kind} {key.blob}"
        return dict(sorted(found.items(), key=lambda item: not item[1].startswith("ssh-ed25519 ")))


def look(node: NodeAccess) -> State:
    """Everything that one machine can say of itself."""
    user, group, home = node.ask(WHO).splitlines()
    folder = f"{home}/.ssh"
    paths = [f"{folder}/{name}" for name in PAIRS]
    files = node.files(
        f"{folder}/authorized_keys", f"{folder}/known_hosts", f"{folder}/id_*.pub", HOST_KEYS,
        SSHD_FILE, f"{SSHD_FOLDER}/*.conf", tcp_wrappers.ALLOW, tcp_wrappers.DENY,
    )  # fmt: skip
    rights = _rights(node.ask(RIGHTS, home, folder, *paths, root=True))
    public = dict(line.partition(" ")[::2] for line in node.ask(PUBLIC, *paths, root=True).splitlines())
    host_keys = proved_keys(files, public)
    if not any(authorized_keys.keys(file.content) for file in host_keys.values()):
        raise ObservationError(f"{node.name}: {HOST_KEYS} gives no public key, so nobody can know this machine")
    pairs = tuple(
        Pair(path.rpartition("/")[2], rights[path], _key(public[path]), files.get(f"{path}.pub"))
        for path in paths if path in rights
    )  # fmt: skip
    settings = {path: file for path, file in files.items() if path == SSHD_FILE or path.startswith(SSHD_FOLDER)}
    wrapped = tcp_wrappers.rules({path: file.content for path, file in files.items()})
    return State(
        user, group, home, {path: one for path, one in rights.items() if path not in paths}, pairs,
        files.get(f"{folder}/authorized_keys"), files.get(f"{folder}/known_hosts"), host_keys,
        look_at_sshd(node, user, settings, wrapped), node.by_key,
    )  # fmt: skip


def proved_keys(files: dict[str, File], public: dict[str, str]) -> dict[str, File]:
    """Sshd's own keys as .pub files have them: those of its private keys, or all where none of these can be read."""
    written = {path: file for path, file in files.items() if path.startswith(HOST_KEY)}
    proved = {f"{path}.pub": key for path, line in public.items() if path.startswith(HOST_KEY) and (key := _key(line))}
    if not proved:
        return written
    found = {}
    for path, key in proved.items():
        file = written.get(path)
        is_own = file is not None and [one.blob for one in authorized_keys.keys(file.content)] == [key.blob]
        found[path] = file if file and is_own else File(f"{key.kind} {key.blob}\n".encode(), 0o644, "root:root")
    return found


def _rights(text: str) -> dict[str, Rights]:
    lines = (line.split(" ", 2) for line in text.splitlines())
    return {path: Rights(int(mode, 8), owner) for mode, owner, path in lines}


def _key(line: str) -> Key | None:
    return next(iter(authorized_keys.keys(line.encode())), None)
