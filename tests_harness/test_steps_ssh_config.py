"""Step `ssh_config`: what ssh makes of the controller's file, and one write that mends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.actions import Run, Write
from harness.node import File
from harness.steps import ssh_config
from harness.steps.ssh_config import UNSAID, Meaning, State
from tests_harness.fakes_cluster import differences
from tests_harness.fakes_keys import CLUSTER, CONFIG, HUB, good_ssh_config

if TYPE_CHECKING:
    from harness.actions import Action
    from harness.model import Check

GOOD = good_ssh_config()[HUB]
WORDS = {
    (node.name, f"{word} of {node.alias}"): ("write",) for node in CLUSTER.nodes for word in ("Hostname", "User")
}  # fmt: skip
BAD_LINE = "/home/pi/.ssh/config: line 4: Bad configuration option: hosst\n/home/pi/.ssh/config: terminating, 1 bad …"


def judge(state: State) -> list[Check]:
    return list(ssh_config.judge({HUB: state}, CLUSTER))


def fixes(state: State) -> list[Action]:
    return list(dict.fromkeys(action for check in judge(state) if not check.holds for action in check.fix))


def with_file(content: bytes = CONFIG, mode: int = 0o600, owner: str = "pi:pi") -> State:
    return replace(GOOD, file=File(content, mode, owner))


def with_meaning(state: State, alias: str, *words: str) -> State:
    return replace(state, meanings={**state.meanings, alias: Meaning(*words)})


def test_a_good_file_holds_and_every_machine_is_compared() -> None:
    checks = judge(GOOD)
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)


@pytest.mark.parametrize(
    ("state", "differing"),
    [
        pytest.param(with_file(mode=0o644), {(HUB, "rights of ~/.ssh/config"): ("write",)}, id="mode"),
        pytest.param(with_file(owner="root:root"), {(HUB, "rights of ~/.ssh/config"): ("write",)}, id="owner"),
        pytest.param(
            with_meaning(with_file(CONFIG.replace(b"Hostname pi2", b"Hostname pi3")), "pi2", "pi3", "pi", "pi3", "pi"),
            {("p2", "Hostname of pi2"): ("write",)}, id="another machine",
        ),
        pytest.param(
            with_meaning(with_file(CONFIG[:-3] + b"dev\n"), "pi4", "pi4", "dev", "pi4", "dev"),
            {("p4", "User of pi4"): ("write",)}, id="another user",
        ),
        pytest.param(
            with_meaning(with_file(CONFIG[:-35]), "pi4", "pi4", "pi", UNSAID, UNSAID),
            {("p4", "Hostname of pi4"): ("write",), ("p4", "User of pi4"): ("write",)}, id="right by default only",
        ),
        pytest.param(
            replace(with_file(CONFIG.replace(b"Host pi2", b"Hosst pi2")), complaint=BAD_LINE, meanings={}),
            {(HUB, "ssh reads its configuration"): ("write",), **WORDS}, id="syntax error",
        ),
        pytest.param(
            replace(GOOD, complaint="Bad owner or permissions on /home/pi/.ssh/config", meanings={},
                    file=File(CONFIG, 0o664, "pi:pi")),
            {(HUB, "ssh reads its configuration"): ("write",), (HUB, "rights of ~/.ssh/config"): ("write",), **WORDS},
            id="ssh refuses the rights",
        ),
        pytest.param(
            replace(GOOD, complaint="/etc/ssh/ssh_config: line 3: Bad configuration option: x", meanings={}),
            {(HUB, "ssh reads its configuration"): (), **dict.fromkeys(WORDS, ())}, id="an error in another file",
        ),
    ],
)  # fmt: skip
def test_a_fault_differs_exactly_there(state: State, differing: dict[tuple[str, str], tuple[str, ...]]) -> None:
    assert differences(judge(state)) == differing
    assert len(fixes(state)) == len({kind for kinds in differing.values() for kind in kinds}), "one write for all"


def test_a_missing_file_is_made_as_the_runbook_shows_it() -> None:
    meanings = {node.alias: Meaning(node.alias, "pi", UNSAID, UNSAID) for node in CLUSTER.nodes}
    make, write = fixes(replace(GOOD, file=None, meanings=meanings))
    assert isinstance(make, Run)
    assert write == Write(
        HUB, "/home/pi/.ssh/config", None, CONFIG, "say what the aliases mean", 0o600, "pi:pi"
    )  # fmt: skip


def test_only_what_is_wrong_changes() -> None:
    mine = b"# mine\nHost github.com\n    User git\n"
    broken = with_meaning(
        with_file(mine + CONFIG.replace(b"Hostname pi2", b"Hostname pi3")), "pi2", "pi3", "pi", "pi3", "pi"
    )
    (write,) = fixes(broken)
    assert isinstance(write, Write)
    assert write.after == mine + CONFIG
    assert (write.mode, write.owner) == (None, None)


def test_the_line_that_ssh_names_becomes_a_comment_and_no_other() -> None:
    state = replace(GOOD, complaint=BAD_LINE, meanings={}, file=File(b"a 1\nb 2\nc 3\nHosst x\nd 4\n", 0o600, "pi:pi"))
    (write,) = fixes(state)
    assert isinstance(write, Write)
    assert write.after == b"a 1\nb 2\nc 3\n# Hosst x\nd 4\n"
