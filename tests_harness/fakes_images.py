"""Processors as their kernels describe them, image trees in memory, and states of the step `images`, all good."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.arch.cpu import cpu, engine_platform
from harness.arch.elf import Elf
from harness.arch.image import Host
from harness.arch.platform import Platform
from harness.arch.programs import Part, Start
from harness.arch.tree import Entry, Folder, Link, Regular
from harness.parse.manifest import Config, Offer
from harness.steps import images
from harness.steps.images_content import Content, Owned
from harness.steps.images_documented import DATABASE, IMAGES, WEB, Documented, may_run
from harness.steps.images_look import Local
from tests_harness.fakes import documented_cluster

CLUSTER = documented_cluster()
HUB = CLUSTER.controller.name
NODES = tuple(node.name for node in CLUSTER.nodes)


def _info(machine: str, **fields: str) -> str:
    lines = [f"{name.replace('_', ' ')}\t: {value}" for name, value in {"processor": "0", **fields}.items()]
    return "\n".join([machine, *lines, "", "Hardware\t: BCM2835", ""])


CPUINFO = {
    # The kernel of a Pi Zero says 7, though its ARM1176 is an ARMv6.
    "pi zero": _info(
        "armv6l", model_name="ARMv6-compatible processor rev 7 (v6l)", CPU_architecture="7", CPU_part="0xb76",
        Features="half thumb fastmult vfp edsp java tls",
    ),
    "pi 2": _info(
        "armv7l", model_name="ARMv7 Processor rev 5 (v7l)", CPU_architecture="7", CPU_part="0xc07",
        Features="half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm",
    ),
    "tegra 2": _info(
        "armv7l", model_name="ARMv7 Processor rev 0 (v7l)", CPU_architecture="7", CPU_part="0xc09",
        Features="half thumb fastmult vfp edsp vfpv3 vfpv3d16 tls",
    ),
    "pi 4, 32-bit kernel": _info(
        "armv7l", model_name="ARMv7 Processor rev 3 (v7l)", CPU_architecture="7", CPU_part="0xd08",
        Features="half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32",
    ),
    "pi 4, 64-bit kernel": _info(
        "aarch64", CPU_architecture="8", CPU_part="0xd08", Features="fp asimd evtstrm crc32 cpuid"
    ),
    "arm926": _info(
        "armv5tejl", model_name="ARM926EJ-S rev 5 (v5l)", CPU_architecture="5TEJ",
        Features="swp half fastmult edsp java",
    ),
    "pc": _info("x86_64", vendor_id="GenuineIntel", flags="fpu sse2"),
}  # fmt: skip


def host(name: str, go_architecture: str = "arm") -> Host:
    """One of the machines above with an engine of that architecture."""
    return Host(engine_platform(go_architecture, CPUINFO[name]), cpu(CPUINFO[name]))


ZERO, PI_4 = host("pi zero"), host("pi 4, 32-bit kernel")


@dataclass
class DictTree:
    """A tree written down: a path to the text of a script, the bytes of a program, or `-> target` of a link."""

    files: dict[str, Entry]

    def find(self, path: str, /) -> Entry | None:
        """Folders are where something lies in them."""
        if path in self.files:
            return self.files[path]
        return Folder() if any(name.startswith(path + "/") for name in self.files) else None


def tree(files: dict[str, bytes | str]) -> DictTree:
    """Programs and scripts as bytes, which may be executed; links as text."""
    return DictTree({
        path: Link(what) if isinstance(what, str) else Regular(what, 0o755) for path, what in files.items()
    })  # fmt: skip


def arm(version: int, **tags: int) -> Elf:
    """A soft-float program for ARMv5TE, v6 or v7, as Debian's armel and armhf and Raspbian have them."""
    return Elf("EM_ARM", 32, True, 0x05000200, {"CPU_arch": {5: 4, 6: 6, 7: 10, 8: 14}[version], **tags})  # noqa: FBT003


def digest(letter: str) -> str:
    """A digest of one letter."""
    return f"sha256:{letter * 64}"


def offer(image: Documented, *platforms: str, is_list: bool = False, letter: str | None = None) -> Offer:
    """What the registry has; by default one image for v6 or v7."""
    wanted = platforms or (("arm/v6",) if image is WEB else ("arm/v7",))
    parts = [Platform("linux", *one.split("/")) for one in wanted]
    return Offer(digest(letter or ("a" if image is WEB else "b")), is_list, tuple(parts))


def local(image: Documented, elf: Elf | None = None, claim: str = "arm/v6") -> Local:
    """A copy of an image as it should be, or with another program in it and another label on it."""
    built = elf or arm(6 if image is WEB else 7)
    found = offer(image).digest
    config = Config(Platform("linux", *claim.split("/")), Start(("/entry",)), image.volumes, (f"{image.name}@{found}",))
    files = {wanted.path: Owned(wanted.mode or 0o755, wanted.owner) for wanted in image.files}
    return Local(config, (Part("entrypoint", "/entry", built),), Content(dict(files), image.php_modules))


def good_images() -> dict[str, images.State]:
    """Web on four Zeros, the database on a Pi 4, both in the registry."""
    offers: dict[str, Offer | None] = {image.reference: offer(image) for image in IMAGES}
    hub = images.State(PI_4, {DATABASE.reference: local(DATABASE, claim="arm/v7")}, offers)
    return {HUB: hub} | {name: images.State(ZERO, {WEB.reference: local(WEB)}, {}) for name in may_run(WEB, CLUSTER)}


def changed(state: images.State, image: Documented, copy: Local | None) -> images.State:
    """The same machine with another copy of an image."""
    return replace(state, images={**state.images, image.reference: copy})
