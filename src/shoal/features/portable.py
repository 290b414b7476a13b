"""Features as SQL that stands alone: one statement over a table of canonical events.

The definitions are the catalog's own: each step (lines of customers, groups of a grain, sums of a
customer, features) is the Ibis expression that the fold runs too, cut down to what the wanted
features read, and compiled for a dialect. The moment stands in the statement as numbers.

What a statement over events alone cannot say is left out, with the reason: features of texts, of
the shop's table of items, of outside data, and those that need decimals of 38 digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import sqlglot
from ibis import _
from sqlglot import exp

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.domain.text import Text
from shoal.domain.time import SECOND_US, Zone, from_us, to_us
from shoal.features import queries
from shoal.features.algebra import (
    CUSTOMER,
    Feature,
    Grain,
    Summary,
    as_int64,
    epoch_us,
    ratio,
    total,
)
from shoal.features.grains import COARSER, COVARIATE, CUSTOMER_GRAIN, GRAINS, TRAIT
from shoal.features.queries import Rules, columns_read
from shoal.features.tastes import FACETS, Vocabulary

#: Dialects by sqlglot's name: what Ibis compiles for. Its compiler for Spark wants Spark itself, so
#: that sqlglot translates DuckDB's form.
DIALECTS: Final[Mapping[str, str]] = {
    "duckdb": "duckdb",
    "bigquery": "bigquery",
    "snowflake": "snowflake",
    "spark": "duckdb",
}

#: Columns that a user's table has; the local offset and the marks of noise are the shop's own.
COLUMNS: Final = tuple(
    name for name in queries.EVENT_COLUMNS if name not in ("utc_offset_s", "noise")
)

#: Names of the fold's own that a dialect takes for a keyword.
_RESERVED: Final = frozenset({"foreign"})

_REFERENCE: Final = frozenset({"item_first_us", "popularity", "price_rank"})
_DECIMAL: Final = frozenset({"gap_squares"})
_NO_TEXT: Final = Text("holds a text", "为文本")
_NO_ITEMS: Final = Text("needs the shop's table of items", "需要商品参考表")
_NO_OUTSIDE: Final = Text("needs outside data", "需要外部数据")
_NO_DECIMALS: Final = Text("needs decimals of 38 digits", "需要 38 位十进制数")


@dataclass(frozen=True)
class Portable:
    """Features with a form in SQL and the summaries they read; why the others have none."""

    features: tuple[Feature, ...]
    summaries: tuple[Summary, ...]
    left_out: Mapping[str, Text]

    def __contains__(self, name: object) -> bool:
        return any(one.name == name for one in self.features)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(one.name for one in self.features)

    def only(self, names: Iterable[str]) -> Portable:
        """The features of some names, and the summaries that these read."""
        wanted = set(names)
        features = tuple(one for one in self.features if one.name in wanted)
        read = columns_read(*(one.finish for one in features))
        return Portable(
            features, tuple(one for one in self.summaries if one.name in read), self.left_out
        )


def portable(
    features: Iterable[Feature], summaries: Iterable[Summary], vocabulary: Vocabulary
) -> Portable:
    """What of a catalog, and of the tastes in a vocabulary, can be written as SQL over events."""
    known = {one.name: one for one in summaries}
    kept, left_out = [], {}
    for one in features:
        reason = _unportable(one, known)
        if reason is None:
            kept.append(one)
        else:
            left_out[one.name] = reason
    shares, counts = _tastes(vocabulary)
    found = Portable((*kept, *shares), (*known.values(), *counts), left_out)
    return found.only(found.names)


def _unportable(one: Feature, summaries: Mapping[str, Summary]) -> Text | None:
    if one.type == "text":
        return _NO_TEXT
    read = [summaries[name] for name in columns_read(one.finish) if name in summaries]
    if one.group == "outside" or any(each.grain == COVARIATE.name for each in read):
        return _NO_OUTSIDE
    if _DECIMAL & columns_read(one.finish):
        return _NO_DECIMALS
    if any(_REFERENCE & columns_read(each.value) for each in read):
        return _NO_ITEMS
    return None


def _tastes(vocabulary: Vocabulary) -> tuple[list[Feature], list[Summary]]:
    """Shares of events by name as features: as counted, not drawn to the shop's mean."""
    features, summaries = [], {}
    for place, (column, (facet, value)) in enumerate(
        zip(vocabulary.columns, vocabulary.names, strict=True)
    ):
        grain, key = FACETS[facet]
        own, whole = f"taste_{place}", f"tastes_{facet}"
        summaries[own] = Summary(own, grain, total(_.n, where=_[key] == value))
        summaries[whole] = Summary(whole, grain, total(_.n, where=_[key].notnull()))
        features.append(
            Feature(
                column, "interest", "share", "all",
                f"events with {facet} {value!r} / events with a {facet}",
                Text(column, column), ratio(_[own], _[whole]),
            )
        )  # fmt: skip
    return features, list(summaries.values())


