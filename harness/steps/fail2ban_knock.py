"""Part of step `fail2ban`: does what sshd says now come where the jail reads? A connection says so, and no login.

A newest line of the log proves nothing: a log may have been made or rotated a minute ago, a clock may be wrong, and a
log that nobody writes any more has old lines. So the controller connects to its own sshd, says who it is and leaves;
sshd writes one line about that, with the port that the connection came from. A filter in its normal mode does not count
it as a failed login. Where one does, our own login of this run is looked for first: its line is of some minutes ago.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.node import NodeAccess

PATIENCE = 15.0  # seconds until rsyslog or journald has the line, even on a busy Pi
TRIES = 5  # connections at the most, where journald is too late to see whose line it was
HERE = ("127.0.0.1", "22")
SAID = re.compile(r"(?<=: )(?:Connection|Accepted) ")
LOOK = "timeout -k 1 %s python3 -B -c %s %s"
# Where we came in, as sshd told our own session; so that is an address and port that it listens at.
CAME_IN = 'echo "$SSH_CONNECTION"'
# Runs on Python 3.9. What was open before goes on to be read, so that a log may be rotated meanwhile.
SCRIPT = r"""
import json, os, re, socket, subprocess, sys, time
from contextlib import suppress

order = json.loads(sys.argv[1])

def journal(*more):
    return subprocess.run(["journalctl", "-q", "--no-pager", *more], capture_output=True, text=True, errors="replace")

def end_of_journal():
    found = journal("-n", "0", "--show-cursor").stdout.partition("-- cursor: ")[2].strip()
    # Not --after-cursor: where the entry there does not match, journalctl skips the first one that does.
    return ["--cursor=" + found] if found else []

def opened(path, at_end):
    with suppress(FileNotFoundError):
        file = open(path, "rb")
        at_end and file.seek(0, os.SEEK_END)
        return [(os.fstat(file.fileno()).st_ino, file)]
    return []

def texts():
    if order["logs"]:
        for path in order["logs"]:
            known = {inode for inode, _ in files}
            files.extend(one for one in opened(path, False) if one[0] not in known)
        return [file.read().decode(errors="replace") for _, file in files]
    return [journal("-o", "short", *cursor, *order["match"]).stdout]

def is_nameless(mark):
    # A process that ends with its line may be gone before journald looks who it was. No match by its name can find
    # that line, so it shows neither that the match is right nor that it is wrong.
    words = [*cursor, "-t", "sshd", "-t", "sshd-session"]
    entries = [] if order["logs"] else map(json.loads, journal("-o", "json", *words).stdout.splitlines())
    return any(mark.search(": %s" % one.get("MESSAGE")) for one in entries if "_COMM" not in one)

def knock():
    port, greeting = 0, b""
    try:
        with socket.create_connection((order["host"], int(order["port"])), 10) as wire:
            port, greeting = wire.getsockname()[1], wire.recv(255)
            wire.sendall(b"SSH-2.0-hatcheck\r\n")
            wire.shutdown(socket.SHUT_WR)
            while wire.recv(4096):
                pass
    except socket.timeout:
        # Too slow is no answer; after its greeting sshd may take its time to end.
        greeting or sys.exit("sshd did not greet in time")
    except OSError as error:
        said["trouble"] = "" if greeting else str(error)
    if not greeting.startswith(b"SSH-"):
        said["trouble"] = said["trouble"] or "no greeting"
    return re.compile(r"^.*: Connection (?:closed|reset) by \S+ port %d(?: .*)?$" % port, re.MULTILINE)

def own_login():
    mark = re.compile(r"^.*: Accepted \S+ for \S+ from \S+ port %d(?: .*)?$" % order["login"], re.MULTILINE)
    said_before = [journal("-o", "short", "-n", "20000", *order["match"]).stdout] if not order["logs"] else []
    for _, file in (one for path in order["logs"] for one in opened(path, False)):
        file.seek(max(0, os.fstat(file.fileno()).st_size - 1000000))
        said_before.append(file.read().decode(errors="replace"))
    found = mark.search("\n".join(said_before))
    return found[0] if found else ""

line = own_login() if order["login"] else ""
if line:
    sys.exit(print(json.dumps({"trouble": "", "line": line})))
files = [one for path in order["logs"] for one in opened(path, True)]
cursor = [] if order["logs"] else end_of_journal()
said = {"trouble": "", "line": ""}
text, mark, tries, end = "", knock(), 1, time.monotonic() + order["patience"]
while not said["trouble"] and not said["line"] and time.monotonic() < end:
    text = "".join([text, *texts()]) if order["logs"] else "".join(texts())
    found = mark.search(text)
    said["line"] = found[0] if found else ""
    if not found and is_nameless(mark):
        tries < order["tries"] or sys.exit("journald does not see who writes sshd's lines, %d times" % tries)
        mark, tries = knock(), tries + 1
    found or time.sleep(0.1)
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Heard:
    """What came of a knock: why sshd could not be asked (empty: it could), and its line where the jail reads."""

    trouble: str
    line: str

    @property
    def prefix(self) -> str:
        """What stands before sshd's own words: time, machine, program."""
        return SAID.split(self.line)[0]


def knock(
    node: NodeAccess, logs: Sequence[str], match: Sequence[str], *, is_counted: bool = False, patience: float = PATIENCE
) -> Heard:
    """Connect to sshd as we came in, and wait for its line in these files; without files in the journal.

    `match` is the jail's own choice of the journal. Where it `is_counted` as a failed login, nobody knocks as long as
    our own login is heard: if it is not, the jail does not hear the knock either.
    """
    came_in = node.ask(CAME_IN).split()
    host, port = came_in[2:] or HERE
    login = int(came_in[1]) if is_counted and came_in else 0
    limit = node.cluster.ssh.limit * 0.9
    order = {
        "host": host, "port": port, "logs": list(logs), "match": list(match), "patience": min(patience, limit / 2),
        "tries": TRIES, "login": login,
    }  # fmt: skip
    said = node.ask(LOOK, f"{limit:.1f}", SCRIPT, json.dumps(order), root=True)
    try:
        found = json.loads(said)
        heard = Heard(str(found["trouble"]), str(found["line"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ObservationError(f"{node.name}: expected what sshd's log says, got {excerpt(said)}") from error
    return Heard(f"{host} port {port}: {heard.trouble}" if heard.trouble else "", heard.line)
