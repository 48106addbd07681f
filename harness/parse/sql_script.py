"""Whether a schema script only makes new things, so that it may be run on an empty database (runbook L334, L363-369).

Judged by what it may do, not by what it must not: a statement that is not known to be harmless is an obstacle.
"""

from __future__ import annotations

import re

MAKING = {"CREATE", "USE", "INSERT", "GRANT", "SET", "START", "BEGIN", "COMMIT", "FLUSH"}
MADE = ("DATABASE", "SCHEMA", "TABLE", "USER", "INDEX", "UNIQUE", "VIEW")
# Comments and quoted words, of which only `/*! … */` and MariaDB's `/*M! … */` are carried out by the server.
TOKEN = re.compile(
    r"""(?P<line>(?:--(?=\s|\Z)|\#)[^\n]*)|/\*(?P<run>M?!\d*)|(?P<block>/\*.*?\*/)|(?P<end>\*/)"""
    r"""|(?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")|(?P<name>`[^`]*`)""",
    re.DOTALL,
)
OPEN = re.compile(r"['\"`]")
SETTABLE = re.compile(
    r"(NAMES|CHARACTER|CHARSET|@|SESSION|AUTOCOMMIT|SQL_MODE|FOREIGN_KEY_CHECKS|UNIQUE_CHECKS|TIME_ZONE)"
)


def obstacle(text: str, database: str) -> str:
    """Why this script must not be run without a person, as a sentence's end; empty where it only adds to `database`."""
    bare = TOKEN.sub(_without, text)
    if OPEN.search(bare) or "/*" in bare or "\\" in bare:
        return "it has a quote or comment without end, or a command of the client"
    statements = [" ".join(statement.split()) for statement in bare.split(";")]
    found = [_complaint(statement, database) for statement in statements if statement]
    if not found:
        return "it is empty"
    return next(filter(None, found), "")


def _without(match: re.Match[str]) -> str:
    """A comment is a space, a text is nothing of interest, a quoted name is its word."""
    if match["text"]:
        return " text "
    if match["name"]:
        name = match["name"][1:-1]
        return name if re.fullmatch(r"\w+", name) else " \\ "
    return " "


def _complaint(statement: str, database: str) -> str:
    words = statement.upper().split()
    said = f"it has the statement {' '.join(words[:3])[:60]}"
    if words[0] not in MAKING or re.search(r"\bMYSQL\s*\.", statement.upper()):
        return said
    if words[0] == "CREATE" and words[1:2] not in ([kind] for kind in MADE):
        return said
    if words[0] == "USE" and statement.split()[1:] != [database]:
        return said
    if words[0] == "SET" and not SETTABLE.match(" ".join(words[1:2])):
        return said
    if words[0] == "GRANT" and re.search(r"\bON\s*\*\s*\.", statement.upper()):
        return said
    return ""
