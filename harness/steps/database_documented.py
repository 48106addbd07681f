"""Part of step `database`: the schema as the documented script makes it (runbook L334, fixtures/app/sql)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.parse.database_sql import column

if TYPE_CHECKING:
    from harness.inventory import Cluster

LEVELS = "enum('INFO','WARNING','ERROR')"
ROLES = "enum('ADMIN','USER')"
NOW = "CURRENT_TIMESTAMP"
# Another one may lose its rows at the next start (MEMORY), or half of a change.
ENGINE = "ENGINE InnoDB"
KEY = re.compile(r" (?:PRI|UNI|MUL)\b")
TABLES: dict[str, tuple[str, ...]] = {
    "Users": (
        column("userId", "char(36)", key="PRI"),
        column("userMail", "varchar(190)", key="UNI"),
        column("login", "varchar(64)", key="UNI"),
        column("lastName", "varchar(64)"),
        column("firstName", "varchar(64)"),
        column("password", "varchar(255)"),
        column("role", ROLES, default="USER"),
        column("registrationDate", "datetime", default=NOW),
        ENGINE,
    ),
    "Logging": (
        column("logId", "bigint unsigned", key="PRI", extra="auto_increment"),
        column("logLevel", LEVELS),
        column("userId", "char(36)", nullable=True),
        column("date", "datetime", default=NOW),
        column("ip", "varchar(45)"),
        column("description", "varchar(255)"),
        ENGINE,
    ),
    "Weak_passwords": (column("password", "varchar(64)", key="PRI"), ENGINE),
}
PRIVILEGES = {"Users": ("SELECT",), "Logging": ("INSERT", "SELECT"), "Weak_passwords": ("SELECT",)}


def documented_grants(cluster: Cluster) -> tuple[str, ...]:
    """All that the application's account may do."""
    name = cluster.database.name
    return tuple(sorted(f"{may} on {name}.{table}" for table, all_ in PRIVILEGES.items() for may in all_))


def statements(database: str, table: str, seen: tuple[str, ...]) -> tuple[str, ...]:
    """What brings a table's columns, engine and triggers to those of the script; not its keys, and no new column."""
    lacks, has = set(TABLES[table]) - set(seen), sorted(set(seen) - set(TABLES[table]))
    found = {_name(one): _key(one) for one in has}
    return (
        *(f"DROP TRIGGER {database}.{one.partition(' ')[2]}" for one in has if one.startswith("TRIGGER ")),
        *(
            f"ALTER TABLE {database}.{table} MODIFY {KEY.sub('', one)}"
            for one in TABLES[table] if one in lacks and one != ENGINE and found.get(_name(one)) == _key(one)
            # That of the weak passwords has a collation of its own, which this would take away.
            if table != "Weak_passwords"
        ),
        *([f"ALTER TABLE {database}.{table} ENGINE = InnoDB"] if ENGINE in lacks else []),
    )  # fmt: skip


def _name(part: str) -> str:
    return part.partition(" ")[0]


def _key(part: str) -> list[str]:
    return KEY.findall(part)
