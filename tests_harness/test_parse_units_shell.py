"""What a machine's own shell makes of the question about units: a tree of files, and small programs for systemd.

The programs know of no file: they say that all is loaded, runs and is enabled, as systemd does until it reads again.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import ObservationError
from harness.parse.units import Unit, units
from harness.parse.units_shell import command

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = "one.service", "two.service"
WANTS = "etc/systemd/system/multi-user.target.wants"
GOOD = Unit(is_there=True, is_active=True, is_enabled=True, unmet=())
PACKAGE = "[Service]\nExecStart=/bin/true\n"
SYSTEMCTL = """\
#!/bin/sh
if [ "$2" = -P ]; then echo "$5"; exit; fi
shift 4
for unit; do
  printf 'Id=%s\\nLoadState=%s\\nActiveState=active\\nUnitFileState=enabled\\n\\n' "$unit" "$(cat "$HOME/state")"
done
"""
# Of the conditions it knows one, and takes it as it is given.
ANALYZE = """\
#!/bin/sh
echo "$@" >> "$HOME/asked"
if [ "$1" = verify ]; then cat "$HOME/said"; exit "$(cat "$HOME/code")"; fi
shift
code=0
for condition; do
  case $condition in
  ConditionPathExists=*) ;;
  ConditionACPower=*)
    echo "test.service: Couldn't determine result for $condition, assuming failed: odd"; code=1; continue ;;
  *) echo "Cannot parse \\"$condition\\"."; exit 1 ;;
  esac
  path=${condition#ConditionPathExists=}; path=${path#|}
  case $path in !*) [ ! -e "${path#!}" ] ;; *) [ -e "$path" ] ;; esac && end=succeeded || { end=failed code=1; }
  echo "test.service: $condition $end."
done
exit $code
"""
TWICE = "Service has more than one ExecStart= setting, which is only allowed for Type=oneshot services. Refusing."
SAYS_TWICE = f"{ONE}: {TWICE}\nUnit {ONE} has a bad unit file setting.\n"


class Machine:
    """A tree with one unit of a package's, which a target wants."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.says()
        self.write("state", "loaded")
        self.write("asked", "")
        for name, text in (("bin/systemctl", SYSTEMCTL), ("bin/systemd-analyze", ANALYZE), ("bin/true", "")):
            self.write(name, text).chmod(0o755)
        for unit in (ONE, TWO):
            self.write(f"lib/systemd/system/{unit}", PACKAGE)
            self.link(f"{WANTS}/{unit}")

    def write(self, path: str, text: str) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, newline="")
        return place

    def link(self, path: str, target: str = "/nowhere") -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def drop(self, text: str, unit: str = ONE) -> None:
        self.write(f"etc/systemd/system/{unit}.d/x.conf", text)

    def says(self, text: str = "", code: int = 0) -> None:
        self.write("said", text)
        self.write("code", str(code))

    def ask(self, *, need_each_other: bool = False) -> dict[str, Unit]:
        script = command(ONE, TWO, and_target=True, need_each_other=need_each_other) % (ONE, TWO)
        script = script.replace("root= ", f"root={self.root} ", 1)
        env = {"HOME": str(self.root), "PATH": f"{self.root}/bin:{os.environ['PATH']}", "LC_ALL": "C"}
        done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, check=True, text=True)
        return units(done.stdout)

    @property
    def asked(self) -> list[str]:
        return (self.root / "asked").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_a_target_wants_starts_and_systemd_is_asked_nothing_else(machine: Machine) -> None:
    assert machine.ask() == {ONE: GOOD, TWO: GOOD}
    assert machine.asked == []


def test_what_only_the_package_wants_starts(machine: Machine) -> None:
    (machine.root / WANTS / ONE).unlink()
    machine.link(f"lib/systemd/system/sysinit.target.wants/{ONE}", f"../{ONE}")
    assert machine.ask()[ONE] == GOOD


@pytest.mark.parametrize("path", ["etc/systemd/system/alias.service", f"{WANTS}/alias.service"])
def test_an_alias_alone_starts_nothing(machine: Machine, path: str) -> None:
    (machine.root / WANTS / ONE).unlink()
    machine.link(path, f"/lib/systemd/system/{ONE}")
    assert machine.ask()[ONE].at_boot == "no"


