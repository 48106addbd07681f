"""The images of the lab's Docker Hub, built of Debian packages once and cached as a registry serves them.

No engine takes part: mmdebstrap writes the layer of an image, and the store is written as files. The cache is
keyed by what determines the content, and is complete when it has its name.
"""

import hashlib
import platform
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.lab.cache import Say, ensure_entry
from harness.lab.layout import CACHE_HOME
from harness.lab.run import run
from harness.lab.sources import machine_sources
from harness.lab.store import Store

RECIPES = Path(__file__).parent / "hub"
_BUILD_SECONDS = 1800.0
_NO_DOCUMENTS = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True)
class Images:
    """A complete set of images in the cache."""

    home: Path

    @property
    def store(self) -> Path:
        """What a registry serves."""
        return self.home / "store"


def recipes() -> dict[str, Any]:
    """The tables of hub/images.toml."""
    return tomllib.loads((RECIPES / "images.toml").read_text())


def cached_images() -> Images:
    """Where the images of this version are, or will be."""
    digest = hashlib.sha256(platform.machine().encode())
    files = sorted(file for file in RECIPES.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    for file in [*files, RECIPES.parent / "images.py", RECIPES.parent / "store.py"]:
        digest.update(f"\0{file.relative_to(RECIPES.parent)}\0".encode())
        digest.update(file.read_bytes())
    return Images(CACHE_HOME / f"images-{digest.hexdigest()[:16]}")


def ensure_images(say: Say) -> Images:
    """Return the images, built now when the cache has none. LabError with the last words of what failed."""
    images = cached_images()
    ensure_entry(images.home, lambda draft: _build(Images(draft), say), say)
    return images


def _build(images: Images, say: Say) -> None:
    images.store.mkdir()
    lists = recipes()
    suite = lists.pop("suite")
    say(f"building the images {', '.join(name for image in lists.values() for name in image['names'])} (once) …")
    began = time.monotonic()
    with ThreadPoolExecutor(len(lists)) as pool:
        layers = list(pool.map(lambda name: _layer(images.home, name, lists[name], suite), lists))
    for image, layer in zip(lists.values(), layers, strict=True):
        Store(images.store).add_image(image["names"], layer, image["config"])
    say(f"  … done in {time.monotonic() - began:.0f} s")


def _layer(home: Path, name: str, image: dict[str, Any], suite: str) -> Path:
    """Build the one layer of image `name` as a tar file in `home`."""
    layer = home / f"{name}.tar"
    sources = []
    for ending, text in machine_sources(suite).items():
        sources.append(home / f"{name}.{ending}")
        sources[-1].write_text(text)
    # As for the base: neither the build nor its mounts may outlive us.
    argv = ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "mmdebstrap", "--mode=root", "--variant=minbase"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in _NO_DOCUMENTS]
    argv += [f"--include={','.join(image['packages'])}"]
    argv += [f'--customize-hook=sh "{RECIPES / name / "setup.sh"}" "$1"']
    # The machine's package sources are of no use in the lab, and nobody else's business.
    argv += ['--customize-hook=rm -rf "$1"/etc/apt/sources.list.d/* && : > "$1"/etc/apt/sources.list']
    run([*argv, suite, str(layer), *map(str, sources)], timeout=_BUILD_SECONDS)
    for file in sources:
        file.unlink()
    return layer
