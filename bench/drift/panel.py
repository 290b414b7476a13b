"""A synthetic panel of customers with thirty features, and shifts planted in it.

Customers come every day and lapse in the end. Each has a rate of six things that it does (visits,
views, searches, carts, orders, reviews), drawn around one of five types, that vary with the
weekday, with the season where the panel has one, and from day to day for the whole shop; and three
habits that wander slowly around its type's. Features are those that a shop has: windows of 7 and 28
days, trends, ratios, recency, tenure, totals. All is drawn day by day, so that looks at any days
fit each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.adjust.drift.look import Look
from shoal.features.matrix import Column
from shoal.segments.clustered import ClusterSegmenter

Floats = npt.NDArray[np.float64]

STREAMS: Final = ("visits", "views", "searches", "carts", "orders", "reviews")
HABITS: Final = ("price_level", "discount_share", "evening_share")
_RATES: Final = np.array([0.25, 0.8, 0.15, 0.12, 0.05, 0.03])
_TYPES: Final = 5
_EMBEDDED: Final = 16
_WEEK: Final = np.array([0.9, 0.85, 0.9, 1.0, 1.15, 1.25, 0.95])
_ORIGIN: Final = datetime(2023, 1, 2, tzinfo=UTC)
#: Nothing is planted, or one of the six shifts.
NONE: Final = ""
SHIFTS: Final = ("mean", "variance", "correlation", "cluster", "null", "trend")
#: How large each is: factor of two rates; factor of a habit's spread; correlation of two habits;
#: share of customers that begin to behave in a way of their own; a feature without values; standard
#: deviations of a habit a day.
SIZES: Final = {
    "mean": 1.25, "variance": 1.4, "correlation": 0.6, "cluster": 0.05, "null": 1.0,
    "trend": 0.01,
}  # fmt: skip


@dataclass
class Panel:
    """A panel of `customers` at its last day, drawn from a seed.

    Args:
        days: of history before the day at which looks begin.
        watched: days of looks.
        season: whether rates vary over the year (by half between the best and the worst time).
        shift: of `SHIFTS`, from day `days` on.
    """

    customers: int
    days: int
    watched: int
    seed: int
    season: bool = False
    shift: str = NONE

    def __post_init__(self) -> None:
        random = np.random.default_rng([self.seed, 77])
        n, total = self.customers, self.days + self.watched
        self.joined = np.sort(random.integers(-400, total, n))
        self.left = self.joined + random.exponential(500, n)
        kind = random.integers(0, _TYPES, n)
        lean = random.normal(0, 0.7, (_TYPES, len(STREAMS)))
        own = lean[kind] + random.normal(0, 0.5, (n, len(STREAMS)))
        self.rates = _RATES * np.exp(own)
        self.centre = random.normal(0, 1.0, (_TYPES, len(HABITS)))[kind]
        self.special = random.random(n) < SIZES["cluster"]
        self._draw(random, total)
        self.mix = random.normal(0, 0.4, (len(STREAMS) + len(HABITS), _EMBEDDED))
        self.ids = pa.array([f"c{place:05d}" for place in range(n)])
        self.segmenter = self._fitted()

    # -- what happens ------------------------------------------------------------------------------

    def _draw(self, random: np.random.Generator, total: int) -> None:
        n = self.customers
        shape = (n, total + 1, len(STREAMS))
        counts = np.zeros(shape, np.float32)
        spent = np.zeros((n, total + 1), np.float32)
        self.last = np.full((n, total + 1), -np.inf, np.float32)
        self.habits = np.zeros((n, total + 1, len(HABITS)), np.float32)
        wander = random.normal(0, 0.6, (n, len(HABITS)))
        seen = np.full(n, -np.inf)
        for day in range(total):
            live = (self.joined <= day) & (day < self.left)
            shop = self._shop(day) * np.exp(random.normal(0, 0.03))
            rate = self.rates * shop * live[:, None]
            drawn = random.poisson(self._shifted_rates(rate, day))
            first = self.joined == day
            drawn[first, 0] += 1
            counts[:, day + 1] = counts[:, day] + drawn
            paid = drawn[:, 4] * np.exp(random.normal(3, 0.5, n))
            spent[:, day + 1] = spent[:, day] + paid
            seen = np.where(drawn.any(axis=1), day, seen)
            self.last[:, day + 1] = seen
            wander = 0.98 * wander + random.normal(0, 0.12, wander.shape)
            self.habits[:, day + 1] = self._shifted_habits(self.centre + wander, day)
        self.counts, self.spent = counts, spent

    def _shop(self, day: int) -> float:
        of_year = 1 + 0.2 * np.sin(2 * np.pi * day / 364) if self.season else 1.0
        return float(_WEEK[day % 7] * of_year)

    def _shifted_rates(self, rate: Floats, day: int) -> Floats:
        if day < self.days or self.shift not in ("mean", "cluster"):
            return rate
        rate = rate.copy()
        if self.shift == "mean":
            rate[:, :2] *= SIZES["mean"]
        else:
            rate[self.special, 2] *= 4
        return rate

    def _shifted_habits(self, habits: Floats, day: int) -> Floats:
        if day < self.days:
            return habits
        habits, since = habits.copy(), day - self.days + 1
        if self.shift == "variance":
            habits[:, 2] *= SIZES["variance"]
        elif self.shift == "correlation":
            # the same values, dealt out anew: no feature alone tells anything
            r, placed = SIZES["correlation"], [_normal(habits[:, place]) for place in (0, 1)]
            mixed = r * placed[0] + np.sqrt(1 - r**2) * placed[1]
            habits[np.argsort(mixed, kind="stable"), 1] = np.sort(habits[:, 1])
        elif self.shift == "cluster":
            habits[self.special] = habits[self.special] * 0.3 + np.array([2.5, -2.5, 2.0])
        elif self.shift == "trend":
            habits[:, 0] += SIZES["trend"] * since * 1.17
        return habits

    # -- what is seen ------------------------------------------------------------------------------

    def table(self, day: int) -> pa.Table:
        """Features of everybody who came before the end of a day (days are whole)."""
        there = np.flatnonzero(self.joined < day)
        counts = self.counts[there]

        def window(days: int, until: int = day) -> Floats:
            return np.asarray(counts[:, until] - counts[:, max(until - days, 0)], np.float64)

        week, month, before = window(7), window(28), window(28, max(day - 28, 0))
        columns: dict[str, Floats] = {
            "events": counts[:, day].sum(axis=1).astype(np.float64) + 3,
            "tenure_days": (day - np.maximum(self.joined[there], -400)).astype(np.float64),
            "recency_days": np.minimum(day - self.last[there, day], 500.0).astype(np.float64),
            "orders": counts[:, day, 4].astype(np.float64),
        }
        for place, name in enumerate(STREAMS):
            columns[f"{name}_7d"] = week[:, place]
            columns[f"{name}_28d"] = month[:, place]
            both = month[:, place] + before[:, place]
            columns[f"{name}_trend"] = _over(month[:, place] - before[:, place], both)
        columns["orders_per_view"] = _over(month[:, 4], month[:, 1])
        columns["carts_per_view"] = _over(month[:, 3], month[:, 1])
        columns["searches_per_visit"] = _over(month[:, 2], month[:, 0])
        paid = np.asarray(self.spent[there, day] - self.spent[there, max(day - 28, 0)], np.float64)
        columns["spend_28d"] = paid
        columns["basket_mean"] = _over(paid, month[:, 4])
        if self.shift == "null" and day > self.days:
            columns["basket_mean"] = np.full(len(there), np.nan)
        for place, name in enumerate(HABITS):
            columns[name] = np.asarray(self.habits[there, day, place], np.float64)
        arrays = {
            name: pa.array(np.where(np.isnan(value), None, value), pa.float64(), from_pandas=True)
            if np.isnan(value).any()
            else pa.array(value)
            for name, value in columns.items()
        }
        return pa.table({"customer_id": self.ids.take(pa.array(there)), **arrays})

    def embeddings(self, day: int) -> Floats:
        """(n, 16) a mixture of what everybody did lately, as a behaviour model has it."""
        there = np.flatnonzero(self.joined < day)
        window = self.counts[there, day] - self.counts[there, max(day - 28, 0)]
        told = np.hstack([np.log1p(window), self.habits[there, day]])
        return np.tanh(told @ self.mix)

    def look(self, day: int) -> Look:
        """Through the segmentation of the first look."""
        return Look.of(
            self.segmenter, self.table(day), None, _ORIGIN + timedelta(days=day),
            embeddings=self.embeddings(day),
        )  # fmt: skip

    def _fitted(self) -> ClusterSegmenter:
        first = self.table(max(self.days - 56, 60))
        names = [name for name in first.column_names if name not in ("customer_id", "tenure_days")]
        columns = [Column(name, "all", "zero") for name in names]
        return ClusterSegmenter(columns, _TYPES, seed=0).fit(first)


def _normal(values: Floats) -> Floats:
    """Normal scores by rank."""
    from scipy.special import ndtri

    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(ndtri((ranks + 0.5) / len(values)))


def _over(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
