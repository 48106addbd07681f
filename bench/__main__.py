"""`make bench`: the same questions asked by this harness, by stock testinfra, and by one plain script per node.

Medians and ratios of one run on one machine; nothing here is a test. All go straight to the nodes, because stock
testinfra knows no jump; the harness is timed through the jump as well. This folder is not in tests_harness/, for what
that loads (hypothesis) is not what a user has.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bench.questions import questions
from harness import backend
from harness.backend import Asker
from harness.lab import NODES, Lab, address_of
from harness.reach import find_cluster
from harness.session import open_connections
from tests_harness import labkit

if TYPE_CHECKING:
    from harness.shell import Answer

ROUNDS = 3
# A user has no hypothesis; its plugin costs every pytest run the same quarter of a second.
LEAN = ("-p", "no:hypothesispytest")
HERE = Path(__file__).parent
WHOLE, LOOK, JUMP, STOCK, FLOOR = (
    "harness, whole pytest run",
    "harness, the looking",
    "harness, looking by the jump",
    "stock",
    "floor",
)
SSH_CONFIG = """\
Host *
    User pi
    IdentityFile {key}
    IdentitiesOnly yes
    UserKnownHostsFile {known_hosts}
    BatchMode yes
"""


@dataclass
class Eavesdropper(Asker):
    """Asks as told and keeps the shell text, so that the plain script asks exactly the same."""

    asker: Asker
    scripts: list[str]

    @property
    def name(self) -> str:  # type: ignore[override]
        """The node's name."""
        return self.asker.name

    def ask(self, script: str, *, root: bool = False, limit: float | None = None) -> Answer:
        """Pass it on and remember it."""
        self.scripts.append(script)
        return self.asker.ask(script, root=root, limit=limit)


def main() -> None:
    """Measure in turn, several rounds, and print medians and ratios."""
    os.environ["HATCHECK_LAB"] = labkit.LAB_NAME
    console = Console(stderr=True)
    lab = Lab()
    lab.down()
    try:
        console.print("starting the lab, wired directly")
        lab.up(direct=True)
        with tempfile.TemporaryDirectory() as folder:
            times = _measure(lab, Path(folder), console)
    finally:
        lab.down()
    Console().print(_table({name: median(seconds) for name, seconds in times.items()}))


def _measure(lab: Lab, folder: Path, console: Console) -> dict[str, list[float]]:
    config, script = _let_in(lab, folder), folder / "questions.sh"
    shell_text = _eavesdrop()
    script.write_text("".join(f"( {text} ) </dev/null\n" for text in shell_text))
    times: dict[str, list[float]] = {name: [] for name in (WHOLE, LOOK, JUMP, STOCK, FLOOR)}
    for turn in range(ROUNDS):
        what = f"{len(questions())} questions ({len(shell_text)} commands) to {len(NODES)} machines"
        console.print(f"round {turn + 1} of {ROUNDS}: {what}")
        whole, looked = _time_ours(folder / "direct", "--direct")
        times[WHOLE].append(whole)
        times[LOOK].append(looked)
        times[JUMP].append(_time_ours(folder / "jump")[1])
        times[STOCK].append(_time_stock(config))
        times[FLOOR].append(_time_floor(config, script))
    return times


def _let_in(lab: Lab, folder: Path) -> Path:
    """A key for the two that log in by key, and their ssh configuration."""
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_bytes()
    script = "install -d -m 700 -o pi -g pi ~pi/.ssh && cat >> ~pi/.ssh/authorized_keys && chown pi: ~pi/.ssh/*"
    for node in NODES:
        lab.exec(node, ["sh", "-c", script], stdin=public)
    config = folder / "config"
    config.write_text(SSH_CONFIG.format(key=key, known_hosts=lab.access().known_hosts))
    return config


def _eavesdrop() -> list[str]:
    connections = open_connections(find_cluster("lab", direct=True))
    ear = Eavesdropper(connections.connection("p1"), [])
    host = backend.host(ear, root=False)
    for ask in questions().values():
        ask(host)
    connections.close()
    return ear.scripts


def _time_ours(folder: Path, *options: str) -> tuple[float, float]:
    begun = time.monotonic()
    done = labkit.run(folder, str(HERE / "ours.py"), *LEAN, *options)
    whole = time.monotonic() - begun
    if done.code or not done.record:
        sys.exit(f"the harness did not get through: {done.said}")
    return whole, done.record.looked


def _time_stock(config: Path) -> float:
    hosts = ",".join(f"paramiko://{address_of(node)}" for node in NODES)
    options = ("-q", "-W", "ignore", "-p", "no:cacheprovider", *LEAN, "--hosts", hosts, "--ssh-config", str(config))
    command = (sys.executable, "-m", "pytest", *options, str(HERE / "stock.py"))
    begun = time.monotonic()
    environment = labkit.user_environment()
    done = subprocess.run(command, cwd=labkit.ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"stock testinfra did not get through: {done.stdout[:4000]}")
    return time.monotonic() - begun


def _time_floor(config: Path, script: Path) -> float:
    begun = time.monotonic()
    running = [
        subprocess.Popen(["ssh", "-F", str(config), address_of(node), "sh", "-s"], stdin=script.open("rb"),
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for node in NODES
    ]  # fmt: skip
    for one in running:
        one.wait()
    return time.monotonic() - begun


def _table(medians: dict[str, float]) -> Table:
    table = Table(
        "what", "median", "to stock", "to the floor", title=f"{len(questions())} questions, {len(NODES)} machines"
    )
    for name, seconds in medians.items():
        table.add_row(
            name, f"{seconds:.2f} s", f"1 : {medians[STOCK] / seconds:.1f}", f"{seconds / medians[FLOOR]:.2f}"
        )
    return table


if __name__ == "__main__":
    main()
