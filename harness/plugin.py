"""The pytest plugin: one run of the loop per session, one item per step and node, aspects as subtests."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from harness import junit
from harness.errors import HarnessError, ObservationError, UsageError
from harness.model import Check, Place, Verdict
from harness.report.terminal import render_summary
from harness.run import KEY, Run, step_of

if TYPE_CHECKING:
    from testinfra.host import Host

    from harness.inventory import Cluster

Verify = Callable[[], None]
# pytest-xdist's processes would each go to the machines, and one's jobs and requests would be in the other's way.
ALONE = "a run looks at all machines in parallel anyway, and two of them would disturb each other; leave out -n"
HAS_WORKERS = pytest.StashKey[bool]()  # a worker of pytest-xdist was given steps
UNHEARD = "unheard"  # a witness of a place that is not well anyway
LETTERS: dict[str, tuple[str, str, tuple[str, dict[str, bool]]]] = {
    Verdict.REPAIRED: ("repaired", "R", ("REPAIRED", {"green": True})),
    Verdict.BLOCKED: ("blocked", "b", ("BLOCKED", {"yellow": True})),
    Verdict.UNKNOWN: ("unknown", "?", ("UNKNOWN", {"red": True})),
    UNHEARD: ("witnesses not heard", "-", ("NOT HEARD", {})),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the README's table."""
    group = parser.getgroup("hatcheck", "verify and repair a ClusterHAT cluster")
    add = group.addoption
    add("--cluster", metavar="FILE|lab", help="the inventory (default: cluster.toml), or the embedded lab")
    add("--plan", action="store_true", help="show what --repair would change, and change nothing")
    add("--repair", action="store_true", help="mend what differs, and look again")
    add("--advice", action="store_true", help="with --plan or --repair: follow the advice, too")
    add("--disruptive", action="store_true", help="also run what disturbs the cluster for a moment")
    add("--replay", metavar="TAPE", help="judge reports/<time>/tape.json again; contacts nothing")
    add("--reports", default="reports", metavar="DIR", help="where a run leaves its report (default: reports)")
    add("--direct", action="store_true", help="reach the nodes without the jump through the controller")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Refuse what cannot be done before anything is contacted, and have JUnit written in any case."""
    option = config.option
    _check_root(config)
    if option.plan and option.repair:
        raise pytest.UsageError("--plan and --repair exclude each other: plan first, then repair")
    if option.replay and (option.plan or option.repair):
        raise pytest.UsageError("--replay judges a tape again, so it takes neither --plan nor --repair")
    if option.advice and not (option.plan or option.repair):
        raise pytest.UsageError("--advice goes with --plan or --repair")
    if option.repair and getattr(option, "numprocesses", None):
        raise pytest.UsageError(ALONE)
    _check_reports(junit.reports(config))
    try:
        config.stash[KEY] = run = Run(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(run, "hatcheck-run")
    junit.ask(config)


def _check_reports(folder: Path) -> None:
    """A run must be able to say what it did; nothing is made here, for not every session is a run."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise pytest.UsageError(f"--reports: expected a folder that can be written to, got {place}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the connections, and drop the JUnit file of a session that was not a run."""
    run = config.stash.get(KEY, None)
    if run:
        run.close()
        junit.clean(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that asks for a node runs once for each machine of the inventory."""
    if "node_name" in metafunc.fixturenames:
        metafunc.parametrize("node_name", metafunc.config.stash[KEY].cluster.names)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Disruptive tests need their option, and steps need to be alone: what the user did not select is gone by now."""
    if hasattr(config, "workeroutput") and any(map(step_of, items)):
        config.workeroutput[ALONE] = True
        items.clear()
    for item in items:
        if item.get_closest_marker("disruptive") and not config.option.disruptive:
            item.add_marker(pytest.mark.skip(reason="disturbs the cluster: give --disruptive to run it"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Run the whole loop once, before the first item reports on its place in it."""
    option = session.config.option
    if option.collectonly or (session.testsfailed and not option.continue_on_collection_errors):
        return  # pytest itself ends here with what could not be collected; nothing may be mended before that
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    try:
        session.config.stash[KEY].carry_out(session.items, reporter.write_line if reporter else print)
    except HarnessError as error:
        junit.drop(session.config)
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - a worker of pytest-xdist, which need not be installed
    """Hear from a worker of pytest-xdist that it was given steps."""
    if ALONE in getattr(node, "workeroutput", ()):
        node.config.stash[HAS_WORKERS] = True


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The inventory of the run."""
    return request.config.stash[KEY].cluster


@pytest.fixture
def node(request: pytest.FixtureRequest, node_name: str) -> Host:
    """A plain testinfra host for each machine, over the run's own connection.

    In a file of a step it serves the witness, who speaks only where the step itself says that all is well.
    """
    run = request.config.stash[KEY]
    if run.replay:
        pytest.skip("a tape has no machine to ask")
    step = step_of(request.node)
    outcome = run.outcome(Place(step, node_name)) if step else None
    if outcome and not outcome.verdict.is_met:
        request.node.user_properties.append(("verdict", UNHEARD))
        pytest.skip(f"{outcome.place} does not claim to be well, so no witness is heard")
    try:
        return run.connections.access(node_name).host
    except ObservationError as error:
        request.node.user_properties.append(("verdict", str(Verdict.UNKNOWN)))
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def standing(request: pytest.FixtureRequest) -> frozenset[str]:
    """The machines of which the step of this file says that all is well: a witness may speak of these."""
    run = request.config.stash[KEY]
    step = step_of(request.node) or ""
    found = ((name, run.outcome(Place(step, name))) for name in run.cluster.names)
    return frozenset(name for name, outcome in found if outcome and outcome.verdict.is_met)


@pytest.fixture
def verify(request: pytest.FixtureRequest, node_name: str, subtests: pytest.Subtests) -> Verify:
    """Call it to report what the run found at this place; unknown is an error here, blocked a skip."""
    place = Place(step_of(request.node) or "", node_name)
    outcome = request.config.stash[KEY].outcome(place)
    if outcome is None:
        pytest.skip(f"{place} is not on the tape")
    request.node.user_properties.append(("verdict", str(outcome.verdict)))
    if outcome.verdict is Verdict.UNKNOWN:
        pytest.fail(outcome.reason, pytrace=False)
    if outcome.verdict is Verdict.BLOCKED:
        pytest.skip(outcome.reason)

    def report() -> None:
        for check in outcome.checks:
            with subtests.test(check.aspect):
                _report(check)
        if outcome.verdict is Verdict.DIFFERS:
            pytest.fail(outcome.reason, pytrace=False)

    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.TestReport | pytest.CollectReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Count repaired, blocked and unknown on their own."""
    if not isinstance(report, pytest.TestReport):
        return None
    verdict = dict(report.user_properties).get("verdict")
    if hasattr(report, "context"):  # an aspect: only one that differs is worth a letter
        return ("aspects", "", ("", {})) if report.passed else None
    is_word = (report.when == "call" and report.passed) or (report.when == "setup" and not report.passed)
    if verdict is None or not is_word:
        return None
    return LETTERS.get(str(verdict))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Leave the report, and make the exit code say what the outcomes say."""
    run = session.config.stash[KEY]
    if HAS_WORKERS in session.config.stash:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
    if run.result is None:
        return
    exit_code = run.leave_report(run.result)
    if exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        # Outcomes that are all well do not make good what else failed.
        session.exitstatus = exit_code or exitstatus


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Root causes first, then where the report is."""
    run = config.stash[KEY]
    if HAS_WORKERS in config.stash:
        terminalreporter.write_line(f"ERROR: {ALONE}", red=True)
    if run.result is None:
        return
    text = io.StringIO()
    width = shutil.get_terminal_size().columns
    console = Console(file=text, width=width, force_terminal=terminalreporter.hasmarkup, highlight=False)
    render_summary(run.result.record, console, is_brief=config.get_verbosity() < 0)
    what = f"{run.result.record.mode}, judged again from {run.replay}" if run.replay else run.mode
    terminalreporter.section(f"{run.result.record.cluster}: {what}")
    terminalreporter.write(text.getvalue())
    if run.folder:
        terminalreporter.write_line(f"report: {os.path.relpath(run.folder / 'report.html')}")


def _report(check: Check) -> None:
    if check.holds or check.level == "advice":
        return
    by_hand = f"; {check.by_hand}" if check.by_hand and not check.fix else ""
    pytest.fail(f"{check.node}: {check.aspect}: want {check.want}, saw {check.seen}{by_hand}", pytrace=False)


def _check_root(config: pytest.Config) -> None:
    """Explain what goes wrong otherwise: before it knows our options, pytest takes a path after a space for tests."""
    for name in ("cluster", "replay", "reports"):
        value = getattr(config.option, name)
        if config.inipath is None and f"--{name}" in config.invocation_params.args and Path(value).exists():
            raise pytest.UsageError(
                f"write --{name}={value} with an equals sign: pytest takes a path after a space for tests"
            )
