"""Taking persons out of files: lists of customers, documents, pages, and the quarantine.

A file is written anew beside the old one and put in its place whole. What is looked at are columns
(and keys of JSON objects) that hold ids of visitors: another text that happens to be the same is
nobody's id.
"""

from __future__ import annotations

import csv
import html
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.events.raw_ids import names_any
from shoal.events.tombstones import RawIds
from shoal.workflows.quarantine_file import id_columns_of

#: Columns of our files that hold ids of visitors.
ID_COLUMNS: Final = ("customer_id", "anonymous_id", "visitor_id")

#: What a spreadsheet is kept from taking for a formula begins with it; see `memberships.defused`.
_DEFUSED: Final = "'"
_ROWS: Final = 50_000

#: What calls of a Segment client are about, one a line.
CALL_IDS: Final = ("userId", *ID_COLUMNS)

#: Endings of the files that can be looked through.
READABLE: Final = (".parquet", ".csv", ".json", ".jsonl", ".html")
#: While a file is written anew it is called so.
ASIDE: Final = ".part"

Ids = frozenset[str]


def held(path: Path, ids: Ids) -> int:
    """How many entries of a CSV, Parquet, JSON (Lines) file, or whether a page (0, 1), name ids.

    Files of other kinds hold no ids of customers.

    Raises:
        OSError, ValueError: the file cannot be read (`pa.ArrowInvalid` is a `ValueError`).
    """
    kind = path.suffix.lower()
    if kind == ".parquet":
        return sum(int(pc.sum(mask).as_py() or 0) for mask in _masks(path, ids))
    if kind == ".csv":
        return sum(goes for _, goes in _records(path, ids))
    if kind == ".json":
        return _pruned(_document(path), ids)[1]
    if kind == ".jsonl":
        return sum(goes for _, goes in _lines(path, ids))
    return int(_page_names(path, ids)) if kind == ".html" else 0


def without(path: Path, ids: Ids) -> int:
    """Take ids out of a CSV, Parquet, JSON or JSON Lines file; returns how many entries went.

    Raises:
        OSError, ValueError: the file cannot be read or written; it is then as it was.
    """
    kind = path.suffix.lower()
    if kind not in (".parquet", ".csv", ".json", ".jsonl") or not held(path, ids):
        return 0
    if kind == ".parquet":
        names = _id_columns(path)
        return _parquet(path, lambda table: _mask(table.select(names), ids))
    if kind in (".csv", ".jsonl"):
        return _text(path, ids, _records if kind == ".csv" else _lines)
    rest, gone = _pruned(_document(path), ids)
    text = json.dumps(rest, ensure_ascii=False, indent=1)
    _replace(path, lambda aside: aside.write_text(text + "\n", encoding="utf-8"))
    return gone


def held_quarantined(path: Path, ids: Ids, raw_ids: RawIds | None = None) -> Counter[str]:
    """How many rows of a file of the quarantine hold some ids, by reason.

    Args:
        raw_ids: the ids that a row may name; None: those that stand in it.
    """
    columns = id_columns_of(path)
    found: Counter[str] = Counter()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS, columns=["code", "raw"]):
            mask = _quarantined(batch, ids, columns, raw_ids)
            found.update(batch["code"].filter(mask).to_pylist())
    return found


def without_quarantined(path: Path, ids: Ids, raw_ids: RawIds | None = None) -> None:
    """Take rows that hold some ids out of a file of the quarantine; an empty one is removed."""
    columns = id_columns_of(path)
    gone = _parquet(path, lambda table: _quarantined(table, ids, columns, raw_ids))
    if gone and not pq.read_metadata(path).num_rows:
        path.unlink()


def _quarantined(
    rows: pa.Table | pa.RecordBatch,
    ids: Ids,
    columns: tuple[str, ...] | None,
    raw_ids: RawIds | None,
) -> pa.Array:
    raw = rows["raw"].to_pylist()
    if raw_ids is not None:
        return pa.array([not ids.isdisjoint(raw_ids(text, columns)) for text in raw], pa.bool_())
    return pa.array([names_any(text, ids, columns) for text in raw], pa.bool_())


# --- Parquet --------------------------------------------------------------------------------------


def _id_columns(path: Path) -> list[str]:
    schema = pq.read_schema(path)
    texts = {field.name for field in schema if pa.types.is_string(field.type)}
    return [name for name in ID_COLUMNS if name in texts]


