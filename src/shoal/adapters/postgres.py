"""A PostgreSQL database that several shops may share: each has a schema of its own in it.

What SQLite does for the statements of the stores is done here: one writer at a time waits for the
others (advisory locks instead of `BEGIN IMMEDIATE`), a reader sees one moment (`REPEATABLE READ`),
and a commit is on disk before anybody is told.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from shoal.config import FILE_NAME, StoreConfig
from shoal.domain.errors import OperationError, UsageError

#: Where the environment holds the address, and a file with the password.
URL_VARIABLE: Final = "SHOAL_STORE_URL"
PASSWORD_VARIABLE: Final = "SHOAL_STORE_PASSWORD_FILE"
_DRIVER: Final = "postgresql+psycopg"
#: How long a connection, and another who writes, is waited for.
_CONNECT_S: Final = 10
_WAIT_MS: Final = 10_000
#: A machine that went away without a word holds the lease no longer than 30 + 3 x 10 seconds.
_SETTINGS: Final = {
    "lock_timeout": str(_WAIT_MS),
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True)
class Namespace:
    """A shop's schema of a PostgreSQL database.

    Args:
        url: of the database, with the password if there is one; it is shown nowhere.
        name: of the schema.
        directory: of the shop: how far each store was written is marked there.
    """

    url: str = field(repr=False)
    name: str
    directory: Path

    def mark(self, part: str) -> Path:
        """The file that says how far a store was written."""
        return self.directory / f"{part}.mark"

    def lock(self, part: str) -> int:
        """The number of an advisory lock of the shop; locks are shared by a whole database."""
        digest = hashlib.blake2b(f"{self.name}/{part}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


def namespace_of(
    store: StoreConfig, directory: Path, environment: Mapping[str, str] = os.environ
) -> Namespace | None:
    """Where a shop's online state lies; None: in SQLite files of its directory.

    Raises:
        UsageError: `bad_setting`, there is no address, or it is none.
        OperationError: `no_permission`, the file of the password cannot be read.
    """
    if not store.namespace:
        return None
    given = environment.get(URL_VARIABLE, "")
    if not given and not store.url:
        raise UsageError(
            "bad_setting",
            "the shop's state lies in a PostgreSQL database, and nothing says where that is",
            where=FILE_NAME,
            hint=f"Set url of [store], or {URL_VARIABLE}=postgresql://USER:PASSWORD@HOST/DATABASE "
            "in the environment.",
        )
    url = _address(given or store.url, URL_VARIABLE if given else "store.url")
    path = environment.get(PASSWORD_VARIABLE, "")
    if path and url.password is None:
        url = url.set(password=_password(Path(path)))
    return Namespace(url.render_as_string(hide_password=False), store.namespace, directory)


def _address(text: str, where: str) -> sa.URL:
    """The address in the form that the driver takes; what is wrong with it is told without it."""
    try:
        url = sa.make_url(text)
        known = url.get_backend_name() in ("postgresql", "postgres") and bool(url.database)
    except (sa.exc.ArgumentError, ValueError):
        known = False
    if not known or "password" in url.query:
        raise UsageError(
            "bad_setting",
            "the address of the PostgreSQL database cannot be read",
            where=where,
            hint="Allowed: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ in the "
            "password, or postgresql://USER@/DATABASE?host=/DIRECTORY/OF/THE/SOCKET.",
        )
    return url.set(drivername=_DRIVER)


def _password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(
            "no_permission",
            f"the file that {PASSWORD_VARIABLE} names cannot be read",
            where=str(path),
            hint="It holds the password of the database and nothing else.",
        ) from error


def connect(namespace: Namespace) -> sa.Engine:
    """An engine for the schema of a shop; nothing is connected yet.

    Raises:
        OperationError: `missing_extra`.
    """
    if find_spec("psycopg") is None:
        raise OperationError(
            "missing_extra",
            "the shop's state lies in a PostgreSQL database, which needs psycopg",
            hint="Install it with: pip install 'shoal[postgres]'",
        )
    engine = sa.create_engine(
        namespace.url,
        hide_parameters=True,  # they name customers
        pool_pre_ping=True,
        use_native_hstore=False,
        connect_args={
            "connect_timeout": _CONNECT_S, "application_name": "shoal", "client_encoding": "utf8",
        },
    )  # fmt: skip

    def settle(connection: Any, _record: object) -> None:
        connection.autocommit = True
        for name, value in {"search_path": f'"{namespace.name}"', **_SETTINGS}.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.autocommit = False

    sa.event.listen(engine, "connect", settle, insert=True)
    return engine


def claim(namespace: Namespace) -> None:
    """Make the schema of a new shop, or take an empty one that is there.

    Raises:
        UsageError: `shop_exists`, it has tables.
        OperationError: `no_permission`, `store_unreachable`, `missing_extra`; `bad_setting`, the
            database does not keep text as UTF-8.
    """
    from shoal.adapters.sql_schema import begin

    engine = connect(namespace)
    try:
        with begin(engine, write=True) as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
            if encoding != "UTF8":
                raise UsageError(
                    "bad_setting",
                    f"the database keeps text as {encoding}, and customers' names need UTF8",
                    where=place(engine),
                    hint="Make one with: createdb --encoding UTF8 --template template0 NAME",
                )
            if sa.inspect(connection).get_table_names(schema=namespace.name):
                raise UsageError(
                    "shop_exists",
                    f"the schema {namespace.name} of the database already holds tables",
                    where=place(engine),
                    hint="Give another --namespace; each shop has its own.",
                )
            there = sa.inspect(connection).has_schema(namespace.name)
            if not there:
                connection.exec_driver_sql(f'CREATE SCHEMA "{namespace.name}"')
    finally:
        engine.dispose()


#: Columns that name persons or tell of them, in whatever table.
_PERSONAL: Final = (
    "body", "customer_id", "document", "events", "id", "line", "message_id", "quarantined",
    "visitor_id",
)  # fmt: skip


def sample_no_persons(connection: sa.Connection) -> None:
    """Let the planner's statistics of the schema hold no value that names a person.

    They keep the most frequent values of a column, in a table that an erasure cannot clean.
    """
    found = connection.exec_driver_sql(
        "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "WHERE c.relnamespace = CAST(current_schema() AS text)::regnamespace "
        "AND c.relkind = 'r' AND a.attname = ANY(%s) AND coalesce(a.attstattarget, -1) <> 0 "
        "AND a.atttypid IN ('text'::regtype, 'bytea'::regtype)",
        (list(_PERSONAL),),
    )
    for table, column in found.all():
        connection.exec_driver_sql(
            f'ALTER TABLE "{table}" ALTER COLUMN "{column}" SET STATISTICS 0'
        )


def give_up(namespace: Namespace) -> None:
    """Empty a schema that was claimed; it can then be claimed again."""
    from shoal.adapters.sql_schema import begin

    engine = connect(namespace)
    try:
        with begin(engine, write=True) as connection:
            for name in sa.inspect(connection).get_table_names(schema=namespace.name):
                connection.exec_driver_sql(f'DROP TABLE "{namespace.name}"."{name}" CASCADE')
            connection.exec_driver_sql("DROP FUNCTION IF EXISTS audit_only_grows()")
    finally:
        engine.dispose()


def place(engine: sa.Engine) -> str:
    """Where the database is, for messages: without user, password and parameters."""
    url = engine.url
    host = url.host or url.query.get("host") or "localhost"
    return f"postgresql://{host}{f':{url.port}' if url.port else ''}/{url.database}"


#: What PostgreSQL says by number (SQLSTATE, or its first two digits), to a person.
_FAILURES: Final = {
    "53100": ("disk_full", "Free some space where the database lies; nothing was half done."),
    "55P03": ("shop_locked", "Wait until the other process has finished, then do the same again."),
    "40": ("shop_locked", "Another process was in the way; do the same again."),
    "42501": ("no_permission", "Give the user of the address the right to do so."),
    "28": ("no_permission", "See that user and password of the address are right."),
    "25006": ("no_permission", "The database is read-only: give the address of the primary."),
    "3D": ("store_unreachable", "Make it with createdb, or mend the address."),
    "3F": ("shop_damaged", "The shop's schema is not there; restore it from a backup."),
    "53": ("store_unreachable", "The database has no room for more at the moment; try again."),
    "57": ("store_unreachable", "The database is starting or stopping; try again."),
    "08": ("store_unreachable", "See that the database runs and can be reached from here."),
    "58": ("shop_damaged", "Look at the disk's health and free space where the database lies."),
    "XX": ("shop_damaged", "Look at the database's own log; restore it from a backup."),
}
#: Of these, what the driver says names hosts, sockets and users.
_CONNECTING: Final = ("08", "28", "3D", "53", "57")


def failure(cause: Any, where: str) -> OperationError | None:
    """What to tell a person of what the driver raised; None: it is no failure of the database."""
    state = getattr(cause, "sqlstate", None)
    if state is None:
        if type(cause).__name__ not in ("OperationalError", "ConnectionTimeout"):
            return None
        code, hint = _FAILURES["08"]
    else:
        found = _FAILURES.get(state) or _FAILURES.get(state[:2])
        if found is None:
            return None
        code, hint = found
    text = " ".join(str(cause).split())
    said = f"the shop's state store cannot be used: {text}"
    if state is None or (state[:2] in _CONNECTING and code != "disk_full"):
        # Clients of a service read the message: where the database is, is nothing to them.
        said, where = "the database of the shop's state does not let us in", f"{where}: {text}"
        if code == "store_unreachable":
            said = "the database of the shop's state does not answer"
    return OperationError(code, said, where, hint)
