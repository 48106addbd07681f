"""Logins by key on the real lab: faults of the field one by one, the guarded change of sshd, and no ban ever."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from harness import reach, session
from harness.actions import WriteSshd
from harness.apply import Applier
from harness.lab import NODES
from harness.model import Verdict
from tests_harness import labkit
from tests_harness.faultkit import Fault, Where, at, go, on, prove, prove_nothing_is_left

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.connect import Connections
    from harness.inventory import Cluster
    from harness.lab import Lab
    from harness.model import Mode

pytestmark = pytest.mark.lab
MINE = ("-k", "ssh_config or keys")
SSH = "/home/pi/.ssh"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


@pytest.fixture
def connections(green: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connections]:
    monkeypatch.setenv("HATCHECK_LAB", green.layout.name)
    with closing(session.open_connections(reach.find_cluster("lab"))) as opened:
        yield opened


def only_p1(cluster: Cluster) -> Cluster:
    """The controller and one node: two logins for each look, and not eight."""
    return cluster.model_copy(update={"nodes": cluster.nodes[:1]})


def words(*numbers: int, only: str = "") -> frozenset[Where]:
    """What the file says of these nodes."""
    return frozenset(
        ("ssh_config", f"p{number}", f"{word} of pi{number}")
        for number in numbers for word in ("Hostname", "User") if only in {"", word}
    )  # fmt: skip


def key(node: str, *aspects: str) -> frozenset[Where]:
    return at("keys", node, *aspects)


ALL = words(1, 2, 3, 4)
RIGHTS = at("ssh_config", "cnat", "rights of ~/.ssh/config")
READS = at("ssh_config", "cnat", "ssh reads its configuration")
CONFIG_FAULTS = [
    pytest.param("chmod 644 config", RIGHTS, id="mode"),
    pytest.param("chmod 666 config", RIGHTS | READS | ALL, id="mode that ssh refuses"),
    pytest.param("chown root:root config", RIGHTS | ALL, id="of root, after sudo nano"),
    pytest.param("sed -i 's/Hostname pi2/Hostname pi3/' config", words(2, only="Hostname"), id="another machine"),
    pytest.param("sed -i '$ s/User pi/User dev/' config", words(4, only="User"), id="another user"),
    pytest.param("sed -i '/Host pi3/,+2 d' config", words(3), id="block deleted"),
    pytest.param("sed -i '/Host pi1/,+2 s/^/#/' config", words(1), id="block commented out"),
    pytest.param("sed -i '1 i Host *\\n  User dev' config", words(1, 2, 3, 4, only="User"), id="a general block first"),
    pytest.param("echo 'Hosst pi9' >> config", READS | ALL, id="syntax error"),
    pytest.param(": > config", ALL, id="emptied"),
    pytest.param(
        "rm config", ALL | at("ssh_config", "cnat", "~/.ssh/config is there"), id="deleted"
    ),
]  # fmt: skip
INTO, OUT = key("p1", "`ssh pi1 hostname` on cnat"), key("p1", "`ssh cnat hostname` on p1")
HOST_KEY, LETS_IN = key("cnat", "knows the host key of pi1"), key("p1", "lets the key of cnat in")
AUTHORIZED = key("p1", "rights of authorized_keys")
NEW_KEY = "rm -f /tmp/k*; ssh-keygen -q -t ed25519 -N '' -f /tmp/k; "
FORGET = "sed -i '/^pi1 /d' known_hosts; ssh-keygen -q -R pi1 -f known_hosts; "  # by name, and hashed
OLDER = f"{NEW_KEY}{FORGET} echo pi1 $(cut -d' ' -f1,2 /tmp/k.pub) >> known_hosts; "
AGAIN_OF_PI = "rm -f known_hosts.old; chown pi:pi known_hosts"
SSHD = "/etc/ssh/sshd_config.d/no.conf; systemctl reload ssh"
KEY_FAULTS = [
    pytest.param("p1", ": > authorized_keys", LETS_IN | INTO, id="key not let in"),
    pytest.param("p1", "cat authorized_keys authorized_keys > a; cat a > authorized_keys; rm a",
                 key("p1", "lines of authorized_keys that say nothing new"), id="key twice"),
    pytest.param("p1", "chmod 644 authorized_keys", AUTHORIZED, id="authorized_keys can be read"),
    pytest.param("p1", "chmod 664 authorized_keys", AUTHORIZED | INTO, id="authorized_keys can be written"),
    pytest.param("p1", "chown root:root authorized_keys", AUTHORIZED | INTO, id="authorized_keys of root"),
    pytest.param("p1", "chmod 755 .", key("p1", "rights of ~/.ssh"), id="folder can be read"),
    pytest.param("p1", "chmod 775 .", key("p1", "rights of ~/.ssh") | INTO, id="folder can be written"),
    pytest.param("p1", "chmod g+w ..", key("p1", "home is written by its user only") | INTO, id="home can be written"),
    pytest.param("p1", "rm id_ed25519 id_ed25519.pub",
                 key("p1", "key pair without passphrase") | key("cnat", "lets the key of p1 in") | OUT, id="no pair"),
    pytest.param("p1", "chmod 644 id_ed25519", key("p1", "rights of id_ed25519") | OUT, id="private key can be read"),
    pytest.param("p1", "rm id_ed25519.pub", key("p1", "id_ed25519.pub belongs to id_ed25519"), id="no public half"),
    pytest.param("p1", NEW_KEY + "cat /tmp/k.pub > id_ed25519.pub",
                 key("p1", "id_ed25519.pub belongs to id_ed25519") | OUT, id="another public half"),
    pytest.param("cnat", OLDER + AGAIN_OF_PI, HOST_KEY | INTO, id="host key of an older card"),
    pytest.param("cnat", f"{OLDER} ssh-keygen -q -H -f known_hosts 2>/dev/null; {AGAIN_OF_PI}",
                 HOST_KEY | INTO, id="the same, with hashed names"),
    pytest.param("cnat", FORGET + AGAIN_OF_PI, HOST_KEY | INTO, id="host key forgotten"),
    pytest.param("p1", "chown root known_hosts", key("p1", "owner of known_hosts") | OUT, id="known_hosts of root"),
    pytest.param("p1", f"echo 'PubkeyAuthentication no' > {SSHD}",
                 key("p1", "sshd accepts public keys") | INTO, id="sshd takes no keys"),
    pytest.param("p1", "rm -f /etc/ssh/sshd_config.d/0*; "
                 "sed -i '1 i PubkeyAuthentication no' /etc/ssh/sshd_config; systemctl reload ssh",
                 key("p1", "sshd accepts public keys") | INTO, id="sshd takes no keys, said by the main file"),
    pytest.param("p1", f"echo 'AuthorizedKeysFile /etc/ssh/keys/%u' > {SSHD}",
                 key("p1", "sshd reads the keys in") | INTO, id="sshd reads another file"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "differing"), CONFIG_FAULTS)
def test_a_fault_of_ssh_config_differs_exactly_there_and_is_mended(
    green: Lab, script: str, differing: frozenset[Where]
) -> None:
    prove(green, Fault("cnat", f"cd {SSH}; {script}", differing), "ssh_config")


@pytest.mark.parametrize(("node", "script", "differing"), KEY_FAULTS)
def test_a_fault_of_keys_differs_exactly_there_and_is_mended(
    green: Lab, node: str, script: str, differing: frozenset[Where]
) -> None:
    unseen = ("keys[cnat]",) if any(where[1] == "cnat" for where in differing) else ()
    prove(green, Fault(node, f"cd {SSH}; {script}", differing, unseen=unseen), "keys", among=only_p1)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        pytest.param("/etc/ssh/sshd_config.d/zz.conf", "AllowUsers nobody", id="a list"),
        pytest.param("/etc/ssh/sshd_config.d/zz.conf", "Port 2222", id="another port", marks=pytest.mark.field),
        pytest.param("/etc/default/ssh", "SSHD_OPTS='-p 2222'", id="options of its start", marks=pytest.mark.field),
        pytest.param("/etc/default/ssh", "SSHD_OPTS=\"-o 'AllowUsers bob'\"", id="an option with a blank",
                     marks=pytest.mark.field),
        pytest.param(
            "/etc/ssh/sshd_config.d/zz.conf", "Match User pi\n ForceCommand internal-sftp", id="a command of its own",
            marks=pytest.mark.field,
        ),
    ],
)  # fmt: skip
def test_what_keeps_pi_out_is_seen_before_sshd_loads_it(green: Lab, file: str, line: str) -> None:
    damage = f"[ ! -e {file} ] || cp -a {file} /root/kept; printf '%b\n' {shlex.quote(line)} >> {file}"
    undo = f"rm {file}; [ ! -e /root/kept ] || mv /root/kept {file}"
    barred = Fault("p1", damage, key("p1", "sshd lets pi in") | INTO, undo=undo, unseen=("keys[p1]",))
    prove(green, barred, "keys")


MODES: tuple[Mode, ...] = ("verify", "verify", "repair")


def test_nobody_logs_in_as_a_user_whose_failure_is_counted(green: Lab) -> None:
    """Mistake 5 of the runbook (`dev@cnat`), in a file: five looks would be five failures, and a ban of p1."""
    counted = "journalctl -q -o cat -t sshd -t sshd-session | grep -c 'Invalid user' || :"
    before = on(green, "cnat", counted)
    config = "~pi/.ssh/config"
    on(green, "p1", f"printf 'Host cnat\n User dev\n' > {config}; chown pi: {config}")
    try:
        looks = [go(green, mode, ("keys",)) for mode in MODES]
        assert on(green, "cnat", counted) == before
    finally:
        on(green, "p1", f"rm {config}")
    for seen in looks:
        assert seen.differing() == OUT, seen.said
        assert seen.applied() == 0
    assert go(green, "verify", ("keys",)).code == 0


def test_no_node_tries_a_login_that_a_list_of_the_controller_refuses(green: Lab) -> None:
    """The harness comes from elsewhere and gets in, so each look would be a failed login of each node."""
    file = "/etc/ssh/sshd_config.d/zz.conf"
    restart = "systemctl restart ssh"  # unlike a reload it returns when sshd listens again
    refused = "journalctl -q -o cat -t sshd -t sshd-session | grep -c 'not allowed because' || :"
    before = on(green, "cnat", f"echo 'DenyUsers pi@172.19.181.*' > {file}; {restart}; {refused}")
    try:
        looks = [go(green, mode, ("keys",)) for mode in MODES]
        assert on(green, "cnat", refused) == before
    finally:
        on(green, "cnat", f"rm {file}; {restart}")
    out = frozenset().union(*(key(f"p{number}", f"`ssh cnat hostname` on p{number}") for number in range(1, 5)))
    for seen in looks:
        assert seen.differing() == key("cnat", "sshd lets pi in") | out, seen.said
        assert "not tried: sshd of cnat does not let pi in from p1: denyusers" in seen.outcome("keys", "p1").reason
        assert seen.applied() == 0
    assert go(green, "verify", ("keys",)).code == 0


@pytest.mark.field
@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param("sshd: 172.19.181.1", "does not let pi in from p1: line ", id="refused"),
        pytest.param("sshd: @friends", "is not understood, for line ", id="not understood"),
    ],
)
def test_no_node_tries_a_login_that_tcp_wrappers_may_refuse(green: Lab, line: str, why: str) -> None:
    """A refused connection is a line that fail2ban counts."""
    refused = "journalctl -q -o cat -t sshd -t sshd-session | grep -c 'refused connect' || :"
    before = on(green, "cnat", f"cp -a /etc/hosts.deny /root; echo {shlex.quote(line)} >> /etc/hosts.deny; {refused}")
    try:
        looks = [go(green, mode, ("keys",)) for mode in MODES]
        assert on(green, "cnat", refused) == before
    finally:
        on(green, "cnat", "mv /root/hosts.deny /etc")
    for seen in looks:
        assert why in seen.said
        assert f"of /etc/hosts.deny ('{line}')" in seen.said
        assert (seen.verdicts()["keys[p1]"] in {Verdict.DIFFERS, Verdict.BLOCKED}, seen.applied()) == (True, 0)
    assert go(green, "verify", ("keys",)).code == 0


@pytest.mark.field
def test_a_shell_that_complains_is_not_taken_for_a_host_name(green: Lab) -> None:
    late = "{ sleep 1; echo 'the last word' >&2; } &"
    noise = f"export LC_ALL=xx_XX.UTF-8; {late}"
    damage = f"cp -a /home/pi/.bashrc /root; sed -i {shlex.quote('1i ' + noise)} /home/pi/.bashrc"
    prove(green, Fault("cnat", damage, after="mv /root/.bashrc /home/pi"), "keys", among=only_p1)


def test_nothing_is_left_of_a_look(green: Lab, reports: Path) -> None:
    before = labkit.look(green)
    labkit.run(reports, *MINE)
    assert labkit.look(green) == before


def test_a_private_key_is_never_touched_or_shown(green: Lab, reports: Path) -> None:
    ask = f"cat {SSH}/id_ed25519; stat -c '%i %Y' {SSH}/id_ed25519"
    before = [on(green, node, ask) for node in NODES]
    on(green, "p1", f"chmod 644 {SSH}/id_ed25519; rm {SSH}/id_ed25519.pub; : > {SSH}/authorized_keys")
    done = labkit.run(reports, "--repair", *MINE)
    assert [on(green, node, ask) for node in NODES] == before
    left = done.said + "".join(path.read_text(errors="replace") for path in reports.rglob("*") if path.is_file())
    secret = [text.splitlines()[1:-2] for text in before]
    assert not [line for lines in secret for line in lines if line in left and "PRIVATE KEY" not in line]


GUARDED = "/etc/ssh/sshd_config.d/00-guarded.conf"
LOCK_OUT = b"DenyUsers pi\n"


class TestGuardedChange:
    """Whatever becomes of a change of sshd's configuration, the next login works."""

    @pytest.fixture(autouse=True)
    def _as_before(self, green: Lab) -> Iterator[None]:
        before = on(green, "p1", "cat /etc/ssh/sshd_config.d/*; ls /etc/ssh/sshd_config.d")
        yield
        assert on(green, "p1", "cat /etc/ssh/sshd_config.d/*; ls /etc/ssh/sshd_config.d") == before
        assert on(green, "p1", "systemctl list-units --all --no-legend 'hatcheck*'") == ""

    def change(self, connections: Connections, after: bytes, before: bytes | None = None, limit: float = 60) -> str:
        action = WriteSshd("p1", GUARDED, before, after, "try", limit)
        (done,) = Applier(connections, lambda _: None).apply((action,))
        return done.failure

    def test_a_good_change_is_kept(self, green: Lab, connections: Connections) -> None:
        assert self.change(connections, b"MaxSessions 11\n") == ""
        assert "maxsessions 11" in on(green, "p1", "sshd -T")
        assert on(green, "p1", "systemctl list-units --all --no-legend 'hatcheck*'") == ""
        on(green, "p1", f"rm {GUARDED}; systemctl reload ssh")

    def test_a_syntax_error_is_refused(self, connections: Connections) -> None:
        assert "sshd rejects it: " in self.change(connections, b"Foo bar\n")
        connections.log_in_anew("p1")

    def test_a_file_that_changed_meanwhile_is_left_alone(self, connections: Connections) -> None:
        assert "changed since it was looked at" in self.change(connections, b"MaxSessions 11\n", b"other\n")

    def test_a_lock_out_is_taken_back(self, connections: Connections) -> None:
        failure = self.change(connections, LOCK_OUT)
        assert "is as it was: p1 (172.19.181.1) refuses the login of pi" in failure
        connections.log_in_anew("p1")

    def test_bytes_mode_and_owner_come_back(self, green: Lab, connections: Connections) -> None:
        on(green, "p1", f"printf 'MaxSessions 9\\n' > {GUARDED}; chmod 640 {GUARDED}; chown root:adm {GUARDED}")
        assert self.change(connections, LOCK_OUT, b"MaxSessions 9\n")
        assert on(green, "p1", f"stat -c '%a %U:%G' {GUARDED}; cat {GUARDED}") == "640 root:adm\nMaxSessions 9\n"
        on(green, "p1", f"rm {GUARDED}; systemctl reload ssh")

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_a_harness_that_is_killed_leaves_logins_working(
        self, green: Lab, connections: Connections, moment: str
    ) -> None:
        connections.log_in_anew("p1")
        _kill_a_change(green, moment)
        _wait_until_the_node_helped_itself(green)
        connections.log_in_anew("p1")