# --- The statement --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """When a statement looks.

    Args:
        as_of: T; only events before it count.
        since: no later than the first event; clock changes from here on are written down.
    """

    as_of: datetime
    zone: Zone
    since: datetime

    @property
    def numbers(self) -> dict[str, int]:
        """`now_us` and `today` as the fold's clock has them."""
        eve = self.as_of - timedelta(microseconds=1)
        return {"now_us": to_us(self.as_of), "today": self.zone.local_day(eve)}

    def offsets(self) -> list[tuple[int, int]]:
        """(until_us, offset_s) in order of time; the last one holds for ever."""
        found = []
        left, day = self.since, timedelta(days=1)
        while left < self.as_of:
            right = min(left + day, self.as_of)
            if self.zone.offset_s(left) != self.zone.offset_s(right):
                found.append((self._change(left, right), self.zone.offset_s(left)))
            left = right
        return [*found, (to_us(self.as_of), self.zone.offset_s(self.as_of))]

    def _change(self, left: datetime, right: datetime) -> int:
        """The first second with the offset of `right`, in microseconds."""
        low, high = to_us(left) // SECOND_US, to_us(right) // SECOND_US
        before = self.zone.offset_s(left)
        while high - low > 1:
            middle = (low + high) // 2
            if self.zone.offset_s(from_us(middle * SECOND_US)) == before:
                low = middle
            else:
                high = middle
        return high * SECOND_US


class _Row:
    """A table as deferred expressions see it, with the clock as plain numbers."""

    def __init__(self, table: ir.Table, numbers: Mapping[str, int]) -> None:
        self._table = table
        self._numbers = numbers

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __getitem__(self, name: str) -> Any:
        return self._numbers[name] if name in self._numbers else self._table[name]

    def count(self) -> Any:
        """Rows of the table."""
        return self._table.count()


def check_dialect(dialect: str) -> None:
    """Refuse a dialect that there is none of.

    Raises:
        UsageError: `unknown_dialect`.
    """
    if dialect not in DIALECTS:
        raise UsageError(
            "unknown_dialect", f"no SQL dialect {dialect!r}",
            hint=f"Dialects: {', '.join(DIALECTS)}.",
        )  # fmt: skip


def statement(
    wanted: Portable, rules: Rules, moment: Moment, dialect: str = "duckdb"
) -> exp.Select:
    """`SELECT customer_id, <features> FROM features` with all that it stands on, as a tree.

    The table is called `events`: one row an event, with `COLUMNS`, deduplicated, persons joined,
    noise left out, amounts in micro-units of the shop's currency. Features are columns of the
    names that `column_names` gives.

    Raises:
        UsageError: `unknown_dialect`.
    """
    check_dialect(dialect)
    numbers = moment.numbers
    rules = replace(rules, noise=(), traits=(), covariates=())
    parts: list[tuple[str, ir.Table]] = []
    grains = list(_grains(wanted))
    lines = _lines([grain for grain, _ in grains], rules, moment)
    parts.append(("lines", lines))
    known = queries.unbound(lines.schema().to_pyarrow(), "lines")
    sums: list[tuple[Grain, ir.Table]] = []
    for grain, summaries in grains:
        groups = _groups(grain, known)
        name = "customers" if grain.name == CUSTOMER_GRAIN.name else f"by_{grain.name}"
        parts.append((name, groups))
        if summaries:
            grouped = _named(groups, name)
            table = _summed(grain, grouped, summaries, numbers)
            parts.append((f"of_{grain.name}", table))
            sums.append((grain, _named(table, f"of_{grain.name}")))
        elif grain.name == CUSTOMER_GRAIN.name:
            customers = _named(groups, name)
    parts.append(("features", _features(wanted, customers, sums, numbers)))
    tree = exp.select(exp.Star()).from_("features")
    for name, part in parts:
        tree = tree.with_(name, as_=_compiled(part, dialect))
    return tree


def column_names(names: Iterable[str]) -> dict[str, str]:
    """Columns of a statement by the feature's name: letters, digits and underscores, each once.

    >>> list(column_names(["spend", "category:home & garden", "category:home, garden"]).values())
    ['spend', 'category_home_garden', 'category_home_garden_2']
    """
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_").lower() or "share"
        number, chosen = 1, plain
        while chosen in found.values():
            number += 1
            chosen = f"{plain}_{number}"
        found[name] = chosen
    return found


def _grains(wanted: Portable) -> Iterator[tuple[Grain, tuple[Summary, ...]]]:
    """The grains that summaries stand on, each with the stats that these read; customers first."""
    read = columns_read(*(one.finish for one in wanted.features))
    yield _cut(CUSTOMER_GRAIN, read), ()
    known = {grain.name: grain for grain in GRAINS if grain.name not in (TRAIT.name,)}
    for coarser in COARSER:
        source = known[coarser.source]
        known[coarser.name] = replace(source, name=coarser.name, keys=coarser.keys)
    for name, grain in known.items():
        summaries = tuple(one for one in wanted.summaries if one.grain == name)
        if summaries:
            yield _cut(grain, columns_read(*(one.value for one in summaries))), summaries


