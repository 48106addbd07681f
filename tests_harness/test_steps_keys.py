"""Step `keys`: who is let in, who is known, and that no login is tried that must fail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.actions import Run, Write, WriteSshd
from harness.node import File
from harness.parse import authorized_keys
from harness.steps.keys_doors import Sshd
from harness.steps.keys_login import obstacle
from harness.steps.keys_sshd import DROP_IN
from harness.steps.keys_state import HOST_KEY, SSHD_FILE, Login, Rights, proved_keys
from tests_harness.fakes_cluster import differences
from tests_harness.fakes_keys import (
    CLUSTER,
    HUB,
    SSH,
    SSHD_TEXT,
    Seen,
    damaged,
    good_keys,
    host_line,
    judge,
    line,
    pair,
    public,
    sshd,
    written,
)

if TYPE_CHECKING:
    from harness.actions import Action

Faults = dict[tuple[str, str], tuple[str, ...]]
INTO, OUT = "`ssh pi1 hostname` on cnat", "`ssh cnat hostname` on p1"
NO_WAY_IN: Faults = {("p1", INTO): ()}
NO_WAY_OUT: Faults = {("p1", OUT): ()}


def fixes(seen: Seen, level: str = "must") -> list[Action]:
    wrong = [check for check in judge(seen) if not check.holds and check.level == level]
    return list(dict.fromkeys(action for check in wrong for action in check.fix))


OLD = host_line("an older card", "pi1")
OTHERS = b"".join(host_line(f"p{number}", f"pi{number}") for number in (2, 3, 4))
FAULTS = [
    pytest.param("p1", {"authorized": written(line("somebody"))},
                 {("p1", "lets the key of cnat in"): ("write",), **NO_WAY_IN}, id="key not let in"),
    pytest.param("p1", {"authorized": None},
                 {("p1", "lets the key of cnat in"): ("write",), ("p1", "rights of authorized_keys"): ("write",),
                  **NO_WAY_IN}, id="no authorized_keys"),
    pytest.param("p1", {"authorized": written(b'command="true" ' + line("cnat"))},
                 {("p1", "lets the key of cnat in"): (), **NO_WAY_IN}, id="key only for one command"),
    pytest.param("p1", {"authorized": written(line("cnat") * 2)},
                 {("p1", "lines of authorized_keys that say nothing new"): ("write",)}, id="key twice"),
    pytest.param("p1", {"authorized": written(line("cnat"), 0o644)},
                 {("p1", "rights of authorized_keys"): ("write",)}, id="authorized_keys can be read"),
    pytest.param("p1", {"authorized": written(line("cnat"), 0o664)},
                 {("p1", "rights of authorized_keys"): ("write",), **NO_WAY_IN}, id="authorized_keys can be written"),
    pytest.param("p1", {"authorized": written(line("cnat"), 0o600, "root:root")},
                 {("p1", "rights of authorized_keys"): ("write",), **NO_WAY_IN}, id="authorized_keys of root"),
    pytest.param("p1", {"rights": {"/home/pi": Rights(0o755, "pi"), SSH: Rights(0o755, "pi")}},
                 {("p1", "rights of ~/.ssh"): ("run", "run")}, id="folder can be read"),
    pytest.param("p1", {"rights": {"/home/pi": Rights(0o775, "pi"), SSH: Rights(0o700, "pi")}},
                 {("p1", "home is written by its user only"): ("run", "run"), **NO_WAY_IN}, id="home of the group"),
    pytest.param("p1", {"pairs": ()},
                 {("p1", "key pair without passphrase"): ("run",), ("cnat", "lets the key of p1 in"): (), **NO_WAY_OUT},
                 id="no key pair"),
    pytest.param("p1", {"pairs": (pair("p1", mode=0o644),)},
                 {("p1", "rights of id_ed25519"): ("run", "run"), **NO_WAY_OUT}, id="private key can be read"),
    pytest.param("p1", {"pairs": (replace(pair("p1"), written=None),)},
                 {("p1", "id_ed25519.pub belongs to id_ed25519"): ("write",)}, id="no public half"),
    pytest.param("p1", {"pairs": (replace(pair("p1"), written=written(line("p2"))),)},
                 {("p1", "id_ed25519.pub belongs to id_ed25519"): ("write",), **NO_WAY_OUT}, id="another public half"),
    pytest.param("cnat", {"known": written(OLD + OTHERS)},
                 {("cnat", "knows the host key of pi1"): ("write",), **NO_WAY_IN}, id="older host key"),
    pytest.param("cnat", {"known": written(OTHERS)},
                 {("cnat", "knows the host key of pi1"): ("write",), **NO_WAY_IN}, id="unknown host"),
    pytest.param("p1", {"known": written(host_line("cnat", "cnat"), 0o600, "root:root")},
                 {("p1", "owner of known_hosts"): ("write",), **NO_WAY_OUT}, id="known_hosts of root"),
    pytest.param("p1", {"rights": good_keys()["p1"].rights | {"/etc/ssh/ssh_host_rsa_key": Rights(0o644, "root")}},
                 {("p1", "sshd alone reads its host keys"): ("run",)}, id="a host key that others may read"),
    pytest.param("p1", {"sshd": sshd(public_keys="no")},
                 {("p1", "sshd accepts public keys"): ("write_sshd",), **NO_WAY_IN}, id="sshd takes no keys"),
    pytest.param("p1", {"sshd": sshd(keys_files=("/etc/keys/%u",))},
                 {("p1", "sshd reads the keys in"): ("write_sshd",), **NO_WAY_IN}, id="sshd reads another file"),
    pytest.param("p1", {"sshd": Sshd("line 9: Bad configuration option", {}, {})},
                 {("p1", "sshd understands its configuration"): (), **NO_WAY_IN}, id="sshd_config with an error"),
    pytest.param("p1", {"sshd": sshd(barrier="allowusers nobody")},
                 {("p1", "sshd lets pi in"): (), **NO_WAY_IN}, id="sshd lets nobody in"),
    pytest.param("cnat", {"sshd": sshd("p1", barrier="denyusers pi@172.19.181.1")},
                 {("cnat", "sshd lets pi in"): (), **NO_WAY_OUT}, id="sshd keeps one peer out"),
    pytest.param("cnat", {"sshd": sshd("p1", public_keys="no")},
                 {("cnat", "sshd accepts public keys"): ("write_sshd",), **NO_WAY_OUT}, id="no keys from one peer"),
    pytest.param("p1", {"logins": {"cnat": Login(0, "p3")}}, NO_WAY_OUT, id="another machine answers"),
    pytest.param("p1", {"logins": {"cnat": Login(255, "Connection timed out")}}, NO_WAY_OUT, id="no answer"),
]  # fmt: skip


def test_good_keys_hold_on_every_machine() -> None:
    checks = judge(good_keys())
    assert [check for check in checks if not check.holds] == []
    assert {check.node for check in checks} == set(CLUSTER.names)
    assert {check.level for check in checks} == {"must", "advice"}


@pytest.mark.parametrize(("name", "changes", "differing"), FAULTS)
def test_a_fault_differs_exactly_there(name: str, changes: dict[str, Any], differing: Faults) -> None:
    found = differences(judge(damaged(name, **changes)))
    assert {place: tuple(kind for kind in kinds) for place, kinds in found.items()} == differing


@pytest.mark.parametrize(("name", "changes", "differing"), FAULTS)
def test_no_login_is_tried_where_a_fault_is_known(name: str, changes: dict[str, Any], differing: Faults) -> None:
    seen = damaged(name, **changes)
    is_static = "logins" not in changes
    assert bool(obstacle(HUB, "p1", seen, CLUSTER)) is (is_static and ("p1", INTO) in differing)
    assert bool(obstacle("p1", HUB, seen, CLUSTER)) is (is_static and ("p1", OUT) in differing)


@pytest.mark.parametrize(("name", "changes", "differing"), FAULTS)
def test_a_file_is_written_once_and_from_what_was_seen(name: str, changes: dict[str, Any], differing: Faults) -> None:
    writes = [one for one in fixes(damaged(name, **changes)) if isinstance(one, Write | WriteSshd)]
    assert len({(one.node, one.path) for one in writes}) == len(writes)
    assert bool(writes) is any("write" in kind for kinds in differing.values() for kind in kinds)


def test_a_pair_that_two_machines_have_is_named_on_both() -> None:
    found = damaged("p1", pairs=(pair("p2"),))
    shared = [check for check in judge(found) if check.aspect == "key pair is its own" and not check.holds]
    assert [(check.node, check.seen, check.fix) for check in shared] == [
        ("p1", "no: p2 has it, too", ()), ("p2", "no: p1 has it, too", ()),
    ]  # fmt: skip


def test_an_rsa_pair_is_as_documented_and_ed25519_only_advice() -> None:
    rsa = pair("p1", "id_rsa", "ssh-rsa")
    seen = damaged("p1", pairs=(rsa,))
    hub = b"".join(line(f"p{number}") for number in (2, 3, 4)) + line("p1", "ssh-rsa")
    seen[HUB] = replace(seen[HUB], authorized=written(hub))
    assert differences(judge(seen)) == {}
    (check,) = [check for check in judge(seen) if not check.holds]
    assert (check.aspect, check.seen, check.level) == ("kind of key", "rsa", "advice")
    (make,) = check.fix
    assert isinstance(make, Run)
    assert make.argv[-1] == f"{SSH}/id_ed25519", "beside the other pair"


def test_a_pair_with_a_passphrase_is_left_alone_and_one_made_beside_it() -> None:
    (make,) = fixes(damaged("p1", pairs=(replace(pair("p1", "id_rsa", "ssh-rsa"), public=None),)))
    assert isinstance(make, Run)
    assert make.argv[-1] == f"{SSH}/id_ed25519"
    assert fixes(damaged("p1", pairs=(replace(pair("p1"), public=None),))) == [], "ours to replace it is not"


def test_bare_machines_get_pairs_and_known_hosts_first_and_keys_once_there_are_some() -> None:
    bare = {
        name: replace(state, rights={"/home/pi": Rights(0o755, "pi")}, pairs=(), authorized=None, known=None, logins={})
        for name, state in good_keys().items()
    }
    first = {(action.node, action.kind, getattr(action, "path", "")) for action in fixes(bare)}
    assert first == {(name, "run", "") for name in bare} | {(name, "write", f"{SSH}/known_hosts") for name in bare}
    later = {name: replace(state, pairs=good_keys()[name].pairs) for name, state in bare.items()}
    written_then = {action.path: action for action in fixes(later) if isinstance(action, Write) and action.node == "p1"}
    assert written_then[f"{SSH}/authorized_keys"].after == line("cnat")


def test_a_key_may_be_narrowed_to_the_address_it_comes_from() -> None:
    for option in (b'from="172.19.181.0/24" ', b'from="10.0.0.1,172.19.181.*" ', b"restrict,no-pty "):
        assert differences(judge(damaged("p1", authorized=written(option + line("cnat"))))) == {}
    for option in (b'from="10.0.0.0/8" ', b'from="cnat.lan" ', b'expiry-time="20200101" '):
        found = differences(judge(damaged("p1", authorized=written(option + line("cnat")))))
        assert set(found) == {("p1", "lets the key of cnat in"), *NO_WAY_IN}


def test_what_is_wrong_in_known_hosts_is_replaced_and_nothing_else() -> None:
    mine = b"# mine\ngithub.com ssh-rsa AAAA\n"
    (write,) = fixes(damaged(HUB, known=written(mine + OLD + OTHERS)))
    assert isinstance(write, Write)
    assert write.after == mine + OTHERS + host_line("p1", "pi1")


def test_a_wrong_key_for_a_peers_address_is_taken_away_too() -> None:
    known = host_line("p1", "pi1") + OTHERS
    (write,) = fixes(damaged(HUB, known=written(known + host_line("an older card", "172.19.181.1"))))
    assert isinstance(write, Write)
    assert write.after == known


def test_keys_are_let_in_by_our_own_drop_in_where_sshd_reads_those_first() -> None:
    (write,) = fixes(damaged("p1", sshd=sshd(public_keys="no")))
    assert isinstance(write, WriteSshd)
    assert (write.path, write.before, write.after) == (DROP_IN, None, b"PubkeyAuthentication yes\n")


def test_keys_are_let_in_by_the_main_file_where_that_has_the_first_word() -> None:
    text = b"PubkeyAuthentication no # why\n" + SSHD_TEXT
    (write,) = fixes(damaged("p1", sshd=sshd(public_keys="no", files={SSHD_FILE: written(text)})))
    assert isinstance(write, WriteSshd)
    assert (write.path, write.after) == (SSHD_FILE, b"PubkeyAuthentication yes\n" + SSHD_TEXT)


def test_other_places_of_keys_stay_in_force() -> None:
    (write,) = fixes(damaged("p1", sshd=sshd(public_keys="no", keys_files=("/etc/keys/%u",))))
    assert isinstance(write, WriteSshd)
    assert write.after == b"PubkeyAuthentication yes\nAuthorizedKeysFile .ssh/authorized_keys /etc/keys/%u\n"


@pytest.mark.parametrize(
    ("changes", "offered", "words"),
    [
        pytest.param({}, True, "", id="keys work, and the harness has one"),
        pytest.param({"by_key": False}, False, "this run itself came in by a password", id="harness by password"),
        pytest.param({"logins": {}}, False, "first let every login", id="login out not tried"),
        pytest.param({"authorized": written(b"")}, False, "first let every login", id="login in cannot work"),
    ],
)
def test_passwords_go_only_when_nobody_needs_them(changes: dict[str, Any], offered: bool, words: str) -> None:  # noqa: FBT001
    seen = damaged("p1", sshd=sshd(passwords="yes"), **changes)
    (check,) = [one for one in judge(seen) if (one.node, one.aspect) == ("p1", "PasswordAuthentication")]
    assert (check.holds, check.level, bool(check.fix)) == (False, "advice", offered)
    assert words in check.by_hand
    assert all(isinstance(action, WriteSshd) for action in check.fix)


def test_a_controller_keeps_passwords_until_every_node_gets_through() -> None:
    seen = damaged("p4", logins={})
    seen[HUB] = replace(seen[HUB], sshd=sshd("p1", passwords="yes"))
    (check,) = [one for one in judge(seen) if (one.node, one.aspect) == (HUB, "PasswordAuthentication")]
    assert check.fix == ()


def test_a_machine_is_known_by_its_private_host_keys_and_not_by_a_file_beside_them() -> None:
    own, other = line("p1"), line("somebody")
    name = f"{HOST_KEY}ed25519_key"
    files = {f"{name}.pub": File(other, 0o644, "root:root"), f"{HOST_KEY}rsa_key.pub": File(other, 0o644, "root:root")}
    found = proved_keys(files, {name: own.decode().strip(), "/home/pi/.ssh/id_rsa": other.decode()})
    assert {path: authorized_keys.keys(file.content)[0].blob for path, file in found.items()} == {
        f"{name}.pub": public("p1").blob
    }
    good = {f"{name}.pub": File(own, 0o600, "root:root")}
    assert proved_keys(good, {name: own.decode().strip()}) == good
    assert proved_keys(files, {name: ""}) == files, "where no private key can be read"
