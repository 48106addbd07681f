"""Step `system`: what a card must be before anything is built on it, and which change mends which fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actions import Run, Write
from harness.inventory import parse
from harness.node import File
from harness.parse import hosts
from harness.parse.account import Account
from harness.parse.clock import Reading
from harness.parse.disk import Space
from harness.parse.os_release import Release
from harness.parse.units import Unit
from harness.steps import system
from tests_harness.fakes_cluster import CLUSTER, HUB, NODES, differences, without
from tests_harness.fakes_system import OWN_LINES, PI, good_machine, good_system, own_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.inventory import Cluster
    from harness.model import Check

GOOD = good_machine("p1")
NAME = own_name("p1")
RENAME = ("hostnamectl", "set-hostname", "p1")
ASIDE = ("mv", "-fT", "--", "/etc/ssh/sshd_not_to_be_run", "/etc/ssh/sshd_not_to_be_run.off")
ENABLE = ("systemctl", "enable", "--now", "ssh.service")
NOT_TO_RUN = "ConditionPathExists=!/etc/ssh/sshd_not_to_be_run in /lib/systemd/system/ssh.service does not hold"
STOPPED = Unit(is_there=True, is_active=False, is_enabled=True, unmet=())
DISABLED = Unit(is_there=True, is_active=True, is_enabled=False, unmet=())
MASKED = Unit(is_there=False, is_active=True, is_enabled=False, is_masked=True, unmet=())
RUNS = Unit(is_there=True, is_active=True, is_enabled=True, unmet=())
KEPT_OFF = replace(RUNS, unmet=(NOT_TO_RUN,))
HELD = replace(RUNS, unmet=(NOT_TO_RUN, "ConditionHost=p9 in /etc/systemd/system/ssh.service.d/x.conf"))


def judge(seen: Mapping[str, system.State], cluster: Cluster = CLUSTER) -> list[Check]:
    return list(system.judge(seen, cluster))


def of_p1(state: system.State) -> list[Check]:
    return judge(good_system() | {"p1": state})


def check_of(state: system.State, aspect: str) -> Check:
    (found,) = [check for check in of_p1(state) if (check.node, check.aspect) == ("p1", aspect)]
    return found


def commands(check: Check) -> list[tuple[str, ...]]:
    return [action.argv for action in check.fix if isinstance(action, Run)]


def named(live: str = "p1", file: bytes | None = b"p1\n", lines: str | None = "") -> system.State:
    """p1 with another host name, /etc/hostname or /etc/hosts (None: no such file)."""
    text = OWN_LINES.format("p1") if lines == "" else lines
    return replace(
        GOOD, name=replace(
            NAME, live=live, file=None if file is None else File(file, 0o644, "root:root"),
            hosts=None if text is None else File(text.encode(), 0o644, "root:root"),
        ),
    )  # fmt: skip


def account(**changes: object) -> system.State:
    return replace(GOOD, user=replace(PI, **changes))  # type: ignore[arg-type]


def based(path: str, mode: int | None) -> system.State:
    """p1 where one of the paths that every program takes for granted has another mode, or is not there."""
    base = {one: known for one, known in GOOD.base.items() if one != path}
    return replace(GOOD, base=base if mode is None else base | {path: mode})


def test_rights_that_everybody_needs_are_added_and_what_is_no_device_is_left_to_a_person() -> None:
    def mended(path: str, mode: int | None) -> list[tuple[str, ...]]:
        found = [check for check in judge(good_system() | {"p1": based(path, mode)}) if not check.holds]
        return [action.argv for check in found for action in check.fix if isinstance(action, Run)]

    assert mended("/tmp", 0o040755) == [("chmod", "1777", "--", "/tmp")]
    assert mended("/etc/group", 0o100640) == [("chmod", "644", "--", "/etc/group")]
    assert mended("/dev/null", 0o020600) == [("chmod", "666", "--", "/dev/null")]
    assert mended("/dev/null", 0o100666) == []
    assert mended("/home", None) == []


def test_a_good_cluster_holds_on_every_machine() -> None:
    checks = judge(good_system())
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)


@pytest.mark.parametrize(
    ("state", "aspects"),
    [
        pytest.param(named(live="raspberrypi"), {"host name"}, id="another name now"),
        pytest.param(named(file=b"raspberrypi\n"), {"host name after a reboot"}, id="another name at boot"),
        pytest.param(named(file=None), {"host name after a reboot"}, id="no name at boot"),
        pytest.param(named(file=b"# p1\n"), {"host name after a reboot"}, id="a comment is no name"),
        pytest.param(named(file=b"# mine\n\n p1 \n"), set(), id="a comment before the name"),
        pytest.param(named(lines="127.0.0.1 localhost p1\n"), set(), id="knows itself beside localhost"),
        pytest.param(named(lines="127.0.0.1 localhost\n"), {"address of p1 for itself"}, id="does not know itself"),
        pytest.param(named(lines="127.0.1.1 p1\n10.0.0.9 p1\n"), {"address of p1 for itself"}, id="two addresses"),
        pytest.param(named(lines="172.19.181.1 p1\n"), set(), id="its address in the cluster is as good"),
        pytest.param(named(lines="127.0.1.1 p1.local p1\nfe80::1 p1\n"), set(), id="beside other names"),
        pytest.param(named(lines="127.0.1.1 p1 p2\n"), {"127.0.1.1 is no other machine"}, id="another card's name"),
        pytest.param(named(lines="127.0.1.1 p1\n127.0.1.1 cnat\n"), {"127.0.1.1 is no other machine"}, id="the hub's"),
        pytest.param(named(lines=None), {"address of p1 for itself"}, id="no /etc/hosts"),
        pytest.param(replace(GOOD, release=Release("raspbian", "bookworm")), set(), id="the next release"),
        pytest.param(replace(GOOD, release=Release("raspbian", "buster")), {"operating system"}, id="an old release"),
        pytest.param(replace(GOOD, release=Release("debian", "bullseye")), {"operating system"}, id="plain Debian"),
        pytest.param(replace(GOOD, release=Release("arch", "")), {"operating system"}, id="no code name"),
        pytest.param(replace(GOOD, architecture="arm64"), {"architecture of the programs"}, id="64-bit programs"),
        pytest.param(replace(GOOD, word_size=64), {"word size of the programs"}, id="64 bits"),
        pytest.param(replace(GOOD, user=None), {"user pi"}, id="no user"),
        pytest.param(based("/home", 0o040700), {"everybody may use /home"}, id="nobody gets to his home"),
        pytest.param(based("/tmp", 0o040777), {"everybody may use /tmp"}, id="anybody may remove in /tmp"),
        pytest.param(based("/etc/passwd", 0o100600), {"everybody may use /etc/passwd"}, id="users are a secret"),
        pytest.param(based("/home", 0o040711), set(), id="home may be entered, and not listed"),
        pytest.param(based("/dev/null", 0o100644), {"everybody may use /dev/null"}, id="a file for a device"),
        pytest.param(based("/var/tmp", None), {"everybody may use /var/tmp"}, id="no such folder"),
        pytest.param(account(groups=("pi", "adm")), {"pi is in group sudo"}, id="not in the group"),
        pytest.param(account(home_owner=None), {"pi owns his home"}, id="no home"),
        pytest.param(account(home_owner=0), {"pi owns his home"}, id="root's home"),
        pytest.param(account(account=Account(1000, 1000, "/", "/bin/bash")), {"home of pi"}, id="another home"),
        pytest.param(account(account=Account(1, 1, "/home/pi", "/usr/sbin/nologin"), home_owner=1),
                     {"shell of pi"}, id="no shell"),
        pytest.param(replace(GOOD, ssh=DISABLED),
                     {"ssh server starts at boot"}, id="ssh not at boot"),
        pytest.param(replace(GOOD, ssh=STOPPED),
                     {"ssh server runs"}, id="ssh not running"),
        pytest.param(replace(GOOD, ssh=DISABLED, ssh_socket=RUNS), set(), id="ssh by its socket"),
        pytest.param(replace(GOOD, ssh=KEPT_OFF), {"ssh server starts at boot"}, id="ssh runs for the last time"),
        pytest.param(replace(GOOD, ssh=KEPT_OFF, ssh_socket=replace(KEPT_OFF, is_active=False)),
                     {"ssh server starts at boot"}, id="its socket neither"),
        pytest.param(replace(GOOD, medium="overlayroot=tmpfs"), {"what is written lasts"}, id="written to memory only"),
        pytest.param(replace(GOOD, is_writable=False), {"root file system can be written"}, id="read-only"),
        pytest.param(replace(GOOD, space=Space(8 * 10**9, 3 * 10**8, 9, 9)), {"free space on /"}, id="4 % free"),
        pytest.param(replace(GOOD, space=Space(2 * 10**9, 15 * 10**7, 9, 9)), {"free space on /"}, id="150 MB free"),
        pytest.param(replace(GOOD, space=Space(8 * 10**9, 4 * 10**9, 100, 4)), {"free inodes on /"}, id="no inodes"),
        pytest.param(replace(GOOD, space=Space(8 * 10**9, 4 * 10**9, 0, 0)), set(), id="inodes are not counted"),
        pytest.param(replace(GOOD, counts_memory=False), set(), id="no memory control group is advice"),
        pytest.param(replace(GOOD, clock=Reading(7000, 100)), {"clock"}, id="clock ahead"),
        pytest.param(replace(GOOD, clock=Reading(-50000000, 100)), {"clock"}, id="clock behind"),
    ],
)  # fmt: skip
def test_a_fault_differs_exactly_there(state: system.State, aspects: set[str]) -> None:
    assert set(differences(of_p1(state))) == {("p1", aspect) for aspect in aspects}


@pytest.mark.parametrize(
    ("state", "aspect", "argvs"),
    [
        (named(live="x"), "host name", [RENAME]),
        (named(file=None), "host name after a reboot", [RENAME]),
        (account(groups=("pi",)), "pi is in group sudo",
         [("groupadd", "--force", "--system", "sudo"), ("usermod", "--append", "--groups", "sudo", "pi")]),
        (account(home_owner=None), "pi owns his home",
         [("install", "-d", "-m", "755", "-o", "1000", "-g", "1000", "/home/pi")]),
        (account(home_owner=0), "pi owns his home", [("chown", "--", "1000:1000", "/home/pi")]),
        (account(account=Account(1000, 1000, "/", "/bin/bash"), home_owner=0), "pi owns his home", []),
        (account(shells=()), "shell of pi", [("usermod", "--shell", "/bin/bash", "pi")]),
        (replace(GOOD, user=None), "user pi",
         [("useradd", "--create-home", "--shell", "/bin/bash", "--groups", "sudo", "pi")]),
        (replace(GOOD, ssh=DISABLED), "ssh server starts at boot", [ENABLE]),
        (replace(GOOD, ssh=MASKED), "ssh server starts at boot",
         [("systemctl", "unmask", "ssh.service"), ENABLE]),
        (replace(GOOD, ssh=KEPT_OFF), "ssh server starts at boot", [ASIDE, ENABLE]),
        (replace(GOOD, ssh=HELD), "ssh server starts at boot", []),
        (replace(GOOD, clock=Reading(7400, 100)), "clock", [("date", "--set=-7 seconds")]),
        (replace(GOOD, clock=Reading(-3600000, 100)), "clock", [("date", "--set=+3600 seconds")]),
    ],
)  # fmt: skip
def test_each_fault_has_its_repair(state: system.State, aspect: str, argvs: list[tuple[str, ...]]) -> None:
    assert commands(check_of(state, aspect)) == argvs


@pytest.mark.parametrize(
    ("state", "aspect", "words"),
    [
        (replace(GOOD, architecture="arm64"), "architecture of the programs", "armhf-…lite-p1.img"),
        (replace(GOOD, word_size=64), "word size of the programs", "flash the card"),
        (replace(GOOD, release=Release("debian", "trixie")), "operating system", "flash the card"),
        (replace(GOOD, is_writable=False), "root file system can be written", "remount"),
        (replace(GOOD, space=Space(10**9, 0, 9, 9)), "free space on /", "apt-get clean"),
        (account(account=Account(1000, 1000, "/", "/bin/sh")), "home of pi", "usermod -d"),
        (replace(GOOD, counts_memory=False), "the kernel counts memory", "cgroup_enable=memory"),
    ],
)
def test_where_only_a_person_can_help_it_says_how(state: system.State, aspect: str, words: str) -> None:
    check = check_of(state, aspect)
    assert check.fix == ()
    assert words in check.by_hand


def test_the_controllers_card_is_another_image() -> None:
    checks = judge(good_system() | {HUB: replace(good_machine(HUB), architecture="arm64")})
    (check,) = [check for check in checks if not check.holds]
    assert "CNAT.img" in check.by_hand


def test_the_inventory_decides_what_the_system_is() -> None:
    cluster = parse({"os": {"id": "debian", "codenames": ["trixie"], "architecture": "arm64"}}, "", Path())
    state = replace(GOOD, release=Release("debian", "trixie"), architecture="arm64", word_size=64)
    assert differences(judge({"p1": state}, cluster)) == {}


@pytest.mark.parametrize(
    ("node", "hub", "holds"),
    [
        pytest.param(Reading(100000, 100), Reading(100500, 100), True, id="both as wrong as each other"),
        pytest.param(Reading(2900, 900), Reading(0, 100), True, id="within the doubt of a slow answer"),
        pytest.param(Reading(3100, 900), Reading(0, 100), False, id="beyond the doubt"),
        pytest.param(Reading(-1000, 100), Reading(1500, 100), False, id="each within the tolerance of ours"),
        pytest.param(Reading(2000, 0), Reading(0, 0), True, id="just within"),
    ],
)
def test_clocks_are_compared_with_the_controllers(node: Reading, hub: Reading, holds: bool) -> None:  # noqa: FBT001
    seen = {HUB: replace(good_machine(HUB), clock=hub), "p1": replace(GOOD, clock=node)}
    (check,) = [check for check in judge(seen) if (check.node, check.aspect) == ("p1", "clock")]
    assert check.holds is holds


def test_no_clock_follows_a_controller_that_has_no_idea_of_the_time() -> None:
    seen = good_system() | {HUB: replace(good_machine(HUB), clock=Reading(-77760000000, 100))}
    checks = [check for check in judge(seen) if check.aspect == "clock"]
    assert {check.node for check in checks if not check.holds} == {HUB, *NODES}
    assert [check.level for check in checks if check.node == HUB] == ["advice"]
    assert {check.fix for check in checks if check.node != HUB} == {()}
    assert all(f"set the clock of {HUB} first" in check.by_hand for check in checks if check.node != HUB)


def test_without_the_controller_there_is_nothing_to_compare_a_clock_with() -> None:
    assert [check for check in judge(without(good_system(), HUB)) if check.aspect == "clock"] == []


LINES = st.lists(
    st.one_of(
        st.binary(max_size=20).filter(lambda raw: b"\n" not in raw),
        st.sampled_from([
            b"127.0.0.1 localhost p1", b"127.0.1.1 p1", b"127.0.1.1 p2 # was his", b"127.0.1.1\tP2\tcnat\tpi3",
            b"172.19.181.1 p1", b"10.0.0.1 p1 mine", b"::1 localhost", b"172.19.181.2 p2",
        ]),
    )
)  # fmt: skip


@given(LINES)
def test_whatever_etc_hosts_holds_one_write_lets_it_know_itself(lines: list[bytes]) -> None:
    file = File(b"\n".join(lines), 0o640, "root:root")
    state = replace(GOOD, name=replace(NAME, hosts=file))
    writes = {action for check in of_p1(state) if not check.holds for action in check.fix}
    assert len(writes) <= 1, "a second write would find the file changed"
    for write in writes:
        assert isinstance(write, Write)
        assert (write.before, write.mode, write.owner) == (file.content, None, None)
        state = replace(GOOD, name=replace(NAME, hosts=replace(file, content=write.after)))
        foreign = {"mine", "localhost"}
        kept = {name: addresses for name, addresses in hosts.names(file.content).items() if name in foreign}
        assert kept.items() <= hosts.names(write.after).items()
    assert differences(of_p1(state)) == {}
