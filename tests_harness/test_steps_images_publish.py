"""Step `images`: what the registry lacks is pushed where a good copy is, else built where that can be done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.actions import BuildImage, PushImage
from harness.arch.cpu import Cpu
from harness.arch.image import can_build
from harness.arch.platform import Platform
from harness.inventory import parse
from harness.inventory_stack import SHIPPED
from harness.steps import images
from harness.steps.images import State
from harness.steps.images_content import Content
from harness.steps.images_documented import DATABASE, WEB, may_run
from tests_harness.fakes_images import CLUSTER, HUB, PI_4, ZERO, changed, host, local
from tests_harness.test_steps_images import MUTE, V7, Seen, W, check_of, with_config, with_offer

if TYPE_CHECKING:
    from pathlib import Path

    from harness.actions import Action
    from harness.steps.images_documented import Documented
    from harness.steps.images_look import Local


def lost(image: Documented, **copies: Local | None) -> Seen:
    """The registry has none of an image, and the nodes have these copies of it."""
    seen = with_offer(image, None)
    return seen | {
        name: changed(seen[name], image, copies.get(name)) for name in may_run(image, CLUSTER)
    }  # fmt: skip


def published(seen: Seen, image: Documented) -> tuple[Action, ...]:
    return check_of(seen, HUB, f"{image.reference} is in the registry").fix


@pytest.mark.parametrize("name", ["p1", "p3"])
def test_what_the_registry_has_lost_comes_from_a_node_that_has_a_good_copy(name: str) -> None:
    fix = published(lost(WEB, p2=V7, **{name: local(WEB)}), WEB)
    assert fix == (PushImage(name, W, "pi", "have the registry keep the image for every node"),)


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param(None, id="none at all"), pytest.param(V7, id="one that cannot run"),
        pytest.param(MUTE, id="one that does not tell"),
        pytest.param(replace(local(WEB), content=Content({}, ("mysqli",))), id="one without the site"),
        pytest.param(with_config(local(WEB), volumes=()), id="one without its volume"),
    ],
)  # fmt: skip
def test_without_a_good_copy_the_controller_builds_one_for_the_nodes(copy: Local | None) -> None:
    build, push = published(lost(WEB, p2=copy), WEB)
    assert isinstance(build, BuildImage)
    assert (build.node, build.reference, build.platform) == (HUB, W, "linux/arm/v6")
    assert (build.dockerfile, build.context) == ("dockerConfig/dockerfilePHP", ".")
    assert (push.kind, push.node) == ("push_image", HUB)


def test_a_controller_that_cannot_run_what_the_nodes_run_has_one_of_them_build_it() -> None:
    seen = lost(WEB)
    seen[HUB] = replace(seen[HUB], host=host("pc", "amd64"))
    assert [action.node for action in published(seen, WEB)] == ["p1", "p1"]


def test_nothing_is_built_for_machines_that_did_not_answer() -> None:
    seen = {HUB: lost(WEB)[HUB]}
    assert published(seen, WEB) == ()


def test_what_is_published_first_is_said_of_each_node_that_waits_for_it() -> None:
    assert check_of(lost(WEB), "p2", f"{W} is there").by_hand == images.LATER


def test_nodes_of_several_kinds_get_the_image_that_all_of_them_take() -> None:
    seen = lost(WEB)
    seen["p1"] = replace(seen["p1"], host=host("pi 2"))
    build, _ = published(seen, WEB)
    assert isinstance(build, BuildImage)
    assert build.platform == "linux/arm/v6"
    seen["p2"] = replace(seen["p2"], host=host("pc", "amd64"))
    assert published(seen, WEB) == ()
    assert "a manifest list" in check_of(seen, HUB, f"{W} is in the registry").by_hand


@pytest.mark.parametrize(
    ("name", "go", "can"),
    [
        ("pi zero", "arm", {"arm/v5", "arm/v6"}), ("pi 2", "arm", {"arm/v5", "arm/v6", "arm/v7"}),
        ("pi 4, 64-bit kernel", "arm64", {"arm/v5", "arm/v6", "arm/v7", "arm64"}), ("pc", "amd64", {"amd64"}),
    ],
)  # fmt: skip
def test_a_machine_builds_for_what_it_runs(name: str, go: str, can: set[str]) -> None:
    platforms = ("arm/v5", "arm/v6", "arm/v7", "arm64", "amd64")
    assert {one for one in platforms if can_build(host(name, go), Platform("linux", *one.split("/")))} == can


def test_a_processor_without_32_bits_builds_nothing_for_them() -> None:
    newest = replace(host("pi 4, 64-bit kernel", "arm64"), cpu=Cpu("aarch64", None))
    assert not can_build(newest, Platform("linux", "arm", "v6"))


def test_images_of_other_names_are_built_under_these_of_the_persons_own_folder(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text(SHIPPED.read_text().replace("wzehren/phpsae", "me/site:v2"))
    tables: dict[str, object] = {
        "images": {"folder": "/home/me/my-app"}, "stack": {"file": "stack.yml"},
    }  # fmt: skip
    cluster = parse(tables, "test", tmp_path)
    hub = State(PI_4, {"wzehren/mysqlsae:latest": local(DATABASE, claim="arm/v7")}, {"me/site:v2": None})
    seen = {HUB: hub, "p1": State(ZERO, {"me/site:v2": None}, {})}
    checks = {check.aspect: check for check in images.judge(seen, cluster) if check.node == HUB}
    build, push = checks["me/site:v2 is in the registry"].fix
    assert isinstance(build, BuildImage)
    assert (build.reference, build.folder) == ("me/site:v2", "/home/me/my-app")
    assert isinstance(push, PushImage)
    assert push.reference == "me/site:v2"
