"""Step `updates`: the controller brings itself up to date at every boot, and no update is stuck (runbook L71)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.model import Check
from harness.parse import dpkg
from harness.step import LookFrom, expect
from harness.steps.updates_boot import AtBoot, judge_boot, observe_boot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("system",)
LOOK_FROM: LookFrom = "every node"
# Several releases of these do not run on an ARMv6, and a Pi Zero cannot be asked before it has them.
ENGINE = ("docker.io", "docker-ce", "docker-ce-cli", "containerd", "containerd.io", "runc")
# What dpkg itself can finish; the rest needs the package again.
UNFINISHED = {"unpacked", "half-configured", "triggers-awaited", "triggers-pending"}
FINISH = ("dpkg", "--force-confdef", "--force-confold", "--configure", "--pending")
FINISH_LIMIT = 1200.0


@dataclass(frozen=True)
class State:
    """Packages that are in no good state, whether each part of the container engine is held, and the boot.

    `at_boot` is of the controller only: the runbook has the others updated by hand.
    """

    broken: dict[str, str]
    engine: dict[str, bool]
    at_boot: AtBoot | None = None


def observe(node: NodeAccess) -> State:
    """Ask dpkg's database; on the controller also what a boot starts."""
    packages = dpkg.packages(node.ask(dpkg.COMMAND, dpkg.FORMAT))
    engine = {name: packages.installed[name] for name in ENGINE if name in packages.installed}
    return State(packages.broken, engine, observe_boot(node) if node.is_controller else None)


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:  # noqa: ARG001 - a step's signature
    """The packages of every machine, and the update at boot of the controller."""
    for name, state in seen.items():
        yield _judge_packages(name, state.broken)
        if state.at_boot:
            yield from judge_boot(name, state.at_boot)
        yield _judge_engine(name, state.engine)


def _judge_packages(name: str, broken: Mapping[str, str]) -> Check:
    """An update that was cut short stops every later one, and every installation."""
    argv = ("env", "DEBIAN_FRONTEND=noninteractive", *FINISH)
    finish = Run(name, argv, "finish what was cut", limit=FINISH_LIMIT, finishes=True)
    again = [package for package, what in broken.items() if what not in UNFINISHED]
    return expect(
        name, "every package is whole", want="yes",
        seen=", ".join(f"{package} is {what}" for package, what in broken.items()) or "yes",
        fix=() if again else (finish,), by_hand=f"`sudo apt-get install --reinstall {' '.join(again)}`",
    )  # fmt: skip


def _judge_engine(name: str, engine: Mapping[str, bool]) -> Check:
    loose = [package for package, is_held in engine.items() if not is_held]
    hold = Run(name, ("apt-mark", "hold", *loose), "keep the container engine that runs here")
    return expect(
        name, "no update changes the container engine", want="yes",
        seen=f"not held: {', '.join(loose)}" if loose else "yes", level="advice", fix=(hold,),
    )  # fmt: skip