def test_what_only_the_rescue_shell_wants_starts_not(machine: Machine) -> None:
    (machine.root / WANTS / ONE).unlink()
    machine.link(f"lib/systemd/system/rescue.target.wants/{ONE}")
    assert machine.ask()[ONE].at_boot == "no"


def test_what_is_not_on_the_disk_starts_not(machine: Machine) -> None:
    (machine.root / "lib/systemd/system" / ONE).unlink()
    assert machine.ask()[ONE].at_boot == "no"


def test_a_link_to_nothing_masks_before_systemd_knows_of_it(machine: Machine) -> None:
    machine.link(f"etc/systemd/system/{ONE}", "/dev/null")
    found = machine.ask()
    assert (found[ONE].is_masked, found[ONE].starts_at_boot) == (True, False)
    assert found[TWO] == GOOD


def test_so_does_an_empty_file(machine: Machine) -> None:
    machine.write(f"etc/systemd/system/{ONE}", "")
    assert machine.ask()[ONE].is_masked


def test_a_mask_that_the_boot_forgets_is_none(machine: Machine) -> None:
    machine.link(f"run/systemd/system/{ONE}", "/dev/null")
    assert machine.ask()[ONE] == GOOD


@pytest.mark.parametrize(
    ("target", "end"), [("rescue.target", "no: default.target is rescue.target"), ("graphical.target", "yes")]
)
def test_the_link_of_etc_says_where_a_boot_goes_to(machine: Machine, target: str, end: str) -> None:
    machine.link("lib/systemd/system/default.target", "graphical.target")
    machine.link("etc/systemd/system/default.target", f"/lib/systemd/system/{target}")
    assert machine.ask()[ONE].at_boot == end


@pytest.mark.parametrize("end", ["", " ", "\t ", "\r"])
def test_blanks_at_the_end_of_a_condition_are_none_of_its_words(machine: Machine, end: str) -> None:
    machine.drop(f"[Unit]\n  ConditionPathExists=!/{end}\n")
    assert machine.ask()[ONE].unmet == (
        f"ConditionPathExists=!/ in {machine.root}/etc/systemd/system/{ONE}.d/x.conf does not hold",
    )


def test_a_condition_of_all_services_counts_and_one_of_what_a_boot_empties_does_not(machine: Machine) -> None:
    machine.write("etc/systemd/system/service.d/x.conf", "[Unit]\nConditionPathExists=/nowhere\n")
    machine.write(f"lib/systemd/system/{ONE}", f"[Unit]\nConditionPathExists=/run/nowhere \n{PACKAGE}")
    (one,), (two,) = (unit.unmet for unit in machine.ask().values())
    assert one == two
    assert one.startswith("ConditionPathExists=/nowhere in ")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[Unit]\n# ConditionPathExists=/nowhere\n", id="a comment"),
        pytest.param("[Service]\nConditionPathExists=/nowhere\n", id="in a section that has none"),
        pytest.param("[Unit]\nConditionPathExist=/nowhere\nConditionPathExists=/\n", id="one that nobody knows"),
        pytest.param("[Unit]\nConditionPathExists=|/run/nowhere\nConditionPathExists=|/nowhere\n",
                     id="one of two is enough, and the boot empties its place"),
    ],
)  # fmt: skip
def test_a_condition_that_systemd_reads_past_keeps_nothing_off(machine: Machine, text: str) -> None:
    machine.drop(text)
    assert machine.ask()[ONE] == GOOD


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("[Unit]\nConditionPathExists=\\\n/nowhere\n", "ConditionPathExists= /nowhere"),
        ("[Unit]\n[Service]\n[Unit]\nConditionPathExists=/nowhere\n", "ConditionPathExists=/nowhere"),
        ("[Unit]\nConditionACPower=maybe\n", "ConditionACPower=maybe"),
        ("[Unit]\nAssertPathExists=|/run/nowhere\nConditionPathExists=|/nowhere\n", "ConditionPathExists=|/nowhere"),
    ],
    ids=["on two lines", "in a section that is opened again", "one without an answer", "one of another kind"],
)
def test_a_condition_that_does_not_hold_keeps_it_off(machine: Machine, text: str, condition: str) -> None:
    machine.drop(text)
    (said,) = machine.ask()[ONE].unmet
    assert said.startswith(f"{condition} in ")


