"""What an ELF file is built for is read whatever else is in it; a damaged file is unknown and never hangs us."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.arch.attributes import attributes
from harness.arch.elf import MAGIC, Elf, elf
from harness.errors import ObservationError
from tests_harness import elf_builder
from tests_harness.elf_builder import Program, build

ARMHF = {
    "CPU_arch": 10, "CPU_arch_profile": 65, "ARM_ISA_use": 1, "THUMB_ISA_use": 2, "FP_arch": 3,
    "Advanced_SIMD_arch": 1, "ABI_VFP_args": 1,
}  # fmt: skip
HARD = 0x05000400


def test_a_dynamic_program_tells_all() -> None:
    octets = build(Program(ARMHF, flags=HARD, loader="/lib/ld-linux-armhf.so.3", needed=("libm.so.6", "libc.so.6")))
    want = Elf("EM_ARM", 32, True, HARD, ARMHF, "/lib/ld-linux-armhf.so.3", ("libm.so.6", "libc.so.6"))  # noqa: FBT003
    assert elf(octets) == want
    assert want.is_hard_float


def test_a_static_program_has_no_loader_and_needs_nothing() -> None:
    seen = elf(build(Program({"CPU_arch": 4})))
    assert (seen.attributes, seen.loader, seen.needed, seen.is_hard_float) == ({"CPU_arch": 4}, "", (), False)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(Program(None), id="no attributes"),
        pytest.param(Program(ARMHF, has_sections=False), id="stripped section headers"),
    ],
)
def test_what_a_file_does_not_say_is_none(program: Program) -> None:
    assert elf(build(program)).attributes is None


def test_only_arm_has_arm_attributes() -> None:
    seen = elf(build(Program(ARMHF, machine=8)))
    assert (seen.machine, seen.attributes) == ("EM_MIPS", None)


@pytest.mark.parametrize("octets", [b"", b"#!/bin/sh\n", b"\x7fEL", MAGIC, MAGIC + bytes(60), b"PK\x03\x04"])
def test_what_is_no_sound_elf_file_is_an_error_that_says_what_was_expected(octets: bytes) -> None:
    with pytest.raises(ObservationError, match="expected"):
        elf(octets)


@pytest.mark.parametrize("size", [5, 8, 20])
def test_a_file_that_was_cut_is_an_error(size: int) -> None:
    octets = build(Program(ARMHF, needed=("libc.so.6",)))
    with pytest.raises(ObservationError, match="expected"):
        elf(octets[: len(octets) // size])


def patched(at: int, new: bytes) -> bytes:
    octets = bytearray(build(Program(ARMHF, loader="/lib/ld.so", needed=("libc.so.6",))))
    octets[at : at + len(new)] = new
    return bytes(octets)


PLAIN = patched(0, b"")
# The entry DT_STRTAB: its tag, and the address of the names, which begin with an empty one.
NAMES = struct.pack("<II", 5, elf_builder.BASE + PLAIN.index(b"\0libc.so.6\0"))


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        pytest.param(patched(44, b"\xff\xf0"), "at most .* segments", id="segments without number"),
        pytest.param(patched(48, b"\xff\xf0"), "at most .* sections", id="sections without number"),
        pytest.param(patched(PLAIN.index(b"/lib/ld.so") + 10, b"!"), "path of a loader", id="a loader without end"),
        pytest.param(PLAIN.replace(NAMES, NAMES[:7] + b"\x40"), "nothing is loaded", id="names in no segment"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_an_error_at_once(octets: bytes, why: str) -> None:
    with pytest.raises(ObservationError, match=why):
        elf(octets)


GOOD = elf_builder.attributes(ARMHF)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        pytest.param(b"", "format version A|more bytes", id="empty"),
        pytest.param(b"B" + GOOD[1:], "format version A", id="another version"),
        pytest.param(GOOD[:-1], "more bytes", id="cut"),
        pytest.param(b"A\0\0\0\0aeabi\0", "more bytes", id="a length of nothing, on which others go round for ever"),
        pytest.param(b"A\xff\xff\xff\x7faeabi\0", "more bytes", id="longer than the file"),
        pytest.param(b"A\x0a\0\0\0aeabi!", "text that ends", id="a vendor without end"),
        pytest.param(elf_builder.attributes({"CPU_arch": 4}, scope=2), "whole file", id="of one section"),
        pytest.param(GOOD + elf_builder.attributes({"CPU_arch": 4})[1:], "given twice", id="two words on one matter"),
        pytest.param(
            b"A\x15\0\0\0aeabi\0\x01\x0b\0\0\0\x06" + b"\xff" * 5, "number|more bytes", id="an endless number"
        ),
    ],
)
def test_attributes_that_make_no_sense_are_an_error(octets: bytes, why: str) -> None:
    with pytest.raises(ObservationError, match=why):
        attributes(octets)


def test_other_vendors_and_unknown_tags_are_passed_over() -> None:
    gnu = elf_builder.attributes({"CPU_arch": 14}, vendor=b"gnu")[1:]
    # A name of the processor (text), a compatibility (number and text), an unknown text and an unknown number.
    body = b"\x05ARM v6\0\x20\x01gnu\0\x43\x32.09\0\x48\x03\x06\x06"
    part = b"\x01" + (len(body) + 5).to_bytes(4, "little") + body
    aeabi = (len(part) + 10).to_bytes(4, "little") + b"aeabi\0" + part
    assert attributes(b"A" + gnu + aeabi) == {"CPU_arch": 6}


def test_big_endian_lengths_are_read_as_such() -> None:
    part = b"\x01" + (7).to_bytes(4, "big") + b"\x06\x04"
    assert attributes(b"A" + (17).to_bytes(4, "big") + b"aeabi\0" + part, is_little=False) == {"CPU_arch": 4}


@given(st.dictionaries(st.sampled_from(list(elf_builder.TAGS)), st.integers(0, 1 << 31)))
def test_what_is_written_is_read(tags: dict[str, int]) -> None:
    assert elf(build(Program(tags))).attributes == tags


@given(st.binary(max_size=200))
def test_any_attributes_are_numbers_or_an_error_of_ours(octets: bytes) -> None:
    try:
        found = attributes(b"A" + octets)
    except ObservationError:
        return
    assert all(value >= 0 for value in found.values())


SAMPLE = build(Program(ARMHF, flags=HARD, loader="/lib/ld.so", needed=("libc.so.6",)))
CHANGES = st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.binary(min_size=1, max_size=8)), max_size=4)


@given(CHANGES)
def test_a_program_with_any_bytes_changed_is_read_or_an_error_of_ours(changes: list[tuple[int, bytes]]) -> None:
    octets = bytearray(SAMPLE)
    for at, new in changes:
        octets[at : at + len(new)] = new
    with suppress(ObservationError):
        elf(bytes(octets))


@given(st.binary(max_size=300))
def test_any_bytes_after_the_magic_are_read_or_an_error_of_ours(octets: bytes) -> None:
    with suppress(ObservationError):
        elf(MAGIC + octets)
