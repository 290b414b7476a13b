"""A state store of an older Shoal brought to this one's tables."""

from __future__ import annotations

import sqlalchemy as sa

from shoal.adapters.sql import APPLIED
from shoal.adapters.sql_lease import Lease
from shoal.adapters.sql_schema import (
    META,
    STORE_VERSION,
    begin,
    check_schema,
    connect,
    create_tables,
    store_version,
    upsert,
)
from shoal.domain.time import Clock, system_clock


def migrate_store(url: str, *, clock: Clock = system_clock) -> int:
    """Bring a state store to this program's version, in one transaction; returns the one before.

    The customers' states are then made anew: they were folded by rules of the older program.

    Raises:
        OperationError: `shop_newer`; `shop_locked`, a process of the older program is at work.
    """
    engine = connect(url)
    try:
        before = store_version(engine) if sa.inspect(engine).has_table(META.name) else STORE_VERSION
        if 1 <= before < STORE_VERSION:
            with Lease(engine, clock).held(), begin(engine, write=True) as connection:
                create_tables(connection)
                for key, value in (("store_version", STORE_VERSION), (APPLIED, -1)):
                    row = {"key": key, "value": str(value)}
                    connection.execute(upsert(engine, META, "key"), row)
        check_schema(engine)
        return before
    finally:
        engine.dispose()
