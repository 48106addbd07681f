"""What registries and engines say of images is read in all its forms; any other text names what was expected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.arch.platform import Platform, choose, parse
from harness.arch.programs import DEFAULT_PATH, Start
from harness.errors import ObservationError
from harness.parse.manifest import Entry, Manifest, Offer, config, inspected, manifest, offer

if TYPE_CHECKING:
    from collections.abc import Callable

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_ONE = "application/vnd.docker.distribution.manifest.v2+json"
OCI_LIST, OCI_ONE = "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"
A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def entry(
    digest: str, architecture: str, variant: str = "", system: str = "linux", **more: object
) -> dict[str, object]:
    platform = {"architecture": architecture, "os": system} | ({"variant": variant} if variant else {})
    return {"mediaType": DOCKER_ONE, "size": 3040, "digest": digest, "platform": platform, **more}


def listing(*entries: dict[str, object], kind: str = DOCKER_LIST) -> str:
    named = {"mediaType": kind} if kind else {}
    return json.dumps({"schemaVersion": 2, **named, "manifests": list(entries)})


ATTESTATION = entry(
    C, "unknown", system="unknown", annotations={"vnd.docker.reference.type": "attestation-manifest"}
)  # fmt: skip


@pytest.mark.parametrize("kind", [DOCKER_LIST, OCI_LIST, ""])
def test_a_list_gives_its_images_in_order(kind: str) -> None:
    seen = manifest(listing(entry(A, "amd64"), entry(B, "arm", "v6"), kind=kind))
    assert seen == Manifest((Entry(A, Platform("linux", "amd64")), Entry(B, Platform("linux", "arm", "v6"))))
    assert seen.is_list


def test_attestations_are_no_images() -> None:
    bare = entry(C, "unknown", system="unknown")
    seen = manifest(listing(entry(A, "arm", "v7"), ATTESTATION, bare, kind=OCI_LIST))
    assert seen.entries == (Entry(A, Platform("linux", "arm", "v7")),)


def test_a_list_of_attestations_is_a_list_without_images() -> None:
    assert manifest(listing(ATTESTATION)) == Manifest(())


def test_an_entry_without_platform_is_kept_and_is_for_nobody_in_particular() -> None:
    bare = {"mediaType": OCI_ONE, "size": 1, "digest": A}
    assert manifest(listing(bare, kind=OCI_LIST)).entries == (Entry(A, None),)


def test_the_php_image_of_the_runbook_runs_on_a_pi_zero_as_v5() -> None:
    # php:8.2-apache has v5 and v7, and no v6.
    seen = manifest(listing(entry(A, "amd64"), entry(B, "arm", "v5"), entry(C, "arm", "v7"), entry(A, "arm64", "v8")))
    offered = [one.platform for one in seen.entries or () if one.platform]
    assert choose(parse("linux/arm/v6"), offered) == parse("linux/arm/v5")


@pytest.mark.parametrize("kind", [DOCKER_ONE, OCI_ONE, ""])
def test_a_single_manifest_names_its_configuration(kind: str) -> None:
    named = {"mediaType": kind} if kind else {}
    text = json.dumps({"schemaVersion": 2, **named, "config": {"mediaType": "x", "size": 1, "digest": B}, "layers": []})
    assert manifest(text) == Manifest(None, B)
    assert not manifest(text).is_list


def test_the_registry_answers_through_an_engine() -> None:
    platforms = [{"architecture": "arm", "os": "linux", "variant": "v6"}, {"architecture": "unknown", "os": "unknown"}]
    row = {"Descriptor": {"mediaType": OCI_LIST, "digest": A, "size": 1}, "Platforms": platforms}
    assert offer(json.dumps(row)) == Offer(A, True, (Platform("linux", "arm", "v6"),))  # noqa: FBT003
    single = {
        "Descriptor": {"mediaType": DOCKER_ONE, "digest": A},
        "Platforms": [{"architecture": "arm", "os": "linux"}],
    }
    assert offer(json.dumps(single)) == Offer(A, False, (Platform("linux", "arm"),))  # noqa: FBT003


START = {
    "Entrypoint": ["docker-php-entrypoint"], "Cmd": ["apache2-foreground"], "Env": ["A=b=c", "PATH=/bin:/x"],
    "WorkingDir": "/var/www/html", "Volumes": {"/hostpipe": {}},
}  # fmt: skip
WEB = Start(("docker-php-entrypoint", "apache2-foreground"), "/bin:/x", "/var/www/html")


def test_an_image_configuration() -> None:
    seen = config(json.dumps({"os": "linux", "architecture": "arm", "variant": "v6", "config": START, "history": []}))
    assert (seen.platform, seen.start, seen.volumes) == (Platform("linux", "arm", "v6"), WEB, ("/hostpipe",))


def test_an_image_as_its_engine_describes_it() -> None:
    row = {"Os": "linux", "Architecture": "arm", "Config": START, "RepoDigests": [f"wzehren/phpsae@{A}"], "Id": B}
    seen = inspected(json.dumps(row))
    assert (seen.platform, seen.start) == (Platform("linux", "arm"), WEB)
    assert seen.digests == (f"wzehren/phpsae@{A}",)


def test_an_image_that_names_nothing_has_the_usual_path_and_no_start() -> None:
    text = json.dumps({"os": "linux", "architecture": "arm", "config": {"Cmd": None, "Env": None, "Volumes": None}})
    assert config(text).start == Start((), DEFAULT_PATH, "/")
    assert config('{"os": "linux", "architecture": "arm"}').start == Start(())


READERS: list[Callable[[str], object]] = [manifest, offer, config, inspected]


@pytest.mark.parametrize(
    ("read", "text", "why"),
    [
        pytest.param(manifest, "<html>", "expected JSON", id="no JSON"),
        pytest.param(manifest, "[]", "expected an object", id="no object"),
        pytest.param(manifest, '{"schemaVersion": 1, "fsLayers": []}', "schemaVersion 2, got '1'", id="schema 1"),
        pytest.param(manifest, '{"schemaVersion": 2}', "a list or a single manifest", id="neither"),
        pytest.param(manifest, listing(entry("sha256:zz", "arm")), "a digest under 'digest'", id="no digest"),
        pytest.param(manifest, listing({"digest": A, "platform": []}), "an object under 'platform'", id="no platform"),
        pytest.param(manifest, listing({"digest": A, "platform": {"os": "linux"}}), "under 'architecture'", id="half"),
        pytest.param(manifest, '{"schemaVersion": 2, "manifests": {}}', "list of objects under", id="map"),
        pytest.param(offer, "{}", "an object under 'Descriptor'", id="no descriptor"),
        pytest.param(
            offer, json.dumps({"Descriptor": {"mediaType": "text/html", "digest": A}, "Platforms": []}), "media type",
            id="no manifest",
        ),
        pytest.param(config, '{"os": "linux"}', "a text under 'architecture'", id="no architecture"),
        pytest.param(config, '{"os": "linux", "architecture": "arm", "config": {"Cmd": "x"}}', "of texts", id="Cmd"),
        pytest.param(inspected, '{"os": "linux", "architecture": "arm"}', "a text under 'Os'", id="the other form"),
    ],
)  # fmt: skip
def test_a_text_of_another_kind_says_what_was_expected(read: Callable[[str], object], text: str, why: str) -> None:
    with pytest.raises(ObservationError, match=why):
        read(text)


@pytest.mark.parametrize("read", READERS, ids=["manifest", "offer", "config", "inspected"])
def test_text_nested_without_end_is_an_error(read: Callable[[str], object]) -> None:
    with pytest.raises(ObservationError):
        read("[" * 100_000)


KEYS = st.sampled_from([
    "schemaVersion", "mediaType", "manifests", "config", "digest", "platform", "os", "architecture", "variant",
    "Descriptor", "Platforms", "Os", "Architecture", "Config", "Cmd", "Entrypoint", "Env", "Volumes", "RepoDigests",
    "annotations", "WorkingDir",
])  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.sampled_from([2, DOCKER_LIST, OCI_ONE, A, "linux", "arm", "unknown", "PATH=/x"]),
)  # fmt: skip
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6))


@given(JSON, st.sampled_from(READERS))
def test_any_json_is_read_or_an_error_of_ours(value: object, read: Callable[[str], object]) -> None:
    try:
        assert read(json.dumps(value)) is not None
    except ObservationError as error:
        message = str(error)
    else:
        return
    assert "expected" in message
    assert "\n" not in message
