"""The state store in SQL through SQLAlchemy Core: SQLite and PostgreSQL by the same statements.

One transaction may hold customer states, memberships, units and the applied table version, so a
kill at any moment leaves all of them as they were or all as they should be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from shoal.adapters.high_water import HighWater, count_up, counted, lacking, mark_of, told
from shoal.adapters.postgres import Namespace
from shoal.adapters.sql_carries import SqlCarries
from shoal.adapters.sql_erasures import SqlErasures
from shoal.adapters.sql_flags import SqlFlags
from shoal.adapters.sql_keys import SqlKeys
from shoal.adapters.sql_lease import Lease
from shoal.adapters.sql_live import SqlLive
from shoal.adapters.sql_memberships import SqlMemberships
from shoal.adapters.sql_people import SqlPeople
from shoal.adapters.sql_rows import WRITTEN, asked, views, write_many
from shoal.adapters.sql_schema import (
    META,
    POINTER_HISTORY,
    POINTERS,
    SETTINGS,
    STATES,
    UNITS,
    Where,
    begin,
    check_schema,
    connect,
    failures_told,
    place,
    upsert,
)
from shoal.adapters.sql_scrub import scrub, write_anew
from shoal.adapters.sql_standings import SqlStandings
from shoal.adapters.store_schema import STATES_SCHEMA
from shoal.domain.time import Clock, from_us, system_clock, to_us

#: Row of `meta` with the event-table version whose events the stored states hold.
APPLIED: Final = "applied_version"


class SqlStateStore(SqlMemberships):
    """`StateStore` in a SQL database; every method is safe to call from several threads.

    Args:
        where: `sqlite:////abs/shop.sqlite`, and the file is created if there is none; or the shop's
            schema of a PostgreSQL database.
        clock: what the lease asks for the time.

    Raises:
        OperationError: `shop_newer`, `shop_older`, `shop_damaged`, `no_permission`, `disk_full`,
            `shop_locked`, `store_unreachable`; from every method.
    """

    def __init__(self, where: Where, *, clock: Clock = system_clock) -> None:
        self._engine = connect(where)
        self._mark: HighWater | None = None
        try:
            self._hold_mark(where)
        except BaseException:
            self._engine.dispose()
            raise
        lock = where.lock("lease") if isinstance(where, Namespace) else None
        self._lease = Lease(self._engine, clock, lock)
        self._local = threading.local()
        self.flags = SqlFlags(self._reading, self._writing)
        self.people = SqlPeople(self._reading, self._writing)
        self.carries = SqlCarries(self._engine, self._reading, self._writing)
        self.erasures = SqlErasures(self._reading, self._writing)
        self.keys = SqlKeys(self._reading, self._writing)
        self.standings = SqlStandings(self._reading, self._current)
        self.live = SqlLive(self._engine, self._reading, self._writing)

    def close(self) -> None:
        """Give back the connections; SQLite then folds its write-ahead log into the file."""
        self._engine.dispose()
        if self._mark is not None:
            self._mark.close()

    def _hold_mark(self, where: Where) -> None:
        """Refuse a database that lacks transactions which were committed.

        Raises:
            OperationError: `shop_damaged`, and what `check_schema` raises.
        """
        file = self._engine.url.database
        if not file:
            check_schema(self._engine)
            return
        mark = where.mark("store") if isinstance(where, Namespace) else mark_of(Path(file))
        before = told(mark)  # read first: who writes meanwhile only makes it more
        check_schema(self._engine)
        with begin(self._engine, write=False) as connection:
            now = counted(connection)
        if now < before:
            raise lacking(place(self._engine), mark, before, now)
        self._mark = HighWater(mark)

    # lease and transactions

    def lease(self) -> AbstractContextManager[None]:
        """Hold the shop's single-writer lease; raises `shop_locked` if another process has it."""
        return self._lease.held()

    @property
    def taken_over(self) -> bool:
        """Whether who held the lease before never gave it back."""
        return self._lease.taken_over

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything this thread writes inside is committed together or not at all."""
        if self._current() is not None:
            yield
            return
        with begin(self._engine, write=True) as connection:
            self._lease.confirm(connection)
            self._local.connection = connection
            try:
                yield
            finally:
                self._local.connection = None
            number = count_up(connection) if self._mark is not None else 0
        if self._mark is not None:
            self._mark.rise(number)

    def _current(self) -> sa.Connection | None:
        return getattr(self._local, "connection", None)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        current = self._current()
        if current is not None:
            with failures_told(self._engine):
                yield current
            return
        with begin(self._engine, write=False) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self.transaction():
            current = self._current()
            assert current is not None
            yield current

    # settings, applied version

    def get_settings(self) -> dict[str, str]:
        with self._reading() as connection:
            rows = connection.execute(sa.select(SETTINGS.c.key, SETTINGS.c.value))
            return {row.key: row.value for row in rows}

    def put_setting(self, key: str, value: str) -> None:
        with self._writing() as connection:
            row = {"key": key, "value": value}
            connection.execute(upsert(self._engine, SETTINGS, "key"), row)

    def applied_version(self) -> int:
        """The event-table version whose events the stored states hold; -1 for none."""
        with self._reading() as connection:
            found = connection.scalar(sa.select(META.c.value).where(META.c.key == APPLIED))
        return -1 if found is None else int(found)

    def set_applied_version(self, version: int) -> None:
        with self._writing() as connection:
            row = {"key": APPLIED, "value": str(version)}
            connection.execute(upsert(self._engine, META, "key"), row)

    # customer states

    def get_states(self, customers: Sequence[str]) -> pa.Table:
        """Rows (`customer_id`, `version`, `body`) of the known ones asked for, by customer."""
        tables = []
        query = sa.select(STATES.c.customer_id, STATES.c.version, STATES.c.body)
        with self._reading() as connection:
            for part in asked(customers):
                rows = connection.execute(query.where(STATES.c.customer_id.in_(part))).all()
                tables.append(_states_table(rows))
        return _joined(tables, STATES_SCHEMA).sort_by("customer_id")

    def put_states(self, states: pa.Table) -> None:
        """Insert or replace states (`customer_id`, `version`, `body`)."""
        if not states.num_rows:
            return
        statement = upsert(self._engine, STATES, "customer_id")
        with self._writing() as connection:
            for batch in states.select(STATES_SCHEMA.names).to_batches(WRITTEN):
                columns = {
                    "customer_id": batch["customer_id"].to_pylist(),
                    "version": batch["version"].to_pylist(),
                    "body": views(batch["body"]),
                }
                write_many(connection, statement, columns)

    def delete_states(self, customers: Sequence[str]) -> None:
        """Remove states, and every model's carries of these customers."""
        with self._writing() as connection:
            self.carries.forget(customers)
            for part in asked(customers):
                connection.execute(sa.delete(STATES).where(STATES.c.customer_id.in_(part)))

    def count_states(self) -> int:
        with self._reading() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(STATES)) or 0)

    def customers_after(self, customer: str, most: int) -> list[str]:
        """The next customers with a state; see the port."""
        query = sa.select(STATES.c.customer_id).where(STATES.c.customer_id > customer)
        with self._reading() as connection:
            return list(connection.scalars(query.order_by(STATES.c.customer_id).limit(most)))

    def iter_states(self, rows_per_batch: int = 50_000) -> Iterator[pa.Table]:
        """All states in order of customer, in bounded batches; each batch is read on its own."""
        query = sa.select(STATES.c.customer_id, STATES.c.version, STATES.c.body).order_by(
            STATES.c.customer_id
        )
        page = query.limit(rows_per_batch)
        while True:
            with self._reading() as connection:
                rows = connection.execute(page).all()
            if rows:
                yield _states_table(rows)
            if len(rows) < rows_per_batch:
                return
            page = query.where(STATES.c.customer_id > rows[-1][0]).limit(rows_per_batch)

    # units

    def put_unit(self, unit: str, document: Mapping[str, Any]) -> None:
        """Remember an ingest's unit (file fingerprint, account, status) by name."""
        with self._writing() as connection:
            row = {"unit": unit, "document": json.dumps(dict(document), sort_keys=True)}
            connection.execute(upsert(self._engine, UNITS, "unit"), row)

    def get_unit(self, unit: str) -> dict[str, Any] | None:
        query = sa.select(UNITS.c.document).where(UNITS.c.unit == unit)
        with self._reading() as connection:
            found = connection.scalar(query)
        return None if found is None else dict(json.loads(found))

    def units(self) -> list[dict[str, Any]]:
        """All units, oldest first, each document with its name as `unit`."""
        query = sa.select(UNITS.c.unit, UNITS.c.document).order_by(UNITS.c.position)
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return [{**json.loads(document), "unit": unit} for unit, document in rows]

    def units_after(self, position: int) -> list[tuple[int, dict[str, Any]]]:
        """Units that came behind a position, each with its own; see the port."""
        query = sa.select(UNITS.c.position, UNITS.c.unit, UNITS.c.document)
        query = query.where(UNITS.c.position > position).order_by(UNITS.c.position)
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return [(place, {**json.loads(told), "unit": unit}) for place, unit, told in rows]

    def last_unit_number(self) -> int:
        """The highest `number` of a unit; 0 where there is none."""
        told = {
            "sqlite": "document ->> 'number'",
            "postgresql": "CAST(document AS json) ->> 'number'",
        }
        query = f"SELECT max(CAST({told[self._engine.dialect.name]} AS INTEGER)) FROM units"
        with self._reading() as connection:
            return int(connection.scalar(sa.text(query)) or 0)

    def forget(self, ids: Sequence[str]) -> dict[str, int]:
        """Remove states, carries, memberships and flags of some ids; how many rows, by table."""
        gone = {"states": 0, "carries": 0, "memberships": 0, "flags": 0}
        with self._writing() as connection:
            gone["carries"] = self.carries.forget(ids)
            for part in asked(ids):
                theirs = STATES.c.customer_id.in_(part)
                gone["states"] += connection.execute(sa.delete(STATES).where(theirs)).rowcount
            gone["memberships"] = self._forget_memberships(connection, ids)
            gone["flags"] = self.flags.flags(ids).num_rows
            self.flags.delete(ids)
        return gone

    def scrub(self, traces: Sequence[str] | None = None) -> None:
        """Let nothing of deleted rows remain in the database's files.

        `secure_delete` overwrites what is deleted, but copies that a page keeps of rows which moved
        to another page stay: see `shoal.adapters.sql_scrub`.

        Raises:
            OperationError: `shop_locked`, a reader keeps the log of writes from being emptied;
                `disk_full`, there is no room for the file to be written anew.
        """
        with failures_told(self._engine):
            if self._engine.dialect.name == "postgresql":
                write_anew(self._engine)
            else:
                scrub(self._engine, traces)

    # pointers

    def get_pointer(self, name: str) -> str | None:
        """What a pointer (for example `segmentation.main`) names now."""
        with self._reading() as connection:
            found: str | None = connection.scalar(
                sa.select(POINTERS.c.target).where(POINTERS.c.name == name)
            )
        return found

    def set_pointer(self, name: str, target: str, moment: datetime) -> None:
        row = {"name": name, "target": target, "moment_us": to_us(moment)}
        with self._writing() as connection:
            connection.execute(upsert(self._engine, POINTERS, "name"), row)
            connection.execute(sa.insert(POINTER_HISTORY), row)

    def pointers(self) -> dict[str, str]:
        """Every pointer and what it names now; an empty text: nothing any more."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(POINTERS.c.name, POINTERS.c.target))
            return {row.name: row.target for row in rows}

    def pointer_history(self, name: str) -> list[tuple[str, datetime]]:
        """What a pointer has named, oldest first, each with the moment it was set."""
        query = (
            sa.select(POINTER_HISTORY.c.target, POINTER_HISTORY.c.moment_us)
            .where(POINTER_HISTORY.c.name == name)
            .order_by(POINTER_HISTORY.c.position)
        )
        with self._reading() as connection:
            return [(target, from_us(us)) for target, us in connection.execute(query)]


def _states_table(rows: Sequence[Any]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(STATES_SCHEMA)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, STATES_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=STATES_SCHEMA)


def _joined(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    return pa.concat_tables(tables) if tables else schema.empty_table()
