"""The membership log in SQL: rows are only ever added, but for a person who is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from shoal.adapters.sql_rows import WRITTEN, asked, write_many
from shoal.adapters.sql_schema import MEMBERSHIPS, META
from shoal.adapters.store_schema import LOG_SCHEMA, as_memberships
from shoal.domain.time import to_us
from shoal.segments.assign import MEMBERSHIPS_SCHEMA


class SqlMemberships:
    """The part of `SqlStateStore` that keeps memberships."""

    def _reading(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def _writing(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def put_memberships(self, memberships: pa.Table) -> None:
        """Append memberships; nothing older is touched."""
        if not memberships.num_rows:
            return
        rows = as_memberships(memberships)
        place = MEMBERSHIPS_SCHEMA.get_field_index("since")
        rows = rows.set_column(place, "since_us", rows["since"].cast(pa.int64()))
        with self._writing() as connection:
            for batch in rows.combine_chunks().to_batches(WRITTEN):  # a chunk may be empty
                columns = batch.to_pydict()
                if connection.dialect.name == "postgresql":
                    last = _count_up(connection, batch.num_rows)
                    columns["position"] = list(range(last - batch.num_rows + 1, last + 1))
                write_many(connection, sa.insert(MEMBERSHIPS), columns)

    def get_memberships(
        self,
        segmentation: str | Sequence[str],
        *,
        customers: Sequence[str] | None = None,
        as_of: datetime | None = None,
    ) -> pa.Table:
        """The latest membership of each customer, by customer; see the port."""
        wanted = [segmentation] if isinstance(segmentation, str) else list(segmentation)
        as_of_us = None if as_of is None else to_us(as_of)
        queries = (_latest(wanted, part, as_of_us) for part in _asked(customers))
        return self._rows(queries).drop_columns("position").sort_by("customer_id")

    def membership_history(
        self,
        customers: str | Sequence[str] | None = None,
        *,
        segmentations: Sequence[str] | None = None,
        upto: int | None = None,
    ) -> pa.Table:
        """Every membership of some customers, in some segmentations, as written."""
        names = [customers] if isinstance(customers, str) else customers
        rows = self._rows(_written(segmentations, part, upto) for part in _asked(names))
        return rows.sort_by("position").drop_columns("position")

    def last_membership(self) -> int:
        """The highest position that a row was ever given, also one that went; 0: none was."""
        given: Any = sa.select(META.c.value).where(META.c.key == GIVEN)
        with self._reading() as connection:
            if connection.dialect.name == "sqlite":
                given = sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'memberships'")
            return int(connection.scalar(given) or 0)

    def membership_log(
        self, after: int, rows: int, line_of: Callable[[str], Sequence[str]]
    ) -> pa.Table:
        """The next rows of the log, each with the segment before it; see the port."""
        page = sa.select(MEMBERSHIPS).where(MEMBERSHIPS.c.position > after)
        page = page.order_by(MEMBERSHIPS.c.position).limit(rows)
        before: dict[int, tuple[str, int]] = {}
        with self._reading() as connection:
            found = connection.execute(page).all()
            lines: dict[tuple[str, ...], list[int]] = {}
            for name in {row.segmentation_id for row in found}:
                own = [row.position for row in found if row.segmentation_id == name]
                lines.setdefault(tuple(line_of(name)), []).extend(own)
            for line, places in lines.items():
                for part in asked(places):
                    for place, segment, since in connection.execute(_before(part, line)).all():
                        before[place] = (segment, since)
        told = [before.get(row.position, (None, None)) for row in found]
        moments = pa.array([us for _, us in told], pa.int64())
        columns = [
            *_table(found).columns,
            pa.array([segment for segment, _ in told], pa.string()),
            moments.cast(LOG_SCHEMA.field("before_since").type),
        ]
        return pa.table(columns, schema=LOG_SCHEMA)

    def _rows(self, queries: Iterable[Any]) -> pa.Table:
        """What queries of whole rows find, as `_ROWS_SCHEMA`."""
        with self._reading() as connection:
            tables = [
                _table(rows)
                for query in queries
                for rows in connection.execute(query).partitions(WRITTEN)
            ]
        return pa.concat_tables([_ROWS_SCHEMA.empty_table(), *tables])

    @staticmethod
    def _forget_memberships(connection: sa.Connection, ids: Sequence[str]) -> int:
        """Remove every row of some customers, of whatever age; how many there were."""
        gone = 0
        for part in asked(ids):
            theirs = MEMBERSHIPS.c.customer_id.in_(part)
            gone += connection.execute(sa.delete(MEMBERSHIPS).where(theirs)).rowcount
        return gone


#: Row of `meta` in a PostgreSQL database: the highest position that a membership was ever given. A
#: sequence would leave gaps where a transaction was undone, and gaps tell of rows that were lost.
GIVEN: Final = "memberships"
_COUNT_UP: Final = (
    "INSERT INTO meta (key, value) VALUES (%(key)s, %(more)s) ON CONFLICT (key) DO UPDATE "
    "SET value = CAST(CAST(meta.value AS BIGINT) + CAST(excluded.value AS BIGINT) AS TEXT) "
    "RETURNING value"
)


def _count_up(connection: sa.Connection, more: int) -> int:
    """Give away positions, inside the transaction that uses them; returns the last of them."""
    given = {"key": GIVEN, "more": str(more)}
    return int(connection.exec_driver_sql(_COUNT_UP, given).scalar() or 0)


#: A row as it is kept: its position, then `MEMBERSHIPS_SCHEMA`.
_ROWS_SCHEMA: Final = pa.schema([pa.field("position", pa.int64()), *MEMBERSHIPS_SCHEMA])


def _asked(customers: Sequence[str] | None) -> Iterable[Sequence[str] | None]:
    return [None] if customers is None else asked(customers)


def _latest(
    segmentations: Sequence[str], customers: Sequence[str] | None, as_of_us: int | None
) -> Any:
    """The row of each customer that was written last."""
    latest = (
        sa.select(sa.func.max(MEMBERSHIPS.c.position))
        .where(MEMBERSHIPS.c.segmentation_id.in_(segmentations))
        .group_by(MEMBERSHIPS.c.customer_id)
    )
    if customers is not None:
        latest = latest.where(MEMBERSHIPS.c.customer_id.in_(customers))
    if as_of_us is not None:
        latest = latest.where(MEMBERSHIPS.c.since_us <= as_of_us)
    return sa.select(MEMBERSHIPS).where(MEMBERSHIPS.c.position.in_(latest))


def _before(places: Sequence[int], line: Sequence[str]) -> Any:
    """Of rows at some positions: segment and beginning of the one before in the line, if any.

    Rows are asked for by position: by segmentation, all that it has would be gone through.
    """
    rows, earlier = MEMBERSHIPS.alias("rows"), MEMBERSHIPS.alias("earlier")
    one = MEMBERSHIPS.alias("one")
    place = (
        sa.select(sa.func.max(earlier.c.position))
        .where(earlier.c.customer_id == rows.c.customer_id)
        .where(earlier.c.position < rows.c.position)
        .where(earlier.c.segmentation_id.in_(line))
        .correlate(rows)
        .scalar_subquery()
    )
    return (
        sa.select(rows.c.position, one.c.segment_id, one.c.since_us)
        .select_from(rows)
        .join(one, one.c.position == place)
        .where(rows.c.position.in_(places))
    )


def _written(
    segmentations: Sequence[str] | None, customers: Sequence[str] | None, upto: int | None
) -> Any:
    query = sa.select(MEMBERSHIPS)
    if upto is not None:
        query = query.where(MEMBERSHIPS.c.position <= upto)
    if segmentations is not None:
        query = query.where(MEMBERSHIPS.c.segmentation_id.in_(list(segmentations)))
    if customers is not None:
        query = query.where(MEMBERSHIPS.c.customer_id.in_(customers))
    return query


def _table(rows: Sequence[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(_ROWS_SCHEMA)
    arrays = [
        pa.array(column, pa.int64()).cast(field.type)
        if field.name == "since"
        else pa.array(column, field.type)
        for column, field in zip(columns, _ROWS_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=_ROWS_SCHEMA)
