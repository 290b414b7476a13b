"""Stock: items run out and come back, and what customers wanted stands beside what was sold.

Stock-outs are planned for the whole shop. What is out can be looked at and not be put into the
cart: a customer who set out to buy it gives up, takes a like item, or waits and adds it to the next
order after the restock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.encode import item_ids, moments, numbered
from shoal.events.worlds.funnel import CODE
from shoal.events.worlds.layers import Draft, Setting
from shoal.events.worlds.stockouts import LONGEST_DAYS, Hits, Stockouts, arrivals_s

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.void]

#: What became of a wish for an item that was out: given up at once; a like item bought instead;
#: bought with a later order; waited for in vain.
FATES: Final = ("lost", "substituted", "delayed", "waited")
LOST, SUBSTITUTED, DELAYED, WAITED = range(4)

#: Pieces of the count of demand are summed once they have this many entries.
_MANY: Final = 2_000_000


#: Least and greatest value of each dial.
_BOUNDS: Final = {
    "per_30_days": (0.001, 30), "popularity_power": (-2, 2), "days": (0.5, 60),
    "days_sigma": (0, 3), "late": (0, 1), "late_factor": (1, 100), "lost": (0, 1),
    "substituted": (0, 1), "patience_days": (0, 1000),
}  # fmt: skip


@dataclass(frozen=True)
class Stock:
    """Stock-outs of items, and what customers do about them."""

    #: how often an item of mean popularity runs out in 30 days in stock, and the power of
    #: popularity with which others do
    per_30_days: float = 0.3
    popularity_power: float = 0.3
    #: median days until an item is back, and the spread of their logarithm
    days: float = 3.0
    days_sigma: float = 0.7
    #: share of restocks that come late, and how many times later
    late: float = 0.1
    late_factor: float = 4.0
    #: share of wishes that are given up, and that a like item meets; the others wait
    lost: float = 0.5
    substituted: float = 0.35
    #: so many days after the restock
    patience_days: int = 45

    def __post_init__(self) -> None:
        bounds = _BOUNDS | {"substituted": (0, 1 - self.lost)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise UsageError(
                    "bad_dial", f"dial {name} of stock cannot be {getattr(self, name)!r}",
                    hint=f"Give a number from {low:g} to {high:g}.",
                )  # fmt: skip

    def plan(self, setting: Setting, rng: np.random.Generator) -> StockPlan:
        """Draw all stock-outs of the log."""
        popularity = setting.catalogue.popularity / setting.catalogue.popularity.mean()
        a_day = self.per_30_days / 30 * popularity**self.popularity_power
        lengths = (self.days, self.days_sigma, self.late, self.late_factor)
        arrives_s = arrivals_s(setting.catalogue, setting.days)
        drawn = Stockouts.draw(a_day, arrives_s, setting.days, lengths, rng)
        return StockPlan(self, setting, drawn)


@dataclass(frozen=True)
class _Wishes:
    """Order lines of a block that could not be bought as wished, one entry each.

    `bought_s` is when they were bought after all, as `got` (an item), both -1 if never.
    """

    customer: Ints
    item: Ints
    time_s: Ints
    quantity: Ints
    fate: Ints
    got: Ints
    bought_s: Ints


@dataclass
class StockPlan:
    """The stock-outs of one shop, and the demand as far as it is drawn.

    What is sold is what orders hold when `shape_events` runs: a world names this layer after those
    that make or take orders, and before those that damage the log.
    """

    stock: Stock
    setting: Setting
    stockouts: Stockouts
    _wishes: _Wishes | None = None
    _counted: list[tuple[Ints, Ints, Ints]] = field(default_factory=list)

    def shape_sessions(self, draft: Draft, rng: np.random.Generator) -> None:
        """Nothing: which items a session holds is not known yet."""

    def shape_visits(self, draft: Draft, rows: Rows, rng: np.random.Generator) -> Rows:
        """Carts and orders without what is out, before the money of orders is reckoned."""
        goods, sessions = self.setting.catalogue, draft.sessions
        hits = Hits.find(self.stockouts, rows, len(goods.leaf))
        fate, like = self._decide(hits, rng)
        wished = np.flatnonzero((hits.of >= 0) & (rows["kind"] == CODE[kinds.PURCHASE]))
        lines, of = rows[wished], hits.of[wished]
        fate = fate[of]
        wishes = _Wishes(
            customer=draft.pieces.number[sessions.customer[lines["session"]]],
            item=hits.item[of], time_s=lines["time_s"].astype(np.int64),
            quantity=lines["quantity"].astype(np.int64), fate=fate, got=like[of],
            bought_s=np.where(fate == SUBSTITUTED, lines["time_s"], -1),
        )  # fmt: skip
        rows = hits.applied(rows, like, goods, len(sessions.customer))
        rows = self._add_late(draft, rows, lines, wishes, hits.back_s[of])
        self._wishes = wishes
        draft.truth.setdefault("wishes", []).append(self._wish_table(wishes))
        return rows

    def _decide(self, hits: Hits, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Fate of each hit, and the item taken instead (-1: none)."""
        n = len(hits.item)
        drawn = rng.random(n)
        like = self.stockouts.like(self.setting.catalogue, hits, rng.integers(0, 8, n))
        give_up = drawn < self.stock.lost
        swap = ~give_up & (drawn < self.stock.lost + self.stock.substituted)
        fate = np.where(give_up | (swap & (like < 0)), LOST, np.where(swap, SUBSTITUTED, WAITED))
        return fate, np.where(fate == SUBSTITUTED, like, -1)

    def _add_late(
        self, draft: Draft, rows: Rows, lines: Rows, wishes: _Wishes, back_s: Ints
    ) -> Rows:
        """The rows with lines that waited put into the customer's first order after the restock.

        Fills in `fate`, `got` and `bought_s` of the wishes that this meets.
        """
        places = np.flatnonzero(rows["kind"] == CODE[kinds.PURCHASE])
        session = rows["session"][places]
        places = places[np.append(True, session[1:] != session[:-1])[: len(places)]]
        if not len(places):
            return rows
        buyer = draft.pieces.number[draft.sessions.customer[rows["session"][places]]]
        reach = (self.setting.days + 10 * LONGEST_DAYS) * DAY_S
        key = buyer * reach + rows["time_s"][places]
        order = np.argsort(key, kind="stable")
        next_order = np.searchsorted(key[order], wishes.customer * reach + back_s)
        there = order[np.minimum(next_order, len(order) - 1)]
        at, time_s = places[there], rows["time_s"][places[there]]
        met = (wishes.fate == WAITED) & (next_order < len(order))
        met &= buyer[there] == wishes.customer
        met &= time_s <= back_s + self.stock.patience_days * DAY_S
        met &= self.stockouts.back_s(wishes.item, time_s) < 0
        wishes.fate[met], wishes.got[met] = DELAYED, wishes.item[met]
        wishes.bought_s[met] = time_s[met]
        return _with_lines(rows, lines[met], at[met])

    def shape_events(self, draft: Draft, rng: np.random.Generator) -> None:
        """Count what was sold, and with the wishes of this block what was wanted."""
        bought = draft.events[draft.events["kind"] == CODE[kinds.PURCHASE]]
        bought = bought[bought["customer"] < self.setting.customers]
        sold = bought["quantity"].astype(np.int64)
        self._count(bought["item"].astype(np.int64), bought["time_s"], sold, sold)
        wishes, self._wishes = self._wishes, None
        if wishes is None:
            return
        # A wish counts where and when it arose, not where it was met.
        mine = wishes.customer < self.setting.customers
        met = mine & (wishes.got >= 0)
        wanted, none = wishes.quantity, np.zeros(len(mine), np.int64)
        self._count(wishes.item[mine], wishes.time_s[mine], wanted[mine], none[mine])
        self._count(wishes.got[met], wishes.bought_s[met], -wanted[met], none[met])

    def _count(self, item: Ints, time_s: Ints, wanted: Ints, sold: Ints) -> None:
        day = time_s // DAY_S
        inside = day < self.setting.days
        key = (item * self.setting.days + day)[inside]
        self._counted.append((key, wanted[inside], sold[inside]))
        if sum(len(part[0]) for part in self._counted) > _MANY:
            self._counted = [self._summed()]

    def _summed(self) -> tuple[Ints, Ints, Ints]:
        """Key (item x days + day), units wanted and sold; one entry a key that has either."""
        nothing = (np.zeros(0, np.int64),) * 3
        parts = zip(*(self._counted or [nothing]), strict=True)
        key, wanted, sold = (np.concatenate(part) for part in parts)
        keys, place = np.unique(key, return_inverse=True)
        sums = [np.bincount(place, part, len(keys)).astype(np.int64) for part in (wanted, sold)]
        some = (sums[0] != 0) | (sums[1] != 0)
        return keys[some], sums[0][some], sums[1][some]

    def _wish_table(self, wishes: _Wishes) -> pa.Table:
        """Wishes within the log; met after the log counts as not met."""
        span_s = self.setting.days * DAY_S
        inside = wishes.time_s < span_s
        met = (wishes.got >= 0) & (wishes.bought_s < span_s)
        fate = np.where((wishes.fate == DELAYED) & ~met, WAITED, wishes.fate)
        columns: dict[str, Any] = {
            "customer_id": numbered("c", wishes.customer[inside], 8),
            "item_id": self._item_ids(wishes.item[inside]),
            "wanted_at": self._moments(wishes.time_s[inside]),
            "quantity": pa.array(wishes.quantity[inside]),
            "fate": pa.array(FATES).take(pa.array(fate[inside])),
            "bought_item_id": self._item_ids(np.where(met, wishes.got, -1)[inside]),
            "bought_at": self._moments(np.where(met, wishes.bought_s, -1)[inside]),
        }
        return pa.table(columns)

    def _item_ids(self, item: Ints) -> pa.Array:
        ids = pa.array(item_ids(len(self.setting.catalogue.leaf)))
        return ids.take(pa.array(item, mask=item < 0))

    def _moments(self, second: Ints) -> pa.Array:
        found = moments(self.setting.world, np.maximum(second, 0))
        return pc.if_else(pa.array(second >= 0), found, None)

    def tables(self) -> dict[str, pa.Table]:
        """`demand` (units wanted and sold an item and day) and `stockouts` (item, since, until)."""
        key, wanted, sold = self._summed()
        days = self.setting.days
        columns: dict[str, Any] = {
            "item_id": self._item_ids(key // days),
            "day": self._moments(key % days * DAY_S).cast(pa.date32()),
            "wanted": pa.array(wanted),
            "sold": pa.array(sold),
        }
        windows: dict[str, Any] = {
            "item_id": self._item_ids(self.stockouts.item),
            "since": self._moments(self.stockouts.since_s),
            "until": self._moments(self.stockouts.until_s),
        }
        return {"demand": pa.table(columns), "stockouts": pa.table(windows)}


def _with_lines(rows: Rows, lines: Rows, at: Ints) -> Rows:
    """The rows with those lines added to the orders whose first lines are at `at`."""
    orders = rows[at]
    opening = np.searchsorted(rows["session"], orders["session"])
    bought, added = lines.copy(), lines.copy()
    for name in ("session", "order", "time_s"):
        bought[name] = orders[name]
    added["kind"], added["session"], added["order"] = CODE[kinds.CART_ADD], orders["session"], -1
    added["time_s"] = rows["time_s"][opening]
    places = np.concatenate((opening + 1, at + 1))
    return np.insert(rows, places, np.concatenate((added, bought)))
