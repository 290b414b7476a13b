"""The event table, counted for the quality checks: few scans over narrow columns.

Everything that is counted a day is counted in one scan; hours, orders, prices, ids and amounts take
one more each. What comes back is small: a row a source, kind and local day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.domain.kinds import ITEM
from shoal.domain.time import DAY_US, SECOND_US, to_us
from shoal.ports import Engine, ParquetFiles

HOUR_US: Final = 3600 * SECOND_US
#: Clocks of two machines may differ by so much.
LENIENT_US: Final = 5 * 60 * SECOND_US

#: Fields of which it is counted how many events have them.
FIELDS: Final = (
    "customer_id", "anonymous_id", "item_id", "category", "price", "quantity", "order_id",
    "currency", "session_id", "query", "rating", "received_at",
)  # fmt: skip
#: Fields that may turn out to hold one value; of the first group that is suspicious.
TELLING: Final = ("customer_id", "item_id", "order_id", "session_id", "price")
PLAIN: Final = ("quantity", "category", "brand", "channel", "device", "country", "region", "rating")

US: Final = "epoch_us(event_time)"
LOCAL: Final = f"({US} + utc_offset_s::BIGINT * {SECOND_US})"

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Series:
    """Counts of one source and kind, one entry a local day from `first_day` on.

    `counts` hold `n` (events) and the names of `FIELDS` (events that have the field), `nobody`,
    `anonymous`, `free` (price 0), `future`, `ahead` (later than their receipt), `midnight`,
    `whole_hour`, `whole_minute`, `whole_second`, and `noise_<code>`.
    """

    source: str
    kind: str
    first_day: int
    counts: Mapping[str, Counts]

    @property
    def n(self) -> Counts:
        return self.counts["n"]

    def since(self, day: int) -> Series:
        """The same from a local day on."""
        left_out = min(max(0, day - self.first_day), len(self.n))
        counts = {name: column[left_out:] for name, column in self.counts.items()}
        return Series(self.source, self.kind, self.first_day + left_out, counts)

    def lacking(self, name: str) -> Counts:
        """Events without a field, a day."""
        return self.n - self.counts[name]


@dataclass(frozen=True)
class Scope:
    """What is looked at: events since a moment (None: all), as of the clock's now."""

    engine: Engine
    events: ParquetFiles
    now: datetime
    since: datetime | None = None

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of a query over `events`."""
        return self.table(query).to_pylist()

    def table(self, query: str) -> pa.Table:
        return self.engine.run(query, {"events": self.events})

    @property
    def later(self) -> str:
        """The condition that an event is not before `since`."""
        if self.since is None:
            return "true"
        return f"event_time >= {moment_sql(self.since)}"


@dataclass(frozen=True)
class Days:
    """All series, and the first and last moment of each source."""

    series: tuple[Series, ...]
    spans: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)

    @property
    def sources(self) -> list[str]:
        return list(self.spans)

    def since(self, day: int) -> Days:
        """The same from a local day on; what has no event since then is left out."""
        cut = [one.since(day) for one in self.series]
        kept = tuple(one for one in cut if len(one.n) and one.n.any())
        left = {one.source for one in kept}
        return Days(kept, {name: span for name, span in self.spans.items() if name in left})

    def between(self, starts: Mapping[str, int], stop: int) -> Days:
        """The same without days before a source's start (if it is named) and from `stop` on."""
        cut = []
        for one in self.series:
            kept = one.since(starts.get(one.source, one.first_day))
            size = max(0, stop - kept.first_day)
            counts = {name: column[:size] for name, column in kept.counts.items()}
            cut.append(Series(one.source, one.kind, kept.first_day, counts))
        kept_ones = tuple(one for one in cut if one.n.any())
        left = {one.source for one in kept_ones}
        return Days(kept_ones, {name: span for name, span in self.spans.items() if name in left})

    def behaviour(self) -> Days:
        """The same without facts of items, which are dated when they hold from."""
        kept = tuple(one for one in self.series if one.kind != ITEM)
        left = {one.source for one in kept}
        return Days(kept, {name: span for name, span in self.spans.items() if name in left})

    def of_source(self, source: str) -> list[Series]:
        return [one for one in self.series if one.source == source]

    def whole(self, source: str) -> Series:
        """The series of all kinds of a source together."""
        parts = self.of_source(source)
        names = parts[0].counts
        added = {name: np.sum([one.counts[name] for one in parts], axis=0) for name in names}
        return Series(source, "", parts[0].first_day, added)


