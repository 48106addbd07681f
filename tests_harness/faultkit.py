"""Deliberate damage to the green lab, one at a time: seen exactly there, mended, and nothing left of it.

The proof that a second run finds nothing is the next look: every proof begins by comparing all that differs, so
whatever an earlier fault left behind shows there, and `prove_nothing_is_left` ends each file.
"""

from __future__ import annotations

import shlex
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from harness.model import Mode, Outcome, Place, Verdict
from harness.reach import find_cluster
from harness.session import Request, open_connections, run_live
from harness.steps import STEPS, name_of, with_needs
from tests_harness import rows, second_judge
from tests_harness.labkit import ROOT, Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from harness.inventory import Cluster
    from harness.lab import Lab

Where = tuple[str, str, str]  # step, node, aspect
EVERYTHING = STEPS
INFRA = tuple(file.stem[len("test_00_") :] for file in sorted(ROOT.glob("tests_infra/test_[0-9]*.py")))
SETTLED = 180.0  # seconds for a cluster that was just switched on
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


def drop_in(unit: str, *lines: str) -> str:
    """Shell text that gives a unit a drop-in for the next boot; systemd itself is not told."""
    folder = f"/etc/systemd/system/{unit}.d"
    return f"mkdir -p {folder}; printf '%s\\n' {' '.join(map(shlex.quote, lines))} > {folder}/damage.conf"


def without(unit: str) -> str:
    """Shell text that takes this drop-in away."""
    folder = f"/etc/systemd/system/{unit}.d"
    return f"rm {folder}/damage.conf; rmdir --ignore-fail-on-non-empty {folder}; systemctl daemon-reload"


def on(lab: Lab, node: str, script: str, limit: float = 60) -> str:
    """What shell text says as root on a node, out of band; each of its lines must succeed."""
    done = lab.exec(node, ["sh", "-c", f"set -e; {script}"], timeout=limit)
    assert done.returncode == 0, (done.stderr + done.stdout).decode(errors="replace")
    return done.stdout.decode(errors="replace")


