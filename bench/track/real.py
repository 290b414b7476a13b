"""Public logs replayed: live memberships against frozen ones and refits, by what came next.

`shop.backtest` on the log's last periods: which share of the attainable deviance of the next period
(activity, orders, spend) memberships foretell that were frozen at the first period, made anew at
each, or adjusted by Shoal week by week; and how many customers each of them moves for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.harness.data import public
from bench.harness.results import spread, table, told


@dataclass(frozen=True)
class Log:
    """A public log: its periods, and the days between looks."""

    periods: int
    period_days: int
    every_days: int


#: Months, and quarters (of twelve weeks) where customers come a few times a year.
LOGS = {
    "online_retail": Log(8, 28, 7),
    "cdnow": Log(12, 28, 14),
    "amazon_beauty": Log(6, 84, 28),
}
QUICK = {"online_retail": Log(1, 28, 28)}
_NAMES = {
    "frozen": "frozen at the first period", "monthly": "made anew each period",
    "shoal": "adjusted by Shoal",
}  # fmt: skip


def run(name: str, seed: int, cache: str, periods: int, period_days: int, every_days: int) -> Any:
    """The backtest of a log."""
    import shoal

    source = public(name, Path(cache))
    with shoal.open(source.shop_dir) as shop:
        found = shop.backtest(
            periods=periods, period_days=period_days, every_days=every_days, seed=seed
        )
    kept = ("from", "to", "period_days", "periods", "outcomes", "strategies")
    return {"digest": source.digest, **{name: found[name] for name in kept}}


def report(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table a log; means over seeds."""
    blocks = []
    for name in dict.fromkeys(row["peer"] for row in rows):
        mine = [row for row in rows if row["peer"] == name and "failed" not in row]
        if mine:
            blocks.append(_of_log(name, mine))
    if not blocks:
        return []
    intro = (
        "Share of the attainable deviance of the next period: 1 is what LightGBM on all features "
        "foretells that learned from the same half of the customers. All begin with the segments "
        "of the first period; k is chosen. Moved: share of placed customers in another segment a "
        "month; by the model: those whom the segments' own change moved."
    )
    return ["## Real logs", intro, *blocks]


def _of_log(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    first = rows[0]
    outcomes = list(first["outcomes"])
    lines = []
    for strategy, words in _NAMES.items():
        mine = [row["strategies"][strategy] for row in rows]
        shares = [
            told(spread(row["outcomes"][one]["strategies"][strategy]["of_attainable"]
                        for row in rows))
            for one in outcomes
        ]  # fmt: skip
        sums = [row["segments"] for row in mine]
        lines.append(
            [words, told(spread(row["of_attainable"] for row in mine)), *shares,
             _percent(row["turnover_a_month"] for row in mine),
             _percent(row["relabelled_by_model_a_month"] for row in mine),
             f"{sum(one['kept'] for one in sums)} of {sum(one['first'] for one in sums)}",
             f"{sum(sum(row['adjustments'].values()) for row in mine) / len(mine):.1f}"]
        )  # fmt: skip
    head = ["segments", "of the attainable", *outcomes, "moved a month", "by the model",
            "segments kept", "steps"]  # fmt: skip
    words = (
        f"**{name}**, {len(first['periods'])} periods of {first['period_days']} days from "
        f"{first['from'][:10]}, {first['periods'][0]['customers']:,} to "
        f"{first['periods'][-1]['customers']:,} customers:"
    )
    return f"{words}\n\n{table(head, lines)}"


def _percent(values: Any) -> str:
    found = spread(values)
    return "–" if found is None else f"{found['mean']:.1%}"
