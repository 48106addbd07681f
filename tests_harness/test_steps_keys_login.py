"""The logins that step `keys` tries, and who is asked whether one has a chance, without machines."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ObservationError
from harness.node import NodeAccess
from harness.parse import authorized_keys, known_hosts, tcp_wrappers
from harness.steps import keys
from harness.steps.keys_doors import Sshd, look_at_sshd
from harness.steps.keys_login import NOT_TRIED, command, log_in
from harness.steps.keys_state import Login
from tests_harness.fakes_keys import (
    CLUSTER,
    HUB,
    damaged,
    good_keys,
    judge,
    public,
    sshd,
    written,
)

if TYPE_CHECKING:
    from pathlib import Path


def _access(name: str, host: Any = None) -> NodeAccess:  # noqa: ANN401 - stands for a testinfra host
    return NodeAccess(name, CLUSTER, host, host)


class LocalHost:
    """Runs what a node would be asked, with a program called ssh that says what was asked of it."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder
        program = folder / "ssh"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def run(self, command: str, *arguments: str) -> Any:  # noqa: ANN401 - a testinfra result
        text = command % tuple(f"'{one}'" for one in arguments) if arguments else command
        path = f"{self.folder}:{os.environ['PATH']}"
        done = subprocess.run(("sh", "-c", text), capture_output=True, text=True, env={"PATH": path}, check=False)
        return type("Result", (), {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr})


SCRIPT = """
if [ "$1" = -G ]; then [ "$2" = pi4 ] && echo user dev || echo user pi; echo port 22; exit; fi
eval "name=\\${$(($# - 1))}"; echo "$@" >> "$(dirname "$0")/asked"
case $name in
    pi1) echo banner >&2; echo name=p1; echo 'bash: warning: setlocale: LC_ALL: cannot change locale' >&2;;
    pi2) echo "Permission denied" >&2; exit 255;;
    pi3) echo p3;;
esac
"""


def test_each_login_is_one_attempt_that_asks_and_learns_nothing(tmp_path: Path) -> None:
    found = log_in(_access(HUB, LocalHost(tmp_path, SCRIPT)), "pi", ("pi1", "pi2", "pi3"))
    assert found == {"pi1": Login(0, "p1"), "pi2": Login(255, "Permission denied"), "pi3": Login(0, "")}
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 3
    assert all(one.endswith(" hostname | sed s/^/name=/") for one in asked)
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "UpdateHostKeys=no", "ConnectTimeout=5"):
        assert all(option in one for one in asked)


def test_nobody_logs_in_as_somebody_else(tmp_path: Path) -> None:
    """`Invalid user dev` is a line that fail2ban counts: five looks would be a ban of a machine of the cluster."""
    found = log_in(_access(HUB, LocalHost(tmp_path, SCRIPT)), "pi", ("pi4",))
    assert (found["pi4"].code, found["pi4"].words.rpartition(" ")[2]) == (NOT_TRIED, "dev")
    assert not (tmp_path / "asked").exists()
    state = replace(good_keys()["p4"], logins={HUB: found["pi4"]})
    differing = {check.aspect: check for check in keys.judge(good_keys() | {"p4": state}, CLUSTER) if not check.holds}
    assert differing[f"`ssh {HUB} hostname` on p4"].seen.startswith("not tried: ~/.ssh/config here")


def test_where_nothing_has_a_chance_nothing_is_asked() -> None:
    assert log_in(_access(HUB), "pi", ()) == {}
    assert command(()) == "wait"


def test_second_look_tries_only_what_has_to_work(tmp_path: Path) -> None:
    seen = damaged("p1", authorized=written(b""))
    host = LocalHost(tmp_path, SCRIPT)
    assert set(keys.look_again(_access(HUB, host), seen).logins) == {"pi2", "pi3", "pi4"}
    assert " pi1 " not in (tmp_path / "asked").read_text()


LISTS = """#!/bin/sh
case $* in *addr=172.19.181.3*) answer=no;; *) answer=yes;; esac
printf '%s\\n' "port 22" "usedns USEDNS" "pubkeyauthentication $answer" "authorizedkeysfile .ssh/authorized_keys" \\
    "passwordauthentication no" "LIST"
"""


