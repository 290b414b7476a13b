"""Taking persons out of files: lists of customers, documents, and the quarantine.

A file is written anew beside the old one and put in its place whole. Whatever holds one of the ids
as a value goes: a row of a table, an entry of a list, a member of an object.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.events.tombstones import texts_of

#: What a spreadsheet is kept from taking for a formula begins with it; see `memberships.defused`.
_DEFUSED: Final = "'"
_GONE: Final = object()


def without(path: Path, ids: frozenset[str]) -> int:
    """Take ids out of a CSV, Parquet or JSON file; returns how many entries went.

    Files of other kinds hold no ids of customers and stay as they are.

    Raises:
        OSError: the file cannot be read or written; it is then as it was.
    """
    if path.suffix == ".parquet":
        return _parquet(path, lambda table: _mask(table, ids))
    if path.suffix == ".csv":
        return _csv(path, ids)
    return _json(path, ids) if path.suffix == ".json" else 0


def without_quarantined(path: Path, ids: frozenset[str]) -> tuple[int, dict[str, int]]:
    """Take rows that hold ids out of a file of the quarantine; (rows gone, by reason).

    A file of which nothing is left is removed.
    """
    gone: dict[str, int] = {}

    def held(table: pa.Table) -> pa.Array:
        caught = [not ids.isdisjoint(texts_of(raw)) for raw in table["raw"].to_pylist()]
        for code in table["code"].filter(pa.array(caught, pa.bool_())).to_pylist():
            gone[code] = gone.get(code, 0) + 1
        return pa.array(caught, pa.bool_())

    return _parquet(path, held, remove_empty=True), gone


def _parquet(
    path: Path, held: Callable[[pa.Table], pa.Array], *, remove_empty: bool = False
) -> int:
    aside = path.with_name(f".{path.name}")
    gone = kept = 0
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        with pq.ParquetWriter(aside, schema, compression="zstd", write_statistics=False) as writer:
            for batch in file.iter_batches(50_000):
                table = pa.Table.from_batches([batch], schema=schema)
                rest = table.filter(pc.invert(held(table)))
                gone += table.num_rows - rest.num_rows
                kept += rest.num_rows
                writer.write_table(rest)
    if not gone:
        aside.unlink()
        return 0
    if kept or not remove_empty:
        _replace(aside, path)
    else:
        aside.unlink()
        path.unlink()
    return gone


def _mask(table: pa.Table, ids: frozenset[str]) -> pa.Array:
    """Rows with one of the ids in a column of texts."""
    wanted = pa.array(sorted(ids), pa.string())
    mask = pa.array([False] * table.num_rows, pa.bool_())
    for field in table.schema:
        if pa.types.is_string(field.type):
            found = pc.is_in(table[field.name].combine_chunks(), value_set=wanted)
            mask = pc.or_(mask, found)
    return mask


def _csv(path: Path, ids: frozenset[str]) -> int:
    wanted = ids | {_DEFUSED + name for name in ids}
    aside = path.with_name(f".{path.name}")
    gone = 0
    with (
        path.open(newline="", encoding="utf-8") as old,
        aside.open("w", newline="", encoding="utf-8") as new,
    ):
        writer = csv.writer(new, quoting=csv.QUOTE_ALL)
        for row in csv.reader(old):
            if wanted.isdisjoint(row):
                writer.writerow(row)
            else:
                gone += 1
    if not gone:
        aside.unlink()
        return 0
    _replace(aside, path)
    return gone


def _json(path: Path, ids: frozenset[str]) -> int:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return 0
    rest, gone = _pruned(document, ids)
    if gone:
        aside = path.with_name(f".{path.name}")
        aside.write_text(
            json.dumps(None if rest is _GONE else rest, ensure_ascii=False, indent=1) + "\n",
            encoding="utf-8",
        )
        _replace(aside, path)
    return gone


def _pruned(value: Any, ids: frozenset[str]) -> tuple[Any, int]:
    """A document without what is one of the ids, and how many entries went."""
    if isinstance(value, str):
        return (_GONE, 1) if value in ids else (value, 0)
    if isinstance(value, list):
        kept, gone = [], 0
        for one in value:
            # An entry that is about the person goes whole.
            about = isinstance(one, dict) and any(
                isinstance(own, str) and own in ids for own in one.values()
            )
            rest, lost = (_GONE, 1) if about else _pruned(one, ids)
            gone += lost
            if rest is not _GONE:
                kept.append(rest)
        return kept, gone
    if isinstance(value, dict):
        found = {name: _pruned(one, ids) for name, one in value.items() if name not in ids}
        lost = len(value) - len(found) + sum(gone for _, gone in found.values())
        return {name: rest for name, (rest, _) in found.items() if rest is not _GONE}, lost
    return value, 0


def _replace(aside: Path, path: Path) -> None:
    handle = os.open(aside, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    aside.replace(path)