def go(
    lab: Lab,
    mode: Mode,
    chosen: tuple[str, ...] = INFRA,
    *,
    advice: bool = False,
    change: Callable[[Cluster], Cluster] | None = None,
) -> Finished:
    """One run inside this process: three of them cost what one pytest costs. `change` alters the inventory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HATCHECK_LAB", lab.layout.name)
        found = find_cluster("lab")
        cluster = found.model_copy(update={"ssh": found.ssh.model_copy(update={"wait": WAIT})})
        cluster = change(cluster) if change else cluster
        places = frozenset(Place(step, node) for step in chosen for node in cluster.names)
        with closing(open_connections(cluster)) as connections:
            request = Request(cluster, mode, frozenset(chosen), places, advice)
            record = run_live(request, connections, lambda _line: None).record
    is_met = all(outcome.verdict.is_met for outcome in record.outcomes)
    return Finished(0 if is_met else 1, _words(record.outcomes), record, None)


def make_green(lab: Lab, steps: Collection[str] = INFRA) -> None:
    """These steps as `--repair` makes them from bare: the cluster kit, or else the whole runbook from the ready lab.

    Nothing is done where earlier tests left it so.
    """
    lab.up()
    if go(lab, "verify", tuple(steps)).code:
        _make_anew(lab, steps)


def _make_anew(lab: Lab, steps: Collection[str]) -> None:
    if set(steps) <= set(INFRA):
        lab.reset()
        done = go(lab, "repair")
        assert done.code == 0, done.said
    else:
        lab.down()
        lab.up(bare=False)
        deadline = time.monotonic() + SETTLED
        while (seen := go(lab, "verify", tuple(steps))).code:  # tasks come back some time after the machines
            assert time.monotonic() < deadline, seen.said


def prove(lab: Lab, fault: Fault, *chosen: str, among: Callable[[Cluster], Cluster] | None = None) -> None:
    """One fault: exactly it differs, what does not wait for it stays ok, and a repair mends it or keeps off.

    Where there is an application, no row of its database is lost by that.

    A repair records its first look, so it needs no other one before it: unless it would mend away what is to be
    seen at a later step. `among` narrows it to the machines that the fault is about, where every look at all of them
    is dear; then all are looked at before.
    """
    with _green_again_if_this_fails(lab, chosen), _rows_kept(lab, chosen):
        on(lab, fault.node, fault.damage)
        shows_late = bool(fault.unknown) or len({step for step, _, _ in fault.want}) > 1
        looked = go(lab, "verify", chosen) if among or (shows_late and not fault.undo) else None
        theirs = second_judge.judge(lab, *chosen)
        done = go(lab, "repair", chosen, change=among)
        _check_sight(looked or done, theirs, fault)
        if fault.undo:
            assert done.applied() == 0, done.said
            assert _without_advice(done) == set()
        else:
            assert done.code == 0, done.said
            mended = {(step, node) for step, node, _ in fault.want}
            assert {done.outcome(*place).verdict for place in mended} <= {Verdict.REPAIRED}
        on(lab, fault.node, fault.undo or fault.after or ":")


@contextmanager
def _rows_kept(lab: Lab, chosen: Collection[str]) -> Iterator[None]:
    if set(chosen) <= set(INFRA):
        yield
        return
    kept = rows.write(lab)
    yield
    rows.assert_kept(lab, kept)


def _check_sight(seen: Finished, theirs: dict[str, bool], fault: Fault) -> None:
    """The first look of this run saw the fault, nothing else, and what the second judge saw."""
    waiting = _waiting(seen, fault)
    assert {one for one in seen.first_differing() if str(Place(*one[:2])) not in waiting} == fault.want, seen.said
    assert _strays(seen, fault, waiting) == {}
    assert contradictions(seen, theirs, waiting) == set(fault.unseen)


def _waiting(seen: Finished, fault: Fault) -> set[str]:
    """The places that a mend of the fault came before: where something was mended, they were looked at after that."""
    damaged = {Place(step, node) for step, node, _ in fault.want}
    if not seen.applied():
        return set()
    assert seen.record
    return {
        str(one.place)
        for one in seen.record.outcomes
        if one.place not in damaged and any(_waits(one.place, other) for other in damaged)
    }


def _waits(place: Place, other: Place) -> bool:
    """Whether one place is only tried where the other one is met."""
    needed = {name_of(step): step for step in with_needs([place.step])}
    where = {place.node, "cnat"} if needed[place.step].LOOK_FROM == "controller" else {place.node}
    return other.step in needed and other.node in where and other.step != place.step


def contradictions(seen: Finished, theirs: dict[str, bool], but: Collection[str] = ()) -> set[str]:
    """The places that one judge calls good and the other bad; of blocked and unknown ones nothing is claimed."""
    ours = {place: is_good for place, is_good in _judged(seen).items() if place not in but}
    steps_of_theirs = {place.partition("[")[0] for place in theirs}
    silent = {place for place in ours if place.partition("[")[0] in steps_of_theirs} - theirs.keys()
    assert silent <= {"arp[cnat]"}, f"the second judge says nothing of {silent}"
    return {place for place in ours.keys() & theirs.keys() if ours[place] != theirs[place]}


def _judged(seen: Finished) -> dict[str, bool]:
    """By the first look. A plan also judges what is behind the first difference, though it calls it blocked."""
    assert seen.record
    looked = {
        str(one.place): one.first or one.checks for one in seen.record.outcomes if one.verdict is not Verdict.UNKNOWN
    }
    return {
        place: all(check.holds for check in checks if check.level == "must")
        for place, checks in looked.items() if checks
    }  # fmt: skip


def prove_nothing_is_left(lab: Lab, steps: tuple[str, ...] = INFRA) -> None:
    """After all faults of a file a repair finds nothing to do, in any of these steps."""
    with _green_again_if_this_fails(lab, steps):
        done = go(lab, "repair", steps)
        assert (done.code, done.applied(), done.said) == (0, 0, "")
        assert contradictions(done, second_judge.judge(lab, *steps)) == set()


@contextmanager
def _green_again_if_this_fails(lab: Lab, steps: Collection[str]) -> Iterator[None]:
    """Let no damage that was not mended show in the tests that follow."""
    try:
        yield
    except BaseException:
        _make_anew(lab, steps)
        raise


def _strays(seen: Finished, fault: Fault, waiting: set[str]) -> dict[str, str]:
    """The places that are not ok though neither damaged nor waiting for one that is."""
    known = {*(f"{step}[{node}]" for step, node, _ in fault.want), *fault.unknown, *waiting}
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