def _masks(path: Path, ids: Ids) -> Iterator[pa.Array]:
    names = _id_columns(path)
    if not names:
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS, columns=names):
            yield _mask(pa.Table.from_batches([batch]), ids)


def _mask(table: pa.Table, ids: Ids) -> pa.Array:
    """Rows with one of the ids in any column."""
    wanted = pa.array(sorted(ids), pa.string())
    mask = pa.array([False] * table.num_rows, pa.bool_())
    for column in table.columns:
        mask = pc.or_(mask, pc.is_in(column.combine_chunks(), value_set=wanted))
    return mask


def _parquet(path: Path, goes: Callable[[pa.Table], pa.Array]) -> int:
    gone = 0

    def write(aside: Path) -> None:
        nonlocal gone
        with (
            pq.ParquetFile(path) as file,
            pq.ParquetWriter(
                aside, file.schema_arrow, compression="zstd", write_statistics=False
            ) as writer,
        ):
            for batch in file.iter_batches(_ROWS):
                table = pa.Table.from_batches([batch], schema=file.schema_arrow)
                rest = table.filter(pc.invert(goes(table)))
                gone += table.num_rows - rest.num_rows
                writer.write_table(rest)

    _replace(path, write)
    return gone


# --- CSV and JSON Lines ---------------------------------------------------------------------------


def _records(path: Path, ids: Ids) -> Iterator[tuple[str, bool]]:
    """Each record as it stands in the file, and whether it is of one of the ids."""
    wanted = ids | {_DEFUSED + name for name in ids}
    read: list[str] = []

    def lines(file: Any) -> Iterator[str]:
        for line in file:
            read.append(line)
            yield line

    with path.open(newline="", encoding="utf-8") as file:
        places: list[int] = []
        try:
            for number, row in enumerate(csv.reader(lines(file))):
                if not number:
                    places = [row.index(name) for name in ID_COLUMNS if name in row]
                yield "".join(read), any(row[p] in wanted for p in places if p < len(row))
                read.clear()
        except csv.Error as error:
            raise ValueError(str(error)) from error


def _lines(path: Path, ids: Ids) -> Iterator[tuple[str, bool]]:
    """Each line of calls as it stands in the file, and whether it is of one of the ids."""
    with path.open(newline="", encoding="utf-8") as file:
        for line in file:
            call = json.loads(line) if line.strip() else {}
            known = isinstance(call, dict)
            yield (
                line,
                known
                and any(call[name] in ids for name in CALL_IDS if isinstance(call.get(name), str)),
            )


def _text(path: Path, ids: Ids, read: Callable[[Path, Ids], Iterator[tuple[str, bool]]]) -> int:
    """Write a file anew without the records that `read` says go; everything else as it stood."""
    gone = 0

    def write(aside: Path) -> None:
        nonlocal gone
        with aside.open("w", newline="", encoding="utf-8") as file:
            for text, goes in read(path, ids):
                gone += goes
                if not goes:
                    file.write(text)

    _replace(path, write)
    return gone


# --- JSON and pages -------------------------------------------------------------------------------


def _document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _pruned(value: Any, ids: Ids) -> tuple[Any, int]:
    """A document without the entries of lists that are about one of the ids, and how many went."""
    if isinstance(value, list):
        kept, gone = [], 0
        for one in value:
            if isinstance(one, dict) and any(one.get(name) in ids for name in ID_COLUMNS
                                             if isinstance(one.get(name), str)):  # fmt: skip
                gone += 1
                continue
            rest, lost = _pruned(one, ids)
            kept.append(rest)
            gone += lost
        return kept, gone
    if isinstance(value, dict):
        found = {name: _pruned(one, ids) for name, one in value.items()}
        return {name: rest for name, (rest, _) in found.items()}, sum(g for _, g in found.values())
    return value, 0


def _page_names(path: Path, ids: Ids) -> bool:
    text = path.read_text(encoding="utf-8")
    forms = {form for name in ids for form in (name, html.escape(name), json.dumps(name)[1:-1])}
    return any(re.search(rf"(?<!\w){re.escape(form)}(?!\w)", text) for form in forms)


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Put what `write` writes in a file's place, whole and safe from a power cut."""
    aside = path.with_name(f".{path.name}{ASIDE}")
    try:
        write(aside)
        _sync(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
