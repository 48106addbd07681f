"""Part of step `keys`: sshd takes public keys, and passwords no longer than they are needed; pure.

Every change of sshd's configuration is the guarded one: it is kept only if a new login works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Run, WriteSshd
from harness.model import Check
from harness.parse import sshd_config, tcp_wrappers
from harness.step import expect
from harness.steps.keys_state import HOST_KEY, SSHD_FILE, SSHD_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.steps.keys_doors import Door, Sshd
    from harness.steps.keys_state import State

# Sorts before the drop-ins of others, and sshd takes the first value that it meets.
DROP_IN = f"{SSHD_FOLDER}/00-clusterhat.conf"
USUAL = ".ssh/authorized_keys"
PUBLIC_KEYS, KEYS_FILE, PASSWORDS = "PubkeyAuthentication", "AuthorizedKeysFile", "PasswordAuthentication"


def takes_keys(door: Door, home: str) -> bool:
    """Whether sshd accepts public keys that stand in ~/.ssh/authorized_keys."""
    return door.public_keys == "yes" and _reads_usual(door, home)


def judge_sshd(name: str, state: State) -> Iterator[Check]:
    """Its own keys, and the effective configuration for the login user coming from each peer."""
    sshd = state.sshd
    own = {path: rights for path, rights in state.rights.items() if path.startswith(HOST_KEY)}
    open_ones = [path for path, rights in own.items() if rights.mode & 0o077]
    yield expect(
        name, "sshd alone reads its host keys", want="yes",
        seen=", ".join(f"{path} has {own[path]}" for path in open_ones) or "yes",
        fix=tuple(Run(name, ("chmod", "600", "--", path), "let sshd use its own key again") for path in open_ones),
    )  # fmt: skip
    yield expect(
        name, "sshd understands its configuration", want="yes", seen=sshd.complaint or "yes",
        by_hand="correct that line (sshd -t), or the next restart of sshd locks everybody out",
    )  # fmt: skip
    if sshd.complaint:
        return
    doors = sshd.doors
    entry = {peer: f"no: {door.barrier}" if door.barrier else "yes" for peer, door in doors.items()}
    yield expect(
        name, f"sshd lets {state.user} in", want="yes", seen=_by_peer(entry),
        by_hand=_let_in(doors.values()),
    )  # fmt: skip
    wanted = _wanted(state)
    fix = (_write(name, sshd, wanted, "let sshd accept public keys"),) if wanted else ()
    accepts = {peer: door.public_keys for peer, door in doors.items()}
    yield expect(name, "sshd accepts public keys", want="yes", seen=_by_peer(accepts), fix=fix)
    reads = {
        peer: USUAL if _reads_usual(door, state.home) else " ".join(door.keys_files) for peer, door in doors.items()
    }
    yield expect(name, "sshd reads the keys in", want=USUAL, seen=_by_peer(reads), fix=fix)


def _let_in(doors: Iterable[Door]) -> str:
    if any(tcp_wrappers.DENY in door.barrier or tcp_wrappers.ALLOW in door.barrier for door in doors):
        # Somebody's policy, which counts at once: not ours to change.
        return f"take the cluster out of that line, or let it in by {tcp_wrappers.ALLOW}, which is asked first"
    return "correct that setting before sshd is loaded again, or nobody comes in any more; see `sshd -T`"


def judge_passwords(name: str, state: State, *, logins_work: bool) -> Iterator[Check]:
    """Advice: no passwords any more, once nobody needs them; the harness is somebody, too."""
    if state.sshd.complaint:
        return
    fix = (_write(name, state.sshd, {PASSWORDS: "no"}, "keys work, so nobody needs to guess a password"),)
    reason = "first let every login by key work (the other aspects of this step)"
    if logins_work:
        reason = "this run itself came in by a password: put your own key there first (ssh-copy-id), then look again"
    yield expect(
        name, PASSWORDS, want="no", level="advice",
        seen=_by_peer({peer: door.passwords for peer, door in state.sshd.doors.items()}),
        fix=fix if logins_work and state.by_key else (), by_hand=reason,
    )  # fmt: skip


def _wanted(state: State) -> dict[str, str]:
    """What must be set, in one change: a second one would find the file changed since it was looked at."""
    doors = state.sshd.doors.values()
    wanted = {} if all(door.public_keys == "yes" for door in doors) else {PUBLIC_KEYS: "yes"}
    if not all(_reads_usual(door, state.home) for door in doors):
        # Whoever logs in by a key in another file goes on to do so.
        others = dict.fromkeys(path for door in doors for path in door.keys_files if path not in {"none", USUAL})
        wanted[KEYS_FILE] = " ".join((USUAL, *others))
    return wanted


def _reads_usual(door: Door, home: str) -> bool:
    return bool({USUAL, f"%h/{USUAL}", f"{home}/{USUAL}"} & set(door.keys_files))


def _by_peer(answers: Mapping[str, str]) -> str:
    """The answer that holds for every peer, or each one with the peers that it holds for."""
    peers_of: dict[str, list[str]] = {}
    for peer, answer in answers.items():
        peers_of.setdefault(answer, []).append(peer)
    if len(peers_of) == 1:
        return next(iter(peers_of))
    return "; ".join(f"from {', '.join(peers)} {answer}" for answer, peers in peers_of.items())


def _write(name: str, sshd: Sshd, wanted: Mapping[str, str], why: str) -> WriteSshd:
    """Into our own drop-in where the main file reads those first, else into the main file itself."""
    main = sshd.files.get(SSHD_FILE)
    in_drop_in = main is not None and sshd_config.has_drop_ins(main.content, SSHD_FOLDER, wanted)
    path = DROP_IN if in_drop_in else SSHD_FILE
    before = sshd.files[path].content if path in sshd.files else None
    return WriteSshd(name, path, before, sshd_config.ensure(before or b"", wanted), why)
