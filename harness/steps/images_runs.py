"""Part of step `images`: whether what a deployment would start runs on every machine that it may be placed on; pure.

A swarm asks nothing of an ARM image (its client even blanks the architecture), so a service that is deployed lands on
machines on which it cannot run. This is said of the whole, at the controller, because there the stack is deployed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.arch.image import pulls, runs_there
from harness.arch.verdict import Answer, Verdict
from harness.step import expect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Check
    from harness.parse.manifest import Offer
    from harness.steps.images import State
    from harness.steps.images_documented import Documented
    from harness.steps.images_look import Local


def judge_runs(hub: str, image: Documented, states: Mapping[str, State], offer: Offer | None, by_hand: str) -> Check:
    """One check for all machines that answered; of one that is off nothing is known, and nothing is said."""
    refused = {name: why for name, state in states.items() if (why := _refusal(image, state, offer))}
    return expect(
        hub, f"{image.reference} runs wherever it may run", want="yes",
        seen="; ".join(f"not on {name}: {why}" for name, why in refused.items()) or "yes", by_hand=by_hand,
    )  # fmt: skip


def _refusal(image: Documented, state: State, offer: Offer | None) -> str:
    """Why a deployment must not put it there. An old copy does not count: what the registry has is what is deployed."""
    local = state.images.get(image.reference)
    if local and (offer is None or is_same(image, local, offer)):
        found = runs_there(state.host, local.config.platform, local.parts)
        # What the programs of a copy that is there leave open makes the look at that machine unknown, not all.
        return str(found) if found.answer is Answer.CANNOT else ""
    if offer is None:
        return ""
    found = pulls(state.host, offer)
    return "" if found.answer is Answer.RUNS else str(found)


def settled(offered: Verdict, image: Documented, offer: Offer, local: Local | None) -> Verdict:
    """What a single image's own word leaves open is settled by the copy that is there, if it is the same."""
    is_there = local is not None and is_same(image, local, offer)
    return Verdict(Answer.RUNS, offered.reason) if is_there and offered.answer is Answer.UNKNOWN else offered


def is_same(image: Documented, local: Local, offer: Offer) -> bool:
    """Whether a copy is what the registry has."""
    return offer.digest in digests(image, local)


def digests(image: Documented, local: Local) -> tuple[str, ...]:
    """The digests under which a registry knows a copy, as it was pulled or pushed by the image's name."""
    pairs = (entry.rpartition("@") for entry in local.config.digests)
    return tuple(digest for name, _, digest in pairs if name == image.name)
