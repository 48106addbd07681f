"""Part of step `images`: what the runbook builds into the images is in them (runbook L244-318, L323-334); pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.model import Check
    from harness.parse.manifest import Config
    from harness.steps.images_documented import Documented


@dataclass(frozen=True)
class Owned:
    """A file or folder of an image: permission bits, and "user:group" by the image's own /etc/passwd and /etc/group."""

    mode: int
    owner: str


@dataclass(frozen=True)
class Content:
    """What lies at the documented paths (None: nothing), and the modules that PHP loads, in small letters."""

    files: dict[str, Owned | None]
    php_modules: tuple[str, ...] = ()


def judge_content(name: str, image: Documented, config: Config, content: Content, by_hand: str) -> Iterator[Check]:
    """Each file with its owner and mode, each volume, each module of PHP that the runbook asks for."""
    for wanted in image.files:
        found = content.files.get(wanted.path)
        aspect = f"{wanted.path} in {image.reference}"
        yield expect(
            name, f"owner of {aspect}", want=wanted.owner, seen=found.owner if found else "not there", by_hand=by_hand
        )
        if wanted.mode is not None:
            seen = f"{found.mode:o}" if found else "not there"
            yield expect(name, f"mode of {aspect}", want=f"{wanted.mode:o}", seen=seen, by_hand=by_hand)
    for volume in image.volumes:
        seen = "declared" if volume in config.volumes else "not declared"
        yield expect(name, f"volume {volume} of {image.reference}", want="declared", seen=seen, by_hand=by_hand)
    for module in image.php_modules:
        seen = "loaded" if module in content.php_modules else "not loaded"
        yield expect(name, f"PHP module {module} of {image.reference}", want="loaded", seen=seen, by_hand=by_hand)
