"""Step `updates`: what starts an update at boot, how it ended, and packages that an update left behind."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import backend
from harness.actions import Run, Write
from harness.backend import Asker
from harness.errors import ObservationError
from harness.node import File, NodeAccess
from harness.parse import apt_check
from harness.parse.startup import is_update
from harness.shell import Answer
from harness.steps import updates
from harness.steps.updates_boot import SCRIPT_PATH, SCRIPT_TEXT, UNIT, UNIT_PATH, UNIT_TEXT, AtBoot, Starter
from tests_harness.fakes_cluster import CLUSTER, HUB, differences
from tests_harness.fakes_system import AT_BOOT, FILES, OURS, RAN, good_updates

if TYPE_CHECKING:
    from pathlib import Path

    from harness.actions import Action
    from harness.model import Check

GOOD = good_updates()[HUB]
ENABLE = ("systemctl", "enable", UNIT)
ABSENT = replace(RAN, is_there=False, is_enabled=False, has_run=False)
LOOSE = replace(RAN, is_enabled=False)
NEVER = replace(RAN, has_run=False)
MAJ = "/home/pi/maj.sh"
CRON = Starter("/var/spool/cron/crontabs/root", MAJ)
INLINE = Starter("/etc/cron.d/maj", None)
OWN_UNIT = Starter("/etc/systemd/system/maj.service", MAJ, "maj.service")
MAJ_TEXT = b"#!/bin/sh\napt update && apt -y upgrade\n"
MAJ_FILE = {MAJ: File(MAJ_TEXT, 0o755, "pi:pi")}


def judge(at_boot: AtBoot) -> list[Check]:
    return list(updates.judge({HUB: replace(GOOD, at_boot=at_boot)}, CLUSTER))


def aspects(at_boot: AtBoot) -> set[str]:
    return {aspect for _, aspect in differences(judge(at_boot))}


def actions(checks: list[Check]) -> list[Action]:
    return [action for check in checks if not check.holds and check.level == "must" for action in check.fix]


def without_file(path: str, *, starters: tuple[Starter, ...] = (), **changes: object) -> AtBoot:
    files = {each: file for each, file in FILES.items() if each != path}
    return replace(AT_BOOT, starters=starters, files=files, **changes)  # type: ignore[arg-type]


def test_a_good_cluster_holds_and_no_machine_is_left_out() -> None:
    checks = list(updates.judge(good_updates(), CLUSTER))
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)
    assert {check.node for check in checks if "boot" in check.aspect} == {HUB}, "the runbook updates only the host"


@pytest.mark.parametrize(
    ("at_boot", "want"),
    [
        pytest.param(AtBoot((), {}, ABSENT, is_new=False), {"update script", "every boot updates"}, id="bare"),
        pytest.param(without_file(SCRIPT_PATH), {"update script", "every boot updates"}, id="no script"),
        pytest.param(without_file(UNIT_PATH, run=ABSENT), {"every boot updates"}, id="no unit"),
        pytest.param(replace(AT_BOOT, starters=(), run=LOOSE), {"every boot updates"}, id="not enabled"),
        pytest.param(replace(AT_BOOT, files=FILES | {SCRIPT_PATH: File(SCRIPT_TEXT.encode(), 0o644, "root:root")}),
                     {"update script"}, id="not executable"),
        pytest.param(replace(AT_BOOT, run=replace(RAN, result="exit-code", status=100)), {"last update"}, id="failed"),
        pytest.param(replace(AT_BOOT, run=replace(RAN, result="timeout", status=0)), {"last update"}, id="timeout"),
        pytest.param(replace(AT_BOOT, run=NEVER), {"last update"}, id="did not run at the last boot"),
        pytest.param(replace(AT_BOOT, run=NEVER, is_new=True), set(), id="no boot since it was set up"),
        pytest.param(replace(AT_BOOT, run=replace(NEVER, is_running=True)), set(), id="at work"),
        pytest.param(AtBoot((CRON,), MAJ_FILE, ABSENT, is_new=False), set(), id="a cron job of one's own"),
        pytest.param(AtBoot((INLINE,), {}, ABSENT, is_new=False), set(), id="a cron job that runs apt itself"),
        pytest.param(AtBoot((OWN_UNIT,), MAJ_FILE, RAN, is_new=False), set(), id="a unit of one's own"),
        pytest.param(AtBoot((OWN_UNIT,), MAJ_FILE, replace(RAN, status=1), is_new=False),
                     {"last update"}, id="a unit of one's own that failed"),
        pytest.param(AtBoot((CRON,), {MAJ: File(MAJ_TEXT, 0o644, "pi:pi")}, ABSENT, is_new=False),
                     {"update script"}, id="a script of one's own that may not be executed"),
    ],
)  # fmt: skip
def test_a_fault_differs_exactly_there(at_boot: AtBoot, want: set[str]) -> None:
    assert aspects(at_boot) == want


def with_drop_in(text: str, **changes: object) -> AtBoot:
    drop_in = {f"{UNIT_PATH}.d/x.conf": File(text.encode(), 0o644, "root:root")}
    return replace(AT_BOOT, starters=(), files=FILES | drop_in, **changes)  # type: ignore[arg-type]


OVERRULED = "[Service]\nExecStart=\nExecStart=/bin/true\n"


@pytest.mark.parametrize(
    ("at_boot", "said"),
    [
        pytest.param(with_drop_in(OVERRULED), f"{UNIT_PATH}.d/x.conf", id="another command"),
        pytest.param(with_drop_in(OVERRULED, run=LOOSE), f"{UNIT_PATH}.d/x.conf", id="another, not enabled"),
        pytest.param(with_drop_in("[Unit]\nConditionHost=p9\n"), f"{UNIT_PATH}.d/x.conf", id="a condition"),
        pytest.param(replace(AT_BOOT, starters=()), f"what `systemctl cat {UNIT}` shows", id="one from elsewhere"),
    ],
)
def test_what_keeps_our_unit_from_its_script_is_named_and_left_to_a_person(at_boot: AtBoot, said: str) -> None:
    (check,) = [check for check in judge(at_boot) if not check.holds]
    assert (check.aspect, check.fix) == ("every boot updates", ())
    assert f" {said} " in check.by_hand


def test_a_drop_in_that_leaves_the_command_alone_is_in_nobodys_way() -> None:
    assert aspects(replace(with_drop_in("[Service]\nNice=10\n"), starters=AT_BOOT.starters)) == set()
    (enable,) = actions(judge(with_drop_in("[Service]\nNice=10\n", run=LOOSE)))
    assert isinstance(enable, Run)
    assert enable.argv == ENABLE


def test_from_nothing_two_files_are_written_and_the_unit_is_enabled_but_not_run() -> None:
    script, unit, enable = actions(judge(AtBoot((), {}, ABSENT, is_new=False)))
    assert isinstance(script, Write)
    assert isinstance(unit, Write)
    assert (script.path, script.mode, script.owner) == (SCRIPT_PATH, 0o755, "root:root")
    assert (unit.path, unit.mode, unit.owner) == (UNIT_PATH, 0o644, "root:root")
    assert isinstance(enable, Run)
    assert enable.argv == ENABLE


def test_a_masked_unit_is_allowed_before_its_file_is_written() -> None:
    run = replace(ABSENT, is_masked=True)
    kinds = [action.kind for action in actions(judge(without_file(UNIT_PATH, run=run)))]
    assert kinds == ["run", "write", "run"]


def test_only_what_is_missing_is_done() -> None:
    loose = actions(judge(replace(AT_BOOT, starters=(), run=LOOSE)))
    assert [action.argv for action in loose if isinstance(action, Run)] == [ENABLE]
    assert len(loose) == 1


@pytest.mark.parametrize("path", [SCRIPT_PATH, MAJ])
def test_an_edited_script_is_only_made_executable(path: str) -> None:
    starter = OURS if path == SCRIPT_PATH else CRON
    seen = AtBoot((starter,), FILES | {path: File(MAJ_TEXT, 0o644, "root:root")}, RAN, is_new=False)
    (action,) = actions(judge(seen))
    match action:
        case Write():
            assert (action.before, action.after, action.mode) == (MAJ_TEXT, MAJ_TEXT, 0o755)
        case Run():
            assert action.argv == ("chmod", "a+x", "--", MAJ)


def test_a_cron_job_keeps_no_record_which_is_advice() -> None:
    checks = judge(AtBoot((CRON,), MAJ_FILE, ABSENT, is_new=False))
    assert [(check.aspect, check.level) for check in checks if not check.holds] == [("last update", "advice")]


def test_no_repair_ever_runs_an_update() -> None:
    broken = replace(GOOD, broken={"cron": "unpacked"}, engine={"runc": False})
    seen = [AtBoot((), {}, ABSENT, is_new=False), replace(AT_BOOT, run=replace(RAN, status=1))]
    for at_boot in seen:
        for check in updates.judge({HUB: replace(broken, at_boot=at_boot)}, CLUSTER):
            words = {word for action in check.fix if isinstance(action, Run) for word in action.argv}
            assert words & {"upgrade", "dist-upgrade", "apt-get", "start", "--now"} == set()


def test_our_script_is_an_update_that_removes_nothing_and_asks_nothing() -> None:
    assert is_update(SCRIPT_TEXT)
    assert "--no-remove" in SCRIPT_TEXT
    assert "--force-confold" in SCRIPT_TEXT
    assert "noninteractive" in SCRIPT_TEXT
    assert f"ExecStart={SCRIPT_PATH}\n" in UNIT_TEXT


APT = """#!/bin/sh
cd "${0%/*}"
for word; do :; done
echo "$word" >> said
[ "$word" = upgrade ] || [ "$(grep -c update said)" -gt FAILURES ]
"""
SLEEP = '#!/bin/sh\necho "sleep $1" >> "${0%/*}/said"\n'


@pytest.mark.parametrize(
    ("failures", "code", "said"),
    [
        pytest.param(0, 0, ["update", "upgrade"], id="a network at once"),
        pytest.param(2, 0, ["update", "sleep 15"] * 2 + ["update", "upgrade"], id="a lease that comes late"),
        pytest.param(99, 100, (["update", "sleep 15"] * 20)[:-1], id="no network at all"),
    ],
)
def test_our_script_waits_a_bounded_time_for_a_network_and_upgrades_only_then(
    tmp_path: Path, failures: int, code: int, said: list[str]
) -> None:
    programs = {"apt-get": APT.replace("FAILURES", str(failures)), "sleep": SLEEP}
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(("sh", "-c", SCRIPT_TEXT), env={"PATH": path}, check=False)
    assert done.returncode == code
    assert (tmp_path / "said").read_text().splitlines() == said


@pytest.mark.parametrize(
    ("broken", "argv", "by_hand"),
    [
        ({"cron": "unpacked"}, "--configure", ""),
        ({"cron": "half-configured", "man-db": "triggers-pending"}, "--configure", ""),
        ({"less": "must be reinstalled"}, "", "`sudo apt-get install --reinstall less`"),
        ({"cron": "unpacked", "less": "half-installed"}, "", "`sudo apt-get install --reinstall less`"),
    ],
)
def test_a_cut_update_is_finished_where_dpkg_can(broken: dict[str, str], argv: str, by_hand: str) -> None:
    seen = good_updates() | {"p2": replace(good_updates()["p2"], broken=broken)}
    (check,) = [check for check in updates.judge(seen, CLUSTER) if not check.holds]
    assert (check.node, check.aspect) == ("p2", "every package is whole")
    words = [word for action in check.fix if isinstance(action, Run) for word in action.argv]
    assert (argv in words) is bool(argv)
    assert check.by_hand == by_hand


def test_a_package_that_lacks_another_is_left_to_a_person() -> None:
    unmet = {"openmpi-bin": "Depends: libopenmpi3 (>= 4.1.4) but it is not installed"}
    seen = good_updates() | {"p2": replace(good_updates()["p2"], unmet=unmet)}
    (check,) = [check for check in updates.judge(seen, CLUSTER) if not check.holds]
    assert (check.node, check.aspect, check.fix) == ("p2", "every package is whole", ())
    assert check.seen == "openmpi-bin: Depends: libopenmpi3 (>= 4.1.4) but it is not installed"
    assert check.by_hand.startswith("`sudo apt-get -f install`")


# As apt 2.6 of Debian 12 says it.
READ = "Reading package lists...\nBuilding dependency tree...\nReading state information...\n"
LACKS = f"""{READ}You might want to run 'apt --fix-broken install' to correct these.
The following packages have unmet dependencies:
 libpmix2 : Depends: libhwloc15 (>= 2.9.0) but it is not installable
 openmpi-bin : Depends: libopenmpi3 (>= 4.1.4) but it is not installable
               Depends: openmpi-common (>= 4.1.4-3) but 4.1.3 is installed
