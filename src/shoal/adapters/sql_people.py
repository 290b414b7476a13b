"""Links of identity in the SQL state store: replaced id by id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from shoal.adapters.sql_rows import asked
from shoal.adapters.sql_schema import _METADATA, NAME
from shoal.features.admission import LINKS_SCHEMA

LINKS: Final = sa.Table(
    "identity_links",
    _METADATA,
    sa.Column("id", NAME, primary_key=True),
    sa.Column("from_us", sa.BigInteger, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("customer_id", NAME, nullable=False, index=True),
    sa.Column("says", sa.Text, nullable=False),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
)

Connected = Callable[[], AbstractContextManager[sa.Connection]]


class SqlPeople:
    """`PeopleStore` in a SQL database, inside the transactions of the store it belongs to."""

    def __init__(self, reading: Connected, writing: Connected) -> None:
        self._reading = reading
        self._writing = writing

    def links(
        self, *, ids: Sequence[str] | None = None, customers: Sequence[str] | None = None
    ) -> pa.Table:
        """Links (`LINKS_SCHEMA`) of some ids, to some customers, or all, in order."""
        query = sa.select(*(LINKS.c[name] for name in LINKS_SCHEMA.names))
        with self._reading() as connection:
            found = (
                tuple(row)
                for condition in _conditions(ids, customers)
                for row in connection.execute(query.where(*condition))
            )
            rows = list(dict.fromkeys(found))  # a link may be of one of the ids to another of them
        columns = list(zip(*rows, strict=True)) or [()] * len(LINKS_SCHEMA)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, LINKS_SCHEMA, strict=True)]
        order = ("id", "from_us", "sequence", "event_id", "source")
        table = pa.Table.from_arrays(arrays, schema=LINKS_SCHEMA)
        return table.sort_by([(name, "ascending") for name in order])

    def replace_links(self, ids: Sequence[str] | None, links: pa.Table) -> None:
        """Let these be the links of some ids, or (None) all there are."""
        with self._writing() as connection:
            for condition in _conditions(ids, None):
                connection.execute(sa.delete(LINKS).where(*condition))
            for batch in links.select(LINKS_SCHEMA.names).to_batches(20_000):
                connection.execute(sa.insert(LINKS), batch.to_pylist())

    def forget(self, ids: Sequence[str]) -> int:
        """Remove every link of or to some ids; returns how many there were."""
        gone = 0
        with self._writing() as connection:
            for part in asked(ids):
                named = LINKS.c.id.in_(part) | LINKS.c.customer_id.in_(part)
                gone += connection.execute(sa.delete(LINKS).where(named)).rowcount
        return gone


def _conditions(
    ids: Sequence[str] | None, customers: Sequence[str] | None
) -> Iterator[tuple[Any, ...]]:
    """One condition for each query that together ask for the ids or the customers."""
    if ids is None and customers is None:
        yield ()
    for part in asked(ids or ()):
        yield (LINKS.c.id.in_(part),)
    for part in asked(customers or ()):
        yield (LINKS.c.customer_id.in_(part),)
