"""What only a store on disk can do: leases between processes, versions, damage, a full disk."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shoal.adapters import process, sql_memberships, sql_schema
from shoal.adapters.directory_lock import DirectoryLock
from shoal.adapters.sql import SqlStateStore
from shoal.adapters.sql_migration import migrate_store
from shoal.domain.errors import OperationError
from shoal.domain.time import from_us, iso
from shoal.segments.assign import MEMBERSHIPS_SCHEMA

HOLDER = """
import sys
from shoal.adapters.sql import SqlStateStore
store = SqlStateStore(sys.argv[1])
with store.lease():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/shop.sqlite"


def holder(url: str) -> subprocess.Popen[str]:
    """Another process that holds the lease until it gets a line or is killed."""
    found = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert found.stdout is not None and found.stdout.readline() == "held\n"
    return found


def test_a_living_holder_is_named_and_a_killed_one_taken_over_at_once(url: str) -> None:
    store = SqlStateStore(url)
    other = holder(url)
    try:
        with pytest.raises(OperationError) as told, store.lease():
            pass
        assert told.value.code == "shop_locked"
        expected = f"process {other.pid} on {socket.gethostname()} has been writing to the shop"
        assert told.value.message.startswith(expected + " since 20")
    finally:
        other.kill()
        other.communicate()
    with store.lease():
        store.put_setting("a", "1")
    store.close()


def test_two_stores_of_one_process_do_not_share_a_lease(url: str) -> None:
    first, second = SqlStateStore(url), SqlStateStore(url)
    with first.lease(), pytest.raises(OperationError, match=f"process {os.getpid()} on"):
        second.lease().__enter__()
    with second.lease():
        pass


class Moved:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2024, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def elsewhere(store: SqlStateStore) -> None:
    """Make the lease's holder a process of another machine."""
    with sql_schema.begin(store._engine, write=True) as connection:
        there = {"host": "elsewhere", "process_started": "another-boot/1"}
        connection.execute(sa.update(sql_schema.LEASE).values(**there))


def test_a_holder_elsewhere_is_taken_over_when_it_was_silent_for_too_long(url: str) -> None:
    clock = Moved()
    first, second = SqlStateStore(url, clock=clock), SqlStateStore(url, clock=clock)
    since = iso(clock.now)
    with first.lease():
        elsewhere(first)
        clock.now += timedelta(seconds=119)
        with pytest.raises(OperationError, match=f"on elsewhere has been writing .* since {since}"):
            second.lease().__enter__()
        first.put_setting("a", "1")
        clock.now += timedelta(seconds=119)
        with pytest.raises(OperationError, match="on elsewhere"):
            second.lease().__enter__()
        clock.now += timedelta(seconds=2)
        with second.lease():
            with pytest.raises(OperationError, match="another took over the shop"):
                first.put_setting("a", "2")
            second.put_setting("a", "3")
    assert first.get_settings() == {"a": "3"}


def in_another_container(store: SqlStateStore, host: str) -> None:
    """Let the lease's holder be known by what it is called in a container of its own."""
    with sql_schema.begin(store._engine, write=True) as connection:
        row = connection.execute(sa.select(sql_schema.LEASE)).mappings().one()
        boot = row["process_started"].partition("/")[0]
        there = {"host": host, "pid": 2**22 + 1, "process_started": f"{boot}/1"}
        connection.execute(sa.update(sql_schema.LEASE).values(**there))


@pytest.mark.skipif(sys.platform != "linux", reason="containers share a Linux kernel")
@pytest.mark.parametrize("host", [socket.gethostname(), "4f1c9e0d2b7a"])
def test_a_holder_in_another_container_counts_as_long_as_it_lives(url: str, host: str) -> None:
    other, store = holder(url), SqlStateStore(url)
    try:
        in_another_container(store, host)
        with pytest.raises(OperationError, match=f"on {host} has been writing"):
            store.lease().__enter__()
    finally:
        other.kill()
        other.communicate()
    with store.lease():  # at once, and not when it was silent for long enough
        store.put_setting("a", "1")
    with pytest.raises(OperationError, match=f"process {os.getpid()} on"), store.lease():
        SqlStateStore(url).lease().__enter__()
    store.close()


