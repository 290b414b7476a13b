"""A log reduced to customers, visits, orders and items: what its moments are computed from.

Real and simulated logs go through the same reduction. What the real log holds (`Contents`) decides
for both: kinds of event it lacks are left out, visits and orders are told in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain import kinds
from shoal.domain.time import DAY_US

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: One event a row. `local_us` is the local time in microseconds since 1970, `paid` the line's price
#: x quantity - discount in currency units.
LOG_SCHEMA: Final = pa.schema(
    [
        pa.field("customer", pa.string()), pa.field("kind", pa.string()),
        pa.field("local_us", pa.int64()), pa.field("sequence", pa.int64()),
        pa.field("item", pa.string()), pa.field("category", pa.string()),
        pa.field("paid", pa.float64()), pa.field("quantity", pa.int64()),
        pa.field("order", pa.string()), pa.field("session", pa.string()),
    ]
)  # fmt: skip

#: Kinds that are something a customer does of their own accord; the rest is sent, asked or told.
BEHAVIOUR: Final = (
    kinds.VIEW, kinds.SEARCH, kinds.CLICK, kinds.CART_ADD, kinds.CART_REMOVE, kinds.FAVOURITE,
    kinds.CHECKOUT, kinds.PURCHASE, kinds.REFUND, kinds.REVIEW, kinds.SHARE, kinds.REFER,
    kinds.SIGN_UP, kinds.LOGIN,
)  # fmt: skip
_BUYING: Final = kinds.PURCHASE
#: Silence after which a new visit begins, where a log has no sessions of its own.
SILENCE_US: Final = 30 * 60 * 1_000_000
#: A fact counts as told if this part of the events that should have it do.
_TOLD: Final = 0.5
_ALL_BUT_FEW: Final = 0.99


@dataclass(frozen=True)
class Contents:
    """What a log can tell.

    Args:
        kinds: the kinds of behaviour it holds, in the order of `BEHAVIOUR`.
        left_out: kinds it holds that are no behaviour, or of too few events to matter.
        sessions, orders: whether it has ids of them.
        hours: whether its times have an hour of the day.
        items, categories: whether events say what they are about.
        prices, units: whether purchases say what was paid and how many units were bought.
        value: the kind that counts as buying.
    """

    kinds: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    sessions: bool = True
    orders: bool = True
    hours: bool = True
    items: bool = True
    categories: bool = True
    prices: bool = True
    units: bool = True
    value: str = _BUYING

    @property
    def views(self) -> bool:
        """Whether customers are seen before they buy."""
        return kinds.VIEW in self.kinds

    @property
    def refunds(self) -> bool:
        return kinds.REFUND in self.kinds


def contents_of(log: pa.Table, value: str = kinds.PURCHASE) -> Contents:
    """What a log (`LOG_SCHEMA`) can tell.

    >>> one = {"customer": "c", "kind": "purchase", "local_us": 0, "paid": 5.0}
    >>> told = contents_of(pa.Table.from_pylist([one], schema=LOG_SCHEMA))
    >>> told.kinds, told.hours, told.prices, told.items
    (('purchase',), False, True, False)
    """
    counted = pc.value_counts(log["kind"]).to_pylist()
    counts = {entry["values"]: entry["counts"] for entry in counted if entry["values"]}
    held = tuple(kind for kind in BEHAVIOUR if counts.get(kind))
    bought = log.filter(pc.equal(log["kind"], value))
    about = log.filter(pc.is_in(log["kind"], pa.array(held, pa.string())))
    midnight = np.mean(log["local_us"].to_numpy() % DAY_US == 0) if len(log) else 1.0
    return Contents(
        kinds=held,
        left_out=tuple(sorted(set(counts) - set(held))),
        sessions=_told(about, "session"),
        orders=_told(bought, "order"),
        hours=bool(midnight < _ALL_BUT_FEW),
        items=_told(about, "item"),
        categories=_told(about, "category"),
        prices=_told(bought, "paid"),
        units=_told(bought, "quantity"),
        value=value,
    )


def _told(rows: pa.Table, column: str) -> bool:
    return bool(len(rows)) and len(rows) - rows[column].null_count >= _TOLD * len(rows)


@dataclass(frozen=True)
class Tally:
    """A log as arrays. Times are local microseconds since 1970.

    Args:
        contents: what the log that is compared with can tell.
        first_us, last_us: of the whole log.
        kinds: events, shape (customers, kinds of `contents`).
        customers: in order of their ids: `first_us`, `last_us`, `days`, `items` (different ones),
            `weekend` (events on Saturday and Sunday), `sine` and `cosine` (sums over events of the
            hour's angle).
        visits: `customer` (row of `customers`), `start_us`, `events`, `views`, `bought` (0 or 1);
            ordered by customer and start.
        orders: `customer`, `start_us`, `lines`, `units`, `paid` (currency units); same order.
        items, categories: events of each one seen, in no order.
    """

    contents: Contents
    first_us: int
    last_us: int
    kinds: Ints
    customers: dict[str, Floats]
    visits: dict[str, Floats]
    orders: dict[str, Floats]
    items: Ints
    categories: Ints

    @property
    def events(self) -> Ints:
        """Events a customer."""
        return np.asarray(self.kinds.sum(axis=1))

    @property
    def span_days(self) -> float:
        """Days from the first event to the last, at least one."""
        return max(1.0, (self.last_us - self.first_us) / DAY_US)

    def of(self, kind: str) -> Ints:
        """Events of a kind a customer."""
        return np.asarray(self.kinds[:, self.contents.kinds.index(kind)])

    def per_customer(self, rows: dict[str, Floats], name: str | None = None) -> Floats:
        """Sum of a column of visits or orders (None: their number) over each customer's."""
        weights = None if name is None else rows[name]
        return np.bincount(
            rows["customer"].astype(np.int64), weights=weights, minlength=len(self.kinds)
        ).astype(np.float64)


def tally(log: pa.Table, contents: Contents) -> Tally:
    """A log (`LOG_SCHEMA`, any order) reduced, as far as `contents` can tell.

    Events of nobody and of kinds that `contents` lacks are left out. Where `contents` has no hours,
    times are cut to days; where it has no items, a row is a whole order, and lines that share kind,
    moment and order are added up to one.
    """
    kind = pc.index_in(log["kind"], pa.array(contents.kinds, pa.string()))
    kept = pc.and_(kind.is_valid(), log["customer"].is_valid())
    log = log.set_column(log.column_names.index("kind"), "kind", kind).filter(kept)
    if not contents.hours:
        days = log["local_us"].to_numpy() // DAY_US * DAY_US
        log = log.set_column(log.column_names.index("local_us"), "local_us", pa.array(days))
    if not contents.items:
        log = _whole_orders(log)
    who, count = _places(log["customer"])
    time = log["local_us"].to_numpy()
    order = np.lexsort((_ints(log["sequence"], 0), time, who))
    log, who, time = log.take(pa.array(order)), who[order], time[order]
    kind = _ints(log["kind"], 0)
    visit, visits = _visits(log, contents, who, time, kind)
    bought = kind == contents.kinds.index(contents.value) if contents.value in contents.kinds else (
        np.zeros(len(kind), bool)
    )  # fmt: skip
    item = _codes(log["item"])
    return Tally(
        contents=contents,
        first_us=int(time.min()) if len(time) else 0,
        last_us=int(time.max()) if len(time) else 0,
        kinds=_table(who, kind, count, len(contents.kinds)),
        customers=_customers(who, time, item[0], count),
        visits=visits,
        orders=_orders(log, contents, who, time, visit, bought),
        items=_seen(*item),
        categories=_seen(*_codes(log["category"])),
    )


def _whole_orders(log: pa.Table) -> pa.Table:
    """One row for all rows of a customer that share kind, moment and order."""
    keys = ["customer", "kind", "local_us", "order"]
    found = log.group_by(keys, use_threads=False).aggregate(
        [("sequence", "min"), ("paid", "sum"), ("quantity", "sum"), ("session", "min"),
         ("item", "min"), ("category", "min")]
    )  # fmt: skip
    names = [name.rsplit("_", 1)[0] if name not in keys else name for name in found.column_names]
    return found.rename_columns(names).select(log.column_names)


def _codes(column: pa.ChunkedArray) -> tuple[Ints, int]:
    """Texts as 0.. in order of first sight (-1: null), and how many there are."""
    encoded = column.combine_chunks().dictionary_encode()
    return _ints(encoded.indices, -1), len(encoded.dictionary)


def _places(column: pa.ChunkedArray) -> tuple[Ints, int]:
    """Texts as their places in alphabetical order, whatever order they come in; how many."""
    encoded = column.combine_chunks().dictionary_encode()
    place = np.empty(len(encoded.dictionary), np.int64)
    place[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(place))
    return place[_ints(encoded.indices, -1)], len(place)


def _ints(column: pa.ChunkedArray | pa.Array, null: int) -> Ints:
    return np.asarray(pc.fill_null(column.cast(pa.int64()), null).to_numpy())


def _table(row: Ints, column: Ints, rows: int, columns: int) -> Ints:
    counts = np.bincount(row * max(columns, 1) + column, minlength=rows * columns)
    return np.asarray(counts, np.int64).reshape(rows, columns)


def _seen(code: Ints, count: int) -> Ints:
    return np.bincount(code[code >= 0], minlength=count).astype(np.int64)


def _first_of(*keys: Ints) -> Bools:
    """Whether each row of sorted keys differs from the row before."""
    if not len(keys[0]):
        return np.zeros(0, bool)
    changed = np.zeros(len(keys[0]) - 1, bool)
    for key in keys:
        changed |= key[1:] != key[:-1]
    return np.append(True, changed)


def _customers(who: Ints, time: Ints, item: Ints, count: int) -> dict[str, Floats]:
    first = _first_of(who)
    last = np.append(first[1:], True) if len(first) else first
    day = time // DAY_US
    angle = 2 * np.pi * (time % DAY_US) / DAY_US
    pair = np.unique(who[item >= 0] * (int(item.max(initial=0)) + 1) + item[item >= 0])

    def sums(weights: npt.NDArray[np.generic]) -> Floats:
        summed = np.bincount(who, weights=weights.astype(np.float64), minlength=count)
        return np.asarray(summed, np.float64)

    return {
        "first_us": time[first].astype(np.float64),
        "last_us": time[last].astype(np.float64),
        "days": sums(_first_of(who, day)),
        "items": np.bincount(pair // (int(item.max(initial=0)) + 1), minlength=count).astype(float),
        # 1970 began on a Thursday.
        "weekend": sums((day + 3) % 7 >= 5),
        "sine": sums(np.sin(angle)),
        "cosine": sums(np.cos(angle)),
    }


def _visits(
    log: pa.Table, contents: Contents, who: Ints, time: Ints, kind: Ints
) -> tuple[Ints, dict[str, Floats]]:
    """The visit of each event (-1: none), and the visits."""
    if contents.sessions:
        visit = _by_session(who, _codes(log["session"])[0])
    else:
        new = _first_of(who)
        new[1:] |= np.diff(time) > SILENCE_US
        visit = np.cumsum(new) - 1
    inside = visit >= 0
    count = int(visit.max(initial=-1)) + 1
    at = visit[inside]
    start = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(start, at, time[inside])
    customer = np.zeros(count, np.int64)
    customer[at] = who[inside]
    order = np.lexsort((start, customer))
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    visit = np.where(inside, place[np.maximum(visit, 0)] if count else -1, -1)
    at = visit[inside]

    def events(name: str) -> Floats:
        if name not in contents.kinds:
            return np.zeros(count)
        mine = kind[inside] == contents.kinds.index(name)
        return np.bincount(at[mine], minlength=count).astype(np.float64)

    return visit, {
        "customer": customer[order].astype(np.float64),
        "start_us": start[order].astype(np.float64),
        "events": np.bincount(at, minlength=count).astype(np.float64),
        "views": events(kinds.VIEW),
        "bought": (events(contents.value) > 0).astype(np.float64),
    }


def _by_session(who: Ints, session: Ints) -> Ints:
    """Number of each event's (customer, session); -1 where it has no session."""
    width = int(session.max(initial=-1)) + 2
    inside = session >= 0
    visit = np.full(len(who), -1)
    _, visit[inside] = np.unique(who[inside] * width + session[inside], return_inverse=True)
    return visit


def _orders(
    log: pa.Table, contents: Contents, who: Ints, time: Ints, visit: Ints, bought: Bools
) -> dict[str, Floats]:
    """Orders by their ids; where a log has none, what was bought in one visit is one order."""
    who, time = who[bought], time[bought]
    lines = log.filter(pa.array(bought))
    ids = _codes(lines["order"])[0] if contents.orders else np.full(len(who), -1)
    # A line without an order id is of its visit's order; without a visit, of its moment's.
    of_visit = visit[bought]
    named = ids >= 0
    key = np.where(named, ids, np.where(of_visit >= 0, of_visit, time))
    sort = np.where(named, 0, np.where(of_visit >= 0, 1, 2))
    order = np.lexsort((time, key, sort, who))
    new = _first_of(who[order], sort[order], key[order])
    number = np.cumsum(new) - 1
    count = int(new.sum())

    def sums(name: str, missing: float) -> Floats:
        weights = pc.fill_null(lines[name].cast(pa.float64()), missing).to_numpy()[order]
        return np.asarray(np.bincount(number, weights=weights, minlength=count), np.float64)

    start, customer = time[order][new], who[order][new]
    by_time = np.lexsort((start, customer))
    columns = {
        "customer": customer.astype(np.float64),
        "start_us": start.astype(np.float64),
        "lines": np.bincount(number, minlength=count).astype(np.float64),
        "units": sums("quantity", 1),
        "paid": sums("paid", 0),
    }
    return {name: values[by_time] for name, values in columns.items()}
