"""Erasing rows from the Delta table, and everything that still remembers them.

A rewritten file replaces one that held rows of the person; then whatever no version may show any
more goes: files that the latest version does not name, and the log's earlier entries, which a
checkpoint has made dispensable (they name files, and customers whose rows were replaced).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.adapters.bucket_files import FILE_SCHEMA, DataFile, describe, sync
from shoal.adapters.delta_log import SHOAL, STAGING, DeltaLog
from shoal.adapters.duckdb import DuckEngine, scan
from shoal.adapters.failures import translated
from shoal.adapters.rewriting import Edit, rewrite
from shoal.events.identity import bucket_of
from shoal.ports import ErasedRows, ParquetFiles

#: What the commit says of itself.
ERASE: Final = "erase"

#: Files rewritten at once.
_WORKERS: Final = 2

_THEIRS: Final = """
SELECT locator FROM ({table}) AS events JOIN people
  ON coalesce(events.customer_id, events.anonymous_id) = people.id
  AND epoch_us(events.event_time) >= people.from_us AND epoch_us(events.event_time) < people.to_us
  AND (people.merged OR events.customer_id IS NULL)
GROUP BY locator ORDER BY locator
"""
_NAMING: Final = """
SELECT locator FROM ({table}) AS events SEMI JOIN named
  ON events.customer_id = named.customer_id AND events.anonymous_id = named.id
ORDER BY locator
"""

Places = npt.NDArray[np.int64]


def erase(
    log: DeltaLog,
    engine: DuckEngine,
    people: pa.Table,
    named: pa.Table,
    request: int,
    buckets: int,
) -> ErasedRows:
    """Remove rows of some people in one commit that names nobody; see `Warehouse.erase`."""
    done = _done(log, request)
    if done is not None:
        return done
    files = log.files()
    theirs = _found(log, engine, files, _THEIRS, people, "id", buckets)
    naming = _found(log, engine, files, _NAMING, named, "customer_id", buckets)
    naming = np.setdiff1d(naming, theirs)
    found = ErasedRows(len(theirs), len(naming))
    if not (found.rows or found.cleared):
        return found
    stem = f"{ERASE}-{uuid.uuid4().hex[:8]}"
    staging = log.root / STAGING / stem
    with translated(log.root):
        staging.mkdir(parents=True)
        touched = np.unique(np.concatenate([theirs, naming]) >> 32).tolist()

        def changed(number: int) -> DataFile | None:
            path = f"{files[number].path.split('/', 1)[0]}/{stem}-{number:05d}.parquet"
            edit = Edit(_in_file(theirs, number), (_cleared(_in_file(naming, number)),))
            return _rewritten(log, files[number], path, edit)

        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="shoal-erase") as pool:
            added = [file for file in pool.map(changed, touched) if file is not None]
        said = {"operation": ERASE, "request": request, **vars(found)}
        log.commit(added, [files[number] for number in touched], said)
        staging.rmdir()
    return found


def remembers(log: DeltaLog, engine: DuckEngine, people: pa.Table, buckets: int) -> bool:
    """Whether files of earlier versions hold rows of some people, or the log names one of them."""
    earlier = [file.relative_to(log.root).as_posix() for file in _unnamed(log)]
    files = [DataFile(path, int(path.split("/")[0].partition("=")[2]), 0, 0, 0, 0)
             for path in earlier]  # fmt: skip
    if len(_found(log, engine, files, _THEIRS, people, "id", buckets)):
        return True
    names = {json.dumps(name, ensure_ascii=ascii_) for name in people["id"].to_pylist()
             for ascii_ in (True, False)}  # fmt: skip
    with translated(log.root):
        for entry in (log.root / "_delta_log").glob("*.json"):
            text = entry.read_text(encoding="utf-8")
            if any(name in text for name in names):
                return True
    return False


def purge(log: DeltaLog) -> int:
    """Remove every file and every entry of the log that the latest version does without.

    Returns how many data files went. Safe to repeat after a kill at any point.
    """
    gone = 0
    with translated(log.root):
        if _said_last(log).get("rewritten_customers"):
            log.commit([], [], {"operation": ERASE})  # the entry that stays names nobody
        for file in _unnamed(log):
            file.unlink()
            gone += 1
        log.truncate()
    return gone


def _done(log: DeltaLog, request: int) -> ErasedRows | None:
    """What an earlier attempt of a request removed; None if it did not come so far."""
    for _, actions in log.entries(log.oldest_entry() - 1):
        said = _said(actions)
        if said.get("operation") == ERASE and said.get("request") == request:
            return ErasedRows(said["rows"], said["cleared"])
    return None


def _said_last(log: DeltaLog) -> dict[str, Any]:
    version = log.version()
    for at, actions in log.entries(version - 1) if version >= 0 else ():
        if at == version:
            return _said(actions)
    return {}


def _said(actions: Iterable[dict[str, Any]]) -> dict[str, Any]:
    infos = [action["commitInfo"] for action in actions if "commitInfo" in action]
    return dict(infos[0].get(SHOAL, {})) if infos else {}


def _unnamed(log: DeltaLog) -> list[Any]:
    named = {file.path for file in log.files()}
    found = sorted(log.root.glob("bucket=*/*.parquet"))
    return [file for file in found if file.relative_to(log.root).as_posix() not in named]


def _found(
    log: DeltaLog,
    engine: DuckEngine,
    files: Sequence[DataFile],
    query: str,
    asked: pa.Table,
    column: str,
    buckets: int,
) -> Places:
    """Where rows are: number of the file in `files` x 2^32 + number of the row, sorted."""
    wanted = {bucket_of(name, buckets) for name in asked[column].to_pylist()}
    numbers = [number for number, file in enumerate(files) if file.bucket in wanted]
    if not numbers:
        return np.array([], np.int64)
    paths = tuple(str(log.root / files[number].path) for number in numbers)
    table = scan(ParquetFiles(paths, FILE_SCHEMA), located=True, numbers=numbers)
    name = "people" if query is _THEIRS else "named"
    found = engine.run(query.format(table=table), {name: asked})
    return np.asarray(found["locator"].to_numpy(), np.int64)


def _in_file(places: Places, number: int) -> Places:
    inside: Places = places[places >> 32 == number] & 0xFFFFFFFF
    return inside


def _cleared(positions: Places) -> pa.Table:
    """The change that empties the anonymous id of some rows."""
    return pa.table({"position": positions, "anonymous_id": pa.nulls(len(positions), pa.string())})


def _rewritten(log: DeltaLog, old: DataFile, path: str, edit: Edit) -> DataFile | None:
    """The file that takes an old one's place; None when nothing of it is left."""
    if len(edit.drop) == pq.read_metadata(log.root / old.path).num_rows:
        return None
    rewrite(log.root, old.path, path, edit)
    sync(log.root / path)
    sync((log.root / path).parent)
    return describe(log.root, path)
