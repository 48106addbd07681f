"""Step `images`: which copies are wrong where, what mends them, and what only a person can build."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from harness.actions import Run
from harness.errors import ObservationError
from harness.inventory import parse
from harness.steps import images
from harness.steps.images_content import Content, Owned
from harness.steps.images_documented import DATABASE, IMAGES, WEB, may_run
from tests_harness.fakes_cluster import differences
from tests_harness.fakes_images import (
    CLUSTER,
    HUB,
    NODES,
    arm,
    changed,
    digest,
    good_images,
    local,
    offer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Check
    from harness.parse.manifest import Offer
    from harness.steps.images_documented import Documented
    from harness.steps.images_look import Local

Seen = dict[str, images.State]
W, D = WEB.reference, DATABASE.reference
RUNS = f"{W} runs wherever it may run"
PULL = ("run", "run")


def judge(seen: Mapping[str, images.State]) -> list[Check]:
    return list(images.judge(seen, CLUSTER))


def check_of(seen: Mapping[str, images.State], node: str, aspect: str) -> Check:
    (found,) = [check for check in judge(seen) if (check.node, check.aspect) == (node, aspect)]
    return found


def with_copy(node: str, image: Documented, copy: Local | None) -> Seen:
    seen = good_images()
    return seen | {node: changed(seen[node], image, copy)}


def with_offer(image: Documented, found: Offer | None) -> Seen:
    seen = good_images()
    return seen | {HUB: replace(seen[HUB], offers={**seen[HUB].offers, image.reference: found})}


def with_config(copy: Local, **change: object) -> Local:
    return replace(copy, config=replace(copy.config, **change))  # type: ignore[arg-type]


def test_a_good_cluster_holds_on_every_machine() -> None:
    checks = judge(good_images())
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)


def test_the_web_may_run_on_the_nodes_and_the_database_on_the_controller() -> None:
    assert (may_run(WEB, CLUSTER), may_run(DATABASE, CLUSTER)) == (NODES, (HUB,))


def test_a_cluster_of_other_names_is_placed_by_its_own() -> None:
    tables: dict[str, object] = {"nodes": [{"name": "p7"}], "controller": {"name": "hub"}}
    cluster = parse(tables, "test", CLUSTER.folder)
    assert (may_run(WEB, cluster), may_run(DATABASE, cluster)) == (("p7",), ("hub",))


def test_labels_of_the_inventory_decide_where_an_image_may_run() -> None:
    placement = {"web": ["p1", "p2"], "sql": ["p3"]}
    cluster = parse({"swarm": {"placement": placement}}, "test", CLUSTER.folder)
    assert (may_run(WEB, cluster), may_run(DATABASE, cluster)) == (("p1", "p2"), ("p3",))
    seen = good_images() | {"p4": replace(good_images()["p4"], images={})}
    checks = {(check.node, check.aspect) for check in images.judge(seen, cluster)}
    assert ("p4", "images that may run there") in checks
    assert {aspect for node, aspect in checks if node == "p4"} == {"images that may run there"}


V7 = local(WEB, arm(7, CPU_arch_profile=65))
MUTE = local(WEB, replace(arm(6), attributes=None))
OTHER = with_config(local(WEB), digests=(f"{WEB.name}@{digest('c')}",))
FAULTS: dict[str, tuple[Local | None, dict[str, tuple[str, ...]]]] = {
    "not there": (None, {f"{W} is there": PULL}),
    "another digest": (OTHER, {f"{W} is the same everywhere": PULL}),
    "built there and never pushed": (with_config(local(WEB), digests=()), {f"{W} is the same everywhere": PULL}),
    "pushed under another name": (
        with_config(local(WEB), digests=(f"other/phpsae@{digest('a')}",)), {f"{W} is the same everywhere": PULL}
    ),
    "programs for v7": (V7, {f"{W} can run there": ()}),
    "old programs for v7": (
        with_config(V7, digests=OTHER.config.digests),
        {f"{W} is the same everywhere": PULL, f"{W} can run there": PULL},
    ),
    "programs that do not tell": (MUTE, {f"{W} can run there": ()}),
    "site of root": (
        replace(local(WEB), content=Content({"/var/www/html": Owned(0o755, "root:root")}, ("mysqli",))),
        {f"owner of /var/www/html in {W}": ()},
    ),
    "no site": (replace(local(WEB), content=Content({}, ("mysqli",))), {f"owner of /var/www/html in {W}": ()}),
    "no mysqli": (
        replace(local(WEB), content=replace(local(WEB).content, php_modules=("pdo",))),
        {f"PHP module mysqli of {W}": ()},
    ),
    "no volume": (with_config(local(WEB), volumes=("/data",)), {f"volume /hostpipe of {W}": ()}),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_one_copy_differs_exactly_there(name: str) -> None:
    copy, want = FAULTS[name]
    of_all = {(HUB, RUNS): ()} if copy is V7 else {}  # the others replace it, or nobody can tell
    there = {("p2", aspect): fix for aspect, fix in want.items()}
    assert differences(judge(with_copy("p2", WEB, copy))) == there | of_all


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param(None, {"owner of", "mode of"}, id="no script"),
        pytest.param(Owned(0o644, "mysql:mysql"), {"mode of"}, id="may not be executed"),
        pytest.param(Owned(0o755, "root:root"), {"owner of"}, id="of root"),
    ],
)
def test_the_script_of_the_database_is_as_the_runbook_puts_it(found: Owned | None, want: set[str]) -> None:
    path = "/docker-entrypoint-initdb.d/database_script.sql"
    copy = replace(local(DATABASE, claim="arm/v7"), content=Content({path: found}))
    assert differences(judge(with_copy(HUB, DATABASE, copy))) == {
        (HUB, f"{word} {path} in {D}"): () for word in want
    }  # fmt: skip


def test_a_pull_is_by_digest_and_gives_the_documented_name() -> None:
    check = check_of(with_copy("p2", WEB, None), "p2", f"{W} is there")
    pinned = f"{WEB.name}@{digest('a')}"
    assert [action.argv for action in check.fix if isinstance(action, Run)] == [
        ("docker", "pull", "--quiet", pinned), ("docker", "tag", pinned, W),
    ]  # fmt: skip
    assert {action.node for action in check.fix} == {"p2"}


OFFERS: dict[str, tuple[Offer | None, str, str]] = {
    "a list with v6": (offer(WEB, "amd64", "arm/v6", is_list=True), "", ""),
    "a list with v5, as PHP's": (offer(WEB, "arm64", "arm/v5", "arm/v7", is_list=True), "", ""),
    "a list without": (
        offer(WEB, "amd64", "arm/v7", is_list=True), "cannot run",
        "the registry has it for linux/amd64, linux/arm/v7; the engine takes linux/arm/v6 or linux/arm/v5",
    ),
    "a list whose arm says no variant": (offer(WEB, "arm", is_list=True), "cannot run", "linux/arm; the engine"),
    "an empty list": (replace(offer(WEB), is_list=True, platforms=()), "cannot run", "it for nothing;"),
    "one image for arm": (offer(WEB, "arm"), "", ""),
    "one image for v7": (offer(WEB, "arm/v7"), "unknown", "for linux/arm/v7 only"),
    "one image for amd64": (offer(WEB, "amd64"), "unknown", "for linux/amd64 only"),
}  # fmt: skip


@pytest.mark.parametrize("name", OFFERS)
def test_what_cannot_run_is_never_pulled_and_the_command_that_builds_it_is_said(name: str) -> None:
    found, answer, reason = OFFERS[name]
    seen = with_offer(WEB, found)
    seen["p2"] = changed(seen["p2"], WEB, None)
    check = check_of(seen, "p2", f"{W} is there")
    assert bool(check.fix) is (answer == "")
    can = check_of(seen, "p2", f"{W} can be pulled there")
    assert can.holds is (answer == "")
    assert can.seen.startswith(answer or "runs")
    assert reason in can.seen
    if answer:
        assert can.by_hand == (
            "in the folder of src, best on a node itself: `docker build --pull --platform linux/arm/v6 "
            "-t wzehren/phpsae -f dockerConfig/dockerfilePHP . && docker push wzehren/phpsae`"
        )


def test_what_one_image_says_of_itself_is_outweighed_by_the_programs_of_the_same_copy() -> None:
    assert differences(judge(with_offer(WEB, offer(WEB, "arm/v7")))) == {}
    seen = with_offer(WEB, offer(WEB, "arm/v7", letter="d"))
    assert ("p1", f"{W} can be pulled there") in differences(judge(seen))


def test_what_is_not_in_the_registry_is_compared_among_the_nodes() -> None:
    seen = with_offer(WEB, None)
    lost = {(HUB, f"{W} is in the registry"): ("push_image",)}
    assert differences(judge(seen)) == lost
    seen["p2"] = changed(seen["p2"], WEB, OTHER)
    same = {(name, f"{W} is the same everywhere"): () for name in NODES}
    assert differences(judge(seen)) == lost | same


def test_without_an_answer_of_the_controller_the_nodes_are_still_judged() -> None:
    seen = with_copy("p2", WEB, V7)
    del seen[HUB]
    assert differences(judge(seen)) == {("p2", f"{W} can run there"): ()}


def test_the_reason_names_file_and_processor_and_the_label_that_lies() -> None:
    check = check_of(with_copy("p2", WEB, V7), "p2", f"{W} can run there")
    assert check.seen == (
        "cannot run: entrypoint /entry is built for ARMv7-A, the processor is an ARMv6; "
        "it says linux/arm/v6 and contains linux/arm/v7"
    )


@pytest.mark.parametrize(
    ("claim", "version", "is_true"),
    [("arm/v6", 6, True), ("arm/v6", 5, True), ("arm", 7, True), ("arm/v7", 6, True), ("arm/v6", 7, False),
     ("amd64", 6, False), ("arm64", 7, False), ("arm/v5", 6, False)],
)  # fmt: skip
def test_a_label_that_lies_is_shown_even_where_the_image_runs(claim: str, version: int, is_true: bool) -> None:  # noqa: FBT001
    copy = local(DATABASE, arm(version), claim)
    checks = judge(with_copy(HUB, DATABASE, copy))
    (label,) = [check for check in checks if check.node == HUB and check.aspect == f"label of {D}"]
    assert (label.holds, label.level) == (is_true, "advice")
    assert differences(checks) == {}


def test_what_nobody_can_tell_is_unknown_where_nothing_else_differs() -> None:
    state = changed(good_images()["p2"], WEB, MUTE)
    with pytest.raises(ObservationError, match=r"p2: .* can run there: unknown: .* has no .ARM.attributes"):
        images.refuse_unknown("p2", state, CLUSTER)
    worse = changed(state, WEB, replace(MUTE, content=Content({})))
    assert images.refuse_unknown("p2", worse, CLUSTER) is worse


@pytest.mark.parametrize("name", CLUSTER.names)
def test_a_good_look_is_passed_on(name: str) -> None:
    state = good_images()[name]
    assert images.refuse_unknown(name, state, CLUSTER) is state


@pytest.mark.parametrize("name", [HUB, "p1"])
def test_a_state_goes_on_a_tape_and_comes_back(name: str) -> None:
    tape = TypeAdapter(images.State)
    state = good_images()[name]
    assert tape.validate_json(tape.dump_json(state)) == state


COPIES = st.none() | st.builds(
    lambda version, claim, letters: with_config(
        local(WEB, arm(version), claim), digests=tuple(f"{WEB.name}@{digest(letter)}" for letter in letters)
    ),
    st.sampled_from([5, 6, 7, 8]), st.sampled_from(["arm/v6", "arm", "amd64"]), st.sets(st.sampled_from("abc")),
)  # fmt: skip
REGISTRY = st.none() | st.builds(
    lambda names, is_list, letter: offer(WEB, *names, is_list=is_list, letter=letter),
    st.lists(st.sampled_from(["arm/v5", "arm/v6", "arm/v7", "amd64", "arm"]), min_size=1), st.booleans(),
    st.sampled_from("abc"),
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(NODES), COPIES), REGISTRY)
def test_no_copy_that_cannot_run_on_a_pi_zero_is_ever_green(
    copies: dict[str, Local | None], found: Offer | None
) -> None:
    seen = with_offer(WEB, found)
    seen |= {name: changed(seen[name], WEB, copy) for name, copy in copies.items()}
    failing = differences(judge(seen))
    for name, copy in copies.items():
        if copy is None:
            assert (name, f"{W} is there") in failing
        else:
            elf = copy.parts[0].elf
            runs = elf is not None and (elf.attributes or {})["CPU_arch"] <= 6
            assert ((name, f"{W} can run there") in failing) is not runs
    digests = [set(state.images[W].config.digests) for name in NODES if (state := seen[name]).images[W]]  # type: ignore[union-attr]
    if not any(aspect.endswith("the same everywhere") for _, aspect in failing) and digests:
        assert set.intersection(*digests)


def test_every_documented_image_is_named_with_its_tag() -> None:
    assert [image.reference for image in IMAGES] == ["wzehren/phpsae:latest", "wzehren/mysqlsae:latest"]
