"""RFM rules: recency, frequency and money in quintiles, and the usual named grid over them.

Scores run from 1 (worst fifth) to 5 (best fifth) among customers with an order; their thresholds
are learned once and then literal, so a customer's segment depends on that customer alone and can
be written as SQL (`shoal.segments.rules_sql`). The grid has recency on one side and the rounded
mean of frequency and money on the other. Everything is compared as integers (microseconds,
micro-units of currency), so rules, SQL and rebuilt states never differ by a rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.domain.errors import InputError
from shoal.domain.money import MICROS
from shoal.domain.text import Text
from shoal.domain.time import DAY_US
from shoal.segments.base import (
    NET_REVENUE,
    ORDERS,
    SINCE_LAST_ORDER,
    Arrays,
    Weights,
    column,
)

Integers = npt.NDArray[np.int64]

#: Segments of the grid by id, best customers first. Names as commonly used by CRM vendors.
NAMES: Final[Mapping[str, Text]] = {
    "r01": Text("Champions", "冠军客户"),
    "r02": Text("Loyal", "忠诚客户"),
    "r03": Text("Potential Loyalist", "潜在忠诚客户"),
    "r04": Text("New", "新客户"),
    "r05": Text("Promising", "有希望的客户"),
    "r06": Text("Need Attention", "需要关注的客户"),
    "r07": Text("About to Sleep", "即将沉睡的客户"),
    "r08": Text("At Risk", "有流失风险的客户"),
    "r09": Text("Can't Lose", "不能失去的客户"),
    "r10": Text("Hibernating", "休眠客户"),
    "r11": Text("Lost", "已流失客户"),
    "r00": Text("No purchase yet", "尚未购买"),
}

NO_PURCHASE: Final = "r00"

#: GRID[recency score - 1][frequency-and-money score - 1] is a segment.
GRID: Final = (
    ("r11", "r10", "r08", "r08", "r09"),
    ("r10", "r10", "r08", "r08", "r09"),
    ("r07", "r07", "r06", "r02", "r02"),
    ("r05", "r03", "r03", "r02", "r02"),
    ("r04", "r03", "r03", "r01", "r01"),
)

#: Fewest customers with an order from whom fifths can be learned.
FEWEST_BUYERS: Final = 5


@dataclass(frozen=True)
class Thresholds:
    """Literal bounds of the fifths: a score counts how many of its four bounds are exceeded.

    `recency_us` since the last order (microseconds, ascending), `orders` (count), `revenue` (net,
    micro-units); `revenue` is None where a shop knows no amounts, and then frequency stands alone.
    """

    recency_us: tuple[int, ...]
    orders: tuple[int, ...]
    revenue: tuple[int, ...] | None

    def scores(self, recency_us: Integers, orders: Integers, revenue: Integers) -> Integers:
        """(n, 2) recency score and rounded mean of frequency and money score, 1 to 5 each."""
        recency = 5 - _exceeded(recency_us, self.recency_us)
        both = 1 + _exceeded(orders, self.orders)
        if self.revenue is not None:
            both = (both + 1 + _exceeded(revenue, self.revenue) + 1) // 2
        return np.column_stack([recency, both])


def _exceeded(values: Integers, bounds: tuple[int, ...]) -> Integers:
    found: Integers = (values[:, None] > np.array(bounds, dtype=np.int64)).sum(axis=1)
    return found


class Rfm:
    """The RFM segmenter: thresholds are learned by `fit`, weights are 0 or 1.

    Needs the features orders, days since the last order and net revenue; every customer with an
    event is placed, those without an order as "No purchase yet".
    """

    method = "rfm"

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self.thresholds = thresholds

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """r01 to r11, then r00."""
        return tuple(NAMES)

    def fit(self, features: pa.Table) -> Self:
        """Learn the fifths among the customers with an order.

        Raises:
            InputError: `too_little_data`, fewer than `FEWEST_BUYERS` customers have an order.
        """
        recency, orders, revenue = self._integers(features)
        buyers = orders > 0
        count = int(buyers.sum())
        if count < FEWEST_BUYERS:
            raise InputError(
                "too_little_data",
                f"RFM needs at least {FEWEST_BUYERS} customers with an order; there are {count} "
                f"among {features.num_rows} customers",
                hint="Ingest more events, or say at init which kind of event counts as buying "
                "(--value-event). Features of each customer are available: shoal features.",
            )
        money = None
        if np.unique(revenue[buyers]).size > 1:
            money = _fifths(revenue[buyers])
        self.thresholds = Thresholds(_fifths(recency[buyers]), _fifths(orders[buyers]), money)
        return self

    def scores(self, features: pa.Table) -> Integers:
        """(n, 2) recency score and frequency-and-money score; 0 where there is no order."""
        assert self.thresholds is not None, "fit or load the segmenter first"
        recency, orders, revenue = self._integers(features)
        scores = self.thresholds.scores(recency, orders, revenue)
        scores[orders <= 0] = 0
        return scores

    def predict(self, features: pa.Table) -> npt.NDArray[np.int64]:
        """(n,) place in `segment_ids`."""
        places = {segment: place for place, segment in enumerate(self.segment_ids)}
        grid = np.full((6, 6), places[NO_PURCHASE], dtype=np.int64)
        grid[1:, 1:] = [[places[segment] for segment in row] for row in GRID]
        scores = self.scores(features)
        found: npt.NDArray[np.int64] = grid[scores[:, 0], scores[:, 1]]
        return found

    def transform(self, features: pa.Table) -> Weights:
        """(n, 12) weights, one of which is 1."""
        return np.eye(len(NAMES))[self.predict(features)]

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """Thresholds as JSON; no arrays."""
        assert self.thresholds is not None, "fit or load the segmenter first"
        bounds = self.thresholds
        return {
            "recency_us": list(bounds.recency_us),
            "orders": list(bounds.orders),
            "revenue_micros": None if bounds.revenue is None else list(bounds.revenue),
        }, {}

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """The segmenter that `to_artefact` described."""
        revenue = document["revenue_micros"]
        return cls(
            Thresholds(
                tuple(document["recency_us"]),
                tuple(document["orders"]),
                None if revenue is None else tuple(revenue),
            )
        )

    @staticmethod
    def _integers(features: pa.Table) -> tuple[Integers, Integers, Integers]:
        recency = np.nan_to_num(column(features, SINCE_LAST_ORDER), nan=0.0)
        orders = np.nan_to_num(column(features, ORDERS), nan=0.0)
        revenue = np.nan_to_num(column(features, NET_REVENUE), nan=0.0)
        return (
            np.rint(recency * DAY_US).astype(np.int64),
            np.rint(orders).astype(np.int64),
            np.rint(revenue * MICROS).astype(np.int64),
        )


def _fifths(values: Integers) -> tuple[int, ...]:
    """Values that the 20th, 40th, 60th and 80th per cent of the rows do not exceed."""
    return tuple(
        int(bound) for bound in np.quantile(values, [0.2, 0.4, 0.6, 0.8], method="inverted_cdf")
    )


def rule_in_words(segment_id: str, thresholds: Thresholds) -> Text:
    """The rule of a segment: its cells of the grid, with the days, orders and amounts they mean."""
    if segment_id == NO_PURCHASE:
        return Text("No order before the moment of the states.", "在统计时刻之前没有订单。")
    cells = [
        f"R{recency + 1} FM{both + 1}"
        for recency, row in enumerate(GRID)
        for both, segment in enumerate(row)
        if segment == segment_id
    ]
    days = ", ".join(f"{bound / DAY_US:.1f}" for bound in thresholds.recency_us)
    orders = ", ".join(str(bound) for bound in thresholds.orders)
    en = (
        f"Cells {', '.join(cells)} of the grid. Recency score 5 to 1: the last order lies at most "
        f"{days} days back, or longer. Frequency score 1 to 5: at most {orders} orders, or more."
    )
    zh = (
        f"网格单元 {'、'.join(cells)}。最近度得分 5 至 1：距上次下单不超过 {days} 天，或更久。"
        f"频次得分 1 至 5：订单数不超过 {orders}，或更多。"
    )
    if thresholds.revenue is not None:
        money = ", ".join(f"{bound / MICROS:.2f}" for bound in thresholds.revenue)
        en += (
            f" Money score 1 to 5: net revenue of at most {money}, or more. "
            "FM is the rounded mean of both."
        )
        zh += f"金额得分 1 至 5：净收入不超过 {money}，或更多。FM 为两者的四舍五入均值。"
    return Text(en, zh)
