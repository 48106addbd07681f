"""The small parsers of the steps `system` and `updates`: real samples, and nothing made up for any other text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse import cgroups, dpkg, oneshot
from harness.parse.account import Account, account, login_shells
from harness.parse.clock import Reading, reading
from harness.parse.disk import Space, space
from harness.parse.os_release import Release, release

if TYPE_CHECKING:
    from collections.abc import Callable

# Raspberry Pi OS 11, 32-bit.
RASPBIAN = """\
PRETTY_NAME="Raspbian GNU/Linux 11 (bullseye)"
NAME="Raspbian GNU/Linux"
VERSION_ID="11"
VERSION="11 (bullseye)"
VERSION_CODENAME=bullseye
ID=raspbian
ID_LIKE=debian
HOME_URL="http://www.raspbian.org/"
"""
# A Raspberry Pi without cgroup_enable=memory, then with it; cgroups 2 with and without memory.
HEADING = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
OFF, ON = "cpu\t2\t33\t1\nmemory\t0\t60\t0\n", "cpu\t2\t33\t1\nmemory\t9\t60\t1\n"
ONESHOT = """\
ExecMainStartTimestampMonotonic=7343934991
ExecMainStatus=0
Id=clusterhat-update.service
LoadState=loaded
ActiveState=inactive
UnitFileState=enabled
Result=success
Job=
"""
ABSENT = """\
ExecMainStartTimestampMonotonic=0
ExecMainStatus=0
Id=clusterhat-update.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
Result=success
"""


def test_a_release_is_its_id_and_codename() -> None:
    assert release(RASPBIAN) == Release("raspbian", "bullseye")
    assert release("# none\nID='arch'\n\n") == Release("arch", "")


def test_an_account_is_a_line_of_seven_fields_and_no_shell_is_sh() -> None:
    assert account("pi:x:1000:1000:,,,:/home/pi:/bin/bash\n") == Account(1000, 1000, "/home/pi", "/bin/bash")
    assert account("pi:x:1000:100::/home/pi:") == Account(1000, 100, "/home/pi", "/bin/sh")


def test_shells_are_the_lines_with_a_path() -> None:
    assert login_shells("# /etc/shells: valid login shells\n/bin/sh\n /bin/bash # mine\n\n") == ("/bin/sh", "/bin/bash")


def test_space_counts_what_is_free_for_a_plain_user() -> None:
    found = space("   1B-blocks       Avail   Inodes    IFree\n270553174016 84363763712 16777216 16335758\n")
    assert found == Space(270553174016, 84363763712, 16777216, 16335758)
    assert (round(found.free_share), round(found.free_inode_share)) == (31, 97)


def test_a_file_system_that_does_not_count_inodes_never_lacks_them() -> None:
    assert space("size avail itotal iavail\n100 50 - -\n").free_inode_share == 100.0


@pytest.mark.parametrize(
    ("text", "has_memory"),
    [
        pytest.param(HEADING + OFF, False, id="a Pi as it comes"),
        pytest.param(HEADING + ON, True, id="enabled"),
        pytest.param(HEADING + "cpu\t0\t33\t1\ncpuset cpu io memory pids\n", True, id="version 2, new kernel"),
        pytest.param(HEADING + OFF + "cpuset cpu io pids\n", False, id="version 2, off"),
        pytest.param(HEADING + OFF + "memory\n", True, id="version 2, nothing else"),
    ],
)
def test_memory_is_counted_or_not(text: str, has_memory: bool) -> None:  # noqa: FBT001 - a column of the table
    assert cgroups.has_memory(text) is has_memory


@pytest.mark.parametrize(
    ("text", "asked", "answered", "want"),
    [
        pytest.param("100.500000000\n", 100.0, 101.0, Reading(0, 500), id="in the middle"),
        pytest.param("107.0", 100.0, 100.0, Reading(7000, 0), id="ahead"),
        pytest.param("90.25", 100.0, 101.0, Reading(-10250, 500), id="behind"),
    ],
)
def test_a_clock_is_compared_with_the_middle_of_its_question(
    text: str, asked: float, answered: float, want: Reading
) -> None:
    assert reading(text, asked, answered) == want


@given(st.floats(0, 2e9), st.floats(0, 60), st.floats(0, 1), st.floats(-1e6, 1e6))
def test_whatever_the_delays_the_truth_is_within_the_doubt(
    asked: float, took: float, share: float, ahead: float
) -> None:
    """The node reads its clock at some moment of the question, however late the answer comes."""
    shown = f"{max(asked + took * share + ahead, 0.0):.9f}"
    truth = float(shown) - (asked + took * share)
    found = reading(shown, asked, asked + took)
    assert abs(found.ahead - truth * 1000) <= found.doubt + 2


@pytest.mark.parametrize(
    ("line", "installed", "broken"),
    [
        pytest.param("ii |less", {"less": False}, {}, id="installed"),
        pytest.param("hi |docker.io", {"docker.io": True}, {}, id="held"),
        pytest.param("rc |old", {}, {}, id="only its configuration"),
        pytest.param("un |never", {}, {}, id="not installed"),
        pytest.param("iU |cron", {}, {"cron": "unpacked"}, id="unpacked"),
        pytest.param("iF |cron", {}, {"cron": "half-configured"}, id="half-configured"),
        pytest.param("iHR|libc6:armhf", {}, {"libc6:armhf": "must be reinstalled"}, id="broken"),
        pytest.param("iW |man-db", {}, {"man-db": "triggers-awaited"}, id="a trigger"),
    ],
)
def test_a_package_is_installed_held_or_broken(line: str, installed: dict[str, bool], broken: dict[str, str]) -> None:
    found = dpkg.packages(f"ii |base-files\n{line}\n")
    assert found == dpkg.Packages({"base-files": False, **installed}, broken)


def test_a_unit_that_ran_and_one_that_is_not_there() -> None:
    ran, absent = oneshot.oneshot(ONESHOT), oneshot.oneshot(ABSENT)
    assert (ran.is_there, ran.is_enabled, ran.has_run, ran.is_running) == (True, True, True, False)
    assert (ran.result, ran.status) == ("success", 0)
    assert (absent.is_there, absent.is_enabled, absent.has_run) == (False, False, False)


@pytest.mark.parametrize("change", [("Job=", "Job=812"), ("ActiveState=inactive", "ActiveState=activating")])
def test_a_unit_that_waits_or_works_is_running(change: tuple[str, str]) -> None:
    assert oneshot.oneshot(ONESHOT.replace(*change)).is_running


def test_systemd_began_when_it_says_by_todays_clock() -> None:
    text = "1700001000\n500.25 900.00\nUserspaceTimestampMonotonic=250000\n"
    assert oneshot.booted_at(text) == pytest.approx(1700000500.0)


PARSERS: dict[str, Callable[[str], object]] = {
    "os-release": release,
    "passwd": account,
    "df": space,
    "cgroups": cgroups.has_memory,
    "date": lambda text: reading(text, 0.0, 1.0),
    "dpkg-query": dpkg.packages,
    "systemctl show": oneshot.oneshot,
    "boot time": oneshot.booted_at,
}


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("text", ["", "\n", "sh: 1: not found", "a=b=c\n:::::\n", "NaN", "-1\nx\ny=1", "ID", 'ID="'])
def test_another_text_is_no_answer(name: str, text: str) -> None:
    with pytest.raises(ObservationError):
        PARSERS[name](text)


@given(st.sampled_from(sorted(PARSERS)), st.text() | st.text(alphabet="0123456789=\n :|ix.-RID\t#"))
def test_no_text_brings_anything_but_an_answer_or_an_unknown(name: str, text: str) -> None:
    try:
        PARSERS[name](text)
    except ObservationError:
        return


def test_the_questions_have_a_place_for_what_is_asked() -> None:
    assert oneshot.COMMAND.count("%s") == 1
