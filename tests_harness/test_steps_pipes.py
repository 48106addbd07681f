"""Step `pipes`: what each damage looks like, what would mend it, and whose processes are left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.actions import Run, Write
from harness.inventory import Cluster, parse
from harness.node import File
from harness.plan import plan
from harness.steps import pipes
from harness.steps.boot_scripts import PIPES, TEXT, script_of
from harness.steps.pipes_hardened import PROGRAM, SHIPPED_UNIT, UNIT, install, unit_of
from harness.steps.pipes_listeners import LISTEN
from harness.steps.pipes_state import RESULTS, Container, Entry, Listener, Live, Pipe, State, is_web
from tests_harness.fakes_boot import CLUSTER, HUB
from tests_harness.fakes_cluster import differences
from tests_harness.fakes_pipes import (
    BOX,
    folder,
    good_node,
    good_pipe,
    good_pipes,
    hardened,
    hardened_node,
    loop,
)
from tests_harness.pipekit import APP

if TYPE_CHECKING:
    from harness.model import Check

GOOD, NAME = good_node(), PIPES[0]
IS_PIPE, RIGHTS, HEARD = f"{NAME} is a named pipe", f"rights of {NAME}", f"{NAME} is listened to"
ANSWERS, TWO = f"{NAME} answers a container", f"two writers at once into {NAME}"
SAME, BOXED = "appli_serviceweb sees the node's pipes", "a web container has the shared folder"
OF_A_PERSON = Listener("900:1", "pi", "cat /home/pi/webVolume/pipe_module_calcul_pi", "reader", False, ("900:1",))  # noqa: FBT003
ORPHAN = replace(OF_A_PERSON, kind="orphan")
OWN = b"#!/bin/sh\n/my/own pipe_module_calcul_pi\n"


def judge(state: State, cluster: Cluster = CLUSTER) -> list[Check]:
    return list(pipes.judge({"p1": state}, cluster))


def aspects(state: State) -> dict[str, tuple[str, ...]]:
    return {aspect: kinds for (_, aspect), kinds in differences(judge(state)).items()}


def seen(state: State, aspect: str) -> Check:
    return next(check for check in judge(state) if check.aspect == aspect)


def with_pipe(**words: object) -> State:
    """The good node with another first pipe; nothing was tried from the container, for so does the look."""
    pipe = replace(good_pipe(NAME), **({"live": None} | words))  # type: ignore[arg-type]
    return replace(GOOD, pipes=GOOD.pipes | {NAME: pipe})


def with_folder(name: str, entry: Entry | None) -> State:
    entries = {key: value for key, value in GOOD.entries.items() if key != name}
    return replace(GOOD, entries=entries if entry is None else entries | {name: entry})


def argv(state: State, aspect: str) -> tuple[str, ...]:
    """The last action's words, without the program that all have in common."""
    action = seen(state, aspect).fix[-1]
    assert isinstance(action, Run)
    return action.argv


def test_a_good_cluster_holds_on_every_machine() -> None:
    checks = list(pipes.judge(good_pipes(), CLUSTER))
    assert differences(checks) == {}
    assert {check.node for check in checks} == set(CLUSTER.names)


def test_the_hardened_listener_is_as_good_and_leaves_no_advice() -> None:
    assert [check for check in judge(hardened_node()) if not check.holds] == []


def test_a_listener_of_another_release_is_brought_up_to_date_when_advice_is_followed() -> None:
    good = hardened_node()
    older = replace(good.files[PROGRAM], content=b"#!/usr/bin/python3\n")
    (check,) = [check for check in judge(replace(good, files=good.files | {PROGRAM: older})) if not check.holds]
    assert (check.level, check.seen.partition(":")[0]) == ("advice", "those of another release")
    write, *_, restart = check.fix
    assert isinstance(write, Write)
    assert (write.path, isinstance(restart, Run) and restart.argv[1]) == (PROGRAM, "restart")