# Stops itself either before the first command goes to the node, or after sshd has loaded the change.
VICTIM = """
import sys, time
from harness import reach, session
from harness.apply_sshd import change_sshd
from harness.actions import WriteSshd

class Stopping:
    def __init__(self, doors): self.doors = doors
    def connection(self, name): return self.doors.connection(name)
    def log_in_anew(self, name):
        print("now", flush=True); time.sleep(60)

doors = session.open_connections(reach.find_cluster("lab"))
doors.connection("p1").ask("true", root=True)
if sys.argv[1] == "before":
    print("now", flush=True)
change_sshd(WriteSshd("p1", sys.argv[2], None, b"DenyUsers pi\\n", "try", 12.0), Stopping(doors))
"""


def _kill_a_change(lab: Lab, moment: str) -> None:
    command = [sys.executable, "-c", VICTIM, moment, GUARDED]
    environment = {**os.environ, "HATCHECK_LAB": lab.layout.name}
    with subprocess.Popen(command, cwd=labkit.ROOT, env=environment, stdout=subprocess.PIPE) as victim:
        assert victim.stdout
        assert victim.stdout.readline() == b"now\n"
        if moment == "before":
            time.sleep(0.1)  # in the midst of the script on the node
        else:
            assert "denyusers pi" in on(lab, "p1", "sshd -T")
        victim.send_signal(signal.SIGKILL)