@pytest.mark.parametrize(
    ("words", "dns", "barred"),
    [
        ("allowusers pi@192.168.0.*", "no", {"p1", "p2", "p3", "p4"}),
        ("denyusers pi@172.19.181.2", "no", {"p2"}),
        ("allowusers pi@172.19.181.1,172.19.181.2", "no", {"p3", "p4"}),
        ("allowusers pi@172.19.181.[12]", "no", {"p1", "p2", "p3", "p4"}),
        ("denyusers pi@pi4", "no", set()),
        ("denyusers pi@pi4", "yes", {"p4"}),
        ("allowusers pi", "no", set()),
    ],
)
def test_sshd_is_asked_for_every_peer_as_it_will_know_him(
    tmp_path: Path, words: str, dns: str, barred: set[str]
) -> None:
    host = LocalHost(tmp_path, "")
    for name, text in (("sshd", LISTS.replace("LIST", words).replace("USEDNS", dns)), ("id", "#!/bin/sh\necho pi\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    seen = look_at_sshd(_access(HUB, host), "pi", {})
    assert {peer for peer, door in seen.doors.items() if door.barrier} == barred
    assert {peer for peer, door in seen.doors.items() if door.public_keys == "no"} == {"p3"}


GETENT = """#!/bin/sh
case $*,$0 in
    "hosts 172.19.181.4"*) exit 2;;
    "hosts "*) echo "$2      pi${2##*.} more";;
    *pi3*) echo "9.9.9.9     STREAM $2";;
    *) echo "172.19.181.${2#pi}    STREAM $2"; echo "172.19.181.${2#pi}    DGRAM";;
esac
"""


@pytest.mark.parametrize(
    ("deny", "program", "barred"),
    [
        (b"sshd: 172.19.181.2\n", "libwrap.so.0", {"p2"}),
        (b"sshd: 172.19.181.2\n", "", set()),
        (b"sshd: pi1\n", "libwrap.so.0", {"p1"}),
        (b"sshd: PARANOID\n", "libwrap.so.0", {"p3"}),
        (b"sshd: UNKNOWN\n", "libwrap.so.0", {"p4"}),
        (b"ALL: ALL\n", "libwrap.so.0", {"p1", "p2", "p3", "p4"}),
    ],
)
def test_tcp_wrappers_are_asked_for_every_peer_where_sshd_asks_them(
    tmp_path: Path, deny: bytes, program: str, barred: set[str]
) -> None:
    host = LocalHost(tmp_path, "")
    said = LISTS.replace("LIST", "allowusers pi").replace("USEDNS", "no") + f"# {program}\n"
    for name, text in (("sshd", said), ("id", "#!/bin/sh\necho pi\n"), ("getent", GETENT)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    seen = look_at_sshd(_access(HUB, host), "pi", {}, tcp_wrappers.rules({tcp_wrappers.DENY: deny}))
    assert {peer for peer, door in seen.doors.items() if door.barrier} == barred


ADDRESSES = """#!/bin/sh
case $* in hosts*) echo "$2      pi${2##*.} more";; *) printf '%s\\n' "192.168.1.7  STREAM $2" "192.168.1.7  DGRAM" \\
    "172.19.181.${2#pi}    STREAM"; esac
"""
SILENT = """#!/bin/sh
case $* in hosts*) echo "$2      pi${2##*.} more";; *) exit 124; esac
"""


def test_a_name_may_have_further_addresses(tmp_path: Path) -> None:
    seen = _wrapped(tmp_path, b"sshd: pi1\nALL: PARANOID\n", ADDRESSES)
    assert {peer for peer, door in seen.doors.items() if door.barrier} == {"p1"}


def test_a_name_that_nobody_tells_in_time_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(ObservationError, match="exit 9"):
        _wrapped(tmp_path, b"sshd: pi1\n", SILENT)


def _wrapped(folder: Path, deny: bytes, getent: str) -> Sshd:
    host = LocalHost(folder, "")
    said = LISTS.replace("LIST", "allowusers pi").replace("USEDNS", "no") + "# libwrap.so.0\n"
    for name, text in (("sshd", said), ("id", "#!/bin/sh\necho pi\n"), ("getent", getent)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return look_at_sshd(_access(HUB, host), "pi", {}, tcp_wrappers.rules({tcp_wrappers.DENY: deny}))


def test_a_line_of_tcp_wrappers_that_is_not_understood_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(
        ObservationError, match=r"^cnat: .*line 2 of /etc/hosts.deny .*; so nobody logs in there to try"
    ):
        _wrapped(tmp_path, b"# mine\nsshd: @friends\n", GETENT)


def test_whom_tcp_wrappers_keep_out_nobody_tries_and_a_person_is_told_where() -> None:
    line = "line 18 of /etc/hosts.deny ('sshd: 172.19.181.1')"
    checks = judge(damaged(HUB, sshd=sshd("p1", barrier=line)))
    (check,) = [one for one in checks if (one.node, one.aspect) == (HUB, "sshd lets pi in")]
    assert check.seen == f"from p1 no: {line}; from p2, p3, p4 yes"
    assert check.by_hand == "take the cluster out of that line, or let it in by /etc/hosts.allow, which is asked first"
    assert check.fix == ()


def test_a_complaint_of_sshd_is_kept_and_opens_no_door(tmp_path: Path) -> None:
    host = LocalHost(tmp_path, "")
    (tmp_path / "sshd").write_text("#!/bin/sh\necho 'line 9: Bad option' >&2; exit 255\n")
    (tmp_path / "sshd").chmod(0o755)
    assert look_at_sshd(_access(HUB, host), "pi", {}) == Sshd("line 9: Bad option", {}, {})


def test_no_node_tries_a_login_that_a_list_of_the_controller_refuses() -> None:
    names = tuple(f"p{number}" for number in range(1, 5))
    seen = damaged(HUB, sshd=sshd(*names, barrier="allowusers pi@192.168.0.*"))
    for name in names:
        assert keys.look_again(_access(name), seen).logins == {}, "no host, so a login would fail here"
        (check,) = [one for one in judge(seen) if one.aspect == f"`ssh cnat hostname` on {name}"]
        why = f"sshd of cnat does not let pi in from {name}: allowusers pi@192.168.0.*"
        assert check.seen == f"not tried: {why}"


def test_what_sshd_says_is_told_with_the_peers_that_it_is_said_of() -> None:
    checks = judge(damaged(HUB, sshd=sshd("p2", "p3", barrier="denyusers pi")))
    (check,) = [one for one in checks if (one.node, one.aspect) == (HUB, "sshd lets pi in")]
    assert check.seen == "from p1, p4 yes; from p2, p3 no: denyusers pi"


def test_public_values_only_stand_in_a_state() -> None:
    for state in good_keys().values():
        assert "PRIVATE KEY" not in repr(state)
        assert all(key == public(key.comment.removeprefix("pi@")) for key in state.own_keys.values())
        assert state.known
        assert state.authorized
        assert known_hosts.known(state.known.content, "cnat") or authorized_keys.keys(state.authorized.content)


def test_a_node_is_not_judged_without_the_controller() -> None:
    seen = good_keys()
    del seen[HUB]
    with pytest.raises(ObservationError) as error:
        keys.look_again(_access("p1"), seen)
    assert error.value.via == HUB
