"""The five nodes as hardware: whose power is on, who runs, which cables are plugged.

Every method may be called from any thread. A thread per running node waits for its end: a node that asked
for a reboot is booted again, any other end leaves it halted with its port still powered, as on a real HAT.
"""

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import LabError
from harness.lab import network, node
from harness.lab.layout import CONTROLLER, DIRECT_CABLE, NODES, PORTS, Layout, cable_of
from harness.lab.rootfs import Ground, make_node

_PLUG_SECONDS = 20.0
_HOTPLUG = "/usr/lib/clusterctrl/hotplug"
_ENGINE_SECONDS = 30.0
# On the controller: whether the engine that its boot starts is there, or there is none to wait for.
_HAS_ENGINE = """
systemctl show -p Version >/dev/null 2>&1 || exit 1
! systemctl -q is-enabled docker 2>/dev/null || systemctl -q is-active docker || systemctl -q is-failed docker
"""


@dataclass
class _Slot:
    """A node's power switch and, while it runs, its process."""

    power: bool = False
    process: subprocess.Popen[bytes] | None = None


class Rack:
    """The hardware of one lab; `say` takes one line per event."""

    def __init__(self, layout: Layout, repository: Path, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._repository = repository
        self._say = say
        self._slots = {name: _Slot() for name in NODES}
        self._lock = threading.RLock()
        self._is_direct = False

    def power(self) -> dict[str, bool]:
        """Per node whether its power is on; says nothing about whether it booted."""
        with self._lock:
            return {name: slot.power for name, slot in self._slots.items()}

    def running(self) -> dict[str, bool]:
        """Per node whether it runs, that is, has power and neither halted nor crashed."""
        with self._lock:
            return {name: slot.process is not None for name, slot in self._slots.items()}

    def is_direct(self) -> bool:
        """Whether the machine has a wire of its own into the cluster network."""
        return self._is_direct

    def switch(self, name: str, *, on: bool) -> None:
        """Give `name` power (it boots) or cut it at once; nothing happens when it is so already."""
        with self._lock:
            slot = self._slots[name]
            if slot.power == on:
                return
            self._say(f"{name}: power {'on' if on else 'off'}")
            if on:
                self._start(name)
            else:
                self._stop(name)
            slot.power = on

    def switch_all_on(self) -> None:
        """The controller first and, once its engine is there, the others: the power of their ports comes from it.

        Docker's network is only soon whole when the manager is there first (docs/steps/database.md).
        """
        self.switch(CONTROLLER, on=True)
        self.await_engine()
        for name in PORTS:
            self.switch(name, on=True)

    def await_engine(self) -> None:
        """Return when the engine that the controller's boot starts is there, or there is none to wait for."""
        deadline = time.monotonic() + _ENGINE_SECONDS
        while not self._has_engine() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _has_engine(self) -> bool:
        if not node.has_begun(self._layout, CONTROLLER):
            return False
        try:
            done = node.execute(self._layout, CONTROLLER, ["sh", "-c", _HAS_ENGINE], None, _ENGINE_SECONDS)
        except LabError:
            return False
        return done.returncode == 0

    def renew(self, name: str, ground: Ground, password: str) -> None:
        """Cut the power of `name`, make it anew on `ground` and switch it on: a newly flashed card."""
        with self._lock:
            self.switch(name, on=False)
            make_node(self._layout, name, ground, password)
            self.switch(name, on=True)

    def set_direct(self, *, on: bool) -> None:
        """Plug the machine itself into the cluster network, or pull that wire."""
        with self._lock:
            if on == self._is_direct:
                return
            if on:
                network.wire_direct(self._layout)
                self._plug(DIRECT_CABLE)
            else:
                network.unwire_direct(self._layout)
            self._is_direct = on

    def _start(self, name: str) -> None:
        if name == CONTROLLER:
            network.wire_controller(self._layout)
        else:
            network.wire_port(self._layout, name)
        process = node.boot(self._layout, name, self._repository)
        self._slots[name].process = process
        threading.Thread(target=self._watch, args=(name, process), name=f"watch-{name}", daemon=True).start()
        if name != CONTROLLER:
            self._plug(cable_of(name))
        elif self._is_direct:
            self._plug(DIRECT_CABLE)

    def _stop(self, name: str) -> None:
        process, self._slots[name].process = self._slots[name].process, None
        node.cut_power(self._layout, name)
        if process is not None:
            process.wait()
        if name == CONTROLLER:
            network.unwire_controller(self._layout)
        else:
            network.unwire_port(self._layout, name)

    def _watch(self, name: str, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with self._lock:
            if self._slots[name].process is not process:
                return  # its power was cut
            is_reboot = node.asked_for_reboot(self._layout, name)
            self._say(f"{name}: {'reboots' if is_reboot else f'halted (exit code {code})'}")
            try:
                self._stop(name)
                if is_reboot:
                    self._start(name)
            except LabError as why:
                self._say(f"{name}: {why}")

    def _plug(self, cable: str) -> None:
        """Let the controller's hotplug helper see a new cable, as soon as the controller runs."""
        threading.Thread(target=self._run_hotplug, args=(cable,), name=f"plug-{cable}", daemon=True).start()

    def _run_hotplug(self, cable: str) -> None:
        deadline = time.monotonic() + _PLUG_SECONDS
        while self._slots[CONTROLLER].process is not None and time.monotonic() < deadline:
            if not node.has_begun(self._layout, CONTROLLER):
                time.sleep(0.1)
                continue
            try:
                done = node.execute(self._layout, CONTROLLER, [_HOTPLUG, cable], None, _PLUG_SECONDS)
            except LabError as why:
                self._say(f"cable {cable}: {why}")
                return
            if done.returncode != 0:
                self._say(f"cable {cable}: {done.stderr.decode(errors='replace').strip()}")
            return
