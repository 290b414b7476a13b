"""Covariates: what was so outside the shop, told by tables and met by events.

A covariate is a number that belongs to days, places, categories or items: the weather of a region,
whether a day is a holiday, the price of a metal. An event meets the row that has its own local day,
country, region, category and item, as far as the table has these keys. What customers met is the
grain `covariate`; features are the mean over a customer's events, over the value events alone, and
the value now, where the customer was seen last.

Each row carries `known_us`, the moment from which it could be known; features at T use rows with
`known_us <= T` and events before T. A state is finished at moments after its customer's events
only, so what became known up to the customer's latest event needs no date any more and is kept as
`ALWAYS_US`; rows known later wait with their date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from shoal.domain.money import MICROS
from shoal.domain.text import Text
from shoal.features.algebra import CUSTOMER, Feature, Summary, named, ratio, total

#: Keys that a table may have, as columns of the long table; `day` is a local day since 1970.
KEYS: Final = ("day", "country", "region", "category", "item_id")
#: Known from the beginning of time.
ALWAYS_US: Final = 0
#: Rows of all declared covariates: `source` is the table, `covariate` "table.column", `micros` the
#: value times 1e6; keys that the table does not have are null.
COVARIATES_SCHEMA: Final = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("covariate", pa.string()),
        *(pa.field(key, pa.int64() if key == "day" else pa.string()) for key in KEYS),
        pa.field("micros", pa.int64()),
        pa.field("known_us", pa.int64()),
    ]
)

#: For how many days the latest value known goes on to be the value now, by what a row stands for.
NOW_AGE_DAYS: Final = {"day": 7, "week": 21, "month": 62}
#: Keys of tables that have a value now.
_NOW_KEYS: Final = ("country", "region")


@dataclass(frozen=True)
class CovariateTable:
    """What a fold knows of a table.

    Args:
        name: of the table.
        keys: some of `KEYS`, in that order.
        columns: those declared, in order of name.
        shares: the columns among them that hold 0 and 1 alone.
        depth: names in a category path of the table; an event's path is cut to as many.
        period: what a row with a `day` came from: day, week or month; empty without dates.
        always: every row is known from the beginning (calendars, places).
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    shares: tuple[str, ...] = ()
    depth: int = 1
    period: str = ""
    always: bool = False

    @property
    def has_now(self) -> bool:
        """Whether there is a value now for a customer: no category and no item is asked for."""
        return not {"category", "item_id"} & set(self.keys)

    @property
    def now_keys(self) -> tuple[str, ...]:
        """The customer's own keys by which the value now is found."""
        return tuple(key for key in _NOW_KEYS if key in self.keys)


@dataclass(frozen=True, eq=False)
class Covariates:
    """The covariates that a shop declares: `rows` as `COVARIATES_SCHEMA`, `ids` of artefacts."""

    tables: tuple[CovariateTable, ...] = ()
    rows: pa.Table = field(default_factory=COVARIATES_SCHEMA.empty_table)
    ids: tuple[str, ...] = ()


def prefix(table: CovariateTable, column: str) -> str:
    """The beginning of the names of a column's features."""
    return f"{table.name}_{column}"


# -- events meet rows -----------------------------------------------------------------------------


def columns_needed(tables: Sequence[CovariateTable]) -> set[str]:
    """Prepared columns of events that the tables' keys are matched with."""
    return {key for table in tables for key in table.keys} | {"us", "is_value"}


def met(events: ir.Table, rows: ir.Table, tables: Sequence[CovariateTable]) -> ir.Table:
    """Each event with each covariate it meets.

    Args:
        events: prepared, with `columns_needed`.
        rows: `COVARIATES_SCHEMA`.
    """
    each = [_met(events, rows, table) for table in tables]
    return ibis.union(*each) if len(each) > 1 else each[0]


def _met(events: ir.Table, rows: ir.Table, table: CovariateTable) -> ir.Table:
    theirs = rows.filter(_.source == table.name).select(
        "covariate", "micros", "known_us", **{f"its_{key}": rows[key] for key in table.keys}
    )
    mine = events.view()
    if "category" in table.keys:
        mine = mine.mutate(category=_cut(mine.category, table.depth))
    same = [mine[key] == theirs[f"its_{key}"] for key in table.keys]
    return mine.inner_join(theirs, same).select(
        CUSTOMER, "us", "is_value", "covariate", "known_us", "micros"
    )


def _cut(category: Any, depth: int) -> Any:
    """The first names of a category path; null where the path is shorter."""
    return category.re_extract(f"^[^/]+(/[^/]+){{{depth - 1}}}", 0).nullif("")


# -- values now -----------------------------------------------------------------------------------


def now_name(keys: Sequence[str]) -> str:
    """Name of the relation that holds the values now of tables with these keys."""
    return "_".join(("now", *keys))


