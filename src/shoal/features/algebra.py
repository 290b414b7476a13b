"""The algebra of features: what is kept of a customer, and how a number comes out of it.

A feature is written once, as data, in three steps:

    prepare   event -> columns             `shoal.features.queries.prepared`
    merge     Grain of Stats               events -> partials; partials + partials -> partials
    finish    Summary of a grain, Feature  partials -> one value a customer

Every `Stat` is an int64 and every merge is associative and commutative, so any split and order of
the same events ends in bit-equal partials; floats appear in `finish` only. The expressions are Ibis
deferred ones (`_.kind == "view"`): data that prints the same everywhere, which is what the
catalog's fingerprint is taken of, and that any Ibis engine compiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
from ibis import Deferred, _
from ibis.common.deferred import deferrable

from shoal.domain.money import MICROS
from shoal.domain.text import Text
from shoal.domain.time import DAY_US

Merge = Literal["add", "min", "max"]
Group = Literal["behaviour", "interest", "profile", "interaction", "outside"]
#: What a feature's column holds: `count` int64, `number` float64, `text` string.
ValueType = Literal["count", "number", "text"]

CUSTOMER: Final = "customer_id"
#: Tiles of single days and sessions are kept for this many local days up to the customer's latest.
KEEP_DAYS: Final = 91
#: The longest window of a feature, in local days; the days kept must cover it.
LONGEST_WINDOW_DAYS: Final = 90

_COUNT_BASE: Final = 10**18
_COUNT_DIGITS: Final = 19
_EXACT: Final = dt.Decimal(38, 0)


@dataclass(frozen=True)
class Stat:
    """One mergeable int64 of a group of events.

    Args:
        name: column of the partial.
        value: expression over a prepared event; int64.
        merge: how two partials become one. `add` of nothing is 0, `min` and `max` of nothing null.
        where: which events count; None for all of the grain's.
    """

    name: str
    value: Deferred | int
    merge: Merge = "add"
    where: Deferred | None = None


@dataclass(frozen=True)
class Grain:
    """What events are grouped by, and the stats kept of each group.

    Args:
        name: of the partial table.
        keys: prepared columns beside the customer, in the order of the partial; may be null.
        stats: kept of each group.
        where: which events take part; None for all.
        keep_days: groups with a key `day` older than this many local days before the customer's
            latest event are dropped; None keeps all.
        derive: columns that `finish` adds to the merged partial before it is summed up.
        settle: groups have a key `known_us`; what is known up to the customer's latest event is
            kept as known from the beginning.
        refer: `finish` joins what `shoal.features.reference` knows of the `item_id`.
    """

    name: str
    keys: tuple[str, ...]
    stats: tuple[Stat, ...]
    where: Deferred | None = None
    keep_days: int | None = None
    derive: Mapping[str, Deferred] = field(default_factory=lambda: MappingProxyType({}))
    refer: bool = False
    settle: bool = False


@dataclass(frozen=True)
class Coarser:
    """A grain made of another one by dropping keys; exists in `finish` only."""

    name: str
    source: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """One value a customer from the rows of a grain.

    Args:
        name: column that features may use.
        grain: a `Grain` or `Coarser`.
        value: aggregate over the grain's rows; may use the clock's `now_us` and `today`.
        default: value of customers without a row in the grain; None for null.
    """

    name: str
    grain: str
    value: Deferred
    default: int | None = 0


@dataclass(frozen=True)
class Feature:
    """One value a customer, as data.

    Args:
        name: column of a snapshot.
        group: behaviour, interest, profile, interaction or outside (of the shop: covariates).
        unit: plain word: `days`, `currency`, `share`, ...
        window: `all`, or the local calendar days that count, for example `28 days`.
        formula: how it is computed, in words and symbols.
        sentence: what it says about a customer.
        finish: expression over the summaries of the customer and the clock.
        type: what the column holds; null where the value is not defined.
    """

    name: str
    group: Group
    unit: str
    window: str
    formula: str
    sentence: Text
    finish: Deferred
    type: ValueType = "number"


def ratio(part: Any, whole: Any) -> Any:
    """part / whole, null where whole is 0; for expressions."""
    return part / whole.nullif(0)


def currency(micros: Any) -> Any:
    """Currency units of an expression in micro-units."""
    return micros / MICROS


def days(us: Any) -> Any:
    """Days of an expression in microseconds."""
    return us / DAY_US


def within(window_days: int) -> Deferred:
    """Rows of the last local days, as a condition on a grain keyed by `day`; today is the last."""
    return _.day > _.today - window_days


@deferrable
def commonest(key: Any, count: Any, where: Any = None) -> Any:
    """Aggregate: the key with the greatest count, behind its count; of equals the greater text.

    One maximum over "count key" with the count in fixed width, because engines agree on the order
    of texts but not on which row wins a tie in an argmax. `named` takes the key out.
    """
    return ((count + _COUNT_BASE).cast("string") + key).max(where=where)


def named(ranked: Any) -> Any:
    """The key of `commonest`; null without one."""
    return ranked.substr(_COUNT_DIGITS)


@deferrable
def total(value: Any, where: Any = None) -> Any:
    """Sum as int64 (engines widen sums of integers), 0 of nothing."""
    if where is not None:
        value = ibis.ifelse(where, value, 0)
    return as_int64(value.sum().fill_null(0))


@deferrable
def as_int64(value: Any) -> Any:
    """A cast that stays in the query although Ibis holds the value for an int64 already."""
    return ops.Cast(value, dt.int64).to_expr()


@ibis.udf.scalar.builtin(name="epoch_us", signature=((dt.Timestamp("UTC", 6),), dt.int64))
def epoch_us(moment: Any) -> Any:
    """Microseconds since 1970 of a timestamp, exactly (a Spark engine calls it `unix_micros`)."""


@deferrable
def fixed(value: Any, scale: int) -> Any:
    """A float in whole parts of 1 / scale, so that its sums do not depend on their order."""
    return as_int64((value * scale).round())


@deferrable
def sum_of_squares(value: Any, where: Any) -> Any:
    """Exact sum of squares of an integer, as decimal(38, 0); null of nothing."""
    exact = value.cast(_EXACT)
    return (exact * exact).sum(where=where)


@deferrable
def sample_std(count: Any, sum_: Any, squares: Any) -> Any:
    """Sample standard deviation sqrt((n Q - S^2) / (n (n - 1))); null below two values.

    The difference is taken exactly, in decimals: as floats it would cancel for regular gaps.
    """
    difference = count.cast(_EXACT) * squares - sum_.cast(_EXACT) * sum_.cast(_EXACT)
    pairs = (count * (count - 1)).nullif(0)
    return (difference.cast("float64") / pairs.cast("float64")).sqrt()