def _cut(grain: Grain, read: set[str]) -> Grain:
    """A grain with the stats and derived columns that are read."""
    derive = {name: value for name, value in grain.derive.items() if name in read}
    needed = read | columns_read(*derive.values())
    stats = tuple(one for one in grain.stats if one.name in needed)
    return replace(grain, stats=stats, derive=derive)


def _lines(grains: Sequence[Grain], rules: Rules, moment: Moment) -> ir.Table:
    """Customers' own events before the moment, with the columns that the grains read."""
    wanted = {CUSTOMER, "us"}
    for grain in grains:
        parts = [part for stat in grain.stats for part in (stat.value, stat.where)]
        wanted |= columns_read(grain.where, *parts) | set(grain.keys)
    behind = queries.columns_behind(rules, wanted) | {"kind", "event_time"}
    behind |= {"source"} if rules.order_sources else set()
    schema = pa.schema([queries.EVENTS_SCHEMA.field(name) for name in COLUMNS if name in behind])
    own = queries.unbound(schema, "events").filter(
        _.customer_id.notnull(), _.kind != kinds.ITEM,
        epoch_us(_.event_time) < moment.numbers["now_us"],
    )  # fmt: skip
    if rules.order_sources:
        own = own.filter(queries.told_once(rules.order_sources))
    if "utc_offset_s" in behind:
        own = own.mutate(utc_offset_s=_offset(moment))
    table = queries.with_columns(own, rules, wanted)
    return table.select(*(name for name in table.columns if name in wanted))


def _offset(moment: Moment) -> Any:
    *changes, (_until, last) = moment.offsets()
    if not changes:
        return as_int64(ibis.literal(last))  # plainly written it would be an int32
    cases = [(epoch_us(_.event_time) < until, offset) for until, offset in changes]
    return ibis.cases(*cases, else_=last)


def _groups(grain: Grain, lines: ir.Table) -> ir.Table:
    source = lines if grain.where is None else lines.filter(grain.where)
    keys = [CUSTOMER, *grain.keys]
    stats = {stat.name: queries.stat_value(stat) for stat in grain.stats}
    grouped = source.group_by(keys).agg(**stats) if stats else source.select(*keys).distinct()
    return grouped.mutate(**grain.derive) if grain.derive else grouped


def _summed(
    grain: Grain, groups: ir.Table, summaries: Sequence[Summary], numbers: Mapping[str, int]
) -> ir.Table:
    row = _Row(groups, numbers)
    values = {one.name: one.value.resolve(row) for one in summaries}
    return groups.group_by(CUSTOMER).agg(**values)


def _features(
    wanted: Portable,
    customers: ir.Table,
    sums: Sequence[tuple[Grain, ir.Table]],
    numbers: Mapping[str, int],
) -> ir.Table:
    joined: Any = customers
    for grain, table in sums:
        joined = joined.left_join(
            table, customers[CUSTOMER] == table[CUSTOMER], rname=f"{{name}}_{grain.name}"
        )
    defaults = {one.name: one.default for one in wanted.summaries}
    columns: dict[str, Any] = {name: customers[name] for name in customers.columns}
    for _grain, table in sums:
        for name in table.columns:
            if name != CUSTOMER:
                default = defaults[name]
                columns[name] = table[name] if default is None else table[name].fill_null(default)
    full = joined.select(**columns)
    row, named = _Row(full, numbers), column_names(wanted.names)
    values = {
        named[one.name]: queries.typed_value(one.finish.resolve(row), one.type)
        for one in wanted.features
    }
    return full.select(CUSTOMER, **values)


def _named(table: ir.Table, name: str) -> ir.Table:
    """The unbound table of that name with the columns of another one."""
    return ibis.table(table.schema(), name=name)


# --- Dialects -------------------------------------------------------------------------------------


def _compiled(table: ir.Table, dialect: str) -> exp.Expr:
    compiled = DIALECTS[dialect]
    sql = str(ibis.to_sql(table, dialect=compiled, pretty=False))
    tree = sqlglot.parse_one(sql, read=compiled)
    for name in tree.find_all(exp.Identifier):
        # Quoted, some dialects would tell `kind` from KIND.
        name.set("quoted", name.name in _RESERVED)
    for call in list(tree.find_all(exp.Anonymous)):
        if call.name.lower() == "epoch_us" and dialect != "duckdb":
            call.replace(_microseconds(call.expressions[0].copy(), dialect))
    if dialect == "snowflake":  # whose quotients of whole numbers end after six decimals
        for quotient in list(tree.find_all(exp.Div)):
            quotient.set("this", exp.cast(quotient.this.copy(), exp.DataType.Type.DOUBLE))
    return tree


def _microseconds(time: exp.Expr, dialect: str) -> exp.Expr:
    """Microseconds since 1970 of a time."""
    if dialect == "snowflake":
        return exp.Anonymous(this="DATE_PART", expressions=[exp.var("epoch_microsecond"), time])
    return exp.Anonymous(this="UNIX_MICROS", expressions=[time])
