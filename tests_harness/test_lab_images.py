"""Faults of the step `images` on the real lab: seen exactly there, mended or left to a person, and nothing left.

Docker Hub has at the end what it had before, so that services that run on a digest are none the wiser.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from harness.lab import NODES, PORTS, Lab, cgroups
from harness.lab.mounts import remove_tree
from harness.model import Verdict
from harness.steps import images_engine
from tests_harness import second_judge
from tests_harness.elf_builder import Program, build
from tests_harness.faultkit import EVERYTHING, Fault, at, go, on, prove

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.inventory import Cluster
    from tests_harness.labkit import Finished

pytestmark = pytest.mark.lab
IMAGES = ("images",)
WEB, DATABASE = "wzehren/phpsae", "wzehren/mysqlsae"
W, D = f"{WEB}:latest", f"{DATABASE}:latest"
SAME = f"{W} is the same everywhere"
LISTED = f"{W} is in the registry"
# A Dockerfile on its standard input; Docker pulls nothing for it, since what it starts from is there.
BUILD = f"printf 'FROM {WEB}\\n%s\\n' {{}} | docker build -q -t {WEB} - >/dev/null"
OTHER = BUILD.format("'LABEL other=1'")
# What a build for another image leaves once its name is ours again.
PRUNE = "docker image prune -f >/dev/null"
ARM = base64.b64encode(build(Program({"CPU_arch": 10}))).decode()
ARM_APACHE = BUILD.format(f"'RUN echo {ARM} | base64 -d > /usr/sbin/apache2'")
# Only the label of the image is changed, by what Docker itself writes and reads.
MISLABEL = """
cd $(mktemp -d); docker save IMAGE | tar x
python3 - <<'END'
import hashlib, json, pathlib
rows = json.loads(pathlib.Path("manifest.json").read_text())
config = json.loads(pathlib.Path(rows[0]["Config"]).read_text())
text = json.dumps(config | {"architecture": "arm64"}).encode()
rows[0]["Config"] = f"{hashlib.sha256(text).hexdigest()}.json"
pathlib.Path(rows[0]["Config"]).write_bytes(text)
pathlib.Path("manifest.json").write_text(json.dumps(rows))
END
tar c . | docker load -q >/dev/null; rm -r "$PWD"
"""
# One for each machine, at once: each is seen on its own machine only.
AT_ONCE = {
    "p1": (BUILD.format("'RUN chown root:root /var/www/html'"), SAME, f"owner of /var/www/html in {W}"),
    "p2": (
        BUILD.format("'RUN rm /usr/local/etc/php/conf.d/docker-php-ext-mysqli.ini'"), SAME,
        f"PHP module mysqli of {W}",
    ),
    "p3": (f"docker rmi -f {W}", f"{W} is there"),
    "p4": (BUILD.format(f"'RUN echo {ARM} | base64 -d > /usr/sbin/apache2'"), SAME, f"{W} can run there"),
    "cnat": (f"docker rmi -f {DATABASE}", f"{D} is there"),
}  # fmt: skip
FAULTS = {
    "the tag has moved on": Fault(
        "p4", f"{OTHER}; docker push -q {WEB}",
        at("images", "p1", SAME) | at("images", "p2", SAME) | at("images", "p3", SAME),
    ),
}  # fmt: skip


def repository(lab: Lab, name: str = "") -> Path:
    """Where the lab's Docker Hub keeps what was pushed under a name; the layers lie elsewhere."""
    return lab.layout.registry_store / "docker/registry/v2/repositories" / name


def forget(lab: Lab, name: str) -> None:
    """Have Docker Hub know no image under a name; that the layers are there spares the time to upload them again."""
    remove_tree(repository(lab, name) / "_manifests")


