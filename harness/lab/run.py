"""Programs of the machine, run with a time limit; what fails becomes a LabError of one sentence."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import LabError

_LAST_LINES = 3


def run(
    argv: Sequence[str | Path],
    *,
    stdin: bytes | None = None,
    timeout: float = 30,
    env: Mapping[str, str] | None = None,
) -> bytes:
    """Run `argv`, feed it `stdin` and return its stdout.

    Raises LabError when the program is missing, exits with anything but 0 or takes longer than
    `timeout` seconds; the message ends with what the program said last.
    """
    done = attempt(argv, stdin=stdin, timeout=timeout, env=env)
    if done.returncode != 0:
        said = " / ".join(done.stderr.decode(errors="replace").strip().splitlines()[-_LAST_LINES:])
        raise LabError(f"`{shown(argv)}` failed with exit code {done.returncode}: {said or 'no message'}.")
    return done.stdout


def attempt(
    argv: Sequence[str | Path],
    *,
    stdin: bytes | None = None,
    timeout: float = 30,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run `argv` like `run`, but leave the meaning of its exit code to the caller."""
    words = [str(word) for word in argv]
    try:
        return subprocess.run(words, input=stdin or b"", capture_output=True, timeout=timeout, env=env, check=False)
    except FileNotFoundError:
        raise LabError(f"The program `{argv[0]}` is not installed on this machine.") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"`{shown(argv)}` did not end within {timeout:.0f} s.") from None


def shown(argv: Sequence[str | Path]) -> str:
    """`argv` short enough for a message."""
    text = " ".join(str(a) for a in argv)
    return text if len(text) <= 100 else f"{text[:97]}..."  # noqa: PLR2004 - a line's width


def missing_programs(names: Sequence[str]) -> list[str]:
    """Those of `names` that this machine does not have."""
    return [name for name in names if shutil.which(name) is None]
