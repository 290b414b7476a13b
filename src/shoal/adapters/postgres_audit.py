"""The audit log in the shop's schema of a PostgreSQL database; its mark stands in the shop."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa

from shoal.adapters.audit_mark import AuditMark, no_secret, of_lost_mark
from shoal.adapters.failures import translated
from shoal.adapters.postgres import Namespace
from shoal.adapters.sql_audit import AUDIT_VERSION
from shoal.adapters.sql_schema import begin, connect, place
from shoal.adapters.sql_versions import prepare
from shoal.domain.audit import Act, Recorded, chained
from shoal.domain.errors import OperationError

AUDIT_TABLES: Final = sa.MetaData()
AUDIT: Final = sa.Table(
    "audit",
    AUDIT_TABLES,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)
AUDIT_META: Final = sa.Table(
    "audit_meta",
    AUDIT_TABLES,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
#: Against mistakes alone: whoever means it drops them, and the chain tells.
ONLY_GROWS: Final = (
    """CREATE OR REPLACE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'the audit log is append-only'; END$$""",
    """CREATE OR REPLACE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()""",
)


def complete(_tables: object, connection: sa.Connection, **_more: object) -> None:
    """What a new log has beside its tables."""
    for statement in ONLY_GROWS:
        connection.exec_driver_sql(statement)
    row = {"key": "secret", "value": secrets.token_bytes(32)}
    connection.execute(sa.insert(AUDIT_META), row)


sa.event.listen(AUDIT_TABLES, "after_create", complete)
_ROWS: Final = sa.select(AUDIT.c.number, AUDIT.c.entry, AUDIT.c.digest)
_LAST: Final = _ROWS.order_by(AUDIT.c.number.desc()).limit(1)


class PostgresAudit:
    """`AuditLog` in a PostgreSQL database; several threads and processes may write to it.

    Raises:
        OperationError: `shop_newer`, `shop_damaged`, `no_permission`, `disk_full`,
            `store_unreachable`.
    """

    def __init__(self, namespace: Namespace) -> None:
        self._engine = connect(namespace, "audit")
        self._mark = AuditMark(namespace.mark("audit"))
        with self._told():
            prepare(self._engine, "audit", AUDIT_TABLES, AUDIT_VERSION, what="audit log")

    def append(self, acts: Sequence[Act], *, synced: bool = True) -> list[int]:
        if not acts:
            return []
        return self._write(acts, synced)

    def cut(self, act: Act, upto: int) -> int:
        return self._write([act], True, upto)[-1]

    def _write(self, acts: Sequence[Act], synced: bool, cut: int = 0) -> list[int]:
        """Add entries, and take out those up to a number."""
        with self._told(), translated(self._mark.path):
            with begin(self._engine, write=True) as connection:
                if not synced:
                    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                given = [of_lost_mark(acts[0]), *acts] if self._hold(connection) else acts
                entries = chained(given, _last(connection))
                rows = [
                    {"number": one.number, "entry": one.text, "digest": one.digest}
                    for one in entries
                ]
                connection.execute(sa.insert(AUDIT), rows)
                if cut:
                    # The trigger comes back in the transaction in which it goes.
                    connection.exec_driver_sql("DROP TRIGGER IF EXISTS audit_only_grows ON audit")
                    connection.execute(sa.delete(AUDIT).where(AUDIT.c.number <= cut))
                    for statement in ONLY_GROWS:
                        connection.exec_driver_sql(statement)
            self._mark.write(entries[-1], synced)
        return [one.number for one in entries[-len(acts) :]]

    def hold(self) -> None:
        with self._told(), begin(self._engine, write=True) as connection:
            self._hold(connection)

    def after(self, number: int, limit: int) -> list[Recorded]:
        wanted = _ROWS.where(AUDIT.c.number > number).order_by(AUDIT.c.number).limit(limit)
        with self._told(), begin(self._engine, write=False) as connection:
            return [Recorded(*row) for row in connection.execute(wanted)]

    def last(self) -> Recorded | None:
        with self._told(), begin(self._engine, write=False) as connection:
            return _last(connection)

    def mark(self) -> tuple[int, str] | None:
        return self._mark.read()

    def secret(self) -> bytes:
        query = sa.select(AUDIT_META.c.value).where(AUDIT_META.c.key == "secret")
        with self._told(), begin(self._engine, write=False) as connection:
            found: Any = connection.scalar(query)
        if found is None:
            raise no_secret(place(self._engine))
        return bytes(found)

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def _hold(self, connection: sa.Connection) -> bool:
        """Refuse a log that lacks its end; whether there are entries and no mark.

        Asked with the right to write: marks are written after their entries, so nobody's is ahead.
        """
        mark = self._mark.read()
        if mark is None:
            return _last(connection) is not None
        found = connection.scalar(sa.select(AUDIT.c.digest).where(AUDIT.c.number == mark[0]))
        if found != mark[1]:
            raise self._mark.broken(mark[0], found is not None, place(self._engine))
        return False

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say of what is wrong that it is the audit log."""
        try:
            yield
        except OperationError as error:
            error.message = error.message.replace("state store", "audit log")
            raise


def _last(connection: sa.Connection) -> Recorded | None:
    row = connection.execute(_LAST).first()
    return None if row is None else Recorded(*row)
