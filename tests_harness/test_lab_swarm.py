"""Faults of the steps `engine`, `swarm` and `labels` on the real lab: seen exactly there, mended, and nothing left."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.lab import NODES
from harness.model import Mode, Place, Verdict
from harness.reach import find_cluster
from harness.session import Request, open_connections, run_live
from tests_harness import labkit
from tests_harness.faultkit import drop_in, without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.field]
BEFORE = ("power", "network", "arp", "system")
ENGINE, SWARM = ("engine",), ("engine", "swarm", "labels")
CHOSEN = ("-k", "power or network or arp or system or engine or swarm or labels")
JSON, RULES, RESTART = "/etc/docker/daemon.json", "Docker's rules are in the firewall", "systemctl restart docker"
WORKERS = ("p1", "p2", "p3", "p4")
READY = "every node is ready"
UPDATE = "docker node update"
LEAVE = "docker swarm leave && until docker info 2>/dev/null | grep -q 'Swarm: inactive'; do sleep 0.2; done"
JOIN = "docker swarm join --token {} 172.19.181.254:2377"
KEY = "/var/lib/docker/swarm/certificates/swarm-node.key"
DROP = "iptables {} INPUT -p {} --dport {} -j DROP"
SHORT = "docker swarm update --cert-expiry {}h && docker swarm ca --rotate --quiet >/dev/null"
DOWN = "n=0; until docker node ls | grep -w p2 | grep -q Down || [ $n -ge 60 ]; do n=$((n+1)); sleep 1; done"
# Whatever any process of a node was called with while it ran.
WATCH = "while sleep 0.01; do cat /proc/[0-9]*/cmdline; done > /root/seen 2>/dev/null & echo $!"


@dataclass(frozen=True)
class Fault:
    """Damage by shell text on one node, and what differs then as (step, node, aspect).

    Without `undo` a repair mends it; with it only a person can, and the repair applies nothing.
    """

    node: str
    damage: str
    want: tuple[tuple[str, str, str], ...] = ()
    undo: str = ""
    steps: tuple[str, ...] = SWARM


def engine(node: str, damage: str, *aspects: str, undo: str = "") -> Fault:
    return Fault(node, damage, tuple(("engine", node, aspect) for aspect in aspects), undo, ENGINE)


def swarm(node: str, damage: str, *aspects: tuple[str, str], undo: str = "") -> Fault:
    return Fault(node, damage, tuple(("swarm", where, aspect) for where, aspect in aspects), undo)


def labels(damage: str, *nodes: str) -> Fault:
    return Fault("cnat", damage, tuple(("labels", node, "label service") for node in nodes))


FAULTS = {
    "engine: stopped, and its socket would start it": engine("p1", "systemctl -q stop docker.service", "Docker runs"),
    "engine: stopped with its socket": engine("cnat", "systemctl -q stop docker.socket docker.service", "Docker runs"),
    "engine: not started at boot": engine("p2", "systemctl -q disable docker.service", "Docker starts at boot"),
    "engine: masked": engine(
        "p3", "systemctl -q disable --now docker.socket docker.service; systemctl -q mask docker.service",
        "Docker starts at boot", "Docker runs",
    ),
    "engine: its socket does not start any more": engine(
        "p4", drop_in("docker.socket", "[Unit]", "ConditionPathExists=/nowhere"), "Docker starts at boot",
        undo=without("docker.socket"),
    ),
    "engine: systemd would refuse it a second command": engine(
        "p4", drop_in("docker.service", "[Service]", "ExecStart=/bin/false"), "Docker starts at boot",
        undo=without("docker.service"),
    ),
    "engine: removed": engine(
        "p4", "systemctl -q stop docker.socket docker; apt-get -q -y remove docker.io", "Docker is installed"
    ),
    "engine: no command": engine("p4", "rm /usr/bin/docker", "Docker is installed"),
    "engine: pi is not in its group": engine("p1", "gpasswd -d pi docker", "pi may use Docker"),
    "engine: a socket for root only": engine(
        "p2", "chmod 600 /run/docker.sock", "pi may use Docker", undo="chmod 660 /run/docker.sock"
    ),
    "engine: broken settings, not loaded yet": engine(
        "p3", f"echo '{{' > {JSON}", f"{JSON} can be read", undo=f"rm {JSON}"
    ),
    "engine: a setting that its next start dies of": engine(
        "p2", f"echo '{{\"live-restore\": true}}' > {JSON}", f"{JSON} can be read", undo=f"rm {JSON}"
    ),
    "engine: dead of broken settings": engine(
        "p3", f"echo '{{' > {JSON}; systemctl -q restart docker; true", f"{JSON} can be read", "Docker runs",
        undo=f"rm {JSON}; systemctl reset-failed docker; systemctl start docker",
    ),
    "engine: dead of a wrong setting, and tried too often": engine(
        "p1", f"echo '{{\"nonsense\": 1}}' > {JSON}; for i in 1 2 3 4 5 6; do systemctl -q restart docker; done "
        f"2>/dev/null; rm {JSON}", "Docker runs",
    ),
    "engine: the firewall is flushed": engine("p2", "iptables -F; iptables -t nat -F", RULES, undo=RESTART),
    "engine: its table of translations is flushed": engine("p4", "iptables -t nat -F", RULES, undo=RESTART),
    "engine: it shall write no rules": engine(
        "p3", f"echo '{{\"iptables\": false}}' > {JSON}; {RESTART}", RULES, undo=f"rm {JSON}; {RESTART}"
    ),
    "engine: a login that talks": engine("p2", "echo 'head -c 99999 /dev/urandom; echo x >&2' > /home/pi/.profile"),
    "swarm: drained": swarm("cnat", f"{UPDATE} --availability drain p2", ("p2", "availability")),
    "swarm: the controller paused": swarm("cnat", f"{UPDATE} --availability pause cnat", ("cnat", "availability")),
    "swarm: a second manager": swarm("cnat", "docker node promote p3", ("p3", "role")),
    "swarm: the controller is no manager": swarm(
        "cnat", "docker node promote p1; until docker node ls | grep p1 | grep -q Reachable; do sleep 0.2; done; "
        "docker node demote cnat; until docker info 2>/dev/null | grep -q 'Is Manager: false'; do sleep 0.2; done",
        ("cnat", "manages the swarm"), *((node, "in the swarm of cnat") for node in WORKERS),
    ),
    "swarm: a certificate that ends soon": swarm(
        "cnat", SHORT.format(48), *((node, "certificate is good") for node in NODES), undo=SHORT.format(2160)
    ),
    "swarm: gossip is dropped": swarm(
        "p1", DROP.format("-I", "udp", 7946), ("p1", "firewall lets the swarm in"), undo=DROP.format("-D", "udp", 7946)
    ),
    "swarm: a door is shut": swarm(
        "p4", DROP.format("-I", "tcp", 7946), ("p4", "firewall lets the swarm in"),
        *((node, "gets through to the others") for node in NODES if node != "p4"),
        undo=DROP.format("-D", "tcp", 7946),
    ),
    # Docker gives its number to nobody then: a repair that took its dead entry off the list would take its labels, too.
    "swarm: its part of Docker does not start": swarm(
        "p3", f"systemctl -q stop docker.socket docker; mv {KEY} /root/key; echo x > {KEY}; systemctl start docker; "
        "docker info 2>/dev/null | grep -q 'Swarm: error'", ("p3", "in the swarm of cnat"),
        undo=f"systemctl -q stop docker.socket docker; mv /root/key {KEY}; systemctl start docker",
    ),
    "swarm: Docker has just been restarted": swarm("cnat", "systemctl restart docker"),
    "labels: lost": labels(f"{UPDATE} --label-rm service p2; {UPDATE} --label-rm service cnat", "cnat", "p2"),
    "labels: wrong": labels(f"{UPDATE} --label-add service=sql p3; {UPDATE} --label-add mine=1 p3", "p3"),
    "labels: swapped": labels(
        f"{UPDATE} --label-add service=web cnat; {UPDATE} --label-add service=sql p1", "cnat", "p1"
    ),
}  # fmt: skip


def go(lab: Lab, mode: Mode, steps: tuple[str, ...] = SWARM, *, limit: float = 30.0) -> labkit.Finished:
    """One run inside this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HATCHECK_LAB", lab.layout.name)
        found = find_cluster("lab")
        cluster = found.model_copy(update={"ssh": found.ssh.model_copy(update={"wait": 3.0, "limit": limit})})
        places = frozenset(Place(step, node) for step in (*BEFORE, *steps) for node in NODES)
        with contextlib.closing(open_connections(cluster)) as connections:
            request = Request(cluster, mode, frozenset((*BEFORE, *steps)), places)
            record = run_live(request, connections, lambda _line: None).record
    words = "\n".join(f"{one.place} {one.verdict}: {one.reason}" for one in record.outcomes)
    return labkit.Finished(0 if all(one.verdict.is_met for one in record.outcomes) else 1, words, record, None)


