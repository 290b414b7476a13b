"""When a share was higher than at other times: the densest interval of a series of counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Bins of the first, coarse search: its work grows with their square.
_BINS: Final = 256
#: Log likelihood ratio from which an interval counts as a burst. Chance reaches it in about one of
#: ten thousand series of independent events; days are not quite independent.
EVIDENT: Final = 15.0
#: How many times denser than the rest a burst is.
DENSER: Final = 2.0

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Burst:
    """An interval [start, end) of a series, the counts in it, and how evident it is."""

    start: int
    end: int
    bad: int
    of: int
    evidence: float

    @property
    def share(self) -> float:
        return self.bad / self.of if self.of else 0.0


def burst(bad: Counts, of: Counts) -> Burst | None:
    """The interval in which the bad share is highest against the rest, if it is evident.

    The scan statistic for binomial counts: of all intervals the one with the greatest log
    likelihood ratio of two rates (inside, outside) against one rate, inside the higher (Kulldorff
    1997, "A spatial scan statistic", in one dimension). Long series are searched in bins first.

    Args:
        bad, of: shape (days,), 0 <= bad <= of.

    Returns:
        None when no interval is evident and at least `DENSER` times as dense as the rest.

    >>> found = burst(np.array([0, 0, 9, 8, 0]), np.array([10, 10, 10, 10, 10]))
    >>> found.start, found.end, found.share
    (2, 4, 0.85)
    """
    total, all_of = int(bad.sum()), int(of.sum())
    if total == 0 or total == all_of:
        return None
    width = -(-len(bad) // _BINS)
    edges = np.arange(0, len(bad) + width, width).clip(max=len(bad))
    edges = np.unique(edges)
    start, end, evidence = _best(bad, of, edges, edges)
    if width > 1:
        starts = np.arange(max(0, start - width), min(len(bad), start + width) + 1)
        ends = np.arange(max(0, end - width), min(len(bad), end + width) + 1)
        start, end, evidence = _best(bad, of, starts, ends)
    days = np.flatnonzero(bad[start:end])
    if len(days):  # empty days at its ends say nothing
        start, end = start + int(days[0]), start + int(days[-1]) + 1
    inside, held = int(bad[start:end].sum()), int(of[start:end].sum())
    outside, rest = total - inside, all_of - held
    dense = inside / held if held else 0.0
    usual = outside / rest if rest else 0.0
    if rest == 0 or evidence < EVIDENT or dense < DENSER * usual:
        return None
    return Burst(start, end, inside, held, evidence)


def _best(bad: Counts, of: Counts, starts: Counts, ends: Counts) -> tuple[int, int, float]:
    """The best interval that begins at one of `starts` and ends at one of `ends`."""
    sums = np.concatenate([[0], np.cumsum(bad)]).astype(np.float64)
    sizes = np.concatenate([[0], np.cumsum(of)]).astype(np.float64)
    total, whole = sums[-1], sizes[-1]
    inside = sums[ends][None, :] - sums[starts][:, None]
    held = sizes[ends][None, :] - sizes[starts][:, None]
    outside, rest = total - inside, whole - held
    usable = (starts[:, None] < ends[None, :]) & (held > 0) & (rest > 0)
    usable &= inside * rest > outside * held
    ratio = _fit(inside, held) + _fit(outside, rest) - _fit(np.array(total), np.array(whole))
    ratio = np.where(usable, ratio, -np.inf)
    place = int(np.argmax(ratio))
    row, column = divmod(place, ratio.shape[1])
    return int(starts[row]), int(ends[column]), float(ratio[row, column])


def _fit(bad: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log likelihood of counts at their own rate; 0 log 0 is 0."""
    good = of - bad
    with np.errstate(divide="ignore", invalid="ignore"):
        value = bad * np.log(bad / of) + good * np.log(good / of)
        value = np.where(bad <= 0, np.where(good <= 0, 0.0, good * np.log(good / of)), value)
        value = np.where((good <= 0) & (bad > 0), bad * np.log(bad / of), value)
    return np.nan_to_num(value)
