"""Features of the catalog within a statement of rules: tables before those of the rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from shoal.domain.time import EARLIEST, Zone
from shoal.features.catalog import CATALOG
from shoal.features.portable import Moment, Portable, column_names, portable, statement
from shoal.features.queries import Rules
from shoal.features.tastes import COUNTS_SCHEMA, Vocabulary

if TYPE_CHECKING:
    from sqlglot import exp

#: The table of features within the statement.
FEATURES: Final = "features"


@cache
def forms() -> Portable:
    """What of the catalog an events table tells, and why it does not tell the rest."""
    nothing = Vocabulary.of(COUNTS_SCHEMA.empty_table())
    return portable(CATALOG, CATALOG.summaries, nothing)


def columns_of(names: Iterable[str]) -> dict[str, str]:
    """Columns of `FEATURES` by the feature's name."""
    return column_names(forms().only(names).names)


def with_features(
    tree: exp.Query,
    names: Iterable[str],
    shop: Rules,
    as_of: datetime,
    zone: Zone,
    dialect: str,
    since: datetime | None = None,
) -> exp.Query:
    """The statement with the tables that work out some features before its own.

    Args:
        since: no later than the first event, for clock changes; None: as early as events can be.
    """
    wanted = forms().only(names)
    base = statement(wanted, shop, Moment(as_of, zone, since or EARLIEST), dialect)
    own = tree.ctes
    bare = tree.copy()
    for one in list(bare.ctes):
        one.pop()
    for key in ("with", "with_"):
        if key in bare.args:
            bare.set(key, None)
    for one in (*base.ctes, *own):
        bare = bare.with_(one.alias, as_=one.this.copy(), copy=False)
    return bare
