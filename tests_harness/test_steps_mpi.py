"""Step `mpi`: what is installed where, which jobs are tried, and that no wrong result of theirs passes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.actions import Run, Write
from harness.model import Check, Outcome, Verdict
from harness.parse.app_results import PI_FORM, PRIMES_FORM, Pi, Primes, Stats
from harness.primes import compare, primes, wanted
from harness.steps import mpi
from harness.steps.mpi_installed import CHOOSE, obstacle
from harness.steps.mpi_jobs import THROWS, documented_hosts, in_order
from harness.steps.mpi_programs import SHIPPED, Program, digest
from harness.steps.mpi_state import Job, Live, Rank, Said
from harness.tape import Recorder
from tests_harness.fakes import FakeCrew, outcomes_of
from tests_harness.fakes_cluster import differences, without
from tests_harness.fakes_mpi import CLUSTER, EVERYBODY, HUB, LIBRARY, good_live, good_mpi, program, right
from tests_harness.labkit import ROOT

Seen = dict[str, mpi.State]
Faults = dict[tuple[str, str], tuple[str, ...]]
LISTING: list[int] = json.loads((ROOT / "fixtures" / "samples" / "runbook-primes.json").read_text())["primeNumbersList"]
OLD = b"print('the first version')\n"
OTHER = Program(digest(OLD), 0o644, "pi:pi", is_readable=True, content=OLD)
TRIED = "jobs over the cluster"


def judge(seen: Seen) -> list[Check]:
    return list(mpi.judge(seen, CLUSTER))


def damaged(name: str, **changes: Any) -> Seen:  # noqa: ANN401 - fields of a State
    seen = good_mpi()
    seen[name] = replace(seen[name], **changes)
    return seen


def live(**changes: Any) -> Seen:  # noqa: ANN401 - fields of a Live
    return damaged(HUB, live=replace(good_live(), **changes))


def first_job(**changes: Any) -> Seen:  # noqa: ANN401 - fields of a Job
    whole, *others = good_live().trials
    return live(trials=(replace(whole, **changes), *others))


def documented_job(**changes: Any) -> Seen:  # noqa: ANN401 - fields of a Job
    job = good_live().documented
    assert job
    return live(documented=replace(job, **changes))


def first_ranks(**changes: Any) -> tuple[Rank, ...]:  # noqa: ANN401 - fields of a Rank
    return tuple(replace(rank, **changes) for rank in good_live().trials[0].ranks)


def fixes(seen: Seen) -> list[Any]:
    return list(dict.fromkeys(action for check in judge(seen) if not check.holds for action in check.fix))


def names(name: str, **changes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return good_mpi()[name].names | changes


NO_MPI4PY = {"openmpi-bin": "installed", "python3-mpi4py": "not installed"}
NOTHING = dict.fromkeys(NO_MPI4PY, "not installed")
# As they were seen without libopenmpi3.
GONE = "'mpiexec: error while loading shared libraries: libopen-rte.so.40: cannot open shared object file..."
NOT_OPENED = "ImportError: libmpi.so.40: cannot open shared object file: No such file or directory"
INSTALLED = [
    pytest.param("p4", {"packages": NO_MPI4PY, "library": "", "mpi4py": "", "complaint": "No module named 'mpi4py'"},
                 {"python3-mpi4py": ("run",), "library of mpi4py": ("run",)}, id="no mpi4py"),
    pytest.param("p4", {"packages": NOTHING, "library": "", "mpi4py": "", "launcher": "", "launcher_path": ""},
                 {"openmpi-bin": ("run",), "python3-mpi4py": ("run",), "launcher": ("run",),
                  "library of mpi4py": ("run",)}, id="nothing"),
    pytest.param("p4", {"packages": {"openmpi-bin": "half-installed", "python3-mpi4py": "installed"}},
                 {"openmpi-bin": ("run",)}, id="half installed"),
    pytest.param(HUB, {"launcher": "MPICH 4.0.2", "launcher_path": "/usr/bin/mpiexec.hydra"},
                 {"launcher": ("run",), "launcher and library are of one version": ()}, id="launcher of MPICH"),
    pytest.param(HUB, {"launcher": "MPICH 4.0.2", "launcher_path": "/opt/mpich/bin/mpiexec"},
                 {"launcher": (), "launcher and library are of one version": ()}, id="launcher of one's own"),
    pytest.param("p2", {"launcher": GONE, "launcher_path": "/usr/bin/orterun", "library": "", "mpi4py": "",
                        "complaint": NOT_OPENED}, {"launcher": (), "library of mpi4py": ()}, id="a library is gone"),
    pytest.param(HUB, {"library": "MPICH 4.0.2"},
                 {"library of mpi4py": (), "launcher and library are of one version": (),
                  "Open MPI as on the other machines": ()}, id="library of MPICH"),
    pytest.param("p2", {"launcher": "Open MPI 4.1.0", "library": "Open MPI 4.1.0"},
                 {"Open MPI as on the other machines": ()}, id="another release"),
    pytest.param("p2", {"launcher": "Open MPI 4.1.0"},
                 {"launcher and library are of one version": ()}, id="launcher older than library"),
    pytest.param("p2", {"mpi4py": "4.0.0"}, {"mpi4py as on the other machines": ()}, id="another mpi4py"),
    pytest.param("p2", {"names": names("p2", pi3=())}, {"pi3 resolves": ()}, id="name unknown"),
    pytest.param("p2", {"names": names("p2", cnat=("127.0.1.1", "172.19.181.254"))}, {"cnat resolves": ()},
                 id="name of two addresses"),
    pytest.param("p3", {"programs": {}}, dict.fromkeys(SHIPPED, ("run", "write")), id="no programs"),
    pytest.param("p3", {"programs": {name: program(name) for name in SHIPPED} | {"prime.py": OTHER}},
                 {"prime.py": ("run", "write")}, id="another program"),
    pytest.param("p3", {"programs": {name: replace(program(name), is_readable=False) for name in SHIPPED}},
                 dict.fromkeys(SHIPPED, ("run", "write")), id="programs of root"),
]  # fmt: skip


def test_a_good_cluster_holds_on_every_machine_in_every_aspect() -> None:
    checks = judge(good_mpi())
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)
    assert len({(check.node, check.aspect) for check in checks}) == len(checks)


@pytest.mark.parametrize(("name", "changes", "aspects"), INSTALLED)
def test_what_is_wrong_on_a_machine_differs_there(
    name: str, changes: dict[str, Any], aspects: dict[str, tuple[str, ...]]
) -> None:
    assert differences(judge(damaged(name, **changes))) == {(name, aspect): fix for aspect, fix in aspects.items()}


@pytest.mark.parametrize(("name", "changes", "aspects"), INSTALLED)
def test_no_job_is_tried_over_a_machine_that_cannot_take_part(
    name: str, changes: dict[str, Any], aspects: dict[str, tuple[str, ...]]
) -> None:
    why = obstacle(damaged(name, **changes), CLUSTER)
    assert why.startswith(f"{name}")
    seen = damaged(name, **changes)
    seen[HUB] = replace(seen[HUB], live=Live(why))
    assert differences(judge(seen)) == {**{(name, aspect): fix for aspect, fix in aspects.items()}, (HUB, TRIED): ()}


def test_nothing_stands_in_the_way_of_jobs_where_all_is_well() -> None:
    assert obstacle(good_mpi(), CLUSTER) == ""


def test_the_controllers_version_wins_where_versions_are_even() -> None:
    seen = good_mpi()
    for name in ("p1", "p2", "p3"):
        seen[name] = replace(seen[name], mpi4py="4.0.0")
    aspect = "mpi4py as on the other machines"
    assert differences(judge(seen)) == {(HUB, aspect): (), ("p4", aspect): ()}
    del seen["p3"]
    assert differences(judge(seen)) == {("p1", aspect): (), ("p2", aspect): ()}


def test_a_program_is_installed_from_the_bytes_that_were_seen_and_nothing_else_is_touched() -> None:
    folders, write = fixes(damaged("p3", programs={name: program(name) for name in SHIPPED} | {"prime.py": OTHER}))
    assert isinstance(folders, Run)
    assert isinstance(write, Write)
    assert (write.before, write.after) == (OLD, SHIPPED["prime.py"])
    assert (write.path, write.mode, write.owner) == ("/home/pi/webVolume/repoPythonScripts/prime.py", 0o644, "pi:pi")


def test_rights_alone_are_mended_by_a_write_of_the_same_bytes() -> None:
    programs = {name: program(name) for name in SHIPPED} | {"prime.py": replace(program("prime.py"), is_readable=False)}
    (write,) = [one for one in fixes(damaged("p3", programs=programs)) if isinstance(one, Write)]
    assert write.before == write.after == SHIPPED["prime.py"]


def test_bytes_that_nobody_kept_are_not_written_over() -> None:
    unknown = Program("0" * 64, 0o644, "pi:pi", is_readable=True)
    assert fixes(damaged("p3", programs={name: program(name) for name in SHIPPED} | {"prime.py": unknown})) == []


def test_only_debians_mpiexec_is_chosen_anew_and_only_where_open_mpi_is_installed() -> None:
    mixed = {"launcher": "MPICH 4.0.2", "launcher_path": "/usr/bin/mpiexec.hydra"}
    (choose,) = fixes(damaged(HUB, **mixed))
    assert choose.argv == CHOOSE
    install, choose = fixes(damaged(HUB, packages=NOTHING, library="", mpi4py="", **mixed))
    assert (install.argv[-3:], choose.argv) == (("install", "openmpi-bin", "python3-mpi4py"), CHOOSE)


def test_a_launcher_that_lacks_a_library_is_no_other_launcher() -> None:
    broken = {"launcher": GONE, "library": "", "mpi4py": "", "complaint": NOT_OPENED}
    seen = damaged("p2", launcher_path="/usr/bin/orterun", **broken)
    assert ["apt-get -f install" in check.by_hand for check in judge(seen) if not check.holds] == [True, True]
    own = damaged("p2", launcher_path="/opt/mpi/bin/mpiexec", launcher=GONE)
    assert any(check.by_hand.startswith("/opt/mpi/bin/mpiexec is found") for check in judge(own) if not check.holds)


def numbers(low: int, high: int, found: list[int] | tuple[int, ...]) -> dict[str, Primes]:
    whole = good_live().trials[0].primes
    return whole | {f"{low}..{high}": Primes(PRIMES_FORM, compare(found, low, high))}


def row(**changes: Any) -> Stats:  # noqa: ANN401 - fields of Stats
    stats = good_live().trials[0].stats
    assert stats
    return replace(stats, **changes)


BY_FIVE = "primes 1..100 by 5 ranks"
OWN_RANK = "ranks here in the job over all"
RANK_OF_P1 = "connections of the rank on p1"
FIRST = [
    pytest.param({"primes": numbers(1, 100, LISTING)}, {(HUB, BY_FIVE)}, id="the listing of the runbook"),
    pytest.param({"primes": numbers(1, 100, [*primes(1, 96), 99])}, {(HUB, BY_FIVE)}, id="as many as there are"),
    pytest.param({"primes": numbers(97, 97, ())}, {(HUB, "primes 97..97 by 5 ranks")}, id="upper bound left out"),
    pytest.param({"primes": numbers(0, 1, (1,))}, {(HUB, "primes 0..1 by 5 ranks")}, id="1 is prime"),
    pytest.param({"primes": numbers(1, 1_000_000, primes(1, 999_982))}, {(HUB, "primes 1..1000000 by 5 ranks")},
                 id="the last of a million lacks"),
    pytest.param({"primes": numbers(10, 30, primes(10, 30)[::-1])}, {(HUB, "primes 10..30 by 5 ranks")},
                 id="backwards"),
    pytest.param({"primes": {key: one for key, one in numbers(1, 100, ()).items() if key != "1..100"}},
                 {(HUB, BY_FIVE)}, id="no result"),
    pytest.param({"primes": numbers(2, 3, ()) | {"2..3": Primes("no JSON: 'x'")}},
                 {(HUB, "form of prime.py's results by 5 ranks")}, id="another form"),
    pytest.param({"ranks": first_ranks(size=1)}, {(HUB, "size of the job over all")}, id="five times rank 0"),
    pytest.param({"ranks": ()}, {(HUB, "size of the job over all"), (HUB, "machines of the job over all"),
                                 *((name, OWN_RANK) for name in CLUSTER.names)}, id="no rank"),
    pytest.param({"ranks": first_ranks(host="p3")},
                 {(HUB, "machines of the job over all"), (HUB, OWN_RANK), ("p1", OWN_RANK), ("p2", OWN_RANK),
                  ("p3", OWN_RANK), ("p4", OWN_RANK), (HUB, "rows of node_stats.py")}, id="all on one machine"),
    pytest.param({"ranks": first_ranks(include=("", ""))}, {(HUB, "interface parameters in every rank")},
                 id="parameters that no rank got"),
    pytest.param({"ranks": first_ranks(include=("172.19.181.0/24", ""))}, {(HUB, "interface parameters in every rank")},
                 id="only one of them"),
    pytest.param({"ranks": tuple(replace(rank, peers=(*rank.peers, "10.9.9.2")) if rank.host == "p1" else rank
                                 for rank in good_live().trials[0].ranks)}, {(HUB, RANK_OF_P1)}, id="another network"),
    pytest.param({"ranks": tuple(replace(rank, peers=("127.0.0.1",)) if rank.host == "p1" else rank
                                 for rank in good_live().trials[0].ranks)}, {(HUB, RANK_OF_P1)}, id="no network"),
    pytest.param({"pi": Pi(PI_FORM, 3.141592653589793, 0.0)}, {(HUB, f"pi from {THROWS} throws")}, id="pi itself"),
    pytest.param({"pi": Pi(PI_FORM, 3.0, 0.0450703414)}, {(HUB, f"pi from {THROWS} throws")}, id="a bad estimate"),
    pytest.param({"pi": Pi(PI_FORM, 3.1416, 0.5)}, {(HUB, f"pi from {THROWS} throws")}, id="a wrong error"),
    pytest.param({"pi": Pi("pi: text")}, {(HUB, "form of pi_monte_carlo.py's result")}, id="another form of pi"),
    pytest.param({"pi": None}, {(HUB, "form of pi_monte_carlo.py's result")}, id="no pi"),
    pytest.param({"stats": row(machines=CLUSTER.names[:4])}, {(HUB, "rows of node_stats.py")}, id="a row lacks"),
    pytest.param({"stats": row(machines=(*CLUSTER.names, "p4"))}, {(HUB, "rows of node_stats.py")}, id="row twice"),
    pytest.param({"stats": row(header="piName;cpu")}, {(HUB, "header of node_stats.py")}, id="another header"),
    pytest.param({"stats": row(odd=(("p1", "-5;;1;2;x"),))}, {(HUB, "values of node_stats.py")}, id="an odd value"),
    pytest.param({"stats": None}, {(HUB, "header of node_stats.py")}, id="no statistics"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "aspects"), FIRST)
def test_no_wrong_result_of_the_job_over_all_passes(changes: dict[str, Any], aspects: set[tuple[str, str]]) -> None:
    found = differences(judge(first_job(**changes)))
    assert set(found) == aspects
    assert set(found.values()) == {()}


def test_words_that_lie_about_a_list_change_no_verdict() -> None:
    lie = replace(compare(LISTING, 1, 100), missing=(), foreign=())
    seen = first_job(primes=good_live().trials[0].primes | {"1..100": Primes(PRIMES_FORM, lie)})
    assert set(differences(judge(seen))) == {(HUB, BY_FIVE)}


def test_every_number_of_ranks_is_judged_on_its_own() -> None:
    trials = list(good_live().trials)
    trials[2] = replace(trials[2], primes=trials[2].primes | {"2..100": Primes(PRIMES_FORM, compare((2, 2), 2, 100))})
    assert set(differences(judge(live(trials=tuple(trials))))) == {(HUB, "primes 2..100 by 2 ranks")}


@pytest.mark.parametrize(
    ("changes", "aspects"),
    [
        pytest.param({"said": tuple(Said(1, (host,)) for host in ("p3", "p2", "p4"))},
                     {"size of the documented job"}, id="three times rank 0, and the result looks right"),
        pytest.param({"said": (Said(3, ("p3", "p3", "p3")),)}, {"hosts of the documented job"}, id="one machine"),
        pytest.param({"said": ()}, {"size of the documented job", "hosts of the documented job"}, id="it says nothing"),
        pytest.param({"primes": {"1..100": Primes(PRIMES_FORM, compare(LISTING, 1, 100))}},
                     {"primes 1..100 of the documented job"}, id="the listing of the runbook"),
        pytest.param({"primes": {}}, {"primes 1..100 of the documented job", "form of the documented job's result"},
                     id="no result"),
        pytest.param({"failure": "no end within 18 s"}, {"documented job over pi3,pi2,pi4"}, id="it hangs"),
    ],
)  # fmt: skip
def test_no_wrong_result_of_the_documented_job_passes(changes: dict[str, Any], aspects: set[str]) -> None:
    assert set(differences(judge(documented_job(**changes)))) == {(HUB, aspect) for aspect in aspects}


def test_a_job_that_hangs_is_one_difference_with_its_reason() -> None:
    hung = Job(EVERYBODY, "no end within 18 s")
    seen = live(trials=(hung,), documented=None, left={"pi2": "ended there: TN orted"})
    (check,) = [check for check in judge(seen) if not check.holds]
    assert (check.aspect, check.seen) == ("job over all machines", "no end within 18 s (pi2: ended there: TN orted)")


def test_what_jobs_that_ended_well_left_is_a_difference() -> None:
    seen = live(left={"pi2": "ended there: S python3"})
    assert set(differences(judge(seen))) == {(HUB, "what the jobs left on the machines")}


def test_a_machine_that_is_down_is_named_by_the_controller_and_leaves_the_others_well() -> None:
    """p2 gave no answer: the job went over the others, and the documented one could not be tried."""
    seen = without(good_mpi(), "p2")
    hosts = tuple(host for host in EVERYBODY if host != "pi2")
    whole = good_live().trials[0]
    ranks = tuple(replace(rank, size=4) for rank in whole.ranks if rank.host != "p2")
    stats = row(machines=("cnat", "p1", "p3", "p4"))
    trial = replace(whole, hosts=hosts, ranks=ranks, stats=stats)
    seen[HUB] = replace(seen[HUB], live=Live("", (trial,)))
    found = differences(judge(seen))
    assert set(found) == {
        (HUB, aspect)
        for aspect in (
            "size of the job over all",
            "machines of the job over all",
            "documented job over pi3,pi2,pi4",
        )
    }
    outcomes = {outcome.place.node: outcome for outcome in outcomes_of(mpi, seen, CLUSTER)}
    assert outcomes["p1"].verdict is Verdict.OK
    assert outcomes[HUB].verdict is Verdict.DIFFERS


def test_without_the_controller_the_others_are_judged_by_themselves() -> None:
    found: dict[str, Outcome] = {one.place.node: one for one in outcomes_of(mpi, without(good_mpi(), HUB), CLUSTER)}
    assert {found[name].verdict for name in ("p1", "p2", "p3", "p4")} == {Verdict.OK}
    assert found[HUB].verdict is Verdict.UNKNOWN


def test_the_documented_hosts_come_first_and_a_cluster_without_them_uses_its_own() -> None:
    assert in_order(["pi1", "pi2", "pi3", "pi4"]) == ("pi3", "pi2", "pi4", "pi1")
    assert documented_hosts(CLUSTER) == ("pi3", "pi2", "pi4")
    small = CLUSTER.model_copy(update={"nodes": CLUSTER.nodes[:2]})
    assert documented_hosts(small) == ("pi1", "pi2")


def test_a_look_stays_small_on_the_tape() -> None:
    """78 498 primes for each number of ranks would be megabytes."""
    recorder = Recorder(FakeCrew({"mpi": [good_mpi()]}))
    recorder.look(mpi, CLUSTER.names)
    assert len(json.dumps(recorder.events)) < 40_000
    assert right(1, 1_000_000).found == wanted(1, 1_000_000)
    assert LIBRARY in json.dumps(recorder.events)
