"""requests from the controller's side of the network, over the ssh connection to it that is open already.

What a browser behind the controller would see, bounded in every direction: no redirect is followed, a page has at
most so many bytes, and an answer as a whole comes within a time limit, however slowly it drips.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from requests import RequestException, Response, Session
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError as PoolError

from harness.channel_pool import ChannelPool
from harness.errors import NoAnswer
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from paramiko import Channel
    from requests import PreparedRequest
    from urllib3.connectionpool import HTTPConnectionPool

LARGEST_PAGE = 256 * 1024
CHUNK = 16 * 1024
UNAVAILABLE = 503  # the only status that says: later (RFC 9110, 15.6.4)
RETRY = 0.5  # seconds between two tries of an address where a server may just be starting
# A page that came packed would have another size than what arrives.
HEADERS = {"User-Agent": "hatcheck", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Page:
    """One answer: HTTP status, the text of the page, and where it sends the browser (empty: nowhere)."""

    status: int
    text: str
    location: str = ""


class Browser:
    """A visitor of one address, who keeps its cookies; to be closed, or used as a context manager.

    `dial` opens a channel to the address and raises NoAnswer where nobody takes it; `limit` in seconds for one answer.
    """

    def __init__(self, address: str, port: int, dial: Callable[[], Channel], limit: float) -> None:
        self._where = f"http://{address}:{port}"
        self._limit = limit
        self._end = 0.0
        self._say: Callable[[str], None] = lambda _: None
        self._channels: list[Channel] = []
        self._session = Session()
        # Neither proxies nor passwords of the person who runs us are meant for the cluster.
        self._session.trust_env = False
        self._session.headers.clear()
        self._session.headers.update(HEADERS)
        self._session.mount("http://", _Adapter(ChannelPool(address, lambda: self._keep(dial()), limit, 1)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, patience: float, say: Callable[[str], None]) -> None:
        """From now on wait for what may just be starting, for so many seconds in all.

        `say` is told each time why there was no answer yet.
        """
        self._end, self._say = time.monotonic() + patience, say

    def get(self, path: str) -> Page:
        """The page at a path. Where nobody answers it is asked again while we wait; NoAnswer says why."""
        while True:
            try:
                return self._ask("GET", path, None)
            except NoAnswer as error:
                if time.monotonic() >= self._end:
                    raise
                self._say(f"waiting for an answer: {error}")
            time.sleep(RETRY)

    def post(self, path: str, fields: Mapping[str, str]) -> Page:
        """Send a form. Where the server says that it cannot tell yet (503), it is sent again while we wait."""
        while (page := self._ask("POST", path, fields)).status == UNAVAILABLE and time.monotonic() < self._end:
            self._say(f"waiting for {self._where}/{path}: it answers with status {page.status}")
            time.sleep(RETRY)
        return page

    def close(self) -> None:
        """End the channels."""
        self._session.close()
        self._cut()

    def _ask(self, method: str, path: str, fields: Mapping[str, str] | None) -> Page:
        # However slowly an answer drips: at the limit its channel is closed under it.
        timer = threading.Timer(self._limit, self._cut)
        begun = time.monotonic()
        timer.start()
        asked = f"{method} {self._where}/{path}"
        late = f"{asked}: no whole answer within {self._limit:g} s"
        try:
            page = self._exchange(method, path, fields)
        except NoAnswer:
            raise
        except (RequestException, PoolError, OSError, EOFError, ValueError) as error:
            is_late = time.monotonic() - begun >= self._limit
            raise NoAnswer(late if is_late else f"{asked}: {_words(error)}") from error
        finally:
            timer.cancel()
        # A page without a length ends where its connection does, also where we ended it.
        if time.monotonic() - begun >= self._limit:
            raise NoAnswer(late)
        return page

    def _exchange(self, method: str, path: str, fields: Mapping[str, str] | None) -> Page:
        url = f"{self._where}/{path}"
        with self._session.request(method, url, data=fields, allow_redirects=False, stream=True) as response:
            return Page(response.status_code, _text(response), response.headers.get("Location", ""))

    def _keep(self, channel: Channel) -> Channel:
        channel.settimeout(self._limit)
        self._channels.append(channel)
        return channel

    def _cut(self) -> None:
        while self._channels:
            self._channels.pop().close()


class _Adapter(HTTPAdapter):
    """Sends requests through the one pool of our channels."""

    def __init__(self, pool: ChannelPool) -> None:
        self._pool = pool
        super().__init__()

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,  # noqa: ARG002 - there is one address, whatever the URL
        verify: bool | str | None,  # noqa: ARG002, FBT001
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002
        cert: tuple[str, str] | str | None = None,  # noqa: ARG002
    ) -> HTTPConnectionPool:
        """Our own pool."""
        return self._pool

    def close(self) -> None:
        """End the pool, too."""
        super().close()
        self._pool.close()


def _text(response: Response) -> str:
    """The body; what is too large or packed is no page of anybody we know."""
    packed = response.headers.get("Content-Encoding", "identity")
    if packed != "identity":
        raise NoAnswer(f"{response.url}: it came packed as {packed[:20]!r}, which was not asked for")
    octets = b""
    while chunk := response.raw.read(CHUNK, decode_content=False):
        octets += chunk
        if len(octets) > LARGEST_PAGE:
            raise NoAnswer(f"{response.url}: more than {LARGEST_PAGE // 1024} KiB came")
    return octets.decode(errors="replace")


def _words(error: BaseException) -> str:
    """The innermost reason, which is the one that says something."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    said = excerpt(str(error.args[-1])) if error.args else type(error).__name__
    return f"no HTTP came back: {said}"
