"""Who is where in the membership log, asked one by one and page by page, in SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from shoal.adapters.sql_memberships import _ROWS_SCHEMA, _table
from shoal.adapters.sql_schema import MEMBERSHIPS, STATES
from shoal.domain.time import from_us
from shoal.ports import Standing

_NAMES: Final = ("segmentation_id", "segment_id", "weight", "cause", "margin")
#: Customers of whom the segment is looked up at once for a page of members: what a page costs does
#: not depend on how many customers there are, but on how rare its segment is.
_CUSTOMERS: Final = 2_000
#: What is asked of one customer, compiled once: what SQLAlchemy does for a statement takes several
#: times as long as reading two rows.
_CUSTOMER: Final = sa.bindparam("customer_id", type_=sa.Text)
_THERE: Final = sa.select(STATES.c.version).where(STATES.c.customer_id == _CUSTOMER)
_OWN: Final = (
    sa.select(*(MEMBERSHIPS.c[name] for name in (*_NAMES, "since_us")))
    .where(MEMBERSHIPS.c.customer_id == _CUSTOMER)
    .order_by(MEMBERSHIPS.c.position)
)
_COMPILED: Final[dict[tuple[str, int], tuple[str, bool]]] = {}


class SqlStandings:
    """`StandingStore` in a SQL database.

    Args:
        reading: gives a connection to read with.
    """

    def __init__(self, reading: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._reading = reading

    def of(self, customer_id: str, segmentations: Sequence[str]) -> Standing:
        """Where one customer is; see the port."""
        with self._reading() as connection:
            known = _asked(connection, _THERE, customer_id).first() is not None
            rows = _asked(connection, _OWN, customer_id).all() if segmentations else ()
        found = {row[0]: row for row in rows if row[0] in segmentations}  # the last one counts
        return Standing(
            known,
            {
                name: {**dict(zip(_NAMES, row, strict=False)), "since": from_us(row[-1])}
                for name, row in found.items()
            },
        )

    def members(
        self, segmentation_id: str, segment_id: str, *, upto: int, after: str, limit: int
    ) -> pa.Table:
        """Some members of a segment, by customer; see the port."""
        found: list[Any] = []
        with self._reading() as connection:
            while len(found) < limit:
                asked = _latest(segmentation_id, upto, after).limit(_CUSTOMERS)
                block = connection.execute(asked).all()
                if not block:
                    break
                rows = sa.select(MEMBERSHIPS).where(
                    MEMBERSHIPS.c.position.in_([row.position for row in block]),
                    MEMBERSHIPS.c.segment_id == segment_id,
                )
                found += connection.execute(rows.order_by(MEMBERSHIPS.c.customer_id)).all()
                after = block[-1].customer_id
        table = _table(found[:limit]) if found else _ROWS_SCHEMA.empty_table()
        return table.drop_columns("position")

    def sizes(self, segmentation_id: str, upto: int) -> Mapping[str, int]:
        """Customers of each segment; see the port."""
        latest = (
            sa.select(sa.func.max(MEMBERSHIPS.c.position))
            .where(MEMBERSHIPS.c.segmentation_id == segmentation_id)
            .where(MEMBERSHIPS.c.position <= upto)
            .group_by(MEMBERSHIPS.c.customer_id)
        )
        counted: Any = (
            sa.select(MEMBERSHIPS.c.segment_id, sa.func.count())
            .where(MEMBERSHIPS.c.position.in_(latest))
            .group_by(MEMBERSHIPS.c.segment_id)
        )
        with self._reading() as connection:
            return {row[0]: int(row[1]) for row in connection.execute(counted)}


def _asked(connection: sa.Connection, query: sa.Select[Any], customer_id: str) -> Any:
    """Rows of a query about one customer."""
    key = (connection.dialect.name, id(query))
    known = _COMPILED.get(key)
    if known is None:
        compiled = query.compile(dialect=connection.dialect)
        known = _COMPILED[key] = (str(compiled), compiled.positiontup is not None)
    text, positional = known
    given: Any = (customer_id,) if positional else {"customer_id": customer_id}
    return connection.exec_driver_sql(text, given)


def _latest(segmentation_id: str, upto: int, after: str) -> sa.Select[Any]:
    """The position of each customer's latest membership, by customer; read off an index."""
    return (
        sa.select(MEMBERSHIPS.c.customer_id, sa.func.max(MEMBERSHIPS.c.position).label("position"))
        .where(MEMBERSHIPS.c.segmentation_id == segmentation_id)
        .where(MEMBERSHIPS.c.customer_id > after, MEMBERSHIPS.c.position <= upto)
        .group_by(MEMBERSHIPS.c.customer_id)
        .order_by(MEMBERSHIPS.c.customer_id)
    )
