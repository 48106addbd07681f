"""`hatcheck lab …`: the lab from a shell.

Exit code: that of the command for `exec`, 4 when asked wrongly or when the machine cannot do it, 130 when
interrupted.
"""

import argparse
import sys
from typing import NoReturn

from harness.errors import LabError, UsageError
from harness.lab import preflight
from harness.lab.lab import Lab, LabStatus
from harness.lab.layout import NODES

_UNFIT = 4
_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one sentence, as all of ours are."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}.")


def main(argv: list[str]) -> int:
    """Carry out `hatcheck lab` with the words `argv`; return the exit code."""
    try:
        options = _parser().parse_args(argv)
        return int(options.act(Lab(options.lab), options))
    except (LabError, UsageError) as why:
        _say(str(why))
        return _UNFIT
    except KeyboardInterrupt:
        _say("Interrupted; `hatcheck lab up` goes on from here, `hatcheck lab down` removes what there is.")
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="hatcheck lab", description="The embedded five-node lab (Linux, root).")
    parser.add_argument("--lab", help="name of the lab (default: HATCHECK_LAB, else hatlab)")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    up = verbs.add_parser("up", help="start all nodes, as a green cluster; harmless when they run")
    up.add_argument("--bare", action="store_true", help="new nodes have nothing of the runbook done")
    up.add_argument("--direct", action="store_true", help="give this machine an address in the cluster network")
    up.set_defaults(act=_up)

    verbs.add_parser("check", help="can this machine host the lab? touches nothing").set_defaults(act=_check)

    down = verbs.add_parser("down", help="remove everything but the cache")
    down.add_argument("--purge", action="store_true", help="remove the cache as well")
    down.set_defaults(act=_down)

    verbs.add_parser("status", help="power and state of each node").set_defaults(act=_status)

    execute = verbs.add_parser("exec", help="run a command as root in a node, without ssh")
    execute.add_argument("node", choices=NODES)
    execute.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD …")
    execute.set_defaults(act=_exec)

    reset = verbs.add_parser("reset", help="make nodes anew, as with a newly flashed card")
    reset.add_argument("--bare", action="store_true", help="with nothing of the runbook done; else as saved green")
    reset.add_argument("nodes", nargs="*", metavar="NODE", help="default: all")
    reset.set_defaults(act=_reset)

    hub = verbs.add_parser("dockerhub", help="let the lab's Docker Hub answer, or not")
    hub.add_argument("switch", choices=("on", "off"))
    hub.set_defaults(act=_docker_hub)

    power = verbs.add_parser("power", help="give a node power, or cut it at once")
    power.add_argument("switch", choices=("on", "off"))
    power.add_argument("node", choices=NODES)
    power.set_defaults(act=_power)
    return parser


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")  # one write, so that lines of different nodes do not mix
    sys.stderr.flush()


def _up(lab: Lab, options: argparse.Namespace) -> int:
    was_up = lab.status().is_up
    lab.up(bare=options.bare, direct=options.direct, say=_say)
    if note := preflight.ingress_note():
        _say(note)
    if was_up:
        _say("it was up already and is as it was; `hatcheck lab reset`, or `reset --bare`, makes its nodes anew")
    entry = lab.access()
    _say(f"lab {lab.layout.name} is up: {entry.user}@{entry.address}, password in {lab.layout.password}")
    return 0


def _check(lab: Lab, _options: argparse.Namespace) -> int:
    lab.check()
    return 0


def _down(lab: Lab, options: argparse.Namespace) -> int:
    lab.down(_say, purge=options.purge)
    return 0


def _status(lab: Lab, _options: argparse.Namespace) -> int:
    sys.stdout.write(status_text(lab.status()))
    return 0


def status_text(seen: LabStatus) -> str:
    """What `hatcheck lab status` prints: a line for the lab and, when it is up, one per node."""
    if not seen.is_up:
        return f"lab {seen.name}: down\n"
    wire = "direct wire" if seen.is_direct else "no direct wire"
    lines = [f"lab {seen.name}: up, board {seen.board_pid}, {wire}\n"]
    for node in seen.nodes:
        power, system = "on" if node.has_power else "off", "running" if node.is_running else "halted"
        lines.append(f"{node.node:<5} power {power:<4} {system}\n")
    return "".join(lines)


def _exec(lab: Lab, options: argparse.Namespace) -> int:
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not words:
        raise UsageError("hatcheck lab exec: a command is missing, as in `exec p1 -- hostname`.")
    return lab.enter(options.node, words)


def _reset(lab: Lab, options: argparse.Namespace) -> int:
    for name in options.nodes or [None]:
        lab.reset(name, bare=options.bare, say=_say)
    return 0


def _docker_hub(lab: Lab, options: argparse.Namespace) -> int:
    lab.docker_hub(on=options.switch == "on")
    return 0


def _power(lab: Lab, options: argparse.Namespace) -> int:
    lab.power(options.node, on=options.switch == "on")
    return 0
