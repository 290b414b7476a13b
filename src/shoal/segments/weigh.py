"""How many groups by style: what the shop's past says of dividing them further by the outlook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from shoal.features.row_order import sample_rows
from shoal.segments.judge import Future, Judge, Limits, Score
from shoal.segments.staging import Space, divisions

#: Standard errors from the best within which the number of the version before stays.
SETTLED_ERRORS: Final = 2.0
#: The same of a number that was in no doubt at the version before: one period may be odd.
SURE_ERRORS: Final = 4.0
#: Numbers of styles that are tried at most, of more segments evenly spread ones.
_MOST_TRIED: Final = 16


@dataclass(frozen=True)
class Weighed:
    """The groups by style among k segments, and what each number that was tried foretells."""

    styles: int
    tried: tuple[Mapping[str, Any], ...]

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {"styles": self.styles, "tried": [dict(one) for one in self.tried]}


def weigh(
    future: Future,
    k: int,
    *,
    seed: int,
    best: bool = False,
    limits: Limits | None = None,
    settled: int | None = None,
    doubted: bool = True,
) -> Weighed | None:
    """How many of k segments differ by style, the others being stages; None where nothing tells.

    The most styles within one standard error of the difference from the number that foretells best:
    segments tell as much of how customers shop as costs no foretelling that can be told from
    chance. With `best`, the number that foretells best. `settled`, that of the version before,
    stays where it is within two standard errors of the best, or four where it was not `doubted`
    then: another one relabels most customers.
    """
    limits = limits or Limits()
    rows = sample_rows(future.X, 2 * limits.sample_customers, seed)
    judge = Judge(future, rows, limits.folds)
    if future.outlook is None or not judge.outcomes or k > len(rows) // 2:
        return None
    scores = staged_scores(judge, future.space(rows), [k], seed=seed, starts=2 * limits.starts)
    told = {styles: score for (styles, _), score in scores.items()}
    styles = most_styles(told, best=best, settled=settled, doubted=doubted)
    return Weighed(styles, told_of(told))


def staged_scores(
    judge: Judge, space: Space, ks: Sequence[int], *, seed: int, starts: int
) -> dict[tuple[int, int], Score]:
    """(styles, k) -> what so many segments of so many styles foretell, beside all the others."""
    labels: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
    with threadpool_limits(1, user_api="blas"):
        for styles in _tried(max(ks)):
            wanted = [k for k in ks if k >= styles]
            made = divisions(space, wanted, styles, seed=seed, starts=starts)
            # Where no cut is left, more styles are needed for so many segments.
            labels |= {
                (styles, k): one.labels for k, one in made.items() if one.k == k or styles == k
            }
    found = judge.scored(list(labels.values()))
    return {key: one for key, one in zip(labels, found, strict=True) if one is not None}


def most_styles(
    scores: Mapping[int, Score],
    *,
    best: bool = False,
    settled: int | None = None,
    doubted: bool = True,
) -> int:
    """The number of styles that is taken of those tried; see `weigh`."""
    first = max(scores, key=lambda styles: (scores[styles].score, styles))
    top = scores[first]
    kept = None if settled is None else scores.get(settled)
    errors = SETTLED_ERRORS if doubted else SURE_ERRORS
    if settled is not None and kept is not None and top.score - kept.score <= errors * top.error:
        return settled
    if best:
        return first
    return max(
        styles
        for styles, score in scores.items()
        if top.score - score.score <= top.error_of_difference(score)
    )


def told_of(scores: Mapping[int, Score]) -> tuple[Mapping[str, Any], ...]:
    """The evidence as JSON."""
    return tuple(
        {"styles": styles, "score": one.score, "score_se": one.error, "shares": one.shares}
        for styles, one in sorted(scores.items())
    )


def doubtful(tried: Sequence[Mapping[str, Any]], number: int | None, name: str = "styles") -> bool:
    """Whether, by the evidence of a version (`told_of`, `Candidate.as_document`), its number of
    styles, or of segments (`name`), foretold clearly less than another one; where it does not say,
    it may have."""
    told = [one for one in tried if one.get("score") is not None]
    kept = next((one for one in told if one[name] == number), None)
    if kept is None:
        return True
    top = max(told, key=lambda one: float(one["score"]))
    return bool(top["score"] - kept["score"] > SETTLED_ERRORS * top["score_se"])


def _tried(k: int) -> Sequence[int]:
    if k <= _MOST_TRIED:
        return range(1, k + 1)
    step = (k - 1) / (_MOST_TRIED - 1)
    return sorted({1 + round(place * step) for place in range(_MOST_TRIED)})
