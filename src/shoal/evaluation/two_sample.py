"""Can a classifier tell two groups of customers apart? The classifier two-sample test.

Lopez-Paz and Oquab (2017), "Revisiting classifier two-sample tests": a classifier is trained to say
from which of two samples a row comes. If both come from one population it cannot do better than
chance on rows it has not seen. The statistic here is the area under the ROC curve (AUC) of
out-of-fold scores: 0.5 is chance, 1 tells every row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shoal.domain.time import DAY_US
from shoal.evaluation.log_tally import Tally
from shoal.evaluation.moments import gaps_days

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Rows of each sample that are used: more narrow the interval, not the question.
MOST: Final = 3_000
#: Fewer in either sample cannot be cut into folds that say something.
LEAST: Final = 50
_FOLDS: Final = 5
_PERMUTED: Final = 2
#: Two-sided 95 % of a normal distribution.
_Z95: Final = 1.959963984540054


@dataclass(frozen=True)
class TwoSample:
    """Result of the test: AUC with a 95 % interval, on `rows` customers of each sample.

    `telling` is the loss of AUC when a column alone is permuted in the held-out rows (permutation
    importance, Breiman 2001), largest first.
    """

    auc: float
    low: float
    high: float
    rows: int
    telling: tuple[tuple[str, float], ...] = ()

    @property
    def verdict(self) -> str:
        """In words: `alike` where the interval holds 0.5, `close` below 0.6, `apart` below 0.8."""
        if self.low <= 0.5:
            return "alike"
        for limit, word in ((0.6, "close"), (0.8, "apart")):
            if self.auc < limit:
                return word
        return "far apart"

    def as_document(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {
            "auc": round(self.auc, 4), "low": round(self.low, 4), "high": round(self.high, 4),
            "rows": self.rows, "verdict": self.verdict,
            "telling": [{"aggregate": name, "auc_lost": round(lost, 4)}
                        for name, lost in self.telling],
        }  # fmt: skip


def two_sample_test(
    one: Mapping[str, Floats], other: Mapping[str, Floats], *, seed: int, telling: bool = True
) -> TwoSample | None:
    """The test between two samples, in equal numbers of rows.

    Args:
        one, other: the same columns, one value a row; NaN where a row has none.
        seed: chooses the rows (at most `MOST` of each) and the folds.
        telling: also say which columns tell the samples apart.

    Returns:
        None where either sample has fewer than `LEAST` rows.

    Raises:
        ValueError: the samples have different columns.
    """
    if list(one) != list(other) or not one:
        raise ValueError(f"columns {list(one)} and {list(other)} are not the same")
    names = list(one)
    rng = np.random.default_rng(seed)
    samples = [np.column_stack([sample[name] for name in names]) for sample in (one, other)]
    rows = min(MOST, *(len(sample) for sample in samples))
    if rows < LEAST:
        return None
    drawn = [sample[np.sort(rng.permutation(len(sample))[:rows])] for sample in samples]
    X = np.concatenate(drawn)
    y = np.repeat([False, True], rows)
    fold = np.concatenate([rng.permutation(np.arange(rows) % _FOLDS) for _ in drawn])
    scores, lost = _out_of_fold(X, y, fold, rng, telling)
    area, error = auc(scores, y)
    ranked = sorted(zip(names, lost, strict=True), key=lambda entry: (-entry[1], entry[0]))
    return TwoSample(
        auc=area, low=max(0.0, area - _Z95 * error), high=min(1.0, area + _Z95 * error), rows=rows,
        telling=tuple((name, float(loss)) for name, loss in ranked) if telling else (),
    )  # fmt: skip


def _out_of_fold(
    X: Floats, y: Bools, fold: npt.NDArray[np.int64], rng: np.random.Generator, telling: bool
) -> tuple[Floats, Floats]:
    """Scores of rows by a classifier that did not see them, and the AUC lost by each column.

    The scores of different folds are made comparable by their ranks within the fold.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # takes seconds to load
    from threadpoolctl import threadpool_limits

    scores, lost = np.zeros(len(y)), np.zeros(X.shape[1])
    for number in range(_FOLDS):
        held = fold == number
        # The classifier takes no column without any value.
        X = np.where(np.isnan(X[~held]).all(axis=0), 0.0, X)
        model = HistGradientBoostingClassifier(
            max_iter=80, learning_rate=0.1, max_leaf_nodes=15, l2_regularization=1.0,
            early_stopping=False, random_state=0,
        )  # fmt: skip
        with threadpool_limits(1):  # a few thousand rows: more threads only wait for each other
            model.fit(X[~held], y[~held])
            found = model.predict_proba(X[held])[:, 1]
        scores[held] = _midranks(found) / held.sum()
        if not telling:
            continue
        whole = auc(found, y[held])[0]
        for column in range(X.shape[1]):
            changed = np.tile(X[held], (_PERMUTED, 1))
            changed[:, column] = np.concatenate(
                [rng.permutation(X[held, column]) for _ in range(_PERMUTED)]
            )
            with threadpool_limits(1):
                again = model.predict_proba(changed)[:, 1].reshape(_PERMUTED, -1)
            lost[column] += whole - np.mean([auc(part, y[held])[0] for part in again])
    return scores, lost / _FOLDS


