"""Looks drawn at random, for tests of drift: the same customers at every moment, or others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from shoal.adjust.drift.look import Look

ORIGIN = datetime(2024, 3, 4, tzinfo=UTC)
FEATURES = ("views_28d", "spend_28d", "night_share", "discount_share", "orders_28d", "depth")

#: Changes columns of a look in place.
Change = Callable[[dict[str, np.ndarray]], None]


def look(
    week: int, *, customers: int = 600, seed: int = 0, change: Change | None = None, first: int = 0
) -> Look:
    """People `first`, `first` + 1, ... of one shop: each has a level that stays, and weeks differ.

    Args:
        change: of the columns; `residual` and `entropy` are columns too.
    """
    usual = np.random.default_rng([seed, 1])
    level = usual.normal(size=(first + customers, len(FEATURES)))[first:]
    random = np.random.default_rng([seed, 2, week + 100, first])
    told = {
        name: np.exp(0.7 * level[:, place] + 0.5 * random.normal(size=customers))
        for place, name in enumerate(FEATURES)
    }
    told["residual"] = np.square(random.normal(size=(customers, 4))).mean(axis=1)
    told["entropy"] = random.random(customers)
    told["tenure_days"] = np.arange(customers)[::-1] % 300 + 7.0 * week + 60
    if change is not None:
        change(told)
    apart = {name: told.pop(name) for name in ("residual", "entropy")}
    ids = pa.array([f"c{first + place}" for place in range(customers)])
    columns = {name: pa.array(values, from_pandas=True) for name, values in told.items()}
    return Look(
        ORIGIN + timedelta(weeks=week), pa.table({"customer_id": ids, **columns}),
        np.ones(customers, bool), np.zeros((customers, 2)), np.zeros(customers, np.int64),
        apart["residual"], apart["entropy"],
    )  # fmt: skip


def before(weeks: int = 5, **more: object) -> list[Look]:
    """Looks of the weeks before week 0."""
    return [look(-week, **more) for week in range(weeks, 0, -1)]  # type: ignore[arg-type]