@pytest.fixture(scope="module", autouse=True)
def _as_published(ready: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    kept = tmp_path_factory.mktemp("hub") / "repositories"
    shutil.copytree(repository(ready), kept)
    yield
    remove_tree(repository(ready))
    shutil.copytree(kept, repository(ready))
    done = go(ready, "repair", IMAGES)
    assert done.code == 0, done.said


def digests(lab: Lab) -> set[str]:
    """What the nodes have the web image as."""
    shown = "docker image inspect -f '{{join .RepoDigests \" \"}}' " + WEB
    return {on(lab, node, shown).strip() for node in PORTS}


def left(lab: Lab) -> str:
    """What looks have left on the machines, and the volumes that nobody uses."""
    script = f"docker ps -aq --filter label={images_engine.LABEL}; docker volume ls -q --filter dangling=true"
    return "".join(on(lab, node, script) for node in NODES)


def impatient(cluster: Cluster) -> Cluster:
    return cluster.model_copy(update={"ssh": cluster.ssh.model_copy(update={"limit": 3.0})})


@contextmanager
def frozen(lab: Lab) -> Iterator[None]:
    """Docker Hub takes connections, and says nothing."""
    pids = cgroups.members(f"{lab.layout.cgroup}/internet")
    assert pids
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        thaw(pids)


def thaw(pids: set[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def all_well(done: Finished) -> bool:
    return {done.verdicts()[f"images[{node}]"] for node in NODES} == {Verdict.OK}


@pytest.mark.field
def test_from_no_image_anywhere_one_repair_publishes_both_and_spreads_them(ready: Lab) -> None:
    before = left(ready)
    for node in NODES:
        on(ready, node, f"docker rmi -f {WEB} {DATABASE} || true")
    for name in (WEB, DATABASE):
        forget(ready, name)
    done = go(ready, "repair", IMAGES)
    assert done.code == 0, done.said
    kinds = [one.action.kind for one in done.outcome("images", "cnat").done]
    assert kinds == ["build_image", "push_image", "build_image", "push_image"]
    (digest,) = digests(ready)
    assert digest.startswith(f"{WEB}@sha256:")
    again = go(ready, "repair", IMAGES)
    assert (again.code, again.applied()) == (0, 0), again.said
    assert left(ready) == before


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_seen_exactly_there_and_mended(ready: Lab, fault: Fault) -> None:
    prove(ready, fault, *IMAGES)


def test_what_is_wrong_on_one_machine_is_seen_there_and_mended_from_the_registry(ready: Lab) -> None:
    for node, (damage, *_) in AT_ONCE.items():
        on(ready, node, damage)
    seen = go(ready, "verify", IMAGES)
    assert seen.differing() == {
        ("images", node, aspect) for node, (_, *aspects) in AT_ONCE.items() for aspect in aspects
    }
    (runs,) = [check for check in seen.outcome("images", "p4").checks if check.aspect == f"{W} can run there"]
    assert "/usr/sbin/apache2 is built for arm" in runs.seen
    bad = {place for place, is_good in second_judge.judge(ready, *IMAGES).items() if not is_good}
    assert bad == {f"images[{node}]" for node in AT_ONCE}
    done = go(ready, "repair", IMAGES)
    assert done.code == 0, done.said
    assert {done.verdicts()[f"images[{node}]"] for node in NODES} == {Verdict.REPAIRED}
    for node in NODES:
        on(ready, node, PRUNE)


@pytest.mark.field
def test_an_engine_that_hangs_blocks_only_its_own_machine(ready: Lab) -> None:
    on(ready, "p2", "pkill -STOP -x dockerd")
    try:
        seen = go(ready, "verify", IMAGES, change=impatient)
    finally:
        on(ready, "p2", "pkill -CONT -x dockerd")
    assert seen.differing() == frozenset()
    assert seen.verdicts()["engine[p2]"] is Verdict.UNKNOWN
    assert seen.verdicts()["images[p2]"] is Verdict.BLOCKED


@pytest.mark.field
def test_a_label_that_lies_is_advice_and_the_image_is_fetched_anew(ready: Lab) -> None:
    on(ready, "p1", MISLABEL.replace("IMAGE", WEB), limit=120)
    seen = go(ready, "verify", IMAGES)
    assert seen.differing() == at("images", "p1", SAME)
    labels = {check.seen for check in seen.outcome("images", "p1").checks if check.aspect == f"label of {W}"}
    assert labels == {"it says linux/arm64 and contains linux/amd64"}
    assert go(ready, "repair", IMAGES).code == 0
    on(ready, "p1", PRUNE)


@pytest.mark.field
def test_what_the_registry_has_lost_comes_back_from_a_node_and_is_not_built_anew(ready: Lab) -> None:
    held = "docker image inspect -f '{{.Id}}' " + WEB
    before = on(ready, "p4", held)
    forget(ready, WEB)
    seen = go(ready, "plan", IMAGES)
    assert seen.differing() == at("images", "cnat", LISTED)
    assert [action.kind for action in seen.outcome("images", "cnat").planned] == ["push_image"]
    done = go(ready, "repair", IMAGES)
    assert done.code == 0, done.said
    # The engine packs what it pushes anew, so the digest may be another one; what is in it is not.
    assert {on(ready, node, held) for node in PORTS} == {before}


def test_a_registry_that_is_off_makes_nothing_a_difference_and_is_the_cause_of_all_that_waits(ready: Lab) -> None:
    ready.docker_hub(on=False)
    try:
        seen = go(ready, "repair", EVERYTHING)
    finally:
        ready.docker_hub(on=True)
    assert seen.applied() == 0
    assert seen.verdicts()["images[cnat]"] is Verdict.UNKNOWN
    assert "registry-1.docker.io" in seen.outcome("images", "cnat").reason
    assert {seen.verdicts()[f"images[{node}]"] for node in PORTS} == {Verdict.OK}
    assert seen.record
    others = [one for one in seen.record.outcomes if str(one.place) != "images[cnat]"]
    assert {str(one.cause) for one in others if one.verdict is not Verdict.OK} == {"images[cnat]"}, seen.said
    assert {one.place.step for one in others if one.verdict is Verdict.BLOCKED} >= {"stack", "replicas", "web"}
    assert "defect" not in seen.said


def test_a_registry_that_takes_its_time_is_waited_for_and_one_that_never_answers_is_not(ready: Lab) -> None:
    with frozen(ready):
        seen = go(ready, "verify", IMAGES, change=impatient)
        assert seen.verdicts()["images[cnat]"] is Verdict.UNKNOWN
        assert "Docker gave no answer within 3 s to GET" in seen.outcome("images", "cnat").reason
    with frozen(ready):
        pids = cgroups.members(f"{ready.layout.cgroup}/internet")
        timer = threading.Timer(4, thaw, (pids,))
        timer.start()
        try:
            assert all_well(go(ready, "verify", IMAGES))
        finally:
            timer.join()


@pytest.mark.field
def test_what_a_killed_look_has_left_goes_and_nothing_else(ready: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    label = f"--label {images_engine.LABEL}=images"
    on(ready, "p1", f"docker create --name ours {label} {WEB} x; docker create --name foreign {WEB} x")
    names = "docker ps -a --format '{{.Names}}' | sort"
    try:
        assert all_well(go(ready, "verify", IMAGES))
        assert {"ours", "foreign"} <= set(on(ready, "p1", names).split()), "a look of this hour may still need it"
        monkeypatch.setattr(images_engine, "STALE", 0)
        assert all_well(go(ready, "verify", IMAGES))
        assert not {"ours"} & set(on(ready, "p1", names).split())
    finally:
        on(ready, "p1", "docker rm -fv foreign; docker rm -fv ours || true")


def test_nothing_of_these_faults_is_left(ready: Lab) -> None:
    done = go(ready, "repair", IMAGES)
    assert (done.code, done.applied(), done.said) == (0, 0, "")
