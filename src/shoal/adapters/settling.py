"""Which rows of a commit unit stay: occurrences, restated scopes, duplicates and conflicts.

Works on narrow columns only -- 64-bit keys and places of rows -- and fetches texts for the few
rows whose keys meet another's; the engine spills what does not fit. A row's place is its *locator*:
number of its file x 2^32 + number of the row in the file.

A unit that holds rows of a scope states that scope as a whole: what the table holds of it and the
unit does not say again is withdrawn, unless the table's statement has the greater version; then the
unit's rows of it are older and stay out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.adapters.bucket_files import FILE_SCHEMA
from shoal.adapters.duckdb import DuckEngine, scan
from shoal.adapters.rewriting import Edit
from shoal.events.identity import CONTENT, renumbered
from shoal.ports import ParquetFiles, Relation

#: What is kept of every staged row while a unit is written.
KEYS_SCHEMA: Final = pa.schema(
    [
        pa.field("locator", pa.int64()),
        pa.field("event_key", pa.int64()),
        pa.field("content_key", pa.int64()),
        pa.field("generated", pa.bool_()),
        pa.field("scope_key", pa.int64()),
        pa.field("scope_version", pa.int64()),
    ]
)
_SCOPE_SCHEMA: Final = pa.schema(
    [pa.field("scope_key", pa.int64()), pa.field("scope_version", pa.int64())]
)
_SCOPED_SCHEMA: Final = pa.schema(
    [
        pa.field("locator", pa.int64()),
        pa.field("event_key", pa.int64()),
        pa.field("content_key", pa.int64()),
        *_SCOPE_SCHEMA,
    ]
)
_VISITOR_SCHEMA: Final = pa.schema([pa.field("visitor", pa.string())])
_KEY_SCHEMA: Final = pa.schema([pa.field("event_key", pa.int64())])
_PLACE_SCHEMA: Final = pa.schema([pa.field("locator", pa.int64())])
_MATCH_SCHEMA: Final = pa.schema([*_PLACE_SCHEMA, *_KEY_SCHEMA])
_OCCURRENCE_SCHEMA: Final = pa.schema([*_PLACE_SCHEMA, pa.field("occurrence", pa.int64())])
_RENUMBERED_SCHEMA: Final = pa.schema(
    [*_PLACE_SCHEMA, pa.field("event_id", pa.string()), *_KEY_SCHEMA]
)
_DECIDED_SCHEMA: Final = pa.schema(
    [
        *_PLACE_SCHEMA,
        pa.field("customer_id", pa.string()),
        pa.field("anonymous_id", pa.string()),
        pa.field("outcome", pa.string()),
    ]
)

#: Relations that are empty where there is nothing to restate or to decide.
_EMPTY: Final = {
    "older": _PLACE_SCHEMA,
    "withdrawn": _PLACE_SCHEMA,
    "matches": _MATCH_SCHEMA,
    "decided": _DECIDED_SCHEMA,
    "scoped": _SCOPED_SCHEMA,
}

_REPEATED: Final = "SELECT event_key FROM keys GROUP BY event_key HAVING count(*) > 1"

# Identical rows stand in one bucket, so the order of places is the order of the source.
_OCCURRENCES: Final = """
SELECT locator,
       row_number() OVER (PARTITION BY event_key, content_key ORDER BY locator) - 1 AS occurrence
FROM keys SEMI JOIN repeated USING (event_key)
WHERE generated
QUALIFY occurrence > 0
ORDER BY locator
"""

_NUMBERED: Final = """
numbered AS (
  SELECT keys.locator, coalesce(renumbered.event_key, keys.event_key) AS event_key,
         renumbered.event_id AS new_id, keys.content_key, keys.scope_key, keys.scope_version
  FROM keys LEFT JOIN renumbered USING (locator)
)"""

#: The unit's scopes, each with the version of its newest statement (null: it has none).
_UNIT_SCOPES: Final = """
SELECT scope_key, max(scope_version) AS scope_version
FROM keys WHERE scope_key IS NOT NULL GROUP BY scope_key ORDER BY scope_key
"""
_SCOPED: Final = """
SELECT locator, event_key, content_key, scope_key, scope_version
FROM ({table}) SEMI JOIN unit_scopes USING (scope_key) ORDER BY locator
"""
#: Rows of statements older than another one, in the unit or in the table.
_OLDER: Final = """
WITH known AS (
  SELECT scope_key, max(scope_version) AS known FROM scoped GROUP BY scope_key
)
SELECT locator
FROM keys JOIN unit_scopes AS newest USING (scope_key) LEFT JOIN known USING (scope_key)
WHERE (newest.scope_version IS NOT NULL
       AND (keys.scope_version IS NULL OR keys.scope_version < newest.scope_version))
   OR newest.scope_version < known
