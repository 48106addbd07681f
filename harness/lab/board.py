"""The board: the one daemon of a lab, which plays the ClusterHAT hardware.

`python -m harness.lab.board LAB REPOSITORY` switches on what is made, then answers two sockets: `control`
for the lab (root) and `hat/board.sock`, which the controller's clusterctrl sees. It ends when told to, or
when killed; whatever it leaves then, the next `up` or `down` tidies up.
"""

import os
import sys
import threading
import time
from pathlib import Path

from harness.errors import LabError, UsageError
from harness.lab import network
from harness.lab.layout import I2C_GID, NODES, PORTS, Layout, check_node, lab_layout
from harness.lab.rack import Rack
from harness.lab.rootfs import Ground
from harness.lab.wire import Answer, Listener, Message


class Board:
    """Answers questions about one rack and carries out what they ask for."""

    def __init__(self, layout: Layout, rack: Rack, repository: Path) -> None:
        self._layout = layout
        self._repository = repository
        self._rack = rack
        self._verbs: dict[str, Answer] = {
            "status": self._status,
            "power": self._power,
            "renew": self._renew,
            "direct": self._direct,
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
            "repository": str(self._repository),
            "power": self._rack.power(),
            "running": self._rack.running(),
            "direct": self._rack.is_direct(),
        }

    def _power(self, question: Message) -> Message:
        self._rack.switch(check_node(question["node"]), on=bool(question["on"]))
        return {}

    def _renew(self, question: Message) -> Message:
        ground = Ground(question["base"], tuple(question["layers"]))
        self._rack.renew(check_node(question["node"]), ground, self._layout.password.read_text().strip())
        return {}

    def _direct(self, question: Message) -> Message:
        self._rack.set_direct(on=bool(question["on"]))
        return {}


def _say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)  # noqa: T201 - stdout is the board's log


def _serve(layout: Layout, repository: Path) -> None:
    layout.hat.mkdir(parents=True, exist_ok=True)
    network.make_netns(layout.hub)
    rack = Rack(layout, repository, _say)
    board = Board(layout, rack, repository)
    hat_socket = layout.hat / "board.sock"
    hat = Listener(hat_socket, board.hat)
    os.chown(hat_socket, 0, I2C_GID)
    hat_socket.chmod(0o660)
    threading.Thread(target=hat.serve_forever, name="hat", daemon=True).start()
    for name in NODES:
        rack.switch(name, on=True)
    # The control socket appears last: who finds it knows that all nodes were switched on.
    Listener(layout.control_socket, board.control).serve_forever()


def main(argv: list[str]) -> int:
    """Run the board of lab argv[0] with the apt repository argv[1] until it is ended."""
    name, repository = argv
    os.umask(0o022)
    try:
        _serve(lab_layout(name), Path(repository))
    except LabError as why:
        _say(str(why))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
