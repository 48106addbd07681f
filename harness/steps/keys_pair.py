"""Part of step `keys`: each machine has a key pair of its own that needs no passphrase; pure.

A private key is never deleted, replaced or copied: what is missing is made beside what is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Action, Run, Write
from harness.model import Check
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.steps.keys_state import Pair, State

KIND = "ed25519"
FOLDER_MODE = 0o700


def make_folder(name: str, state: State) -> tuple[Action, ...]:
    """~/.ssh for its user alone; nothing where there is one."""
    if state.folder in state.rights:
        return ()
    argv = ("install", "-d", "-m", f"{FOLDER_MODE:o}", "-o", state.user, "-g", state.group, "--", state.folder)
    return (Run(name, argv, f"have {state.folder}, for {state.user} alone"),)


def judge_pairs(name: str, state: State) -> Iterator[Check]:
    """That there is a pair that ssh can use, that only its user may read it, and that both halves belong together."""
    for pair in state.pairs:
        yield _judge_rights(name, state, pair)
        if pair.public:
            yield _judge_public(name, state, pair)
    sound = [pair for pair in state.pairs if pair.public]
    has_spare = not any(pair.name == f"id_{KIND}" for pair in state.pairs)
    make = _make_pair(name, state) if has_spare else ()
    yield expect(
        name, "key pair without passphrase", want="there",
        seen="there" if sound else "only with a passphrase, or broken" if state.pairs else "none", fix=make,
        by_hand=f"make one in another file than id_{KIND}, which is not touched, and name it in ~/.ssh/config",
    )  # fmt: skip
    kinds = [pair.name.removeprefix("id_") for pair in sound]
    yield expect(
        name, "kind of key", want=KIND, seen=KIND if KIND in kinds else ", ".join(kinds) or "none", level="advice",
        fix=make, by_hand=f"take the passphrase off id_{KIND}: ssh-keygen -p",
    )  # fmt: skip


def judge_own(name: str, seen: Mapping[str, State]) -> Check:
    """That no other machine has its key, as a copied card does: whoever takes one machine has taken both."""
    mine = {key.blob for key in seen[name].own_keys.values()}
    others = [
        other for other, state in seen.items()
        if other != name and not mine.isdisjoint(key.blob for key in state.own_keys.values())
    ]  # fmt: skip
    return expect(
        name, "key pair is its own", want="yes", seen=f"no: {', '.join(others)} has it, too" if others else "yes",
        by_hand="on all but one of them move ~/.ssh/id_* aside; `pytest --repair` makes a pair and hands it out",
    )  # fmt: skip


def _judge_rights(name: str, state: State, pair: Pair) -> Check:
    want, path = f"mode 600, owner {state.user}", f"{state.folder}/{pair.name}"
    is_private = pair.rights.owner == state.user and not pair.rights.mode & 0o077
    why = f"let only {state.user} read {pair.name}"
    fix = (Run(name, ("chown", state.user, "--", path), why), Run(name, ("chmod", "600", "--", path), why))
    seen = want if is_private else str(pair.rights)
    return expect(name, f"rights of {pair.name}", want=want, seen=seen, fix=fix)


def _judge_public(name: str, state: State, pair: Pair) -> Check:
    key, before = pair.public, pair.written.content if pair.written else None
    words = (key.kind, key.blob, key.comment or f"{state.user}@{name}") if key else ()
    after = f"{' '.join(words)}\n".encode()
    path, why = f"{state.folder}/{pair.name}.pub", "the public half of the private key beside it"
    owner = f"{state.user}:{state.group}"
    fix = (Write(name, path, before, after, why, None if before is not None else 0o644, owner),)
    seen = "the same key" if pair.is_matched else "another key" if before is not None else "no such file"
    return expect(name, f"{pair.name}.pub belongs to {pair.name}", want="the same key", seen=seen, fix=fix)


def _make_pair(name: str, state: State) -> tuple[Action, ...]:
    # Without a terminal ssh-keygen refuses to overwrite a file, so not even a race could replace a key.
    argv = ("ssh-keygen", "-q", "-t", KIND, "-N", "", "-C", f"{state.user}@{name}", "-f", f"{state.folder}/id_{KIND}")
    make = Run(name, ("runuser", "-u", state.user, "--", *argv), "make a key pair of this machine's own")
    return (*make_folder(name, state), make)