def moment_sql(moment: datetime) -> str:
    """A moment as a literal that the scan can skip files by."""
    return f"make_timestamptz({to_us(moment)})"


def text_sql(text: str) -> str:
    """A text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def of_source(source: str) -> str:
    """The condition that an event comes from a source (empty: from none that has a name)."""
    return f"coalesce(source, '') = {text_sql(source)}"


def days(scope: Scope, noise_codes: Sequence[str]) -> Days:
    """Everything that is counted a day, for each source and kind, of all times; one scan."""
    now_us = to_us(scope.now)
    counted = {
        "n": "count(*)",
        **{name: f"count({name})" for name in FIELDS},
        "nobody": _where("customer_id IS NULL AND anonymous_id IS NULL"),
        "anonymous": _where("customer_id IS NULL AND anonymous_id IS NOT NULL"),
        "free": _where("price = 0"),
        "future": _where(f"{US} > {now_us + LENIENT_US}"),
        "ahead": _where(f"{US} > epoch_us(received_at) + {LENIENT_US}"),
        "midnight": _where(f"{LOCAL} % {DAY_US} = 0"),
        "whole_hour": _where(f"{US} % {HOUR_US} = 0"),
        "whole_minute": _where(f"{US} % {60 * SECOND_US} = 0"),
        "whole_second": _where(f"{US} % {SECOND_US} = 0"),
        **{f"noise_{code}": _where(f"noise = {text_sql(code)}") for code in noise_codes},
    }
    columns = ", ".join(f"{what} AS {name}" for name, what in counted.items())
    table = scope.table(
        f"SELECT coalesce(source, '') AS source, kind, {LOCAL} // {DAY_US} AS day, {columns}, "
        f"min(event_time) AS first_time, max(event_time) AS last_time FROM events "
        "GROUP BY ALL ORDER BY source, kind, day"
    )
    return _series(table, list(counted))


def _where(condition: str) -> str:
    return f"count(*) FILTER (WHERE {condition})"


def _series(table: pa.Table, names: Sequence[str]) -> Days:
    """Rows a source, kind and day as series over each source's days without holes."""
    made: list[Series] = []
    spans: dict[str, tuple[datetime, datetime]] = {}
    sources = np.asarray(table["source"].to_pylist(), dtype=object)
    kinds = np.asarray(table["kind"].to_pylist(), dtype=object)
    day = table["day"].to_numpy()
    columns = {name: table[name].to_numpy() for name in names}
    first, last = table["first_time"].to_pylist(), table["last_time"].to_pylist()
    for source in dict.fromkeys(sources.tolist()):
        own = np.flatnonzero(sources == source)
        spans[source] = (min(first[place] for place in own), max(last[place] for place in own))
        start, stop = int(day[own].min()), int(day[own].max()) + 1
        for kind in dict.fromkeys(kinds[own].tolist()):
            rows = own[kinds[own] == kind]
            counts = {}
            for name, column in columns.items():
                filled = np.zeros(stop - start, dtype=np.int64)
                filled[day[rows] - start] = column[rows]
                counts[name] = filled
            made.append(Series(source, kind, start, counts))
    return Days(tuple(made), spans)


def hours(scope: Scope) -> dict[str, tuple[int, Counts]]:
    """For each source the first hour (UTC, since 1970) of behaviour, and events an hour."""
    table = scope.table(
        f"SELECT coalesce(source, '') AS source, {US} // {HOUR_US} AS hour, count(*) AS n "
        f"FROM events WHERE kind <> {text_sql(ITEM)} GROUP BY ALL ORDER BY source, hour"
    )
    found: dict[str, tuple[int, Counts]] = {}
    sources = np.asarray(table["source"].to_pylist(), dtype=object)
    hour, n = table["hour"].to_numpy(), table["n"].to_numpy()
    for source in dict.fromkeys(sources.tolist()):
        own = sources == source
        first = int(hour[own].min())
        filled = np.zeros(int(hour[own].max()) - first + 1, dtype=np.int64)
        filled[hour[own] - first] = n[own]
        found[source] = (first, filled)
    return found


