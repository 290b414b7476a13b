"""Rows of Segment's warehouse tables as the calls they were.

A table is told by its columns: `event` a track call of one event's own table, `previous_id` an
alias, `group_id` a group, page columns a page, anything else with `anonymous_id` an identify.
Source: Segment documentation, "Warehouse Schemas".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from shoal.domain.errors import InputError
from shoal.domain.kinds import kind_of
from shoal.events.chunks import Source
from shoal.events.files import compression_of, expanded, head_of
from shoal.events.mapping import SourceMapping
from shoal.events.reading_csv import CsvSource
from shoal.events.reading_parquet import ParquetSource
from shoal.events.shapes.flat_table import ROWS_AT_A_TIME

#: Columns of every table that are no properties or traits.
_COMMON: Final = frozenset(
    {"id", "user_id", "anonymous_id", "event", "event_text", "original_timestamp", "timestamp",
     "sent_at", "received_at", "uuid", "uuid_ts", "loaded_at", "channel", "context"}
)  # fmt: skip
_CALL: Final = {
    "messageId": "id", "userId": "user_id", "anonymousId": "anonymous_id",
    "timestamp": "timestamp", "originalTimestamp": "original_timestamp", "sentAt": "sent_at",
    "receivedAt": "received_at", "previousId": "previous_id", "groupId": "group_id",
}  # fmt: skip
#: Path in the call's context -> the column that the warehouse makes of it.
_CONTEXT: Final = {
    ("userAgent",): "context_user_agent", ("ip",): "context_ip",
    ("sessionId",): "context_session_id", ("campaign", "medium"): "context_campaign_medium",
    ("campaign", "source"): "context_campaign_source", ("device", "type"): "context_device_type",
    ("location", "country"): "context_location_country",
    ("location", "region"): "context_location_region",
}  # fmt: skip
_CONSENT: Final = "context_consent_category_preferences_"
_PAGE: Final = frozenset({"path", "url", "referrer", "search"})
_NEEDED: Final = "id and anonymous_id or user_id"


def open_table(path: Path, mapping: SourceMapping, rows_per_chunk: int) -> Source:
    """The table of a CSV or Parquet file, its own columns."""
    compression, rows_per_chunk = compression_of(path), min(rows_per_chunk, ROWS_AT_A_TIME)
    if expanded(head_of(path, 64), compression).startswith(b"PAR1"):
        return ParquetSource(path, rows_per_chunk)
    return CsvSource(path, compression, rows_per_chunk, mapping)


class TableCalls:
    """Turns rows of one table into calls.

    Raises:
        InputError: `unknown_columns`, this is no table of calls, or one that holds no properties.
    """

    def __init__(self, path: Path, table: Source) -> None:
        self._columns = columns = set(table.columns)
        if "id" not in columns or not columns & {"anonymous_id", "user_id"}:
            raise _no_calls(path, table.columns)
        self._type = self._told_type(path)
        own = _COMMON | (
            {"previous_id", "group_id"} - (columns if self._type == "identify" else set())
        )
        self._told = [n for n in table.columns if n not in own and not n.startswith("context_")]
        if self._type == "track" and not self._told and _is_tracks(path, table):
            raise _no_properties(path)

    def _told_type(self, path: Path) -> str:
        columns = self._columns
        if "event" in columns:
            return "track"
        if "previous_id" in columns:
            return "alias"
        if "group_id" in columns and "identif" not in path.name.lower():
            return "group"
        if columns & _PAGE:
            return "page"
        if "screen" in path.name.lower():
            return "screen"
        return "identify"

    def calls(self, table: pa.Table) -> Iterator[dict[str, Any]]:
        """A call a row of a chunk."""
        for row in table.to_pylist():
            given = {
                name: value for name, value in row.items() if value is not None and value != ""
            }
            yield self._call(given)

    def _call(self, row: dict[str, Any]) -> dict[str, Any]:
        call: dict[str, Any] = {key: row[name] for key, name in _CALL.items() if name in row}
        call["type"] = self._type
        call["context"] = _context(row)
        told = {name: row[name] for name in self._told if name in row}
        if self._type == "track":
            call["event"] = _event_name(row)
            call["properties"] = told
        elif self._type in ("page", "screen"):
            call["name"], call["category"] = told.pop("name", None), told.pop("category", None)
            call["properties"] = told
        else:
            call["traits"] = told
        return call


def _event_name(row: dict[str, Any]) -> Any:
    """The event as it was sent; from the table's name of it where that is all there is."""
    if "event_text" in row or not isinstance(row.get("event"), str):
        return row.get("event_text")
    name: str = row["event"]
    spoken = name.replace("_", " ")
    return name if kind_of(name) or not kind_of(spoken) else spoken


def _context(row: dict[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = {}
    for path, column in _CONTEXT.items():
        if column in row:
            inner = context
            for key in path[:-1]:
                inner = inner.setdefault(key, {})
            inner[path[-1]] = row[column]
    consents = {
        name.removeprefix(_CONSENT): str(value).lower() == "true"
        for name, value in row.items()
        if name.startswith(_CONSENT)
    }
    if consents:
        context["consent"] = {"categoryPreferences": consents}
    return context


def _is_tracks(path: Path, table: Source) -> bool:
    """Whether a table without properties is that of all events, not that of one event."""
    if re.search(r"(^|[^a-z])tracks([^a-z]|$)", path.name.lower()):
        return True
    return len(set(table.sample(1000)["event"].to_pylist())) > 1


def _no_calls(path: Path, found: tuple[str, ...]) -> InputError:
    users = "id" in found and "anonymous_id" not in found
    return InputError(
        "unknown_columns",
        f"this is no table of Segment calls: it lacks {_NEEDED}; found {len(found)} columns: "
        + ", ".join(repr(name) for name in found[:40]),
        where=str(path),
        hint="The table `users` holds only each person's last traits: give `identifies`, which "
        "holds them with their dates." if users else
        "Give the tables identifies, pages, screens, aliases, groups and those of single events "
        "(order_completed, product_viewed, ...).",
    )  # fmt: skip


def _no_properties(path: Path) -> InputError:
    return InputError(
        "unknown_columns",
        "this is the table `tracks`: it lists all events but holds none of their properties "
        "(no products, no amounts)",
        where=str(path),
        hint="Give the tables of the single events (order_completed, product_viewed, ...), which "
        "hold the same calls with everything.",
    )
