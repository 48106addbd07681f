"""Deliberate damage to the green lab, one at a time: seen exactly there, mended, and nothing left of it.

The proof that a second run finds nothing is the next look: every proof begins by comparing all that differs, so
whatever an earlier fault left behind shows there, and `prove_nothing_is_left` ends each file.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from harness import steps
from harness.model import Mode, Outcome, Place, Verdict
from harness.reach import find_cluster
from harness.session import Request, open_connections, run_live
from harness.steps import name_of
from tests_harness import second_judge
from tests_harness.labkit import Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.inventory import Cluster
    from harness.lab import Lab

Where = tuple[str, str, str]  # step, node, aspect
EVERYTHING = tuple(map(name_of, steps.STEPS))
WAIT = 3.0  # seconds; the lab's nodes answer at once, and silent ones need not cost more


@dataclass(frozen=True)
class Fault:
    """Damage by shell text on one node, and what differs then.

    `unknown` are places, as "step[node]", that nothing can be said of. A repair mends it and `after` tidies up
    behind it; where there is `undo`, only a person can mend it so, and a repair applies nothing. `unseen` are
    places where everyday commands show nothing of it, so that the second judge calls them good.
    """

    node: str
    damage: str
    want: frozenset[Where] = frozenset()
    unknown: tuple[str, ...] = field(default=(), kw_only=True)
    undo: str = field(default="", kw_only=True)
    after: str = field(default="", kw_only=True)
    unseen: tuple[str, ...] = field(default=(), kw_only=True)


def at(step: str, node: str, *aspects: str) -> frozenset[Where]:
    """Aspects of one place."""
    return frozenset((step, node, aspect) for aspect in aspects)


def on(lab: Lab, node: str, script: str, limit: float = 60) -> str:
    """What shell text says as root on a node, out of band; each of its lines must succeed."""
    done = lab.exec(node, ["sh", "-c", f"set -e; {script}"], timeout=limit)
    assert done.returncode == 0, (done.stderr + done.stdout).decode(errors="replace")
    return done.stdout.decode(errors="replace")


def go(
    lab: Lab,
    mode: Mode,
    chosen: tuple[str, ...] = EVERYTHING,
    *,
    advice: bool = False,
    change: Callable[[Cluster], Cluster] = lambda cluster: cluster,
) -> Finished:
    """One run inside this process: three of them cost what one pytest costs. `change` alters the inventory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HATCHECK_LAB", lab.layout.name)
        found = find_cluster("lab")
        cluster = change(found.model_copy(update={"ssh": found.ssh.model_copy(update={"wait": WAIT})}))
        places = frozenset(Place(step, node) for step in chosen for node in cluster.names)
        with closing(open_connections(cluster)) as connections:
            request = Request(cluster, mode, frozenset(chosen), places, advice)
            record = run_live(request, connections, lambda _line: None).record
    is_met = all(outcome.verdict.is_met for outcome in record.outcomes)
    return Finished(0 if is_met else 1, _words(record.outcomes), record, None)


def make_green(lab: Lab) -> None:
    """The lab as `--repair` makes it from bare; nothing is done where earlier tests left it so."""
    lab.up()
    if go(lab, "verify").code:
        lab.reset()
        done = go(lab, "repair")
        assert done.code == 0, done.said


def prove(lab: Lab, fault: Fault, *chosen: str, among: Callable[[Cluster], Cluster] = lambda cluster: cluster) -> None:
    """One fault: exactly it differs, what does not wait for it stays ok, and a repair mends it or keeps off.

    `among` narrows the repair to the machines that the fault is about, where every look at all of them is dear.
    """
    with _green_again_if_this_fails(lab):
        on(lab, fault.node, fault.damage)
        seen = go(lab, "verify", chosen)
        assert seen.differing() == fault.want, seen.said
        assert _strays(seen, fault) == {}
        assert contradictions(seen, second_judge.judge(lab, *chosen)) == set(fault.unseen)
        done = go(lab, "repair", chosen, change=among)
        if fault.undo:
            assert done.applied() == 0, done.said
            assert _without_advice(done) == set()
        else:
            assert done.code == 0, done.said
            mended = {(step, node) for step, node, _ in fault.want}
            assert {done.outcome(*place).verdict for place in mended} <= {Verdict.REPAIRED}
        on(lab, fault.node, fault.undo or fault.after or ":")


def contradictions(seen: Finished, theirs: dict[str, bool]) -> set[str]:
    """The places that one judge calls good and the other bad; of blocked and unknown ones nothing is claimed."""
    ours = _judged(seen)
    steps_of_theirs = {place.partition("[")[0] for place in theirs}
    silent = {place for place in ours if place.partition("[")[0] in steps_of_theirs} - theirs.keys()
    assert silent <= {"arp[cnat]"}, f"the second judge says nothing of {silent}"
    return {place for place in ours.keys() & theirs.keys() if ours[place] != theirs[place]}


def _judged(seen: Finished) -> dict[str, bool]:
    """A plan also judges what is behind the first difference, though it calls it blocked."""
    assert seen.record
    looked = {str(one.place): one.checks for one in seen.record.outcomes if one.verdict is not Verdict.UNKNOWN}
    return {
        place: all(check.holds for check in checks if check.level == "must")
        for place, checks in looked.items() if checks
    }  # fmt: skip


def prove_nothing_is_left(lab: Lab) -> None:
    """After all faults of a file a repair finds nothing to do, in any step."""
    with _green_again_if_this_fails(lab):
        done = go(lab, "repair")
        assert (done.code, done.applied(), done.said) == (0, 0, "")
        assert contradictions(done, second_judge.judge(lab, *EVERYTHING)) == set()


@contextmanager
def _green_again_if_this_fails(lab: Lab) -> Iterator[None]:
    """Let no damage that was not mended show in the tests that follow."""
    try:
        yield
    except BaseException:
        lab.reset()
        go(lab, "repair")
        raise


def _strays(seen: Finished, fault: Fault) -> dict[str, str]:
    """The places that are not ok though neither damaged nor waiting for one that is."""
    known = {*(f"{step}[{node}]" for step, node, _ in fault.want), *fault.unknown}
    assert seen.record
    return {
        str(outcome.place): outcome.reason
        for outcome in seen.record.outcomes
        if outcome.verdict is not Verdict.OK and str(outcome.place) not in known and str(outcome.cause) not in known
    }


def _without_advice(done: Finished) -> set[str]:
    """The differences that say neither what to do nor do it."""
    assert done.record
    checks = (check for outcome in done.record.outcomes for check in outcome.checks)
    return {check.aspect for check in checks if not check.holds and check.level == "must" and not check.by_hand}


def _words(outcomes: tuple[Outcome, ...]) -> str:
    return "\n".join(f"{one.place} {one.verdict}: {one.reason}" for one in outcomes if one.verdict is not Verdict.OK)
