"""Find what a boot starts, and whether that updates the system (runbook L71; crontab(5), systemd.service(5))."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

CRONTABS = "/var/spool/cron/crontabs/"
# Where a cron job, a unit or a boot script may stand that a person wrote.
UNITS = ("/etc/systemd/system/*.service", "/etc/systemd/system/*.service.d/*.conf")
PATTERNS = (f"{CRONTABS}*", "/etc/crontab", "/etc/cron.d/*", "/etc/rc.local", *UNITS)
AT_REBOOT = re.compile(r"\s*@reboot\s+(\S.*)")
EXEC_START = re.compile(r"\s*ExecStart\s*=\s*[-@:+!]*(.*)")
DROP_IN = re.compile(r"(.*\.service)\.d/[^/]*\.conf")
CRON_NAME = re.compile(r"[A-Za-z0-9_-]+")
CONTINUED = re.compile(r"\\\r?\n")
PATH = re.compile(r"(?<![^\s'\"=(;&|])(~?/[A-Za-z0-9_./+-]*[A-Za-z0-9_+-])")
EXIT = re.compile(r"\s*exit\b")
OPENS, CLOSES = re.compile(r"\b(?:if|case|for|while|until)\b|\{(?=\s|$)"), re.compile(r"\b(?:fi|esac|done)\b|^\s*\}")
# For cron the first % ends the command; what follows is the program's input (crontab(5)).
INPUT = re.compile(r"(?<!\\)%.*")
# Where another command of a line begins, as far as that can be told without a shell.
NEXT = re.compile(r"[;&|(){}]+|\b(?:then|else|do)\b")
# What may stand before a program's name; some options of sudo, nice and ionice have a word of their own behind them.
ASIDE = re.compile(
    r"\s*(?:(?:-[ugUk]\s+\S+|--(?:user|group)\s+\S+|-[nc]\s+-?\d+|timeout\s+(?:-[ks]\s+\S+\s+|-\S+\s+)*[\d.]+[smhd]?"
    r"|\w+=\S*|-\S*|!|sudo|exec|nohup|setsid|command|env|nice|ionice|time|if|while|until)\s+)*"
)
# Programs that do something else with a file that they are given than run it.
IDLE = frozenset({
    "[", "[[", "test", "chmod", "chown", "chgrp", "touch", "ls", "stat", "file", "cat", "head", "tail", "grep", "sed",
    "wc", "echo", "printf", "logger", "rm", "cp", "mv", "ln", "install", "rsync", "scp", "kill", "pkill", "killall",
    "pgrep", "sha256sum", "md5sum", "true", "false", ":",
})  # fmt: skip
# For `grep`: which scripts are worth reading.
WORD = "apt"
# Options may stand before the verb, another command may not.
UPDATE = re.compile(r"(?<![\w-])(apt|apt-get|aptitude)(\s[^;&|]*)?\s(safe-|full-|dist-)?upgrade(?![\w-])")


def commands(path: str, text: str) -> tuple[str, ...]:
    """What a boot runs because of one file of `PATTERNS`, as shell text; a home's ~ is written out."""
    # Cron knows no continued lines and no other end of a line (crontab(5)).
    said = text.split("\n") if needs_cron(path) else CONTINUED.sub(" ", text).splitlines()
    lines = [line for line in said if not line.lstrip().startswith("#")]
    if path.endswith(".service"):
        return _executed(_matches(EXEC_START, lines))
    if path == "/etc/rc.local":
        return tuple(line.strip() for line in _before_exit(lines) if line.strip())
    found = [INPUT.sub("", command).strip() for command in _matches(AT_REBOOT, lines)]
    if not path.startswith(CRONTABS):
        found = [rest for command in found for rest in command.split(None, 1)[1:]]  # the user comes first
    return tuple(re.sub(r"(?<![^\s'\"])~/", f"{_home(path)}/", command) for command in found)


def _before_exit(lines: list[str]) -> Iterator[str]:
    """The lines above an `exit` that stands in no `if`, loop or function."""
    depth = 0
    for line in lines:
        if EXIT.match(line) and depth <= 0:
            return
        depth += len(OPENS.findall(line)) - len(CLOSES.findall(line))
        yield line


def with_drop_ins(texts: Mapping[str, str]) -> dict[str, str]:
    """Each file by its path, a unit together with its drop-ins: systemd reads them behind it, by the order of names."""
    said = {path: [text] for path, text in texts.items() if not DROP_IN.fullmatch(path)}
    for path in sorted(texts):
        match = DROP_IN.fullmatch(path)
        if match and match[1] in said:
            said[match[1]].append(texts[path])
    return {path: "\n".join(parts) for path, parts in said.items()}


def is_run(path: str, mode: int) -> bool:
    """Whether a file of `PATTERNS` counts at all.

    Cron reads no name with a dot, nor what is left of an edit (tmp.Ab12cd, which is nobody's); rc.local must be
    executable.
    """
    if path == "/etc/rc.local":
        return bool(mode & 0o111)
    if path.startswith(CRONTABS):
        return not PurePosixPath(path).name.startswith("tmp.")
    return not path.startswith("/etc/cron.d/") or CRON_NAME.fullmatch(PurePosixPath(path).name) is not None


def needs_cron(path: str) -> bool:
    """Whether it is cron that runs what a file of `PATTERNS` says."""
    return "cron" in path and not path.endswith(".service")


def starts(command: str, script: re.Pattern[str], nobody: Collection[str] = ()) -> bool:
    """Whether a command runs what a pattern finds in it, and does not just name it, as `chmod +x SCRIPT` does.

    `nobody` are first words that are no programs: a user's name, where only the system's crontabs have one.
    """
    if command.split()[:1] and command.split(maxsplit=1)[0] in nobody:
        return False
    return any(script.search(part) and _program(part) not in IDLE for part in NEXT.split(command))


def _program(part: str) -> str:
    words = ASIDE.sub("", part, count=1).split(maxsplit=1)
    return words[0].rpartition("/")[2] if words else ""


def scripts(command: str) -> tuple[str, ...]:
    """The absolute paths that a command names."""
    return tuple(dict.fromkeys(path for path in PATH.findall(command) if path.startswith("/")))


def is_update(text: str) -> bool:
    """Whether shell text upgrades the installed packages; what is behind a # does not count."""
    code = (re.sub(r"(^|\s)#.*", "", line) for line in CONTINUED.sub(" ", text).splitlines())
    return any(UPDATE.search(line) for line in code)


def _home(path: str) -> str:
    """The home of the user whose crontab this is; that of root for the files of the system."""
    user = PurePosixPath(path).name if path.startswith(CRONTABS) else "root"
    return "/root" if user == "root" else f"/home/{user}"


def _executed(said: tuple[str, ...]) -> tuple[str, ...]:
    """An empty ExecStart= takes back all that was said before (systemd.service(5))."""
    last = max((place for place, command in enumerate(said, 1) if not command), default=0)
    return said[last:]


def _matches(pattern: re.Pattern[str], lines: list[str]) -> tuple[str, ...]:
    return tuple(match[1].strip() for match in map(pattern.fullmatch, lines) if match)
