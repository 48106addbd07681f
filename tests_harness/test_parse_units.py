"""What systemd says of a unit is read from its own words, and nothing is made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.units import Unit, units
from harness.parse.units_shell import command

# systemd 252: an enabled service that runs, one that is not installed, and one that is disabled.
SHOWN = """\
Id=ssh.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled

Id=dhcpcd.service
LoadState=not-found
ActiveState=inactive
UnitFileState=

Id=cron.service
LoadState=loaded
ActiveState=failed
UnitFileState=disabled

Id=apt-daily.service
LoadState=loaded
ActiveState=inactive
UnitFileState=static

Id=ntp.service
LoadState=masked
ActiveState=active
UnitFileState=masked

Unwanted=dhcpcd.service

Unwanted=apt-daily.service
"""


def test_each_unit_is_told_apart() -> None:
    assert units(SHOWN) == {
        "ssh.service": Unit(is_there=True, is_active=True, is_enabled=True, unmet=()),
        "dhcpcd.service": Unit(is_there=False, is_active=False, is_enabled=False, unmet=()),
        "cron.service": Unit(is_there=True, is_active=False, is_enabled=False, unmet=()),
        "apt-daily.service": Unit(is_there=True, is_active=False, is_enabled=False, unmet=()),
        "ntp.service": Unit(is_there=False, is_active=True, is_enabled=False, is_masked=True, unmet=()),
    }


@pytest.mark.parametrize("state", ["bad-setting", "error"])
def test_a_unit_that_systemd_refuses_is_there_and_will_not_start_at_boot(state: str) -> None:
    text = SHOWN.partition("\n\n")[0].replace("loaded", state)
    (unit,) = units(text).values()
    assert (unit.is_there, unit.is_active, unit.starts_at_boot) == (True, True, False)
    assert unit.at_boot == "no: systemd refuses it: `systemd-analyze verify` there says why"


# systemd 252, behind the answer above: the words of `systemd-analyze condition` for each unit that has any.
HELD = """
Conditions=ssh.service
/usr/lib/systemd/system/ssh.service:ConditionPathExists=!/etc/ssh/sshd_not_to_be_run
test.service: ConditionPathExists=!/etc/ssh/sshd_not_to_be_run succeeded.
Conditions succeeded.
exit 0

Conditions=cron.service
/etc/systemd/system/cron.service.d/x.conf: ConditionPathExists = /nowhere
/etc/systemd/system/cron.service.d/y.conf:ConditionHost=cron
/etc/systemd/system/cron.service.d/y.conf:AssertPathExists=/etc
test.service: AssertPathExists=/etc succeeded.
Asserts succeeded.
test.service: ConditionHost=cron succeeded.
test.service: ConditionPathExists=/nowhere failed.
Conditions failed.
exit 123
"""


def test_a_condition_that_fails_is_named_with_its_file() -> None:
    found = units(SHOWN + HELD)
    assert found["ssh.service"].starts_at_boot
    why = "ConditionPathExists=/nowhere in /etc/systemd/system/cron.service.d/x.conf"
    assert found["cron.service"].unmet == (f"{why} does not hold",)
    assert found["cron.service"].at_boot == f"no: {why} does not hold"


def test_what_no_target_wants_does_not_start_whatever_systemctl_says_of_its_alias() -> None:
    found = units(f"{SHOWN}\nUnwanted=ssh.service\n\nUnwanted=sshd.service\n")
    assert (found["ssh.service"].is_enabled, found["ssh.service"].at_boot) == (False, "no")


def test_what_a_target_wants_starts_though_it_is_static() -> None:
    assert units(SHOWN.replace("\n\nUnwanted=apt-daily.service", ""))["apt-daily.service"].starts_at_boot


def test_a_boot_to_the_usual_target_starts_what_it_wants() -> None:
    assert units(f"{SHOWN}{HELD}\nDefault=graphical.target\n") == units(SHOWN + HELD)


@pytest.mark.parametrize("target", ["rescue.target", "null"])
def test_a_boot_to_next_to_nothing_starts_none(target: str) -> None:
    found = units(f"{SHOWN}{HELD}\nDefault={target}\n")
    assert found["ssh.service"].at_boot == f"no: default.target is {target}"
    assert found["cron.service"].at_boot.endswith(f"x.conf does not hold, default.target is {target}")


@pytest.mark.parametrize(
    "said",
    [
        'Cannot parse "ConditionNonsense=x".\nexit 123',
        "xargs: systemd-analyze: No such file or directory\nexit 127",
        "exit 1",
    ],
)
def test_a_condition_that_nobody_could_judge_is_not_taken_for_met(said: str) -> None:
    with pytest.raises(ObservationError):
        units(f"{SHOWN}\nConditions=ssh.service\n{said}\n")


def test_the_command_has_a_place_for_each_unit() -> None:
    text = command("a.service", "b.service") % ("a.service", "b.service")
    assert "\nset -- a.service b.service\n" in text
    assert "printf '%s\\n'" in text


@pytest.mark.parametrize("text", ["", "Failed to connect to bus", "Id=ssh.service"])
def test_another_shape_is_not_an_answer(text: str) -> None:
    with pytest.raises(ObservationError):
        units(text)


@given(st.text())
def test_no_text_brings_anything_else(text: str) -> None:
    try:
        units(text)
    except ObservationError:
        return
