"""Step `images` of the whole: what would not run is never deployed, what is only missing holds nobody up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.converge import Loop
from harness.model import Place, Verdict
from harness.steps import images, stack
from harness.steps.images_documented import DATABASE, WEB
from tests_harness.fakes import FakeCrew
from tests_harness.fakes_cluster import differences
from tests_harness.fakes_images import CLUSTER, HUB, NODES, arm, changed, digest, good_images, local, offer
from tests_harness.fakes_stack import DATABASE as BASE
from tests_harness.fakes_stack import good_stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Mode, Outcome
    from harness.parse.manifest import Offer
    from harness.steps.images_look import Local

Seen = dict[str, images.State]
W = WEB.reference
RUNS = f"{W} runs wherever it may run"
V7 = local(WEB, arm(7, CPU_arch_profile=65))
OLD = replace(V7, config=replace(V7.config, digests=(f"{WEB.name}@{digest('c')}",)))
MUTE = local(WEB, replace(arm(6), attributes=None))
LIST_V7 = offer(WEB, "amd64", "arm/v7", is_list=True)
LIST_V6 = offer(WEB, "arm/v6", "arm/v7", is_list=True)
ONE_V7 = offer(WEB, "arm/v7")
GOOD = offer(WEB)


def a_cluster(found: Offer | None, *copies: Local | None) -> Seen:
    """What the registry has of the web image, and the copies of p1 to p4."""
    seen = good_images()
    seen[HUB] = replace(seen[HUB], offers={**seen[HUB].offers, W: found})
    return seen | {name: changed(seen[name], WEB, copy) for name, copy in zip(NODES, copies, strict=False)}


def about(seen: Mapping[str, images.State]) -> str:
    """What the controller says of the web image; "yes" where it holds."""
    (check,) = [check for check in images.judge(seen, CLUSTER) if check.aspect == RUNS]
    assert (check.node, check.level, check.stops, check.fix) == (HUB, "must", True, ())
    assert check.holds is (check.seen == "yes")
    assert check.holds or "--platform linux/arm/v6" in check.by_hand or check.by_hand == images.LATER
    return check.seen


@pytest.mark.parametrize(
    ("seen", "where"),
    [
        pytest.param(a_cluster(LIST_V7, None, None, None, None), NODES, id="a list for v7, and nobody has a copy"),
        pytest.param(a_cluster(ONE_V7, None, None, None, None), NODES, id="one image for v7, as L438 pushes it"),
        pytest.param(a_cluster(LIST_V7, None), ("p1",), id="the copies of the others run"),
        pytest.param(a_cluster(GOOD, V7), ("p1",), id="its programs are for v7, whatever its label says"),
        pytest.param(a_cluster(LIST_V7, OLD), ("p1",), id="an old copy, and the new one is no better"),
        pytest.param(a_cluster(None, V7), ("p1",), id="a copy that is nowhere else"),
        pytest.param(a_cluster(GOOD, OLD), (), id="an old copy, which a pull replaces"),
        pytest.param(a_cluster(GOOD, None, None, None, None), (), id="copies are only missing"),
        pytest.param(a_cluster(LIST_V6, None), (), id="a list that has one for it"),
        pytest.param(a_cluster(ONE_V7), (), id="one image that says v7, and its programs run"),
        pytest.param(a_cluster(None, None, None, None, None), (), id="there is none yet at all"),
        pytest.param(a_cluster(GOOD, MUTE), (), id="nobody can tell"),
    ],
)  # fmt: skip
def test_what_a_deployment_would_start_must_run_on_every_machine_that_answered(
    seen: Seen, where: tuple[str, ...]
) -> None:
    said = about(seen)
    assert [part.partition(":")[0] for part in said.split("; not on")] == (
        [f"not on {where[0]}", *(f" {name}" for name in where[1:])] if where else ["yes"]
    )


def test_a_machine_that_is_off_holds_nobody_up() -> None:
    seen = good_images()
    del seen["p2"]
    assert differences(images.judge(seen, CLUSTER)) == {}
    assert about(seen) == "yes"


def test_the_database_is_asked_about_where_it_may_run() -> None:
    seen = good_images()
    base = DATABASE.reference
    copy = replace(local(DATABASE), parts=local(DATABASE, replace(arm(7), machine="EM_X86_64", flags=0)).parts)
    seen[HUB] = changed(seen[HUB], DATABASE, copy)
    assert differences(images.judge(seen, CLUSTER)) == {
        (HUB, f"{base} runs wherever it may run"): (), (HUB, f"{base} can run there"): ()
    }  # fmt: skip


def converged(seen: Mapping[str, images.State], mode: Mode, then: Seen | None = None) -> dict[str, Outcome]:
    """Both steps over a cluster to which the web was never deployed; a mend of images leads to `then`."""
    crew = FakeCrew({"images": [seen, then or seen], "stack": [good_stack(BASE)]})
    outcomes = Loop(CLUSTER, (images, stack), crew, mode, lambda _: True).converge()
    return {str(outcome.place): outcome for outcome in outcomes}


def deploys(outcomes: Mapping[str, Outcome]) -> bool:
    """Whether a deployment was planned, or done."""
    outcome = outcomes[f"stack[{HUB}]"]
    return any(action.kind == "deploy_stack" for action in (*outcome.planned, *(one.action for one in outcome.done)))


@pytest.mark.parametrize("mode", ["plan", "repair"])
def test_an_image_for_v7_alone_is_never_deployed_to_pi_zeros(mode: Mode) -> None:
    outcomes = converged(a_cluster(LIST_V7, None, None, None, None), mode)
    assert not deploys(outcomes)
    stopped = outcomes[f"stack[{HUB}]"]
    assert (stopped.verdict, stopped.cause) == (Verdict.BLOCKED, Place("images", HUB))


def test_copies_that_turn_out_not_to_run_once_they_are_pulled_are_not_deployed() -> None:
    mute = offer(WEB, "arm")
    outcomes = converged(a_cluster(mute, None, None, None, None), "repair", a_cluster(mute, V7, V7, V7, V7))
    assert not deploys(outcomes)
    assert outcomes[f"stack[{HUB}]"].verdict is Verdict.BLOCKED


@pytest.mark.parametrize("mode", ["plan", "repair"])
@pytest.mark.parametrize("copies", [(), (None, None, None, None)], ids=["all there", "all to be pulled"])
def test_an_image_that_runs_is_deployed_in_the_same_run(copies: tuple[None, ...], mode: Mode) -> None:
    assert deploys(converged(a_cluster(GOOD, *copies), mode, good_images()))


def test_a_machine_that_is_off_does_not_stop_the_deployment() -> None:
    seen = {name: state for name, state in good_images().items() if name != "p2"}
    assert deploys(converged(seen, "plan"))
