"""The main job on the real lab: the cluster kit verified, planned, repaired, proved; what must never happen then."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.actions import Action, Boot
from harness.model import Verdict
from tests_harness import labkit
from tests_harness.faultkit import INFRA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.lab import Lab

pytestmark = pytest.mark.lab
CHOSEN = ("-k", "power or network or arp or hosts")
NODES = ("cnat", "p1", "p2", "p3", "p4")
KIT = "tests_infra"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


@pytest.fixture(scope="module")
def green(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab as `--repair` makes it, and nothing else."""
    done = labkit.run(tmp_path_factory.mktemp("green"), KIT, "--repair")
    assert done.code == 0, done.said
    return lab


class TestFromBareToGreen:
    """In this order: each test takes the lab as the one before it left it."""

    def test_a_bare_cluster_differs_and_a_look_changes_nothing(self, bare: Lab, reports: Path) -> None:
        before = labkit.look(bare)
        done = labkit.run(reports, KIT)
        assert done.code == 1, done.said
        assert done.verdicts()["network[cnat]"] is Verdict.DIFFERS
        assert done.verdicts()["power[p3]"] is Verdict.OK
        assert labkit.look(bare) == before

    def test_a_plan_shows_every_action_and_changes_nothing(self, bare: Lab, reports: Path) -> None:
        before = labkit.look(bare)
        done = labkit.run(reports, KIT, "--plan")
        assert done.code == 1, done.said
        assert all(done.outcome("hosts", node).planned for node in NODES), (
            "the plan goes on behind the first difference"
        )
        assert "+172.19.181.3 pi3" in done.said
        assert labkit.look(bare) == before

    def test_one_repair_makes_all_green_and_applies_what_was_planned(self, bare: Lab, reports: Path) -> None:
        planned = labkit.run(reports / "plan", KIT, "--plan", *CHOSEN)
        done = labkit.run(reports / "repair", KIT, "--repair", *CHOSEN)
        assert done.code == 0, done.said
        assert set(done.verdicts().values()) <= {Verdict.OK, Verdict.REPAIRED}
        assert _planned(planned) <= _done(done)
        assert bare.exec("p1", ["getent", "hosts", "pi4"]).stdout.split()[0] == b"172.19.181.4"

    def test_a_second_repair_does_nothing_at_all(self, lab: Lab, reports: Path) -> None:
        _see_that_nothing_is_done(lab, reports, *CHOSEN)

    def test_one_repair_of_everything_makes_everything_green_and_a_second_does_nothing(
        self, lab: Lab, reports: Path
    ) -> None:
        lab.reset()
        planned = labkit.run(reports / "plan", KIT, "--plan")
        done = labkit.run(reports / "repair", KIT, "--repair")
        assert done.code == 0, done.said
        assert {place.partition("[")[0] for place in done.verdicts()} == set(INFRA)
        # The plan of `keys` makes a folder that by then `ssh_config` has made.
        needless = [action for action in _planned(planned) - _done(done) if "/home/pi/.ssh" not in str(action)]
        assert needless == []
        _see_that_nothing_is_done(lab, reports / "again")

    def test_it_stays_green_over_a_reboot_of_the_controller(self, lab: Lab, reports: Path) -> None:
        lab.power("cnat", on=False)
        lab.power("cnat", on=True)
        lab.up()  # waits until it has booted
        done = labkit.run(reports, KIT)
        assert done.code == 0, done.said

    def test_its_tape_replays_to_the_same_outcomes(self, green: Lab, reports: Path) -> None:  # noqa: ARG002
        live = labkit.run(reports / "live", KIT)
        assert live.folder
        again = labkit.run(reports / "again", KIT, f"--replay={live.folder / 'tape.json'}")
        assert (again.code, again.record) == (live.code, live.record)

    def test_a_run_leaves_its_report_in_every_form(self, green: Lab, reports: Path) -> None:  # noqa: ARG002
        folder = labkit.run(reports, KIT).folder
        assert folder
        assert {"report.html", "junit.xml", "result.json", "tape.json"} == {path.name for path in folder.iterdir()}


class TestSilentNode:
    @pytest.fixture(autouse=True)
    def _afterwards_on(self, green: Lab) -> Iterator[None]:
        yield
        green.power("p3", on=True)
        green.up()  # waits until it has booted

    def test_a_node_without_power_is_the_one_cause_and_others_stay_ok(self, green: Lab, reports: Path) -> None:
        green.power("p3", on=False)
        done = labkit.run(reports, KIT)
        assert done.code == 1, done.said
        assert done.verdicts() == _verdicts_without_p3(Verdict.DIFFERS)
        assert {str(done.outcome(step, "p3").cause) for step in INFRA[1:]} == {"power[p3]"}

    def test_repair_boots_it_and_all_is_green(self, green: Lab, reports: Path) -> None:
        green.power("p3", on=False)
        done = labkit.run(reports, KIT, "--repair")
        assert done.code == 0, done.said
        assert done.verdicts()["power[p3]"] is Verdict.REPAIRED
        assert [type(one.action) for one in done.outcome("power", "p3").done] == [Boot]

    def test_a_hanging_node_is_unknown_and_left_alone(self, green: Lab, reports: Path) -> None:
        pid = green.exec("p3", ["cat", "/run/sshd.pid"]).stdout.decode().strip()
        green.exec("p3", ["kill", "-STOP", pid])
        try:
            done = labkit.run(reports, KIT, "--repair")
        finally:
            green.exec("p3", ["kill", "-CONT", pid])
        assert done.code == 10, done.said
        assert done.verdicts() == _verdicts_without_p3(Verdict.UNKNOWN)
        assert done.applied() == 0


