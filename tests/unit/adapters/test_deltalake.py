"""What only a table on disk has: files, a log, damage, other processes that read it."""

from __future__ import annotations

import operator
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from tests.contracts.event_rows import BUCKETS, events, ingest, row, rows, stored

from shoal.adapters import bucket_files, compacting, places
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.domain.errors import OperationError, UsageError

ENGINE = DuckEngine(threads=1, memory_mib=256)
REPOSITORY = Path(__file__).parents[3]

FIRST = events(rows(range(60)))
SECOND = [events(rows(range(50, 90))), events([row(200), row(200, sequence=3)], generated=True)]


def table(path: Path, buckets: int = BUCKETS) -> DeltaWarehouse:
    return DeltaWarehouse(path / "events", buckets, ENGINE)


def test_files_are_what_the_contract_says(tmp_path: Path) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "May sales.csv", FIRST)
    for path in warehouse.events().paths:
        assert Path(path).name.startswith("May-sales-csv-")
        footer = pq.read_metadata(path)
        names = footer.schema.to_arrow_schema().names
        assert "bucket" not in names and "generated_id" not in names
        group = footer.row_group(0)
        with_statistics = {
            group.column(i).path_in_schema
            for i in range(group.num_columns)
            if group.column(i).is_stats_set
        }
        assert with_statistics == {"event_time", "event_key"}
    log = "".join(file.read_text() for file in (tmp_path / "events/_delta_log").glob("*.json"))
    assert '"e7"' not in log and '"c3"' not in log, "ids never stand in the log's statistics"
    assert DeltaTable(str(tmp_path / "events")).count() == 60


def test_row_groups_and_files_roll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_files, "ROWS_PER_GROUP", 10)
    monkeypatch.setattr(bucket_files, "ROWS_PER_FILE", 20)
    monkeypatch.setattr(compacting, "ROWS_PER_FILE", 30)
    monkeypatch.setattr(compacting, "ROWS_PER_GROUP", 10)
    warehouse = table(tmp_path)
    many = [events(rows(range(start, start + 40))) for start in range(0, 400, 40)]
    again = events(rows(range(100, 130)))
    writer = warehouse.unit("first")
    for chunk in [*many, again]:
        writer.append(chunk)
    assert writer.resolve() == {"stored": 400, "duplicate": 30, "conflicting": 0}
    writer.commit({})
    assert len(warehouse.events().paths) > BUCKETS
    before = stored(warehouse)
    assert [event["sequence"] for event in sorted(before, key=lambda e: e["sequence"])] == list(
        range(400)
    )
    warehouse.compact()
    assert stored(warehouse) == before


def test_a_small_buffer_writes_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_files, "BUFFER_BYTES", 1000)
    warehouse = table(tmp_path)
    ingest(warehouse, "first", *(events(rows(range(n, n + 5))) for n in range(0, 50, 5)))
    assert len(stored(warehouse)) == 50


def test_the_log_outlives_checkpoints(tmp_path: Path) -> None:
    warehouse = table(tmp_path)
    for number in range(3):
        ingest(warehouse, f"u{number}", events([row(number)]))
    handle = DeltaTable(str(tmp_path / "events"))
    handle.create_checkpoint()
    handle.cleanup_metadata()
    again = table(tmp_path)
    assert [unit.unit for unit in again.since(-1)] == ["u0", "u1", "u2"]
    assert again.committed("u0") and not again.committed("u3")
    assert len(stored(again, version=1)) == 1


READER = """
import sys
from pathlib import Path
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine

warehouse = DeltaWarehouse(Path(sys.argv[1]) / "events", int(sys.argv[2]), DuckEngine(threads=1))
print("ready", flush=True)
for _ in sys.stdin:
    files = {"events": warehouse.events()}
    query = "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM events"
    found = warehouse.engine.run(query, files).to_pylist()[0]
    print(found["n"], found["ids"], flush=True)
"""


def pruned(path: Path) -> tuple[DeltaWarehouse, int]:
    """A table of three units whose log begins with its latest version, and that version."""
    warehouse = table(path)
    ingest(warehouse, "first", FIRST)
    ingest(warehouse, "second", *SECOND)
    warehouse.compact()
    ingest(warehouse, "third", events(rows(range(300, 310))))
    version = warehouse.version()
    DeltaTable(str(path / "events")).create_checkpoint()
    for entry in (path / "events/_delta_log").glob("*.json"):
        if int(entry.stem) < version:
            entry.unlink()
    return table(path), version


