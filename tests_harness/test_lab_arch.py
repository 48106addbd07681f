"""What the judgement says of a program is what becomes of it: Debian's own programs on emulated processors."""

from __future__ import annotations

import io
import signal
import tarfile
from typing import TYPE_CHECKING

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import ARMAttributesSection

from harness.arch.cpu import Cpu, cpu
from harness.arch.elf import elf
from harness.arch.image import label_error, runs_there
from harness.arch.platform import Platform
from harness.arch.programs import Start, parts
from harness.arch.tree import TarTree
from harness.arch.verdict import Answer, fits, needs, runs
from harness.errors import LabError
from tests_harness.elf_builder import EXIT_0, Program, build
from tests_harness.fakes_images import CPUINFO, ZERO
from tests_harness.foreign import Root, ensure_root, returned, why_not

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(why_not()), reason=why_not())]
# The emulated processor of each that is judged.
CPUS = {"arm926": "arm926", "pi zero": "arm1176", "pi 2": "cortex-a7"}
# What each port of Debian is for, and on which of them it runs.
PORTS = {"armel": ("arm/v5", {"arm926", "pi zero", "pi 2"}), "armhf": ("arm/v7", {"pi 2"})}
TRIPLETS = {"armel": "arm-linux-gnueabi", "armhf": "arm-linux-gnueabihf"}
LOADERS = {"armel": "ld-linux.so.3", "armhf": "ld-linux-armhf.so.3"}
STARTS = {"a static program": ("busybox", "true"), "a dynamic program": ("dash", "-c", "exit 0")}
KILLED = {-signal.SIGILL, -signal.SIGSEGV}


def processor(name: str) -> Cpu:
    return cpu(CPUINFO[name])


@pytest.fixture(scope="module", params=PORTS)
def port(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def root(port: str) -> Root:
    return fetched(port)


@pytest.fixture(scope="module")
def armhf() -> Root:
    return fetched("armhf")


def fetched(port: str) -> Root:
    try:
        return ensure_root(port)
    except LabError as error:
        pytest.skip(f"Debian's packages for {port} cannot be fetched: {error}")


@pytest.mark.parametrize("name", CPUS)
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_what_is_let_through_runs_and_what_is_not_dies(
    root: Root, port: str, start: tuple[str, ...], name: str
) -> None:
    found = parts(root, Start(start))
    verdict = runs(found, processor(name))
    code = returned(CPUS[name], root.path, str(root.path / found[0].path.lstrip("/")), *start[1:])
    if name in PORTS[port][1]:
        assert (verdict.answer, code) == (Answer.RUNS, 0), verdict
    else:
        assert verdict.answer is Answer.CANNOT, verdict
        assert code in KILLED


@pytest.mark.parametrize("name", CPUS)
def test_the_loader_alone_and_the_c_library_alone_are_judged_right(root: Root, port: str, name: str) -> None:
    home = root.path / "lib" / TRIPLETS[port]
    for file, argv in ((LOADERS[port], ["--version"]), ("libc.so.6", [])):
        verdict = fits(elf((home / file).read_bytes()), processor(name), file)
        code = returned(CPUS[name], root.path, str(home / file), *argv)
        assert (verdict.answer, code in KILLED) == (
            (Answer.RUNS, False) if name in PORTS[port][1] else (Answer.CANNOT, True)
        ), verdict


def test_a_dynamic_program_leads_through_links_to_loader_and_c_library(root: Root, port: str) -> None:
    seen = [(part.role, part.path) for part in parts(root, Start(("dash",)))]
    home = f"/lib/{TRIPLETS[port]}"
    assert seen == [
        ("entrypoint", "/bin/dash"), ("loader", f"{home}/{LOADERS[port]}"), ("C library", f"{home}/libc.so.6"),
    ]  # fmt: skip


def test_the_same_is_seen_in_an_exported_archive(root: Root) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(root.path, arcname="")
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        assert parts(TarTree(archive), Start(("dash",))) == parts(root, Start(("dash",)))


def test_a_port_asks_for_the_platform_that_it_is_for(root: Root, port: str) -> None:
    system, variant = "linux", PORTS[port][0].split("/")[1]
    assert needs(parts(root, Start(("dash",)))) == Platform(system, "arm", variant)


def test_our_attributes_are_those_that_pyelftools_reads(root: Root, port: str) -> None:
    home = root.path / "lib" / TRIPLETS[port]
    for file in (root.path / "bin/busybox", root.path / "bin/dash", home / "libc.so.6", home / LOADERS[port]):
        theirs = dict(pyelftools_attributes(file))
        ours = elf(file.read_bytes()).attributes
        assert ours
        assert {f"TAG_{name.upper()}": value for name, value in ours.items()}.items() <= theirs.items()
        assert {"TAG_CPU_ARCH", "TAG_THUMB_ISA_USE"} <= theirs.keys()


def pyelftools_attributes(file: Path) -> list[tuple[str, object]]:
    with file.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".ARM.attributes")
        assert isinstance(section, ARMAttributesSection)
        return [
            (attribute.tag, attribute.value)
            for vendor in section.iter_subsections("aeabi")
            for scope in vendor.iter_subsubsections("TAG_FILE")
            for attribute in scope.iter_attributes()
        ]


