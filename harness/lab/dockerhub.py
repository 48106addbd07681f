"""The lab's Docker Hub: a registry in the lab's internet, with the images of images.py and what nodes push.

It is no part of any node. What is pushed lies above the cached images and goes when the lab goes; a registry that
ends by itself is started again.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import LabError
from harness.lab import cgroups
from harness.lab.layout import INTERNET_ADDRESS, NETNS_HOME, Layout
from harness.lab.mounts import mount_overlay, remove_tree, unmount_below
from harness.lab.node import enter_groups_argv
from harness.lab.probe import is_listening
from harness.lab.registry import Registry

_PORT = 443
_UP_SECONDS = 30.0
_PAUSE_SECONDS = 1.0


class DockerHub:
    """The registry of one lab; every method may be called from any thread, `say` takes one line per event."""

    def __init__(self, layout: Layout, registry: Registry, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._registry = registry
        self._say = say
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None

    def is_on(self) -> bool:
        """Whether it runs."""
        with self._lock:
            return self._process is not None

    def switch(self, *, on: bool) -> None:
        """Start it, or end it at once; nothing happens when it is so already."""
        with self._lock:
            if on == self.is_on():
                return
            self._say(f"Docker Hub: {'on' if on else 'off'}")
            if on:
                self._start()
            else:
                self._stop()

    def renew(self, stores: Sequence[Path]) -> None:
        """Forget what was pushed, and offer what `stores` hold; on afterwards."""
        with self._lock:
            self.switch(on=False)
            unmount_below(self._layout.registry_store)
            remove_tree(self._layout.registry)
            mount_store(self._layout, stores)
            self.switch(on=True)

    def _start(self) -> None:
        settings = self._layout.runtime / "registry.json"
        settings.write_text(json.dumps(settings_of(self._layout, self._registry)))
        inside = [f"--net={NETNS_HOME / self._layout.internet}", str(self._registry.program), "serve", str(settings)]
        with (self._layout.registry / "log").open("ab") as words:
            self._process = subprocess.Popen(
                [*enter_groups_argv(cgroups.make_group(_group(self._layout))), "nsenter", *inside],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                env={"PATH": os.environ.get("PATH", os.defpath)},
                cwd="/",
                start_new_session=True,
            )
        threading.Thread(target=self._watch, args=(self._process,), name="docker-hub", daemon=True).start()

    def _stop(self) -> None:
        process, self._process = self._process, None
        cgroups.end_group(_group(self._layout))
        if process is not None:
            process.wait()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        time.sleep(_PAUSE_SECONDS)
        with self._lock:
            if self._process is not process:
                return  # it was switched off
            self._say(f"Docker Hub ended (exit code {code}) and is started again")
            try:
                self._stop()
                self._start()
            except LabError as why:
                self._say(f"Docker Hub: {why}")


def settings_of(layout: Layout, registry: Registry) -> dict[str, object]:
    """The registry's settings file; it is YAML, of which JSON is a part."""
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(layout.registry_store)}, "delete": {"enabled": True}},
        "http": {
            "addr": f"{INTERNET_ADDRESS}:{_PORT}",
            "tls": {"certificate": str(registry.certificate), "key": str(registry.key)},
        },
    }


def mount_store(layout: Layout, stores: Sequence[Path]) -> None:
    """Mount all that Docker Hub offers: `stores`, lowest first, and what is pushed on top of them."""
    for path in (layout.registry_store, layout.registry / "upper", layout.registry / "work"):
        path.mkdir(parents=True, exist_ok=True)
    mount_overlay(layout.registry_store, list(stores), layout.registry / "upper", layout.registry / "work")


def await_hub(layout: Layout) -> None:
    """Return when Docker Hub takes connections; LabError with its last words when it does not in time."""
    deadline = time.monotonic() + _UP_SECONDS
    while not is_listening(layout.internet, INTERNET_ADDRESS, _PORT):
        if time.monotonic() > deadline:
            words = (layout.registry / "log").read_text(errors="replace").strip().splitlines()
            raise LabError(f"The lab's Docker Hub does not answer. It said: {words[-1] if words else 'nothing'}.")
        time.sleep(0.05)


def _group(layout: Layout) -> str:
    return f"{layout.cgroup}/internet"