ORDER BY locator
"""
_LIVE: Final = "SELECT keys.* FROM keys ANTI JOIN older USING (locator) ORDER BY locator"
#: Stored rows of a scope that is stated anew and does not say them again, word for word.
_WITHDRAWN: Final = """
WITH {numbered}, live AS (SELECT DISTINCT scope_key FROM keys WHERE scope_key IS NOT NULL)
SELECT scoped.locator
FROM scoped SEMI JOIN live USING (scope_key)
ANTI JOIN numbered ON numbered.scope_key = scoped.scope_key
  AND numbered.event_key = scoped.event_key AND numbered.content_key = scoped.content_key
  AND numbered.scope_version IS NOT DISTINCT FROM scoped.scope_version
ORDER BY locator
"""
_WITHDRAWN_VISITORS: Final = """
WITH gone AS (SELECT * FROM ({table}) SEMI JOIN withdrawn USING (locator))
SELECT DISTINCT visitor FROM (
  SELECT customer_id AS visitor FROM gone UNION ALL SELECT anonymous_id FROM gone
) WHERE visitor IS NOT NULL ORDER BY visitor
"""

_MATCHES: Final = """
WITH {numbered}, stored AS (SELECT * FROM ({table}) ANTI JOIN withdrawn USING (locator))
SELECT locator, event_key FROM stored SEMI JOIN numbered USING (event_key) ORDER BY locator
"""

# A key of 64 bits may collide, so rows are one event only if source and id agree as texts.
_DECIDED: Final = """
WITH {numbered},
candidate AS (
  SELECT event_key FROM repeated
  UNION SELECT event_key FROM renumbered UNION SELECT event_key FROM matches
),
staged AS ({staged}),
rival AS (
  SELECT locator, numbered.event_key, numbered.content_key, staged.source,
         coalesce(new_id, staged.event_id) AS event_id, staged.customer_id,
         staged.anonymous_id, false AS stored
  FROM numbered SEMI JOIN candidate USING (event_key) JOIN staged USING (locator)
  {union_stored}
),
ranked AS (
  SELECT *, row_number() OVER best_first AS place,
         first_value(content_key) OVER best_first AS winning,
         bool_or(stored) OVER (PARTITION BY event_key, source, event_id) AS known
  FROM rival
  WINDOW best_first AS (
    PARTITION BY event_key, source, event_id ORDER BY content_key, stored DESC, locator
  )
)
SELECT locator, customer_id, anonymous_id,
       CASE WHEN stored THEN CASE WHEN place = 1 THEN 'kept' ELSE 'removed' END
            WHEN place = 1 THEN CASE WHEN known THEN 'replacing' ELSE 'stored' END
            WHEN content_key = winning THEN 'duplicate'
            ELSE 'conflicting' END AS outcome
FROM ranked
ORDER BY locator
"""

_UNION_STORED: Final = """
  UNION ALL
  SELECT locator, event_key, content_key, source, event_id, customer_id, anonymous_id,
         true AS stored
  FROM ({table}) SEMI JOIN matches USING (locator)
