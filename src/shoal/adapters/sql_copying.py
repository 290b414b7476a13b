"""The rows of a shop's stores carried from PostgreSQL into SQLite files, and back.

So a backup of either is the same files, and each can be restored as the other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from shoal.adapters import sql_inbox, sql_memberships
from shoal.adapters.bucket_files import sync
from shoal.adapters.failures import translated
from shoal.adapters.high_water import mark_of
from shoal.adapters.postgres import Namespace, sample_no_persons
from shoal.adapters.postgres_audit import AUDIT_META, AUDIT_TABLES
from shoal.adapters.sql_audit import AUDIT_SCHEMA, AUDIT_VERSION
from shoal.adapters.sql_inbox import INBOX, INBOX_TABLES, INBOX_VERSION
from shoal.adapters.sql_rows import WRITTEN, number_on, write_many
from shoal.adapters.sql_schema import _METADATA, LEASE, MEMBERSHIPS, META, begin, connect, upsert
from shoal.adapters.sql_versions import set_version
from shoal.adapters.sql_webhooks import WEBHOOKS_TABLES, WEBHOOKS_VERSION

#: The stores of a shop and their tables; the state store last: what is copied later knows no less.
PARTS: Final = MappingProxyType(
    {
        "audit": (AUDIT_TABLES, AUDIT_VERSION),
        "inbox": (INBOX_TABLES, INBOX_VERSION),
        "webhooks": (WEBHOOKS_TABLES, WEBHOOKS_VERSION),
        "store": (_METADATA, 0),
    }
)
#: Tables whose highest number a PostgreSQL schema keeps in a row of another table, and that row.
_KEPT: Final = MappingProxyType(
    {
        INBOX.name: (sql_inbox.META, sql_inbox.GIVEN),
        MEMBERSHIPS.name: (META, sql_memberships.GIVEN),
    }
)


def to_file(namespace: Namespace, part: str, file: Path) -> None:
    """Copy a store as of one moment into a new SQLite file, with its mark; held by nobody.

    Raises:
        OperationError: `disk_full`, `no_permission`, `store_unreachable`, `shop_damaged`.
    """
    mark = namespace.mark(part)
    with translated(file):
        if mark.exists():  # read first: the database may be ahead of it, never behind
            shutil.copy(mark, mark_of(file))
        with _opened(namespace, part) as source, _opened(f"sqlite:///{file}", part) as target:
            _make(target, part)
            _carry(source, target, part)
        for made in (file, mark_of(file)):
            if made.exists():
                made.chmod(0o600)
                sync(made)


def from_file(file: Path, part: str, namespace: Namespace) -> None:
    """Let an empty schema hold what a SQLite file does, with its mark.

    Raises:
        OperationError: `disk_full`, `no_permission`, `store_unreachable`, `shop_damaged`.
    """
    with translated(file):
        with _opened(f"sqlite:///{file}", part) as source, _opened(namespace, part) as target:
            _make(target, part)
            _carry(source, target, part)
        if mark_of(file).exists():
            shutil.copy(mark_of(file), namespace.mark(part))


@contextmanager
def _opened(where: str | Namespace, part: str) -> Iterator[sa.Engine]:
    engine = connect(where, part)
    try:
        yield engine
    finally:
        engine.dispose()


def _make(target: sa.Engine, part: str) -> None:
    """The tables of a store, without a row."""
    tables, version = PARTS[part]
    with begin(target, write=True) as connection:
        if part == "audit" and target.dialect.name == "sqlite":
            for statement in AUDIT_SCHEMA:
                connection.exec_driver_sql(statement)
            return
        tables.create_all(connection)
        if version:
            set_version(connection, part, version)
        if part == "audit":
            connection.execute(sa.delete(AUDIT_META))  # it gets the secret of the copied log
        if target.dialect.name == "postgresql":
            sample_no_persons(connection)


def _carry(source: sa.Engine, target: sa.Engine, part: str) -> None:
    """Every row but who writes, in one transaction on either side; numbers go on behind theirs."""
    tables, _ = PARTS[part]
    with begin(source, write=False) as read, begin(target, write=True) as written:
        there = set(sa.inspect(read).get_table_names())
        for table in tables.sorted_tables:
            if table is LEASE or table.name not in there:
                continue
            rows = read.execution_options(yield_per=WRITTEN).execute(sa.select(table))
            for some in rows.partitions(WRITTEN):
                columns = zip(*some, strict=True)
                given = dict(zip(table.columns.keys(), map(list, columns), strict=True))
                write_many(written, sa.insert(table), given)
        for table in tables.sorted_tables:
            if table.name in there and table.dialect_options["sqlite"]["autoincrement"]:
                _number_on(written, table, _highest(read, table))


def _highest(connection: sa.Connection, table: sa.Table) -> int:
    """The highest number that a row was ever given, also one that went."""
    asked: Any
    if connection.dialect.name == "sqlite":
        asked = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return int(connection.scalar(asked, {"name": table.name}) or 0)
    if table.name in _KEPT:
        kept, key = _KEPT[table.name]
        return int(connection.scalar(sa.select(kept.c.value).where(kept.c.key == key)) or 0)
    (column,) = table.primary_key.columns
    sequence = connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, column.name)))
    asked = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}"
    return int(connection.exec_driver_sql(asked).scalar() or 0)


def _number_on(connection: sa.Connection, table: sa.Table, highest: int) -> None:
    """Let a table's next row have the number behind one."""
    if table.name in _KEPT:
        kept, key = _KEPT[table.name]
        connection.execute(sa.delete(kept).where(kept.c.key == key))
        if connection.dialect.name != "sqlite":
            text = isinstance(kept.c.value.type, sa.Text)
            row = {"key": key, "value": str(highest) if text else highest}
            connection.execute(upsert(connection.engine, kept, "key"), row)
            return
    if connection.dialect.name != "sqlite":
        number_on(connection, table, highest)
    elif highest:
        name = {"name": table.name, "seq": highest}
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), name)
        put = "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"
        connection.execute(sa.text(put), name)
