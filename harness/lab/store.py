"""Images as a registry keeps them on disk: blobs by digest, and links that name them.

The layout is that of Docker's own registry (distribution, registry/storage/paths.go): what is written here is
served by it unchanged, so no engine and no upload are needed to offer an image.
"""

import gzip
import hashlib
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What a processor is called in an image, by its name in `uname -m`.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm"}
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_BLOCK = 1 << 20
_FASTEST = 1
_CREATED = "2023-06-18T00:00:00Z"  # the runbook's day: an image of the same content has the same digest


@dataclass(frozen=True)
class Blob:
    """A file in the store: its digest as "sha256:<hex>" and its size in bytes."""

    digest: str
    size: int

    def described(self, kind: str) -> dict[str, Any]:
        """The blob as a manifest refers to it."""
        return {"mediaType": kind, "size": self.size, "digest": self.digest}


@dataclass(frozen=True)
class Store:
    """The directory that a registry serves."""

    top: Path

    @property
    def _v2(self) -> Path:
        return self.top / "docker/registry/v2"

    def add_image(self, names: Sequence[str], layer: Path, config: Mapping[str, Any]) -> str:
        """Add an image of one layer, a tar file that is moved away, under `names`; return its digest.

        A name is as in "clover/mysql:5.7"; `config` holds the keys of an image's own `config` (Env, Cmd, …).
        """
        plain, archive = self._take(layer)
        about = {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": _CREATED,
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [plain.digest]},
            "history": [{"created": _CREATED, "created_by": "hatcheck lab"}],
        }
        settings = self._put(_json(about))
        manifest = self._put(_json(_manifest(settings, archive)))
        for name in names:
            repository, _, tag = name.partition(":")
            links = self._v2 / "repositories" / repository
            for blob in (settings, archive):
                _link(links / "_layers" / _path(blob), blob)
            _link(links / "_manifests/revisions" / _path(manifest), manifest)
            _link(links / "_manifests/tags" / tag / "index" / _path(manifest), manifest)
            _link(links / "_manifests/tags" / tag / "current", manifest)
        return manifest.digest

    def _put(self, content: bytes) -> Blob:
        blob = Blob(f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
        path = self._path_of(blob)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return blob

    def _take(self, file: Path) -> tuple[Blob, Blob]:
        """Move `file` into the store, packed as every client expects it: what it was, and what it became."""
        packed = self.top / "packed"
        self.top.mkdir(parents=True, exist_ok=True)
        with (
            file.open("rb") as content,
            packed.open("wb") as raw,
            gzip.GzipFile("", "wb", _FASTEST, raw, mtime=0) as target,  # no name and no time: one digest
        ):
            shutil.copyfileobj(content, target, _BLOCK)
        before, after = _blob_of(file), _blob_of(packed)
        path = self._path_of(after)
        path.parent.mkdir(parents=True, exist_ok=True)
        packed.rename(path)
        file.unlink()
        return before, after

    def _path_of(self, blob: Blob) -> Path:
        word = blob.digest.removeprefix("sha256:")
        return self._v2 / "blobs/sha256" / word[:2] / word / "data"


def _blob_of(file: Path) -> Blob:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return Blob(f"sha256:{digest}", file.stat().st_size)


def _manifest(settings: Blob, archive: Blob) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": settings.described(_CONFIG),
        "layers": [archive.described(_LAYER)],
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _path(blob: Blob) -> str:
    return blob.digest.replace(":", "/")


def _link(folder: Path, blob: Blob) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "link").write_text(blob.digest)
