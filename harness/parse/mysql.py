"""The `mysql` client of the database's container (runbook L357-369): how it is asked, and what it prints."""

from __future__ import annotations

import re

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

# $1 seconds to wait for a server that is just starting; the first line of the input is root's password, the rest SQL.
# So neither is on a command line, in a container's events, or in a log of the engine.
ASK = r"""
IFS= read -r MYSQL_PWD; export MYSQL_PWD; end=$(($(date +%s)+$1))
ask() { mysql --no-defaults --default-character-set=utf8mb4 --connect-timeout=8 -h 127.0.0.1 -u root -N -B "$@"; }
until said=$(ask -e "SELECT 1" 2>&1 </dev/null); do
  case $said in *ERROR\ 200[236]*|*ERROR\ 2013*) ;; *) printf "%s\n" "$said" >&2; exit 4 ;; esac
  [ "$(date +%s)" -lt "$end" ] || { printf "%s\n" "$said" >&2; exit 3; }
  sleep 1
done
ask
"""
NOT_YET = 3
ESCAPES = {"\\t": "\t", "\\n": "\n", "\\\\": "\\", "\\0": "\0"}
ESCAPE = re.compile(r"\\[tn0\\]")
ERROR = re.compile(r"^ERROR (\d+) \(\w+\)(?: at line (\d+))?: ", re.MULTILINE)
DENIED = {1044, 1045, 1130, 1698}
# What sooner or later is written in another way: MySQL 8 leaves out the width, MariaDB writes current_timestamp().
NOW = re.compile(r"(?i)current_timestamp(?:\(\d*\))?$")
TEXTUAL = re.compile(r"(?i)char|text|enum|set")
WIDTH = re.compile(r"^((?:tiny|small|medium|big)?int)\(\d+\)")


def argv(container: str, seconds: int, limit: float) -> tuple[str, ...]:
    """The command that asks a container's server as root; it waits at most `seconds` for it, and ends by `limit`."""
    return ("timeout", f"{limit:g}", "docker", "exec", "-i", container, "sh", "-c", ASK, "ask", str(seconds))


def rows(text: str, *kinds: str) -> dict[str, list[tuple[str, ...]]]:
    """The rows of a batch by their first column, which is one of `kinds`; ObservationError for any other text."""
    found: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in kinds}
    for line in text.splitlines():
        kind, *values = (ESCAPE.sub(lambda match: ESCAPES[match[0]], cell) for cell in line.split("\t"))
        if kind not in found:
            raise ObservationError(f"mysql: expected rows of {', '.join(kinds)}, got {excerpt(line)}")
        found[kind].append(tuple(values))
    return found


def error(text: str) -> tuple[int, str]:
    """Number and words of the first error; 0 where there is none.

    The words of an error in a script stop at its line: what follows may quote the script, passwords and all.
    """
    match = ERROR.search(text)
    if not match:
        return 0, ""
    line = text[match.start() :].partition("\n")[0]
    return int(match[1]), match[0].rstrip(": ") if match[2] else line[:200]


def column_type(text: str) -> str:
    """A column's type in the spelling that all servers share."""
    return WIDTH.sub(r"\1", text.lower() if "'" not in text else text)


def default(text: str, kind: str) -> str:
    """A column's default in the spelling that all servers share; MariaDB alone puts quotes around text."""
    if NOW.match(text):
        return besides(text)
    bare = text[1:-1] if text[:1] == text[-1:] == "'" and len(text) > 1 else text
    return f"'{bare}'" if TEXTUAL.search(kind) else bare


def besides(text: str) -> str:
    """What else a column does by itself: AUTO_INCREMENT, ON UPDATE CURRENT_TIMESTAMP; empty for most."""
    return " ".join(text.upper().replace("()", "").replace("DEFAULT_GENERATED", "").split())


def server_complaint(log: str) -> str:
    """The last error that the server wrote into its log; empty where it wrote none."""
    errors = [line for line in log.splitlines() if "[ERROR]" in line and "password" not in line.lower()]
    return errors[-1].partition("[ERROR]")[2].strip()[:200] if errors else ""
