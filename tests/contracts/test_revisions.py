"""Revisions of each store's tables: forth and back over rows, and the same as made at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from tests import postgres
from tests.contracts.test_state_store import MOMENT, memberships, states

from shoal.adapters.postgres_audit import PostgresAudit
from shoal.adapters.sql import SqlStateStore
from shoal.adapters.sql_audit import AUDIT_VERSION
from shoal.adapters.sql_copying import PARTS
from shoal.adapters.sql_inbox import INBOX_VERSION, SqlInbox
from shoal.adapters.sql_migration import migrate_store
from shoal.adapters.sql_revisions import known_version, move
from shoal.adapters.sql_schema import STORE_VERSION, Where, begin, connect
from shoal.adapters.sql_webhooks import WEBHOOKS_VERSION
from shoal.domain.errors import OperationError, UsageError
from shoal.ports import Arrived

VERSIONS = {
    "audit": AUDIT_VERSION, "inbox": INBOX_VERSION, "webhooks": WEBHOOKS_VERSION,
    "store": STORE_VERSION,
}  # fmt: skip
DAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Where]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/one.sqlite"
        return
    with postgres.namespace(tmp_path) as made:
        yield made


def version(where: Where, part: str) -> int:
    engine = connect(where, part)
    try:
        with begin(engine, write=False) as connection:
            return known_version(connection, part)
    finally:
        engine.dispose()


@pytest.mark.parametrize("part", sorted(VERSIONS))
def test_revisions_come_to_the_tables_that_a_new_store_gets(where: Where, part: str) -> None:
    engine = connect(where, part)
    try:
        with begin(engine, write=True) as connection:
            move(connection, part, VERSIONS[part])
        tables, _ = PARTS[part]

        def ours(_object: object, name: str | None, kind: str, *_more: object) -> bool:
            return kind != "table" or not str(name).endswith("_revision")

        with begin(engine, write=False) as connection:
            options = {"include_object": ours, "compare_type": engine.dialect.name != "sqlite"}
            context = MigrationContext.configure(connection, opts=options)
            different = compare_metadata(context, tables)
            known = known_version(connection, part)
        # SQLite's audit log is made by statements of its own.
        assert (part == "audit" and engine.dialect.name == "sqlite") or different == []
        assert known == VERSIONS[part]
    finally:
        engine.dispose()


def filled(where: Where) -> None:
    with closing(SqlStateStore(where)) as store:
        store.put_setting("currency", "EUR")
        store.put_states(states(a=b"\0\xff", b=b"2"))
        store.put_memberships(memberships([("a", "k", "s1", 0.5), ("b", "k", "s2", 0.25)]))
        store.put_unit("u1", {"file": "x.csv"})
        store.set_pointer("segmentation.main", "k", MOMENT)
        store.set_applied_version(7)
        store.erasures.begin({"own": []}, MOMENT)
        store.erasures.add_tombstones([("f", 1, 2)])
        store.keys.add("viewer", "ann", "d", "shoal_", DAY, None)


def kept(store: SqlStateStore) -> tuple[object, ...]:
    """What every version has a place for."""
    return (
        store.get_settings(),
        store.get_states(["a", "b"]).to_pylist(),
        store.membership_history().drop_columns(["margin"]).to_pylist(),
        store.units(),
        store.pointers(),
        store.erasures.tombstones(),
        store.last_membership(),
    )


def test_a_filled_store_goes_back_version_by_version_and_forth_again(where: Where) -> None:
    filled(where)
    with closing(SqlStateStore(where)) as store:
        before = kept(store)
    for older in range(STORE_VERSION - 1, 0, -1):
        assert migrate_store(where, to=older) == older + 1
        assert version(where, "store") == older
        with pytest.raises(OperationError, match=f"has schema version {older}") as told:
            SqlStateStore(where)
        assert told.value.code == "shop_older"
    assert migrate_store(where) == 1
    with closing(SqlStateStore(where)) as store:
        assert kept(store) == before
        assert store.applied_version() == -1, "states of version 1 are folded anew"
        assert store.keys.all() == []
        assert pa.compute.all(pa.compute.is_null(store.membership_history()["margin"])).as_py()
        store.put_memberships(memberships([("a", "k", "s3", 0.5)]))
        assert store.last_membership() == 3
    assert migrate_store(where) == STORE_VERSION


def test_going_back_by_one_and_forth_loses_only_what_is_said(where: Where) -> None:
    filled(where)
    with closing(SqlStateStore(where)) as store:
        before = (*kept(store), store.applied_version())
    assert migrate_store(where, to=4) == STORE_VERSION
    assert migrate_store(where) == 4
    with closing(SqlStateStore(where)) as store:
        assert (*kept(store), store.applied_version()) == before


@pytest.mark.parametrize("to", [0, STORE_VERSION + 1])
def test_a_version_that_there_is_not_is_refused(where: Where, to: int) -> None:
    filled(where)
    with pytest.raises(UsageError, match=f"has no schema version {to}"):
        migrate_store(where, to=to)
    assert version(where, "store") == STORE_VERSION


def test_a_migration_that_fails_changes_nothing(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(where)
    migrate_store(where, to=3)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_table", fail)
        with pytest.raises(RuntimeError, match="no"):
            migrate_store(where)
    assert version(where, "store") == 3
    assert migrate_store(where) == 3


def test_an_older_inbox_gets_what_it_lacks_when_it_is_opened(where: Where, tmp_path: Path) -> None:
    place = tmp_path / "one.sqlite" if isinstance(where, str) else where
    with closing(SqlInbox(place)) as inbox:
        inbox.append([Arrived("web", "a", 1, b"{}"), Arrived("web", "b", 1, b"{}")])
        inbox.keep_bookmark("file", "{}")
    engine = connect(where, "inbox")
    with begin(engine, write=True) as connection:
        move(connection, "inbox", 1)
        assert not sa.inspect(connection).has_table("bookmarks")
    engine.dispose()
    assert version(where, "inbox") == 1
    with closing(SqlInbox(place)) as inbox:
        assert inbox.append([Arrived("web", "b", 2, b"{}"), Arrived("web", "c", 2, b"{}")]) == [
            False, True,
        ]  # fmt: skip
        assert (inbox.last(), inbox.bookmarks("")) == (3, {})
    assert version(where, "inbox") == INBOX_VERSION


def test_an_audit_log_by_revisions_works_in_postgres(tmp_path: Path) -> None:
    with postgres.namespace(tmp_path) as made:
        engine = connect(made, "audit")
        with begin(engine, write=True) as connection:
            move(connection, "audit", AUDIT_VERSION)
        engine.dispose()
        with closing(PostgresAudit(made)) as log:
            assert len(log.secret()) == 32
            log.hold()
