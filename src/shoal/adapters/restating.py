"""Scopes stated anew: which rows of a unit are of older statements, which stored rows must go.

A unit that holds rows of a scope (a day, an order) states that scope as a whole. Its statement
replaces what the table holds of the scope: stored rows that it does not say again, word for word,
are withdrawn. Of two statements with a version the greater one counts, whichever came first; the
other's rows are older and stay out. Without versions the statement that is taken in later counts.

A unit that *joins* brings rows of statements made before (rows from the quarantine): of a scope
whose version it does not raise it withdraws nothing.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from shoal.adapters.places import (
    KEYS_SCHEMA,
    PLACE_SCHEMA,
    SCOPE_FIELDS,
    Work,
    chosen_rows,
    files_of,
    positions,
)
from shoal.ports import THIN_FROM, THINNED

_SCOPED_SCHEMA: Final = pa.schema(
    [
        *PLACE_SCHEMA,
        pa.field("event_key", pa.int64()),
        pa.field("content_key", pa.int64()),
        *SCOPE_FIELDS,
    ]
)
_STATED_SCHEMA: Final = pa.schema(
    [*SCOPE_FIELDS, pa.field("older", pa.bool_()), pa.field("restates", pa.bool_())]
)
_WITHDRAWN_SCHEMA: Final = pa.schema(
    [*PLACE_SCHEMA, pa.field("scope_key", pa.int64()), pa.field("changed", pa.bool_())]
)

#: Relations that are empty where nothing is restated.
_EMPTY: Final = {
    "scoped": _SCOPED_SCHEMA,
    "stated": _STATED_SCHEMA,
    "older": PLACE_SCHEMA,
    "withdrawn": _WITHDRAWN_SCHEMA,
}

#: The one look at the whole table: of four narrow columns, never of texts.
_SCOPED: Final = """
SELECT locator, event_key, content_key, scope_key, scope_version
FROM ({table}) SEMI JOIN keys USING (scope_key) ORDER BY locator
"""

#: The unit's scopes with the version of its newest statement (null: it has none).
_STATED: Final = """
WITH newest AS (
  SELECT scope_key, max(scope_version) AS scope_version
  FROM keys WHERE scope_key IS NOT NULL GROUP BY scope_key
), known AS (
  SELECT scope_key AS known_key, max(scope_version) AS known FROM scoped GROUP BY scope_key
), compared AS (
  SELECT scope_key, scope_version, known_key, coalesce(scope_version < known, false) AS older,
         {replaces} AS replaces
  FROM newest LEFT JOIN known ON known_key = scope_key
)
SELECT scope_key, scope_version, older,
       NOT older AND replaces AND known_key IS NOT NULL AS restates
FROM compared ORDER BY scope_key
"""
_RAISES: Final = "coalesce(scope_version > known, false)"

_OLDER: Final = """
SELECT locator FROM keys JOIN stated USING (scope_key)
WHERE stated.older OR (
  stated.scope_version IS NOT NULL
  AND (keys.scope_version IS NULL OR keys.scope_version < stated.scope_version)
)
ORDER BY locator
"""
_LIVE: Final = "SELECT keys.* FROM keys ANTI JOIN older USING (locator) ORDER BY locator"

_WITHDRAWN: Final = """
WITH {numbered}, said AS (SELECT DISTINCT scope_key, event_key FROM numbered)
SELECT scoped.locator, scoped.scope_key, said.event_key IS NOT NULL AS changed
FROM scoped SEMI JOIN (SELECT scope_key FROM stated WHERE restates) AS anew USING (scope_key)
LEFT JOIN said ON said.scope_key = scoped.scope_key AND said.event_key = scoped.event_key
ANTI JOIN numbered ON numbered.scope_key = scoped.scope_key
  AND numbered.event_key = scoped.event_key AND numbered.content_key = scoped.content_key
