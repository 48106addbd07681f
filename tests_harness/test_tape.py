"""The tape: what a run saw gives the same outcomes again, and anything else is one sentence."""

from __future__ import annotations

import copy
import json
import pickle
from collections import deque
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import session
from harness.errors import MissingTool, ObservationError, Refused, TimeLimit, Unreachable, UsageError
from harness.node import File, NodeAccess
from harness.secret import Secret
from harness.steps import STEPS, hosts, load
from harness.tape import Player, Recorder
from tests_harness.fakes import FakeCrew
from tests_harness.fakes_cluster import CLUSTER, HUB, good_cluster, good_hosts, good_power, without
from tests_harness.fakes_tape import STARTED, record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from harness.converge import Crew
    from harness.inventory import Cluster
    from harness.model import Check, Mode
    from harness.step import LookFrom

st.register_type_strategy(IPv4Interface, st.ip_addresses(v=4).map(lambda one: IPv4Interface(f"{one}/24")))

WRONG_HOSTS = good_hosts() | {"p1": hosts.State(File(b"10.0.0.1 caf\xe9\n\x00\xff", 0o600, "root:root"), {})}
SILENT = {
    "p1": Unreachable("p1: down"),
    "p2": Refused("p2: no"),
    "p3": MissingTool("p3: no cat"),
    "p4": TimeLimit("p4: slow"),
    HUB: ObservationError("cnat: odd"),
}
CREWS: dict[str, tuple[FakeCrew, Mode]] = {
    "good": (FakeCrew(good_cluster()), "verify"),
    "differs": (FakeCrew(good_cluster() | {"hosts": [WRONG_HOSTS]}), "verify"),
    "planned": (FakeCrew(good_cluster() | {"hosts": [WRONG_HOSTS]}), "plan"),
    "repaired": (FakeCrew(good_cluster() | {"hosts": [WRONG_HOSTS, good_hosts()]}), "repair"),
    "not mended": (FakeCrew(good_cluster() | {"hosts": [WRONG_HOSTS]}), "repair"),
    "unknown": (FakeCrew(good_cluster() | {"hosts": [SILENT]}), "repair"),
    "cut off": (FakeCrew(good_cluster() | {"power": [{HUB: SILENT[HUB], "p1": Unreachable("p1", via=HUB)}]}), "verify"),
    "node off": (FakeCrew(good_cluster() | {"power": [without(good_power(), "p3")]}), "plan"),
}


@pytest.mark.parametrize("name", CREWS)
def test_a_recorded_run_replays_to_identical_outcomes(name: str, tmp_path: Path) -> None:
    crew, mode = CREWS[name]
    taped = record(replace(crew, asked=copy.copy(crew.asked)), mode)
    file = tmp_path / "tape.json"
    file.write_text(taped.text)
    result = session.replay(file)
    assert result.record.outcomes == taped.outcomes
    assert (result.record.mode, result.record.started, result.record.seconds) == (mode, STARTED, 2.5)
    assert result.tape == taped.text


def test_a_tape_is_ascii_and_keeps_every_byte_of_a_file() -> None:
    taped = record(FakeCrew(good_cluster() | {"hosts": [WRONG_HOSTS]}))
    assert taped.text.isascii()
    (look,) = [event for event in taped.json["events"] if event["look"] == "hosts"]
    assert look["seen"]["p1"]["file"]["content"].encode("latin-1") == b"10.0.0.1 caf\xe9\n\x00\xff"


def looked_again(crew: Crew, step_name: str) -> Any:  # noqa: ANN401 - each step has a State of its own
    step = load(step_name)
    recorder = Recorder(crew)
    recorder.look(step, CLUSTER.names)
    events = json.loads(json.dumps(recorder.events))
    return Player(deque(events), "tape").look(step, CLUSTER.names)


# What is not a number is not even itself.
st.register_type_strategy(float, st.floats(allow_nan=False))


@pytest.mark.parametrize("name", STEPS)
@given(st.data())
def test_whatever_state_a_step_has_seen_it_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    state = data.draw(st.from_type(load(name).State))
    sight = looked_again(FakeCrew({name: [{"p1": state}]}), name)
    assert sight.seen == {"p1": state}


@pytest.mark.parametrize("error", SILENT.values(), ids=lambda error: type(error).__name__)
def test_a_failed_look_comes_back_with_its_kind_its_sentence_and_who_is_to_blame(error: ObservationError) -> None:
    error.via = HUB
    (kept,) = looked_again(FakeCrew({"hosts": [good_hosts() | {"p1": error}]}), "hosts").failed.values()
    assert (type(kept), str(kept), kept.via) == (type(error), str(error), HUB)


GOOD = record(FakeCrew(good_cluster() | {"hosts": [WRONG_HOSTS, good_hosts()]}), "repair")
(DONE,) = [number for number, event in enumerate(GOOD.json["events"]) if "done" in event]


def damaged(**changes: object) -> str:
    return json.dumps(GOOD.json | changes)


def with_event(number: int, **changes: object) -> str:
    events = GOOD.json["events"]
    events[number] = {key: value for key, value in (events[number] | changes).items() if value is not None}
    return damaged(events=events)


def with_other_action() -> str:
    (done,) = GOOD.json["events"][DONE]["done"]
    return with_event(DONE, done=[{"action": done["action"] | {"path": "/etc/passwd"}, "failure": ""}])


