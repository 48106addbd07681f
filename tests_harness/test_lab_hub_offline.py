"""The lab's Docker Hub, images and saved cluster as far as they are functions of files: no root, no nodes."""

import gzip
import hashlib
import json
import os
import time
from pathlib import Path

from harness.lab.base import GUEST
from harness.lab.dockerhub import settings_of
from harness.lab.images import RECIPES, recipes
from harness.lab.layout import Layout
from harness.lab.preflight import inotify_left
from harness.lab.ready import Ready, deciding_files
from harness.lab.registry import Registry
from harness.lab.store import Store


def test_what_the_registry_serves_is_what_was_stored(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"a layer")
    digest = Store(tmp_path / "store").add_image(["a/b:1", "library/c:2"], layer, {"Cmd": ["d"]})
    top = tmp_path / "store/docker/registry/v2"

    def blob(name: str) -> bytes:
        content = (top / "blobs/sha256" / name[7:9] / name[7:] / "data").read_bytes()
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == name
        return content

    for link in ("a/b/_manifests/tags/1/current/link", "library/c/_manifests/tags/2/current/link"):
        assert (top / "repositories" / link).read_text() == digest
    manifest = json.loads(blob(digest))
    settings = json.loads(blob(manifest["config"]["digest"]))
    assert gzip.decompress(blob(manifest["layers"][0]["digest"])) == b"a layer"
    assert settings["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(b'a layer').hexdigest()}"]
    assert settings["config"] == {"Cmd": ["d"]}


def test_the_same_image_has_the_same_digest(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "other"):
        (tmp_path / name).write_bytes(b"a layer")
        digests.add(Store(tmp_path / f"store-{name}").add_image(["a/b:1"], tmp_path / name, {"B": 1, "A": 2}))
    assert len(digests) == 1


def test_every_image_has_a_recipe_and_a_documented_name() -> None:
    lists = recipes()
    names = [name for image in lists.values() if isinstance(image, dict) for name in image["names"]]
    assert names == ["library/php:8.2-apache", "clover/mysql:5.7"]
    assert all((RECIPES / name / "setup.sh").is_file() for name, image in lists.items() if isinstance(image, dict))


def test_a_saved_cluster_is_used_only_when_complete_and_not_older_than_a_month(tmp_path: Path) -> None:
    ready = Ready(tmp_path)
    assert not ready.is_usable()
    (tmp_path / "made").touch()
    assert ready.is_usable()
    for days in (31, -1):
        then = time.time() - days * 86400
        os.utime(tmp_path / "made", (then, then))
        assert not ready.is_usable()


def test_steps_and_parsers_decide_what_a_repair_does_and_reports_do_not() -> None:
    names = {"/".join(file.relative_to(GUEST.parents[2]).parts) for file in deciding_files()}
    assert {"harness/steps/hosts.py", "harness/parse/hosts.py", "harness/apply.py"} <= names
    assert not {name for name in names if name.startswith(("harness/report/", "harness/lab/")) or "pycache" in name}


def test_inotify_instances_are_counted_and_given_back() -> None:
    assert inotify_left(3) == inotify_left(3) > 0


def test_docker_hub_listens_only_in_the_labs_internet() -> None:
    http = settings_of(Layout("hatlab"), Registry(Path("/base")))["http"]
    assert http == {"addr": "203.0.113.1:443", "tls": {"certificate": "/base/hub.crt", "key": "/base/hub.key"}}