def auc(scores: Floats, positive: Bools) -> tuple[float, float]:
    """Area under the ROC curve, ties counted half, and its standard error.

    The error is that of DeLong, DeLong and Clarke-Pearson (1988): from the variance of each
    positive row's share of negative rows below it, and the reverse.

    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))[0]
    0.75
    """
    m, n = int(positive.sum()), int((~positive).sum())
    ranks = _midranks(scores)
    above = (ranks[positive] - _midranks(scores[positive])) / n
    below = 1 - (ranks[~positive] - _midranks(scores[~positive])) / m
    area = float(above.mean())
    spread = [float(part.var(ddof=1)) / len(part) if len(part) > 1 else 0.0
              for part in (above, below)]  # fmt: skip
    return area, float(np.sqrt(sum(spread)))


def _midranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place], np.float64)


def aggregates(log: Tally) -> dict[str, Floats]:
    """What is compared of each customer: one column a fact, one entry a customer.

    Amounts and counts are logarithms of 1 + value, times are days since the log's first midnight;
    NaN where a customer has none. Facts that the log cannot tell of anybody are not there.
    """
    told, people, events = log.contents, log.customers, log.events.astype(np.float64)
    visits, orders = log.per_customer(log.visits), log.per_customer(log.orders)
    # Not parts of the log's span: whole seconds over two spans would tell two halves of one log.
    midnight = log.first_us // DAY_US * DAY_US
    columns = {
        "events": np.log1p(events),
        "visits": np.log1p(visits),
        "active_days": np.log1p(people["days"]),
        "first_seen": (people["first_us"] - midnight) / DAY_US,
        "last_seen": (people["last_us"] - midnight) / DAY_US,
        "active_span": (people["last_us"] - people["first_us"]) / DAY_US,
        "events_per_visit": _over(log.per_customer(log.visits, "events"), visits),
        "visit_gap_mean": _mean_gap(log, log.visits),
        "visit_gap_spread": _gap_spread(log, log.visits),
        "weekend_share": people["weekend"] / events,
        "orders": np.log1p(orders),
        "order_gap_mean": _mean_gap(log, log.orders),
        "order_gap_spread": _gap_spread(log, log.orders),
    }
    if told.hours:
        columns["hour"] = np.arctan2(people["sine"], people["cosine"])
        columns["hour_focus"] = np.hypot(people["sine"], people["cosine"]) / events
    if len(told.kinds) > 1:
        for kind in told.kinds:
            columns[f"share_of_{kind}"] = log.of(kind) / events
    if told.items:
        columns["items_per_event"] = people["items"] / events
        columns["lines_per_order"] = _over(log.per_customer(log.orders, "lines"), orders)
    if told.units:
        columns["units_per_order"] = _over(log.per_customer(log.orders, "units"), orders)
    if told.prices:
        columns["paid_per_order"] = _over(log.per_customer(log.orders, "paid"), orders)
    return columns


def _over(total: Floats, count: Floats) -> Floats:
    """log(1 + total / count); NaN where the count is 0."""
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return np.asarray(np.log1p(np.maximum(mean, 0.0)), np.float64)


def _mean_gap(log: Tally, rows: Mapping[str, Floats]) -> Floats:
    gaps, of = gaps_days(rows), _gap_owner(rows)
    total = np.asarray(np.bincount(of, weights=gaps, minlength=len(log.kinds)), np.float64)
    return _over(total, np.bincount(of, minlength=len(log.kinds)).astype(np.float64))


def _gap_spread(log: Tally, rows: Mapping[str, Floats]) -> Floats:
    """Standard deviation of the logarithm of a customer's gaps; NaN for fewer than two."""
    gaps, of = np.log(gaps_days(rows)), _gap_owner(rows)
    n = np.bincount(of, minlength=len(log.kinds)).astype(np.float64)
    mean = np.bincount(of, weights=gaps, minlength=len(n)) / np.maximum(n, 1)
    squares = np.bincount(of, weights=(gaps - mean[of]) ** 2, minlength=len(n))
    return np.where(n >= 2, np.sqrt(squares / np.maximum(n, 1)), np.nan)


def _gap_owner(rows: Mapping[str, Floats]) -> npt.NDArray[np.int64]:
    same = np.diff(rows["customer"]) == 0
    return np.asarray(rows["customer"][1:][same], np.int64)
