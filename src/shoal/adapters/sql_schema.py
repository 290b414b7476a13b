"""Tables of the SQL state store, how to connect to it, and what its failures mean to a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from shoal.adapters import postgres
from shoal.adapters.postgres import Namespace
from shoal.domain.errors import OperationError

#: Raised whenever a table below changes; `check_schema` compares it with what the store says.
STORE_VERSION: Final = 6

#: Where a store is: `sqlite:///PATH`, or a shop's schema of a PostgreSQL database.
Where: TypeAlias = str | Namespace

_METADATA = sa.MetaData()
#: SQLite numbers rows by itself only for a column of exactly type INTEGER.
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: A text by which rows are ordered: by code points, as SQLite and Arrow do, in every database.
NAME: Final = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")

META: Final = sa.Table(
    "meta",
    _METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
SETTINGS: Final = sa.Table(
    "settings",
    _METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
#: One row at most: who may write. Times are microseconds since 1970.
LEASE: Final = sa.Table(
    "lease",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("process_started", sa.Text, nullable=False),
    sa.Column("since_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger, nullable=False),
)
UNITS: Final = sa.Table(
    "units",
    _METADATA,
    sa.Column("position", _SERIAL, primary_key=True),
    sa.Column("unit", NAME, nullable=False, unique=True),
    sa.Column("document", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
STATES: Final = sa.Table(
    "customer_states",
    _METADATA,
    sa.Column("customer_id", NAME, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
#: What a behaviour model keeps of a customer; `version` is that of the event table whose events it
#: holds, `last_us` the time of the last of these.
CARRIES: Final = sa.Table(
    "carries",
    _METADATA,
    sa.Column("customer_id", NAME, primary_key=True),
    sa.Column("model_id", NAME, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("last_us", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
#: Events that states hold and the event table not yet, as Arrow streams.
LIVE: Final = sa.Table(
    "live_batches",
    _METADATA,
    sa.Column("number", _SERIAL, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("events", sa.LargeBinary, nullable=False),
    sa.Column("quarantined", sa.LargeBinary, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
#: Append-only: the latest row of a customer in a segmentation is the one with the highest position.
#: `margin` is null in rows of a store that was migrated from version 2 or before.
MEMBERSHIPS: Final = sa.Table(
    "memberships",
    _METADATA,
    sa.Column("position", _SERIAL, primary_key=True),
    sa.Column("customer_id", NAME, nullable=False),
    sa.Column("segmentation_id", NAME, nullable=False),
    sa.Column("segment_id", sa.Text, nullable=False),
    sa.Column("weight", sa.Double, nullable=False),
    sa.Column("since_us", sa.BigInteger, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("margin", sa.Double),
    sa.Index("memberships_latest", "segmentation_id", "customer_id", "position"),
    sa.Index("memberships_of_customer", "customer_id", "position"),
    sqlite_autoincrement=True,
)
POINTERS: Final = sa.Table(
    "pointers",
    _METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("moment_us", sa.BigInteger, nullable=False),
)
POINTER_HISTORY: Final = sa.Table(
    "pointer_history",
    _METADATA,
    sa.Column("position", _SERIAL, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("moment_us", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

_WRITE: Final = "shoal_write"
#: Pages of 4 KiB, of a store that is made now: a step of the stream writes a page for nearly every
#: customer whom it touches, and with bodies of 1.3 KB 4,000 of 20,000 customers were 18 MB that had
#: to reach the disk instead of 25 with 8 KiB. 200,000 rows in random order went in at 47,000 a
#: second of a core, and at 59,000 with 8 KiB; every later write of 4,000 took a twelfth less.
_SQLITE_PRAGMAS: Final = (
    "PRAGMA page_size = 4096",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA cache_size = -65536",
    "PRAGMA journal_size_limit = 67108864",
)


def connect(where: Where, part: str = "store") -> sa.Engine:
    """An engine for one writer at a time and many readers.

    Args:
        part: which of a shop's stores it is; each of them has writers of its own.

    Raises:
        OperationError: `missing_extra`.
    """
    if isinstance(where, Namespace):
        engine = postgres.connect(where)
        sa.event.listen(engine, "begin", _on_postgres_begin(where.lock(part)))
        return engine
    engine = sa.create_engine(where)
    sa.event.listen(engine, "connect", _on_sqlite_connect)
    sa.event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: sqlite3.Connection, _record: object) -> None:
    # sqlite3 would begin transactions by itself, too late and never IMMEDIATE; we begin them.
    connection.isolation_level = None
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(pragma)


def _on_sqlite_begin(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later could not wait its turn (SQLITE_BUSY at once).
    write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _on_postgres_begin(lock: int) -> Callable[[sa.Connection], None]:
    def wait_for_writers(connection: sa.Connection) -> None:
        if connection.get_execution_options().get(_WRITE, False):
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (lock,))

    return wait_for_writers


@contextmanager
def begin(engine: sa.Engine, *, write: bool) -> Iterator[sa.Connection]:
    """A transaction, committed when the block ends well; a writing one has the right to write."""
    options: dict[str, Any] = {_WRITE: write}
    if engine.dialect.name == "postgresql":
        # One who writes must see what was written while it waited; one who reads, one moment.
        level = "READ COMMITTED" if write else "REPEATABLE READ"
        options |= {"isolation_level": level, "postgresql_readonly": not write}
    with failures_told(engine), engine.connect() as connection:
        connection = connection.execution_options(**options)
        with connection.begin():
            yield connection


def upsert(engine: sa.Engine, table: sa.Table, *keys: str) -> Any:
    """`INSERT ... ON CONFLICT (keys) DO UPDATE` of all other columns, in the engine's dialect."""
    # Only the dialect at hand is loaded: the others cost a quarter of a second at every start.
    dialect = import_module(f"sqlalchemy.dialects.{engine.dialect.name}")
    statement: Any = dialect.insert(table)
    replaced = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in keys and not (column.primary_key and column.name == "position")
    }
    return statement.on_conflict_do_update(index_elements=list(keys), set_=replaced)


