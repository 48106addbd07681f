"""Part of step `swarm`: the certificate by which a member proves itself; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model import Check

if TYPE_CHECKING:
    from harness.inventory import Cluster

DAY = 86_400
BY_HAND = (
    "a running member renews it by itself long before: is its clock right, and {} reachable? Then `sudo systemctl "
    "restart docker` here. A swarm set to short-lived ones is set back by `docker swarm update --cert-expiry 2160h` "
    "on {}; a member whose certificate has ended must `docker swarm leave` and join again"
)


def judge_certificate(name: str, left: int, cluster: Cluster) -> Check:
    """It does not end within the days of the inventory."""
    days, hub = cluster.swarm.certificate_days, cluster.controller.name
    holds = left > days * DAY
    want = f"for more than {'a day' if days == 1 else f'{days} days'}"
    seen = want if holds else f"for {left / DAY:.1f} days" if left > 0 else f"ended {-left / DAY:.1f} days ago"
    return Check(name, "certificate is good", want, seen, holds, by_hand=BY_HAND.format(hub, hub))