"""
UNMET = {
    "libpmix2": "Depends: libhwloc15 (>= 2.9.0) but it is not installed",
    "openmpi-bin": "Depends: libopenmpi3 (>= 4.1.4) but it is not installed, "
    "Depends: openmpi-common (>= 4.1.4-3) but 4.1.3 is installed",
}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(LACKS, UNMET, id="some lack others"),
        pytest.param(f"{LACKS}E: Unmet dependencies.\n a : b\n", UNMET, id="more words behind"),
        pytest.param(READ, {}, id="all is there"),
        pytest.param("", {}, id="nothing"),
    ],
)
def test_what_apt_says_of_dependencies_is_read(text: str, want: dict[str, str]) -> None:
    assert apt_check.unmet(text) == want


@given(st.lists(st.sampled_from([*LACKS.splitlines(), " : ", " ", "  x"])))
def test_any_words_of_apt_are_read(lines: list[str]) -> None:
    assert all(apt_check.unmet("\n".join(lines)).values())


class Machine(Asker):
    """A machine on which apt gives these two answers, without the lock and with it."""

    def __init__(self, first: Answer, second: Answer) -> None:
        self.name = "p1"
        self.answers = [first, second]

    def ask(self, script: str, *, root: bool = False, limit: float | None = None) -> Answer:  # noqa: ARG002
        assert ("NoLocking" in script) is (len(self.answers) == 2)
        return self.answers.pop(0)


def lacks(first: Answer, second: Answer) -> dict[str, str]:
    user, root = (backend.host(one, root=at_root) for one in (Machine(first, second),) for at_root in (False, True))
    return updates.observe_unmet(NodeAccess("p1", CLUSTER, user, root))


WELL, ILL = Answer(0, READ.encode(), b""), Answer(100, LACKS.encode(), b"E: Unmet dependencies.\n")
BUSY = Answer(100, b"", b"E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt-get)\n")


def test_dependencies_that_are_not_met_are_asked_for_again_with_the_lock() -> None:
    assert lacks(WELL, BUSY) == {}
    assert lacks(ILL, ILL) == UNMET
    assert lacks(ILL, WELL) == {}, "an installation has just come to its end"


def test_what_lacks_others_while_somebody_is_at_work_on_packages_is_unknown() -> None:
    with pytest.raises(ObservationError, match=r"exit 100: E: Could not get lock"):
        lacks(ILL, BUSY)


def test_a_loose_engine_is_advice_and_only_the_loose_part_is_held() -> None:
    seen = good_updates() | {"p2": replace(good_updates()["p2"], engine={"docker.io": True, "runc": False})}
    (check,) = [check for check in updates.judge(seen, CLUSTER) if not check.holds]
    assert (check.node, check.level) == ("p2", "advice")
    assert [action.argv for action in check.fix if isinstance(action, Run)] == [("apt-mark", "hold", "runc")]
