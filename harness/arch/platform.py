"""Platforms (os/architecture/variant) and who accepts whose, by containerd's rules.

Source: github.com/containerd/platforms, compare.go, database.go and platforms.go. Where containerd takes an empty
operating system for that of the machine it runs on, Linux is meant here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WORD = re.compile(r"[A-Za-z0-9_.-]+")
SYSTEM = re.compile(r"[A-Za-z0-9_-]+")
OLDEST_ARM, OLDEST_ARM64 = 5, 8
ARCHITECTURES = {
    "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "ppc64", "ppc64le", "loong64", "mips", "mipsle",
    "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64",
    "wasm",
}  # fmt: skip
# Every v9.N has all of v8.(N+5); there is no v8.10 and nothing after v9.7.
LAST_MINOR = {8: 9, 9: 7}


@dataclass(frozen=True, order=True)
class Platform:
    """What an image is for or an engine offers; the variant is empty where nobody said one."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part) if self.os else "unknown"

    @property
    def is_unknown(self) -> bool:
        """Whether this is the "unknown/unknown" of an attestation, which is no image at all."""
        return self.os == "unknown" and self.architecture == "unknown"


def parse(text: str) -> Platform:
    """The platform of `os/architecture[/variant]`, or of a known architecture alone, which is Linux's.

    As containerd writes them, `arm/v7` loses its variant when nobody gave it and `arm64` keeps one that somebody
    gave. ObservationError for any other text.
    """
    parts = text.split("/")
    if not all(WORD.fullmatch(part) for part in parts) or not SYSTEM.fullmatch(parts[0]):
        raise _unreadable(text)
    if len(parts) == 1:
        found = _unless_default(normalize(Platform("linux", parts[0])))
        if found.architecture not in ARCHITECTURES:
            raise _unreadable(text)
        return found
    if len(parts) == len(("os", "architecture")):
        return _unless_default(normalize(Platform(*parts)))
    if len(parts) == len(("os", "architecture", "variant")):
        full = normalize(Platform(*parts))
        return replace(full, variant="v8") if (full.architecture, full.variant) == ("arm64", "") else full
    raise _unreadable(text)


def normalize(platform: Platform) -> Platform:
    """The one spelling that platforms are compared in: an `arm` without variant is v7, arm64/v8 has none."""
    system = platform.os.lower() or "linux"
    variant = platform.variant.lower()
    match platform.architecture.lower():
        case "i386":
            named = ("386", "")
        case "x86_64" | "x86-64" | "amd64":
            named = ("amd64", "" if variant == "v1" else variant)
        case "aarch64" | "arm64":
            named = (
                "arm64",
                {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"}.get(variant, variant),
            )
        case "armhf":
            named = ("arm", "v7")
        case "armel":
            named = ("arm", "v6")
        case "arm":
            named = ("arm", {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant))
        case other:
            named = (other, variant)
    return Platform("darwin" if system == "macos" else system, *named)


def accepted(host: Platform) -> tuple[Platform, ...]:
    """All platforms that an engine of this platform takes, normalized, the best first."""
    return tuple(dict.fromkeys(normalize(one) for one in _vector(normalize(host))))


def accepts(host: Platform, image: Platform) -> bool:
    """Whether an engine takes an image of this platform out of a manifest list."""
    return normalize(image) in accepted(host)


def choose(host: Platform, offered: Iterable[Platform]) -> Platform | None:
    """What an engine takes of these: the best that it accepts, the first where two are the same; None for none."""
    order = accepted(host)
    fitting = [one for one in offered if normalize(one) in order]
    return min(fitting, key=lambda one: order.index(normalize(one)), default=None)


def _vector(host: Platform) -> Iterator[Platform]:
    number = _number(host.variant)
    match host.architecture:
        case "amd64":
            yield host
            yield from (replace(host, variant=f"v{older}") for older in range((number or 1) - 1, 0, -1))
            yield replace(host, architecture="386", variant="")
        case "arm":
            yield host
            yield from (replace(host, variant=f"v{older}") for older in range((number or 0) - 1, OLDEST_ARM - 1, -1))
        case "arm64":
            yield from _arm64_vector(host)
        case _:
            yield host


def _arm64_vector(host: Platform) -> Iterator[Platform]:
    variant = host.variant or "v8"
    match = re.fullmatch(r"v([89])(?:\.([0-9]))?", variant)
    major, minor = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    if minor > LAST_MINOR.get(major, -1):
        return
    counts = {8: minor} if major == OLDEST_ARM64 else {9: minor, 8: min(minor + 5, LAST_MINOR[8])}
    for series, newest in counts.items():
        for older in range(newest, -1, -1):
            yield replace(host, variant=f"v{series}.{older}" if older else f"v{series}")
    yield from _vector(replace(host, architecture="arm", variant="v8"))


def _number(variant: str) -> int | None:
    digits = variant.removeprefix("v")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < len("10000") else None


def _unless_default(platform: Platform) -> Platform:
    return replace(platform, variant="") if (platform.architecture, platform.variant) == ("arm", "v7") else platform


def _unreadable(text: str) -> ObservationError:
    return ObservationError(f"platform: expected os/architecture or os/architecture/variant, got {excerpt(text)}")
