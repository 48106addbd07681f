"""Small ARM programs made byte by byte: code that really runs (under qemu), with any tags, loader and libraries."""

from __future__ import annotations

import struct
from dataclasses import dataclass

BASE = 0x10000
HEADER, SEGMENT, SECTION = 52, 32, 40
EABI_5 = 0x05000000
TAGS = {
    "CPU_arch": 6, "CPU_arch_profile": 7, "ARM_ISA_use": 8, "THUMB_ISA_use": 9, "FP_arch": 10, "WMMX_arch": 11,
    "Advanced_SIMD_arch": 12, "ABI_VFP_args": 28, "DIV_use": 44,
}  # fmt: skip
EXIT_0 = bytes.fromhex("0170a0e3 0000a0e3 000000ef")  # mov r7,#1; mov r0,#0; svc 0
THUMB_EXIT_0 = bytes.fromhex("0127 0020 00df")
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
SHT_STRTAB, SHT_ARM_ATTRIBUTES = 3, 0x70000003
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ = 0, 1, 5, 10


@dataclass(frozen=True)
class Program:
    """What to build. `tags` None leaves the attributes out, `has_sections` False all section headers."""

    tags: dict[str, int] | None
    code: bytes = EXIT_0
    is_thumb: bool = False
    flags: int = EABI_5
    machine: int = 40
    loader: str = ""
    needed: tuple[str, ...] = ()
    has_sections: bool = True


def uleb(number: int) -> bytes:
    """A number in ULEB128."""
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])


def attributes(tags: dict[str, int], vendor: bytes = b"aeabi", scope: int = 1) -> bytes:
    """The content of a section `.ARM.attributes`."""
    body = b"".join(uleb(TAGS[name]) + uleb(value) for name, value in tags.items())
    part = uleb(scope) + struct.pack("<I", len(body) + 5) + body
    return b"A" + struct.pack("<I", len(part) + len(vendor) + 5) + vendor + b"\0" + part


def build(program: Program) -> bytes:
    """The program as an ELF file of 32 bits, little-endian, mapped whole and executable."""
    extra = bool(program.loader) + bool(program.needed)
    octets = bytearray(HEADER + SEGMENT * (1 + extra))
    entry = _append(octets, program.code + (THUMB_EXIT_0 if program.is_thumb else b""))
    segments = []
    if program.loader:
        path = program.loader.encode() + b"\0"
        segments.append((PT_INTERP, _append(octets, path), len(path)))
    if program.needed:
        dynamic = _dynamic(octets, program.needed)
        segments.append((PT_DYNAMIC, _append(octets, dynamic), len(dynamic)))
    table, count = _sections(octets, program.tags) if program.has_sections else (0, 0)
    segments.insert(0, (PT_LOAD, 0, len(octets)))
    start = BASE + entry + program.is_thumb
    octets[:HEADER] = (
        b"\x7fELF\x01\x01\x01" + bytes(9)
        + struct.pack("<HHIIIIIHHHHHH", 2, program.machine, 1, start, HEADER, table, program.flags, HEADER, SEGMENT,
                      len(segments), SECTION if count else 0, count, count - 1 if count else 0)
    )  # fmt: skip
    for number, (kind, offset, size) in enumerate(segments):
        at = HEADER + SEGMENT * number
        fields = (kind, offset, BASE + offset, BASE + offset, size, size, 5, 0x10000 if kind == PT_LOAD else 4)
        octets[at : at + SEGMENT] = struct.pack("<8I", *fields)
    return bytes(octets)


def _append(octets: bytearray, more: bytes) -> int:
    octets += bytes(-len(octets) % 4)
    octets += more
    return len(octets) - len(more)


def _dynamic(octets: bytearray, needed: tuple[str, ...]) -> bytes:
    names = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    strings = _append(octets, names)
    ends = [names.index(name.encode() + b"\0") for name in needed]
    rows = [(DT_NEEDED, at) for at in ends] + [(DT_STRTAB, BASE + strings), (DT_STRSZ, len(names)), (DT_NULL, 0)]
    return b"".join(struct.pack("<II", *row) for row in rows)


def _sections(octets: bytearray, tags: dict[str, int] | None) -> tuple[int, int]:
    """Append the section headers and what they describe; where they are, and how many."""
    names = b"\0.ARM.attributes\0.shstrtab\0"
    rows = [bytes(SECTION)]
    if tags is not None:
        content = attributes(tags)
        rows.append(_row(names.index(b".ARM"), SHT_ARM_ATTRIBUTES, _append(octets, content), len(content)))
    rows.append(_row(names.index(b".shs"), SHT_STRTAB, _append(octets, names), len(names)))
    return _append(octets, b"".join(rows)), len(rows)


def _row(name: int, kind: int, offset: int, size: int) -> bytes:
    return struct.pack("<10I", name, kind, 0, 0, offset, size, 0, 0, 1, 0)
