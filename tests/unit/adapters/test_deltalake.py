"""What only a table on disk can suffer: full disks, refusals, kills, damage, other processes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from tests.contracts.event_rows import BUCKETS, events, ingest, row, rows, stored

from shoal.adapters import bucket_files, delta_log, delta_unit, deltalake, settling
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.domain.errors import OperationError

ENGINE = DuckEngine(threads=1, memory_mib=256)
REPOSITORY = Path(__file__).parents[3]

# A unit that has something of everything: new rows, duplicates, a conflict, repeated rows.
FIRST = events(rows(range(60)))
SECOND = [
    events([*rows(range(50, 90)), *(row(n, quantity=2) for n in range(10))]),
    events([row(200), row(200, sequence=3), row(201)], generated=True),
]


def table(path: Path, buckets: int = BUCKETS) -> DeltaWarehouse:
    return DeltaWarehouse(path / "events", buckets, ENGINE)


def data_files(path: Path) -> set[str]:
    root = path / "events"
    return {file.relative_to(root).as_posix() for file in root.glob("bucket=*/*")}


def expected(path: Path) -> list[dict[str, Any]]:
    """The table after both units, written without any trouble."""
    warehouse = table(path / "untroubled")
    ingest(warehouse, "first", FIRST)
    ingest(warehouse, "second", *SECOND)
    return stored(warehouse)


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
    monkeypatch.setattr(deltalake, "ROWS_PER_FILE", 30)
    monkeypatch.setattr(deltalake, "ROWS_PER_GROUP", 10)
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


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (errno.ENOSPC, "disk_full", "no space is left on the device while writing to the shop"),
        (errno.EACCES, "no_permission", "the operating system refused access to the shop's files"),
    ],
)
@pytest.mark.parametrize("step", ["open_writer", "_encode", "settle", "rewrite", "sync"])
def test_a_failing_disk_is_told_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, code: str, message: str
) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "first", FIRST)
    before, files = stored(warehouse), data_files(tmp_path)
    module = bucket_files if step in ("open_writer", "_encode") else delta_unit

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(module, step, fail)
        writer = warehouse.unit("second")
        with pytest.raises(OperationError) as caught:
            for chunk in SECOND:
                writer.append(chunk)
            writer.commit({})
        writer.discard()
    assert (caught.value.code, caught.value.message) == (code, message)
    assert caught.value.where == str(tmp_path / "events")
    assert caught.value.hint
    assert stored(warehouse) == before
    assert data_files(tmp_path) == files, "nothing staged remains"
    ingest(warehouse, "second", *SECOND)
    assert stored(warehouse) == expected(tmp_path)


def test_a_refused_log_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "first", FIRST)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("Generic LocalFileSystem error: Permission denied (os error 13)")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", refuse)
    writer = warehouse.unit("second")
    writer.append(SECOND[0])
    with pytest.raises(OperationError) as caught:
        writer.commit({})
    assert caught.value.code == "no_permission"
    assert not warehouse.committed("second")


@pytest.mark.parametrize("step", ["rewrite", "settle", "describe", "sync"])
def test_an_interrupt_leaves_nothing_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "first", FIRST)
    before, files = stored(warehouse), data_files(tmp_path)

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(delta_unit, step, interrupt)
        writer = warehouse.unit("second")
        with pytest.raises(KeyboardInterrupt):
            for chunk in SECOND:
                writer.append(chunk)
            writer.commit({})
    assert stored(warehouse) == before
    assert table(tmp_path).discard_orphans() > 0
    assert data_files(tmp_path) == files
    ingest(warehouse, "second", *SECOND)
    assert stored(warehouse) == expected(tmp_path)


def test_an_interrupted_compaction_leaves_nothing_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "first", FIRST)
    before, files = stored(warehouse), data_files(tmp_path)

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(delta_log.DeltaLog, "commit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            warehouse.compact()
    assert stored(warehouse) == before
    assert warehouse.discard_orphans() == len(warehouse.events().paths)
    assert data_files(tmp_path) == files


# Where a process is killed: the function it dies in, before or after its work.
POINTS = [
    ("bucket_files", "_encode", "before"),
    ("bucket_files", "_close", "after"),
    ("settling", "_settlement", "after"),
    ("rewriting", "rewrite", "before"),
    ("rewriting", "rewrite", "after"),
    ("delta_unit", "_synchronised", "before"),
    ("delta_unit", "_synchronised", "after"),
    ("delta_log", "sync", "before"),
]

WRITER = """
import os, signal, sys
from pathlib import Path
import importlib
import pyarrow.parquet as pq
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine

path, buckets, module, name, when = sys.argv[1:]
warehouse = DeltaWarehouse(Path(path) / "events", int(buckets), DuckEngine(threads=1))
if module:
    home = importlib.import_module("shoal.adapters." + module)
    real = getattr(home, name)
    def dying(*arguments, **options):
        if when == "after":
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    for other in list(sys.modules.values()):
        if getattr(other, "__name__", "").startswith("shoal.") and getattr(other, name, 0) is real:
            setattr(other, name, dying)
writer = warehouse.unit("second")
if not warehouse.committed("second"):
    for chunk in sorted(Path(path).glob("chunk-*.parquet")):
        writer.append(pq.read_table(chunk))
    writer.resolve()
    writer.commit({})
"""


def write_in_process(path: Path, module: str = "", name: str = "", when: str = "") -> int:
    command = [sys.executable, "-c", WRITER, str(path), str(BUCKETS), module, name, when]
    return subprocess.run(command, check=False, cwd=REPOSITORY, timeout=60).returncode


@pytest.mark.parametrize(("module", "name", "when"), POINTS)
def test_a_killed_process_can_be_run_again(
    tmp_path: Path, module: str, name: str, when: str
) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "first", FIRST)
    before = stored(warehouse)
    for number, chunk in enumerate(SECOND):
        pq.write_table(chunk, tmp_path / f"chunk-{number}.parquet")
    assert write_in_process(tmp_path, module, name, when) == -signal.SIGKILL
    wanted = expected(tmp_path)
    assert stored(warehouse) == (wanted if warehouse.committed("second") else before)
    again = table(tmp_path)
    if not again.committed("second"):
        ingest(again, "second", *SECOND)
    else:
        again.discard_orphans()
    assert stored(again) == wanted
    ever = {
        a["add"]["path"] for _, actions in again._log.entries(-1) for a in actions if "add" in a
    }
    assert data_files(tmp_path) == ever, "no file is left that no version names"
    assert not list((tmp_path / "events" / "_staging").iterdir())


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
        assert asked() == "93 93"
        warehouse.compact()
        assert asked() == "93 93"
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
    assert caught.value.message == "the event table has schema 99, this Shoal knows up to 1"
    assert "Upgrade Shoal" in caught.value.hint


def test_other_buckets_are_refused(tmp_path: Path) -> None:
    ingest(table(tmp_path), "first", FIRST)
    with pytest.raises(OperationError, match="made with schema 1 and 4 buckets") as caught:
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


def test_settling_works_in_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many row groups in every work file and data file, each edit crossing their borders."""
    monkeypatch.setattr(bucket_files, "ROWS_PER_GROUP", 7)
    warehouse = table(tmp_path)
    repeated = events([row(n % 40) for n in range(120)], generated=True)
    chunks: list[pa.Table] = [repeated.slice(start, 13) for start in range(0, 120, 13)]
    assert ingest(warehouse, "first", *chunks) == {
        "stored": 120, "duplicate": 0, "conflicting": 0
    }  # fmt: skip
    assert ingest(warehouse, "again", *reversed(chunks))["duplicate"] == 120
    assert len({event["event_id"] for event in stored(warehouse)}) == 120
    assert settling.KEYS_SCHEMA.names[0] == "locator"
    assert json.dumps(next(iter(warehouse.since(-1))).info)