def test_a_log_without_its_beginning_still_tells_the_table(tmp_path: Path) -> None:
    """As an erasure leaves it: a checkpoint, and no entry before it."""
    warehouse, version = pruned(tmp_path)
    assert warehouse.version() == version
    assert len(stored(warehouse)) == 102
    assert warehouse.committed("first") and warehouse.committed("third")
    assert list(warehouse.since(version)) == []
    for start in (-1, 0, version - 2):
        with pytest.raises(OperationError, match="no longer tells what was committed") as caught:
            list(warehouse.since(start))
        assert caught.value.code == "shop_damaged"
    with pytest.raises(UsageError, match="version 1 of the event table is not kept any more"):
        stored(warehouse, version=1)
    assert len(stored(warehouse, version=version)) == 102
    ingest(warehouse, "fourth", events(rows(range(305, 320))))
    assert [unit.unit for unit in warehouse.since(version)] == ["fourth"]
    assert len(stored(warehouse)) == 112
    assert warehouse.compact() > version
    assert len(stored(warehouse)) == 112


def test_orphans_are_told_from_files_that_only_a_checkpoint_names(tmp_path: Path) -> None:
    """A process may die between its commit and the removal of its staging directory."""
    warehouse, _ = pruned(tmp_path)
    before = stored(warehouse)
    stem = Path(warehouse.events().paths[-1]).name.rpartition("-")[0]
    for name in (stem, "dead-00000000"):
        (tmp_path / "events/_staging" / name).mkdir(parents=True)
    orphan = tmp_path / "events/bucket=0/dead-00000000-00000.parquet"
    orphan.write_bytes(b"unfinished")
    assert warehouse.discard_orphans() == 1
    assert not orphan.exists()
    assert stored(warehouse) == before
    assert list((tmp_path / "events/_staging").iterdir()) == []


def test_another_process_reads_while_one_writes(tmp_path: Path) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "first", FIRST)
    command = [sys.executable, "-c", READER, str(tmp_path), str(BUCKETS)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdin and reader.stdout
        assert reader.stdout.readline() == "ready\n"

        def asked() -> str:
            assert reader.stdin and reader.stdout
            reader.stdin.write("?\n")
            reader.stdin.flush()
            return reader.stdout.readline().strip()

        assert asked() == "60 60"
        writer = warehouse.unit("second")
        for chunk in SECOND:
            writer.append(chunk)
        assert asked() == "60 60"
        writer.resolve()
        assert asked() == "60 60"
        writer.commit({})
        assert asked() == "92 92"
        warehouse.compact()
        assert asked() == "92 92"
        reader.stdin.close()
        assert reader.wait(timeout=30) == 0


def test_an_open_reader_keeps_its_version(tmp_path: Path) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "first", FIRST)
    files = warehouse.events()
    ingest(warehouse, "second", *SECOND)
    warehouse.compact()
    got = warehouse.engine.run("SELECT count(*) AS n FROM events", {"events": files})
    assert got["n"].to_pylist() == [60]


def test_a_newer_table_is_refused(tmp_path: Path) -> None:
    ingest(table(tmp_path), "first", FIRST)
    DeltaTable(str(tmp_path / "events")).alter.set_table_properties(
        {"shoal.schema": "99"}, raise_if_not_exists=False
    )
    with pytest.raises(OperationError) as caught:
        table(tmp_path).events()
    assert caught.value.code == "shop_newer"
    assert caught.value.message == "the event table has schema 99, this Shoal knows up to 2"
    assert "Upgrade Shoal" in caught.value.hint


def test_other_buckets_are_refused(tmp_path: Path) -> None:
    ingest(table(tmp_path), "first", FIRST)
    with pytest.raises(OperationError, match="made with schema 2 and 4 buckets") as caught:
        table(tmp_path, buckets=8).events()
    assert caught.value.code == "shop_damaged"
    assert "restore `buckets` in shop.toml" in caught.value.hint


