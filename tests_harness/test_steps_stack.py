"""Step `stack`: what of a service or a folder is wrong, what one deployment mends, and what only a person can."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter

from harness.actions import DeployStack, Run
from harness.errors import ObservationError
from harness.inventory import parse
from harness.parse.compose_parts import Mount, Port
from harness.parse.service_settings import is_elsewhere
from harness.steps import stack
from harness.steps.stack_look import deployed
from harness.steps.stack_sources import SOURCES, kinds
from tests_harness.fakes import outcomes_of
from tests_harness.fakes_cluster import differences, without
from tests_harness.fakes_stack import (
    CLUSTER,
    DATA,
    DATABASE,
    HUB,
    NO_MESH,
    NODES,
    SHARED,
    WEB,
    good_stack,
    machine,
)
from tests_harness.test_parse_services import CONTAINER, SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.inventory import Cluster
    from harness.model import Check

DEPLOY = ("deploy_stack",)
SITE_FOLDER = "/var/www/html"
EMPTY_SITE = Mount(type="volume", source="x", target=SITE_FOLDER)


def judge(seen: Mapping[str, stack.State], cluster: Cluster = CLUSTER) -> list[Check]:
    return list(stack.judge(seen, cluster))


def found(node: str, aspect: str, seen: Mapping[str, stack.State], cluster: Cluster = CLUSTER) -> Check:
    (check,) = [one for one in judge(seen, cluster) if (one.node, one.aspect) == (node, aspect)]
    return check


def with_source(node: str, path: str, kind: str | None) -> dict[str, stack.State]:
    seen = good_stack()
    return seen | {node: replace(seen[node], sources={**seen[node].sources, path: kind})}


def test_tasks_of_another_image_than_the_one_with_its_name_are_deployed_again() -> None:
    seen = good_stack()
    seen["p2"] = replace(seen["p2"], outdated=("serviceweb",))
    assert differences(judge(seen)) == {("p2", "tasks run the image that is here"): DEPLOY}


def with_compose(folder: Path, services: str) -> Cluster:
    (folder / "f.yml").write_text(f"version: '3.8'\nservices:\n{services}")
    return parse({"stack": {"file": "f.yml"}}, "x", folder)


def test_as_documented_nothing_differs_and_every_machine_is_spoken_of() -> None:
    assert differences(judge(good_stack())) == {}
    assert {one.node for one in judge(good_stack())} == set(CLUSTER.names)


@pytest.mark.parametrize(
    ("changed", "aspect"),
    [
        (replace(WEB, image="wzehren/phpsae:old"), "serviceweb image"),
        (replace(WEB, replicas=3), "serviceweb replicas"),
        (replace(WEB, replicas=None), "serviceweb replicas"),
        (replace(WEB, constraints=()), "serviceweb placement"),
        (replace(WEB, constraints=("node.labels.service != web",)), "serviceweb placement"),
        (replace(WEB, per_node=1), "serviceweb placement"),
        (replace(WEB, ports=()), "serviceweb published ports"),
        (replace(WEB, ports=(Port(target=80, published=8080),)), "serviceweb published ports"),
        (replace(WEB, ports=(Port(target=80, published=80, mode="host"),)), "serviceweb published ports"),
        (replace(WEB, endpoint="dnsrr"), "serviceweb name leads to"),
        (replace(WEB, mounts=()), "serviceweb mounts"),
        (replace(WEB, mounts=(*WEB.mounts, EMPTY_SITE)), "serviceweb mounts"),
        (replace(WEB, mounts=(*WEB.mounts, Mount(type="tmpfs", target=SITE_FOLDER))), "serviceweb mounts"),
        (replace(WEB, environment=("NODE_NAME",)), "serviceweb environment"),
        (replace(WEB, command=False), "serviceweb command"),
        (replace(WEB, settings=("restart_policy",)), "serviceweb other settings"),
        (replace(WEB, update="paused", message="update paused due to failure"), "serviceweb update"),
        (replace(WEB, update="rollback_completed"), "serviceweb update"),
    ],
)
def test_one_difference_of_a_service_is_one_aspect_and_one_deployment(changed: object, aspect: str) -> None:
    seen = good_stack(DATABASE, changed)  # type: ignore[arg-type]
    assert differences(judge(seen)) == {(HUB, aspect): DEPLOY}


@pytest.mark.parametrize("update", ["", "updating", "completed", "rollback_started"])
def test_an_update_that_goes_on_or_went_through_is_no_difference(update: str) -> None:
    assert differences(judge(good_stack(DATABASE, replace(WEB, update=update)))) == {}


def test_a_service_that_is_not_there_is_deployed_and_one_too_many_is_left_to_a_person() -> None:
    seen = good_stack(WEB, replace(DATABASE, name="mine"))
    assert differences(judge(seen)) == {(HUB, "servicebd is deployed"): DEPLOY}
    other = found(HUB, "other services in the stack", seen)
    assert (other.level, other.seen, other.fix) == ("advice", "mine", ())


def test_a_deployment_has_the_file_in_no_field() -> None:
    (action,) = found(HUB, "serviceweb is deployed", good_stack(DATABASE)).fix
    digest = CLUSTER.stack.content.digest
    assert isinstance(action, DeployStack)
    assert (action.node, action.stack, action.digest, action.mesh, action.owner) == (HUB, "appli", digest, "", "pi:pi")
    assert "image:" not in repr(action)


def test_where_a_kernel_can_carry_no_mesh_ports_are_wanted_in_host_mode_and_that_is_said() -> None:
    hosted = replace(WEB, endpoint="dnsrr", ports=(Port(target=80, published=80, mode="host"),))
    base = replace(DATABASE, endpoint="dnsrr", ports=(Port(target=3306, published=3306, mode="host"),))
    seen = good_stack(base, hosted, obstacle=NO_MESH)
    assert differences(judge(seen)) == {}
    mesh = found(HUB, "ports in ingress mode", seen)
    assert (mesh.level, mesh.holds) == ("advice", False)
    assert mesh.seen == f"skipped, ports are published in host mode: cnat, p1, p2, p3, p4: {NO_MESH}"
    wrong = good_stack(obstacle=NO_MESH)
    (action,) = found(HUB, "serviceweb published ports", wrong).fix
    assert isinstance(action, DeployStack)
    assert action.mesh == f"on cnat {NO_MESH}"
    assert found(HUB, "ports in ingress mode", good_stack()).holds


def test_a_machine_that_is_off_and_may_lack_the_mesh_is_no_reason_to_deploy_anew() -> None:
    hosted = replace(WEB, endpoint="dnsrr", ports=(Port(target=80, published=80, mode="host"),))
    base = replace(DATABASE, endpoint="dnsrr", ports=(Port(target=3306, published=3306, mode="host"),))
    assert differences(judge(without(good_stack(base, hosted), "p2"))) == {}
    assert "p2: nobody answers" in found(HUB, "ports in ingress mode", without(good_stack(base, hosted), "p2")).seen
    assert differences(judge(good_stack(base, hosted))) != {}
    assert differences(judge(without(good_stack(), "p2"))) == {}


def test_a_missing_folder_is_made_with_its_owner_on_its_machine_before_anything_is_deployed() -> None:
    seen = good_stack(DATABASE)
    seen = {name: replace(one, sources={SHARED: None, DATA: None}) for name, one in seen.items()}
    failing = [one for one in judge(seen) if not one.holds and one.level == "must"]
    fixes = {one.node: one.fix[0] for one in failing[:5]}
    assert [one.aspect for one in failing if one.node == HUB] == [f"{DATA} is there", "serviceweb is deployed"]
    for node in NODES:
        assert fixes[node] == Run(
            node, ("install", "-d", "-o", "pi", "-g", "pi", "-m", "755", SHARED),
            "make the folder that a service mounts, of pi",
        )  # fmt: skip
    data = fixes[HUB]
    assert isinstance(data, Run)
    assert data.argv == ("install", "-d", "-o", "root", "-g", "root", "-m", "755", DATA)


def test_a_folder_is_wanted_only_where_the_service_may_run() -> None:
    assert differences(judge(with_source("p1", DATA, None))) == {}
    assert differences(judge(with_source(HUB, SHARED, None))) == {}


@pytest.mark.parametrize("kind", ["regular file", "link to nothing", "regular empty file", "fifo"])
def test_what_is_in_the_place_of_a_folder_is_moved_by_a_person(kind: str) -> None:
    check = found("p1", f"{SHARED} is there", with_source("p1", SHARED, kind))
    assert (check.holds, check.fix) == (False, ())
    assert "move it aside" in check.by_hand


@pytest.mark.parametrize(
    ("path", "kind", "holds", "is_made"),
    [
        ("/srv/data", None, False, True),
        ("/var/lib/mine/data", None, False, True),
        ("/mnt/disk/data", None, False, False),
        ("/media/usb", None, False, False),
        ("/run/docker.sock", None, False, False),
        ("/var/run/docker.sock", "socket", True, False),
        ("/etc/localtime", "regular file", True, False),
        ("/srv/setting.conf", None, False, False),
        ("/srv/setting.conf", "regular file", True, False),
        ("/var/lib/docker/x", None, False, False),
        ("/home", None, False, False),
        ("/srv/../etc/x", None, False, False),
    ],
)
def test_a_folder_is_made_only_where_an_empty_one_can_be_meant(
    tmp_path: Path,
    path: str,
    kind: str | None,
    holds: bool,  # noqa: FBT001
    is_made: bool,  # noqa: FBT001
) -> None:
    cluster = with_compose(tmp_path, f"  serviceweb:\n    image: wzehren/phpsae\n    volumes: ['{path}:/x']\n")
    seen = {name: replace(one, sources={path: kind}) for name, one in good_stack().items()}
    check = found("p1", f"{path} is there", seen, cluster)
    assert (check.holds, bool(check.fix) and not check.holds) == (holds, is_made)
    assert check.holds or check.fix or check.by_hand


def test_a_machine_that_mounts_nothing_is_spoken_of_all_the_same(tmp_path: Path) -> None:
    cluster = with_compose(tmp_path, "  serviceweb:\n    image: wzehren/phpsae\n")
    assert {one.node for one in judge(good_stack(), cluster)} == set(CLUSTER.names)


def test_a_constraint_that_nobody_meets_is_left_to_its_author(tmp_path: Path) -> None:
    line = "    deploy: {placement: {constraints: [node.labels.disk == ssd]}}\n"
    cluster = with_compose(tmp_path, f"  serviceweb:\n    image: wzehren/phpsae\n{line}")
    check = found(HUB, "serviceweb may run somewhere", good_stack(), cluster)
    assert (check.holds, check.seen, check.fix) == (False, "nobody", ())
    seen = good_stack()
    own = seen[HUB].manager
    assert own
    labelled = (*(one for one in own.machines if one.name != "p2"), machine("p2", disk="ssd"))
    seen[HUB] = replace(seen[HUB], manager=replace(own, machines=labelled))
    assert found(HUB, "serviceweb may run somewhere", seen, cluster).seen == "p2"


def test_what_is_weak_in_the_documented_file_is_advice() -> None:
    advice = {one.aspect: one.seen for one in judge(good_stack()) if one.level == "advice" and not one.holds}
    assert advice == {
        "serviceweb healthcheck": "none", "serviceweb limits": "none", "servicebd healthcheck": "none",
        "servicebd limits": "none", "servicebd database open to everybody": "port 3306 is published",
    }  # fmt: skip


def test_nothing_is_concluded_of_a_controller_that_did_not_answer() -> None:
    assert judge(without(good_stack(), HUB)) == []


def test_a_node_without_an_answer_leaves_the_others_alone() -> None:
    places = {one.place.node: str(one.verdict) for one in outcomes_of(stack, without(good_stack(), "p2"), CLUSTER)}
    assert places == {HUB: "ok", "p1": "ok", "p2": "unknown", "p3": "ok", "p4": "ok"}


def test_a_state_survives_a_tape() -> None:
    adapter = TypeAdapter(stack.State)
    for one in good_stack(obstacle=NO_MESH).values():
        assert adapter.validate_python(adapter.dump_python(one, mode="json")) == one


NETWORKS = [{"Target": "qzkt42", "Aliases": ["serviceweb"]}]
ENDPOINT = {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 80, "PublishMode": "ingress"}]}


def entry(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 - any field of a container
    placement = {"Constraints": ["node.labels.service == web"]}
    template = {"ContainerSpec": CONTAINER | changed, "Placement": placement, "Networks": NETWORKS}
    return {**SERVICE, "Spec": {**SERVICE["Spec"], "TaskTemplate": template, "EndpointSpec": ENDPOINT}}


def test_a_real_service_is_read_as_the_file_wants_it() -> None:
    assert deployed(entry(), CLUSTER) == replace(WEB, id="1jv0", image="wzehren/phpsae:latest@sha256:f247")


@pytest.mark.parametrize(
    ("env", "names"),
    [([], ("NODE_NAME",)), (["NODE_NAME=p1"], ("NODE_NAME",)), ([*CONTAINER["Env"], "PASSWORD=aBc"], ("PASSWORD",))],
)
def test_of_an_environment_only_names_are_kept(env: list[str], names: tuple[str, ...]) -> None:
    found = deployed(entry(Env=env), CLUSTER)
    assert found.environment == names
    assert "aBc" not in repr(found)


@pytest.mark.parametrize("changed", [{"Args": ["sleep"]}, {"Command": ["sh"]}])
def test_another_command_is_noted_without_its_words(changed: dict[str, list[str]]) -> None:
    assert not deployed(entry(**changed), CLUSTER).command


@pytest.mark.parametrize(
    "networks", [[], None, [{"Target": "other"}], [*NETWORKS, {"Target": "other", "Aliases": ["serviceweb"]}]]
)
def test_a_service_that_left_its_network_or_has_another_is_noted(networks: list[dict[str, Any]] | None) -> None:
    moved = entry(User="nobody")
    moved["Spec"]["TaskTemplate"]["Networks"] = networks
    assert deployed(moved, CLUSTER).settings == ("networks", "user")


@pytest.mark.parametrize(
    ("found", "networks", "is_other"),
    [
        ([{"Target": "host"}], ["host"], False),
        ([{"Target": "host"}], ["default"], True),
        ([{"Target": "a", "Aliases": ["web"]}, {"Target": "host"}], ["default", "host"], False),
        ([{"Target": "host"}, {"Target": "host"}], ["default", "host"], True),
    ],
)
def test_in_a_network_of_dockers_own_nobody_has_a_name(
    found: list[dict[str, Any]],
    networks: list[str],
    is_other: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert is_elsewhere({"Networks": found}, networks, "web") is is_other


def test_a_service_that_the_file_does_not_know_is_read_all_the_same() -> None:
    other = entry()
    other["Spec"] = {**other["Spec"], "Name": "appli_other"}
    assert deployed(other, CLUSTER).name == "other"


def test_each_path_has_its_kind() -> None:
    assert kinds("directory\n-\n", ["/a", "/b"]) == {"/a": "directory", "/b": None}
    assert SOURCES.command(["/a", "/b"]) == "sh -c %s ask %s %s"


@pytest.mark.parametrize("text", ["", "directory", "directory\n\n-"])
def test_another_number_of_answers_than_paths_is_unknown(text: str) -> None:
    with pytest.raises(ObservationError, match="a line for each of 2 paths"):
        kinds(text, ["/a", "/b"])
