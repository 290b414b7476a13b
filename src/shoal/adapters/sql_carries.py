"""Carries of behaviour models in the SQL state store, beside the customers' states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from shoal.adapters.sql_rows import WRITTEN, asked, views, write_many
from shoal.adapters.sql_schema import CARRIES, STATES, upsert
from shoal.adapters.store_schema import CARRIES_SCHEMA

Connected = Callable[[], AbstractContextManager[sa.Connection]]


def _own(model_id: str) -> Any:
    """The condition that a carry is of a model."""
    return CARRIES.c.model_id == model_id


class SqlCarries:
    """`CarryStore` in a SQL database, inside the transactions of the store it belongs to."""

    def __init__(self, engine: sa.Engine, reading: Connected, writing: Connected) -> None:
        self._engine = engine
        self._reading = reading
        self._writing = writing

    def get(self, model_id: str, customers: Sequence[str]) -> pa.Table:
        """A model's carries (`CARRIES_SCHEMA`) of those asked for and known, by customer."""
        query = sa.select(*(CARRIES.c[name] for name in CARRIES_SCHEMA.names))
        query = query.where(_own(model_id))
        tables = [CARRIES_SCHEMA.empty_table()]
        with self._reading() as connection:
            for part in asked(customers):
                rows = connection.execute(query.where(CARRIES.c.customer_id.in_(part))).all()
                tables.append(_table(rows))
        return pa.concat_tables(tables).sort_by("customer_id")

    def put(self, model_id: str, carries: pa.Table) -> None:
        """Insert or replace carries (`CARRIES_SCHEMA`)."""
        if not carries.num_rows:
            return
        statement = upsert(self._engine, CARRIES, "customer_id", "model_id")
        with self._writing() as connection:
            for batch in carries.select(CARRIES_SCHEMA.names).to_batches(WRITTEN):
                columns: dict[str, Sequence[Any]] = {
                    name: batch[name].to_pylist() for name in ("customer_id", "version", "last_us")
                }
                columns["body"] = views(batch["body"])
                columns["model_id"] = [model_id] * batch.num_rows
                write_many(connection, statement, columns)

    def lacking(self, model_id: str) -> list[str]:
        """Customers with a state and without a carry of a model, sorted."""
        same = sa.and_(CARRIES.c.customer_id == STATES.c.customer_id, _own(model_id))
        joined = STATES.outerjoin(CARRIES, same)
        query = (
            sa.select(STATES.c.customer_id)
            .select_from(joined)
            .where(CARRIES.c.customer_id.is_(None))
        )
        with self._reading() as connection:
            return sorted(connection.scalars(query))

    def delete(self, model_id: str, customers: Sequence[str] | None) -> None:
        """Remove a model's carries of some customers, or (None) of all."""
        own = sa.delete(CARRIES).where(_own(model_id))
        with self._writing() as connection:
            if customers is None:
                connection.execute(own)
                return
            for part in asked(customers):
                connection.execute(own.where(CARRIES.c.customer_id.in_(part)))

    def delete_since(self, model_id: str, moment_us: int) -> None:
        """Remove a model's carries of customers with an event at or after a moment."""
        later = sa.and_(_own(model_id), CARRIES.c.last_us >= moment_us)
        with self._writing() as connection:
            connection.execute(sa.delete(CARRIES).where(later))

    def forget(self, customers: Sequence[str]) -> int:
        """Remove every model's carries of some customers; how many there were."""
        gone = 0
        with self._writing() as connection:
            for part in asked(customers):
                theirs = sa.delete(CARRIES).where(CARRIES.c.customer_id.in_(part))
                gone += connection.execute(theirs).rowcount
        return gone


def _table(rows: Sequence[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(CARRIES_SCHEMA)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, CARRIES_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=CARRIES_SCHEMA)
