"""docker-py over the ssh connection that is open already: one channel per HTTP connection, no port, no second login.

On the node `docker system dial-stdio` passes bytes between our channel and the engine's own socket. Whatever fails
comes out as an ObservationError in one sentence; docker's and requests' own errors do not get past this module.
Nobody's credentials go to an engine: where a login is needed, the node's own command asks as its own user.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from docker import DockerClient
from docker.api.client import APIClient
from docker.auth import AuthConfig
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import DockerException
from docker.transport.basehttpadapter import BaseHTTPAdapter
from docker.utils import decode_json_header
from requests import HTTPError, RequestException, Timeout
from urllib3.exceptions import HTTPError as PoolError

from harness.channel_pool import ChannelPool
from harness.errors import EngineError, MissingTool, ObservationError, TimeLimit, Unreachable
from harness.shell import CHUNK, LARGEST_ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from paramiko import Channel
    from requests import PreparedRequest, Response
    from urllib3.connectionpool import HTTPConnectionPool

    from harness.backend import Asker

SOCKET = "/run/docker.sock"
# An sshd gives ten sessions to a connection; two are our shells and one may hold the lock.
CHANNELS = 4
# Engine 20.10, that of Debian 11: older ones do not count a service's tasks.
OLDEST_API = (1, 41)
# Who may dial; and whether there is anybody to answer: systemd would start the engine for whoever dials, and a look
# must not do that. $1 is the engine's socket.
PROBE = (
    f"command -v docker >/dev/null || exit 127; systemctl is-active --quiet docker.service || exit 3; [ -w {SOCKET} ]"
)
NOT_RUNNING = 3
ABSENT = 404
# Neither a context nor DOCKER_HOST of the login user may lead us to another engine.
DIAL = f"printf '\\n%s\\n' {{}}; exec docker --host unix://{SOCKET} system dial-stdio\n"


class Docker(DockerClient):
    """docker-py's client for the engine of one node; `.api` is its low-level half. Usable from several threads."""

    api: Api

    def __init__(self, api: Api) -> None:
        self.api = api


class Api(APIClient):
    """docker-py's low-level client over our own channels; an EngineError has the engine's refusal."""

    def __init__(self, name: str, dial: Callable[[], Channel], limit: float) -> None:
        self.name = name
        # An explicit version, so that nothing is asked before our channels are in place.
        super().__init__(base_url="http://nobody:1", version=DEFAULT_DOCKER_API_VERSION, timeout=limit)  # type: ignore[arg-type]
        # What the person who runs us has in his ~/.docker is not meant for the engines of the nodes.
        self._general_configs: dict[str, Any] = {}
        self._auth_configs = AuthConfig({})
        self.trust_env = False
        self.base_url = "http+docker://node"
        self.mount("http+docker://", _Adapter(dial, limit))
        self._version = self._agree()

    def _agree(self) -> str:
        """The newest version of the engine's interface that docker-py speaks, too."""
        said = self.version(api_version=False)
        try:
            newest, ours = _numbers(said["ApiVersion"]), _numbers(DEFAULT_DOCKER_API_VERSION)
            oldest = _numbers(said.get("MinAPIVersion") or "1.12")
        except (LookupError, ValueError, TypeError, AttributeError):
            raise ObservationError(f"{self.name}: what answers there is not a Docker engine") from None
        if newest < OLDEST_API:
            wanted = ".".join(map(str, OLDEST_API))
            raise ObservationError(f"{self.name}: its Docker is too old: API {said['ApiVersion']}, needed {wanted}")
        return ".".join(map(str, max(oldest, min(newest, ours))))

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:  # noqa: ANN401 - requests' signature
        """Send a request; the errors of the way there are ours."""
        try:
            return super().send(request, **kwargs)
        except Timeout as error:
            asked = f"{request.method} {request.path_url}"
            raise TimeLimit(f"{self.name}: Docker gave no answer within {self.timeout:g} s to {asked}") from error
        except (RequestException, PoolError, OSError, EOFError) as error:
            raise Unreachable(f"{self.name}: the way to Docker broke off: {_words(error)}") from error

    def stat(self, container: str, path: str) -> dict[str, Any] | None:
        """What lies at a path of a container, as Docker describes it, without its content; None for nothing."""
        response = self.head(self._archive_of(container), params={"path": path}, timeout=self.timeout)
        if response.status_code == ABSENT:
            self.inspect_container(container)  # "no such container" must not pass for "no such path"
            return None
        self._raise_for_status(response)
        try:
            found: dict[str, Any] = decode_json_header(response.headers["X-Docker-Container-Path-Stat"])
        except (LookupError, ValueError) as error:
            raise ObservationError(f"{self.name}: Docker does not say what {path} is: {_words(error)}") from error
        return found

    def archive(self, container: str, path: str) -> Iterator[bytes]:
        """The tar archive of what lies at a path of a container; asked for when first drawn from."""
        plain = {"Accept-Encoding": "identity"}  # a Pi Zero has better things to do than to compress
        asked = self.get(
            self._archive_of(container), params={"path": path}, headers=plain, stream=True, timeout=self.timeout
        )
        with self._way(), asked as response:
            self._raise_for_status(response)
            yield from response.iter_content(CHUNK)

    def _archive_of(self, container: str) -> str:
        return f"{self.base_url}/v{self._version}/containers/{container}/archive"

    def build_from(
        self, folder: Path, dockerfile: Path, reference: str, platform: str, quiet: float
    ) -> Iterator[dict[str, Any]]:
        """Build an image; gives what the engine tells meanwhile. `quiet` seconds without a word are too many."""
        try:
            told = self.build(
                path=str(folder), dockerfile=str(dockerfile), tag=reference, platform=platform, pull=True, rm=True,
                forcerm=True, decode=True, timeout=quiet,  # type: ignore[arg-type]
            )  # fmt: skip
        except (DockerException, OSError) as error:
            raise ObservationError(f"{self.name}: {reference} cannot be given to Docker: {_words(error)}") from error
        with self._way():
            yield from told

    @contextmanager
    def _way(self) -> Iterator[None]:
        """A stream that breaks off is an error of ours, too."""
        try:
            yield
        except Timeout as error:
            raise TimeLimit(f"{self.name}: Docker began an answer and did not end it in time") from error
        except (RequestException, PoolError, OSError, EOFError) as error:
            raise Unreachable(f"{self.name}: the way to Docker broke off: {_words(error)}") from error

    def _set_auth_headers(self, headers: dict[str, str]) -> None:
        """docker-py would send all logins of whoever runs us."""

    def _raise_for_status(self, response: Response) -> None:
        """What the engine itself says against a request."""
        try:
            response.raise_for_status()
        except HTTPError as error:
            raise EngineError(f"{self.name}: Docker says: {_complaint(response)}", response.status_code) from error

    def _result(self, response: Response, json: bool = False, binary: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - docker-py's signature
        """The answer; what is no JSON did not come from an engine."""
        try:
            return super()._result(response, json, binary)  # type: ignore[misc]
        except ValueError as error:
            raise ObservationError(f"{self.name}: what answers there is not a Docker engine: no JSON") from error

    def _get_raw_response_socket(self, response: Response) -> NoReturn:
        """docker-py would wait for such a stream without any limit."""
        response.close()
        raise ObservationError(f"{self.name}: run `docker exec` through node.run instead, which has a time limit")

    def _disable_socket_timeout(self, socket: object) -> None:
        """Every wait stays bounded."""


class _Adapter(BaseHTTPAdapter):
    """Sends requests through a pool of our channels."""

    def __init__(self, dial: Callable[[], Channel], limit: float) -> None:
        self._pool = ChannelPool("docker", dial, limit, CHANNELS)
        super().__init__()

    def get_connection(self, url: str | bytes, proxies: Mapping[str, str] | None = None) -> HTTPConnectionPool:  # noqa: ARG002
        """There is one engine, whatever the URL."""
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: Mapping[str, str] | None) -> str:  # noqa: ARG002
        """The engine wants the path only."""
        return str(request.path_url)

    def close(self) -> None:
        """End the channels."""
        super().close()
        self._pool.close()