def test_of_two_drop_ins_with_one_name_the_nearer_counts(machine: Machine) -> None:
    machine.write(f"lib/systemd/system/{ONE}.d/x.conf", "[Unit]\nConditionPathExists=/nowhere\n")
    machine.link(f"etc/systemd/system/{ONE}.d/x.conf", "/dev/null")
    assert machine.ask()[ONE] == GOOD


def test_drop_ins_count_by_the_order_of_their_names_wherever_they_are(machine: Machine) -> None:
    machine.write(f"lib/systemd/system/{ONE}.d/90.conf", "[Unit]\nConditionPathExists=/nowhere\n")
    machine.write(f"etc/systemd/system/{ONE}.d/10.conf", "[Unit]\nConditionPathExists=!/\n")
    (first, second) = machine.ask()[ONE].unmet
    assert (first.split("=")[1][:2], second.split("=")[1][:2]) == ("!/", "/n")


def test_what_no_target_wants_costs_nothing_more(machine: Machine) -> None:
    (machine.root / WANTS / ONE).unlink()
    machine.drop("[Unit]\nConditionPathExists=/nowhere\n")
    assert machine.ask()[ONE].unmet == ()
    assert machine.asked == []


def test_but_where_another_needs_it(machine: Machine) -> None:
    (machine.root / WANTS / ONE).unlink()
    machine.drop("[Unit]\nConditionPathExists=/nowhere\n")
    assert len(machine.ask(need_each_other=True)[ONE].unmet) == 1


def test_a_refused_drop_in_is_told_in_systemds_words_before_it_reads_them(machine: Machine) -> None:
    machine.drop("[Service]\nExecStart=/bin/false\n")
    machine.says(SAYS_TWICE, 1)
    found = machine.ask()
    assert (found[ONE].at_boot, found[TWO]) == (f"no: systemd refuses it: {TWICE}", GOOD)
    assert machine.asked == [f"verify --man=no -- {ONE}"]


def test_all_that_somebody_wrote_is_verified_at_once(machine: Machine) -> None:
    machine.drop("[Service]\nNice=1\n")
    machine.write(f"etc/systemd/system/{TWO}", PACKAGE)
    machine.says(f"/etc/systemd/system/{TWO}:1: Unknown section 'X'. Ignoring.\n")
    assert machine.ask() == {ONE: GOOD, TWO: GOOD}
    assert machine.asked == [f"verify --man=no -- {ONE} {TWO}"]


def test_what_is_missing_of_its_commands_counts_where_it_starts(machine: Machine) -> None:
    for unit, when in ((ONE, "StartPre"), (TWO, "StopPost")):
        machine.drop(f"[Service]\nExec{when}=/bin/{when} x\n", unit)
    said = "{}: Command /bin/{} is not executable: No such file or directory\n"
    machine.says(said.format(ONE, "StartPre") + said.format(TWO, "StopPost"), 1)
    found = machine.ask()
    assert found[ONE].at_boot.startswith("no: systemd refuses it: Command /bin/StartPre is not executable")
    assert found[TWO] == GOOD


@pytest.mark.parametrize(("prefix", "asked"), [("", 1), ("@", 1), ("-", 0)])
def test_a_program_that_is_gone_is_asked_about(machine: Machine, prefix: str, asked: int) -> None:
    machine.write(f"lib/systemd/system/{ONE}", f"[Service]\nExecStart={prefix}/bin/gone -f\n")
    machine.says(f"{ONE}: Command /bin/gone is not executable: No such file or directory\n", 1)
    found = machine.ask()
    assert len(machine.asked) == asked
    assert found[ONE].starts_at_boot is not bool(asked)
    assert found[TWO] == GOOD


def test_what_is_mended_on_the_disk_starts_though_systemd_refused_it_before(machine: Machine) -> None:
    machine.write("state", "bad-setting")
    assert machine.ask() == {ONE: GOOD, TWO: GOOD}
    assert machine.asked == [f"verify --man=no -- {ONE} {TWO}"]


def test_where_nobody_can_verify_it_is_unknown_unless_it_does_not_start_anyhow(machine: Machine) -> None:
    machine.drop("[Service]\nNice=1\n")
    machine.says("sh: systemd-analyze: not found\n", 127)
    with pytest.raises(ObservationError, match="not found"):
        machine.ask()
    machine.drop("[Unit]\nConditionPathExists=/nowhere\n")
    assert len(machine.ask()[ONE].unmet) == 1
