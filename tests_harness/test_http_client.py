"""The browser against web servers that behave and that do not, over plain sockets and over an sshd in this process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

import pytest

from harness.connect import Connections
from harness.errors import NoAnswer, ObservationError, Unreachable
from harness.http_client import LARGEST_PAGE, Browser
from harness.login import Login
from harness.reach import Door, Reach
from harness.secret import Secret
from tests_harness.fakes import small_cluster
from tests_harness.fakes_sshd import PASSWORD, FakeSshd, Talker, closed_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from paramiko import Channel

LIMIT = 2.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
GOES_ON = threading.Event()  # never set: what waits for it waits until the test is over


@dataclass
class Server:
    """Answers each connection's requests with these bytes in turn; `asked` are the requests. A context manager.

    After the last answer a connection is closed. An answer may be a function that is given the open socket.
    """

    answers: list[bytes | Callable[[socket.socket], None]]
    asked: list[str] = field(default_factory=list)
    dialled: int = 0
    refuse: int = 0

    def __enter__(self) -> Self:
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join()

    def dial(self) -> Channel:
        """A new connection, unless the first ones are refused."""
        self.dialled += 1
        if self.dialled <= self.refuse:
            raise NoAnswer("nobody takes a connection there")
        ours, theirs = socket.socketpair()
        self._ends += (ours, theirs)
        thread = threading.Thread(target=self._serve, args=(theirs,), daemon=True)
        self._threads.append(thread)
        thread.start()
        return cast("Channel", _End(ours))

    def _serve(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError), closing(end):
            while self.answers and (asked := _request(end)):
                self.asked.append(asked)
                answer = self.answers.pop(0)
                if callable(answer):
                    answer(end)
                else:
                    end.sendall(answer)
            end.shutdown(socket.SHUT_RDWR)

    def browser(self, limit: float = LIMIT) -> Browser:
        """A visitor of this server."""
        return Browser("192.0.2.1", 80, self.dial, limit)


class _End:
    """A socket by the names of a channel: closing it wakes who reads, as it does there."""

    eof_received = False

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.settimeout: Any = sock.settimeout
        self.sendall: Any = sock.sendall
        self.recv: Any = sock.recv

    @property
    def closed(self) -> bool:
        return self._sock.fileno() < 0

    def close(self) -> None:
        """End both directions."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


