"""Step `ssh_config`: on the controller `ssh piN` means node N and its user (runbook L133-159)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Action, Run, Write
from harness.model import Check
from harness.node import File
from harness.parse import ssh_config, ssh_g
from harness.step import LookFrom, expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("hosts",)
LOOK_FROM: LookFrom = "controller"
MODE = 0o600
WHO = 'id -un; id -gn; printf "%s\\n" "$HOME"'
# ssh has a default for everything, so it alone cannot tell whether the file says so: words that nobody would write,
# read after the file, come out where it is silent.
UNSAID = "not-said.invalid"
SAID = f'{{ cat -- %s; printf "\\nHost *\\n Hostname {UNSAID}\\n User {UNSAID}\\n"; }} | ssh -G -F /dev/stdin %s'


@dataclass(frozen=True)
class Meaning:
    """What ssh makes of one alias: in force (`ssh -G`), and by the file alone (UNSAID where it is silent)."""

    hostname: str
    user: str
    said_hostname: str
    said_user: str


@dataclass(frozen=True)
class State:
    """The login user's ~/.ssh/config, what ssh makes of it, and its complaint where it refuses to read it."""

    user: str
    group: str
    home: str
    file: File | None
    meanings: dict[str, Meaning]
    complaint: str = ""

    @property
    def path(self) -> str:
        """Where the file is, or would be."""
        return f"{self.home}/.ssh/config"


def observe(node: NodeAccess) -> State:
    """Read the file, and ask ssh itself what each alias means."""
    user, group, home = node.ask(WHO).splitlines()
    path = f"{home}/.ssh/config"
    file = node.files(path).get(path)
    meanings: dict[str, Meaning] = {}
    for alias in (each.alias for each in node.cluster.nodes):
        code, out, err = node.run("ssh -G %s", alias)
        if code:
            return State(user, group, home, file, {}, err.strip() or f"`ssh -G {alias}` gave exit {code}")
        meanings[alias] = _meaning(node, path if file else "", alias, out)
    return State(user, group, home, file, meanings)


def _meaning(node: NodeAccess, path: str, alias: str, text: str) -> Meaning:
    in_force = ssh_g.settings(text)
    said = ssh_g.settings(node.ask(SAID, path, alias)) if path else {}
    words = [ssh_g.one(in_force, keyword) for keyword in ("hostname", "user")]
    return Meaning(*words, *(ssh_g.one(said, keyword) if said else UNSAID for keyword in ("hostname", "user")))


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """The file itself on the controller, and each node's two words under that node."""
    for name, state in seen.items():
        fix = _fix(name, state, cluster)
        yield expect(name, "~/.ssh/config is there", want="yes", seen="yes" if state.file else "no", fix=fix)
        if state.file:
            want = f"mode {MODE:o}, owner {state.user}"
            seen_rights = f"mode {state.file.mode:o}, owner {state.file.owner.partition(':')[0]}"
            yield expect(name, "rights of ~/.ssh/config", want=want, seen=seen_rights, fix=fix)
        yield expect(
            name, "ssh reads its configuration", want="yes", seen=state.complaint.partition("\n")[0][:200] or "yes",
            fix=fix, by_hand="correct the line that ssh names, or the rights of that file",
        )  # fmt: skip
        for node in cluster.nodes:
            for aspect, want, found in _words(node.alias, state, cluster):
                hint = f"see `ssh -G {node.alias}` on {name}"
                yield expect(node.name, aspect, want=want, seen=found, fix=fix, by_hand=hint)


def _words(alias: str, state: State, cluster: Cluster) -> Iterator[tuple[str, str, str]]:
    """Aspect, want and seen of Hostname and User; nothing is known of them while ssh refuses the file."""
    found = state.meanings.get(alias)
    wanted = _wanted(alias, cluster)
    if found is None:
        yield from ((f"{word} of {alias}", want, "ssh cannot read its configuration") for word, want in wanted.items())
        return
    in_force = {"Hostname": (found.hostname, found.said_hostname), "User": (found.user, found.said_user)}
    for word, want in wanted.items():
        value, said = in_force[word]
        # Right by a default is not as documented: the runbook has the file say it.
        yield f"{word} of {alias}", want, "not set" if said == UNSAID and value == want else value


def _wanted(alias: str, cluster: Cluster) -> dict[str, str]:
    return {"Hostname": alias, "User": cluster.ssh.user}


def _fix(name: str, state: State, cluster: Cluster) -> tuple[Action, ...]:
    """One write for everything: a second one would find the file changed since it was looked at."""
    before = state.file.content if state.file else b""
    wrong = {
        node.alias: _wanted(node.alias, cluster) for node in cluster.nodes
        if state.meanings and any(want != found for _, want, found in _words(node.alias, state, cluster))
    }  # fmt: skip
    after = ssh_config.ensure(ssh_config.without_errors(before, state.complaint, state.path), wrong)
    mode = None if state.file and state.file.mode == MODE else MODE
    owner = None if state.file and state.file.owner.startswith(f"{state.user}:") else f"{state.user}:{state.group}"
    if state.file and after == before and mode is None and owner is None:
        return ()
    folder = f"{state.home}/.ssh"
    make = Run(
        name, ("sh", "-c", '[ -d "$1" ] || install -d -m 700 -o "$2" -g "$3" -- "$1"', "sh", folder, state.user,
        state.group), f"have {folder}, for {state.user} alone",
    )  # fmt: skip
    write = Write(
        name, state.path, state.file.content if state.file else None, after, "say what the aliases mean", mode, owner
    )
    return (write,) if state.file else (make, write)
