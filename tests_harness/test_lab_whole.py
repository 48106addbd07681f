"""The whole runbook on the lab: made by one repair, which then finds nothing to do; and what a lost worker means."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from harness.lab import NODES
from harness.model import Verdict
from tests_harness import labkit, rows
from tests_harness.faultkit import EVERYTHING, go, on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.lab import Lab

pytestmark = pytest.mark.lab
LOST = "p2"
OF_THE_WHOLE = {"swarm", "replicas", "web", "mpi"}  # judged on the controller for all machines
STATE_OF_LOST = f"docker node inspect --format '{{{{.Status.State}}}}' {LOST}"
TASKS = "docker service ps appli_serviceweb --filter desired-state=running --format '{{.Node}} {{.CurrentState}}'"
GRANTS = "SELECT CONCAT('SHOW GRANTS FOR ''', user, '''@''', host, '''') FROM mysql.user ORDER BY 1"
THROUGH = "documented job through pipe_module_nb_premiers of pi3"
PATIENCE = 120.0  # seconds for what a manager takes its time to notice


def grants(lab: Lab) -> str:
    """What every account of the database may do."""
    questions = rows.sql(lab, GRANTS).splitlines()
    return rows.sql(lab, ";".join(questions))


def await_true(lab: Lab, node: str, script: str, want: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (said := on(lab, node, script).strip()) != want:
        assert time.monotonic() < deadline, f"{script} says {said!r} and not {want!r}"
        time.sleep(0.5)


def test_what_one_repair_made_of_bare_machines_a_second_one_leaves_alone(ready: Lab, tmp_path: Path) -> None:
    """The ready lab is one `pytest --cluster lab --repair` of bare machines, and nothing else (see ready.py)."""
    kept = rows.write(ready)
    before, granted = labkit.look(ready), grants(ready)
    done = labkit.run(tmp_path, "--repair")
    assert done.code == 0, done.said
    assert {place.partition("[")[0] for place in done.verdicts()} == set(EVERYTHING)
    assert set(done.verdicts().values()) == {Verdict.OK}, done.said
    assert done.applied() == 0
    # It is advice, and decides nothing, where no web container runs: then nobody would have tried it.
    through = [check for check in done.outcome("mpi", "cnat").checks if check.aspect == THROUGH]
    assert [(check.level, check.seen) for check in through] == [("must", "comes back")]
    assert labkit.look(ready) == before
    assert grants(ready) == granted
    rows.assert_kept(ready, kept)


@pytest.fixture(scope="class")
def lost(ready: Lab) -> Iterator[Lab]:
    """One worker without power, and a manager that has noticed."""
    ready.power(LOST, on=False)
    await_true(ready, "cnat", STATE_OF_LOST, "down")
    yield ready
    ready.power(LOST, on=True)
    ready.up()


class TestLostWorker:
    """In this order: it is switched off, and brought back by a repair."""

    def test_it_is_the_root_cause_and_what_is_judged_of_the_whole_names_it(self, lost: Lab) -> None:
        seen = go(lost, "verify", EVERYTHING)
        verdicts = seen.verdicts()
        assert verdicts[f"power[{LOST}]"] is Verdict.DIFFERS
        assert {str(seen.outcome(step, LOST).cause) for step in EVERYTHING[1:]} == {f"power[{LOST}]"}
        differing = {place for place, one in verdicts.items() if one is not Verdict.OK and f"[{LOST}]" not in place}
        assert differing == {f"{step}[cnat]" for step in OF_THE_WHOLE}, seen.said
        for step in OF_THE_WHOLE - {"mpi"}:
            said = [check.seen for check in seen.outcome(step, "cnat").checks if not check.holds]
            assert any(LOST in text for text in said), said

    def test_a_repair_brings_it_back_with_its_task_and_keeps_every_row(self, lost: Lab) -> None:
        kept = rows.write(lost)
        done = go(lost, "repair", EVERYTHING)
        assert done.code == 0, done.said
        assert done.outcome("power", LOST).verdict is Verdict.REPAIRED
        running = sorted(line.split()[0] for line in on(lost, "cnat", TASKS).splitlines() if " Running " in line)
        assert running == [node for node in NODES if node != "cnat"]
        rows.assert_kept(lost, kept)
        assert go(lost, "repair", EVERYTHING).applied() == 0