@pytest.mark.parametrize(
    ("state", "want"),
    [
        pytest.param(with_folder("", None), {"webVolume": ("run",)}, id="no shared folder"),
        pytest.param(with_folder("", folder(0o755, "root:root")), {"webVolume": ("run",)}, id="a folder of root"),
        pytest.param(with_folder("", folder(0o700)), {"webVolume": ("run",)}, id="the container may not enter"),
        pytest.param(with_folder("", folder(kind="link")), {"webVolume": ()}, id="a link in its place"),
        pytest.param(with_folder(RESULTS, None), {RESULTS: ("run",)}, id="no results"),
        pytest.param(with_folder(RESULTS, folder()), {RESULTS: ("run",)}, id="results cannot be taken away"),
        pytest.param(with_folder("repoBashScripts", folder(kind="file")), {"repoBashScripts": ()}, id="a file"),
        pytest.param(with_folder("repoBashScripts", folder(0o777)), {}, id="a folder for all is advice only"),
        pytest.param(with_folder("repoOutputResults", folder(0o1777)), {"repoOutputResults": ("run",)},
                     id="only who made a result may take it away"),
        pytest.param(with_pipe(entry=None, is_heard=False), {IS_PIPE: ("run",), HEARD: ("run",)}, id="deleted"),
        pytest.param(with_pipe(entry=Entry("file", 0o644, "pi:pi", 9), is_heard=False),
                     {IS_PIPE: ("run",), HEARD: ("run",)}, id="a regular file"),
        pytest.param(with_pipe(entry=Entry("pipe", 0o644, "pi:pi", 0)), {RIGHTS: ("run", "run")}, id="as mkfifo does"),
        pytest.param(with_pipe(entry=Entry("pipe", 0o666, "root:root", 0)), {RIGHTS: ("run", "run")}, id="of root"),
        pytest.param(with_pipe(entry=Entry("pipe", 0o620, "pi:www-data", 0)), {}, id="shut is fine for the loop, too"),
        pytest.param(with_pipe(listeners=(), is_heard=False), {HEARD: ("run",)}, id="nobody"),
        pytest.param(with_pipe(listeners=()), {HEARD: ()}, id="somebody who cannot be seen"),
        pytest.param(with_pipe(is_heard=False), {HEARD: ("run",)}, id="it waits on a pipe that is gone"),
        pytest.param(with_pipe(listeners=(replace(loop(), is_stopped=True),)), {HEARD: ("run",)}, id="stopped"),
        pytest.param(with_pipe(listeners=(loop(user="root"),)), {HEARD: ("run",)}, id="it runs as root"),
        pytest.param(with_pipe(listeners=(loop(), loop(pid=710))), {HEARD: ("run",)}, id="two"),
        pytest.param(with_pipe(listeners=(loop(), OF_A_PERSON)), {HEARD: ()}, id="a person's and ours"),
        pytest.param(with_pipe(listeners=(OF_A_PERSON,)), {}, id="one that a person started by hand"),
        pytest.param(with_pipe(listeners=(ORPHAN,)), {HEARD: ("run",)}, id="only the cat of one that is gone"),
        pytest.param(with_pipe(is_heard=False, listeners=(OF_A_PERSON,)), {HEARD: ()}, id="a person's that is deaf"),
        pytest.param(with_pipe(is_heard=False, listeners=(replace(loop(), job="sleep 9999", busy=900),)),
                     {HEARD: ()}, id="busy for ever"),
        pytest.param(replace(GOOD, containers=()), {BOXED: ()}, id="no web container"),
        pytest.param(replace(GOOD, containers=(Container(BOX, "appli_serviceweb", ("", *PIPES)),)), {SAME: ("run",)},
                     id="an orphaned folder"),
        pytest.param(replace(GOOD, containers=(Container(BOX, "", ("", *PIPES)),)),
                     {BOXED: (), f"{BOX[:12]} sees the node's pipes": ()}, id="an orphaned folder of no task"),
        pytest.param(replace(GOOD, containers=(Container(BOX, "appli_serviceweb", (NAME,)),)), {SAME: ()},
                     id="something is mounted over a pipe"),
        pytest.param(with_pipe(live=Live("", (1, 1, 1, 1), 0)), {ANSWERS: ()}, id="no answer"),
        pytest.param(with_pipe(live=Live("", (1, 1, 1, 1), 2)), {ANSWERS: ()}, id="an answer twice"),
        pytest.param(with_pipe(live=Live("", (1, 0, 1, 1), 1)), {TWO: ()}, id="a lost request"),
        pytest.param(with_pipe(live=Live("", (1, 1, 2, 1), 1)), {TWO: ()}, id="one carried out twice"),
        pytest.param(with_pipe(live=Live("Permission denied", (0, 0, 0, 0), 0)), {ANSWERS: (), TWO: ()}, id="refused"),
        pytest.param(with_pipe(entry=Entry("pipe", 0o600, "pi:pi", 0), live=Live("Permission denied", (0,) * 4, 0)),
                     {RIGHTS: ("run", "run")}, id="wrong rights explain the silence"),
        pytest.param(replace(with_pipe(live=Live("Permission denied", (0,) * 4, 0)),
                             entries=GOOD.entries | {RESULTS: folder(0o700)}), {RESULTS: ("run",)},
                     id="and so do wrong folders"),
    ],
)  # fmt: skip
def test_a_damage_differs_exactly_there(state: State, want: dict[str, tuple[str, ...]]) -> None:
    assert aspects(state) == want