def constants(scope: Scope) -> list[dict[str, Any]]:
    """For each source and field of `TELLING` and `PLAIN`: events with it, and its only value.

    Rows `source`, `name`, `n`, `value` (a text) of fields that hold one value throughout.
    """
    parts = ", ".join(
        f"min({name}) = max({name}) AS same_{name}, count({name}) AS n_{name}, "
        f"min({name})::VARCHAR AS value_{name}"
        for name in (*TELLING, *PLAIN)
    )
    found = scope.rows(
        f"SELECT coalesce(source, '') AS source, {parts} FROM events WHERE {scope.later} "
        "GROUP BY 1 ORDER BY 1"
    )
    return [
        {
            "source": row["source"],
            "name": name,
            "n": row[f"n_{name}"],
            "value": row[f"value_{name}"],
        }
        for row in found
        for name in (*TELLING, *PLAIN)
        if row[f"same_{name}"]
    ]


def delays(scope: Scope) -> list[dict[str, Any]]:
    """Seconds from event to receipt of each source: rows `source`, `n`, `quantiles` (50, 95, 99 %)
    and `longest`; events later than their receipt are left out."""
    return scope.rows(
        "SELECT source, count(*) AS n, quantile_cont(late, [0.5, 0.95, 0.99]) AS quantiles, "
        "max(late) AS longest FROM ("
        f"SELECT coalesce(source, '') AS source, (epoch_us(received_at) - {US}) / 1e6 AS late "
        f"FROM events WHERE received_at >= event_time AND {scope.later}) GROUP BY 1 ORDER BY 1"
    )


def shared(scope: Scope) -> dict[str, list[dict[str, Any]]]:
    """Customers with the most devices, devices with the most customers, ids with the most events.

    Rows `id`, `n` (and `since`), the most first, five at most.
    """
    pairs = (
        "SELECT customer_id, anonymous_id, min(event_time) AS since FROM events WHERE "
        f"customer_id IS NOT NULL AND anonymous_id IS NOT NULL AND {scope.later} GROUP BY 1, 2"
    )
    most = "count(*) AS n, min(since) AS since FROM pairs GROUP BY 1 ORDER BY n DESC, id LIMIT 5"
    found = {
        "devices": f"WITH pairs AS ({pairs}) SELECT customer_id AS id, {most}",
        "people": f"WITH pairs AS ({pairs}) SELECT anonymous_id AS id, {most}",
        "events": "SELECT coalesce(customer_id, anonymous_id) AS id, count(*) AS n, "
        "min(event_time) AS since FROM events WHERE coalesce(customer_id, anonymous_id) IS NOT "
        f"NULL AND {scope.later} GROUP BY 1 ORDER BY n DESC, id LIMIT 5",
    }
    return {name: scope.rows(query) for name, query in found.items()}


def flagged_events(scope: Scope, flags: pa.Table) -> int:
    """Events that lie in flagged stretches (`FLAGS_SCHEMA`) of their visitor's time."""
    query = (
        "WITH stretches AS (SELECT DISTINCT visitor_id, from_us, to_us FROM flags) "
        "SELECT count(*) AS n FROM events SEMI JOIN stretches "
        "ON coalesce(customer_id, anonymous_id) = visitor_id "
        f"AND {US} >= from_us AND {US} < to_us WHERE {scope.later}"
    )
    found = scope.engine.run(query, {"events": scope.events, "flags": flags})
    return int(found["n"][0].as_py())


def tellers(scope: Scope, condition: str) -> int:
    """How many orders or visitors the events are of for which a condition holds."""
    (row,) = scope.rows(
        "SELECT count(DISTINCT coalesce(order_id, customer_id, anonymous_id, event_id)) AS n "
        f"FROM events WHERE {condition} AND {scope.later}"
    )
    return int(row["n"])


def examples(scope: Scope, conditions: Sequence[str]) -> list[dict[str, Any] | None]:
    """For each condition the first event it holds of; one scan for all.

    Rows `event_id`, `source`, `kind`, `event_time`; None where it holds of none.
    """
    if not conditions:
        return []
    struct = "{'event_time': event_time, 'event_id': event_id, 'source': source, 'kind': kind}"
    parts = ", ".join(
        f"min({struct}) FILTER (WHERE {condition}) AS e{place}"
        for place, condition in enumerate(conditions)
    )
    (row,) = scope.rows(f"SELECT {parts} FROM events WHERE {scope.later}")
    return [row[f"e{place}"] for place in range(len(conditions))]
