"""What is asked of the database as root, and the answers as values: tables, accounts, grants. Pure.

Privileges are read from information_schema and not from SHOW GRANTS, which quotes the hash of a password.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import ObservationError
from harness.parse import mysql

# Names are of letters, digits and underscores only (inventory_app.SQL_NAME), so they may stand in SQL as they are.
EMPTY = """
SELECT 'tables', COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{database}';
SELECT 'accounts', COUNT(*) FROM mysql.user WHERE User = '{user}';
"""
LOOK = """
SELECT 'variable', @@datadir, @@global.read_only;
SELECT 'schema', SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{database}';
SELECT 'column', TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_KEY, COLUMN_DEFAULT, EXTRA
  FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{database}' ORDER BY TABLE_NAME, ORDINAL_POSITION;
SELECT 'part', TABLE_NAME, 'ENGINE', COALESCE(ENGINE, TABLE_TYPE) FROM information_schema.TABLES
  WHERE TABLE_SCHEMA = '{database}';
SELECT 'part', EVENT_OBJECT_TABLE, 'TRIGGER', TRIGGER_NAME FROM information_schema.TRIGGERS
  WHERE EVENT_OBJECT_SCHEMA = '{database}' ORDER BY TRIGGER_NAME;
SELECT 'account', CONCAT(Host, IF(max_questions <> 0 OR max_updates <> 0 OR max_connections <> 0
  OR max_user_connections <> 0, ' with limits', '')) FROM mysql.user WHERE User = '{user}' ORDER BY Host;
SELECT 'privilege', GRANTEE, PRIVILEGE_TYPE, '*.*', IS_GRANTABLE FROM information_schema.USER_PRIVILEGES
  WHERE GRANTEE LIKE '''{user}''@%';
SELECT 'privilege', GRANTEE, PRIVILEGE_TYPE, CONCAT(TABLE_SCHEMA, '.*'), IS_GRANTABLE
  FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE LIKE '''{user}''@%';
SELECT 'privilege', GRANTEE, PRIVILEGE_TYPE, CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), IS_GRANTABLE
  FROM information_schema.TABLE_PRIVILEGES WHERE GRANTEE LIKE '''{user}''@%';
SELECT 'privilege', GRANTEE, PRIVILEGE_TYPE, CONCAT(TABLE_SCHEMA, '.', TABLE_NAME, '.', COLUMN_NAME), IS_GRANTABLE
  FROM information_schema.COLUMN_PRIVILEGES WHERE GRANTEE LIKE '''{user}''@%';
"""
KINDS = ("variable", "schema", "column", "part", "account", "privilege")
NO_PRIVILEGE = "USAGE"
# MariaDB 12 has words for it.
WRITABLE = {"0", "OFF"}
NO_DEFAULT = "NULL"


@dataclass(frozen=True)
class Content:
    """What is in a server: its data directory, whether the database is there, and its tables by name.

    A table is its columns in order, each as "name type NOT NULL KEY DEFAULT value EXTRA", then "ENGINE name" and a
    "TRIGGER name" for each. `accounts` are the hosts of the application's account, "with limits" where it may not ask
    as often as it likes; `grants` are "PRIVILEGE on database.table", with what is odd about them behind it.
    `is_read_only` is of the server, for all but its masters.
    """

    datadir: str
    has_database: bool
    tables: dict[str, tuple[str, ...]]
    accounts: tuple[str, ...]
    grants: tuple[str, ...]
    is_read_only: bool

    @property
    def is_empty(self) -> bool:
        """Whether nobody has begun to fill it: no table, and nobody who could use one."""
        return not self.tables and not self.accounts


def content(text: str) -> Content:
    """The answers to LOOK; ObservationError where they do not read."""
    found = mysql.rows(text, *KINDS)
    try:
        ((datadir, read_only),) = found["variable"]
        tables: dict[str, tuple[str, ...]] = {}
        for table, name, kind, nullable, key, default, extra in found["column"]:
            made = column(name, kind, nullable=nullable == "YES", key=key, default=default, extra=extra)
            tables[table] = (*tables.get(table, ()), made)
        for table, word, name in found["part"]:
            tables[table] = (*tables.get(table, ()), f"{word} {name}")
        grants = [_grant(*row) for row in found["privilege"] if row[1] != NO_PRIVILEGE]
        accounts = tuple(host for (host,) in found["account"])
    except ValueError as error:
        raise ObservationError(f"mysql: rows of another shape came back: {error}") from error
    return Content(datadir, bool(found["schema"]), tables, accounts, tuple(sorted(grants)), read_only not in WRITABLE)


def is_empty(text: str) -> bool:
    """The answer to EMPTY; ObservationError where it does not read."""
    found = mysql.rows(text, "tables", "accounts")
    if sorted(map(len, found.values())) != [1, 1]:
        raise ObservationError("mysql: expected two numbers, got others")
    return all(rows == [("0",)] for rows in found.values())


def column(
    name: str, kind: str, *, nullable: bool = False, key: str = "", default: str = NO_DEFAULT, extra: str = ""
) -> str:
    """One column in words; `key` is PRI, UNI, MUL or empty, `default` as the server writes it."""
    value = "" if default == NO_DEFAULT else f"DEFAULT {mysql.default(default, kind)}"
    words = (name, mysql.column_type(kind), "" if nullable else "NOT NULL", key, value, mysql.besides(extra))
    return " ".join(filter(None, words))


def _grant(grantee: str, privilege: str, where: str, grantable: str) -> str:
    host = "" if grantee.endswith("@'%'") else f" (as {grantee})"
    return f"{privilege} on {where}{' WITH GRANT OPTION' if grantable == 'YES' else ''}{host}"
