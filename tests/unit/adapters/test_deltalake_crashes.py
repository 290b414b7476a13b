"""A table on disk whose writer suffers: full disks, refusals, interrupts, kills."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from tests import forked
from tests.contracts.event_rows import BUCKETS, events, ingest, row, rows, stored

from shoal.adapters import bucket_files, delta_log, delta_unit
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.domain.errors import OperationError

ENGINE = DuckEngine(threads=1, memory_mib=256)

# A unit that has something of everything: new rows, duplicates, a conflict, repeated rows, and a
# scope stated anew: rows withdrawn, changed, and said again under a later version.
FIRST = events([*rows(range(60)), *rows(range(300, 312), scope_key=7, scope_version=1)])
SECOND = [
    events([*rows(range(50, 90)), *(row(n, quantity=2) for n in range(10))]),
    events(
        [
            *rows(range(306, 316), scope_key=7, scope_version=2),
            row(300, scope_key=7, scope_version=2, quantity=5),
        ]
    ),
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
        with pytest.raises(RuntimeError, match="has failed; discard it"):
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


def test_discarding_never_touches_what_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "first", FIRST)

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    writer = warehouse.unit("second")
    for chunk in SECOND:
        writer.append(chunk)
    with monkeypatch.context() as patch:
        patch.setattr(delta_log, "sync", fail)
        with pytest.raises(KeyboardInterrupt):
            writer.commit({})
    writer.discard()
    writer.discard()
    assert warehouse.committed("second")
    assert stored(warehouse) == expected(tmp_path)


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


@pytest.mark.parametrize(("module", "name", "when"), POINTS)
def test_a_killed_process_can_be_run_again(
    tmp_path: Path, module: str, name: str, when: str
) -> None:
    warehouse = table(tmp_path)
    ingest(warehouse, "first", FIRST)
    before = stored(warehouse)
    for number, chunk in enumerate(SECOND):
        pq.write_table(chunk, tmp_path / f"chunk-{number}.parquet")
    program = "tests.unit.adapters.killed_writer"
    killed = forked.run(program, tmp_path, str(BUCKETS), module, name, when)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
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