def dial(asker: Asker, start: Callable[[bool], Channel], limit: float) -> Channel:
    """A channel to the engine of a node; `start(root)` opens an `sh`. ObservationError says why there is none."""
    name, answer = asker.name, asker.ask(PROBE)
    if answer.code == 127:  # noqa: PLR2004 - sh: command not found
        raise MissingTool(f"{name}: the command docker is not installed")
    if answer.code == NOT_RUNNING:
        raise ObservationError(f"{name}: Docker does not run (`systemctl status docker` says why)")
    # Our login may be older than its membership in group docker; then root asks in its place.
    channel = start(answer.code != 0)
    nonce = secrets.token_hex(16)
    channel.settimeout(limit)
    try:
        channel.sendall(DIAL.format(nonce).encode())
        _skip_to(f"\n{nonce}\n".encode(), channel, limit)
    except (OSError, EOFError) as error:
        said = channel.recv_stderr(CHUNK).decode(errors="replace") if channel.recv_stderr_ready() else ""
        channel.close()
        why = said.strip().partition("\n")[0][:200] or _words(error)
        raise ObservationError(f"{name}: no way to Docker's socket {SOCKET}: {why}") from error
    return channel


def open_docker(name: str, dial_it: Callable[[], Channel], limit: float) -> Docker:
    """A client that has greeted the engine; `limit` in seconds for each question."""
    try:
        return Docker(Api(name, dial_it, limit))
    except DockerException as error:
        raise ObservationError(f"{name}: Docker cannot be asked: {_words(error)}") from error


def _skip_to(mark: bytes, channel: Channel, limit: float) -> None:
    """Read past what a login prints; the engine itself says nothing before it is asked."""
    deadline, data = time.monotonic() + limit, b""
    while not data.endswith(mark):
        left = deadline - time.monotonic()
        if left <= 0 or len(data) > LARGEST_ANSWER:
            raise TimeoutError("no answer in time")
        channel.settimeout(left)
        chunk = channel.recv(CHUNK)
        if not chunk:
            raise EOFError("it ended at once")
        data += chunk


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _complaint(response: Response) -> str:
    try:
        said = response.json()["message"]
    except (ValueError, LookupError, TypeError):
        said = response.reason
    return " ".join(str(said).split())[:300]


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0][:200]