@pytest.mark.parametrize(
    ("entries", "cut", "message"),
    [
        ([0, 1], False, "the event table has files but no log"),
        ([0], False, "the event table cannot be read: "),
        ([0], True, "the event table cannot be read: "),
        ([1], True, "the event table cannot be read: "),
    ],
)
def test_a_damaged_log_is_told(tmp_path: Path, entries: list[int], cut: bool, message: str) -> None:
    ingest(table(tmp_path), "first", FIRST)
    for number in entries:
        entry = tmp_path / "events" / "_delta_log" / f"{number:020d}.json"
        kept = entry.read_text()[:100]
        entry.unlink()
        if cut:
            entry.write_text(kept)
    with pytest.raises(OperationError) as caught:
        table(tmp_path).events()
    assert caught.value.code == "shop_damaged"
    assert caught.value.message.startswith(message)
    assert "Restore the directory from a backup" in caught.value.hint


def test_a_missing_file_of_a_unit_is_told(tmp_path: Path) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "first", FIRST)
    victim = Path(warehouse.events().paths[0])
    victim.unlink()
    with pytest.raises(OperationError) as caught:
        list(warehouse.since(-1))
    assert caught.value.code == "shop_damaged"
    assert caught.value.message == "a file of the event table is missing"
    assert caught.value.where == str(victim)


def test_a_resolved_unit_takes_no_more(tmp_path: Path) -> None:
    writer = table(tmp_path).unit("first")
    writer.append(FIRST)
    writer.resolve()
    with pytest.raises(RuntimeError, match="takes no more events"):
        writer.append(FIRST)
    writer.discard()


@pytest.mark.parametrize("in_memory", [places.ROWS_IN_MEMORY, 50, 0])
def test_settling_works_in_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    """Many row groups in every data file and chunks in every relation, edits crossing borders."""
    monkeypatch.setattr(bucket_files, "ROWS_PER_GROUP", 7)
    monkeypatch.setattr(places, "ROWS_IN_MEMORY", in_memory)
    warehouse = table(tmp_path)
    repeated = events([row(n % 40) for n in range(120)], generated=True)
    chunks: list[pa.Table] = [repeated.slice(start, 13) for start in range(0, 120, 13)]
    assert ingest(warehouse, "first", *chunks) == {
        "stored": 120, "duplicate": 0, "conflicting": 0
    }  # fmt: skip
    assert ingest(warehouse, "again", *reversed(chunks))["duplicate"] == 120
    assert len({event["event_id"] for event in stored(warehouse)}) == 120


def test_many_small_files_are_merged_before_the_next_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compacting, "SMALL_FILES", 3)
    warehouse = table(tmp_path)
    for number in range(3):
        ingest(warehouse, f"part-{number}", events(rows(range(number * 20, number * 20 + 20))))
    before, version = stored(warehouse), warehouse.version()
    assert len(warehouse.events().paths) == 3 * BUCKETS
    again = events(rows(range(15, 65)))
    assert ingest(warehouse, "more", again) == {
        "stored": 5, "duplicate": 45, "conflicting": 0
    }  # fmt: skip
    assert warehouse.version() == version + 2, "one to merge, one for the unit"
    assert len(warehouse.events().paths) == 2 * BUCKETS
    key = operator.itemgetter("event_id")
    kept = [event for event in stored(warehouse) if event["sequence"] < 60]
    assert sorted(kept, key=key) == sorted(before, key=key)
    assert len(warehouse.events(version=version).paths) == 3 * BUCKETS
    units = list(warehouse.since(-1))
    assert [unit.unit for unit in units] == ["part-0", "part-1", "part-2", "more"]


def test_a_unit_that_is_discarded_leaves_merged_files_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compacting, "SMALL_FILES", 2)
    warehouse = table(tmp_path)
    for number in range(2):
        ingest(warehouse, f"part-{number}", events(rows(range(number * 20, number * 20 + 20))))
    before = stored(warehouse)
    writer = warehouse.unit("dropped")
    writer.append(events(rows(range(5, 45))))
    writer.resolve()
    writer.discard()
    key = operator.itemgetter("event_id")
    assert sorted(stored(warehouse), key=key) == sorted(before, key=key)
    assert warehouse.discard_orphans() == 0