@pytest.mark.parametrize(
    ("state", "aspect", "says"),
    [
        (with_pipe(listeners=(), is_heard=False), HEARD, "by nobody"),
        (with_pipe(listeners=(loop(), loop(pid=710))), HEARD, "by 2 that take requests from each other: "),
        (with_pipe(is_heard=False), HEARD, "by one that does not hear, for it waits on a pipe that is gone: "),
        (with_pipe(listeners=(loop(user="root"),)), HEARD, "by one of root: "),
        (with_pipe(entry=Entry("file", 0o644, "pi:pi", 9), is_heard=False), IS_PIPE, "a file of 9 bytes"),
        (with_pipe(entry=Entry("file", 0o644, "pi:pi", 0), is_heard=False), IS_PIPE, "an empty file"),
        (with_pipe(live=Live("", (1, 0, 3, 1), 1)), TWO, "of 4 requests 1 lost, 1 carried out more than once"),
        (with_pipe(live=Live("", (1, 1, 1, 1), 3)), ANSWERS, "3 times"),
    ],
)
def test_a_damage_is_named(state: State, aspect: str, says: str) -> None:
    assert seen(state, aspect).seen.startswith(says)


@pytest.mark.parametrize(
    ("listeners", "ends", "starts"),
    [
        pytest.param((loop(), loop(pid=710)), ["700:1", "701:2", "710:1", "711:2"], True, id="one of two may be deaf"),
        pytest.param((replace(loop(), job="ssh"), loop(pid=710)), ["710:1", "711:2"], False, id="one is at work"),
        pytest.param((loop(), hardened()), ["700:1", "701:2"], False, id="a loop beside the hardened one"),
        pytest.param((ORPHAN, loop()), ["900:1", "700:1", "701:2"], True, id="what an ended one left"),
        pytest.param((loop(user="root"),), ["700:1", "701:2"], True, id="of root"),
        pytest.param((replace(hardened(), is_stopped=True),), ["800:1"], True, id="a stopped hardened one"),
    ],
)
def test_one_listener_of_ours_is_left(listeners: tuple[Listener, ...], ends: list[str], starts: bool) -> None:  # noqa: FBT001
    words = argv(with_pipe(listeners=listeners), HEARD)
    assert words[:4] == ("sh", "-c", LISTEN, "sh")
    assert list(words[8:]) == ends
    assert words[6] == (script_of(NAME, CLUSTER) if starts else "")