def test_without_locks_of_directories_process_numbers_tell_who_lives(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DirectoryLock, "take", lambda _: None)
    first, second = SqlStateStore(url), SqlStateStore(url)
    with first.lease():
        with pytest.raises(OperationError, match=f"process {os.getpid()} on"):
            second.lease().__enter__()
        in_another_container(first, socket.gethostname())
        with second.lease():
            second.put_setting("a", "1")
    assert first.get_settings() == {"a": "1"}


def test_a_process_number_used_again_does_not_hold_the_lease(url: str) -> None:
    store, other = SqlStateStore(url), SqlStateStore(url)
    with store.lease():
        with sql_schema.begin(store._engine, write=True) as connection:
            connection.execute(sa.update(sql_schema.LEASE).values(process_started="earlier"))
        with other.lease():
            other.put_setting("a", "1")
    assert store.get_settings() == {"a": "1"}


def test_no_process_has_no_start() -> None:
    assert process.started(0) is None
    assert process.started(2**22 + 1) is None
    assert process._started_ps(2**22 + 1) is None


@pytest.mark.parametrize(
    ("version", "code", "text"),
    [
        (99, "shop_newer", f"schema version 99.*knows up to {sql_schema.STORE_VERSION}"),
        (0, "shop_older", "version 0.*needs"),
    ],
)
def test_a_store_of_another_schema_version_is_refused(
    url: str, version: int, code: str, text: str
) -> None:
    store = SqlStateStore(url)
    with sql_schema.begin(store._engine, write=True) as connection:
        row = {"key": "store_version", "value": str(version)}
        connection.execute(sql_schema.upsert(store._engine, sql_schema.META, "key"), row)
    store.close()
    with pytest.raises(OperationError, match=text) as told:
        SqlStateStore(url)
    assert told.value.code == code


def test_a_file_that_is_no_database_is_told(url: str, tmp_path: Path) -> None:
    (tmp_path / "shop.sqlite").write_bytes(b"not a database at all" * 500)
    with pytest.raises(OperationError, match="file is not a database") as told:
        SqlStateStore(url)
    assert told.value.code == "shop_damaged"
    assert told.value.where == f"{tmp_path}/shop.sqlite"


def test_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="unable to open database file") as told:
        SqlStateStore(f"sqlite:///{tmp_path}/nowhere/shop.sqlite")
    assert told.value.code == "no_permission"


def test_a_full_disk_is_told_and_leaves_the_store_as_it_was(url: str) -> None:
    store = SqlStateStore(url)
    store.put_setting("a", "1")

    @sa.event.listens_for(store._engine, "begin")
    def _small(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 40")

    body = pa.array([os.urandom(8_000)] * 200, pa.binary())
    states = pa.table(
        {
            "customer_id": [f"c{i}" for i in range(200)],
            "version": pa.array([1] * 200, pa.int32()),
            "body": body,
        }
    )
    with pytest.raises(OperationError, match="database or disk is full") as told:
        store.put_states(states)
    assert told.value.code == "disk_full"
    assert store.count_states() == 0
    assert store.get_settings() == {"a": "1"}


def test_sqlite_is_set_up_to_survive_and_to_forget(url: str, tmp_path: Path) -> None:
    store = SqlStateStore(url)
    with sql_schema.begin(store._engine, write=False) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "secure_delete")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
    store.put_setting("secret", "a very secret text")
    store.put_setting("secret", "gone")
    store.close()
    assert b"a very secret text" not in (tmp_path / "shop.sqlite").read_bytes()


def test_times_of_memberships_survive_as_microseconds(url: str) -> None:
    store = SqlStateStore(url)
    moment = from_us(1_709_294_400_123_457)
    row = {
        "customer_id": "a",
        "segmentation_id": "k",
        "segment_id": "s",
        "weight": 1.0,
        "since": moment,
        "cause": "version",
        "margin": 0.25,
    }
    store.put_memberships(pa.Table.from_pylist([row], schema=MEMBERSHIPS_SCHEMA))
    assert store.get_memberships("k").to_pylist() == [row]


