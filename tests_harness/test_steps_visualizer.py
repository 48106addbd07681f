"""Step `visualizer`: gone with its port unless the inventory wants it, and nobody else's work is removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import TypeAdapter

from harness.actions import Run
from harness.inventory import parse
from harness.steps import visualizer
from harness.steps.visualizer import Shown
from tests_harness.fakes_cluster import differences, without
from tests_harness.fakes_stack import CLUSTER, HUB, NO_MESH, NODES, good_visualizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.inventory import Cluster
    from harness.model import Check

WANTED = parse({"visualizer": {"enabled": True}}, "x", Path())
SHOWN = Shown("id-v", "dockersamples/visualizer:latest@sha256:1", "")
START, WAIT = ("run", "settle_service"), ("settle_service",)
PAGE = "page at 172.19.181.254:5000"


def judge(seen: Mapping[str, visualizer.State], cluster: Cluster = CLUSTER) -> list[Check]:
    return list(visualizer.judge(seen, cluster))


def fix_of(seen: Mapping[str, visualizer.State], aspect: str, cluster: Cluster = CLUSTER) -> tuple[str, ...]:
    (check,) = [one for one in judge(seen, cluster) if (one.node, one.aspect) == (HUB, aspect)]
    action = check.fix[0] if check.fix else None
    return action.argv if isinstance(action, Run) else ()


@pytest.mark.parametrize(
    ("seen", "cluster"),
    [(good_visualizer(), CLUSTER), (good_visualizer(SHOWN, "200"), WANTED)],
    ids=["not wanted", "wanted"],
)
def test_as_the_inventory_says_nothing_differs(seen: dict[str, visualizer.State], cluster: Cluster) -> None:
    seen = {name: replace(one, page=one.page or "200") for name, one in seen.items()} if cluster is WANTED else seen
    assert differences(judge(seen, cluster)) == {}
    assert {one.node for one in judge(seen, cluster)} == set(CLUSTER.names)


def test_one_that_nobody_wants_is_removed_by_its_number_and_waited_for() -> None:
    seen = good_visualizer(SHOWN)
    assert differences(judge(seen)) == {(HUB, "service visualizer"): ("run",), (HUB, "port 5000"): ("run",)}
    argv = fix_of(seen, "service visualizer")
    assert argv[:2] == ("sh", "-c")
    assert argv[3:] == ("remove", "id-v", "5000", "172.19.181.254", *(f"172.19.181.{n}" for n in range(1, 5)))
    assert fix_of(seen, "port 5000") == argv


@pytest.mark.parametrize(
    ("image", "is_removed"),
    [
        ("dockersamples/visualizer", True),
        ("docker.io/dockersamples/visualizer:stable", True),
        ("alexellis2/visualizer-arm:latest", True),
        ("mine/visualizer", False),
        ("wzehren/phpsae", False),
    ],
)
def test_only_a_visualizer_is_removed_and_not_what_has_its_name(image: str, is_removed: bool) -> None:  # noqa: FBT001
    assert bool(fix_of(good_visualizer(Shown("id-v", image, "")), "service visualizer")) is is_removed


def test_the_inventory_names_what_a_visualizer_is() -> None:
    cluster = parse({"visualizer": {"image": "mine/visualizer:1"}}, "x", Path())
    assert fix_of(good_visualizer(Shown("id-v", "mine/visualizer:1", "")), "service visualizer", cluster)


def test_a_port_that_another_program_has_is_shown_with_it_and_left_alone() -> None:
    seen = good_visualizer()
    seen["p2"] = replace(seen["p2"], is_open=True, listeners='LISTEN 0 5 0.0.0.0:5000 users:(("flask",pid=7,fd=3))')
    assert differences(judge(seen)) == {("p2", "port 5000"): ()}
    (check,) = [one for one in judge(seen) if not one.holds]
    assert "flask" in check.seen
    assert "ss -lntp" in check.by_hand


@pytest.mark.parametrize(
    ("address", "is_open"),
    [("0.0.0.0:5000", True), ("192.168.0.25:5000", True), ("[::]:5000", True), ("*:5000", True),
     ("127.0.0.1:5000", False), ("127.0.0.53%lo:5000", False), ("[::1]:5000", False)],
)  # fmt: skip
def test_a_socket_counts_unless_only_the_machine_itself_reaches_it(address: str, is_open: bool) -> None:  # noqa: FBT001
    line = f'LISTEN 0 5 {address} 0.0.0.0:* users:(("flask",pid=7,fd=3))'
    assert bool(visualizer.others(f"{line}\n\n")) is is_open


def test_a_port_that_the_stack_itself_has_is_not_asked_to_be_closed(tmp_path: Path) -> None:
    (tmp_path / "f.yml").write_text("services: {a: {image: x, ports: ['5000:80']}}")
    cluster = parse({"stack": {"file": "f.yml"}}, "x", tmp_path)
    seen = {name: replace(one, is_open=True) for name, one in good_visualizer().items()}
    assert differences(judge(seen, cluster)) == {}


def test_one_that_is_wanted_is_started_on_the_controller() -> None:
    seen = good_visualizer()
    assert differences(judge(seen, WANTED)) == {
        (HUB, "service visualizer"): START, **{(name, PAGE): START for name in (HUB, *NODES)}
    }  # fmt: skip
    argv = fix_of(seen, "service visualizer", WANTED)
    assert argv[-1] == "dockersamples/visualizer"
    assert "node.hostname==cnat" in argv
    assert "published=5000,target=8080" in argv
    hosted = {**seen, HUB: replace(seen[HUB], obstacle=NO_MESH)}
    assert "published=5000,target=8080,mode=host" in fix_of(hosted, "service visualizer", WANTED)


@pytest.mark.parametrize(
    ("service", "page", "want"),
    [
        (replace(SHOWN, trouble="cnat: rejected: No such image"), "no page: URLError",
         {(HUB, "visualizer runs"): WAIT, **{(name, PAGE): WAIT for name in (HUB, *NODES)}}),
        (SHOWN, "503", {(name, PAGE): WAIT for name in (HUB, *NODES)}),
        (replace(SHOWN, image="other:1"), "200", {(HUB, "image of visualizer"): ()}),
    ],
    ids=["does not run", "no page", "another image"],
)  # fmt: skip
def test_one_that_is_there_and_wrong_is_waited_for_or_left_to_a_person(
    service: Shown, page: str, want: dict[tuple[str, str], tuple[str, ...]]
) -> None:
    seen = {name: replace(one, page=page) for name, one in good_visualizer(service).items()}
    assert differences(judge(seen, WANTED)) == want


def test_nothing_is_concluded_of_a_controller_that_did_not_answer() -> None:
    assert judge(without(good_visualizer(), HUB)) == []


def test_a_state_survives_a_tape() -> None:
    adapter = TypeAdapter(visualizer.State)
    for one in good_visualizer(SHOWN, "200").values():
        assert adapter.validate_python(adapter.dump_python(one, mode="json")) == one
