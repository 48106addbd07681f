"""`hatcheck`: what is not a test run. Verifying and repairing is pytest's."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness import reach
from harness.errors import HarnessError, ObservationError
from harness.lab import cli as lab
from harness.trust import trust

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USAGE = 4
UNKNOWN = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is that of the README's table."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["lab"]:
        return lab.main(words[1:])
    try:
        arguments = _parser().parse_args(words)
    except SystemExit as ending:  # argparse's own 2 means something else to pytest
        return USAGE if ending.code else 0
    return _guarded(lambda: _trust(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("hatcheck", description="Helpers around `pytest`, which verifies and repairs.")
    parser.add_argument("--version", action="version", version=f"hatcheck {version('hatcheck')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser(
        "lab", help="the embedded five-node lab: up, down, status, exec, reset, power, dockerhub", add_help=False
    )
    enrol = commands.add_parser("trust", help="see and accept the machines' ssh host keys")
    enrol.add_argument("names", nargs="*", metavar="NODE", help="default: the controller and all nodes")
    enrol.add_argument("--cluster", default="cluster.toml", metavar="FILE")
    enrol.add_argument("--yes", action="store_true", help="accept new keys without asking: only on a network you trust")
    enrol.add_argument(
        "--replace", action="store_true", help="accept changed keys without asking: you flashed the cards"
    )
    return parser


def _trust(arguments: argparse.Namespace) -> int:
    cluster = reach.find_cluster(arguments.cluster)

    def accept(question: str, is_changed: bool) -> bool:  # noqa: FBT001 - the words of trust
        _say(question)
        return (arguments.replace if is_changed else arguments.yes) or _ask()

    trust(cluster, arguments.names, accept, _say)
    return 0


def _ask() -> bool:
    try:
        return input("[y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _guarded(command: Callable[[], int]) -> int:
    try:
        return command()
    except HarnessError as error:
        sys.stderr.write(f"{Path(sys.argv[0]).name}: {error}\n")
        return UNKNOWN if isinstance(error, ObservationError) else USAGE


if __name__ == "__main__":
    sys.exit(main())
