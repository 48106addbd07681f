"""A real reboot of one machine, and what the steps say of the cluster until it is whole again: for the disruptive test.

It is no part of a run. What has not come back when the deadline passes is named by its step and node.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.model import Place
from harness.session import Request, run_live
from harness.steps import STEPS

if TYPE_CHECKING:
    from harness.connect import Connections
    from harness.inventory import Cluster
    from harness.model import Outcome

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
# By a timer of systemd, so that the answer to this still comes.
REBOOT = "systemd-run --quiet --on-active=1 systemctl reboot"
LAST = "boot"  # the steps after it do not speak of what a boot starts
SETTLE = 1.0


def reboot(name: str, connections: Connections, patience: float) -> None:
    """Have a machine boot anew and wait until it answers; ObservationError where it does not within `patience` s."""
    before = _boot_of(name, connections)
    answer = connections.connection(name).ask(REBOOT, root=True)
    if answer.code:
        raise ObservationError(f"{name}: `{REBOOT}` gave exit {answer.code}: {answer.err.decode(errors='replace')}")
    deadline = time.monotonic() + patience
    while True:
        time.sleep(SETTLE)
        connections.forget(name)
        try:
            if _boot_of(name, connections) != before:
                return
        except ObservationError as error:
            if time.monotonic() > deadline:
                raise ObservationError(f"{name}: not back within {patience:g} s of its reboot: {error}") from error
        if time.monotonic() > deadline:
            raise ObservationError(f"{name}: it did not reboot within {patience:g} s")


def await_whole(cluster: Cluster, connections: Connections, patience: float) -> tuple[Outcome, ...]:
    """Look until every step up to `boot` is met; the outcomes that are not when `patience` (seconds) has passed."""
    steps = frozenset(STEPS[: STEPS.index(LAST) + 1])
    places = frozenset(Place(step, name) for step in steps for name in cluster.names)
    deadline = time.monotonic() + patience
    while True:
        connections.renew()
        record = run_live(Request(cluster, "verify", steps, places), connections, lambda _: None).record
        missing = tuple(outcome for outcome in record.outcomes if not outcome.verdict.is_met)
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(SETTLE)


def _boot_of(name: str, connections: Connections) -> str:
    answer = connections.connection(name).ask(BOOT_ID)
    if answer.code:
        raise ObservationError(f"{name}: `{BOOT_ID}` gave exit {answer.code}")
    return answer.out.decode().strip()
