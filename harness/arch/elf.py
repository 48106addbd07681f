"""What an ELF file is built for: class, machine, flags, ARM attributes, loader and libraries (by pyelftools)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from elftools.common.exceptions import ELFError
from elftools.common.utils import struct_parse
from elftools.elf.elffile import ELFFile

from harness.arch.attributes import attributes
from harness.errors import ObservationError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"\x7fELF"
# Bounds on what a file can make us do; real programs have some dozens of each.
MOST_SECTIONS = 4096
MOST_SEGMENTS = 256
MOST_TAGS = 4096
LONGEST_NAME = 4096
DT_NULL, DT_NEEDED, DT_STRTAB = 0, 1, 5
EABI_MASK, EABI_5 = 0xFF000000, 0x05000000
BIG_ENDIAN_CODE, HARD_FLOAT = 0x00800000, 0x00000400
# What pyelftools lets out of itself on bytes that only begin like an ELF file.
TROUBLE = (
    ELFError,
    ValueError,
    AssertionError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    struct.error,
)


@dataclass(frozen=True)
class Elf:
    """One ELF file.

    `machine` is pyelftools' name (EM_ARM, EM_AARCH64, EM_X86_64, …), `bits` 32 or 64. `attributes` are those of
    ARM by name (CPU_arch, FP_arch, …), None where the file says nothing, as one without section headers.
    `loader` is the path in PT_INTERP, empty for a static program; `needed` are its libraries.
    """

    machine: str
    bits: int
    is_little: bool
    flags: int
    attributes: dict[str, int] | None
    loader: str = ""
    needed: tuple[str, ...] = ()

    @property
    def is_hard_float(self) -> bool:
        """Whether it hands over floating-point numbers in VFP registers (armhf's way)."""
        return bool(self.flags & HARD_FLOAT) or (self.attributes or {}).get("ABI_VFP_args") == 1


def elf(octets: bytes) -> Elf:
    """Read a whole file; ObservationError where it is no ELF file, or a damaged one."""
    if not octets.startswith(MAGIC):
        raise ObservationError("expected an ELF file, got something else")
    try:
        return _elf(ELFFile(BytesIO(octets)), octets)
    except TROUBLE as error:
        raise ObservationError(f"expected a sound ELF file: {type(error).__name__} {error}"[:200].rstrip()) from error


def _elf(file: ELFFile, octets: bytes) -> Elf:
    # Before anything is walked through: both numbers may be as large as 32 bits allow.
    if file.num_sections() > MOST_SECTIONS or file.num_segments() > MOST_SEGMENTS:
        raise ObservationError(f"expected at most {MOST_SECTIONS} sections and {MOST_SEGMENTS} segments in an ELF file")
    machine, is_little = str(file["e_machine"]), bool(file.little_endian)
    found = _attributes(file, octets) if machine == "EM_ARM" else None
    segments = list(_headers(file, file.structs.Elf_Phdr, "e_phoff", "e_phentsize", file.num_segments()))
    return Elf(
        machine, int(file.elfclass), is_little, int(file["e_flags"]), found, _loader(segments, octets),
        tuple(_needed(file, segments, octets)),
    )  # fmt: skip


def _headers(file: ELFFile, shape: Any, start: str, size: str, count: int) -> Iterator[Any]:  # noqa: ANN401 - construct's
    """Headers as they stand in the file. pyelftools' own sections and segments look up names without a bound."""
    for number in range(count):
        yield struct_parse(shape, file.stream, stream_pos=file[start] + number * file[size])


def _attributes(file: ELFFile, octets: bytes) -> dict[str, int] | None:
    """Of the first section that holds any; ARM has no segment for them, so stripped headers leave nothing."""
    for header in _headers(file, file.structs.Elf_Shdr, "e_shoff", "e_shentsize", file.num_sections()):
        if header["sh_type"] == "SHT_ARM_ATTRIBUTES":
            return attributes(_part(octets, header["sh_offset"], header["sh_size"]), is_little=bool(file.little_endian))
    return None


def _loader(segments: list[Any], octets: bytes) -> str:
    for header in segments:
        if header["p_type"] == "PT_INTERP":
            path, end, _ = _part(octets, header["p_offset"], header["p_filesz"]).partition(b"\0")
            if not end or not 0 < len(path) <= LONGEST_NAME:
                raise ObservationError("expected the path of a loader in the ELF file")
            return path.decode()
    return ""


def _needed(file: ELFFile, segments: list[Any], octets: bytes) -> Iterator[str]:
    """The names under DT_NEEDED, by the program headers alone: section headers may be stripped."""
    rows = [row for header in segments if header["p_type"] == "PT_DYNAMIC" for row in _tags(file, header, octets)]
    tables = [_offset(segments, value) for tag, value in rows if tag == DT_STRTAB]
    for start in (tables[0] + value for tag, value in rows if tag == DT_NEEDED):
        name, end, _ = octets[start : start + LONGEST_NAME].partition(b"\0")
        if not end:
            raise ObservationError("expected the names of libraries in the ELF file")
        yield name.decode()


def _offset(segments: list[Any], address: int) -> int:
    """Where in the file lies what is loaded at an address; LookupError for nowhere."""
    loaded = (one for one in segments if one["p_type"] == "PT_LOAD")
    home = next((one for one in loaded if 0 <= address - one["p_vaddr"] < one["p_filesz"]), None)
    if home is None:
        raise LookupError(f"nothing is loaded at {address:#x}")
    return int(home["p_offset"]) + address - int(home["p_vaddr"])


def _tags(file: ELFFile, header: Any, octets: bytes) -> Iterator[tuple[int, int]]:  # noqa: ANN401 - construct's
    form = struct.Struct(("<" if file.little_endian else ">") + {32: "iI", 64: "qQ"}[file.elfclass])
    table = _part(octets, header["p_offset"], header["p_filesz"])[: form.size * MOST_TAGS]
    for tag, value in form.iter_unpack(table[: len(table) - len(table) % form.size]):
        if tag == DT_NULL:
            return
        yield tag, value


def _part(octets: bytes, start: int, size: int) -> bytes:
    if start + size > len(octets):
        raise ObservationError("expected an ELF file that is not cut short")
    return octets[start : start + size]
