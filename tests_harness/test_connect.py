"""Connections against an sshd in this process: who gets in, who does not, and how often it is tried."""

from __future__ import annotations

import gc
import time
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import paramiko
import pytest

from harness.backend import host
from harness.connect import Connections, read_known_hosts
from harness.errors import ObservationError, Refused, TimeLimit, Unreachable, UsageError
from harness.login import Login
from harness.reach import Door, Reach
from harness.secret import Secret
from tests_harness.fakes import small_cluster
from tests_harness.fakes_sshd import PASSWORD, FakeSshd, Talker, closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT = 0.5
HELLO = b"SSH-2.0-OpenSSH_9.2\r\n"


@pytest.fixture
def hub() -> Iterator[FakeSshd]:
    with FakeSshd() as hub:
        yield hub


@pytest.fixture
def node() -> Iterator[FakeSshd]:
    with FakeSshd() as node:
        yield node


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def trusted(known: Path, *servers: FakeSshd) -> None:
    known.write_text(
        "".join(f"[127.0.0.1]:{one.port} {one.host_key.get_name()} {one.host_key.get_base64()}\n" for one in servers)
    )


def login(password: str | None = PASSWORD, *keys: paramiko.PKey) -> Login:
    secret = None if password is None else Secret(password)
    return Login("pi", keys, lambda: secret)


@contextmanager
def reaching(
    known: Path, hub: int, node: int = 0, *, who: Login | None = None, wait: float = 5.0
) -> Iterator[Connections]:
    """The controller by this port, and node p1 behind it."""
    doors = {"cnat": Door("127.0.0.1", hub), "p1": Door("127.0.0.1", node, "cnat"), "p2": Door("127.0.0.1", 1, "cnat")}
    with closing(Connections(small_cluster(), Reach(doors, who or login(), known, wait, 20.0))) as connections:
        yield connections


def refusal(connections: Connections, name: str = "cnat") -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        connections.access(name)
    message = str(caught.value)
    assert "\n" not in message
    assert PASSWORD not in message
    return caught.value


def test_a_password_opens_and_one_connection_serves_all_questions(hub: FakeSshd, known: Path) -> None:
    trusted(known, hub)
    with reaching(known, hub.port) as connections:
        answers = [connections.access("cnat").ask("echo %s", text) for text in ("a", "b c", "$(id)", "'\"")]
        assert answers == ["a\n", "b c\n", "$(id)\n", "'\"\n"]
        assert connections.access("cnat").root.check_output("echo root") == "root"
    assert (hub.connections, hub.attempts, len(hub.commands)) == (1, ["password"], 2)


def test_a_key_opens_without_the_password(known: Path) -> None:
    key = paramiko.ECDSAKey.generate()
    with FakeSshd(keys=(key,)) as hub:
        trusted(known, hub)
        with reaching(known, hub.port, who=login(None, key)) as connections:
            assert connections.access("cnat").ask("echo in") == "in\n"
        assert hub.attempts == ["publickey"]


def test_a_wrong_password_is_tried_once_in_a_run_and_never_again(known: Path) -> None:
    with FakeSshd(password="other") as hub:  # noqa: S106
        trusted(known, hub)
        with reaching(known, hub.port) as connections:
            first = refusal(connections)
            connections.renew()
            assert refusal(connections) is first
        assert isinstance(first, Refused)
        assert str(first) == "cnat (127.0.0.1) refuses the login of pi: tried 0 keys and the password"
        assert (hub.connections, hub.attempts) == (1, ["password"])


def test_keys_and_no_password_say_which_variable_is_missing(hub: FakeSshd, known: Path) -> None:
    trusted(known, hub)
    with reaching(known, hub.port, who=login(None, paramiko.ECDSAKey.generate())) as connections:
        error = refusal(connections)
    assert str(error).endswith("tried 1 key and no password (HATCHECK_PASSWORD is not set)")
    assert hub.attempts == ["publickey"]


