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


class SqlStandings:
    """`StandingStore` in a SQL database.

    Args:
        reading: gives a connection to read with.
    """

    def __init__(self, reading: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._reading = reading

    def of(self, customer_id: str, segmentations: Sequence[str]) -> Standing:
        """Where one customer is; see the port."""
        latest = (
            sa.select(sa.func.max(MEMBERSHIPS.c.position))
            .where(MEMBERSHIPS.c.customer_id == customer_id)
            .where(MEMBERSHIPS.c.segmentation_id.in_(segmentations))
            .group_by(MEMBERSHIPS.c.segmentation_id)
        )
        rows = sa.select(MEMBERSHIPS).where(MEMBERSHIPS.c.position.in_(latest))
        there = sa.select(sa.literal(1)).where(STATES.c.customer_id == customer_id)
        with self._reading() as connection:
            known = connection.scalar(there) is not None
            found = connection.execute(rows).all()
        return Standing(
            known,
            {row.segmentation_id: {**{name: getattr(row, name) for name in _NAMES},
                                   "since": from_us(row.since_us)} for row in found},
        )  # fmt: skip

    def members(
        self, segmentation_id: str, segment_id: str, *, upto: int, after: str, limit: int
    ) -> pa.Table:
        """Some members of a segment, by customer; see the port."""
        latest = (
            sa.select(
                MEMBERSHIPS.c.customer_id, sa.func.max(MEMBERSHIPS.c.position).label("position")
            )
            .where(MEMBERSHIPS.c.segmentation_id == segmentation_id)
            .where(MEMBERSHIPS.c.customer_id > after, MEMBERSHIPS.c.position <= upto)
            .group_by(MEMBERSHIPS.c.customer_id)
            .subquery()
        )
        rows = (
            sa.select(MEMBERSHIPS)
            .select_from(latest.join(MEMBERSHIPS, MEMBERSHIPS.c.position == latest.c.position))
            .where(MEMBERSHIPS.c.segment_id == segment_id)
            .order_by(latest.c.customer_id)
            .limit(limit)
        )
        with self._reading() as connection:
            found = connection.execute(rows).all()
        table = _table(found) if found else _ROWS_SCHEMA.empty_table()
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
