"""A shop that an older Shoal made: refused, migrated, the same events and as if made today."""

from __future__ import annotations

import signal
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests import forked
from tests.journeys.conftest import Shoal
from tests.journeys.killed_migration import POINTS

import shoal as face
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.sql import SqlStateStore
from shoal.adapters.sql_schema import STORE_VERSION
from shoal.domain.errors import OperationError, UsageError
from shoal.events.identity import bucket_of

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "tests" / "fixtures" / "shop-schema-1"
PROGRAM = "tests.journeys.killed_migration"
BUCKETS = 4
EVENTS = 79


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A shop that commit c44ad83 made."""
    with tarfile.open(FIXTURE / "shop.tar.gz") as archive:
        archive.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old" / "shop"


def events_of(shop: Path) -> list[dict[str, Any]]:
    """All events of a shop, by key, without the time at which they came."""
    engine = DuckEngine(threads=1, memory_mib=256)
    warehouse = DeltaWarehouse(shop / "events", BUCKETS, engine)
    found = engine.run("SELECT * FROM events ORDER BY event_key", {"events": warehouse.events()})
    return found.drop_columns(["received_at"]).to_pylist()


def states_of(shop: Path) -> dict[str, bytes]:
    store = SqlStateStore(f"sqlite:///{shop / 'shop.sqlite'}")
    found = {
        row["customer_id"]: row["body"] for part in store.iter_states() for row in part.to_pylist()
    }
    store.close()
    return found


@pytest.fixture
def today(tmp_path: Path, shoal: Shoal) -> Path:
    """The same files, ingested by this program."""
    shop = tmp_path / "today"
    shoal("init", shop, "--buckets", BUCKETS, "--time-zone", "Europe/Berlin")
    for name in ("first.csv", "second.csv"):
        assert shoal("ingest", shop, FIXTURE / name, "--preset", "shoal").code == 0
    return shop


@pytest.mark.parametrize("verb", [("status",), ("ingest", FIXTURE / "first.csv"), ("report",)])
def test_an_older_shop_is_refused_with_what_to_do(
    old: Path, shoal: Shoal, verb: tuple[Any, ...]
) -> None:
    answer = shoal(verb[0], old, *verb[1:], "--json")
    assert answer.code == 1
    assert answer.error["code"] == "shop_older"
    assert "backup" in answer.error["hint"]
    assert f"shoal migrate {old}" in answer.error["hint"]


def test_an_older_table_alone_is_refused_too(old: Path) -> None:
    with pytest.raises(OperationError, match="has schema 1, this Shoal needs 2") as told:
        events_of(old)
    assert told.value.code == "shop_older"


def test_a_migrated_shop_is_as_if_made_today(old: Path, today: Path, shoal: Shoal) -> None:
    answer = shoal("migrate", old, "--json")
    assert answer.code == 0, answer.err
    document = dict(answer.document)
    version = document.pop("table_version")
    assert document == {
        "schema": "shoal.migrate/1",
        "shop": str(old),
        "state_store": {"from": 1, "to": STORE_VERSION},
        "event_table": {"from": 1, "to": 2},
        "events": EVENTS,
        "moved": 16,
        "customers": 5,
    }
    assert events_of(old) == events_of(today)
    assert states_of(old) == states_of(today)
    status = shoal("status", old, "--json").document
    assert (status["events"], status["table_version"]) == (EVENTS, version)
    quarantine = shoal("quarantine", old, "--json").document
    assert quarantine["rows"] == 2
    for event in events_of(old):
        who = event["customer_id"] or event["anonymous_id"]
        assert event["bucket"] == (bucket_of(who, BUCKETS) if who else -1)


def test_migrated_again_nothing_is_done(old: Path, shoal: Shoal) -> None:
    said = shoal("migrate", old).out
    stores = f"event table 1 -> 2, state store 1 -> {STORE_VERSION}"
    assert f"{stores}; 79 events of 5 customers" in said
    assert "16 events of anonymous visitors" in said
    version = shoal("status", old, "--json").document["table_version"]
    again = shoal("migrate", old)
    assert "nothing was to be done" in again.out
    assert shoal("status", old, "--json").document["table_version"] == version
    other = face.migrate(old)
    assert other["event_table"] == {"from": 2, "to": 2}
    assert other["state_store"] == {"from": STORE_VERSION, "to": STORE_VERSION}


def test_a_migrated_shop_goes_on(old: Path, tmp_path: Path, shoal: Shoal) -> None:
    shoal("migrate", old)
    again = shoal("ingest", old, FIXTURE / "first.csv", "--preset", "shoal", "--json").document
    assert (again["rows"]["read"], again["rows"]["stored"]) == (56, 0), "known by id and content"
    assert again["events"] == EVENTS
    lines = (FIXTURE / "first.csv").read_text().splitlines()
    more = tmp_path / "more.csv"
    more.write_text("\n".join([lines[0], lines[1].replace("e0,", "e999,")]) + "\n")
    grown = shoal("ingest", old, more, "--preset", "shoal", "--json").document
    assert (grown["rows"]["stored"], grown["events"]) == (1, EVENTS + 1)
    followed = states_of(old)
    with face.open(old) as opened:
        opened.compact()
    assert states_of(old) == followed


def test_versions_before_the_migration_are_told_apart(old: Path, shoal: Shoal) -> None:
    shoal("migrate", old)
    answer = shoal("features", old, "--table-version", 1, "--out", old / "f.parquet", "--json")
    assert answer.code == 2
    assert answer.error["code"] == "bad_setting"
    assert "version 1 of the event table has schema 1" in answer.error["message"]
    assert "migrated" in answer.error["hint"]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_and_run_again(
    old: Path, today: Path, shoal: Shoal, point: str
) -> None:
    killed = forked.run(PROGRAM, old, point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    answer = shoal("migrate", old)
    assert answer.code == 0, answer.err
    assert events_of(old) == events_of(today)
    assert states_of(old) == states_of(today)
    staging = old / "events" / "_staging"
    assert not staging.exists() or not list(staging.iterdir())
    named = {Path(path) for path in DeltaWarehouse(
        old / "events", BUCKETS, DuckEngine(threads=1, memory_mib=256)
    ).events().paths}  # fmt: skip
    new = {
        path
        for path in (old / "events").glob("bucket=*/*.parquet")
        if "scope_key" in pq.read_schema(path).names
    }
    assert new == named, "nothing of the killed attempt is left"


def test_a_full_disk_leaves_the_table_as_it_was(
    old: Path, shoal: Shoal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Counter(path.name for path in (old / "events").rglob("*.parquet"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
        answer = shoal("migrate", old, "--json")
    assert (answer.code, answer.error["code"]) == (1, "disk_full")
    assert Counter(path.name for path in (old / "events").rglob("*.parquet")) == before
    assert shoal("migrate", old).code == 0
    assert len(events_of(old)) == EVENTS


def test_a_missing_file_is_told_and_nothing_is_changed(old: Path, shoal: Shoal) -> None:
    next((old / "events" / "bucket=1").glob("*.parquet")).unlink()
    answer = shoal("migrate", old, "--json")
    assert (answer.code, answer.error["code"]) == (1, "shop_damaged")


def test_a_process_at_work_is_respected(old: Path, shoal: Shoal) -> None:
    from shoal.adapters.sql_lease import Lease
    from shoal.adapters.sql_schema import connect
    from shoal.domain.time import system_clock

    engine = connect(f"sqlite:///{old / 'shop.sqlite'}")
    with Lease(engine, system_clock).held():
        answer = shoal("migrate", old, "--json")
    engine.dispose()
    assert (answer.code, answer.error["code"]) == (1, "shop_locked")


def test_a_shop_goes_back_for_an_older_program_and_forth_again(old: Path, shoal: Shoal) -> None:
    shoal("migrate", old)
    followed = states_of(old)
    answer = shoal("migrate", old, "--to", 4, "--json")
    assert answer.document["state_store"] == {"from": STORE_VERSION, "to": 4}
    assert shoal("status", old, "--json").error["code"] == "shop_older"
    assert shoal("migrate", old, "--to", 99, "--json").error["code"] == "usage"
    assert shoal("migrate", old, "--json").document["state_store"]["from"] == 4
    assert states_of(old) == followed


def test_what_is_no_shop_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        face.migrate(tmp_path)
    assert told.value.code == "not_a_shop"
