"""Part of step `boot`: whether what the first line of a start script names is on the machine (execve(2), env(1))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.node import File, NodeAccess

# The PATH is cron's own (crontab(5)); a name that is relative is so to the home, where cron runs its jobs.
ABSENT = """\
cd || exit
is_there() {
  case $1 in
    */*) [ -f "$1" ] && [ -x "$1" ] ;;
    *) [ -f "/usr/bin/$1" ] && [ -x "/usr/bin/$1" ] || { [ -f "/bin/$1" ] && [ -x "/bin/$1" ]; } ;;
  esac
}
for one in {}; do is_there "$one" || printf '%%s\\n' "$one"; done
"""
LONGEST = 256  # BINPRM_BUF_SIZE of the kernel
BLANK = re.compile(r"[ \t]+")


def programs(content: bytes) -> tuple[str, ...]:
    """What runs a script by its first line, with a slash in it; behind `env` also what that looks for in PATH."""
    first = content[:LONGEST].partition(b"\n")[0].partition(b"\0")[0].decode(errors="replace")
    if not first.startswith("#!") or not first[2:].strip(" \t"):
        return ()
    # The kernel gives all that is behind the program as one argument.
    program, *argument = BLANK.split(first[2:].strip(" \t"), maxsplit=1)
    if program.rpartition("/")[2] == "env" and argument:
        return (program, _sought(argument[0]))
    return (program if "/" in program else f"./{program}",)


def _sought(argument: str) -> str:
    if not argument.startswith("-S"):
        return argument
    words = (word for word in argument[2:].split() if not word.startswith("-") and "=" not in word)
    return next(words, argument)


def observe_absent(node: NodeAccess, scripts: Iterable[File]) -> tuple[str, ...]:
    """Those of the programs that these scripts name that are not there, or may not be executed."""
    named = sorted({program for script in scripts for program in programs(script.content)})
    if not named:
        return ()
    said = node.ask(ABSENT.replace("{}", " ".join("%s" for _ in named)), *named)
    return tuple(said.split("\n")[:-1])