def test_a_changed_host_key_is_refused_before_any_login(hub: FakeSshd, known: Path) -> None:
    old = FakeSshd()
    old.port = hub.port
    trusted(known, old)
    with reaching(known, hub.port) as connections:
        message = str(refusal(connections))
    assert f"({hub.host_key.get_name()} {hub.host_key.fingerprint})" in message
    assert f"({old.host_key.get_name()} {old.host_key.fingerprint})" in message
    assert message.endswith("run `hatcheck trust cnat`")
    assert hub.attempts == []


def test_an_unknown_host_key_is_refused_before_any_login(hub: FakeSshd, known: Path) -> None:
    with reaching(known, hub.port) as connections:
        message = str(refusal(connections))
    assert message == f"cnat (127.0.0.1) is not trusted yet: {known} has no host key of it; run `hatcheck trust cnat`"
    assert hub.attempts == []


@pytest.mark.parametrize(
    "words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff" * 5000, HELLO, HELLO + b"\xff" * 5000],
    ids=["nothing", "HTTP", "binary", "a greeting only", "a greeting and garbage"],
)  # fmt: skip
def test_a_port_that_is_no_sshd_is_unreachable_and_asked_once(words: bytes, known: Path) -> None:
    with Talker(words) as talker:
        with reaching(known, talker.port, wait=WAIT) as connections:
            first = refusal(connections)
            assert refusal(connections) is first
            assert str(first).startswith("cnat (127.0.0.1) accepts connections but its sshd does not answer properly: ")
        assert talker.connections == 1


def test_a_closed_port_is_unreachable_and_asked_again_only_after_a_repair(hub: FakeSshd, known: Path) -> None:
    trusted(known, hub)
    port = closed_port()
    with reaching(known, port, wait=WAIT) as connections:
        first = refusal(connections)
        assert str(first) == f"cnat: no connection to 127.0.0.1 port {port}: [Errno 111] Connection refused"
        assert refusal(connections) is first
        connections.renew()
        assert refusal(connections) is not first


def test_a_node_is_reached_through_the_controller(hub: FakeSshd, node: FakeSshd, known: Path) -> None:
    trusted(known, hub, node)
    with reaching(known, hub.port, node.port) as connections:
        assert connections.access("p1").ask("echo behind") == "behind\n"
    assert (hub.connections, node.connections, node.attempts) == (1, 1, ["password"])
    assert hub.commands == []


def test_a_node_that_is_down_is_not_held_against_the_controller(hub: FakeSshd, known: Path) -> None:
    trusted(known, hub)
    port = closed_port()
    with reaching(known, hub.port, port) as connections:
        error = refusal(connections, "p1")
        assert connections.access("cnat").ask("echo up") == "up\n"
    assert error.via == ""
    assert str(error).startswith(f"p1: no connection to 127.0.0.1 port {port} through cnat: ")


def test_a_controller_that_is_down_is_named_as_the_way_to_its_nodes(known: Path) -> None:
    with reaching(known, closed_port(), wait=WAIT) as connections:
        assert refusal(connections).via == ""
        for name in ("p1", "p2"):
            error = refusal(connections, name)
            assert error.via == "cnat"
            assert str(error).startswith(f"{name}: the way to it is closed: cnat: no connection to ")


def test_a_controller_that_refuses_is_asked_once_for_all_its_nodes(known: Path) -> None:
    with FakeSshd(password="other") as hub:  # noqa: S106
        trusted(known, hub)
        with reaching(known, hub.port) as connections:
            assert {refusal(connections, name).via for name in ("p1", "p2")} == {"cnat"}
            connections.renew()
            refusal(connections, "p1")
        assert hub.attempts == ["password"]


def test_the_password_is_in_no_repr(hub: FakeSshd, known: Path) -> None:
    trusted(known, hub)
    who = login()
    with reaching(known, hub.port, who=who) as connections:
        connections.access("cnat").ask("true")
        shown = [who, who.strategy(), *who.strategy().get_sources(), connections, vars(connections), vars(who)]
        assert [one for one in shown if PASSWORD in repr(one)] == []


