"""What one pytest session asks of the harness: which cluster, which places, how; and what came of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import junit, reach, session, tape
from harness.errors import UsageError
from harness.model import Mode, Outcome, Place, Verdict
from harness.progress import Progress
from harness.report.save import save
from harness.report.summary import summarize
from harness.session import Request, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.connect import Connections
    from harness.inventory import Cluster

INVENTORY = "cluster.toml"
KEY = pytest.StashKey["Run"]()
REPORTED = {str(Verdict.DIFFERS), str(Verdict.UNKNOWN)}  # failures that only repeat an outcome


class Run:
    """What the options ask for, and what came of it."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.replay: Path | None = config.option.replay and Path(config.option.replay)
        self.cluster: Cluster = self._find_cluster()
        self.mode: Mode = "repair" if config.option.repair else "plan" if config.option.plan else "verify"
        self.result: Result | None = None
        self.folder: Path | None = None
        self.other_failures: list[str] = []
        self._connections: Connections | None = None

    def _find_cluster(self) -> Cluster:
        if self.replay:
            return session.request_of(tape.read(self.replay), str(self.replay)).cluster
        option = self.config.option.cluster or _inventory(self.config)
        return reach.find_cluster(option, direct=self.config.option.direct)

    @property
    def connections(self) -> Connections:
        """The run's connections; every question of the session shares them."""
        if self._connections is None:
            self._connections = session.open_connections(self.cluster)
        return self._connections

    def outcome(self, place: Place) -> Outcome | None:
        """What became of a place, if the run went there."""
        return self.result.record.outcome(place) if self.result else None

    def carry_out(self, items: list[pytest.Item], write: Callable[[str], None]) -> None:
        """Run the loop for the steps of these items."""
        steps = frozenset(filter(None, map(step_of, items)))
        if not steps:
            junit.drop(self.config)
            return
        chosen = frozenset(place for item in items if (place := place_of(item)) and "verify" in _fixtures(item))
        if self.replay:
            self.result = session.replay(self.replay, steps, chosen)
            return
        request = Request(self.cluster, self.mode, steps, chosen, self.config.option.advice)
        with Progress(write) as say:
            self.result = session.run_live(request, self.connections, say)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count failures that are not the outcome of a step: witnesses, and tests of the user's own."""
        if report.failed and dict(report.user_properties).get("verdict") not in REPORTED:
            self.other_failures.append(report.nodeid)

    def leave_report(self, result: Result) -> int:
        """Write what became of the run; gives the exit code that the outcomes ask for."""
        record = replace(result.record, other_failures=tuple(dict.fromkeys(self.other_failures)))
        self.result = replace(result, record=record)
        self.folder = save(record, result.tape, junit.reports(self.config), tape=str(self.replay or ""))
        junit.keep(self.config, self.folder / "junit.xml")
        return summarize(record).headline.exit_code

    def close(self) -> None:
        """End the connections."""
        if self._connections:
            self._connections.close()


def step_of(item: pytest.Item) -> str | None:
    """The step that an item reports on or witnesses."""
    marker = item.get_closest_marker("step")
    return str(marker.args[0]) if marker else None


def place_of(item: pytest.Item) -> Place | None:
    """The step and node of an item, if it has both."""
    step, call = step_of(item), getattr(item, "callspec", None)
    return Place(step, call.params["node_name"]) if step and call and "node_name" in call.params else None


def _inventory(config: pytest.Config) -> str:
    """The one beside the user, or else that of the project: who works in a folder of tests has it above."""
    if Path(INVENTORY).exists():
        return INVENTORY
    if (config.rootpath / INVENTORY).exists():
        return str(config.rootpath / INVENTORY)
    places = " or ".join(dict.fromkeys((str(Path.cwd()), str(config.rootpath))))
    raise UsageError(f"{INVENTORY}: no such inventory in {places}; write one, or name it: --cluster=FILE")


def _fixtures(item: pytest.Item) -> tuple[str, ...]:
    return tuple(getattr(item, "fixturenames", ()))