def shell(lab: Lab, node: str, text: str) -> str:
    """Run shell text as root on a node, out of band; it must succeed."""
    done = lab.exec(node, ["sh", "-c", text], timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(errors="replace")


@contextlib.contextmanager
def watched(lab: Lab, *nodes: str) -> Iterator[dict[str, str]]:
    """All command lines that ran on these nodes in the meantime, by node."""
    pids = {node: shell(lab, node, WATCH).strip() for node in nodes}
    seen: dict[str, str] = {}
    try:
        yield seen
    finally:
        for node, pid in pids.items():
            seen[node] = shell(lab, node, f"kill {pid}; cat /root/seen; rm /root/seen")


@pytest.fixture(scope="module")
def green(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Bare nodes, repaired by one run; its report and all processes of two machines are searched for the token."""
    lab.up()
    lab.reset()
    folder = tmp_path_factory.mktemp("green")
    with watched(lab, "cnat", "p1") as commands:
        done = labkit.run(folder, "--repair", *CHOSEN)
    assert done.code == 0, done.said
    token = shell(lab, "cnat", "docker swarm join-token -q worker").strip()
    assert token.startswith("SWMTKN-")
    assert "node" in commands["cnat"]
    assert [node for node, seen in commands.items() if token in seen] == []
    assert done.folder
    assert [
        file for file in done.folder.rglob("*") if file.is_file() and token in file.read_text("utf-8", "replace")
    ] == []
    return lab


@pytest.mark.usefixtures("green")
def test_bare_nodes_are_green_after_one_repair_and_a_second_one_has_nothing_to_do(tmp_path: Path) -> None:
    again = labkit.run(tmp_path, "--repair", *CHOSEN)
    assert (again.code, again.applied()) == (0, 0), again.said
    assert {again.verdicts()[f"{step}[{node}]"] for step in SWARM for node in NODES} == {Verdict.OK}
    assert "not heard" not in again.said


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_seen_exactly_there_and_mended_or_left_to_a_person(green: Lab, fault: Fault) -> None:
    shell(green, fault.node, fault.damage)
    try:
        done = go(green, "repair", fault.steps)
        # A machine whose engine or membership is hurt is missing from the whole, sooner or later.
        assert done.first_differing() - {("swarm", "cnat", READY)} == set(fault.want), done.said
        if fault.undo:
            assert done.applied() == 0, done.said
        else:
            assert done.code == 0, done.said
            assert (done.applied() > 0) is bool(fault.want), done.said
    finally:
        if fault.undo:
            shell(green, fault.node, fault.undo)


def test_nothing_of_these_faults_is_left(green: Lab) -> None:
    done = go(green, "repair")
    assert (done.code, done.applied(), done.first_differing()) == (0, 0, set()), done.said


def test_a_label_of_somebody_else_stays(green: Lab) -> None:
    assert shell(green, "cnat", "docker node inspect p3 -f '{{.Spec.Labels}}'") == "map[mine:1 service:web]\n"


class TestMembership:
    def test_a_node_that_joined_anew_by_hand_is_listed_twice(self, green: Lab) -> None:
        token = shell(green, "cnat", "docker swarm join-token -q worker").strip()
        shell(green, "p2", f"{LEAVE}; {JOIN.format(token)}")
        shell(green, "cnat", DOWN)
        mended = go(green, "repair")
        assert mended.code == 0, mended.said
        assert mended.first_differing() == {
            ("swarm", "p2", "other entries of its name"), ("labels", "p2", "label service")
        }  # fmt: skip

    def test_a_node_of_another_swarm_is_left_to_a_person(self, green: Lab) -> None:
        shell(green, "p2", f"{LEAVE}; docker swarm init --advertise-addr 172.19.181.2")
        number = shell(green, "p2", "docker info -f '{{.Swarm.NodeID}}'")
        try:
            mended = go(green, "repair")
            assert mended.verdicts()["swarm[p2]"] is Verdict.DIFFERS
            assert "in another one" in mended.outcome("swarm", "p2").reason
            assert shell(green, "p2", "docker info -f '{{.Swarm.NodeID}}'") == number
        finally:
            shell(green, "p2", "docker swarm leave --force")
        joined = go(green, "repair")
        assert joined.code == 0, joined.said
        assert ("swarm", "p2", "in the swarm of cnat") in joined.first_differing()
        assert {one[:2] for one in joined.first_differing()} == {("swarm", "cnat"), ("swarm", "p2"), ("labels", "p2")}
        assert shell(green, "cnat", "docker node ls --format '{{.Hostname}}' | grep -c p2") == "1\n"

    def test_a_lost_manager_is_not_made_anew_over_workers_that_are_in_a_swarm(self, green: Lab) -> None:
        shell(green, "cnat", "docker swarm leave --force")
        mended = go(green, "repair")
        assert mended.applied() == 0, mended.said
        assert {("swarm", node, "in the swarm of cnat") for node in WORKERS} <= mended.differing()
        assert shell(green, "cnat", "docker info -f '{{.Swarm.LocalNodeState}}'") == "inactive\n"
        for node in WORKERS:
            # An engine that is torn out of a swarm may keep a piece of its network: a person would reboot it.
            shell(green, node, f"{LEAVE}; systemctl restart docker")
        again = go(green, "repair")
        assert again.code == 0, again.said


def test_an_engine_that_hangs_is_unknown_and_not_absent(green: Lab) -> None:
    shell(green, "p4", "pkill -STOP -x dockerd")
    try:
        seen = go(green, "verify", ENGINE, limit=3.0)
    finally:
        shell(green, "p4", "pkill -CONT -x dockerd")
    assert seen.verdicts()["engine[p4]"] is Verdict.UNKNOWN
    assert "Docker gave no answer within 3 s" in seen.outcome("engine", "p4").reason
    assert {seen.verdicts()[f"engine[{node}]"] for node in NODES if node != "p4"} == {Verdict.OK}


def test_a_node_without_power_is_named_and_the_others_go_on(green: Lab) -> None:
    green.power("p2", on=False)
    try:
        shell(green, "cnat", DOWN)
        seen = go(green, "verify")
        assert seen.differing() == {("power", "p2", "HAT port p2 powered"), ("swarm", "cnat", READY)}, seen.said
        assert "p2 down" in seen.outcome("swarm", "cnat").reason
        blocked = {place for place, verdict in seen.verdicts().items() if verdict is Verdict.BLOCKED}
        assert blocked == {f"{step}[p2]" for step in ("network", "arp", "system", *SWARM)}
        causes = {str(one.cause) for one in seen.record.outcomes if one.cause} if seen.record else set()
        assert causes == {"power[p2]"}
    finally:
        mended = go(green, "repair")
    assert mended.code == 0, mended.said


def test_a_swarm_that_waits_for_a_key_after_a_reboot_is_advice(green: Lab, tmp_path: Path) -> None:
    shell(green, "cnat", "docker swarm update --autolock=true")
    try:
        plain = go(green, "repair")
        assert (plain.code, plain.applied()) == (0, 0), plain.said
        asked = labkit.run(tmp_path, "--repair", "--advice", "-k", "swarm and cnat")
        assert asked.code == 0, asked.said
        assert shell(green, "cnat", "docker info -f '{{.Swarm.Cluster.Spec.EncryptionConfig.AutoLockManagers}}'") == (
            "false\n"
        )
    finally:
        shell(green, "cnat", "docker swarm update --autolock=false")


def test_log_rotation_is_advice_and_keeps_what_the_settings_say(green: Lab, tmp_path: Path) -> None:
    shell(green, "p1", f"mkdir -p /etc/docker; printf '{{\\n  \"debug\": false\\n}}\\n' > {JSON}")
    try:
        plain = go(green, "repair", ENGINE)
        assert (plain.code, plain.applied()) == (0, 0), plain.said
        asked = labkit.run(tmp_path, "--repair", "--advice", "-k", "engine and p1")
        assert asked.code == 0, asked.said
        assert shell(green, "p1", f"cat {JSON}").endswith('  "debug": false\n}\n')
        assert '"max-size": "10m"' in shell(green, "p1", f"cat {JSON}")
        again = labkit.run(tmp_path / "again", "--repair", "--advice", "-k", "engine and p1")
        assert again.applied() == 0, again.said
    finally:
        shell(green, "p1", f"rm {JSON}; systemctl restart docker")
