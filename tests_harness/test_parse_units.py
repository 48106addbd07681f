"""What systemd says of a unit is read from its own words, and nothing is made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ObservationError
from harness.parse.units import Unit, command, kept_out, units

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
"""


def test_each_unit_is_told_apart() -> None:
    assert units(SHOWN) == {
        "ssh.service": Unit(is_there=True, is_active=True, is_enabled=True),
        "dhcpcd.service": Unit(is_there=False, is_active=False, is_enabled=False),
        "cron.service": Unit(is_there=True, is_active=False, is_enabled=False),
        "apt-daily.service": Unit(is_there=True, is_active=False, is_enabled=False),
        "ntp.service": Unit(is_there=False, is_active=True, is_enabled=False, is_masked=True),
    }


def test_what_is_masked_until_the_next_boot_starts_then() -> None:
    assert kept_out(SHOWN) == ("ntp.service",)
    assert kept_out(SHOWN.replace("UnitFileState=masked", "UnitFileState=masked-runtime")) == ()


@pytest.mark.parametrize("state", ["bad-setting", "error"])
def test_a_unit_that_systemd_refuses_is_there_and_will_not_start_at_boot(state: str) -> None:
    text = SHOWN.partition("\n\n")[0].replace("loaded", state)
    assert units(text) == {"ssh.service": Unit(is_there=True, is_active=True, is_enabled=False)}


def test_the_command_has_a_place_for_each_unit() -> None:
    assert command("a.service", "b.service").count("%s") == 2


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
