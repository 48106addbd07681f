"""Part of step `keys`: who is let in (authorized_keys) and who is known (known_hosts); pure.

Both rest on what the other machine says of itself over the connection that is trusted already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Action, Run, Write
from harness.model import Check
from harness.parse import authorized_keys, known_hosts
from harness.parse.ssh_patterns import comes_from
from harness.step import expect
from harness.steps.keys_pair import FOLDER_MODE, KIND, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.parse.authorized_keys import Key
    from harness.steps.keys_state import State

FILE_MODE = 0o600
# Options with which a key does not simply log in and run a command (sshd(8)).
NARROW = ("from=", "command=", "expiry-time=", "cert-authority", "principals=", "verify-required")


def peers(name: str, cluster: Cluster) -> tuple[str, ...]:
    """Whom a machine exchanges keys with (runbook L162): the controller all nodes, a node the controller."""
    hub = cluster.controller.name
    return tuple(node.name for node in cluster.nodes) if name == hub else (hub,)


def called(name: str, cluster: Cluster) -> str:
    """What ssh is told to reach a machine: the controller's name, a node's alias (runbook L133-159)."""
    return name if name == cluster.controller.name else cluster.node(name).alias


def lets_in(state: State, key: Key, address: str) -> str:
    """Whether a machine lets a key in that comes from an address: "yes", "no", or the options that narrow it."""
    lines = authorized_keys.keys(state.authorized.content) if state.authorized else ()
    found = [one for one in lines if one.blob == key.blob]
    narrowed = [[option for option in one.options if _is_narrow(option, address)] for one in found]
    if [] in narrowed:
        return "yes"
    return f"only with {', '.join(narrowed[0])[:80]}" if found else "no"


def knows(state: State, name: str, address: str, right: Mapping[str, str]) -> str:
    """Whether a machine knows a peer's host key: "yes", "no", or that it believes in another one."""
    content = state.known.content if state.known else b""
    found = known_hosts.known(content, name)
    wrong = [one for one in (*found, *known_hosts.known(content, address)) if one.is_plain and one.blob not in right]
    if wrong:
        return "another key"
    return "yes" if any(one.blob in right for one in found) else "no"


def judge_folder(name: str, state: State) -> Iterator[Check]:
    """What sshd and ssh demand of the home and of ~/.ssh before they trust what lies there."""
    home, why = state.rights.get(state.home), "or sshd trusts no key that lies below"
    guarded = home is not None and home.keeps_others_out_of_writing(state.user)
    close = (
        Run(name, ("chown", state.user, "--", state.home), why), Run(name, ("chmod", "go-w", "--", state.home), why),
    )  # fmt: skip
    yield expect(name, "home is written by its user only", want="yes", seen="yes" if guarded else str(home),
                 fix=close if home else (), by_hand=f"make {state.home}")  # fmt: skip
    folder, want = state.rights.get(state.folder), f"mode {FOLDER_MODE:o}, owner {state.user}"
    mend: tuple[Action, ...] = make_folder(name, state) or (
        Run(name, ("chown", state.user, "--", state.folder), why),
        Run(name, ("chmod", f"{FOLDER_MODE:o}", "--", state.folder), why),
    )
    yield expect(name, "rights of ~/.ssh", want=want, seen=str(folder or "none"), fix=mend)