def now_schemas(tables: Sequence[CovariateTable]) -> dict[str, tuple[tuple[str, ...], pa.Schema]]:
    """Relations of values now by name: their keys and schema (one column a covariate)."""
    found: dict[str, tuple[tuple[str, ...], list[pa.Field]]] = {}
    for table in tables:
        if table.has_now:
            _, columns = found.setdefault(now_name(table.now_keys), (table.now_keys, []))
            columns += [pa.field(f"{prefix(table, one)}_now_micros", pa.int64())
                        for one in table.columns]  # fmt: skip
    return {
        name: (keys, pa.schema([*(pa.field(f"now_{key}", pa.string()) for key in keys), *columns]))
        for name, (keys, columns) in found.items()
    }


def now_tables(covariates: Covariates, now_us: int, today: int) -> dict[str, pa.Table]:
    """The values now, as `now_schemas` has them: the latest that is known at T.

    A calendar (`always`) has the value of T's local day or none; of other tables the latest row
    counts that is dated T's day or before and not older than `NOW_AGE_DAYS`.
    """
    tables: dict[str, pa.Table] = {}
    for name, (keys, schema) in now_schemas(covariates.tables).items():
        cells: dict[tuple[Any, ...], dict[str, int]] = {}
        for table in covariates.tables:
            if not table.has_now or now_name(table.now_keys) != name:
                continue
            for row in _latest(covariates.rows, table, now_us, today):
                column = row["covariate"].removeprefix(f"{table.name}.")
                cell = cells.setdefault(tuple(row[key] for key in keys), {})
                cell[f"{prefix(table, column)}_now_micros"] = row["micros_last"]
        made = [
            {f"now_{key}": part for key, part in zip(keys, at, strict=True)} | values
            for at, values in cells.items()
        ]
        if not keys and not made:
            made = [{}]  # one row for all customers, of unknown values
        tables[name] = pa.Table.from_pylist(made, schema=schema)
    return tables


def _latest(rows: pa.Table, table: CovariateTable, now_us: int, today: int) -> list[dict[str, Any]]:
    """One row a covariate and place, with the value now as `micros_last`."""
    wanted = (pc.field("source") == table.name) & (pc.field("known_us") <= now_us)
    if "day" in table.keys:
        oldest = today if table.always else today - NOW_AGE_DAYS[table.period]
        wanted &= (pc.field("day") <= today) & (pc.field("day") >= oldest)
    found = rows.filter(wanted).sort_by("day")
    grouped = found.group_by(["covariate", *table.now_keys], use_threads=False)
    latest: list[dict[str, Any]] = grouped.aggregate([("micros", "last")]).to_pylist()
    return latest


def with_now(customers: ir.Table, tables: Sequence[CovariateTable]) -> ir.Table:
    """Customers with one column more a value now, by where each was seen last."""
    for name, (keys, schema) in now_schemas(tables).items():
        values = ibis.table(ibis.Schema.from_pyarrow(schema), name=name)
        if keys:
            same = [named(customers[f"latest_{key}"]) == values[f"now_{key}"] for key in keys]
            customers = customers.left_join(values, same).drop(*(f"now_{key}" for key in keys))
        else:
            customers = customers.cross_join(values)
    return customers


# -- features -------------------------------------------------------------------------------------


#: Ends of names of features, which events they speak of, and these events in words.
_AT: Final = (
    ("mean", "", "the customer's events", "客户事件"),
    ("at_orders", "value ", "the customer's purchases", "客户购买"),
)


def covariate_summaries(table: CovariateTable) -> Iterator[Summary]:
    """Sums and counts of a table's columns over what is known."""
    for column in table.columns:
        own = (_.covariate == f"{table.name}.{column}") & (_.known_us <= _.now_us)
        for which, stem in (("mean", ""), ("at_orders", "order_")):
            for stat in ("n", "micros"):
                name = f"{prefix(table, column)}_{which}_{stat}"
                yield Summary(name, "covariate", total(_[stem + stat], where=own))


def covariate_features(table: CovariateTable) -> Iterator[Feature]:
    """The features of a table's columns."""
    for column in table.columns:
        start, told = prefix(table, column), f"{table.name}.{column}"
        unit = "share" if column in table.shares else ""
        for which, part, en, zh in _AT:
            text = Text(f"Mean of {told} at {en}.", f"{zh}时 {told} 的均值。")
            if unit:
                text = Text(f"Share of {en} with {told}.", f"{zh}中 {told} 的占比。")
            yield Feature(
                f"{start}_{which}", "outside", unit, "all",
                f"mean of `{told}` over the {part}events that have one", text,
                ratio(_[f"{start}_{which}_micros"], _[f"{start}_{which}_n"]) / MICROS,
            )  # fmt: skip
        if table.has_now:
            place = " and ".join(table.now_keys)
            yield Feature(
                f"{start}_now", "outside", "", "now",
                f"latest `{told}` known at T" + (f", for the latest {place}" if place else ""),
                Text(
                    f"{told} now" + (", where the customer was seen last." if place else "."),
                    ("客户最近所在地" if place else "") + f"当前的 {told}。",
                ),
                _[f"{start}_now_micros"] / MICROS,
            )  # fmt: skip
