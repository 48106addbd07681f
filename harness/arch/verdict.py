"""Whether programs run on a processor: the joint of what a node is and what an image holds; pure.

"Runs" is said only where everything that was looked at says so. What a file was merely allowed to use beyond its
architecture's base (NEON, a newer VFP) may sit behind a question at run time, as in glibc's memcpy, so that alone
gives "unknown".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.arch.elf import BIG_ENDIAN_CODE, EABI_5, EABI_MASK
from harness.arch.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.arch.cpu import Cpu
    from harness.arch.elf import Elf
    from harness.arch.programs import Part

# Tag_CPU_arch of the A profile and its elders: name, and the least ARM version that has all of it.
CPU_ARCH = {
    1: ("ARMv4", 4), 2: ("ARMv4T", 4), 3: ("ARMv5T", 5), 4: ("ARMv5TE", 5), 5: ("ARMv5TEJ", 5), 6: ("ARMv6", 6),
    7: ("ARMv6KZ", 6), 8: ("ARMv6T2", 7), 9: ("ARMv6K", 6), 10: ("ARMv7", 7), 14: ("ARMv8-A", 8),
}  # fmt: skip
PROFILES = {0: "", ord("A"): "-A", ord("S"): ""}
THUMB_2 = 2
OLDEST_WITH_THUMB_2 = 7
DIVIDES = 2
# Machines whose kernels run programs of these, when they are of the same family and width.
NATIVE = {"EM_AARCH64": "aarch64", "EM_X86_64": "x86_64"}
NAMES = {"EM_AARCH64": "arm64", "EM_X86_64": "amd64", "EM_386": "386", "EM_ARM": "arm"}


class Answer(StrEnum):
    """Whether something runs."""

    RUNS = "runs"
    CANNOT = "cannot run"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """An answer and the sentence that it rests on."""

    answer: Answer
    reason: str

    def __str__(self) -> str:
        return f"{self.answer}: {self.reason}"


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The first that cannot, else the first that is unknown, else the first; UNKNOWN for none at all."""
    for answer in (Answer.CANNOT, Answer.UNKNOWN):
        found = next((verdict for verdict in verdicts if verdict.answer is answer), None)
        if found:
            return found
    return verdicts[0] if verdicts else Verdict(Answer.UNKNOWN, "nothing was looked at")


def runs(parts: Sequence[Part], cpu: Cpu) -> Verdict:
    """Whether all parts of a start run on a processor."""
    found = worst([_part(part, cpu) for part in parts])
    if found.answer is Answer.RUNS:
        return Verdict(Answer.RUNS, f"{', '.join(part.path for part in parts)} fit {cpu.name}")
    return found


def needs(parts: Sequence[Part]) -> Platform | None:
    """The least platform that the parts ask for, as far as they tell; None for none, or different architectures."""
    platforms = [_needs(part.elf) for part in parts if part.elf]
    known = [one for one in platforms if one]
    return max(known) if len({one.architecture for one in known}) == 1 else None


def _part(part: Part, cpu: Cpu) -> Verdict:
    if part.elf:
        return fits(part.elf, cpu, f"{part.role} {part.path}")
    if part.broken:
        return Verdict(Answer.CANNOT, part.broken)
    return Verdict(Answer.UNKNOWN, f"{part.role} {part.path}: {part.unclear}")


def fits(elf: Elf, cpu: Cpu, what: str = "it") -> Verdict:
    """Whether one ELF file runs on a processor; `what` names it in the reason."""
    if elf.machine == "EM_ARM":
        return _fits_arm(elf, cpu, what)
    name = NAMES.get(elf.machine, elf.machine)
    if NATIVE.get(elf.machine) == cpu.machine and elf.is_little:
        return Verdict(Answer.RUNS, f"{what} is built for {name}")
    if elf.machine == "EM_386" and cpu.machine == "x86_64":
        return Verdict(Answer.UNKNOWN, f"{what} is built for 386: not every kernel of 64 bits runs that")
    return Verdict(Answer.CANNOT, f"{what} is built for {name}, the machine is {cpu.name}")


def _fits_arm(elf: Elf, cpu: Cpu, what: str) -> Verdict:
    if cpu.arm == 0:
        return Verdict(Answer.CANNOT, f"{what} is built for arm, the machine is {cpu.name}")
    obstacle = next(_obstacles(elf, cpu), "")
    if obstacle:
        return Verdict(Answer.CANNOT, f"{what} is built for {obstacle}, the processor is {cpu.name}")
    doubt = next(_doubts(elf, cpu), "")
    if doubt:
        return Verdict(Answer.UNKNOWN, f"{what} {doubt}")
    return Verdict(Answer.RUNS, f"{what} is built for {_base(elf)[0]}")


