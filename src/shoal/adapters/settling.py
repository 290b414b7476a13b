"""Which rows of a commit unit stay: occurrences, restated scopes, duplicates and conflicts.

Works on narrow columns only -- 64-bit keys and places of rows -- and fetches texts for the few
rows whose keys meet another's; the engine spills what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from shoal.adapters import restating
from shoal.adapters.bucket_files import FILE_SCHEMA
from shoal.adapters.duckdb import DuckEngine, scan
from shoal.adapters.places import (
    KEYS_SCHEMA,
    PLACE_SCHEMA,
    SCOPE_FIELDS,
    Kept,
    Work,
    chosen_rows,
    files_of,
    positions,
)
from shoal.adapters.rewriting import Edit
from shoal.events.identity import CONTENT, renumbered
from shoal.events.schema import CONTENT_KEY
from shoal.ports import SCOPES_TOLD, ParquetFiles

_KEY_SCHEMA: Final = pa.schema([pa.field("event_key", pa.int64())])
_MATCH_SCHEMA: Final = pa.schema([*PLACE_SCHEMA, *_KEY_SCHEMA])
_OCCURRENCE_SCHEMA: Final = pa.schema([*PLACE_SCHEMA, pa.field("occurrence", pa.int64())])
_RENUMBERED_SCHEMA: Final = pa.schema(
    [*PLACE_SCHEMA, pa.field("event_id", pa.string()), *_KEY_SCHEMA]
)
_RENEWED_SCHEMA: Final = pa.schema([*PLACE_SCHEMA, *SCOPE_FIELDS])
_DECIDED_SCHEMA: Final = pa.schema(
    [
        *PLACE_SCHEMA,
        pa.field("customer_id", pa.string()),
        pa.field("anonymous_id", pa.string()),
        pa.field("outcome", pa.string()),
        *SCOPE_FIELDS,
    ]
)

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
         coalesce(new_id, staged.event_id) AS event_id, staged.customer_id, staged.anonymous_id,
         false AS stored, numbered.scope_key, numbered.scope_version
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
            ELSE 'conflicting' END AS outcome,
       {statement}
ORDER BY locator
"""

#: Of no interest without scopes; else what a stored row's own copy in the unit says of its scope.
_NO_SCOPE: Final = "NULL::BIGINT AS scope_key, NULL::BIGINT AS scope_version"
_NO_STATEMENT: Final = f"{_NO_SCOPE}\nFROM ranked"
_STATEMENT: Final = """said.scope_key AS scope_key, said.scope_version AS scope_version
FROM (
  SELECT *, arg_min({'scope_key': scope_key, 'scope_version': scope_version}, locator) FILTER (
    WHERE NOT stored AND content_key = winning AND scope_key IS NOT NULL
  ) OVER (PARTITION BY event_key, source, event_id) AS said
  FROM ranked
) AS ranked"""

_UNION_STORED: Final = """
  UNION ALL
  SELECT locator, event_key, content_key, source, event_id, customer_id, anonymous_id,
         true AS stored, {scope}
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
#: Stored rows that stay and belong to another statement from now on.
_RENEWED: Final = """
SELECT locator, decided.scope_key, decided.scope_version
FROM decided JOIN ({table}) AS stored USING (locator)
WHERE outcome = 'kept' AND decided.scope_key IS NOT NULL
  AND (decided.scope_key, decided.scope_version)
      IS DISTINCT FROM (stored.scope_key, stored.scope_version)
ORDER BY locator
"""
_VISITORS: Final = """
SELECT DISTINCT visitor FROM (
  SELECT customer_id AS visitor FROM decided WHERE outcome IN ('removed', 'replacing')
  UNION ALL SELECT anonymous_id FROM decided WHERE outcome IN ('removed', 'replacing')
) WHERE visitor IS NOT NULL
"""


@dataclass(frozen=True, eq=False)
class Settlement:
    """What is to be done with each row of the unit, and with stored rows that must change.

    Args:
        stored, duplicate, conflicting: what becomes of the unit's rows; with `older` they are all.
        older: rows of statements that are not the newest of their scope.
        withdrawn: stored rows that go because their scope is stated anew; of `changed` of them
            the id is said again.
        renewed: stored rows that stay and belong to another statement of a scope from now on.
        scopes: scopes that the table held and that are not as they were.
        thinned: the counts of `shoal.ports.THINNED`, if any scope was.
        stated: scopes of which the unit's statement counts; None if they are very many.
        customers: customers and anonymous ids of stored rows that go and of rows that take their
            place.
        drops, renumbered, removals, renewals: places of rows to change.
    """

    stored: int
    duplicate: int = 0
    conflicting: int = 0
    older: int = 0
    withdrawn: int = 0
    changed: int = 0
    renewed: int = 0
    scopes: int = 0
    thinned: Mapping[str, int] = field(default_factory=dict)
    stated: tuple[int, ...] | None = ()
    customers: tuple[str, ...] = ()
    drops: Kept | None = None
    renumbered: Kept | None = None
    removals: Kept | None = None
    renewals: Kept | None = None

    def staged_edit(self, number: int) -> Edit | None:
        """What changes in a staged file; None for nothing."""
        drop = positions(self.drops, number, PLACE_SCHEMA)
        renumber = positions(self.renumbered, number, _RENUMBERED_SCHEMA)
        if not drop.num_rows and not renumber.num_rows:
            return None
        return Edit(drop["position"].to_numpy(), (renumber,))

    def table_edit(self, number: int) -> Edit:
        """What goes from a file of the table, and what changes in it."""
        drop = positions(self.removals, number, PLACE_SCHEMA)
        renewed = positions(self.renewals, number, _RENEWED_SCHEMA)
        return Edit(drop["position"].to_numpy(), (renewed,))

    def files_to_change(self) -> list[int]:
        """Numbers of the table's files that hold rows to remove or to change."""
        return sorted({*files_of(self.removals), *files_of(self.renewals)})


