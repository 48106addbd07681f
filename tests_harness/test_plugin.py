"""Whole sessions of the plugin: exit codes, outcomes of items, and the report that a run leaves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # our own file

import pytest

from harness.errors import ObservationError, Unreachable
from harness.node import File
from harness.steps import hosts
from tests_harness.fakes import FakeCrew
from tests_harness.fakes_cluster import HUB, NODES, good_cluster, good_hosts, good_power, hosts_file
from tests_harness.fakes_sshd import closed_port
from tests_harness.fakes_tape import Taped, record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Mode

SUITE = Path(__file__).parents[1] / "tests_infra"
INI = """
[pytest]
addopts = -ra --strict-markers --strict-config
filterwarnings = error
markers =
    step(name): the documented step that a test reports on
    disruptive: disturbs
"""
# Enough steps to see how the plugin reports; which ones there are is not its business.
SHOWN = ("power", "network", "arp", "hosts")
WRONG = good_hosts() | {
    "p1": hosts.State(File(hosts_file("p1").replace(b".181.2 pi2", b".181.9 pi2"), 0o644, "root:root"), {})
}


def tape(mode: Mode = "verify", *looks: Mapping[str, object], step: str = "hosts") -> Taped:
    return record(FakeCrew(good_cluster() | ({step: list(looks)} if looks else {})), mode, SHOWN)


DEAD = Unreachable("p1: no connection to 172.19.181.1 port 22 through cnat: no answer in time")
TAPES = {
    "good": tape(),
    "differs": tape("verify", WRONG),
    "planned": tape("plan", WRONG),
    "repaired": tape("repair", WRONG, good_hosts()),
    "not mended": tape("repair", WRONG),
    "unknown": tape("verify", good_hosts() | {"p1": DEAD}),
    "node off": tape("verify", good_power() | {"p1": DEAD}, step="power"),
    "all off": tape("verify", {HUB: ObservationError("cnat: off")} | dict.fromkeys(NODES, DEAD), step="power"),
    "both": tape("verify", WRONG | {"p2": DEAD}),
}


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """The acceptance files of SHOWN in a folder of their own, and a tape for each name of TAPES."""
    pytester.makeini(INI)
    for step in SHOWN:
        (file,) = SUITE.glob(f"test_*_{step}.py")
        shutil.copy(file, pytester.path)
    for name, taped in TAPES.items():
        (pytester.path / f"{name}.json").write_text(taped.text)
    return pytester


def run(suite: pytest.Pytester, *words: str) -> pytest.RunResult:
    return suite.runpytest_subprocess("-p", "harness.plugin", "-p", "no:cacheprovider", *words)


def replayed(suite: pytest.Pytester, name: str, *words: str) -> pytest.RunResult:
    return run(suite, f"--replay={name}.json", *words)


def report_of(suite: pytest.Pytester) -> Path:
    """The one report of this suite, or where it would be."""
    found = [path for path in (suite.path / "reports").glob("[0-9]*") if path.is_dir()]
    return found[0] if found else suite.path / "reports" / "none"


@pytest.mark.parametrize(
    ("name", "code", "counts"),
    [
        pytest.param("good", 0, {"passed": 20, "skipped": 20}, id="as documented"),
        pytest.param("differs", 1, {"passed": 19, "skipped": 20, "failed": 2}, id="something differs"),
        pytest.param("planned", 1, {"passed": 19, "skipped": 20, "failed": 2}, id="a plan mends nothing"),
        pytest.param("repaired", 0, {"passed": 19, "skipped": 20, "repaired": 1}, id="as documented after a repair"),
        pytest.param("not mended", 1, {"passed": 19, "skipped": 20, "failed": 2}, id="a repair that did not mend"),
        pytest.param("unknown", 10, {"passed": 19, "skipped": 20, "unknown": 1}, id="something is unknown"),
        pytest.param("node off", 10, {"passed": 16, "skipped": 20, "unknown": 1, "blocked": 3}, id="blocked behind it"),
        pytest.param("all off", 10, {"skipped": 20, "unknown": 5, "blocked": 15}, id="nobody answers"),
        pytest.param("both", 1, {"passed": 18, "skipped": 20, "failed": 2, "unknown": 1}, id="a difference outranks"),
    ],
)
def test_the_exit_code_says_what_the_outcomes_say(
    suite: pytest.Pytester, name: str, code: int, counts: dict[str, int]
) -> None:
    result = replayed(suite, name)
    assert result.ret == code
    found = {key: number for key, number in result.parseoutcomes().items() if not key.startswith("aspect")}
    assert found == counts


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--plan", "--repair"], "--plan and --repair exclude each other", id="plan and repair"),
        pytest.param(["--replay=good.json", "--plan"], "takes neither --plan nor --repair", id="replay and plan"),
        pytest.param(["--replay=good.json", "--repair"], "takes neither --plan nor --repair", id="replay and repair"),
        pytest.param(
            ["--replay=good.json", "--reports=broken.toml/x"], "a folder that can be written to, got ", id="reports"
        ),
        pytest.param(["--advice"], "--advice goes with --plan or --repair", id="advice alone"),
        pytest.param(["--replay=nowhere.json"], "nowhere.json: no such tape", id="no tape"),
        pytest.param(["--replay=broken.json"], "broken.json: not a tape of format 1", id="broken tape"),
        pytest.param(["--replay=other.json"], "other.json: expected a look at power next", id="tape of other steps"),
        pytest.param([], "cluster.toml: no such inventory", id="no inventory"),
        pytest.param(["--cluster=nowhere.toml"], "nowhere.toml: no such inventory", id="no such inventory"),
        pytest.param(["--cluster=broken.toml"], "broken.toml: ssh.colour: unknown key", id="wrong inventory"),
        pytest.param(["--levitate"], "unrecognized arguments: --levitate", id="unknown option"),
    ],
)
def test_wrong_usage_is_4_and_one_sentence_and_leaves_no_report(
    suite: pytest.Pytester, words: list[str], said: str
) -> None:
    suite.path.joinpath("broken.json").write_text("{}")
    suite.path.joinpath("other.json").write_text(json.dumps(TAPES["good"].json | {"events": []}))
    suite.path.joinpath("broken.toml").write_text("ssh = {colour = 1}")
    result = run(suite, *words)
    output = result.stdout.str() + result.stderr.str()
    assert result.ret == 4
    assert said in output
    assert "Traceback" not in output
    assert not report_of(suite).exists()


def test_a_cluster_that_nobody_reaches_is_unknown_and_asked_once(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HATCHECK_PASSWORD", "hunter2")
    suite.path.joinpath("cluster.toml").write_text(f'ssh = {{host = "127.0.0.1", port = {closed_port()}}}')
    result = run(suite)
    assert result.ret == 10
    counts = result.parseoutcomes()
    assert (counts["unknown"], counts["blocked"]) == (1, 19)
    kept = "".join(file.read_text() for file in report_of(suite).iterdir())
    assert "hunter2" not in kept + result.stdout.str()


def test_the_inventory_is_the_one_beside_the_user_or_that_of_the_project(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = suite.mkdir("below")
    shutil.copy(suite.path / "test_01_power.py", folder)
    for name in (".", "below"):
        suite.path.joinpath(name, "cluster.toml").write_text(f'ssh = {{host = "127.0.0.1", port = {closed_port()}}}')
    suite.path.joinpath("below", "cluster.toml").write_text(
        'name = "below"\nssh = {host = "lab"}\n[[nodes]]\nname = "p7"'
    )
    monkeypatch.chdir(folder)
    run(suite, "--collect-only", "-q").stdout.fnmatch_lines(["*test_power?p7?"])
    folder.joinpath("cluster.toml").unlink()
    run(suite, "--collect-only", "-q").stdout.fnmatch_lines(["*test_power?p4?"])
    suite.path.joinpath("cluster.toml").unlink()
    result = run(suite, "--collect-only", "-q")
    result.stderr.fnmatch_lines([f"*cluster.toml: no such inventory in {folder} or {suite.path}; *"])
    assert result.ret == 4


def test_nothing_to_do_is_5(suite: pytest.Pytester) -> None:
    assert replayed(suite, "good", "-k", "levitate").ret == 5
    assert not report_of(suite).exists()


def test_a_run_leaves_its_whole_report_and_a_replay_is_not_the_latest(suite: pytest.Pytester) -> None:
    result = replayed(suite, "differs")
    result.stdout.fnmatch_lines(["*: verify, judged again from differs.json*"])
    assert not (suite.path / "reports" / "latest").exists()
    assert sorted(file.name for file in report_of(suite).iterdir()) == [
        "junit.xml", "report.html", "result.json", "tape.json",
    ]  # fmt: skip
    assert [file.name for file in report_of(suite).parent.iterdir() if file.name.startswith(".")] == []
    result.stdout.fnmatch_lines(["report: reports/*/report.html"])
    assert (report_of(suite) / "tape.json").read_text() == TAPES["differs"].text


def test_steps_are_not_looked_at_by_two_processes_at_once(suite: pytest.Pytester) -> None:
    for words in ([], ["--repair"]):
        result = run(suite, "--cluster=lab", "-n", "2", *words)
        assert result.ret == 4
        assert "two of them would disturb each other; leave out -n" in result.stdout.str() + result.stderr.str()
        assert not report_of(suite).exists()


def test_two_processes_may_run_tests_of_the_users_own(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_own="def test_one():\n    pass\n\ndef test_two(cluster):\n    assert cluster.names\n")
    for words in (["test_own.py"], ["-k", "test_own"]):
        result = run(suite, "--cluster=lab", "-n", "2", *words)
        assert (result.ret, result.parseoutcomes()) == (0, {"passed": 2})


def test_the_result_names_the_cause(suite: pytest.Pytester) -> None:
    replayed(suite, "node off")
    summary = json.loads((report_of(suite) / "result.json").read_text())["summary"]
    assert (summary["exit_code"], summary["counts"]["blocked"]) == (10, 3)
    (cause,) = summary["causes"]
    assert (cause["place"], cause["blocks"]) == ("power[p1]", ["network[p1]", "arp[p1]", "hosts[p1]"])


def test_junit_has_a_case_for_each_place_and_is_also_left_where_it_was_asked_for(suite: pytest.Pytester) -> None:
    replayed(suite, "both", "--junitxml=own.xml")
    own, kept = (
        (folder / name).read_bytes() for folder, name in ((suite.path, "own.xml"), (report_of(suite), "junit.xml"))
    )
    assert own == kept
    cases = {case.get("name"): case for case in ET.fromstring(own).iter("testcase")}  # noqa: S314 - pytest wrote it
    assert {f"test_{step}[{name}]" for step in SHOWN for name in (HUB, *NODES)} <= set(cases)
    assert cases["test_hosts[p2]"].find("error") is not None
    assert cases["test_hosts[p1]"].find("failure") is not None


def test_a_blocked_item_is_skipped_with_its_cause_and_an_unknown_one_is_an_error_with_its_reason(
    suite: pytest.Pytester,
) -> None:
    replayed(suite, "node off", "--junitxml=own.xml")
    cases = {case.get("name"): case for case in ET.parse(suite.path / "own.xml").iter("testcase")}  # noqa: S314
    skipped, error = cases["test_arp[p1]"].find("skipped"), cases["test_power[p1]"].find("error")
    assert skipped is not None
    assert skipped.get("message") == "blocked by power[p1]"
    assert error is not None
    assert str(DEAD) in (error.text or "")


def test_only_the_aspect_that_differs_is_named(suite: pytest.Pytester) -> None:
    result = replayed(suite, "differs")
    result.stdout.fnmatch_lines(["SUBFAILED?address of pi2? *test_hosts?p1?*"])
    result.stdout.fnmatch_lines(["*address of pi2: want 172.19.181.2, saw 172.19.181.9*"])
    assert result.stdout.str().count("SUBFAILED") == 1


def test_a_witness_is_not_heard_from_a_tape(suite: pytest.Pytester) -> None:
    result = replayed(suite, "good", "-k", "witness")
    assert result.parseoutcomes()["skipped"] == 20
    result.stdout.fnmatch_lines(["*a tape has no machine to ask*"])


def test_ordinary_selection_selects_steps_and_nodes(suite: pytest.Pytester) -> None:
    assert replayed(suite, "good", "-k", "test_hosts and not witness").parseoutcomes()["passed"] == 5
    assert replayed(suite, "good", "-k", "p3 and not witness").parseoutcomes()["passed"] == 4
    assert replayed(suite, "good", "test_03_arp.py::test_arp[p2]").parseoutcomes()["passed"] == 1


def test_what_is_blocked_by_a_step_that_was_not_selected_is_not_0(suite: pytest.Pytester) -> None:
    result = replayed(suite, "node off", "-k", "test_hosts and p1 and not witness")
    assert result.ret == 10
    assert result.parseoutcomes()["blocked"] == 1


def matrix_of(result: pytest.RunResult) -> list[str]:
    """The steps of the matrix that the summary shows."""
    lines = result.stdout.lines
    start = next(number for number, line in enumerate(lines) if line.startswith("step "))
    return [line.split()[0] for line in lines[start + 1 : lines.index("", start)]]


def test_a_selection_narrows_a_tape_as_it_narrows_a_run(suite: pytest.Pytester) -> None:
    result = replayed(suite, "differs", "-k", "test_power or test_network")
    assert (result.ret, matrix_of(result)) == (0, ["power", "network"])
    result.stdout.fnmatch_lines(["as documented: 10 ok in *"])
    assert replayed(suite, "differs", "-k", "test_hosts and p2").ret == 0
    assert replayed(suite, "differs", "-k", "test_hosts and p1").ret == 1


def test_witnesses_alone_are_of_all_machines_of_their_step(suite: pytest.Pytester) -> None:
    result = replayed(suite, "differs", "-k", "test_power_witness")
    assert (result.ret, matrix_of(result)) == (0, ["power"])
    result.stdout.fnmatch_lines(["as documented: 5 ok in *"])


def test_what_is_not_on_the_tape_cannot_be_well(suite: pytest.Pytester) -> None:
    taped = record(FakeCrew(good_cluster()), "verify", ("power",), ("power[p1]",))
    suite.path.joinpath("short.json").write_text(taped.text)
    assert replayed(suite, "short", "-k", "test_power").ret == 0
    for words in ("test_arp", "test_power and p2"):
        result = replayed(suite, "short", "-k", words)
        assert result.ret == 4
        result.stderr.fnmatch_lines(["*short.json: nothing that was selected is on this tape*"])


def test_a_failure_of_a_test_of_the_users_own_is_1_and_its_success_changes_nothing(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_own="def test_own(cluster):\n    assert cluster.names[0] == 'cnat'\n")
    assert replayed(suite, "good").ret == 0
    assert replayed(suite, "unknown").ret == 10
    suite.makepyfile(test_own="def test_own():\n    assert False\n")
    assert replayed(suite, "good").ret == 1
    assert replayed(suite, "unknown").ret == 1


def test_more_than_the_outcome_of_a_good_step_may_fail_in_its_test(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_own="import pytest\n@pytest.mark.step('hosts')\ndef test_own(verify):\n    verify()\n    assert False\n"
    )
    assert replayed(suite, "good").ret == 1


def test_a_file_that_cannot_be_imported_is_2_as_always(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_own="import levitate\n")
    assert replayed(suite, "good").ret == 2
    assert not report_of(suite).exists()


def test_a_session_without_steps_is_an_ordinary_one(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_own="def test_own():\n    pass\n")
    suite.path.joinpath("cluster.toml").touch()
    result = run(suite, "test_own.py")
    assert (result.ret, result.parseoutcomes()) == (0, {"passed": 1})
    assert not report_of(suite).exists()


def test_to_list_the_items_looks_at_nothing(suite: pytest.Pytester) -> None:
    suite.path.joinpath("cluster.toml").write_text(f'ssh = {{host = "127.0.0.1", port = {closed_port()}}}')
    result = run(suite, "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["test_01_power.py::test_power?cnat?", "test_06_hosts.py::test_hosts?p4?"])
    assert not report_of(suite).exists()


def test_what_disturbs_needs_its_option(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_own="import pytest\n\n@pytest.mark.disruptive\ndef test_own():\n    assert False\n")
    assert replayed(suite, "good").ret == 0
    assert replayed(suite, "good", "--disruptive").ret == 1
