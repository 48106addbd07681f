"""For each kind of program and each processor: whether it runs; what nobody can tell is never "runs"."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.arch.elf import Elf
from harness.arch.platform import Platform
from harness.arch.programs import Part
from harness.arch.verdict import CPU_ARCH, Answer, Verdict, fits, needs, runs, worst
from tests_harness.fakes_images import CPUINFO, arm, host

RUNS, CANNOT, UNKNOWN = Answer.RUNS, Answer.CANNOT, Answer.UNKNOWN
HARD = 0x05000400
CPUS = ("arm926", "pi zero", "tegra 2", "pi 2", "pi 4, 32-bit kernel", "pi 4, 64-bit kernel", "pc")
ARM64 = Elf("EM_AARCH64", 64, True, 0, None)  # noqa: FBT003
AMD64 = Elf("EM_X86_64", 64, True, 0, None)  # noqa: FBT003


def hard(version: int, **tags: int) -> Elf:
    return replace(arm(version, ABI_VFP_args=1, **tags), flags=HARD)


# One answer per processor, in the order of CPUS.
TABLE: dict[str, tuple[Elf, tuple[Answer, ...]]] = {
    "Debian armel (v5TE, soft-float)": (arm(5, THUMB_ISA_use=1), (RUNS,) * 6 + (CANNOT,)),
    "Raspbian (v6, VFPv2, hard-float)": (
        hard(6, THUMB_ISA_use=1, FP_arch=2), (CANNOT, RUNS, RUNS, RUNS, RUNS, RUNS, CANNOT),
    ),
    "Debian armhf (v7, VFPv3-D16, Thumb-2)": (
        hard(7, CPU_arch_profile=65, THUMB_ISA_use=2, FP_arch=4), (CANNOT, CANNOT, RUNS, RUNS, RUNS, RUNS, CANNOT),
    ),
    "armhf with a memcpy for NEON": (
        hard(7, CPU_arch_profile=65, THUMB_ISA_use=2, FP_arch=3, Advanced_SIMD_arch=1),
        (CANNOT, CANNOT, UNKNOWN, RUNS, RUNS, RUNS, CANNOT),
    ),
    "v7 that divides": (arm(7, DIV_use=2), (CANNOT, CANNOT, UNKNOWN, RUNS, RUNS, RUNS, CANNOT)),
    "v8 of 32 bits": (hard(8, CPU_arch_profile=65, FP_arch=7), (CANNOT, CANNOT, CANNOT, CANNOT, RUNS, RUNS, CANNOT)),
    "v6T2": (replace(arm(6), attributes={"CPU_arch": 8}), (CANNOT, CANNOT, RUNS, RUNS, RUNS, RUNS, CANNOT)),
    "v6 that says it has Thumb-2": (arm(6, THUMB_ISA_use=2), (CANNOT, CANNOT, RUNS, RUNS, RUNS, RUNS, CANNOT)),
    "v6 with NEON to ask for": (
        arm(6, FP_arch=3, Advanced_SIMD_arch=1), (CANNOT, UNKNOWN, UNKNOWN, RUNS, RUNS, RUNS, CANNOT)
    ),
    "v5 with a VFP to ask for": (arm(5, FP_arch=2), (UNKNOWN, RUNS, RUNS, RUNS, RUNS, RUNS, CANNOT)),
    "iWMMXt": (arm(5, WMMX_arch=1), (UNKNOWN,) * 6 + (CANNOT,)),
    "an FPU of tomorrow": (arm(5, FP_arch=99), (UNKNOWN,) * 6 + (CANNOT,)),
    "a profile of microcontrollers": (
        arm(7, CPU_arch_profile=77), (UNKNOWN,) * 6 + (CANNOT,)
    ),
    "an architecture of tomorrow": (replace(arm(7), attributes={"CPU_arch": 99}), (UNKNOWN,) * 6 + (CANNOT,)),
    "no word on the architecture": (replace(arm(7), attributes={"ARM_ISA_use": 1}), (UNKNOWN,) * 6 + (CANNOT,)),
    "no attributes": (replace(arm(7), attributes=None), (UNKNOWN,) * 6 + (CANNOT,)),
    "no attributes, but the hard-float flag": (
        replace(arm(7), attributes=None, flags=HARD), (CANNOT, *(UNKNOWN,) * 5, CANNOT)
    ),
    "the old ABI": (replace(arm(5), flags=0), (UNKNOWN,) * 6 + (CANNOT,)),
    "big-endian code": (replace(arm(5), flags=0x05800000), (CANNOT,) * 7),
    "big-endian": (replace(arm(5), is_little=False), (CANNOT,) * 7),
    "arm64": (ARM64, (CANNOT,) * 5 + (RUNS, CANNOT)),
    "amd64": (AMD64, (CANNOT,) * 6 + (RUNS,)),
    "386": (replace(AMD64, machine="EM_386", bits=32), (CANNOT,) * 6 + (UNKNOWN,)),
    "mips": (replace(arm(5), machine="EM_MIPS"), (CANNOT,) * 7),
}  # fmt: skip
PAIRS = [(name, machine) for name in TABLE for machine in CPUS]


@pytest.mark.parametrize(("name", "machine"), PAIRS, ids=[f"{name} on {machine}" for name, machine in PAIRS])
def test_a_program_on_a_processor(name: str, machine: str) -> None:
    elf, answers = TABLE[name]
    found = fits(elf, host(machine).cpu if machine != "pc" else host(machine, "amd64").cpu)
    assert found.answer is answers[CPUS.index(machine)], found


def test_the_reason_names_the_file_what_it_is_for_and_the_processor() -> None:
    found = fits(arm(7, CPU_arch_profile=65), host("pi zero").cpu, "loader /lib/ld-linux-armhf.so.3")
    assert str(found) == (
        "cannot run: loader /lib/ld-linux-armhf.so.3 is built for ARMv7-A, the processor is an ARMv6"
    )  # fmt: skip


def test_a_core_of_64_bits_that_is_not_known_to_run_32_leaves_it_open() -> None:
    cpu = replace(host("pi 4, 64-bit kernel").cpu, arm=None)
    assert fits(arm(5), cpu).answer is UNKNOWN
    assert fits(ARM64, cpu).answer is RUNS


def part(elf: Elf | None, path: str = "/x", broken: str = "", unclear: str = "") -> Part:
    return Part("entrypoint", path, elf, broken, unclear)


@pytest.mark.parametrize(
    ("parts", "answer"),
    [
        pytest.param([part(arm(5)), part(arm(6))], RUNS, id="all fit"),
        pytest.param([part(arm(5)), part(arm(7))], CANNOT, id="one does not fit"),
        pytest.param([part(arm(5)), part(None, unclear="?")], UNKNOWN, id="one is unclear"),
        pytest.param([part(None, unclear="?"), part(arm(7))], CANNOT, id="what does not fit outweighs what is unclear"),
        pytest.param([part(arm(5)), part(None, broken="it is not there")], CANNOT, id="one is missing"),
        pytest.param([], UNKNOWN, id="nothing was looked at"),
    ],
)
def test_an_image_runs_on_a_pi_zero_when_all_its_parts_do(parts: list[Part], answer: Answer) -> None:
    assert runs(parts, host("pi zero").cpu).answer is answer


@pytest.mark.parametrize(
    ("parts", "want"),
    [
        ([part(arm(5)), part(arm(7))], Platform("linux", "arm", "v7")),
        ([part(arm(5))], Platform("linux", "arm", "v5")),
        ([part(hard(5))], Platform("linux", "arm", "v6")),
        ([part(arm(6, THUMB_ISA_use=2))], Platform("linux", "arm", "v7")),
        ([part(ARM64), part(None, unclear="?")], Platform("linux", "arm64")),
        ([part(ARM64), part(arm(5))], None),
        ([part(replace(arm(5), attributes=None))], None),
        ([], None),
    ],
)
def test_the_least_platform_that_an_image_asks_for(parts: list[Part], want: Platform | None) -> None:
    assert needs(parts) == want


ANY_TAGS = st.dictionaries(
    st.sampled_from(["CPU_arch", "CPU_arch_profile", "THUMB_ISA_use", "FP_arch", "Advanced_SIMD_arch", "DIV_use"]),
    st.integers(0, 100),
)
ANY_ELF = st.builds(
    Elf, st.sampled_from(["EM_ARM", "EM_AARCH64", "EM_386", "?"]), st.just(32), st.booleans(),
    st.sampled_from([0x05000200, HARD, 0, 0x05800000]), st.none() | ANY_TAGS,
)  # fmt: skip


@given(ANY_ELF, st.sampled_from([name for name in CPUINFO if name != "pc"]))
def test_runs_is_only_said_of_an_arm_file_that_names_an_architecture_of_the_processor(elf: Elf, machine: str) -> None:
    cpu = host(machine).cpu
    found = fits(elf, cpu)
    assert found.reason
    if found.answer is RUNS and elf.machine == "EM_ARM":
        assert elf.attributes is not None
        _, version = CPU_ARCH[elf.attributes["CPU_arch"]]
        assert version <= (cpu.arm or 0)
        assert elf.is_little


@given(st.lists(st.builds(Verdict, st.sampled_from(list(Answer)), st.just("so"))))
def test_the_worst_answer_counts(verdicts: list[Verdict]) -> None:
    answers = [verdict.answer for verdict in verdicts]
    want = CANNOT if CANNOT in answers else UNKNOWN if UNKNOWN in answers or not answers else RUNS
    assert worst(verdicts).answer is want
