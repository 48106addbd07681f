"""Part of step `images`: what gives the registry an image that it lacks: a good copy, or a new one; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.actions import Action, BuildImage, PushImage
from harness.arch.image import Host, build_platform, can_build, runs_there
from harness.arch.verdict import Answer
from harness.steps.images_content import judge_content

if TYPE_CHECKING:
    from harness.inventory import Cluster
    from harness.steps.images_documented import Documented
    from harness.steps.images_look import Local

Copies = dict[str, tuple[Host, "Local | None"]]


def publish(image: Documented, copies: Copies, hub: Host, cluster: Cluster) -> tuple[Action, ...]:
    """Push the copy of a node that has a good one; else build one for all who may run it. Nothing where none can.

    `copies` are of the nodes that may run it. The controller builds where it can, for it is the fastest.
    """
    push = "have the registry keep the image for every node"
    keeper = next((name for name, (host, local) in copies.items() if local and _is_good(image, host, local)), "")
    if keeper:
        return (PushImage(keeper, image.reference, cluster.os.user, push),)
    hosts = {name: host for name, (host, _) in copies.items()}
    platform = build_platform(hosts.values())
    if platform is None:
        return ()
    builders = {cluster.controller.name: hub, **hosts}
    builder = next((name for name, host in builders.items() if can_build(host, platform)), "")
    if not builder:
        return ()
    folder = str(cluster.path(cluster.images.folder)) if cluster.images.folder else ""
    why = "neither the registry nor a node has a good one"
    build = BuildImage(builder, image.reference, str(platform), folder, image.file, image.context, why)
    return build, PushImage(builder, image.reference, cluster.os.user, push)


def _is_good(image: Documented, host: Host, local: Local) -> bool:
    """Whether a copy runs where it is, and holds what the runbook puts into it."""
    if runs_there(host, local.config.platform, local.parts).answer is not Answer.RUNS:
        return False
    return all(check.holds for check in judge_content("", image, local.config, local.content, ""))
