"""What a node's processor and kernel run, and which platform its engine calls itself (runbook L49, L240).

Source of the platform: github.com/containerd/platforms, cpuinfo_linux.go, with the Pi Zero's quirk (its kernel
says architecture 7), which Docker knows since 20.10.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.arch.platform import Platform
from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

# One question for both: the machine's name as the kernel gives it, then the file.
COMMAND = "uname -m && cat /proc/cpuinfo"
FIELD = re.compile(r"([A-Za-z][A-Za-z _0-9]*?)\s*:[ \t]*(.*)")
BY_WORD = {
    "8": "v8", "aarch64": "v8", "6": "v6", "6tej": "v6", "5": "v5", "5t": "v5", "5te": "v5", "5tej": "v5",
    "4": "v4", "4t": "v4", "3": "v3", **dict.fromkeys(("7", "7m", *(f"?({number})" for number in range(12, 18))), "v7"),
}  # fmt: skip
ARM_64 = "aarch64"
# ARMv8 cores that also run programs of 32 bits: Cortex-A53 (Pi 3), A35, A55, A57, A72 (Pi 4), A73, A75, A76 (Pi 5).
# Newer ones may have dropped that.
V8_CORES = {"0xd03", "0xd04", "0xd05", "0xd07", "0xd08", "0xd09", "0xd0a", "0xd0b"}


@dataclass(frozen=True)
class Cpu:
    """A processor under its kernel.

    `machine` is what `uname -m` says. `arm` is the newest ARM architecture of 32 bits whose programs run there
    (5 to 8), 0 where none do, None where that is not known. `features` are the words of /proc/cpuinfo.
    """

    machine: str
    arm: int | None
    features: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        if self.arm and self.machine != ARM_64:
            return f"an ARMv{self.arm}"
        return f"an {self.machine}" if self.machine[:1] in "aeio" else f"a {self.machine}"


def cpu(text: str) -> Cpu:
    """The processor in the answer to `COMMAND`; ObservationError for any other text."""
    machine, fields = _fields(text)
    features = frozenset((fields.get("Features") or fields.get("flags", "")).split())
    if not machine.startswith(("armv", ARM_64)):
        return Cpu(machine, 0, features)
    # A kernel of 32 bits says 7 on a Pi 4 too.
    if fields.get("CPU part") in V8_CORES:
        return Cpu(machine, 8, features)
    return Cpu(machine, None if machine == ARM_64 else int(_variant(fields, machine).removeprefix("v")), features)


def engine_platform(go_architecture: str, text: str) -> Platform:
    """What an engine compiled for this architecture (`docker version`, Server.Arch) calls itself on this machine.

    `text` is the answer to `COMMAND`. ObservationError where the machine does not say which ARM it is.
    """
    machine, fields = _fields(text)
    if go_architecture != "arm":
        return Platform("linux", go_architecture)
    return Platform("linux", "arm", _variant(fields, machine))


def _variant(fields: dict[str, str], machine: str) -> str:
    word = fields.get("CPU architecture", "")
    if not word:
        word = "8" if machine == ARM_64 else machine[4:5]
    if word == "7" and fields.get("model name", "").lower().startswith("armv6-compatible"):
        word = "6"
    variant = BY_WORD.get(word.lower())
    if variant is None:
        raise ObservationError(f"/proc/cpuinfo: expected an ARM architecture from 3 to 8, got {excerpt(word)}")
    return variant


def _fields(text: str) -> tuple[str, dict[str, str]]:
    """The machine's name and the fields of the first core; a later core is only read for what the first lacks."""
    machine, _, rest = text.partition("\n")
    if not re.fullmatch(r"[a-z0-9_]{3,20}", machine.strip()):
        raise ObservationError(f"expected a machine's name and /proc/cpuinfo, got {excerpt(text)}")
    fields: dict[str, str] = {}
    for line in rest.splitlines():
        match = FIELD.fullmatch(line.strip())
        if match:
            fields.setdefault(match[1], match[2].strip())
    if not fields:
        raise ObservationError(f"/proc/cpuinfo: expected fields, got {excerpt(rest) if rest.strip() else 'nothing'}")
    return machine.strip(), fields
