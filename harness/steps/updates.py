"""Step `updates`: the controller brings itself up to date at every boot, and no update is stuck (runbook L71)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.actions import Run
from harness.errors import ObservationError
from harness.model import Check
from harness.parse import apt_check, dpkg
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
# It may choose to remove what lacks a package: a person decides.
INSTALL = "`sudo apt-get -f install`"


@dataclass(frozen=True)
class State:
    """Packages that are in no good state, whether each part of the container engine is held, and the boot.

    `at_boot` is of the controller only: the runbook has the others updated by hand. `unmet` are packages whose
    dependencies are not met, where dpkg calls them all whole, with apt's words.
    """

    broken: dict[str, str]
    engine: dict[str, bool]
    at_boot: AtBoot | None = None
    unmet: dict[str, str] = field(default_factory=dict)


def observe(node: NodeAccess) -> State:
    """Ask dpkg's database, and apt whether it fits together; on the controller also what a boot starts."""
    packages = dpkg.packages(node.ask(dpkg.COMMAND, dpkg.FORMAT))
    engine = {name: packages.installed[name] for name in ENGINE if name in packages.installed}
    at_boot = observe_boot(node) if node.is_controller else None
    return State(packages.broken, engine, at_boot, {} if packages.broken else observe_unmet(node))


def observe_unmet(node: NodeAccess) -> dict[str, str]:
    """What apt says of dependencies; ObservationError where it does not say, as while somebody works on packages."""
    if node.run(apt_check.COMMAND)[0] == 0:
        return {}
    # In the middle of an installation they are not met for a moment: asked again with the lock, or not answered.
    code, out, err = node.run(apt_check.LOCKED, root=True)
    unmet = apt_check.unmet(out)
    if code and not unmet:
        why = err.strip().partition("\n")[0][:200]
        raise ObservationError(f"{node.name}: `apt-get check` gave exit {code}: {why}")
    return unmet


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:  # noqa: ARG001 - a step's signature
    """The packages of every machine, and the update at boot of the controller."""
    for name, state in seen.items():
        yield _judge_packages(name, state.broken, state.unmet)
        if state.at_boot:
            yield from judge_boot(name, state.at_boot)
        yield _judge_engine(name, state.engine)


def _judge_packages(name: str, broken: Mapping[str, str], unmet: Mapping[str, str]) -> Check:
    """An update that was cut short stops every later one, and every installation; so does what lacks a package."""
    argv = ("env", "DEBIAN_FRONTEND=noninteractive", *FINISH)
    finish = Run(name, argv, "finish what was cut", limit=FINISH_LIMIT, finishes=True)
    again = [package for package, what in broken.items() if what not in UNFINISHED]
    by_hand = f"`sudo apt-get install --reinstall {' '.join(again)}`" if again else f"{INSTALL}: read what it would do"
    said = (
        *(f"{package} is {what}" for package, what in broken.items()),
        *(f"{package}: {what}" for package, what in unmet.items()),
    )
    return expect(
        name, "every package is whole", want="yes", seen=", ".join(said) or "yes",
        fix=() if again or unmet else (finish,), by_hand=by_hand,
    )  # fmt: skip


def _judge_engine(name: str, engine: Mapping[str, bool]) -> Check:
    loose = [package for package, is_held in engine.items() if not is_held]
    hold = Run(name, ("apt-mark", "hold", *loose), "keep the container engine that runs here")
    return expect(
        name, "no update changes the container engine", want="yes",
        seen=f"not held: {', '.join(loose)}" if loose else "yes", level="advice", fix=(hold,),
    )  # fmt: skip
