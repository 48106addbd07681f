"""Read what registries and engines say of an image: manifest lists, manifests, configurations (runbook L412-466).

Sources: the OCI image specification, Docker's image manifest version 2 schema 2, Docker Engine's API. Keys that
are not asked for are ignored; what is asked for and is of another kind is an ObservationError that names it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from harness.arch.platform import Platform
from harness.arch.programs import DEFAULT_PATH, Start
from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

LISTS = {
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
}
SINGLES = {
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
ATTESTATION = ("vnd.docker.reference.type", "attestation-manifest")
Object = dict[str, object]


@dataclass(frozen=True)
class Entry:
    """One image of a manifest list; `platform` is None where the list does not say."""

    digest: str
    platform: Platform | None


@dataclass(frozen=True)
class Manifest:
    """What a registry holds under one name: a list of images, or a single one with its configuration's digest."""

    entries: tuple[Entry, ...] | None
    config: str = ""

    @property
    def is_list(self) -> bool:
        """Whether an engine chooses from it by platform; a single image is pulled by whoever asks."""
        return self.entries is not None


@dataclass(frozen=True)
class Offer:
    """The registry's answer through an engine (`GET /distribution/NAME/json`): digest, kind and platforms."""

    digest: str
    is_list: bool
    platforms: tuple[Platform, ...]


@dataclass(frozen=True)
class Config:
    """An image's own configuration: its platform as it claims it, what it starts, and its volumes.

    Of one that an engine has, also the digests under which the registry knows it, and `id`, the engine's own digest
    of all that is in it: the same `id`, the same files.
    """

    platform: Platform
    start: Start
    volumes: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    id: str = ""


def manifest(text: str) -> Manifest:
    """A manifest list (OCI or Docker) without its attestations, or a single manifest."""
    row = _decode(text, "image manifest")
    kind = row.get("mediaType", "")
    if row.get("schemaVersion") != 2:  # noqa: PLR2004 - the only version that is in use
        raise ObservationError(
            f"image manifest: expected schemaVersion 2, got {excerpt(repr(row.get('schemaVersion')))}"
        )
    if kind in LISTS or (kind == "" and "manifests" in row):
        found = [_entry(one) for one in _objects(row, "manifests", "manifest list")]
        return Manifest(tuple(entry for entry in found if entry is not None))
    if kind in SINGLES or (kind == "" and "config" in row):
        return Manifest(None, _digest(_object(row, "config", "image manifest"), "image manifest"))
    raise ObservationError(f"image manifest: expected a list or a single manifest, got {excerpt(repr(kind))}")


def offer(text: str) -> Offer:
    """The answer of `GET /distribution/NAME/json`."""
    what = "distribution"
    row = _decode(text, what)
    descriptor = _object(row, "Descriptor", what)
    kind = _text(descriptor, "mediaType", what)
    if kind not in LISTS | SINGLES:
        raise ObservationError(f"{what}: expected the media type of a manifest, got {excerpt(kind)}")
    found = [_platform(one, what) for one in _objects(row, "Platforms", what)]
    platforms = tuple(one for one in found if not one.is_unknown)
    return Offer(_digest(descriptor, what), kind in LISTS, platforms)


def config(text: str) -> Config:
    """An image configuration (the blob that a manifest names)."""
    return _config(
        _decode(text, "image configuration"), "image configuration", ("os", "architecture", "variant"), "config"
    )


def inspected(text: str) -> Config:
    """One image as an engine describes it (`GET /images/NAME/json`), with the digests it was pulled or pushed as."""
    what = "docker image inspect"
    row = _decode(text, what)
    found = _config(row, what, ("Os", "Architecture", "Variant"), "Config")
    names = _words(row, "RepoDigests", what)
    return Config(found.platform, found.start, found.volumes, names, _text(row, "Id", what) if row.get("Id") else "")


def _config(row: Object, what: str, keys: tuple[str, str, str], inner: str) -> Config:
    system, architecture, variant = keys
    platform = Platform(
        _text(row, system, what), _text(row, architecture, what), _text(row, variant, what) if row.get(variant) else ""
    )
    start = _object(row, inner, what) if row.get(inner) is not None else {}
    argv = (*_words(start, "Entrypoint", what), *_words(start, "Cmd", what))
    variables = dict(pair.partition("=")[::2] for pair in _words(start, "Env", what))
    folder = _text(start, "WorkingDir", what) if start.get("WorkingDir") else "/"
    volumes = _object(start, "Volumes", what) if start.get("Volumes") is not None else {}
    return Config(platform, Start(argv, variables.get("PATH") or DEFAULT_PATH, folder), tuple(sorted(volumes)))


def _entry(row: Object) -> Entry | None:
    what = "manifest list"
    digest = _digest(row, what)
    notes = row.get("annotations")
    if isinstance(notes, dict) and notes.get(ATTESTATION[0]) == ATTESTATION[1]:
        return None
    if row.get("platform") is None:
        return Entry(digest, None)
    platform = _platform(_object(row, "platform", what), what)
    return None if platform.is_unknown else Entry(digest, platform)


def _platform(row: Object, what: str) -> Platform:
    variant = _text(row, "variant", what) if row.get("variant") else ""
    return Platform(_text(row, "os", what), _text(row, "architecture", what), variant)


def _decode(text: str, what: str) -> Object:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        raise ObservationError(f"{what}: expected JSON, got {excerpt(text)}") from None
    if not isinstance(row, dict):
        raise ObservationError(f"{what}: expected an object, got {excerpt(text)}")
    return row


def _object(row: Object, key: str, what: str) -> Object:
    value = row.get(key)
    if not isinstance(value, dict):
        raise _unexpected(what, "an object", key, value)
    return value


def _objects(row: Object, key: str, what: str) -> list[Object]:
    value = row.get(key)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _unexpected(what, "a list of objects", key, value)
    return value


def _words(row: Object, key: str, what: str) -> tuple[str, ...]:
    value = row.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _unexpected(what, "a list of texts", key, value)
    return tuple(value)


def _text(row: Object, key: str, what: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise _unexpected(what, "a text", key, value)
    return value


def _digest(row: Object, what: str) -> str:
    value = _text(row, "digest", what)
    if not DIGEST.fullmatch(value):
        raise _unexpected(what, "a digest", "digest", value)
    return value


def _unexpected(
    what: str,
    kind: Literal["an object", "a list of objects", "a list of texts", "a text", "a digest"],
    key: str,
    value: object,
) -> ObservationError:
    return ObservationError(f"{what}: expected {kind} under {key!r}, got {excerpt(repr(value))}")