def refusal(text: str | bytes, folder: Path) -> str:
    file = folder / "tape.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as caught:
        session.replay(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    assert not [word for word in ("pydantic", "input", "validation", "Error") if word in message]
    return message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "not a tape of format 1", id="empty"),
        pytest.param("nonsense", "no JSON from line 1, column 1 on", id="not JSON"),
        pytest.param(b"\xff\xfe", "no text in UTF-8", id="not UTF-8"),
        pytest.param("[" * 100_000, "too deep", id="very deep"),
        pytest.param("[]", "not a tape of format 1", id="no table"),
        pytest.param("{}", "cluster: missing", id="no fields"),
        pytest.param(damaged(format=2), "format: expected 1, got 2", id="another format"),
        pytest.param(damaged(colour=1), "colour: unknown key", id="unknown field"),
        pytest.param(
            damaged(mode="destroy"), "mode: expected 'verify', 'plan' or 'repair', got 'destroy'", id="unknown mode"
        ),
        pytest.param(
            damaged(steps=["levitate"]), "steps[0]: expected the name of a step, got 'levitate'", id="unknown step"
        ),
        pytest.param(
            damaged(chosen=["nonsense"]),
            "chosen[0]: expected a step on a machine, like power[p1], got 'nonsense'",
            id="no place",
        ),
        pytest.param(damaged(cluster={"colour": 1}), "cluster: colour: unknown key", id="no cluster"),
        pytest.param(damaged(started="yesterday"), "started: expected a time like 2026-", id="no time"),
        pytest.param(damaged(events=[]), "expected a look at power next", id="no looks"),
        pytest.param(damaged(events=GOOD.json["events"][:-1]), "expected a look at hosts next", id="a look missing"),
        pytest.param(damaged(events=GOOD.json["events"][1:]), "expected a look at power next", id="another order"),
        pytest.param(with_event(0, look="levitate"), "expected a look at power next", id="look at an unknown step"),
        pytest.param(
            with_event(0, seen={"p1": {}}),
            "power does not read: events[0].seen.p1.boot_id: missing",
            id="not its state",
        ),
        pytest.param(with_event(0, seen=None), "events[0].seen: missing", id="nothing seen"),
        pytest.param(with_event(0, seen=[]), "events[0].seen: expected a table", id="seen is a list"),
        pytest.param(
            with_event(0, failed={"p1": {"kind": "X"}}), "events[0].failed.p1.message: missing", id="no failure"
        ),
        pytest.param(with_event(0, seen={"p9": {"boot_id": "x"}}), "p9", id="a machine of another cluster"),
        pytest.param(damaged(mode="verify"), "made by another version", id="looks left over"),
        pytest.param(
            with_event(DONE, done=[{}]),
            "a repair does not read: events[5].done[0].action: missing",
            id="not what was done",
        ),
        pytest.param(with_other_action(), "other rules of repair", id="other actions"),
    ],
)
def test_a_broken_tape_is_one_sentence(text: str | bytes, words: str, tmp_path: Path) -> None:
    assert words in refusal(text, tmp_path)


def test_a_tape_that_is_not_there_says_where_tapes_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such tape; a run leaves one in reports/<time>/tape\.json"):
        session.replay(tmp_path / "tape.json")
    with pytest.raises(UsageError, match="not a tape"):
        session.replay(tmp_path)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


PATHS = sorted(_paths(GOOD.json), key=str)
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=5), inner, max_size=2)),
    max_leaves=3,
)


# The standard library's word on `false` where an address should be; nothing follows from it.
@pytest.mark.filterwarnings("ignore:__int__ returned non-int:DeprecationWarning")
@given(path=st.sampled_from(PATHS), junk=JUNK)
def test_whatever_is_wrong_in_a_tape_it_is_judged_or_refused_in_one_sentence(
    path: tuple[str | int, ...], junk: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    value = tape = GOOD.json
    for key in path[:-1]:
        value = value[key]  # type: ignore[index]
    value[path[-1]] = junk  # type: ignore[index]
    file = tmp_path_factory.getbasetemp() / "junk.json"
    file.write_text(json.dumps(tape))
    try:
        session.replay(file)
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either end of the property is right


@dataclass(frozen=True)
class Careless:
    """A state that would carry a password."""

    password: Secret


class Leak:
    """A step whose author did not think."""

    __name__ = "tests.leak"
    NEEDS: tuple[str, ...] = ()
    LOOK_FROM: LookFrom = "every node"
    State = Careless

    def observe(self, node: NodeAccess) -> Careless:
        raise NotImplementedError(node.name)

    def judge(self, seen: Mapping[str, Careless], cluster: Cluster) -> Iterator[Check]:
        raise NotImplementedError(seen, cluster)


def test_no_secret_can_be_on_a_tape() -> None:
    crew = FakeCrew({"leak": [{"p1": Careless(Secret("hunter2"))}]})
    recorder = Recorder(crew)
    with pytest.raises(Exception, match="Secret") as caught:
        recorder.look(Leak(), ["p1"])
    assert "hunter2" not in str(caught.value)
    assert recorder.events == []


@pytest.mark.parametrize("save", [pickle.dumps, json.dumps, copy.copy, copy.deepcopy], ids=lambda save: save.__name__)
def test_a_secret_refuses_to_be_saved(save: Any) -> None:  # noqa: ANN401 - any function that would write it
    with pytest.raises(TypeError) as caught:
        save(Secret("hunter2"))
    assert "hunter2" not in str(caught.value)


def test_every_way_of_printing_a_secret_gives_a_mask() -> None:
    secret = Secret("hunter2")
    assert {repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret} == {"Secret(***)"}  # noqa: UP031
    assert secret.reveal() == "hunter2"