ORDER BY scoped.locator
"""
#: Most units bring scopes that are new, without versions: then there is no row to look for.
_MAY_BE_OLDER: Final = "SELECT count(*) FROM stated WHERE older OR scope_version IS NOT NULL"
_RESTATING: Final = "SELECT count(*) FROM stated WHERE restates"
_CHANGED: Final = "SELECT count(*) FILTER (WHERE changed) AS n FROM withdrawn"
_SCOPES: Final = """
WITH touched AS (
  SELECT scope_key FROM withdrawn
  UNION SELECT scope_key FROM keys ANTI JOIN drops USING (locator)
)
SELECT count(*) AS n FROM touched SEMI JOIN (SELECT scope_key FROM stated WHERE restates) AS anew
USING (scope_key)
"""
#: Scopes that lost more than half of what the table held of them.
_THINNED: Final = """
WITH {numbered}, before AS (
  SELECT scope_key, count(*) AS held
  FROM scoped SEMI JOIN (SELECT scope_key FROM stated WHERE restates) AS anew USING (scope_key)
  GROUP BY scope_key HAVING held >= {least}
), after AS (
  SELECT scope_key, count(DISTINCT event_key) AS left_over FROM numbered GROUP BY scope_key
)
SELECT count(*) AS thinned, CAST(sum(held) AS BIGINT) AS held,
       CAST(sum(left_over) AS BIGINT) AS left_over
FROM before JOIN after USING (scope_key) WHERE 2 * left_over < held
"""


def nothing(work: Work) -> int:
    """No row of the unit has a scope: none is of an older statement, so 0."""
    for name, schema in _EMPTY.items():
        work.nothing(name, schema)
    return 0


def leave_older(work: Work, *, joining: bool) -> int:
    """Take rows of older statements out of the relation `keys`; returns how many."""
    nothing(work)
    if work.table:
        work.spool("scoped", _SCOPED.format(table=work.stored()), _SCOPED_SCHEMA)
    query = _STATED.format(replaces=_RAISES if joining else "true")
    work.spool("stated", query, _STATED_SCHEMA)
    if not work.number(_MAY_BE_OLDER):
        return 0
    older = work.spool("older", _OLDER, PLACE_SCHEMA)
    if older:
        work.spool("live", _LIVE, KEYS_SCHEMA)
        work.bind("keys", work.kept["live"], KEYS_SCHEMA)
    return older


def withdraw(work: Work, numbered: str) -> tuple[int, int]:
    """Find the stored rows that go; returns how many, and of how many the id is said again."""
    if not work.number(_RESTATING):
        return 0, 0
    withdrawn = work.spool("withdrawn", _WITHDRAWN.format(numbered=numbered), _WITHDRAWN_SCHEMA)
    return withdrawn, work.number(_CHANGED) if withdrawn else 0


def thinned(work: Work, numbered: str) -> dict[str, int]:
    """The counts of `shoal.ports.THINNED`; none where no scope lost most of its rows."""
    query = _THINNED.format(numbered=numbered, least=THIN_FROM)
    (found,) = work.engine.run(query, work.inputs).to_pylist()
    return dict(zip(THINNED, found.values(), strict=True)) if found["thinned"] else {}


def changed_scopes(work: Work) -> int:
    """How many scopes that the table held are not as they were; needs the relation `drops`."""
    return work.number(_SCOPES)


def stated(work: Work, limit: int) -> tuple[int, ...] | None:
    """Scopes of which the unit's statement counts, in order; None if they are more than `limit`."""
    query = f"SELECT scope_key FROM stated WHERE NOT older ORDER BY scope_key LIMIT {limit + 1}"
    found = work.engine.run(query, work.inputs)["scope_key"].to_pylist()
    return tuple(found) if len(found) <= limit else None


def visitors_withdrawn(work: Work) -> set[str]:
    """Customers and anonymous ids of the stored rows that go, from the files that hold them."""
    names: set[str] = set()
    withdrawn = work.kept["withdrawn"]
    for number in files_of(withdrawn):
        wanted = positions(withdrawn, number, _WITHDRAWN_SCHEMA)
        columns = ("customer_id", "anonymous_id")
        for rows, _ in chosen_rows(work.table[number], wanted, columns):
            for name in columns:
                names.update(rows[name].unique().drop_null().to_pylist())
    return names