class TestDistrust:
    """A one-sentence message, the right outcome, and nothing applied."""

    def test_a_wrong_password(self, green: Lab, reports: Path) -> None:
        before = labkit.look(green)
        done = labkit.run(reports, KIT, "--repair", f"--cluster={_inventory(green, reports)}",
                          environment={"HATCHECK_PASSWORD": "not-the-one", "HOME": str(reports)})  # fmt: skip
        assert done.code == 10, done.said
        assert "refuses the login of pi" in done.outcome("power", "cnat").reason
        assert "not-the-one" not in done.said + "".join(path.read_text() for path in reports.rglob("*.json"))
        assert set(done.verdicts().values()) == {Verdict.UNKNOWN, Verdict.BLOCKED}
        assert labkit.look(green) == before

    def test_a_wrong_host_key(self, green: Lab, reports: Path) -> None:
        file = _inventory(green, reports)
        keys = file.with_name("known_hosts")
        lines = keys.read_text().splitlines()
        other = next(line for line in lines if line.startswith("172.19.181.1 ")).partition(" ")[2]
        changed = [f"172.19.181.3 {other}" if line.startswith("172.19.181.3 ") else line for line in lines]
        keys.write_text("\n".join(changed) + "\n")
        password = green.access().password
        done = labkit.run(reports, KIT, "--repair", f"--cluster={file}", environment={"HATCHECK_PASSWORD": password})
        assert done.code == 10, done.said
        assert done.verdicts() == _verdicts_without_p3(Verdict.UNKNOWN)
        reason = done.outcome("power", "p3").reason
        assert "another host key" in reason
        assert "hatcheck trust p3" in reason
        assert done.applied() == 0

    def test_a_changed_mac(self, green: Lab, reports: Path) -> None:
        _set_mac(green, "00:22:82:ff:ff:63")
        try:
            done = labkit.run(reports, KIT, "--repair")
        finally:
            _set_mac(green, "00:22:82:ff:ff:03")
        assert done.code == 1, done.said
        assert done.differing() == {("arp", "p3", "MAC of 172.19.181.3 on br0")}
        assert "00:22:82:ff:ff:63" in done.outcome("arp", "p3").reason
        assert done.applied() == 0


def _see_that_nothing_is_done(lab: Lab, reports: Path, *options: str) -> None:
    before = labkit.look(lab)
    done = labkit.run(reports, KIT, "--repair", *options)
    assert done.code == 0, done.said
    assert set(done.verdicts().values()) == {Verdict.OK}
    assert done.applied() == 0
    assert labkit.look(lab) == before


def _planned(done: labkit.Finished) -> set[object]:
    assert done.record
    return {_what(action) for outcome in done.record.outcomes for action in outcome.planned}


def _what(action: Action) -> object:
    """The change itself: two steps may want the same one, each with its own words."""
    return replace(action, why="")


def _done(done: labkit.Finished) -> set[object]:
    assert done.record
    return {_what(one.action) for outcome in done.record.outcomes for one in outcome.done}


def _verdicts_without_p3(power: Verdict) -> dict[str, Verdict]:
    fine = {f"{step}[{node}]": Verdict.OK for step in INFRA for node in NODES}
    blocked = {f"{step}[p3]": Verdict.BLOCKED for step in INFRA}
    return {**fine, **blocked, "power[p3]": power}


def _inventory(lab: Lab, folder: Path) -> Path:
    """The lab as an inventory file of a user, with a known_hosts file of his own."""
    folder.mkdir(exist_ok=True)
    access = lab.access()
    shutil.copy(access.known_hosts, folder / "known_hosts")
    file = folder / "cluster.toml"
    cards = '[os]\nid = "debian"\ncodenames = ["bookworm"]\narchitecture = "amd64"\n'
    file.write_text(f'name = "lab"\n[ssh]\nhost = "{access.address}"\n{cards}')
    return file


def _set_mac(lab: Lab, mac: str) -> None:
    """As with another USB gadget: the link goes down for a moment, and the route comes back with it."""
    script = f"ip link set usb0 down; ip link set usb0 address {mac} up; ip route replace default via 172.19.181.254"
    assert lab.exec("p3", ["sh", "-c", script]).returncode == 0
    # The controller finds out by itself, but only after some seconds of asking the old MAC.
    assert lab.exec("cnat", ["ip", "neigh", "flush", "dev", "br0"]).returncode == 0