# One look, one shell: a glob could name the file just before it goes.
BUSY = f"if test -e {GUARDED} || systemctl list-units --all --no-legend 'hatcheck*' | grep -q .; then echo busy; fi"


def _wait_until_the_node_helped_itself(lab: Lab) -> None:
    """Quiet for three looks: what the victim sent last may reach the node after its death."""
    deadline = time.monotonic() + 60
    quiet = 0
    while quiet < 3:
        assert time.monotonic() < deadline, "the node did not help itself"
        quiet = 0 if on(lab, "p1", BUSY) else quiet + 1
        time.sleep(1)


@pytest.mark.field
def test_passwords_end_only_on_advice_and_only_where_the_harness_has_a_key(green: Lab, reports: Path) -> None:
    reports.mkdir()
    known = reports / "known_hosts"
    known.write_bytes(green.access().known_hosts.read_bytes())
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", reports / "mine"], check=True)
    public = (reports / "mine.pub").read_text().strip()
    for node in NODES:
        on(green, node, f"echo '{public}' >> {SSH}/authorized_keys")
    inventory = reports / "cluster.toml"
    cards = 'id = "debian"\ncodenames = ["bookworm"]\narchitecture = "amd64"\n'
    inventory.write_text(f'[ssh]\nhost = "{green.access().address}"\nidentity = "mine"\n[os]\n{cards}')
    by_password = labkit.run(reports / "password", "--repair", "--advice", *MINE)
    assert "came in by a password" in str(by_password.outcome("keys", "p1").checks)
    assert "passwordauthentication yes" in on(green, "p1", "sshd -T")
    by_key = labkit.run(
        reports / "key", "--repair", "--advice", *MINE, f"--cluster={inventory}", environment={"HATCHECK_PASSWORD": ""}
    )
    try:
        assert "passwordauthentication no" in on(green, "p1", "sshd -T"), by_key.said
        assert "passwordauthentication no" in on(green, "cnat", "sshd -T"), by_key.said
        assert labkit.run(reports / "again", *MINE, f"--cluster={inventory}").verdicts()["keys[p1]"] is Verdict.OK
    finally:
        for node in NODES:
            on(green, node, f"rm -f /etc/ssh/sshd_config.d/00-clusterhat.conf; systemctl reload ssh;"
               f"sed -i '\\#{public.split()[1]}#d' {SSH}/authorized_keys")  # fmt: skip


