"""A node's processor is what its kernel says, the Pi Zero's quirk included; another text is unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.arch.cpu import Cpu, cpu, engine_platform
from harness.errors import ObservationError
from tests_harness.fakes_images import CPUINFO

MACHINES = {
    "pi zero": (6, "armv6l", {"vfp", "java"}, "linux/arm/v6"),
    "pi 2": (7, "armv7l", {"neon", "vfpv4", "idiva"}, "linux/arm/v7"),
    "pi 4, 32-bit kernel": (8, "armv7l", {"neon"}, "linux/arm/v7"),
    "pi 4, 64-bit kernel": (8, "aarch64", {"asimd"}, "linux/arm/v8"),
    "arm926": (5, "armv5tejl", {"edsp"}, "linux/arm/v5"),
}


@pytest.mark.parametrize("name", MACHINES)
def test_the_machines_of_a_cluster(name: str) -> None:
    arm, machine, features, platform = MACHINES[name]
    seen = cpu(CPUINFO[name])
    assert (seen.arm, seen.machine) == (arm, machine)
    assert features <= seen.features
    assert str(engine_platform("arm", CPUINFO[name])) == platform


def test_an_engine_of_64_bits_is_arm64_and_one_of_32_bits_on_the_same_kernel_is_v8() -> None:
    assert str(engine_platform("arm64", CPUINFO["pi 4, 64-bit kernel"])) == "linux/arm64"
    assert str(engine_platform("arm", CPUINFO["pi 4, 64-bit kernel"])) == "linux/arm/v8"


def test_a_pc_runs_no_arm() -> None:
    assert cpu(CPUINFO["pc"]) == Cpu("x86_64", 0, frozenset({"fpu", "sse2"}))
    assert str(engine_platform("amd64", CPUINFO["pc"])) == "linux/amd64"


def test_whether_an_unknown_core_of_64_bits_runs_32_is_not_guessed() -> None:
    assert cpu(CPUINFO["pi 4, 64-bit kernel"].replace("0xd08", "0xd4f")).arm is None


def test_a_kernel_that_leaves_the_architecture_out_is_known_by_its_name() -> None:
    text = "armv6l\nprocessor\t: 0\nFeatures\t: half thumb vfp\n"
    assert (cpu(text).arm, str(engine_platform("arm", text))) == (6, "linux/arm/v6")


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "armv6l", "armv6l\n\n", "armv6l\nno fields here\n", "ARM v6\nprocessor : 0\n",
        "armv7l\nCPU architecture: ten\n",
    ],
)  # fmt: skip
def test_another_text_is_unknown(text: str) -> None:
    with pytest.raises(ObservationError, match="expected"):
        cpu(text)


@given(st.text(max_size=200), st.sampled_from(["", "armv6l\n", "aarch64\nCPU architecture: "]))
def test_any_text_is_a_processor_or_an_error_of_ours(text: str, before: str) -> None:
    try:
        seen = cpu(before + text)
    except ObservationError:
        return
    assert seen.arm in {None, 0, 3, 4, 5, 6, 7, 8}
