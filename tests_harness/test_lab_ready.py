"""The ready lab: green without a single action, made by our own repair, and each node still itself."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from harness.errors import LabError
from harness.lab import NODES, Lab, process
from harness.lab.base import Base
from harness.lab.images import ensure_images
from harness.lab.layout import CACHE_HOME
from harness.lab.ready import cached_ready, repair
from harness.lab.rootfs import ground_of
from harness.model import Verdict
from tests_harness import labkit
from tests_harness.test_lab_real import await_true, board_pid, holds, said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def ready(lab: Lab) -> Iterator[Lab]:
    """The lab as `hatcheck lab up` makes it."""
    lab.down()
    lab.up(bare=False)
    yield lab
    lab.down()
    lab.up()


def is_green(reports: Path, *options: str) -> bool:
    done = labkit.run(reports, *options)
    return done.code == 0 and set(done.verdicts().values()) == {Verdict.OK}


def test_a_ready_lab_is_green_and_a_repair_finds_nothing_to_do(ready: Lab, tmp_path: Path) -> None:
    before = labkit.look(ready)
    done = labkit.run(tmp_path, "--repair")
    assert done.code == 0, done.said
    assert set(done.verdicts().values()) == {Verdict.OK}
    assert done.applied() == 0
    assert labkit.look(ready) == before


def test_it_is_saved_and_for_root_only(ready: Lab) -> None:
    saved = cached_ready(running_base(ready), ensure_images(print))
    assert saved.is_usable()
    assert saved.home.stat().st_mode & 0o777 == 0o700, "it holds private host keys"


def test_each_node_has_a_machine_id_and_host_keys_of_its_own(ready: Lab) -> None:
    for path in ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"):
        assert len({said(ready, node, f"cat {path}") for node in NODES}) == len(NODES)


def test_the_uplink_is_this_labs(ready: Lab) -> None:
    assert ready.layout.wire.controller in said(ready, "cnat", "ip -4 -o address show eth0")


@pytest.mark.field
def test_one_card_can_be_bare_or_as_saved(ready: Lab, tmp_path: Path) -> None:
    ready.reset("p3", bare=True)
    assert labkit.run(tmp_path).verdicts()["hosts[p3]"] is Verdict.DIFFERS
    ready.reset("p3", bare=False)
    assert is_green(tmp_path)


@pytest.mark.field
def test_all_can_be_bare_and_as_saved_again(ready: Lab, tmp_path: Path) -> None:
    ready.reset(bare=True)
    assert not holds(ready, "cnat", "command -v fail2ban-client")
    ready.reset(bare=False)
    assert is_green(tmp_path)


@pytest.mark.field
def test_nodes_that_are_there_are_kept_whatever_is_asked_for(ready: Lab) -> None:
    said(ready, "p1", "echo kept > /root/file; sync")
    os.kill(board_pid(ready), signal.SIGKILL)
    await_true(lambda: process.board_pid(ready.layout) is None, "the board is gone")
    ready.up(bare=True)
    assert said(ready, "p1", "cat /root/file") == "kept"
    assert holds(ready, "cnat", "command -v fail2ban-client")


@pytest.mark.field
def test_a_repair_that_does_not_end_green_makes_nothing(ready: Lab) -> None:
    said(ready, "p4", "echo p5 > /etc/hostname; mount --bind /etc /etc; mount -o remount,bind,ro /etc")
    try:
        with pytest.raises(LabError, match=r"did not make bare nodes green \(exit code 1\), so nothing is saved"):
            repair(ready.layout, lambda _line: None)
        assert ready.status().is_up, "the lab is left for a look"
    finally:
        said(ready, "p4", "umount /etc; echo p4 > /etc/hostname")


@pytest.mark.field
def test_an_attempt_that_was_cut_off_is_begun_anew(ready: Lab) -> None:
    said(ready, "p1", "touch /root/half-repaired")
    (ready.layout.state / "making-ready").touch()
    ready.up(bare=False)
    assert not holds(ready, "p1", "test -e /root/half-repaired")
    assert not (ready.layout.state / "making-ready").exists()


def running_base(lab: Lab) -> Base:
    made_on = ground_of(lab.layout, "cnat")
    assert made_on
    return Base(CACHE_HOME / made_on.base.split("/")[-2])