def settle(
    engine: DuckEngine,
    keys: Kept,
    directory: Path,
    staged: Sequence[str],
    table: Sequence[str],
    *,
    scoped: bool = True,
    joining: bool = False,
    as_came: Mapping[int, str] | None = None,
) -> Settlement:
    """Settle a unit whose files are closed.

    Args:
        engine: runs the queries.
        keys: rows of `KEYS_SCHEMA`, one for each staged row.
        directory: where work files go.
        staged: the unit's files; locators in `keys` number them in this order.
        table: the files of the table.
        scoped: whether any row may have a scope.
        joining: the rows belong to statements made before; see `restating`.
        as_came: of `shoal.events.identity.ids_as_came`.

    Raises:
        OperationError: `disk_full`, `shop_damaged`.
    """
    total = keys.num_rows if isinstance(keys, pa.Table) else pq.read_metadata(keys).num_rows
    work = Work(engine, directory, table)
    work.bind("keys", keys, KEYS_SCHEMA)
    older = restating.leave_older(work, joining=joining) if scoped else restating.nothing(work)
    repeated = work.spool("repeated", _REPEATED, _KEY_SCHEMA)
    occurrences = 0
    if repeated:
        occurrences = work.spool("occurrences", _OCCURRENCES, _OCCURRENCE_SCHEMA)
    new_ids = _new_ids(work.kept["occurrences"], staged, as_came) if occurrences else ()
    work.keep("renumbered", new_ids, _RENUMBERED_SCHEMA)
    withdrawn, changed = restating.withdraw(work, _NUMBERED) if scoped else (0, 0)
    matches = _matches(work)
    if not (repeated or matches or older or withdrawn):
        return Settlement(total, stated=restating.stated(work, SCOPES_TOLD) if scoped else ())
    if repeated or matches:
        work.spool("decided", _decided(work, staged, scoped=scoped), _DECIDED_SCHEMA)
    else:
        work.nothing("decided", _DECIDED_SCHEMA)
    return _settlement(work, total, older, (withdrawn, changed), scoped=scoped)


def _matches(work: Work) -> int:
    """Stored rows, of those that are not withdrawn, whose key one of the unit's rows has."""
    work.nothing("matches", _MATCH_SCHEMA)
    if not work.table:
        return 0
    query = _MATCHES.format(numbered=_NUMBERED, table=work.stored())
    return work.spool("matches", query, _MATCH_SCHEMA)


def _decided(work: Work, staged: Sequence[str], *, scoped: bool) -> str:
    """The query that ranks rows of one event; it reads texts of files with such rows alone."""
    held = files_of(work.kept["matches"]) if work.table else []
    scope = "scope_key, scope_version" if scoped else _NO_SCOPE
    return _DECIDED.format(
        numbered=_NUMBERED,
        staged=scan(ParquetFiles(tuple(staged), FILE_SCHEMA), located=True),
        union_stored=_UNION_STORED.format(table=work.stored(held), scope=scope) if held else "",
        statement=_STATEMENT if scoped else _NO_STATEMENT,
    )


def _settlement(
    work: Work, total: int, older: int, withdrawn: tuple[int, int], *, scoped: bool
) -> Settlement:
    counted = work.engine.run(_COUNTS, work.inputs).to_pylist()
    counts = {row["outcome"]: row["rows"] for row in counted}
    duplicate = counts.get("duplicate", 0)
    conflicting = counts.get("conflicting", 0) + counts.get("replacing", 0)
    work.spool("drops", _DROPS, PLACE_SCHEMA)
    work.spool("removals", _REMOVALS, PLACE_SCHEMA)
    visitors = set(work.engine.run(_VISITORS, work.inputs)["visitor"].to_pylist())
    if withdrawn[0]:
        visitors |= restating.visitors_withdrawn(work)
    return Settlement(
        stored=total - older - duplicate - conflicting,
        duplicate=duplicate,
        conflicting=conflicting,
        older=older,
        withdrawn=withdrawn[0],
        changed=withdrawn[1],
        renewed=_renewed(work) if scoped and counts.get("kept") else 0,
        scopes=restating.changed_scopes(work) if scoped else 0,
        thinned=restating.thinned(work, _NUMBERED) if withdrawn[0] else {},
        stated=restating.stated(work, SCOPES_TOLD) if scoped else (),
        customers=tuple(sorted(visitors)),
        drops=work.kept["drops"],
        renumbered=work.kept["renumbered"],
        removals=work.kept["removals"],
        renewals=work.kept.get("renewed"),
    )


def _renewed(work: Work) -> int:
    held = files_of(work.kept["matches"])
    return work.spool("renewed", _RENEWED.format(table=work.stored(held)), _RENEWED_SCHEMA)


def _new_ids(
    occurrences: Kept, staged: Sequence[str], as_came: Mapping[int, str] | None
) -> Iterable[pa.Table]:
    """New ids and keys of the rows that are an occurrence after the first, file by file."""
    for number in files_of(occurrences):
        wanted = positions(occurrences, number, _OCCURRENCE_SCHEMA)
        columns = ["source", CONTENT_KEY, *CONTENT]
        for rows, chosen in chosen_rows(staged[number], wanted, columns):
            ids, keys = renumbered(rows, chosen["occurrence"].to_numpy(), as_came)
            locators = pa.array((number << 32) + chosen["position"].to_numpy())
            yield pa.table([locators, ids, keys], schema=_RENUMBERED_SCHEMA)
