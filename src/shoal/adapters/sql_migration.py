"""A state store of an older Shoal brought to this one's tables."""

from __future__ import annotations

import sqlalchemy as sa

from shoal.adapters.postgres import Namespace
from shoal.adapters.sql import APPLIED
from shoal.adapters.sql_lease import Lease
from shoal.adapters.sql_schema import (
    MEMBERSHIPS,
    META,
    STORE_VERSION,
    Where,
    begin,
    check_schema,
    connect,
    create_tables,
    store_version,
    upsert,
)
from shoal.domain.time import Clock, system_clock


def migrate_store(where: Where, *, clock: Clock = system_clock) -> int:
    """Bring a state store to this program's version, in one transaction; returns the one before.

    States of version 1 are then made anew: they were folded by rules of the older program. Version
    3 keeps a margin with every membership; those recorded before have none. Version 4 has a table
    for what behaviour models keep of customers, which is filled when it is needed; version 5 one
    for keys of the service.

    Raises:
        OperationError: `shop_newer`; `shop_locked`, a process of the older program is at work.
    """
    engine = connect(where)
    try:
        before = store_version(engine) if sa.inspect(engine).has_table(META.name) else STORE_VERSION
        if 1 <= before < STORE_VERSION:
            lock = where.lock("lease") if isinstance(where, Namespace) else None
            with Lease(engine, clock, lock).held(), begin(engine, write=True) as connection:
                create_tables(connection)
                _add_margins(connection)
                said = {"store_version": STORE_VERSION} | ({APPLIED: -1} if before < 2 else {})
                for key, value in said.items():
                    row = {"key": key, "value": str(value)}
                    connection.execute(upsert(engine, META, "key"), row)
        check_schema(engine)
        return before
    finally:
        engine.dispose()


def _add_margins(connection: sa.Connection) -> None:
    """Give the membership log of an older store what it lacks of this one's."""
    margin = MEMBERSHIPS.c.margin
    there = {column["name"] for column in sa.inspect(connection).get_columns(MEMBERSHIPS.name)}
    if margin.name not in there:
        kind = margin.type.compile(connection.dialect)
        connection.exec_driver_sql(
            f"ALTER TABLE {MEMBERSHIPS.name} ADD COLUMN {margin.name} {kind}"
        )
    for index in MEMBERSHIPS.indexes:
        index.create(connection, checkfirst=True)
