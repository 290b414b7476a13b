"""Which form the tables of a store have, and how a new store gets them.

The state store says so in its table `meta`. The others say so in the head of their SQLite file, or
in a table of their own where several stores share a PostgreSQL schema.
"""

from __future__ import annotations

import sqlalchemy as sa

from shoal.adapters.postgres import sample_no_persons
from shoal.adapters.sql_schema import begin, place
from shoal.domain.errors import OperationError


def prepare(
    engine: sa.Engine, part: str, tables: sa.MetaData, version: int, *, what: str = ""
) -> None:
    """Make the tables of a store that has none, or bring those of an older one to a version.

    Args:
        part: the store's name.
        version: the one that this program knows.
        what: the store, for messages.

    Raises:
        OperationError: `shop_newer`.
    """
    with begin(engine, write=False) as connection:
        found = version_of(connection, part)
    if found == version:
        return
    with begin(engine, write=True) as connection:
        found = version_of(connection, part)
        if found > version:
            raise OperationError(
                "shop_newer",
                f"the shop's {what or part} {'have' if what.endswith('s') else 'has'} schema "
                f"version {found}, this program knows up to {version}",
                place(engine),
                "Use the newer version of Shoal that wrote it.",
            )
        if found:
            from shoal.adapters.sql_revisions import move  # what most starts do without

            move(connection, part, version)
        else:
            tables.create_all(connection)
            set_version(connection, part, version)
            if connection.dialect.name == "postgresql":
                sample_no_persons(connection)


def version_of(connection: sa.Connection, part: str) -> int:
    """The version of a store's tables; 0: it has none."""
    if connection.dialect.name == "sqlite":
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
    table = _table(part)
    if not sa.inspect(connection).has_table(table.name):
        return 0
    return int(connection.scalar(sa.select(table.c.version_num)) or 0)


def set_version(connection: sa.Connection, part: str, version: int) -> None:
    """Let this be the version of a store's tables."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")
        return
    table = _table(part)
    table.create(connection, checkfirst=True)
    connection.execute(sa.delete(table))
    connection.execute(sa.insert(table), {"version_num": f"{version:04d}"})


def _table(part: str) -> sa.Table:
    return sa.Table(
        f"{part}_revision",
        sa.MetaData(),
        sa.Column("version_num", sa.String(32), primary_key=True),
    )