def check_schema(engine: sa.Engine) -> None:
    """Create the tables in an empty store; refuse a store of another schema version.

    Raises:
        OperationError: `shop_newer`, `shop_older`.
    """
    with begin(engine, write=False) as connection:
        exists = sa.inspect(connection).has_table(META.name)
    if not exists:
        with begin(engine, write=True) as connection:
            create_tables(connection)
            row = {"key": "store_version", "value": str(STORE_VERSION)}
            connection.execute(upsert(engine, META, "key"), row)
        return
    version = store_version(engine)
    where = place(engine)
    if version > STORE_VERSION:
        raise OperationError(
            "shop_newer",
            f"the shop's state store has schema version {version}, "
            f"this program knows up to {STORE_VERSION}",
            where,
            "Use the newer version of Shoal that wrote it.",
        )
    if version < STORE_VERSION:
        raise OperationError(
            "shop_older",
            f"the shop's state store has schema version {version}, "
            f"this program needs {STORE_VERSION}",
            where,
            "Copy the shop's directory as a backup, then run: shoal migrate "
            f"{Path(where).parent if where else 'SHOP'}",
        )


def create_tables(connection: sa.Connection) -> None:
    """Create the tables that are not there yet."""
    _METADATA.create_all(connection)
    if connection.dialect.name == "postgresql":
        postgres.sample_no_persons(connection)


def store_version(engine: sa.Engine) -> int:
    """The schema version of a store that has tables; 0 if it does not say."""
    with begin(engine, write=False) as connection:
        found = connection.scalar(sa.select(META.c.value).where(META.c.key == "store_version"))
    return int(found) if found is not None else 0


def place(engine: sa.Engine) -> str:
    """Where the store is, for messages: the file, or the address without its password."""
    return engine.url.database or "" if engine.dialect.name == "sqlite" else postgres.place(engine)


_FAILURES: Final = (
    ("disk is full", "disk_full", "Free some space and do the same again; nothing was half done."),
    ("locked", "shop_locked", "Wait until the other process has finished, then do the same again."),
    ("readonly", "no_permission", "Give this user the right to write there."),
    ("unable to open", "no_permission", "The folder must exist and be writable by this user."),
    (
        "malformed",
        "shop_damaged",
        "Move the file away: all but settings and memberships is rebuilt from the event table.",
    ),
    (
        "not a database",
        "shop_damaged",
        "Move the file away: all but settings and memberships is rebuilt from the event table.",
    ),
    ("disk i/o error", "shop_damaged", "Look at the disk's health and free space."),
)


@contextmanager
def failures_told(engine: sa.Engine) -> Iterator[None]:
    """Turn what the database driver raises into an error that a person can act on.

    Raises:
        OperationError: `disk_full`, `shop_locked`, `no_permission`, `shop_damaged` or
            `store_unreachable`.
    """
    try:
        yield
    except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
        cause = error.orig if isinstance(error, sa.exc.DatabaseError) else error
        known = failure if engine.dialect.name == "sqlite" else postgres.failure
        told = known(cause, place(engine))
        if told is None:
            raise
        raise told from error


def failure(cause: object, where: str) -> OperationError | None:
    """What to tell a person of what a database driver raised; None: it is no store's failure."""
    text = str(cause)
    for phrase, code, hint in _FAILURES:
        if phrase in text.lower():
            return OperationError(
                code, f"the shop's state store cannot be used: {text}", where, hint
            )
    return None
