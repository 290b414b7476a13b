"""How many segments: judged by what membership foretells, among the choices that can be trusted.

No internal index finds k reliably, so candidates are scored by the next period: segments are made
from what was known a horizon H before the end, and their members' mean is the forecast of what each
customer did within H. The score is the mean over outcomes (Bernoulli deviance of being active,
Poisson deviance of orders, variance of log spend, divergence of the mix of categories;
cross-validated over customers) of the share that is foretold, each in shares of the best
candidate's: an outcome of which little can be foretold has the same say.
Where customers have an outlook beside their style, each candidate is divided in two steps
(`shoal.segments.staging`), into as many styles as foretelling allows (`shoal.segments.weigh`).
Trusted are candidates whose segments come back when the customers are drawn again (bootstrap
adjusted Rand index, Hubert and Arabie, 1985) and that are not tiny. Chosen is the smallest trusted
k within one standard error of the difference from the best trusted one. Where the log is too short
for a next period, the largest trusted k with a prediction strength of at least 0.8 is taken
(Tibshirani and Walther, 2005), else the one with the highest. The whole table of evidence is kept.
The number of the version before stays where no other one has shown itself to be better: segments
that come and go with the draw of a month are nobody's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from shoal.domain.text import Text
from shoal.features.row_order import sample_rows
from shoal.segments.choose_words import foretold, untrusted
from shoal.segments.evidence import Candidate, gathered, prediction_strength
from shoal.segments.judge import Future, Judge, Limits, Score
from shoal.segments.staging import Space
from shoal.segments.weigh import SETTLED_ERRORS, SURE_ERRORS, most_styles, staged_scores, told_of

Matrix = npt.NDArray[np.float64]

TOLD: Final = "told"
NEXT_PERIOD: Final = "next_period"
STABILITY_ONLY: Final = "stability_only"
NO_GROUPS: Final = "no_groups"

#: Fewer customers cannot tell that there are no groups: of 400 of world steady, whose groups are
#: found, two or three clusters often do not come back in the other half.
_FEWEST_TO_DENY: Final = 1_000
#: Halves that are looked at before groups are denied, and starts in each.
_SPLITS_TO_DENY: Final = 12
_STARTS_TO_DENY: Final = 10
#: By so much less stable (bootstrap ARI, prediction strength) the number of the version before may
#: be than a new one has to be.
_SETTLED: Final = 0.1
#: Prediction strength above which Tibshirani and Walther call the clusters well separated.
_STRONG: Final = 0.8


@dataclass(frozen=True)
class Choice:
    """The chosen k, by which rule, why, and the evidence.

    Args:
        styles: groups by style among them, the others being stages; None: all are.
    """

    chosen: int
    rule: str
    reason: Text
    candidates: tuple[Candidate, ...] = ()
    horizon_days: int | None = None
    sample_customers: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    styles: int | None = None

    @property
    def trusted(self) -> bool:
        """Whether the chosen k passed the limits; a told one is not questioned."""
        return not self.candidates or any(one.why_not is None for one in self.candidates)

    def as_document(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "chosen": self.chosen,
            "reason": self.reason.as_document(),
            "horizon_days": self.horizon_days,
            "sample_customers": self.sample_customers,
            "styles": self.styles,
            "candidates": [candidate.as_document() for candidate in self.candidates],
            **self.extra,
        }


def told(k: int) -> Choice:
    """The choice that a person made."""
    return Choice(k, TOLD, Text(f"k = {k} was told, not chosen.", f"k = {k} 由人指定，未经选择。"))


@dataclass(frozen=True)
class Staging:
    """That segments are styles and stages, and how many styles are taken (see `weigh`)."""

    width: int
    best: bool = False
    settled: int | None = None
    doubted: bool = True


@dataclass(frozen=True)
class Standing:
    """The number of segments that the version before has.

    Args:
        redrawn: how well each number's segments came back then (`Candidate.redrawn`).
        doubted: whether another number foretold clearly more then.
    """

    k: int | None = None
    redrawn: Mapping[int, float] = field(default_factory=dict)
    doubted: bool = True


def choose(
    X: Matrix,
    ks: Sequence[int],
    *,
    seed: int,
    future: Future | None = None,
    limits: Limits | None = None,
    standing: Standing | None = None,
    groups: Matrix | None = None,
    staging: Staging | None = None,
    step: Callable[[], None] = lambda: None,
) -> Choice:
    """The number of segments of prepared features X (n, d), and the evidence for it.

    Candidates are judged on a sample of `limits.sample_customers`; `step` is called after each.
    The number `standing` stays where it foretells as much as the best, within two standard errors
    (four where it was in no doubt before), and is nearly as stable as a new one has to be, or no
    number is: segments shall not come and go for nothing. With `staging` the first columns of X are
    style and the others outlook; `future` has both.

    `groups` (n, c) is where groups must show (X but for the outlook; None: nobody asks). Where
    neither two nor three clusters of one half of the customers are found again in the other
    (prediction strength below 0.8), there are none, and the answer is one segment.
    """
    limits = limits or Limits()
    # Hundreds of small products: threads would wait for each other longer than they work.
    with threadpool_limits(1, user_api="blas"):
        if groups is not None:
            none = _no_groups(groups, seed, limits)
            if none is not None:
                return none
        space = Space(X)
        if staging is not None:
            space = Space(X[:, : staging.width], X[:, staging.width :])
        return _choose(space, ks, seed, future, limits, standing or Standing(), staging, step)


def _choose(
    space: Space,
    ks: Sequence[int],
    seed: int,
    future: Future | None,
    limits: Limits,
    standing: Standing,
    staging: Staging | None,
    step: Callable[[], None],
) -> Choice:
    space = space.take(sample_rows(space.style, limits.sample_customers, seed))
    least = ks[0]
    ks = [k for k in ks if k <= len(space) // 2]
    if not ks:
        k = max(1, min(least, len(space) // 2))
        text = Text(
            f"Only {len(space)} customers: too few to compare numbers of segments; "
            f"k = {k} was taken.",
            f"仅有 {len(space)} 位客户，不足以比较分群数量，取 k = {k}。",
        )
        return Choice(k, STABILITY_ONLY, text, sample_customers=len(space))
    scores, styles, told = _foretelling(future, ks, seed, limits, staging)
    candidates = gathered(
        space, ks, styles, scores, seed=seed, limits=limits, before=standing.redrawn, step=step
    )
    horizon = future.horizon_days if future is not None and scores else None
    choice = _decide(candidates, scores, limits, horizon, len(space), standing)
    number = styles.get(choice.chosen)
    if number is None:
        return choice
    evidence = {"outlook": {"styles": number, "tried": told[choice.chosen]}}
    return replace(choice, styles=number, extra=evidence)


Told = tuple[Mapping[str, Any], ...]


def _foretelling(
    future: Future | None, ks: Sequence[int], seed: int, limits: Limits, staging: Staging | None
) -> tuple[dict[int, Score], dict[int, int], dict[int, Told]]:
    """By number of segments: what they foretell; with staging the styles taken, and why."""
    if future is None:
        return {}, {}, {}
    rows = sample_rows(future.X, 2 * limits.sample_customers, seed)
    judge = Judge(future, rows, limits.folds)
    if not judge.outcomes:
        return {}, {}, {}
    ks = [k for k in ks if k <= len(rows) // 2]
    if staging is None or future.outlook is None:
        found = judge.scored([judge.segment(k, seed, limits.starts) for k in ks])
        scores = {k: one for k, one in zip(ks, found, strict=True) if one is not None}
        return scores, {}, {}
    every = staged_scores(judge, future.space(rows), ks, seed=seed, starts=2 * limits.starts)
    styles, told = {}, {}
    for k in ks:
        own = {number: one for (number, groups), one in every.items() if groups == k}
        styles[k] = most_styles(
            own, best=staging.best, settled=staging.settled, doubted=staging.doubted
        )
        told[k] = told_of(own)
    return {k: every[styles[k], k] for k in ks}, styles, told


def _no_groups(X: Matrix, seed: int, limits: Limits) -> Choice | None:
    """The answer that customers form no groups; None where they do, or are too few to tell."""
    X = X[sample_rows(X, limits.sample_customers, seed)]
    if len(X) < _FEWEST_TO_DENY:
        return None
    # One unlucky half must not deny groups: several kinds merge into two or three in many ways.
    strengths = prediction_strength(
        Space(X), (2, 3), seed=seed, starts=_STARTS_TO_DENY, splits=_SPLITS_TO_DENY
    )
    if max(strengths.values()) >= _STRONG:
        return None
    told = ", ".join(f"{k}: {strength:.2f}" for k, strength in strengths.items())
    reason = Text(
        "No segments here: customers differ one by one, not by groups (prediction strength "
        f"{told}; {_STRONG} would tell groups). All are one segment. To cut them all the same, "
        "tell a number (--k) or cut by what is expected of them next (--aim outlook).",
        f"这里没有分群：客户各不相同，但不成群体（预测强度 {told}；达到 {_STRONG} 才算成群）。"
        "全部客户归为一群。如仍需划分，请指定数量（--k），或按预期行为划分（--aim outlook）。",
    )
    return Choice(
        1, NO_GROUPS, reason, sample_customers=len(X),
        extra={"prediction_strength": {str(k): one for k, one in strengths.items()}},
    )  # fmt: skip


# --- Decision -------------------------------------------------------------------------------------


def _decide(
    candidates: list[Candidate],
    scores: Mapping[int, Score],
    limits: Limits,
    horizon_days: int | None,
    sample: int,
    standing: Standing,
) -> Choice:
    rule = STABILITY_ONLY if horizon_days is None else NEXT_PERIOD
    trusted = [candidate for candidate in candidates if candidate.why_not is None]
    stays = _may_stay(candidates, standing.k, limits)
    errors = SETTLED_ERRORS if standing.doubted else SURE_ERRORS
    if not trusted:
        chosen = max(candidates, key=lambda one: (one.stability, -one.k))
        # No other number has shown that it is there; only foretelling may speak for one.
        if stays is not None and not _behind(stays, scores, errors):
            chosen = stays
        reason = untrusted(chosen, limits, stays=chosen is stays)
    elif rule == STABILITY_ONLY:
        strong = [one for one in trusted if one.prediction_strength >= _STRONG]
        best = max(trusted, key=lambda one: one.prediction_strength)
        chosen = max(strong, key=lambda one: one.k, default=best)
        if stays is not None and stays.prediction_strength >= _STRONG - _SETTLED:
            chosen = stays
        reason = Text(
            "The log is too short for a next period to be foretold: "
            f"k = {chosen.k} was chosen by stability alone (prediction strength "
            f"{chosen.prediction_strength:.2f}, bootstrap ARI {chosen.stability:.2f}).",
            f"日志太短，无法检验对下一时期的预测：k = {chosen.k} 仅依据稳定性选出"
            f"（预测强度 {chosen.prediction_strength:.2f}，自助法 ARI {chosen.stability:.2f}）。",
        )
    else:
        told = [(one, scores[one.k]) for one in trusted if one.k in scores]
        best, top = max(told, key=lambda pair: pair[1].score)
        behind = [(one, top.score - score.score, score) for one, score in told]
        # Customers are the same: what chance moves in both candidates alike is no doubt.
        least = next(one for one, gap, score in behind if gap <= top.error_of_difference(score))
        chosen = least
        if stays is not None and stays.k in scores:
            near = top.score - scores[stays.k].score <= errors * top.error
            chosen = stays if near else least
        reason = foretold(chosen, best, horizon_days, stays=chosen is not least)
    return Choice(chosen.k, rule, reason, tuple(candidates), horizon_days, sample)


def _may_stay(
    candidates: Sequence[Candidate], standing: int | None, limits: Limits
) -> Candidate | None:
    """The number of the version before, if none of its segments is tiny and they are about as
    stable as those of a new number have to be, or no number is that stable."""
    found = next((one for one in candidates if one.k == standing), None)
    if found is None or found.smallest_share < limits.smallest_share:
        return None
    trusted = any(one.why_not is None for one in candidates)
    return found if not trusted or found.stability >= limits.stability - _SETTLED else None


def _behind(one: Candidate, scores: Mapping[int, Score], errors: float) -> bool:
    """Whether another number foretells more than this one, beyond what chance does."""
    if one.k not in scores:
        return False
    top = max(scores.values(), key=lambda score: score.score)
    return top.score - scores[one.k].score > errors * top.error
