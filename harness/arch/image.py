"""Image and node joined: what an engine would pull, whether that runs, whether the label is true, how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.arch.cpu import Cpu  # noqa: TC001 - pydantic reads it on a tape
from harness.arch.platform import Platform, accepted, accepts, choose, normalize
from harness.arch.verdict import Answer, Verdict, needs, runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.arch.programs import Part
    from harness.parse.manifest import Offer


@dataclass(frozen=True)
class Host:
    """A node as images see it: its engine's platform, which chooses, and its processor, which runs."""

    platform: Platform
    cpu: Cpu


@dataclass(frozen=True)
class Recipe:
    """How an image is built: its name, its Dockerfile, and the folder to be in, in words."""

    name: str
    dockerfile: str
    where: str


def pulls(host: Host, offer: Offer) -> Verdict:
    """What an engine gets when it pulls; RUNS means only that nothing speaks against it yet.

    From a list an engine takes the best that it accepts, or nothing. A single image it takes whatever that is for.
    """
    wants = " or ".join(map(str, accepted(host.platform)))
    offered = ", ".join(map(str, offer.platforms)) or "nothing"
    if offer.is_list:
        taken = choose(host.platform, offer.platforms)
        if taken is None:
            return Verdict(Answer.CANNOT, f"the registry has it for {offered}; the engine takes {wants}")
        return Verdict(Answer.RUNS, f"of {offered} the engine takes {taken}")
    if any(_contradicts(host.platform, claim) for claim in offer.platforms):
        return Verdict(Answer.UNKNOWN, f"the registry has it for {offered} only, and the engine wants {wants}")
    return Verdict(Answer.RUNS, f"the registry has one image, for {offered}, and the engine takes any")


def runs_there(host: Host, claim: Platform, parts: Sequence[Part]) -> Verdict:
    """Whether an image that a node has runs on it: by its programs; the label only adds to the reason."""
    found = runs(parts, host.cpu)
    lie = label_error(claim, parts)
    return Verdict(found.answer, f"{found.reason}; {lie}") if lie and found.answer is not Answer.RUNS else found


def label_error(claim: Platform, parts: Sequence[Part]) -> str:
    """What is wrong with an image's own word for its platform, empty where nothing is (or nothing is known).

    A claim of `arm` without variant says too little to be wrong about it.
    """
    least = needs(parts)
    if least is None:
        return ""
    is_vague = (normalize(claim).architecture, claim.variant) == ("arm", "")
    is_kin = normalize(claim).architecture == least.architecture
    if is_kin and (is_vague or accepts(claim, least)):
        return ""
    return f"it says {claim} and contains {least}"


def build_platform(hosts: Iterable[Host]) -> Platform | None:
    """The one platform to build for so that all these engines take the image: the best that all accept."""
    first, *others = [accepted(host.platform) for host in hosts] or [()]
    return next((one for one in first if all(one in other for other in others)), None)


def can_build(host: Host, platform: Platform) -> bool:
    """Whether a node builds for a platform without an emulator: its engine accepts it and its processor runs it."""
    if not accepts(host.platform, platform):
        return False
    if normalize(platform).architecture != "arm" or normalize(host.platform) == normalize(platform):
        return True
    return host.cpu.arm is not None and f"v{host.cpu.arm}" >= normalize(platform).variant


def build_command(recipe: Recipe, hosts: Sequence[Host]) -> str:
    """The sentence that tells a person how to build the image that is missing on these nodes."""
    platform = build_platform(hosts)
    if platform is None:
        return f"no one image is taken by all of them: build {recipe.name} for each, and a manifest list"
    build = f"docker build --pull --platform {platform} -t {recipe.name} -f {recipe.dockerfile} ."
    return f"in {recipe.where}: `{build} && docker push {recipe.name}`"


def _contradicts(host: Platform, claim: Platform) -> bool:
    """Whether a single image's claim rules the host out; `arm` alone is what most images of any ARM say."""
    if (normalize(claim).architecture, claim.variant) == ("arm", ""):
        return normalize(host).architecture not in {"arm", "arm64"}
    return not accepts(host, claim)
