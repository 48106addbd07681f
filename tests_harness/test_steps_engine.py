"""Step `engine`: what must be said of Docker on each machine, one fault a row; and its settings, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actions import Run, Write
from harness.node import File
from harness.parse import daemon_json, dockerd_log
from harness.parse.units import Unit
from harness.steps import engine, engine_firewall
from harness.steps.engine_told import Told
from tests_harness.fakes_cluster import CLUSTER, differences
from tests_harness.fakes_docker import DAEMON, RUNS, good_engine

if TYPE_CHECKING:
    from harness.model import Check

Seen = Mapping[str, engine.State]
GOOD = good_engine()["p1"]
ABSENT = Unit(is_there=False, is_active=False, is_enabled=False, unmet=())
STOPPED = Unit(is_there=True, is_active=False, is_enabled=True, unmet=())
MASKED = Unit(is_there=False, is_active=False, is_enabled=False, is_masked=True, unmet=())
HELD = replace(RUNS, unmet=("ConditionHost=p9 in /etc/systemd/system/docker.socket.d/x.conf",))
JSON = "/etc/docker/daemon.json"
ROTATION = "logs of containers are bounded"
RULES = "Docker's rules are in the firewall"


def config(text: str) -> File:
    return File(text.encode(), 0o644, "root:root")


def judge(state: engine.State, name: str = "p1") -> list[Check]:
    return list(engine.judge(good_engine() | {name: state}, CLUSTER))


def advice(checks: list[Check], aspect: str) -> Check:
    (found,) = [check for check in checks if (check.node, check.aspect) == ("p1", aspect)]
    assert found.level == "advice"
    return found


def test_a_good_cluster_holds_on_every_machine() -> None:
    checks = list(engine.judge(good_engine(), CLUSTER))
    assert differences(checks) == {}
    assert {check.node for check in checks} == set(CLUSTER.names)


BARE = replace(GOOD, unit=ABSENT, has_command=False, daemon=None)
RUN = ("run",)
USER = ("run", "run")


@pytest.mark.parametrize(
    ("state", "want"),
    [
        pytest.param(BARE, {"Docker is installed": USER}, id="bare"),
        pytest.param(replace(GOOD, has_command=False, daemon=None), {"Docker is installed": RUN}, id="no command"),
        pytest.param(replace(GOOD, unit=STOPPED, daemon=None), {"Docker runs": RUN}, id="stopped"),
        pytest.param(
            replace(GOOD, unit=MASKED, daemon=None), {"Docker starts at boot": RUN, "Docker runs": RUN}, id="masked"
        ),
        pytest.param(
            replace(GOOD, unit=replace(RUNS, is_enabled=False)), {"Docker starts at boot": RUN}, id="not enabled"
        ),
        pytest.param(replace(GOOD, unit=HELD), {"Docker starts at boot": ()}, id="a condition does not hold"),
        pytest.param(
            replace(GOOD, unit=replace(HELD, is_active=False), daemon=None),
            {"Docker starts at boot": (), "Docker runs": ()}, id="starting it is of no use",
        ),
        pytest.param(replace(GOOD, config=config("{")), {f"{JSON} can be read": ()}, id="broken, still running"),
        pytest.param(replace(GOOD, config=config('{"hosts": ["fd://"]}'), options={"hosts": "fd://"}),
                     {f"{JSON} can be read": ()}, id="its next start fails"),
        pytest.param(replace(GOOD, config=config('{"data-root": "/mnt/a"}'), options={"data-root": "/mnt/a"}),
                     {f"{JSON} can be read": ()}, id="a folder that is said twice"),
        pytest.param(replace(GOOD, config=config('{"runtimes": {}}'), options={"runtimes": "x=/bin/x"}),
                     {}, id="runtimes, which may be said twice"),
        pytest.param(replace(GOOD, config=config('{"live-restore": true}')),
                     {f"{JSON} can be read": ()}, id="a setting that no member of a swarm starts with"),
        pytest.param(replace(GOOD, unit=STOPPED, daemon=None, config=config('{"log-opts": {"max-file": 3}}')),
                     {f"{JSON} can be read": (), "Docker runs": ()}, id="dead of a number that must be a text"),
        pytest.param(replace(GOOD, config=config('{"hosts": ["fd://"]}'), options={"containerd": "/run/c.sock"}),
                     {}, id="hosts, and no -H any more"),
        pytest.param(
            replace(GOOD, unit=STOPPED, daemon=None, config=config("[]")),
            {f"{JSON} can be read": (), "Docker runs": ()}, id="dead of its settings: starting it is of no use",
        ),
        pytest.param(
            replace(GOOD, modules="no /lib/modules/6.1.21+"), {"kernel has its modules": ()}, id="kernel upgraded"
        ),
        pytest.param(
            replace(GOOD, modules="no /lib/modules/6.1.21+", unit=STOPPED, daemon=None),
            {"kernel has its modules": (), "Docker runs": ()}, id="dead of an upgraded kernel",
        ),
        pytest.param(replace(GOOD, modules="built in"), {}, id="a kernel without modules"),
        pytest.param(
            replace(GOOD, daemon=replace(DAEMON, next_folder="/mnt/usb")),
            {"Docker finds its own at the next start": ()}, id="another folder at the next start",
        ),
        pytest.param(
            replace(GOOD, daemon=replace(DAEMON, folder="/var/lib/docker/1000.1000")), {}, id="user namespaces"
        ),
        pytest.param(
            replace(GOOD, config=config('{"storage-driver": "aufs"}')),
            {"Docker finds its own at the next start": ()}, id="another storage at the next start",
        ),
        pytest.param(replace(GOOD, config=config('{"storage-driver": "overlay2"}')), {}, id="the same storage"),
        pytest.param(replace(GOOD, config=config('{"storage-driver": ""}')), {}, id="any storage"),
        pytest.param(
            replace(GOOD, options={"storage-driver": "aufs"}),
            {"Docker finds its own at the next start": ()}, id="another storage on the command line",
        ),
        pytest.param(
            replace(GOOD, daemon=replace(DAEMON, version="26.1.5")), {"release of Docker": ()}, id="another release"
        ),
        pytest.param(replace(GOOD, daemon=replace(DAEMON, version="20.10.5+dfsg1")), {}, id="another patch"),
        pytest.param(
            replace(GOOD, daemon=replace(DAEMON, architecture="arm64")), {"architecture of Docker": ()},
            id="an engine for the kernel, not for the programs",
        ),
        pytest.param(
            replace(GOOD, daemon=replace(DAEMON, may_use=False, groups=("pi",))), {"pi may use Docker": USER},
            id="not in the group",
        ),
        pytest.param(
            replace(GOOD, daemon=replace(DAEMON, may_use=False)), {"pi may use Docker": ()}, id="another group's socket"
        ),
        pytest.param(replace(GOOD, daemon=replace(DAEMON, lacks=("no way from FORWARD to DOCKER",))), {RULES: ()},
                     id="its rules are gone"),
        pytest.param(replace(GOOD, config=config('{"iptables": false}')), {RULES: ()}, id="it shall write no rules"),
        pytest.param(replace(GOOD, options={"iptables": "false"}), {RULES: ()}, id="nor by its command line"),
        pytest.param(replace(GOOD, config=config('{"iptables": true}')), {}, id="it shall write rules"),
        pytest.param(replace(GOOD, options={"iptables": ""}), {}, id="it shall write rules, by its command line"),
        pytest.param(replace(GOOD, daemon=replace(DAEMON, lacks=None)), {}, id="rules that nobody asked for"),
    ],
)  # fmt: skip
def test_a_fault_differs_exactly_there(state: engine.State, want: dict[str, tuple[str, ...]]) -> None:
    checks = judge(state)
    assert differences(checks) == {("p1", aspect): kinds for aspect, kinds in want.items()}
    assert all(check.fix or check.by_hand for check in checks if not check.holds)


def test_the_controllers_release_is_the_measure() -> None:
    checks = judge(replace(GOOD, daemon=replace(DAEMON, version="26.1.5")), "cnat")
    assert {where for where, _ in differences(checks)} == set(CLUSTER.names) - {"cnat"}


def test_while_the_controller_has_none_the_most_frequent_release_is() -> None:
    seen = good_engine() | {
        "cnat": replace(GOOD, unit=STOPPED, daemon=None),
        "p2": replace(GOOD, daemon=replace(DAEMON, version="28.0.1")),
    }
    found = differences(engine.judge(seen, CLUSTER))
    assert set(found) == {("cnat", "Docker runs"), ("p2", "release of Docker")}


def test_why_it_does_not_run_is_said() -> None:
    checks = judge(replace(GOOD, unit=STOPPED, daemon=None, complaint="failed to start daemon: no bridge"))
    (seen,) = [check.seen for check in checks if not check.holds and check.level == "must"]
    assert seen == "no: failed to start daemon: no bridge"


def test_no_action_ever_removes_anything() -> None:
    states = [
        replace(GOOD, unit=ABSENT, has_command=False, daemon=None), replace(GOOD, has_command=False, daemon=None),
        replace(GOOD, unit=MASKED, daemon=None), replace(GOOD, daemon=replace(DAEMON, may_use=False, groups=())),
    ]  # fmt: skip
    words = {
        word
        for state in states for check in judge(state) for action in check.fix if isinstance(action, Run)
        for argument in action.argv for word in argument.split()
    }  # fmt: skip
    assert "docker.io" in words
    assert words & {"prune", "rm", "remove", "purge", "autoremove", "rmi", "leave", "--force-new-cluster"} == set()


@pytest.mark.parametrize(
    ("driver", "text", "holds"),
    [
        pytest.param("json-file", None, False, id="no settings"),
        pytest.param("json-file", "{}", False, id="empty settings"),
        pytest.param("json-file", '{"log-opts": {"max-file": "3"}}', False, id="no size"),
        pytest.param("json-file", '{"log-opts": {"max-size": "5m"}}', True, id="a size of one's own"),
        pytest.param("local", None, True, id="a driver that rotates by itself"),
        pytest.param("journald", None, True, id="the journal"),
    ],
)
def test_logs_without_a_bound_are_worth_an_advice(driver: str, text: str | None, holds: bool) -> None:  # noqa: FBT001
    state = replace(GOOD, config=config(text) if text else None, daemon=replace(DAEMON, log_driver=driver))
    check = advice(judge(state), ROTATION)
    assert check.holds is holds
    if not holds:
        write, restart = check.fix
        assert isinstance(write, Write)
        assert isinstance(restart, Run)
        assert restart.last
        mended = replace(state, config=File(write.after, 0o644, "root:root"))
        assert advice(judge(mended), ROTATION).holds


def test_logs_that_the_command_line_bounds_are_bounded() -> None:
    assert advice(judge(replace(GOOD, options={"log-opts": "max-size=10m max-file=3"})), ROTATION).holds


def test_settings_that_nobody_can_read_are_left_to_a_person() -> None:
    check = advice(judge(replace(GOOD, config=config("{"))), ROTATION)
    assert (check.holds, check.fix) == (False, ())
    assert check.by_hand


@pytest.mark.parametrize(
    "state",
    [
        replace(GOOD, config=config('{"debug": "true"}')),
        replace(GOOD, config=config('{"hosts": ["fd://"]}'), options={"hosts": "fd://"}),
        replace(GOOD, unit=replace(RUNS, unmet=("ConditionHost=foo does not hold",))),
        replace(GOOD, modules="none for 6.1.21-v7+"),
        replace(GOOD, daemon=replace(DAEMON, next_folder="/mnt/usb")),
        replace(GOOD, config=config('{"storage-driver": "aufs"}')),
        replace(GOOD, options={"log-opts": "max-file=3"}),
    ],
    ids=[
        "a value of the wrong kind",
        "hosts twice",
        "a condition that does not hold",
        "modules gone",
        "another folder",
        "another storage",
        "options on the command line, which may not be in the file as well",
    ],
)
def test_an_engine_that_would_not_start_again_is_not_restarted_for_its_logs(state: engine.State) -> None:
    check = advice(judge(state), ROTATION)
    assert (check.holds, check.fix) == (False, ())
    assert check.by_hand


@pytest.mark.parametrize(
    ("state", "seen", "by_hand"),
    [
        pytest.param(replace(GOOD, daemon=replace(DAEMON, lacks=("no x", "no y"))), "no: no x, no y",
                     "`sudo systemctl restart docker`", id="gone"),
        pytest.param(replace(GOOD, config=config('{"iptables": false}'), daemon=replace(DAEMON, lacks=None)),
                     "no: iptables is false", f"take iptables out of {JSON}", id="not wanted"),
        pytest.param(replace(GOOD, modules="no /lib/modules/6.1.21+", daemon=replace(DAEMON, lacks=("no x",))),
                     "no: no x", "reboot first", id="a restart would fail"),
        pytest.param(replace(GOOD, daemon=replace(DAEMON, lacks=("no x",), next_folder="/mnt/usb")),
                     "no: no x", "mend first that data-root is /mnt/usb", id="a restart would lose all"),
    ],
)  # fmt: skip
def test_rules_that_are_gone_are_named_and_no_repair_restarts_docker(
    state: engine.State, seen: str, by_hand: str
) -> None:
    (check,) = [check for check in judge(state) if (check.node, check.aspect) == ("p1", RULES)]
    assert (check.level, check.holds, check.fix) == ("must", False, ())
    assert check.seen.startswith(seen)
    assert check.by_hand.startswith(by_hand)


@pytest.mark.parametrize(
    ("told", "want"),
    [
        pytest.param(Told(None, {}), ("docker0", "docker_gwbridge"), id="by itself"),
        pytest.param(Told(None, {"iptables": "0"}), None, id="off by an option"),
        pytest.param(Told(config('{"iptables": false}'), {}), None, id="off"),
        pytest.param(Told(config('{"firewall-backend": "nftables"}'), {}), None, id="rules of another kind"),
        pytest.param(Told(config('{"firewall-backend": "iptables"}'), {}), ("docker0", "docker_gwbridge"), id="these"),
        pytest.param(Told(config('{"ip-masq": false}'), {}), ("docker_gwbridge",), id="docker0 without translation"),
        pytest.param(Told(config('{"iptables": "no"}'), {}), ("docker0", "docker_gwbridge"), id="none of both"),
    ],
)
def test_only_rules_that_it_shall_write_are_asked_for(told: Told, want: tuple[str, ...] | None) -> None:
    assert engine_firewall.bridges(told) == want


def test_memory_that_cannot_be_limited_is_an_advice() -> None:
    assert not advice(
        judge(replace(GOOD, daemon=replace(DAEMON, limits_memory=False))), "Docker can limit memory"
    ).holds


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
SETTINGS = st.dictionaries(
    st.sampled_from(["debug", "registry-mirrors", "log-driver", "dns", "ü"]), VALUES, max_size=4
) | st.fixed_dictionaries({"debug": st.booleans(), "log-opts": st.dictionaries(st.text(), st.text())})


@given(SETTINGS, st.sampled_from([None, 2, 4]), st.sampled_from(["", "\n", " \n"]))
def test_bounding_logs_keeps_every_other_setting(settings: dict[str, object], indent: int | None, end: str) -> None:
    before = end + json.dumps(settings, indent=indent, ensure_ascii=False) + end
    after = daemon_json.with_rotation(before.encode())
    assert after is not None
    found = json.loads(after)
    assert daemon_json.has_rotation(after)
    assert {key: value for key, value in found.items() if key != "log-opts"} == {
        key: value for key, value in settings.items() if key != "log-opts"
    }
    options = settings.get("log-opts", {})
    assert isinstance(options, dict)
    assert found["log-opts"] == options | daemon_json.ROTATION
    if "log-opts" not in settings:
        assert after.decode().endswith(before.partition("{")[2])


# Each of the first half was tried with dockerd 20.10: it does not start.
@pytest.mark.parametrize(
    ("text", "want"),
    [
        ('{"live-restore": true}', "live-restore and a swarm exclude each other"),
        ('{"log-opts": {"max-file": 3}}', "log-opts must be names with texts, each in quotes"),
        ('{"log-opts": "x"}', "log-opts must be names with texts, each in quotes"),
        ('{"insecure-registries": "10.0.0.1:5000"}', "insecure-registries must be a list of texts"),
        ('{"insecure-registries": [5000]}', "insecure-registries must be a list of texts"),
        ('{"iptables": "no"}', "iptables must be true or false, without quotes"),
        ('{"log-driver": 5}', "log-driver must be a text in quotes"),
        ('{"mtu": "1400"}', "mtu must be a number without quotes"),
        (
            '{"registry-mirrors": ["10.1.1.1:5000"]}',
            "registry-mirrors must begin with http:// or https://, not so 10.1",
        ),
        ('{"mtu": 1400, "debug": null, "dns": [], "iptables": true, "live-restore": false}', ""),
        ('{"log-driver": "json-file", "log-opts": {"max-file": "3"}, "runtimes": {}, "unheard-of": 1}', ""),
        ('{"registry-mirrors": ["https://mirror.example"]}', ""),
        ("{", ""),
        ("", ""),
    ],
)
def test_a_setting_of_the_wrong_kind_is_told_before_the_next_start_fails_of_it(text: str, want: str) -> None:
    found = daemon_json.misfit(text.encode())
    assert found.startswith(want)
    assert bool(found) is bool(want)


@given(st.binary())
def test_any_file_is_read_or_complained_about(octets: bytes) -> None:
    assert daemon_json.complaint(octets) or isinstance(daemon_json.settings(octets), dict)
    assert isinstance(daemon_json.has_rotation(octets), bool)
    assert isinstance(daemon_json.misfit(octets), str)


@given(st.dictionaries(st.sampled_from([*daemon_json.LISTS, *daemon_json.SWITCHES, "log-opts", "mtu"]), VALUES))
def test_any_setting_is_judged(settings: dict[str, object]) -> None:
    assert isinstance(daemon_json.misfit(json.dumps(settings).encode()), str)


STOPPED_BY = "docker.service: Deactivated successfully.\nStopped docker.service.\n"
SETTINGS_LOG = """\
unable to configure the Docker daemon with file /etc/docker/daemon.json: unexpected EOF
docker.service: Main process exited, code=exited, status=1/FAILURE
Failed to start docker.service - Docker Application Container Engine.
"""
NETWORK_LOG = """\
time="2026-11-22T18:56:34Z" level=info msg="stopping event stream" error="<nil>"
failed to start daemon: Error initializing network controller: invalid CIDR address: x
"""


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(SETTINGS_LOG, SETTINGS_LOG.partition("\n")[0], id="settings"),
        pytest.param(NETWORK_LOG, NETWORK_LOG.splitlines()[1], id="network"),
        pytest.param('time="x" level=fatal msg="no \\"bridge\\" here"\n', 'no "bridge" here', id="fatal"),
        pytest.param(STOPPED_BY, "", id="stopped by somebody"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_the_journal_says_why_it_died(text: str, want: str) -> None:
    assert dockerd_log.complaint(text) == want
