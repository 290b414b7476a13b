"""When items are out of stock, and which carts and orders of a block that touches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from shoal.domain import kinds
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.funnel import CODE

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.void]

LONGEST_DAYS: Final = 60
#: Items run out in the busy hours and come back in the morning.
_RUNS_OUT_S: Final = (10 * 3600, 20 * 3600)
_RESTOCKED_S: Final = 6 * 3600
#: Neighbours on the shelf of the leaf, by price, that count as like items.
_LIKE: Final = np.array([1, -1, 2, -2, 3, -3, 4, -4])


def arrivals_s(goods: Catalogue, span_days: int) -> Ints:
    """The second at which each item arrives."""
    return np.asarray(goods.arrives * span_days * DAY_S, np.int64)


@dataclass(frozen=True)
class Stockouts:
    """Stretches in which items are out; by item and time, of one item without overlap."""

    item: Ints
    since_s: Ints
    until_s: Ints
    span_days: int

    @classmethod
    def draw(
        cls, a_day: Floats, arrives_s: Ints, span_days: int,
        lengths: tuple[float, float, float, float], rng: np.random.Generator,
    ) -> Stockouts:  # fmt: skip
        """Stock-outs of items that run out `a_day` times a day while they are in stock.

        Args:
            arrives_s: when each item arrives; it does not run out before.
            lengths: median in days, spread of the logarithm, share of late restocks, and how many
                times later these are.
        """
        median, sigma, late, factor = lengths
        mean = a_day.max() * span_days
        shape = (len(a_day), int(np.ceil(mean + 4 * np.sqrt(mean))) + 1)
        wait = rng.exponential(1.0, shape) / a_day[:, None]
        away = median * np.exp(sigma * rng.standard_normal(shape))
        away = np.where(rng.random(shape) < late, factor * away, away)
        days = np.clip(np.rint(away), 1, LONGEST_DAYS).astype(np.int64)
        begins = np.minimum(np.cumsum(wait, axis=1), 1e9).astype(np.int64)
        # A day at least lies between a restock and the next stock-out.
        begins[:, 1:] += np.cumsum(days + 1, axis=1)[:, :-1]
        second = rng.integers(*_RUNS_OUT_S, shape)
        since_s = begins * DAY_S + second
        kept = (begins < span_days) & (since_s > arrives_s[:, None])
        return cls(
            item=np.broadcast_to(np.arange(len(a_day))[:, None], shape)[kept],
            since_s=since_s[kept],
            until_s=((begins + days) * DAY_S + _RESTOCKED_S)[kept],
            span_days=span_days,
        )

    @cached_property
    def _reach_s(self) -> int:
        """Longer than any time asked about: orders are looked at some time after the log."""
        return (self.span_days + 10 * LONGEST_DAYS) * DAY_S

    @cached_property
    def _key(self) -> Ints:
        return self.item * self._reach_s + self.since_s

    def back_s(self, item: Ints, time_s: Ints) -> Ints:
        """The second at which items that are out at those times are back; -1 for items in stock."""
        if not len(self.item):
            return np.full(len(item), -1, np.int64)
        place = np.searchsorted(self._key, item * self._reach_s + time_s, side="right") - 1
        out = (place >= 0) & (self.item[place] == item) & (time_s < self.until_s[place])
        return np.where(out, self.until_s[place], -1)

    def like(self, goods: Catalogue, hits: Hits, start: Ints) -> Ints:
        """For each hit an item of the same leaf, near in price and in stock; -1: there is none.

        Args:
            start: where to begin among the neighbours, one a hit.
        """
        order, arrives_s = goods.by_leaf.order, arrivals_s(goods, self.span_days)
        shelf = np.empty(len(order), np.int64)
        shelf[order] = np.arange(len(order))
        found = np.full(len(hits.item), -1, np.int64)
        for turn in range(len(_LIKE)):
            place = shelf[hits.item] + _LIKE[(start + turn) % len(_LIKE)]
            item = order[np.clip(place, 0, len(order) - 1)]
            fits = (item != hits.item) & (goods.leaf[item] == goods.leaf[hits.item]) & (found < 0)
            fits &= arrives_s[item] <= hits.first_s
            for moment in (hits.first_s, hits.last_s):
                fits &= self.back_s(item, moment) < 0
            found = np.where(fits, item, found)
        return found


@dataclass(frozen=True)
class Hits:
    """Pairs of session and item in which what is out was to go into the cart or an order.

    `item`, `back_s` (its restock), `first_s` and `last_s` (of what is done with it in the session)
    and `seen` (it is viewed there) have one entry a pair; `of` has one a row of the block: the pair
    that the row's session and item are, or -1.
    """

    item: Ints
    back_s: Ints
    first_s: Ints
    last_s: Ints
    seen: Bools
    of: Ints

    @classmethod
    def find(cls, stockouts: Stockouts, rows: Rows, items: int) -> Hits:
        """The hits among the rows of a block's sessions."""
        kind, item = rows["kind"], rows["item"].astype(np.int64)
        carried = np.flatnonzero((kind == CODE[kinds.CART_ADD]) | (kind == CODE[kinds.PURCHASE]))
        back_s = stockouts.back_s(item[carried], rows["time_s"][carried])
        hit = back_s >= 0
        key = rows["session"] * items + item
        keys, pair = np.unique(key[carried[hit]], return_inverse=True)
        last_back_s = np.full(len(keys), -1, np.int64)
        np.maximum.at(last_back_s, pair, back_s[hit])
        of = np.full(len(rows), -1, np.int64)
        if len(keys):
            place = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            of = np.where((item >= 0) & (keys[place] == key), place, -1)
        mine = np.flatnonzero(of >= 0)
        first_s = np.full(len(keys), 1 << 60, np.int64)
        last_s = np.zeros(len(keys), np.int64)
        np.minimum.at(first_s, of[mine], rows["time_s"][mine])
        np.maximum.at(last_s, of[mine], rows["time_s"][mine])
        seen = np.zeros(len(keys), bool)
        seen[of[mine[kind[mine] == CODE[kinds.VIEW]]]] = True
        return cls(keys % items, last_back_s, first_s, last_s, seen, of)

    def applied(self, rows: Rows, like: Ints, goods: Catalogue, sessions: int) -> Rows:
        """The rows with like items put in, other hits taken out, and no checkout of empty orders.

        Who meant to put into the cart what they had not looked at has at least looked at it.

        Args:
            like: the item taken instead, one a hit; -1 for none.
            sessions: how many sessions the block has.
        """
        rows, kind = rows.copy(), rows["kind"]
        carries = (kinds.CART_ADD, kinds.CART_REMOVE, kinds.PURCHASE)
        mine = np.flatnonzero((self.of >= 0) & np.isin(kind, [CODE[one] for one in carries]))
        instead = like[self.of[mine]]
        swapped, mine_out = mine[instead >= 0], mine[instead < 0]
        rows["item"][swapped] = instead[instead >= 0]
        rows["price"][swapped] = goods.price_cents[instead[instead >= 0]]
        gone = np.zeros(len(rows), bool)
        gone[mine_out] = True
        unseen = ~self.seen[self.of[mine_out]] & (kind[mine_out] == CODE[kinds.CART_ADD])
        looks = mine_out[unseen]
        rows["kind"][looks], rows["quantity"][looks] = CODE[kinds.VIEW], -1
        gone[looks] = False
        filled = np.zeros(sessions + 1, bool)
        filled[rows["order"][~gone & (kind == CODE[kinds.PURCHASE])]] = True
        checkout = (kind == CODE[kinds.CHECKOUT]) & (rows["order"] >= 0)
        gone |= checkout & ~filled[rows["order"]]
        return np.asarray(rows[~gone])
