"""Since when, and the series to draw: what a statistic was at earlier looks and is now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from shoal.adjust.drift.look import Floats
from shoal.domain.time import iso


def change_point(moments: Sequence[datetime], series: Floats) -> datetime:
    """The last moment that is still like those before: the change came between it and the next.

    Where the difference of the means before and after is greatest for its error (the cumulative sum
    statistic of Page 1955, at one change); of fewer than two moments the only one.

    >>> from datetime import UTC
    >>> days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 8, 15, 22)]
    >>> change_point(days, np.array([0.0, 0.1, 1.0, 0.9])).day
    8
    """
    n = len(series)
    if n < 2:
        return moments[0]
    ends = np.arange(1, n)
    sums = np.cumsum(series)
    before, after = sums[:-1] / ends, (sums[-1] - sums[:-1]) / (n - ends)
    away = np.abs(after - before) * np.sqrt(ends * (n - ends) / n)
    # of changes that are as likely the latest: earlier looks are known to be as usual
    best = n - 2 - int(np.argmax(np.round(away[::-1], 12)))
    return moments[best]


def drawn(
    moments: Sequence[datetime], series: Floats, error: float, recent: int
) -> list[dict[str, Any]]:
    """The series as JSON, with the band in which now would be no change.

    Args:
        series: one value a moment, the last one is now.
        error: standard error of now less the mean of the first `recent` ones.
    """
    usual = float(np.mean(series[:recent])) if recent else float(series[-1])
    return [
        {"moment": iso(moment), "value": _round(value), "low": _round(usual - 2 * error),
         "high": _round(usual + 2 * error), "reference": place < recent}
        for place, (moment, value) in enumerate(zip(moments, series, strict=True))
    ]  # fmt: skip


def histogram(before: Floats, now: Floats, bins: int = 12) -> dict[str, Any]:
    """Shares of customers by value, before and now, as JSON; `missing` are those without one."""
    held = [one[np.isfinite(one)] for one in (before, now)]
    both = np.concatenate(held)
    if not len(both):
        return {"edges": [], "before": [], "now": [], "missing": [1.0, 1.0]}
    low, high = np.quantile(both, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    shares = [
        np.histogram(np.clip(one, edges[0], edges[-1]), edges)[0] / max(len(one), 1) for one in held
    ]
    return {
        "edges": [_round(edge) for edge in edges],
        "before": [_round(one) for one in shares[0]], "now": [_round(one) for one in shares[1]],
        "missing": [_round(1 - len(own) / max(len(one), 1))
                    for own, one in zip(held, (before, now), strict=True)],
    }  # fmt: skip


def _round(value: Any) -> float | None:
    """Six significant digits; None for what JSON cannot say."""
    number = float(value)
    return float(f"{number:.6g}") if np.isfinite(number) else None