"""

_COUNTS: Final = "SELECT outcome, count(*) AS rows FROM decided GROUP BY outcome"
_DROPS: Final = """
SELECT locator FROM decided WHERE outcome IN ('duplicate', 'conflicting')
UNION ALL SELECT locator FROM older ORDER BY locator
"""
_REMOVALS: Final = """
SELECT locator FROM decided WHERE outcome = 'removed'
UNION ALL SELECT locator FROM withdrawn ORDER BY locator
"""
_CUSTOMERS: Final = """
SELECT DISTINCT customer_id AS visitor FROM decided
WHERE outcome IN ('removed', 'replacing') AND customer_id IS NOT NULL
UNION SELECT DISTINCT anonymous_id FROM decided
WHERE outcome IN ('removed', 'replacing') AND anonymous_id IS NOT NULL
ORDER BY visitor
"""


@dataclass(frozen=True)
class Settlement:
    """What is to be done with each row of the unit, and with stored rows that lost a conflict.

    `customers` are the visitors (customers and anonymous ids) of stored rows that go and of the
    rows that take their place. `scopes` counts the scopes that the unit states, `older` its rows of
    statements that are not the newest, `withdrawn` the stored rows that go with a restated scope.
    """

    stored: int
    duplicate: int = 0
    conflicting: int = 0
    scopes: int = 0
    older: int = 0
    withdrawn: int = 0
    customers: tuple[str, ...] = ()
    drops: Path | None = None
    renumbered: Path | None = None
    removals: Path | None = None

    def staged_edit(self, number: int) -> Edit | None:
        """What changes in a staged file; None for nothing."""
        drop = _positions(self.drops, number, _PLACE_SCHEMA)
        renumber = _positions(self.renumbered, number, _RENUMBERED_SCHEMA)
        if not drop.num_rows and not renumber.num_rows:
            return None
        return Edit(drop["position"].to_numpy(), renumber)

    def table_edit(self, number: int) -> Edit:
        """What goes from a file of the table."""
        return Edit(_positions(self.removals, number, _PLACE_SCHEMA)["position"].to_numpy())

    def files_with_removals(self) -> list[int]:
        """Numbers of the table's files that hold rows to remove."""
        return _files_of(self.removals)


