"""Whether the sshd of a node, or Docker Hub, is up: asked from within the lab's own network."""

import contextlib
import ctypes
import os
import socket
import threading
import time
from collections.abc import Sequence

from harness.errors import LabError
from harness.lab.layout import CONTROLLER, NETNS_HOME, Layout, address_of

_CLONE_NEWNET = 0x40000000
_TRY_SECONDS = 1.0
_PAUSE_SECONDS = 0.1


def await_ssh(layout: Layout, nodes: Sequence[str], seconds: float) -> None:
    """Return when the sshd of each of `nodes` has sent its banner over the controller's network.

    Raises LabError naming those that did not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    waiting = list(nodes)
    while True:
        waiting = [node for node in waiting if not _has_banner(layout, node)]
        if not waiting:
            return
        if time.monotonic() > deadline:
            logs = layout.node_state(waiting[0]) / "console.log"
            raise LabError(f"No ssh banner from {', '.join(waiting)} within {seconds:.0f} s; see {logs}.")
        time.sleep(_PAUSE_SECONDS)


def _has_banner(layout: Layout, node: str) -> bool:
    """Ask once, on a thread of its own: it goes into the controller's namespace and never comes back."""
    banner: list[bytes] = []
    asker = threading.Thread(target=_fetch_banner, args=(layout, node, banner), daemon=True)
    asker.start()
    asker.join(_TRY_SECONDS * 3)
    return any(text.startswith(b"SSH-") for text in banner)


def is_listening(netns: str, address: str, port: int) -> bool:
    """Whether something in namespace `netns` takes connections at `address`; asked there, once."""
    seen: list[bool] = []

    def knock() -> None:
        with contextlib.suppress(OSError):
            _enter_netns(netns)
            socket.create_connection((address, port), _TRY_SECONDS).close()
            seen.append(True)

    asker = threading.Thread(target=knock, daemon=True)
    asker.start()
    asker.join(_TRY_SECONDS * 3)
    return bool(seen)


def _fetch_banner(layout: Layout, node: str, banner: list[bytes]) -> None:
    try:
        _enter_netns(layout.netns(CONTROLLER))
        with socket.create_connection((address_of(node), 22), _TRY_SECONDS) as wire:
            wire.settimeout(_TRY_SECONDS)
            banner.append(wire.recv(64))
    except OSError:
        return  # not yet


def _enter_netns(name: str) -> None:
    """Move the calling thread into network namespace `name`; OSError when it cannot."""
    handle = os.open(NETNS_HOME / name, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(handle)
