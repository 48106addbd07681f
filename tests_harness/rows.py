"""Rows of the application's database that must outlive every fault and every repair: written once, compared after each.

Out of band and in the runbook's own way (L360), so nothing of it is ours. Looks write into the application's log as
any visitor does, so of that table the rows count that were there when the others were written.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.lab import Lab

NODE = "cnat"
PATIENCE = 60.0  # seconds for a database that is just being started
CLIENT = (
    'task=$(docker ps -qf label=com.docker.swarm.service.name=appli_servicebd); [ -n "$task" ] && '
    "docker exec -i $task mysql -h 127.0.0.1 -u root -proot -N BlitzCalc_DB"
)
WRITTEN = """
INSERT INTO Users (userId, userMail, login, lastName, firstName, password)
  VALUES (UUID(), CONCAT(UUID(), '@kept.invalid'), CONCAT('kept-', LEFT(UUID(), 8)), 'Kept', 'Row', '*');
INSERT INTO Weak_passwords VALUES (CONCAT('kept-', UUID()));
INSERT INTO Logging (logLevel, ip, description) VALUES ('INFO', '192.0.2.1', CONCAT('kept-', UUID()));
"""
LAST = "SELECT MAX(logId) FROM Logging"
READ = """
SELECT * FROM Users ORDER BY userId; SELECT * FROM Weak_passwords ORDER BY password;
SELECT * FROM Logging WHERE logId <= {} ORDER BY logId;
"""


@dataclass(frozen=True)
class Rows:
    """All rows of a moment, as the client prints them, up to the last line of the log."""

    last: int
    lines: tuple[str, ...]


def sql(lab: Lab, text: str) -> str:
    """What the client prints; a database that is being started is waited for."""
    deadline = time.monotonic() + PATIENCE
    while True:
        done = lab.exec(NODE, ["sh", "-c", CLIENT], stdin=text.encode(), timeout=60)
        if done.returncode == 0:
            return done.stdout.decode()
        is_early = not done.stderr or b"ERROR 20" in done.stderr or b"is not running" in done.stderr
        assert is_early, done.stderr.decode(errors="replace")
        assert time.monotonic() < deadline, f"no database within {PATIENCE:g} s: {done.stderr.decode(errors='replace')}"
        time.sleep(0.5)


def write(lab: Lab) -> Rows:
    """A new row in each table, and all rows that are there then."""
    sql(lab, WRITTEN)
    last = int(sql(lab, LAST))
    rows = read(lab, last)
    assert sum("kept-" in line for line in rows.lines) >= 3, "one in each table"
    return rows


def read(lab: Lab, last: int) -> Rows:
    """The rows of now, without what the log got later."""
    return Rows(last, tuple(sql(lab, READ.format(last)).splitlines()))


def assert_kept(lab: Lab, rows: Rows) -> None:
    """Each row is there as it was, and no row of a user or a weak password came to it."""
    assert read(lab, rows.last) == rows
