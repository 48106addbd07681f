"""Part of step `database`: the schema as the documented script makes it (runbook L334, fixtures/app/sql)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.parse.database_sql import column

if TYPE_CHECKING:
    from harness.inventory import Cluster

LEVELS = "enum('INFO','WARNING','ERROR')"
ROLES = "enum('ADMIN','USER')"
TABLES: dict[str, tuple[str, ...]] = {
    "Users": (
        column("userId", "char(36)", key="PRI"),
        column("userMail", "varchar(190)", key="UNI"),
        column("login", "varchar(64)", key="UNI"),
        column("lastName", "varchar(64)"),
        column("firstName", "varchar(64)"),
        column("password", "varchar(255)"),
        column("role", ROLES),
        column("registrationDate", "datetime"),
    ),
    "Logging": (
        column("logId", "bigint unsigned", key="PRI"),
        column("logLevel", LEVELS),
        column("userId", "char(36)", nullable=True),
        column("date", "datetime"),
        column("ip", "varchar(45)"),
        column("description", "varchar(255)"),
    ),
    "Weak_passwords": (column("password", "varchar(64)", key="PRI"),),
}
PRIVILEGES = {"Users": ("SELECT",), "Logging": ("INSERT", "SELECT"), "Weak_passwords": ("SELECT",)}


def documented_grants(cluster: Cluster) -> tuple[str, ...]:
    """All that the application's account may do."""
    name = cluster.database.name
    return tuple(sorted(f"{may} on {name}.{table}" for table, all_ in PRIVILEGES.items() for may in all_))