def _base(elf: Elf) -> tuple[str, int | None]:
    """Name of the architecture that a file is built for, and its ARM version; None where it does not say."""
    tags = elf.attributes or {}
    name, version = CPU_ARCH.get(tags.get("CPU_arch", 0), ("", None))
    profile = PROFILES.get(tags.get("CPU_arch_profile", 0))
    if version is None or profile is None:
        return f"Tag_CPU_arch {tags.get('CPU_arch', 0)}", None
    return (f"{name}{profile}" if version == OLDEST_WITH_THUMB_2 and name == "ARMv7" else name), version


def _obstacles(elf: Elf, cpu: Cpu) -> Iterator[str]:
    """What a file certainly has and the processor certainly lacks."""
    if not elf.is_little or elf.flags & BIG_ENDIAN_CODE:
        yield "big-endian ARM"
    if cpu.arm is None:
        return
    name, version = _base(elf)
    if version is not None and version > cpu.arm:
        yield name
    if (elf.attributes or {}).get("THUMB_ISA_use") == THUMB_2 and cpu.arm < OLDEST_WITH_THUMB_2:
        yield f"{name} with Thumb-2"
    if elf.is_hard_float and not _has(cpu, "vfp"):
        yield "hard-float (numbers in VFP registers)"


def _doubts(elf: Elf, cpu: Cpu) -> Iterator[str]:
    """Why it cannot be said that a file runs; in the order of their weight."""
    if elf.flags & EABI_MASK != EABI_5:
        yield "is not of the EABI that today's kernels run"
    if elf.attributes is None:
        yield "does not say what it is built for (it has no .ARM.attributes)"
    if _base(elf)[1] is None:
        yield f"is built for {_base(elf)[0]}, of which nothing is known here"
    if cpu.arm is None:
        yield f"is built for 32-bit ARM, and whether {cpu.name} runs that is not known"
    tags = elf.attributes or {}
    for word, names in (("FP_arch", FP), ("Advanced_SIMD_arch", SIMD)):
        name, features = names.get(tags.get(word, 0), (f"Tag_{word} {tags.get(word)}", None))
        if features is None or not all(_has(cpu, one) for one in features):
            yield f"may use {name}, which the processor lacks, and perhaps asks first"
    if tags.get("WMMX_arch"):
        yield "may use iWMMXt, and perhaps asks first"
    if tags.get("DIV_use") == DIVIDES and not _has(cpu, "idiva"):
        yield "may divide in hardware, which the processor does not, and perhaps asks first"


# What each value asks of the processor, in the kernel's words; D32 are all 32 registers.
FP = {
    0: ("", ()), 1: ("VFPv1", ("vfp",)), 2: ("VFPv2", ("vfp",)), 3: ("VFPv3", ("vfpv3", "d32")),
    4: ("VFPv3-D16", ("vfpv3",)), 5: ("VFPv4", ("vfpv4", "d32")), 6: ("VFPv4-D16", ("vfpv4",)),
    7: ("the VFP of ARMv8", ("v8",)), 8: ("the VFP of ARMv8", ("v8",)),
}  # fmt: skip
SIMD = {
    0: ("", ()), 1: ("NEON", ("neon",)), 2: ("NEONv2", ("neon", "vfpv4")), 3: ("the NEON of ARMv8", ("v8",)),
}  # fmt: skip
WHOLE_V8 = 8


def _has(cpu: Cpu, feature: str) -> bool:
    if cpu.arm == WHOLE_V8:
        # Linux runs on no ARMv8-A without all of these, whatever words its kernel uses for them.
        return True
    if feature == "d32":
        return "vfpv3" in cpu.features and "vfpv3d16" not in cpu.features
    return feature in cpu.features


def _needs(elf: Elf) -> Platform | None:
    if elf.machine != "EM_ARM":
        name = NAMES.get(elf.machine)
        return Platform("linux", name) if name else None
    version = _base(elf)[1]
    if elf.attributes is None or version is None:
        return None
    if elf.attributes.get("THUMB_ISA_use") == THUMB_2:
        version = max(version, OLDEST_WITH_THUMB_2)
    if elf.is_hard_float:
        version = max(version, 6)
    return Platform("linux", "arm", f"v{max(version, 5)}")