def test_the_bytes_of_an_output_pass_unchanged(hub: FakeSshd, known: Path) -> None:
    trusted(known, hub)
    with reaching(known, hub.port) as connections:
        answer = connections.connection("cnat").ask("printf '\\000\\377\\r\\n@\\n'; printf '\\376' >&2; exit 5")
        result = connections.access("cnat").host.run("printf '\\377'")
    assert (answer.code, answer.out, answer.err) == (5, b"\x00\xff\r\n@\n", b"\xfe")
    assert (result.stdout_bytes, result.stdout) == (b"\xff", "\\xff")


def test_a_file_is_read_byte_for_byte_with_mode_and_owner(hub: FakeSshd, known: Path, tmp_path: Path) -> None:
    trusted(known, hub)
    odd = tmp_path / "od d'.conf"
    odd.write_bytes(b"\x00\xff\nno last newline")
    odd.chmod(0o640)
    (tmp_path / "empty.conf").touch()
    (tmp_path / "folder.conf").mkdir()
    with reaching(known, hub.port) as connections:
        found = connections.access("cnat").files(f"{tmp_path}/*.conf", f"{tmp_path}/none")
    assert sorted(found) == [str(tmp_path / "empty.conf"), str(odd)]
    assert (found[str(odd)].content, found[str(odd)].mode, found[str(odd)].owner) == (
        odd.read_bytes(),
        0o640,
        odd.owner() + ":" + odd.group(),
    )


def test_a_folder_in_a_files_place_is_no_missing_file(hub: FakeSshd, known: Path, tmp_path: Path) -> None:
    trusted(known, hub)
    with (
        reaching(known, hub.port) as connections,
        pytest.raises(ObservationError, match=f"cannot read .*: {tmp_path} is a folder"),
    ):
        connections.access("cnat").files(f"{tmp_path}/*.conf", str(tmp_path))


def test_a_command_that_hangs_is_ended_and_the_node_goes_on(hub: FakeSshd, known: Path, tmp_path: Path) -> None:
    trusted(known, hub)
    pid = tmp_path / "pid"
    with reaching(known, hub.port) as connections:
        connection = connections.connection("cnat")
        with pytest.raises(TimeLimit):
            connection.ask(f"echo $$ >{pid}; exec sleep 1000", limit=WAIT)
        assert connection.ask("echo on").out == b"on\n"
        assert connection.ask(f"kill -0 $(cat {pid})").code != 0
    assert hub.connections == 1


def test_a_connection_that_is_lost_stays_lost_until_a_repair(hub: FakeSshd, known: Path) -> None:
    trusted(known, hub)
    with reaching(known, hub.port) as connections:
        connection = connections.connection("cnat")
        connection.ask("true")
        hub.drop()
        with pytest.raises(Unreachable) as caught:
            connection.ask("true")
        with pytest.raises(Unreachable) as again:
            connections.connection("cnat").ask("true")
        assert again.value is caught.value
        connections.renew()
        assert connections.connection("cnat").ask("echo back").out == b"back\n"
    assert hub.connections == 2


def test_a_user_who_may_not_become_root_is_one_sentence_and_still_a_user(known: Path) -> None:
    with FakeSshd(sudo=False) as hub:
        trusted(known, hub)
        with reaching(known, hub.port) as connections:
            access = connections.access("cnat")
            with pytest.raises(ObservationError) as caught:
                access.ask("true", root=True)
            assert not isinstance(caught.value, Unreachable)
            assert str(caught.value).startswith("cnat: cannot become root without a password (sudo): ")
            assert str(caught.value).endswith("sudo: a password is required")
            assert access.ask("echo still") == "still\n"


def test_a_greeting_is_heard_without_a_login(hub: FakeSshd, known: Path) -> None:
    with reaching(known, hub.port) as connections:
        assert connections.greets("cnat")
    assert hub.attempts == []


