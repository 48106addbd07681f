"""Step `images`: each image is where it may run, the same everywhere, and runs there (runbook L238-372, L412-470)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.actions import Action, Run
from harness.arch.image import Host, build_command, label_error, pulls, runs_there
from harness.arch.verdict import Answer, Verdict
from harness.errors import ObservationError
from harness.model import Check
from harness.parse.manifest import Offer
from harness.step import LookFrom, expect
from harness.steps.images_content import judge_content
from harness.steps.images_documented import Documented, images_of, may_run
from harness.steps.images_engine import NodeEngine
from harness.steps.images_engine import host as host_of
from harness.steps.images_look import Local, look
from harness.steps.images_look import offers as offers_of
from harness.steps.images_publish import publish
from harness.steps.images_runs import digests, judge_runs, settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.inventory import Cluster
    from harness.node import NodeAccess

NEEDS = ("engine",)
LOOK_FROM: LookFrom = "every node"
# Some hundred megabytes, unpacked by a Pi Zero.
PULL_LIMIT = 3600.0
RUNS = str(Answer.RUNS)
LATER = "a repair gives it to the registry first, and from there to every node"


@dataclass(frozen=True)
class State:
    """One machine as images see it, and its images by reference; None for one that is not there.

    `images` are those that may run on it. `offers` are what the registry has under every documented reference
    (None: nothing), asked by the controller alone, because a registry counts; empty on nodes.
    """

    host: Host
    images: dict[str, Local | None]
    offers: dict[str, Offer | None]


def observe(node: NodeAccess) -> State:
    """Ask the engine what it has and what is in it; the controller's also what the registry has."""
    engine = NodeEngine(node)
    engine.sweep()
    wanted = [image for image in images_of(node.cluster) if node.name in may_run(image, node.cluster)]
    found = {image.reference: look(engine, image, node.once) for image in wanted}
    state = State(host_of(node), found, offers_of(engine, node.cluster) if node.is_controller else {})
    return refuse_unknown(node.name, state, node.cluster)


def judge(seen: Mapping[str, State], cluster: Cluster) -> Iterator[Check]:
    """The registry, from the controller; then each image on each node that may run it."""
    hub = cluster.controller.name
    offers = seen[hub].offers if hub in seen else {}
    images = images_of(cluster)
    for name in seen:
        if not any(name in may_run(image, cluster) for image in images):
            yield expect(name, "images that may run there", want="none", seen="none")
    for image in images:
        names = [name for name in may_run(image, cluster) if name in seen]
        hosts = [seen[name].host for name in names]
        by_hand = build_command(image.recipe, hosts)
        offer = offers.get(image.reference)
        if hub in seen:
            fix: tuple[Action, ...] = ()
            if not offer:
                copies = {name: (seen[name].host, seen[name].images.get(image.reference)) for name in names}
                fix = publish(image, copies, seen[hub].host, cluster)
                by_hand = LATER if fix else by_hand
            yield expect(
                hub, f"{image.reference} is in the registry", want="yes", seen="yes" if offer else "no", fix=fix,
                by_hand=by_hand,
            )  # fmt: skip
            yield judge_runs(hub, image, {name: seen[name] for name in names}, offer, by_hand)
        digest = offer.digest if offer else _common_digest(image, [seen[name] for name in names])
        for name in names:
            yield from _judge_node(name, seen[name], image, offer, digest, by_hand)


def refuse_unknown(name: str, state: State, cluster: Cluster) -> State:
    """The state, unless whether its images run is not known and nothing else is wrong: then ObservationError.

    For the end of a look: what nobody can tell must not pass, and is no difference either.
    """
    failing = [check for check in judge({name: state}, cluster) if check.level == "must" and not check.holds]
    unknown = [check for check in failing if check.seen.startswith(str(Answer.UNKNOWN))]
    if unknown and len(unknown) == len(failing):
        raise ObservationError(f"{name}: {unknown[0].aspect}: {unknown[0].seen}")
    return state


def _judge_node(
    name: str, state: State, image: Documented, offer: Offer | None, digest: str, by_hand: str
) -> Iterator[Check]:
    """One image on one node that may run it."""
    local = state.images.get(image.reference)
    offered = pulls(state.host, offer) if offer else Verdict(Answer.UNKNOWN, "it is not in the registry")
    if offer:
        yield _judge_answer(
            name, f"{image.reference} can be pulled there", settled(offered, image, offer, local), by_hand
        )
    fix = _pull(name, image, offer) if offer and offered.answer is Answer.RUNS else ()
    yield expect(
        name, f"{image.reference} is there", want="yes", seen="yes" if local else "no", fix=fix, by_hand=by_hand
    )
    if local is None:
        return
    found = runs_there(state.host, local.config.platform, local.parts)
    yield _judge_digest(name, image, local, digest, fix, by_hand)
    # An old copy that cannot run is mended by what the registry has meanwhile, if that is another one.
    is_old = bool(digest) and digest not in digests(image, local)
    yield _judge_answer(name, f"{image.reference} can run there", found, by_hand, fix if is_old else ())
    wrong = label_error(local.config.platform, local.parts)
    yield expect(
        name, f"label of {image.reference}", want="true", seen=wrong or "true", level="advice", by_hand=by_hand
    )
    yield from judge_content(name, image, local.config, local.content, by_hand)


def _judge_answer(name: str, aspect: str, found: Verdict, by_hand: str, fix: tuple[Run, ...] = ()) -> Check:
    runs = found.answer is Answer.RUNS
    return Check(name, aspect, RUNS, RUNS if runs else str(found), runs, fix=fix, by_hand="" if fix else by_hand)


def _judge_digest(name: str, image: Documented, local: Local, digest: str, fix: tuple[Run, ...], by_hand: str) -> Check:
    """Against the registry's; where that has none, against what the other nodes have."""
    has = digests(image, local)
    seen = digest if digest in has else ", ".join(has) or "built there and never pushed"
    want = digest or "one digest everywhere"
    return expect(name, f"{image.reference} is the same everywhere", want=want, seen=seen, fix=fix, by_hand=by_hand)


def _common_digest(image: Documented, states: list[State]) -> str:
    """The one digest that all copies have; empty where they differ or there are none."""
    found = [set(digests(image, local)) for state in states if (local := state.images.get(image.reference))]
    shared = set.intersection(*found) if found else set[str]()
    return min(shared, default="")


def _pull(name: str, image: Documented, offer: Offer) -> tuple[Run, ...]:
    pinned = f"{image.name}@{offer.digest}"
    return (
        Run(name, ("docker", "pull", "--quiet", pinned), "fetch the image that the registry has", limit=PULL_LIMIT),
        Run(name, ("docker", "tag", pinned, image.reference), "call it by its documented name"),
    )