BANNED = "fail2ban-client get sshd banned; fail2ban-client status sshd"
FILTERED = "fail2ban-regex /var/log/auth.log sshd | grep -o '[0-9]* matched' | head -1"
STRICT = "/etc/fail2ban/jail.d/zz-strict.local"
WATCH = f"""
dpkg -s fail2ban >/dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive apt-get -qy install fail2ban
touch /var/log/auth.log
printf '[sshd]\\nenabled = true\\nfindtime = 3600\\nbackend = auto\\nlogpath = /var/log/auth.log\\n' > {STRICT}
systemctl restart fail2ban
for _ in $(seq 100); do fail2ban-client ping >/dev/null 2>&1 && break; sleep 0.1; done
fail2ban-client ping
"""
UNWATCH = {
    "cnat": f"rm {STRICT}; systemctl restart fail2ban; sleep 1",
    "p1": f"DEBIAN_FRONTEND=noninteractive apt-get -qy purge fail2ban; rm -f {STRICT}",
}
# Into p1 no key is let, which is seen, so no login is tried; out of it one is tried, and fails for a hidden cause.
BROKEN = f"""
: > {SSH}/authorized_keys
printf 'IdentitiesOnly yes\\nIdentityFile /nowhere\\n' > {SSH}/config
"""


