"""A state store of an older Shoal brought to this one's tables, and back."""

from __future__ import annotations

from shoal.adapters.postgres import Namespace
from shoal.adapters.sql_lease import Lease
from shoal.adapters.sql_revisions import STORE, known_version, move
from shoal.adapters.sql_schema import STORE_VERSION, Where, begin, check_schema, connect, place
from shoal.domain.errors import UsageError
from shoal.domain.time import Clock, system_clock


def migrate_store(where: Where, *, to: int | None = None, clock: Clock = system_clock) -> int:
    """Bring a state store to a schema version, in one transaction; returns the one before.

    What each version has that the one before had not is told by `shoal.adapters.revisions.store`.

    Args:
        to: the version, also an older one; None: this program's.

    Raises:
        UsageError: `usage`, there is no such version, or events would be lost by going back.
        OperationError: `shop_newer`; `shop_locked`, a process of the older program is at work.
    """
    engine = connect(where)
    try:
        with begin(engine, write=False) as connection:
            before = known_version(connection, STORE)
        target = STORE_VERSION if to is None else to
        if not 1 <= target <= STORE_VERSION:
            raise UsageError(
                "usage", f"the state store has no schema version {target}", where=place(engine),
                hint=f"Versions: 1 to {STORE_VERSION}, the one of this program.",
            )  # fmt: skip
        if 1 <= before <= STORE_VERSION and before != target:
            lock = where.lock("lease") if isinstance(where, Namespace) else None
            with Lease(engine, clock, lock).held(), begin(engine, write=True) as connection:
                move(connection, STORE, target)
        if to is None or before > STORE_VERSION:
            check_schema(engine)
        return before or STORE_VERSION
    finally:
        engine.dispose()