def test_from_nothing_everything_is_planned_in_the_order_in_which_it_can_be_done() -> None:
    bare = Pipe(None, False, ())  # noqa: FBT003
    nothing = State(pipes=dict.fromkeys(PIPES, bare), containers=(Container(BOX, "appli_serviceweb", ("", *PIPES)),))
    actions = plan(judge(nothing))
    kinds = [action.argv[0] if isinstance(action, Run) else action.kind for action in actions]
    assert kinds == ["install"] * 4 + ["sh", "write", "sh"] * 3 + ["sh"]
    writes = [action for action in actions if isinstance(action, Write)]
    for pipe, write in zip(PIPES, writes, strict=True):
        assert write.after.decode() == TEXT.format(volume="/home/pi/webVolume", pipe=pipe)
        assert (write.path, write.mode, write.owner) == (script_of(pipe, CLUSTER), 0o755, "pi:pi")


@pytest.mark.parametrize(
    "script",
    [b"#!/bin/bash\nsleep 5\n", TEXT.format(volume="/home/pi/webVolume", pipe=PIPES[1]).encode()],
    ids=["names no pipe", "another's pipe"],
)
def test_a_script_that_a_person_wrote_and_that_listens_elsewhere_is_not_started(script: bytes) -> None:
    files = GOOD.files | {script_of(NAME, CLUSTER): File(script, 0o755, "pi:pi")}
    check = seen(replace(with_pipe(listeners=(), is_heard=False), files=files), HEARD)
    assert check.fix == ()
    assert "see step boot" in check.by_hand


class TestHardened:
    ADVICE = "the listeners run known jobs only"

    def test_the_documented_loop_is_advised_against_with_all_that_it_takes(self) -> None:
        check = seen(GOOD, self.ADVICE)
        assert (check.holds, check.level) == (False, "advice")
        writes = {action.path: action for action in check.fix if isinstance(action, Write)}
        assert set(writes) == {PROGRAM, UNIT, *(script_of(pipe, CLUSTER) for pipe in PIPES)}
        assert writes[UNIT].after.decode() == SHIPPED_UNIT
        assert writes[PROGRAM].after == (APP / "listener" / "clusterhat_pipe.py").read_bytes()
        runs = [action.argv for action in check.fix if isinstance(action, Run)]
        assert runs[0] == ("systemctl", "daemon-reload")
        assert [list(words[8:]) for words in runs[1:]] == [["700:1", "701:2"]] * 3

    @pytest.mark.parametrize(
        "state",
        [
            pytest.param(with_pipe(is_heard=False), id="something else is wrong"),
            pytest.param(with_pipe(listeners=(OF_A_PERSON,)), id="a listener of a person"),
            pytest.param(
                replace(GOOD, files=GOOD.files | {script_of(NAME, CLUSTER): File(OWN, 0o755, "pi:pi")}),
                id="a script of a person",
            ),
        ],
    )  # fmt: skip
    def test_it_is_not_installed_over(self, state: State) -> None:
        check = seen(state, self.ADVICE)
        assert (check.holds, check.fix) == (False, ())
        assert check.by_hand

    def test_the_unit_is_made_for_another_cluster(self) -> None:
        other = parse(
            {"os": {"user": "dev"}, "subnet": "10.1.0.0/24", "controller": {"address": "10.1.0.254"},
             "nodes": [{"name": "p1"}, {"name": "p2"}]}, "test", APP,
        )  # fmt: skip
        text = unit_of(other).decode()
        assert "User=dev\n" in text
        assert "/home/dev/webVolume/%i --group www-data --hosts pi1,pi2 --subnet 10.1.0.0/24\n" in text
        assert "pi/webVolume" not in text

    def test_a_controller_of_another_name_is_not_understood_by_it(self) -> None:
        other = parse({"controller": {"name": "head"}}, "test", APP)
        assert install("p1", {}, other) == ()


def test_a_listener_where_no_web_task_runs_is_named_and_decides_nothing() -> None:
    (check,) = pipes.judge({HUB: State(strays={NAME: (loop(),)})}, CLUSTER)
    assert (check.holds, check.level) == (False, "advice")


def test_web_nodes_are_those_that_carry_the_label() -> None:
    other = parse({"swarm": {"placement": {"web": ["p1"], "sql": ["cnat"]}}}, "test", APP)
    assert [name for name in other.names if is_web(name, other)] == ["p1"]
    assert [name for name in CLUSTER.names if is_web(name, CLUSTER)] == ["p1", "p2", "p3", "p4"]
