"""Shopify's order export (CSV): several rows an order, its own fields on the first of them only.

Source: Shopify Help Center, "Exporting orders to a CSV file" and its glossary of columns.

An order begins with a row that holds order fields (financial status, currency, subtotal, total);
the rows after it with the same `Name` are its further lines. It may straddle chunks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import InputError
from shoal.events.chunks import RawChunk, Source, raw_json
from shoal.events.files import compression_of
from shoal.events.mapping import SourceMapping
from shoal.events.reading_csv import CsvSource
from shoal.events.reading_parquet import duplicate_headers
from shoal.events.shapes.amount_marks import Marks
from shoal.events.shapes.flat_table import (
    ROWS_AT_A_TIME,
    Rejected,
    ShapedSource,
    Unpacked,
    passed_on,
    text_table,
)
from shoal.events.shapes.order_facts import COLUMNS, fact_rows, orphan
from shoal.events.shapes.order_lines import UnreadableError
from shoal.events.shapes.shopify_export_order import AMOUNTS, Row, order_of

#: Without these there are no orders in the file.
_NEEDED: Final = ("name", "created at", "lineitem quantity", "lineitem name", "lineitem price")
#: Any of these filled: the row is the first of an order.
_OF_ORDER: Final = ("financial status", "currency", "subtotal", "total")
#: Columns by another name, in exports of other years.
_OTHER_NAMES: Final = {"canceled at": "cancelled at"}
#: An id, also of the Admin API or from a table of numbers; one that lost its digits.
_ID: Final = re.compile(r"(?:gid://shopify/Order/)?(\d+)(?:\.0+)?")
_DAMAGED_ID: Final = re.compile(r"\d([.,]\d+)?E\+?\d+", re.IGNORECASE)
#: Ids that are remembered with their names, to see whether one stands for several orders.
_MOST_IDS: Final = 100_000


def open_shaped(path: Path, mapping: SourceMapping, rows_per_chunk: int) -> Source:
    """The file as a source of flat facts (`order_facts.COLUMNS`).

    Raises:
        InputError: `input_unreadable`, `input_empty`, `unknown_columns`, `duplicate_headers`; while
            it is read: `input_unreadable`, ids that a spreadsheet program rounded.
    """
    return ShopifyOrders(path, mapping, rows_per_chunk)


class ShopifyOrders(ShapedSource):
    """The orders of an export, in its order."""

    def __init__(self, path: Path, mapping: SourceMapping, rows_per_chunk: int) -> None:
        super().__init__(path, COLUMNS, rows_per_chunk)
        at_a_time = min(rows_per_chunk, ROWS_AT_A_TIME)
        self._csv = CsvSource(path, compression_of(path), at_a_time, mapping)
        self._marks = Marks.of(mapping)
        plain = {name: name.strip().lower() for name in self._csv.columns}
        self._plain = {name: _OTHER_NAMES.get(key, key) for name, key in plain.items()}
        self._shown = {key: name for name, key in self._plain.items()}
        known = list(self._plain.values())
        missing = [name for name in _NEEDED if name not in known]
        if missing:
            raise _no_orders(path, missing, self._csv.columns)
        doubles = sorted({name for name in known if known.count(name) > 1})
        if doubles:
            raise duplicate_headers([self._shown[name] for name in doubles], path)
        self._heads = [name for name in _OF_ORDER if name in known]

    def unpacked(self) -> Iterator[Unpacked]:
        """A stretch a chunk of the CSV; the order at its end waits for the next chunk."""
        held: list[Row] = []
        held_place = 0
        keys = _Keys(self.path)
        for chunk in self._csv.chunks():
            part = Unpacked(text_table([], COLUMNS), [], passed_on(chunk.rejected))
            rows: list[dict[str, Any]] = []
            for place, row in self._rows(chunk):
                name = row.get("name", "")
                if not name:
                    what = "Name is empty"
                    part.rejected.append((place, "missing_order_id", what, raw_json(row)))
                elif self._begins(row, held):
                    rows += self._facts(held, held_place, keys, part)
                    held, held_place = [row], place
                elif held and held[0]["name"] == name:
                    held.append(row)
                else:
                    part.rejected.append(_lost(place, row))
            self._marks.restored(rows)
            yield replace(part, table=text_table(rows, COLUMNS), bytes_read=chunk.bytes_read)
        part = Unpacked(text_table([], COLUMNS), [], bytes_read=self.size_bytes)
        rows = self._facts(held, held_place, keys, part)
        self._marks.restored(rows)
        yield replace(part, table=text_table(rows, COLUMNS))

    def _facts(
        self, held: list[Row], place: int, keys: _Keys, part: Unpacked
    ) -> list[dict[str, Any]]:
        """The facts of an order that is complete; one that cannot be read is rejected whole."""
        if not held:
            return []
        try:
            found = fact_rows(order_of(held, keys.key_of(held[0], place)))
        except UnreadableError as fault:
            what = fault.said(self._shown.get(fault.name, fault.name))
            part.rejected.append((place, fault.code, what, "\n".join(map(raw_json, held))))
            return []
        part.places += [place] * len(found)
        return found

    def _begins(self, row: Row, held: list[Row]) -> bool:
        if self._heads:
            return any(row.get(name) for name in self._heads)
        return not held or held[0]["name"] != row["name"]

    def _rows(self, chunk: RawChunk) -> Iterator[tuple[int, dict[str, str]]]:
        names = [self._plain[name] for name in chunk.table.column_names]
        columns = [column.to_pylist() for column in chunk.table.columns]
        for place, values in zip(
            chunk.row_places().tolist(), zip(*columns, strict=True), strict=True
        ):
            row = {n: text for n, v in zip(names, values, strict=True) if v and (text := v.strip())}
            yield place, row if self._marks.usual else self._plainly(row)

    def _plainly(self, row: dict[str, str]) -> dict[str, str]:
        return {n: self._marks.plain(v) if n in AMOUNTS else v for n, v in row.items()}


class _Keys:
    """What an order is known by: its `Id`, or its `Name` where there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: dict[str, str] = {}

    def key_of(self, head: Row, place: int) -> str:
        """The key of the order that a row begins.

        Raises:
            InputError: `input_unreadable`, the id lost its digits or is that of another order too.
        """
        name, told = head["name"], head.get("id", "")
        found = _ID.fullmatch(told)
        if found is None:
            if _DAMAGED_ID.fullmatch(told):
                raise _damaged(self._path, place, f"order {name!r} has the Id {told!r}")
            return name
        key = found[1]
        if len(self._names) >= _MOST_IDS:
            self._names.clear()
        other = self._names.setdefault(key, name)
        if other != name:
            raise _damaged(self._path, place, f"orders {other!r} and {name!r} have the Id {told!r}")
        return key


def _lost(place: int, row: Row) -> Rejected:
    what = f"a further line of order {row['name']!r}, whose first row does not stand before it"
    return orphan(place, what, raw_json(row))


def _damaged(path: Path, place: int, what: str) -> InputError:
    return InputError(
        "input_unreadable",
        f"{what}, by which no order can be told: a spreadsheet program rounds long numbers",
        where=f"{path} row {place + 1}",
        hint="Take the export as Shopify wrote it, not saved again by a spreadsheet program. If "
        "there is no other, take the column Id out: orders are then told by their Name. Do not "
        "mix the two ways in one shop, or orders that both tell count twice.",
    )


def _no_orders(path: Path, missing: list[str], found: tuple[str, ...]) -> InputError:
    return InputError(
        "unknown_columns",
        f"this is no order export of Shopify: it lacks {', '.join(map(repr, missing))}; found "
        f"{len(found)} columns: {', '.join(repr(name) for name in found[:40])}",
        where=str(path),
        hint="In Shopify: Orders, Export, as CSV (plain or for spreadsheet programs), with all "
        "columns and the header row as it is.",
    )