@pytest.mark.parametrize("claim", ["arm/v5", "arm/v6", "arm", "arm/v7"])
def test_an_image_that_calls_v7_something_else_is_caught_and_really_dies(armhf: Root, claim: str) -> None:
    said = Platform("linux", *claim.split("/"))
    inside = parts(armhf, Start(("busybox",)))
    found = runs_there(ZERO, said, inside)
    assert found.answer is Answer.CANNOT
    assert bool(label_error(said, inside)) is (claim in {"arm/v5", "arm/v6"})
    assert returned("arm1176", armhf.path, str(armhf.path / "bin/busybox"), "true") == -signal.SIGILL


def code(text: str, *, is_thumb: bool = False) -> Program:
    octets = bytes.fromhex(text)
    return Program(None, code=octets if is_thumb else octets + EXIT_0, is_thumb=is_thumb)


# One instruction of each kind, with the tags that an assembler writes for it.
INSTRUCTIONS: dict[str, tuple[Program, dict[str, int]]] = {
    "ARMv5TE": (code(""), {"CPU_arch": 4}),
    "Thumb-1": (code("c046", is_thumb=True), {"CPU_arch": 4, "THUMB_ISA_use": 1}),
    "ARMv6, rev": (code("300fbfe6"), {"CPU_arch": 6}),
    "ARMv6 with VFPv2, rev and vadd": (code("300fbfe6 000a30ee"), {"CPU_arch": 6, "FP_arch": 2}),
    "Thumb-2, nop.w": (code("aff30080", is_thumb=True), {"CPU_arch": 10, "CPU_arch_profile": 65, "THUMB_ISA_use": 2}),
    "Thumb-2 under a label of v6": (code("aff30080", is_thumb=True), {"CPU_arch": 6, "THUMB_ISA_use": 2}),
    "ARMv6T2, movw": (code("000000e3"), {"CPU_arch": 8}),
    "ARMv7 with VFPv3, vmov": (code("000bb7ee"), {"CPU_arch": 10, "FP_arch": 4}),
    "ARMv7 with NEON, vadd": (code("400800f2"), {"CPU_arch": 10, "FP_arch": 3, "Advanced_SIMD_arch": 1}),
    "ARMv7 that divides": (code("11f110e7"), {"CPU_arch": 10, "DIV_use": 2}),
    "ARMv8, crc32": (code("400001e1"), {"CPU_arch": 14}),
    "VFPv3 under a label of v6": (code("000bb7ee"), {"CPU_arch": 6, "FP_arch": 3}),
    "no attributes": (code("000000e3"), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CPUS)
@pytest.mark.parametrize("kind", INSTRUCTIONS)
def test_one_instruction_runs_or_dies_as_judged(kind: str, name: str, tmp_path: Path) -> None:
    program, tags = INSTRUCTIONS[kind]
    octets = build(Program(tags or None, program.code, program.is_thumb))
    file = tmp_path / "program"
    file.write_bytes(octets)
    file.chmod(0o755)
    ended = returned(CPUS[name], tmp_path, str(file))
    assert ended in {0, -signal.SIGILL}
    answer = fits(elf(octets), processor(name)).answer
    if answer is Answer.RUNS:
        assert ended == 0
    elif answer is Answer.CANNOT:
        assert ended == -signal.SIGILL


def test_all_three_answers_occur_among_the_instructions() -> None:
    built = [build(Program(tags or None, program.code, program.is_thumb)) for program, tags in INSTRUCTIONS.values()]
    assert {fits(elf(octets), ZERO.cpu).answer for octets in built} == set(Answer)
