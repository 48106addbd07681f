"""The board: the one daemon of a lab, which plays the ClusterHAT hardware.

`python -m harness.lab.board LAB BASE STORE…` switches on what is made, then answers two sockets: `control`
for the lab (root) and `hat/board.sock`, which the controller's clusterctrl sees. It is also the lab's internet,
where Docker Hub offers what the STOREs hold. It ends when told to, or when killed; whatever it leaves then, the
next `up` or `down` tidies up.
"""

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from harness.errors import LabError, UsageError
from harness.lab import network
from harness.lab.base import Base
from harness.lab.dockerhub import DockerHub, mount_store
from harness.lab.layout import CONTROLLER, I2C_GID, PORTS, Layout, check_node, lab_layout
from harness.lab.rack import Rack
from harness.lab.rootfs import Ground
from harness.lab.wire import Answer, Listener, Message


class Board:
    """Answers questions about one rack and its internet, and carries out what they ask for."""

    def __init__(self, layout: Layout, base: Base, rack: Rack, docker_hub: DockerHub) -> None:
        self._layout = layout
        self._base = base
        self._rack = rack
        self._docker_hub = docker_hub
        self._verbs: dict[str, Answer] = {
            "status": self._status,
            "power": self._power,
            "renew": self._renew,
            "direct": self._direct,
            "docker hub": self._switch_docker_hub,
            "renew docker hub": self._renew_docker_hub,
        }

    def control(self, question: Message) -> Message:
        """Answer the lab."""
        verb = self._verbs.get(question["do"])
        if verb is None:
            raise UsageError(f"The board cannot {question['do']!r}.")
        return verb(question)

    def hat(self, question: Message) -> Message:
        """Answer clusterctrl, which may ask for and switch the power of the ports and nothing else."""
        if question["do"] == "power":
            self._rack.switch(check_node(question["node"], PORTS), on=bool(question["on"]))
        elif question["do"] != "status":
            raise UsageError(f"The HAT cannot {question['do']!r}.")
        power = self._rack.power()
        return {"power": {name: power[name] for name in PORTS}}

    def _status(self, _question: Message) -> Message:
        return {
            "base": str(self._base.home),
            "power": self._rack.power(),
            "running": self._rack.running(),
            "direct": self._rack.is_direct(),
            "docker hub": self._docker_hub.is_on(),
        }

    def _power(self, question: Message) -> Message:
        self._rack.switch(check_node(question["node"]), on=bool(question["on"]))
        return {}

    def _renew(self, question: Message) -> Message:
        ground = Ground(question["base"], tuple(question["layers"]))
        self._rack.renew(check_node(question["node"]), ground, self._layout.password.read_text().strip())
        if question["node"] == CONTROLLER:
            self._rack.await_engine()
        return {}

    def _direct(self, question: Message) -> Message:
        self._rack.set_direct(on=bool(question["on"]))
        return {}

    def _switch_docker_hub(self, question: Message) -> Message:
        self._docker_hub.switch(on=bool(question["on"]))
        return {}

    def _renew_docker_hub(self, question: Message) -> Message:
        self._docker_hub.renew([Path(store) for store in question["stores"]])
        return {}


def _say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)  # noqa: T201 - stdout is the board's log


def _serve(layout: Layout, base: Base, stores: Sequence[Path]) -> None:
    layout.hat.mkdir(parents=True, exist_ok=True)
    network.make_netns(layout.hub)
    network.wire_internet(layout)
    mount_store(layout, stores)
    docker_hub = DockerHub(layout, base.registry, _say)
    docker_hub.switch(on=True)
    rack = Rack(layout, base.repository, _say)
    board = Board(layout, base, rack, docker_hub)
    hat_socket = layout.hat / "board.sock"
    hat = Listener(hat_socket, board.hat)
    os.chown(hat_socket, 0, I2C_GID)
    hat_socket.chmod(0o660)
    threading.Thread(target=hat.serve_forever, name="hat", daemon=True).start()
    rack.switch_all_on()
    # The control socket appears last: who finds it knows that all nodes were switched on.
    Listener(layout.control_socket, board.control).serve_forever()


def main(argv: list[str]) -> int:
    """Run the board of lab argv[0] on the base argv[1], with the stores of images argv[2:], until it is ended."""
    name, base, *stores = argv
    os.umask(0o022)
    try:
        _serve(lab_layout(name), Base(Path(base)), [Path(store) for store in stores])
    except LabError as why:
        _say(str(why))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
