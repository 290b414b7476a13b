"""Who is where in the membership log, asked one by one and page by page, in SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from shoal.adapters.sql_memberships import _ROWS_SCHEMA, _table
from shoal.adapters.sql_schema import MEMBERSHIPS, STATES, failures_told
from shoal.adapters.sqlite_reads import QuickReads
from shoal.domain.time import from_us
from shoal.ports import Standing

_NAMES: Final = ("segmentation_id", "segment_id", "weight", "cause", "margin")
#: Customers of whom the segment is looked up at once for a page of members: what a page costs does
#: not depend on how many customers there are, but on how rare its segment is.
_CUSTOMERS: Final = 2_000
#: What is asked of one customer in so many segmentations, compiled once by dialect: what SQLAlchemy
#: does for a statement takes several times as long as reading the rows.
_COMPILED: Final[dict[tuple[str, int], tuple[str, Sequence[str] | None]]] = {}
_CUSTOMER: Final = "customer_id"


class SqlStandings:
    """`StandingStore` in a SQL database.

    Args:
        reading: gives a connection to read with.
        current: the connection of a transaction that the thread is in; None: it is in none.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[sa.Connection]],
        current: Callable[[], sa.Connection | None] = lambda: None,
    ) -> None:
        self._reading, self._current = reading, current
        self._engine: sa.Engine | None = None
        self._quick: QuickReads | None = None

    def of(self, customer_id: str, segmentations: Sequence[str]) -> Standing:
        """Where one customer is; see the port."""
        rows = self._looked_up(customer_id, tuple(segmentations))
        return Standing(
            any(row[0] is None for row in rows),
            {
                row[0]: {**dict(zip(_NAMES, row, strict=False)), "since": from_us(row[-1])}
                for row in rows
                if row[0] is not None
            },
        )

    def _looked_up(self, customer_id: str, segmentations: tuple[str, ...]) -> Sequence[Any]:
        """The latest membership in each segmentation; of a known customer also a row of nulls."""
        if self._engine is None:
            with self._reading() as connection:
                engine = connection.engine
            if engine.dialect.name == "sqlite" and engine.url.database:
                self._quick = QuickReads(engine)
            self._engine = engine
        text, places = _compiled(self._engine.dialect, len(segmentations))
        given = {_CUSTOMER: customer_id, **{f"s{n}": one for n, one in enumerate(segmentations)}}
        by_place = tuple(given[place] for place in places or ())
        if self._quick is not None and self._current() is None:
            with failures_told(self._engine):
                return self._quick.rows(text, by_place)
        with self._reading() as connection:
            return connection.exec_driver_sql(text, given if places is None else by_place).all()

    def members(
        self,
        segmentation_id: str | Sequence[str],
        segment_id: str,
        *,
        upto: int,
        after: str,
        limit: int,
    ) -> pa.Table:
        """Some members of a segment, by customer; see the port."""
        found: list[Any] = []
        with self._reading() as connection:
            while len(found) < limit:
                block, last = _block(connection, _named(segmentation_id), upto, after)
                if not block:
                    break
                rows = sa.select(MEMBERSHIPS).where(
                    MEMBERSHIPS.c.position.in_(block), MEMBERSHIPS.c.segment_id == segment_id
                )
                found += connection.execute(rows.order_by(MEMBERSHIPS.c.customer_id)).all()
                after = last
        table = _table(found[:limit]) if found else _ROWS_SCHEMA.empty_table()
        return table.drop_columns("position")

    def sizes(self, segmentation_id: str | Sequence[str], upto: int) -> Mapping[str, int]:
        """Customers of each segment; see the port."""
        latest = (
            sa.select(sa.func.max(MEMBERSHIPS.c.position))
            .where(MEMBERSHIPS.c.segmentation_id.in_(_named(segmentation_id)))
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


def _compiled(dialect: sa.Dialect, segmentations: int) -> tuple[str, Sequence[str] | None]:
    """The text of what is asked of a customer, and the names of its parameters by place; None: they
    go by name."""
    key = (dialect.name, segmentations)
    if key not in _COMPILED:
        compiled = _own(segmentations).compile(dialect=dialect)
        _COMPILED[key] = (str(compiled), compiled.positiontup)
    return _COMPILED[key]


def _own(segmentations: int) -> Any:
    """A row of nulls of a customer who is known, and the latest membership in each segmentation."""
    customer = sa.bindparam(_CUSTOMER, type_=sa.Text)
    columns = [MEMBERSHIPS.c[name] for name in (*_NAMES, "since_us")]
    nulls = [sa.cast(sa.null(), one.type).label(one.name) for one in columns]
    parts: list[Any] = [sa.select(*nulls).where(STATES.c.customer_id == customer)]
    for number in range(segmentations):
        latest = (
            sa.select(sa.func.max(MEMBERSHIPS.c.position))
            .where(MEMBERSHIPS.c.segmentation_id == sa.bindparam(f"s{number}", type_=sa.Text))
            .where(MEMBERSHIPS.c.customer_id == customer)
        )
        parts.append(sa.select(*columns).where(MEMBERSHIPS.c.position == latest.scalar_subquery()))
    return sa.union_all(*parts)


def _named(segmentation_id: str | Sequence[str]) -> list[str]:
    return [segmentation_id] if isinstance(segmentation_id, str) else list(segmentation_id)


def _block(
    connection: sa.Connection, segmentations: Sequence[str], upto: int, after: str
) -> tuple[list[int], str]:
    """Positions of the latest memberships of the next customers, and the last of these; each
    segmentation is read off the index by itself."""
    parts = [
        connection.execute(_latest(one, upto, after).limit(_CUSTOMERS)).all()
        for one in segmentations
    ]
    # Behind the end of a part that goes on the others are not told yet.
    ends = [part[-1].customer_id for part in parts if len(part) == _CUSTOMERS]
    last = min(ends) if ends else max((part[-1].customer_id for part in parts if part), default="")
    found: dict[str, int] = {}
    for row in (row for part in parts for row in part if row.customer_id <= last):
        found[row.customer_id] = max(row.position, found.get(row.customer_id, 0))
    return list(found.values()), last


def _latest(segmentation_id: str, upto: int, after: str) -> sa.Select[Any]:
    """The position of each customer's latest membership, by customer; read off an index."""
    return (
        sa.select(MEMBERSHIPS.c.customer_id, sa.func.max(MEMBERSHIPS.c.position).label("position"))
        .where(MEMBERSHIPS.c.segmentation_id == segmentation_id)
        .where(MEMBERSHIPS.c.customer_id > after, MEMBERSHIPS.c.position <= upto)
        .group_by(MEMBERSHIPS.c.customer_id)
        .order_by(MEMBERSHIPS.c.customer_id)
    )