def judge_authorized(name: str, seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """The rights of authorized_keys, nothing twice, and for each peer that one of its keys opens the door."""
    state = seen[name]
    fix = _fix_authorized(name, seen, cluster)
    want, file = f"mode {FILE_MODE:o}, owner {state.user}", state.authorized
    rights = f"mode {file.mode:o}, owner {file.owner.partition(':')[0]}" if file else "no such file"
    yield expect(name, "rights of authorized_keys", want=want, seen=rights, fix=fix, by_hand="it comes with a key")
    again = authorized_keys.repeated(file.content) if file else 0
    yield expect(name, "lines of authorized_keys that say nothing new", want=0, seen=again, fix=fix)
    for peer in peers(name, cluster):
        if peer in seen:
            address = str(cluster.address(peer))
            answers = {pair: lets_in(state, key, address) for pair, key in seen[peer].own_keys.items()}
            yield from _judge_peer(name, state, peer, answers, fix)


def _judge_peer(
    name: str, state: State, peer: str, answers: Mapping[str, str], fix: tuple[Action, ...]
) -> Iterator[Check]:
    """One key of the peer is enough; `answers` has each of its key pairs, the best first."""
    best = "yes" if "yes" in answers.values() else next(iter(answers.values()), f"{peer} has no key yet")
    options = f"take the options off that line of {state.folder}/authorized_keys"
    yield expect(
        name, f"lets the key of {peer} in", want="yes", seen=best, fix=fix if best == "no" else (),
        by_hand=options if answers else f"{peer} needs a key pair first",
    )  # fmt: skip
    if best == "yes" and f"id_{KIND}" in answers:
        yield expect(
            name, f"lets the {KIND} key of {peer} in", want="yes", seen=answers[f"id_{KIND}"], level="advice",
            fix=fix if answers[f"id_{KIND}"] == "no" else (), by_hand=options,
        )  # fmt: skip


def _fix_authorized(name: str, seen: Mapping[str, State], cluster: Cluster) -> tuple[Action, ...]:
    """One write for all that is wrong: a second one would find the file changed since it was looked at."""
    state = seen[name]
    before = state.authorized.content if state.authorized else None
    after = authorized_keys.without_repeated(before or b"")
    for peer in peers(name, cluster):
        key = next(iter(seen[peer].own_keys.values()), None) if peer in seen else None
        if key and lets_in(state, key, str(cluster.address(peer))) == "no":
            line = f"{key.kind} {key.blob} {key.comment or f'{seen[peer].user}@{peer}'}"
            after = authorized_keys.with_key(after, line)
    if before is None and not after:
        return ()
    path, why = f"{state.folder}/authorized_keys", "let the peers' keys in"
    owner = f"{state.user}:{state.group}"
    return (*make_folder(name, state), Write(name, path, before, after, why, FILE_MODE, owner))


def judge_known(name: str, seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """For each peer, that this machine knows its host key and no other one."""
    state = seen[name]
    fix = _fix_known(name, seen, cluster)
    if state.known:
        yield expect(name, "owner of known_hosts", want=state.user, seen=state.known.owner.partition(":")[0], fix=fix)
    for peer in peers(name, cluster):
        if peer in seen:
            address, right = str(cluster.address(peer)), seen[peer].own_host_keys
            answer = knows(state, called(peer, cluster), address, right)
            yield expect(name, f"knows the host key of {called(peer, cluster)}", want="yes", seen=answer, fix=fix)


def _fix_known(name: str, seen: Mapping[str, State], cluster: Cluster) -> tuple[Action, ...]:
    """The peers' own keys in place of wrong ones: as their own files say, never as the network says."""
    state = seen[name]
    before = state.known.content if state.known else None
    after = before or b""
    for peer in peers(name, cluster):
        if peer in seen:
            right = seen[peer].own_host_keys
            line = next(iter(right.values()))
            after = known_hosts.ensure(after, called(peer, cluster), right, line)
            after = known_hosts.without(after, str(cluster.address(peer)), right)
    why, mode = "know the peers by their own host keys", None if state.known else FILE_MODE
    write = Write(name, f"{state.folder}/known_hosts", before, after, why, mode, f"{state.user}:{state.group}")
    return (*make_folder(name, state), write)


def _is_narrow(option: str, address: str) -> bool:
    keyword, _, value = option.partition("=")
    if keyword.lower() == "from":
        # A host's name is not relied upon: sshd looks it up only where it is told to.
        return not comes_from(value.strip('"').split(","), address, address)
    return option.lower().startswith(NARROW)