def test_the_statements_are_postgresql_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = SqlStateStore(url)._engine
    monkeypatch.setattr(engine, "dialect", postgresql.dialect())
    text = str(
        sql_schema.upsert(engine, sql_schema.STATES, "customer_id").compile(
            dialect=postgresql.dialect()
        )
    )
    assert "ON CONFLICT (customer_id) DO UPDATE SET version = excluded.version" in text
    for table in sql_schema.META.metadata.sorted_tables:
        assert "CREATE TABLE" in str(sa.schema.CreateTable(table).compile(dialect=engine.dialect))
    latest = sql_memberships._latest(["k"], ["a"], 7).compile(dialect=postgresql.dialect())
    assert "max(memberships.position)" in str(latest)


def made_by_version_2(path: Path) -> SqlStateStore:
    """Make the membership log of a store what it was before margins; the store, closed."""
    store = SqlStateStore(f"sqlite:///{path}")
    store.put_memberships(
        pa.table(
            {
                "customer_id": ["a", "b"],
                "segmentation_id": ["k-1", "k-1"],
                "segment_id": ["s01", "s02"],
                "weight": [1.0, 0.6],
                "since": pa.array([from_us(7), from_us(8)], pa.timestamp("us", tz="UTC")),
                "cause": ["version", "version"],
            }
        )
    )
    store.set_applied_version(5)
    store.close()
    with sqlite3.connect(path) as plain:
        plain.execute("DROP INDEX memberships_of_customer")
        plain.execute("ALTER TABLE memberships DROP COLUMN margin")
        plain.execute("DROP TABLE carries")
        plain.execute("UPDATE meta SET value = '2' WHERE key = 'store_version'")
    plain.close()
    return store


def test_a_store_without_margins_is_migrated_and_keeps_states_and_memberships(
    tmp_path: Path,
) -> None:
    path = tmp_path / "old.sqlite"
    made_by_version_2(path)
    with pytest.raises(OperationError, match="version 2, this program needs") as told:
        SqlStateStore(f"sqlite:///{path}")
    assert told.value.code == "shop_older"
    assert migrate_store(f"sqlite:///{path}") == 2
    again = migrate_store(f"sqlite:///{path}")
    assert again == sql_schema.STORE_VERSION, "a second time nothing is done"
    store = SqlStateStore(f"sqlite:///{path}")
    assert store.applied_version() == 5, "the states need not be made anew"
    found = store.get_memberships("k-1").to_pydict()
    assert found["segment_id"] == ["s01", "s02"]
    assert found["margin"] == [None, None]
    assert store.carries.lacking("gru-0001") == []
    with sqlite3.connect(path) as plain:
        names = {row[0] for row in plain.execute("SELECT name FROM sqlite_master")}
    plain.close()
    assert "memberships_of_customer" in names
    store.close()


def test_readers_of_another_connection_see_only_what_was_committed(
    url: str, tmp_path: Path
) -> None:
    store = SqlStateStore(url)
    with store.transaction():
        store.put_setting("a", "1")
        plain = sqlite3.connect(tmp_path / "shop.sqlite")
        assert plain.execute("select count(*) from settings").fetchone() == (0,)
        plain.close()


def test_however_many_are_asked_for_statements_stay_few(url: str) -> None:
    """A connection keeps what was bound to its last 128 statements."""
    names = [f"c{place:04}" for place in range(700)]
    states = pa.table(
        {
            "customer_id": names,
            "version": pa.array([3] * len(names), pa.int32()),
            "body": pa.array([name.encode() for name in names], pa.binary()),
        }
    )
    store = SqlStateStore(url)
    with store.lease(), store.transaction():
        store.put_states(states)
    told: set[str] = set()
    sa.event.listen(
        store._engine, "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: told.add(statement),
    )  # fmt: skip
    for count in range(500, 700):
        found = store.get_states([*names[:count], names[0], "nobody"])
        assert found["customer_id"].to_pylist() == names[:count]
    assert len(told) < 5
    store.close()