def _request(end: socket.socket) -> str:
    octets = b""
    while b"\r\n\r\n" not in octets and (chunk := end.recv(4096)):
        octets += chunk
    if not octets:
        return ""
    head, _, body = octets.partition(b"\r\n\r\n")
    length = next((int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")), 0)
    while len(body) < length:
        body += end.recv(4096)
    return (head + b"\n\n" + body).decode()


def drip(end: socket.socket) -> None:
    """An answer that never ends, a byte at a time."""
    end.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    with contextlib.suppress(OSError):
        while not GOES_ON.wait(0.05):
            end.sendall(b"x")


def refusal(*answers: bytes | Callable[[socket.socket], None], limit: float = LIMIT) -> str:
    with Server(list(answers)) as server, server.browser(limit) as browser, pytest.raises(NoAnswer) as caught:
        browser.get("page.php")
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_page_comes_with_its_status_and_one_connection_serves_many() -> None:
    with Server([OK, OK.replace(b"200 OK", b"404 Not Found")]) as server, server.browser() as browser:
        assert [(page.status, page.text) for page in (browser.get(""), browser.get("x"))] == [
            (200, "hello"),
            (404, "hello"),
        ]
        assert server.dialled == 1
    assert server.asked[0].startswith("GET / HTTP/1.1\r\n")
    assert "Host: 192.0.2.1" in server.asked[0]


def test_a_redirect_is_told_and_not_followed() -> None:
    away = b"HTTP/1.1 303 See Other\r\nLocation: http://192.0.2.9/\r\nContent-Length: 0\r\n\r\n"
    with Server([away]) as server, server.browser() as browser:
        page = browser.post("login.php", {"password": "a b&c"})
    assert (page.status, page.location) == (303, "http://192.0.2.9/")
    assert len(server.asked) == 1
    assert server.asked[0].endswith("\n\npassword=a+b%26c")


def test_cookies_are_kept_and_are_of_one_visitor() -> None:
    sets = b"HTTP/1.1 200 OK\r\nSet-Cookie: form=f00; path=/; HttpOnly\r\nContent-Length: 0\r\n\r\n"
    with Server([sets, OK, OK]) as server:
        with server.browser() as browser:
            browser.get("")
            browser.get("")
        with server.browser() as other:
            other.get("")
    assert ["Cookie: form=f00" in asked for asked in server.asked] == [False, True, False]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP came back", id="another service"),
        pytest.param(b"\x00\xff\x1b[31m" * 100 + b"\r\n\r\n", "no HTTP came back", id="binary"),
        pytest.param(b"", "no HTTP came back", id="closed at once"),
        pytest.param(b"HTTP/1.1 banana\r\n\r\n", "no HTTP came back", id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello", "no HTTP came back", id="cut off"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, "no HTTP came back", id="headers without end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no HTTP came back", id="no chunk"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "packed", id="packed"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LARGEST_PAGE + 9), "more than 256 KiB", id="too large"),
    ],
)
def test_what_is_no_page_is_one_printable_sentence(answer: bytes, words: str) -> None:
    assert words in refusal(answer)


@pytest.mark.parametrize("answer", [drip, lambda _end: bool(GOES_ON.wait(5))], ids=["drips", "silent"])
def test_an_answer_that_does_not_end_is_cut_at_the_limit(answer: Callable[[socket.socket], None]) -> None:
    begun = time.monotonic()
    assert "no whole answer within 0.3 s" in refusal(answer, limit=0.3)
    assert time.monotonic() - begun >= 0.3


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    with Server([OK.replace(b"hello", b"h\xffllo")]) as server, server.browser() as browser:
        assert browser.get("").text == "h\ufffdllo"


def test_who_may_be_just_starting_is_asked_again_and_others_are_not() -> None:
    with Server([OK], refuse=2) as server, server.browser() as browser:
        said: list[str] = []
        browser.wait(60, said.append)
        assert browser.get("").status == 200
        assert server.dialled == 3
        assert said == ["waiting for an answer: nobody takes a connection there"] * 2
    with Server([OK], refuse=1) as server, server.browser() as browser, pytest.raises(NoAnswer, match="nobody takes"):
        browser.get("")
    assert server.dialled == 1


def test_when_patience_ends_the_last_reason_is_given() -> None:
    said: list[str] = []
    with Server([], refuse=9) as server, server.browser() as browser:
        browser.wait(0.6, said.append)
        with pytest.raises(NoAnswer, match="nobody takes"):
            browser.get("")
    assert set(said) == {"waiting for an answer: nobody takes a connection there"}


@pytest.mark.parametrize("status", [401, 500])
def test_a_form_is_sent_again_while_the_server_says_later_and_never_after_another_answer(status: int) -> None:
    late, no = (f"HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n".encode() for code in (503, status))
    said: list[str] = []
    with Server([late, late, no, OK]) as server, server.browser() as browser:
        browser.wait(60, said.append)
        assert browser.post("login.php", {"login": "user"}).status == status
        assert len(server.asked) == 3
    assert len(said) == 2
    assert said[0].endswith("/login.php: it answers with status 503")
    with Server([late, OK]) as server, server.browser() as browser:
        assert browser.post("login.php", {"login": "user"}).status == 503


def test_a_form_is_never_sent_twice() -> None:
    with Server([b"", OK]) as server, server.browser() as browser, pytest.raises(NoAnswer):
        browser.post("login.php", {"login": "user"})
    assert len(server.asked) == 1


def test_nothing_of_the_persons_own_settings_goes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Server([OK]) as server, server.browser() as browser:
        browser.get("")
    names = {line.partition(":")[0] for line in server.asked[0].splitlines()[1:] if line}
    assert names == {"Host", "User-Agent", "Accept-Encoding"}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Connections]:
    """The connections of a cluster whose controller is an sshd in this process."""
    with FakeSshd() as sshd:
        key = sshd.host_key
        known = tmp_path / "known_hosts"
        known.write_text(f"[127.0.0.1]:{sshd.port} {key.get_name()} {key.get_base64()}\n")
        login = Login("pi", (), lambda: Secret(PASSWORD))
        reach = Reach({"cnat": Door("127.0.0.1", sshd.port)}, login, known, 2.0, LIMIT)
        with closing(Connections(small_cluster(), reach)) as connections:
            yield connections
        assert sshd.connections == 1


def test_the_controller_asks_for_us_over_the_connection_that_is_open(hub: Connections) -> None:
    with Talker(OK) as web, hub.access("cnat").http("127.0.0.1", web.port) as browser:
        assert browser.get("").text == "hello"


def test_where_the_controller_finds_nobody_there_is_no_answer(hub: Connections) -> None:
    port = closed_port()
    with hub.http("127.0.0.1", port) as browser, pytest.raises(NoAnswer) as caught:
        browser.get("")
    assert str(caught.value) == f"http://127.0.0.1:{port} asked from cnat: nobody takes a connection there"


def test_a_controller_that_is_gone_is_unreachable_and_no_fact_about_the_address(tmp_path: Path) -> None:
    reach = Reach({"cnat": Door("127.0.0.1", closed_port())}, Login("pi", (), lambda: None), tmp_path / "k", 0.5, LIMIT)
    with closing(Connections(small_cluster(), reach)) as connections, connections.http("192.0.2.1", 80) as browser:
        with pytest.raises(ObservationError) as caught:
            browser.get("")
        assert isinstance(caught.value, Unreachable)
        assert not isinstance(caught.value, NoAnswer)