@pytest.fixture
def watched(green: Lab) -> Iterator[Lab]:
    """With fail2ban at both ends, which forgets nothing for an hour."""
    for node in UNWATCH:
        on(green, node, WATCH, 300)
    yield green
    for node, script in UNWATCH.items():
        on(green, node, script, 300)


def test_fifty_runs_against_broken_keys_leave_the_banned_list_empty(watched: Lab) -> None:
    """Nobody is banned, and no line is written that would count."""
    on(watched, "p1", f"su pi -c {shlex.quote(BROKEN)}")
    for node in UNWATCH:
        on(watched, node, ": > /var/log/auth.log")
    for _ in range(50):
        done = go(watched, "verify", ("keys",), change=only_p1)
        assert done.verdicts()["keys[p1]"] is Verdict.DIFFERS, done.said
    tried = {
        check.aspect: check.seen for check in done.outcome("keys", "p1").checks if check.aspect.startswith("`ssh ")
    }
    assert [said.partition(" ")[0] for said in tried.values()] == ["not", "exit"], "one is not tried, the other fails"
    for node in UNWATCH:
        assert on(watched, node, FILTERED).strip() == "0 matched"
        assert "172.19.181" not in on(watched, node, BANNED)
    on(watched, "p1", f"rm -f {SSH}/config")
    assert go(watched, "repair", ("keys",)).code == 0


def test_nothing_is_left_of_all_this(green: Lab) -> None:
    prove_nothing_is_left(green)