@pytest.mark.parametrize("words", [b"", b"HTTP"], ids=["silent", "another server"])
def test_who_is_no_sshd_does_not_greet(words: bytes, known: Path) -> None:
    with Talker(words) as talker, reaching(known, talker.port, wait=WAIT) as connections:
        assert not connections.greets("cnat")


def test_who_is_not_there_does_not_greet(known: Path) -> None:
    with reaching(known, closed_port(), wait=WAIT) as connections:
        assert not connections.greets("cnat")


def test_a_lock_is_held_by_one_run_as_long_as_it_lives(hub: FakeSshd, known: Path, tmp_path: Path) -> None:
    trusted(known, hub)
    lock = str(tmp_path / "a lock")
    with ExitStack() as runs:
        first, second, third = (runs.enter_context(reaching(known, hub.port)) for _ in range(3))
        assert first.hold("cnat", lock)
        assert not second.hold("cnat", lock)
        hub.drop()
        assert third.hold("cnat", lock)


def test_a_lock_that_cannot_be_taken_is_not_somebody_elses(hub: FakeSshd, known: Path, tmp_path: Path) -> None:
    trusted(known, hub)
    with reaching(known, hub.port) as connections, pytest.raises(ObservationError, match="could not be locked"):
        connections.hold("cnat", str(tmp_path / "no folder" / "lock"))


def test_known_hosts_may_be_missing_but_not_unreadable(known: Path) -> None:
    reach = Reach({}, login(), known, WAIT, WAIT)
    assert list(read_known_hosts(reach)) == []
    known.write_bytes(b"\xff\xfe nonsense \xff\n")
    with pytest.raises(UsageError, match="not readable as a known_hosts file"):
        read_known_hosts(reach)


def test_testinfra_quotes_its_arguments_at_one_seam(hub: FakeSshd, known: Path) -> None:
    trusted(known, hub)
    with reaching(known, hub.port) as connections:
        plain = host(connections.connection("cnat"), root=False)
        assert plain.run("printf '%%s|' %s %s", "a b", "$(id)'").stdout == "a b|$(id)'|"
        assert plain.file("/etc/passwd").exists


@pytest.fixture(autouse=True)
def _nothing_is_left_open() -> Iterator[None]:
    yield
    gc.collect()  # a socket that nobody closed says so here, in the test that left it


class TestANewLogin:
    """What a change of sshd must survive: a login beside the open connection."""

    def test_it_is_made_anew_and_leaves_the_open_connection(self, known: Path) -> None:
        with FakeSshd() as hub:
            trusted(known, hub)
            with reaching(known, hub.port) as connections:
                open_one = connections.connection("cnat")
                connections.log_in_anew("cnat")
                assert connections.connection("cnat") is open_one
                assert hub.attempts == ["password", "password"]

    def test_a_refused_one_is_not_repeated(self, known: Path) -> None:
        with FakeSshd() as hub:
            trusted(known, hub)
            with reaching(known, hub.port) as connections:
                connections.connection("cnat")
                hub.password = "changed"  # noqa: S105 - opens nothing
                with pytest.raises(Refused):
                    connections.log_in_anew("cnat")
                assert hub.attempts == ["password", "password"]

    def test_a_closed_port_is_tried_again_for_a_moment(self, known: Path) -> None:
        with FakeSshd() as hub:
            trusted(known, hub)
        begun = time.monotonic()
        with reaching(known, hub.port, wait=0.5) as connections, pytest.raises(Unreachable, match="no connection"):
            connections.log_in_anew("cnat")
        assert time.monotonic() - begun >= 0.5

    @pytest.mark.parametrize("by_key", [True, False])
    def test_a_node_knows_whether_the_harness_came_in_by_a_key(self, known: Path, by_key: bool) -> None:  # noqa: FBT001
        key = paramiko.ECDSAKey.generate()
        with FakeSshd(keys=(key,) if by_key else ()) as hub:
            trusted(known, hub)
            with reaching(known, hub.port, who=login(PASSWORD, key)) as connections:
                assert connections.access("cnat").by_key is by_key