@dataclass
class _Work:
    """The relations that the queries share, each spooled to a file of the staging directory."""

    engine: DuckEngine
    directory: Path
    inputs: dict[str, Relation] = field(default_factory=dict)

    def spool(self, name: str, query: str, schema: pa.Schema) -> int:
        """Keep a query's rows as the relation `name`; returns their number."""
        batches = self.engine.stream(query, self.inputs)
        return self.keep(name, (pa.table(batch).cast(schema) for batch in batches), schema)

    def keep(self, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
        """Keep tables as the relation `name`; returns the number of their rows."""
        path = self.path(name)
        rows = 0
        with pq.ParquetWriter(path, schema, compression="lz4") as writer:
            for table in tables:
                writer.write_table(table)
                rows += table.num_rows
        self.inputs[name] = ParquetFiles((str(path),), schema)
        return rows

    def nothing(self, *names: str) -> None:
        """Let relations be empty until they are kept."""
        for name in names:
            self.inputs[name] = _EMPTY[name].empty_table()

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.parquet"


def settle(
    engine: DuckEngine, keys: Path, staged: Sequence[str], table: Sequence[str]
) -> Settlement:
    """Settle a unit whose files are closed.

    Args:
        engine: runs the queries.
        keys: Parquet file of `KEYS_SCHEMA`, a row for each staged row; work files go beside it.
        staged: the unit's files; locators in `keys` number them in this order.
        table: the files of the table.

    Raises:
        OperationError: `disk_full`, `shop_damaged`.
    """
    total = pq.read_metadata(keys).num_rows
    work = _Work(engine, keys.parent, {"keys": ParquetFiles((str(keys),), KEYS_SCHEMA)})
    repeated = work.spool("repeated", _REPEATED, _KEY_SCHEMA)
    occurrences = 0
    if repeated:
        occurrences = work.spool("occurrences", _OCCURRENCES, _OCCURRENCE_SCHEMA)
    new_ids = _new_ids(work.path("occurrences"), staged) if occurrences else ()
    work.keep("renumbered", new_ids, _RENUMBERED_SCHEMA)
    stored = ParquetFiles(tuple(table), FILE_SCHEMA)
    work.nothing("older", "withdrawn", "matches", "decided")
    scopes = work.spool("unit_scopes", _UNIT_SCOPES, _SCOPE_SCHEMA)
    older, withdrawn, gone = _restated(work, stored) if scopes else (0, 0, ())
    matches = 0
    if table:
        query = _MATCHES.format(numbered=_NUMBERED, table=scan(stored, located=True))
        matches = work.spool("matches", query, _MATCH_SCHEMA)
    if repeated or matches:
        union = _UNION_STORED.format(table=scan(stored, located=True)) if matches else ""
        query = _DECIDED.format(
            numbered=_NUMBERED,
            staged=scan(ParquetFiles(tuple(staged), FILE_SCHEMA), located=True),
            union_stored=union,
        )
        work.spool("decided", query, _DECIDED_SCHEMA)
    elif not older and not withdrawn:
        return Settlement(total, scopes=scopes)
    found = _settlement(work, total - older)
    return replace(
        found,
        customers=tuple(sorted({*found.customers, *gone})),
        scopes=scopes,
        older=older,
        withdrawn=withdrawn,
    )


def _restated(work: _Work, stored: ParquetFiles) -> tuple[int, int, tuple[str, ...]]:
    """Rows of older statements, stored rows withdrawn, and whose those were."""
    work.nothing("scoped")
    if stored.paths:
        table = scan(stored, located=True)
        work.spool("scoped", _SCOPED.format(table=table), _SCOPED_SCHEMA)
    older = work.spool("older", _OLDER, _PLACE_SCHEMA)
    if older:
        work.spool("live", _LIVE, KEYS_SCHEMA)
        work.inputs["keys"] = work.inputs["live"]
    if not stored.paths:
        return older, 0, ()
    withdrawn = work.spool("withdrawn", _WITHDRAWN.format(numbered=_NUMBERED), _PLACE_SCHEMA)
    gone: tuple[str, ...] = ()
    if withdrawn:
        query = _WITHDRAWN_VISITORS.format(table=scan(stored, located=True))
        work.spool("gone", query, _VISITOR_SCHEMA)
        gone = tuple(pq.read_table(work.path("gone"))["visitor"].to_pylist())
    return older, withdrawn, gone


def _settlement(work: _Work, total: int) -> Settlement:
    counted = work.engine.run(_COUNTS, work.inputs).to_pylist()
    counts = {row["outcome"]: row["rows"] for row in counted}
    duplicate = counts.get("duplicate", 0)
    conflicting = counts.get("conflicting", 0) + counts.get("replacing", 0)
    work.spool("drops", _DROPS, _PLACE_SCHEMA)
    work.spool("removals", _REMOVALS, _PLACE_SCHEMA)
    customers = work.engine.run(_CUSTOMERS, work.inputs)["visitor"].to_pylist()
    return Settlement(
        stored=total - duplicate - conflicting,
        duplicate=duplicate,
        conflicting=conflicting,
        customers=tuple(customers),
        drops=work.path("drops"),
        renumbered=work.path("renumbered"),
        removals=work.path("removals"),
    )


def _new_ids(occurrences: Path, staged: Sequence[str]) -> Iterable[pa.Table]:
    """New ids and keys of the rows that are an occurrence after the first, file by file."""
    for number in _files_of(occurrences):
        wanted = _positions(occurrences, number, _OCCURRENCE_SCHEMA)
        places = wanted["position"].to_numpy()
        with pq.ParquetFile(staged[number]) as file:
            first = 0
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=["source", *CONTENT])
                inside = (places >= first) & (places < first + rows.num_rows)
                if inside.any():
                    chosen = rows.take(pa.array(places[inside] - first))
                    ids, keys = renumbered(chosen, wanted["occurrence"].to_numpy()[inside])
                    locators = pa.array((number << 32) + places[inside])
                    yield pa.table([locators, ids, keys], schema=_RENUMBERED_SCHEMA)
                first += rows.num_rows


def _files_of(places: Path | None) -> list[int]:
    if places is None:
        return []
    numbers: set[int] = set()
    with pq.ParquetFile(places) as file:
        for batch in file.iter_batches(columns=["locator"]):
            numbers.update(np.unique(batch["locator"].to_numpy() >> 32).tolist())
    return sorted(numbers)


def _positions(places: Path | None, number: int, schema: pa.Schema) -> pa.Table:
    """Rows of a work file that speak of one data file, with `position` instead of `locator`."""
    if places is None:
        rows = schema.empty_table()
    else:
        first = number << 32
        bounds = [("locator", ">=", first), ("locator", "<", first + (1 << 32))]
        rows = pq.read_table(places, schema=schema, filters=bounds)
    position = rows["locator"].to_numpy() & 0xFFFFFFFF
    return rows.drop_columns(["locator"]).append_column("position", pa.array(position))
