"""Step `power`: the HAT's ports are judged by what it says and by who answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.actions import Boot
from harness.steps import power
from tests_harness.fakes import outcomes_of
from tests_harness.fakes_cluster import CLUSTER, HUB, NODES, STATUS, differences, good_power, without

if TYPE_CHECKING:
    from harness.model import Check

Seen = Mapping[str, power.State]
TOOLS = ("clusterctrl", "clusterhat")


def judge(seen: Seen) -> list[Check]:
    return list(power.judge(seen, CLUSTER))


def hub(*tools: str, **status: str) -> Seen:
    return good_power() | {HUB: power.State("boot", tools or TOOLS, STATUS | status)}


def hub_without_tool() -> Seen:
    return good_power() | {HUB: power.State("boot", (), None)}


def port(name: str) -> tuple[str, str]:
    return name, f"HAT port {name} powered"


def test_a_good_cluster_holds_on_every_machine() -> None:
    checks = judge(good_power())
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)


@pytest.mark.parametrize(
    ("seen", "want"),
    [
        pytest.param(without(hub(p3="0"), "p3"), {port("p3"): ("boot",)}, id="port off and node silent"),
        pytest.param(hub(p3="0"), {port("p3"): ()}, id="port off but node answers"),
        pytest.param(hub(p3="False"), {port("p3"): ()}, id="port False"),
        pytest.param(without(hub(), "p3"), {}, id="port on and node silent: the look itself says so"),
        pytest.param(
            without(hub(**dict.fromkeys(NODES, "0")), *NODES), {port(name): ("boot",) for name in NODES}, id="all off"
        ),
        pytest.param(
            hub_without_tool(),
            {(HUB, "clusterctrl installed"): (), (HUB, "clusterhat installed"): ()},
            id="tools missing",
        ),
        pytest.param(hub("clusterctrl"), {(HUB, "clusterhat installed"): ()}, id="one tool missing"),
        pytest.param(hub(throttled="0x50005"), {}, id="throttled is advice"),
        pytest.param(without(good_power(), HUB), {}, id="controller silent"),
    ],
)
def test_a_fault_differs_exactly_there(seen: Seen, want: dict[tuple[str, str], tuple[str, ...]]) -> None:
    checks = judge(seen)
    assert differences(checks) == want
    assert all(check.fix or check.by_hand for check in checks if not check.holds)


def test_throttling_is_advice_in_words() -> None:
    (advice,) = [check for check in judge(hub(throttled="0x50005")) if not check.holds]
    assert (advice.node, advice.level, advice.fix) == (HUB, "advice", ())
    assert "under-voltage now" in advice.seen


@pytest.mark.parametrize("value", ["", '1 error_msg="Can\'t open device file: /dev/vcio"', "0xzz"])
def test_a_firmware_that_answers_nonsense_is_advice_and_hides_nothing(value: str) -> None:
    seen = without(hub(throttled=value, p3="0"), "p3")
    checks = judge(seen)
    assert differences(checks) == {port("p3"): ("boot",)}
    (advice,) = [check for check in checks if not check.holds and check.level == "advice"]
    assert advice.seen.startswith("not readable: ")
    assert {str(one.verdict) for one in outcomes_of(power, hub(throttled=value), CLUSTER)} == {"ok"}


@pytest.mark.parametrize("status", [{"throttled": "NA"}, {}], ids=["not known", "not said"])
def test_what_the_firmware_does_not_say_is_no_complaint(status: dict[str, str]) -> None:
    said = {key: value for key, value in STATUS.items() if key != "throttled"} | status
    checks = judge(good_power() | {HUB: power.State("boot", TOOLS, said)})
    assert [check for check in checks if not check.holds] == []


def test_the_repair_boots_the_node_behind_the_port_from_the_controller() -> None:
    (check,) = [check for check in judge(without(hub(p3="0"), "p3")) if not check.holds]
    assert check.fix == (Boot(HUB, "p3", "p3", "ethpi3", "switch on p3 and wait until p3 answers"),)


@pytest.mark.parametrize("value", ["2", "on", ""], ids=["a number", "a word", "nothing"])
def test_a_port_that_the_hat_does_not_explain_is_unknown_and_ends_no_run(value: str) -> None:
    outcomes = outcomes_of(power, hub(p3=value), CLUSTER)
    assert {str(one.verdict) for one in outcomes} == {"unknown"}
    assert {one.reason for one in outcomes} == {f"clusterctrl status: expected 0 or 1 for p3, got {value!r}"}


def test_states_of_other_boards_do_not_matter() -> None:
    state = good_power()[HUB]
    more = replace(state, status=STATUS | {"ctrl20": "FW:1.1 ADC1:5014mV T1:18.60C", "p9": "0"})
    assert differences(judge(good_power() | {HUB: more})) == {}
