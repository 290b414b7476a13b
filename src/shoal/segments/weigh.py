"""How much of what segments are made on should be the outlook, by what the shop's past says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from threadpoolctl import threadpool_limits

from shoal.features.prepare import sample_rows
from shoal.segments.choose import Limits
from shoal.segments.judge import Future, Judge, Score
from shoal.segments.kmeans import KMeans

#: Shares of the outlook that are tried: none, up to nothing else.
SHARES: Final = (0.0, 0.1, 0.2, 0.33, 0.5, 1.0)


@dataclass(frozen=True)
class Weighed:
    """The share of the outlook, what each share that was tried foretells, and what RFM does."""

    share: float
    tried: tuple[Mapping[str, Any], ...]
    rfm: Mapping[str, Any] | None = None

    def as_document(self) -> dict[str, Any]:
        tried = [dict(one) for one in self.tried]
        return {
            "share": self.share,
            "tried": tried,
            "rfm": None if self.rfm is None else dict(self.rfm),
        }


def weigh(
    future: Future,
    k: int,
    *,
    seed: int,
    best: bool = False,
    limits: Limits | None = None,
    settled: float | None = None,
) -> Weighed | None:
    """How much of what k segments are made on should be the outlook; None where nothing tells.

    The smallest of `SHARES` whose segments foretell no worse than k segments of RFM, within one
    standard error of the difference: segments that tell as much of how customers shop as can be had
    without telling less of what they will do than RFM does. With `best`, the smallest within one
    standard error of the share that foretells best. `settled`, the share of the version before,
    stays where it is one of these.
    """
    limits = limits or Limits()
    rows = sample_rows(future.X, 2 * limits.sample_customers, seed)
    judge = Judge(future, rows, limits.folds)
    if future.outlook is None or not judge.outcomes or k > len(rows) // 2:
        return None
    made = [future.at(share).X for share in SHARES]
    made += [] if future.rfm is None else [future.rfm]
    with threadpool_limits(1, user_api="blas"):
        labels = [
            KMeans(k, n_starts=2 * limits.starts, random_state=seed).fit(X[rows]).labels_
            for X in made
        ]
        found = [one for one in judge.scored(labels) if one is not None]
    told = list(zip(SHARES, found[: len(SHARES)], strict=True))
    rfm = None if future.rfm is None else found[-1]
    top = max((score for _, score in told), key=lambda one: one.score)
    near = [share for share, score in told if score.score >= top.score - top.error]
    if not best and rfm is not None:
        level = [
            share
            for share, score in told
            if score.score >= rfm.score - rfm.error_of_difference(score)
        ]
        near = level or near
    tried = tuple({"share": share, **_as_document(score)} for share, score in told)
    share = settled if settled in near else near[0]
    return Weighed(share, tried, None if rfm is None else _as_document(rfm))


def _as_document(score: Score) -> dict[str, Any]:
    return {"score": score.score, "score_se": score.error, "shares": score.shares}
