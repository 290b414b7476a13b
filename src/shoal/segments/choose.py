"""How many segments: judged by what membership foretells, among the choices that can be trusted.

No internal index finds k reliably, so candidates are scored by the next period: segments are made
from what was known a horizon H before the end, and their members' mean is the forecast of what each
customer did within H. The score is the mean over outcomes (Bernoulli deviance of being active,
Poisson deviance of orders, variance of log spend, divergence of the mix of categories;
cross-validated over customers) of the share that is foretold, each in shares of the best
candidate's: an outcome of which little can be foretold has the same say.
In the same way the share of the outlook is chosen, what customers are expected to do next beside
how they shop (`weigh`).
Trusted are candidates whose segments come back when the customers are drawn again (bootstrap
adjusted Rand index, Hubert and Arabie, 1985) and that are not tiny. Chosen is the smallest trusted
k within one standard error of the difference from the best trusted one. Where the log is too short
for a next period, the largest trusted k with a prediction strength of at least 0.8 is taken
(Tibshirani and Walther, 2005), else the one with the highest. The whole table of evidence is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from shoal.domain.text import Text
from shoal.features.prepare import sample_rows
from shoal.segments.kmeans import KMeans, nearest

Matrix = npt.NDArray[np.float64]

TOLD: Final = "told"
NEXT_PERIOD: Final = "next_period"
STABILITY_ONLY: Final = "stability_only"
NO_GROUPS: Final = "no_groups"

#: Fewer customers cannot tell that there are no groups.
_FEWEST_TO_DENY: Final = 200
#: Halves that are looked at before groups are denied, and starts in each.
_SPLITS_TO_DENY: Final = 12
_STARTS_TO_DENY: Final = 10

#: Shares of the outlook that are tried: none, up to nothing else.
SHARES: Final = (0.0, 0.1, 0.2, 0.33, 0.5, 1.0)
#: An outcome of which nobody foretells more than this share does not count.
LEAST_FORETOLD: Final = 0.005

#: By outcome: a share foretold, and (n,) each customer's part in its error.
Judged = tuple[dict[str, float], dict[str, Matrix]]

#: Prediction strength above which Tibshirani and Walther call the clusters well separated.
_STRONG: Final = 0.8


@dataclass(frozen=True)
class Score:
    """How well a division of customers foretells, beside others.

    Args:
        score: mean over outcomes of the share foretold, in shares of the best division's.
        shares: foretold, by outcome.
        parts: (n,) each customer's part in the error of the score.
    """

    score: float
    shares: dict[str, float]
    parts: Matrix

    @property
    def error(self) -> float:
        """The standard error of the score."""
        return float(np.sqrt(np.sum(self.parts**2)))

    def error_of_difference(self, other: Score) -> float:
        """The standard error of the difference of two divisions of the same customers."""
        return float(np.sqrt(np.sum((self.parts - other.parts) ** 2)))


@dataclass(frozen=True)
class Future:
    """What was known a horizon before the end, and what came.

    `X` (n, d) prepared features then, `outlook` (n, m) what was expected then, of variance one in
    all (None: nothing); `rfm` (n, 3) recency, frequency and money then, standardised; `active` (n,)
    0/1, `orders` (n,) counts, `spend` (n,) net revenue (currency units) and `categories` (n, c)
    events by category within the horizon; rows are the same customers. An outcome without variation
    (no purchases, no prices) does not count.
    """

    X: Matrix
    horizon_days: int
    active: Matrix
    orders: Matrix
    spend: Matrix
    categories: Matrix | None = None
    outlook: Matrix | None = None
    rfm: Matrix | None = None

    def at(self, share: float) -> Future:
        """With the outlook as a share of the variance of `X`."""
        if self.outlook is None or not share:
            return self
        spread = float(np.sqrt(self.X.var(axis=0).sum())) or 1.0
        own, told = np.sqrt(1 - share) / spread, np.sqrt(share)
        X = np.hstack([own * self.X, told * self.outlook]) if own else self.outlook
        return replace(self, X=X)


@dataclass(frozen=True)
class Limits:
    """What a candidate must reach to be trusted, and how the evidence is gathered."""

    stability: float = 0.9
    smallest_share: float = 0.01
    bootstraps: int = 10
    folds: int = 5
    sample_customers: int = 4_000
    starts: int = 3


@dataclass(frozen=True)
class Candidate:
    """The evidence for one k."""

    k: int
    stability: float
    prediction_strength: float
    smallest_share: float
    largest_share: float
    inertia: float
    score: float | None
    score_se: float | None
    shares: Mapping[str, float] | None
    why_not: Text | None

    def as_document(self) -> dict[str, Any]:
        document = dict(self.__dict__)
        document["shares"] = None if self.shares is None else dict(self.shares)
        document["eligible"] = self.why_not is None
        document["why_not"] = None if self.why_not is None else self.why_not.as_document()
        return document


@dataclass(frozen=True)
class Choice:
    """The chosen k, by which rule, why, and the evidence."""

    chosen: int
    rule: str
    reason: Text
    candidates: tuple[Candidate, ...] = ()
    horizon_days: int | None = None
    sample_customers: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

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
            "candidates": [candidate.as_document() for candidate in self.candidates],
            **self.extra,
        }


def told(k: int) -> Choice:
    """The choice that a person made."""
    return Choice(k, TOLD, Text(f"k = {k} was told, not chosen.", f"k = {k} 由人指定，未经选择。"))


def choose(
    X: Matrix,
    ks: Sequence[int],
    *,
    seed: int,
    future: Future | None = None,
    limits: Limits | None = None,
    settled: int | None = None,
    groups: Matrix | None = None,
    step: Callable[[], None] = lambda: None,
) -> Choice:
    """The number of segments of prepared features X (n, d), and the evidence for it.

    Candidates are judged on a sample of `limits.sample_customers`; `step` is called after each.
    `settled` is the number of the version before: it stays where it is as good as the best, within
    one standard error, so that segments do not come and go for nothing.

    `groups` (n, c) is where groups must show (X but for the outlook; None: nobody asks). Where
    neither two nor three clusters of one half of the customers are found again in the other
    (prediction strength below 0.8), there are none, and the answer is one segment.
    """
    # Hundreds of small products: threads would wait for each other longer than they work.
    with threadpool_limits(1, user_api="blas"):
        if groups is not None:
            none = _no_groups(groups, seed, limits or Limits())
            if none is not None:
                return none
        return _choose(X, ks, seed, future, limits or Limits(), settled, step)


def _choose(
    X: Matrix,
    ks: Sequence[int],
    seed: int,
    future: Future | None,
    limits: Limits,
    settled: int | None,
    step: Callable[[], None],
) -> Choice:
    X = X[sample_rows(X, limits.sample_customers, seed)]
    folds: Judge | None = None
    if future is not None:
        rows = sample_rows(future.X, 2 * limits.sample_customers, seed)
        folds = Judge(future, rows, limits.folds)
        if not folds.outcomes:
            folds = None
    least = ks[0]
    ks = [k for k in ks if k <= len(X) // 2]
    found: list[Score | None] = [None] * len(ks)
    if folds is not None:
        found = folds.scored([folds.segment(k, seed, limits.starts) for k in ks])
    candidates = []
    for k, score in zip(ks, found, strict=True):
        candidates.append(_evidence(X, k, seed, limits, score))
        step()
    if not candidates:
        k = max(1, min(least, len(X) // 2))
        text = Text(
            f"Only {len(X)} customers: too few to compare numbers of segments; k = {k} was taken.",
            f"仅有 {len(X)} 位客户，不足以比较分群数量，取 k = {k}。",
        )
        return Choice(k, STABILITY_ONLY, text, sample_customers=len(X))
    horizon = future.horizon_days if future is not None and folds is not None else None
    scores = {k: score for k, score in zip(ks, found, strict=True) if score is not None}
    return _decide(candidates, scores, limits, horizon, len(X), settled)


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


# --- Evidence -------------------------------------------------------------------------------------


def _evidence(
    X: Matrix,
    k: int,
    seed: int,
    limits: Limits,
    found: Score | None,
) -> Candidate:
    model = KMeans(k, n_starts=2 * limits.starts, random_state=seed).fit(X)
    shares = np.bincount(model.labels_, minlength=k) / len(X)
    stability = _bootstrap_ari(X, model.labels_, k, seed, limits)
    why_not = None
    if model.n_clusters_ < k:
        why_not = Text(
            f"the customers show only {model.n_clusters_} different behaviours",
            f"客户只呈现 {model.n_clusters_} 种不同行为",
        )
    elif shares.min() < limits.smallest_share:
        why_not = Text(
            f"its smallest segment holds {shares.min():.1%} of customers, "
            f"less than {limits.smallest_share:.0%}",
            f"最小的分群仅占 {shares.min():.1%} 的客户，低于 {limits.smallest_share:.0%}",
        )
    elif stability < limits.stability:
        why_not = Text(
            f"its segments do not come back when customers are drawn again "
            f"(bootstrap ARI {stability:.2f}, {limits.stability} needed)",
            f"重新抽样后分群不能复现（自助法 ARI {stability:.2f}，要求 {limits.stability}）",
        )
    return Candidate(
        k=k,
        stability=stability,
        prediction_strength=_prediction_strength(X, k, seed, limits.starts),
        smallest_share=float(shares.min()),
        largest_share=float(shares.max()),
        inertia=model.inertia_,
        score=None if found is None else found.score,
        score_se=None if found is None else found.error,
        shares=None if found is None else found.shares,
        why_not=why_not,
    )


def _no_groups(X: Matrix, seed: int, limits: Limits) -> Choice | None:
    """The answer that customers form no groups; None where they do, or are too few to tell."""
    X = X[sample_rows(X, limits.sample_customers, seed)]
    if len(X) < _FEWEST_TO_DENY:
        return None
    # One unlucky half must not deny groups: several kinds merge into two or three in many ways.
    strengths = {
        k: _prediction_strength(X, k, seed, _STARTS_TO_DENY, splits=_SPLITS_TO_DENY) for k in (2, 3)
    }
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


def _bootstrap_ari(
    X: Matrix, labels: npt.NDArray[np.int64], k: int, seed: int, limits: Limits
) -> float:
    """Median agreement of segments learned from redrawn customers with those learned from all."""
    random = np.random.default_rng([seed, k])
    found = []
    for number in range(limits.bootstraps):
        drawn = X[random.integers(len(X), size=len(X))]
        model = KMeans(k, n_starts=limits.starts, random_state=seed + number).fit(drawn)
        found.append(adjusted_rand_score(labels, nearest(X, model.cluster_centers_)[0]))
    return float(np.median(found))


def _prediction_strength(X: Matrix, k: int, seed: int, starts: int, splits: int = 3) -> float:
    """Of pairs together in one half's worst cluster, the share that the other half's keep so."""
    random = np.random.default_rng([seed, k, 1])
    found = []
    for number in range(splits):
        half = random.permutation(len(X))
        train, test = X[half[: len(X) // 2]], X[half[len(X) // 2 :]]
        learned = KMeans(k, n_starts=starts, random_state=seed + number).fit(train)
        own = KMeans(k, n_starts=starts, random_state=seed + number).fit(test).labels_
        table = np.zeros((k, k))
        np.add.at(table, (own, nearest(test, learned.cluster_centers_)[0]), 1)
        sizes = table.sum(axis=1)
        pairs = (table * (table - 1)).sum(axis=1)[sizes > 1]
        found.append(float((pairs / (sizes * (sizes - 1))[sizes > 1]).min(initial=1.0)))
    return float(np.mean(found))


class Judge:
    """Cross-validated deviances of the outcomes of a period under the means of segments.

    Args:
        future: the period; `rows` of its customers are judged by, in `folds` folds.

    Folds are drawn over customers in canonical order; `outcomes` maps a name to its values and the
    deviance of each customer under a forecast.
    """

    def __init__(self, future: Future, rows: npt.NDArray[np.int64], folds: int) -> None:
        self.X = future.X[rows]
        self.fold = np.arange(len(rows)) % folds
        everybody = np.ones(len(rows))
        told = {
            "activity": (future.active[rows, None], everybody, _bernoulli),
            "orders": (future.orders[rows, None], everybody, _poisson),
            "spend": (_log_money(future.spend[rows])[:, None], everybody, _squared),
        }
        if future.categories is not None and future.categories.shape[1] > 1:
            events = future.categories[rows]
            totals = events.sum(axis=1, keepdims=True)
            mix = np.divide(events, totals, out=np.zeros_like(events), where=totals > 0)
            told["categories"] = (mix, (totals[:, 0] > 0).astype(np.float64), _divergence)
        self.outcomes = {
            name: outcome
            for name, outcome in told.items()
            if outcome[1].any() and np.ptp(outcome[0][outcome[1] > 0], axis=0).max() > 0
        }

    def segment(self, k: int, seed: int, starts: int) -> npt.NDArray[np.int64] | None:
        if k > len(self.X):
            return None
        return KMeans(k, n_starts=2 * starts, random_state=seed).fit(self.X).labels_

    def scored(self, labels: Sequence[npt.NDArray[np.int64] | None]) -> list[Score | None]:
        """Of each division of the customers: score, its standard error, and share by outcome.

        The share is 1 - D / D0, D0 the deviance under one common mean; its error by linearisation
        of the ratio. The score is the mean over outcomes of shares of the best division's.
        """
        return self.of([None if one is None else self.judged(one) for one in labels])

    def of(self, judged: Sequence[Judged | None]) -> list[Score | None]:
        """Scores beside each other of what `judged` gave."""
        best = {
            name: max((one[0][name] for one in judged if one is not None), default=0.0)
            for name in self.outcomes
        }
        # Where nobody foretells anything the plain shares are left, which are about nothing.
        unit = {name: share for name, share in best.items() if share >= LEAST_FORETOLD}
        unit = unit or dict.fromkeys(self.outcomes, 1.0)
        found: list[Score | None] = []
        for one in judged:
            if one is None:
                found.append(None)
                continue
            shares, parts = one
            score = float(np.mean([shares[name] / size for name, size in unit.items()]))
            error = np.mean([parts[name] / size for name, size in unit.items()], axis=0)
            found.append(Score(score, shares, error))
        return found

    def judged(self, labels: npt.NDArray[np.int64]) -> tuple[dict[str, float], dict[str, Matrix]]:
        """By outcome: the share that a division foretells, and each customer's part in its
        error."""
        shares, parts = {}, {}
        for name, (values, weight, deviance) in self.outcomes.items():
            forecast, common = self._forecast(values, weight, labels)
            own, base = weight * deviance(values, forecast), weight * deviance(values, common)
            ratio = own.sum() / base.sum()
            shares[name] = float(1 - ratio)
            parts[name] = -(own - ratio * base) / base.sum()
        return shares, parts

    def _forecast(
        self, values: Matrix, weight: Matrix, labels: npt.NDArray[np.int64]
    ) -> tuple[Matrix, Matrix]:
        """(n, m) mean of the own segment and mean of all, of the other folds."""
        forecast, common = np.empty_like(values), np.empty_like(values)
        member = np.eye(int(labels.max()) + 1)[labels] * weight[:, None]
        for fold in range(int(self.fold.max()) + 1):
            out = self.fold == fold
            mean = np.average(values[~out], axis=0, weights=weight[~out])
            # One customer's weight of the common mean keeps small segments from certainty.
            sums = member[~out].T @ values[~out] + mean
            means = sums / (member[~out].sum(axis=0) + 1)[:, None]
            forecast[out], common[out] = means[labels[out]], mean
        return forecast, common


def _bernoulli(values: Matrix, forecast: Matrix) -> Matrix:
    p = np.clip(forecast, 1e-6, 1 - 1e-6)
    return np.asarray(-2 * (values * np.log(p) + (1 - values) * np.log1p(-p)))[:, 0]


def _poisson(values: Matrix, forecast: Matrix) -> Matrix:
    rate = np.maximum(forecast, 1e-9)
    logs = np.where(values > 0, values * np.log(np.maximum(values, 1e-9) / rate), 0.0)
    return np.asarray(2 * (logs - (values - rate)))[:, 0]


def _squared(values: Matrix, forecast: Matrix) -> Matrix:
    return np.asarray((values - forecast) ** 2)[:, 0]


def _divergence(values: Matrix, forecast: Matrix) -> Matrix:
    """Kullback-Leibler divergence of each customer's mix from the forecast."""
    q = np.maximum(forecast, 1e-6)
    return np.asarray(np.where(values > 0, values * np.log(np.maximum(values, 1e-9) / q), 0).sum(1))


def _log_money(spend: Matrix) -> Matrix:
    """log(1 + spend / typical spend): a few huge orders must not decide."""
    positive = spend[spend > 0]
    typical = float(np.median(positive)) if len(positive) else 1.0
    return np.asarray(np.log1p(np.maximum(spend, 0) / typical))


# --- Decision -------------------------------------------------------------------------------------


def _decide(
    candidates: list[Candidate],
    scores: Mapping[int, Score],
    limits: Limits,
    horizon_days: int | None,
    sample: int,
    settled: int | None,
) -> Choice:
    rule = STABILITY_ONLY if horizon_days is None else NEXT_PERIOD
    trusted = [candidate for candidate in candidates if candidate.why_not is None]
    if not trusted:
        chosen = max(candidates, key=lambda one: (one.stability, -one.k))
        reason = Text(
            f"No candidate is stable (bootstrap ARI of at least {limits.stability}) and free of "
            f"tiny segments; k = {chosen.k} is the most stable (ARI {chosen.stability:.2f}). "
            "Take these segments as a description, not as groups that exist.",
            f"没有候选同时满足稳定（自助法 ARI ≥ {limits.stability}）且无过小分群；k = {chosen.k} "
            f"最稳定（ARI {chosen.stability:.2f}）。请将这些分群视为描述，而非客观存在的群体。",
        )
    elif rule == STABILITY_ONLY:
        strong = [one for one in trusted if one.prediction_strength >= _STRONG]
        best = max(trusted, key=lambda one: one.prediction_strength)
        chosen = max(strong, key=lambda one: one.k, default=best)
        chosen = next((one for one in strong if one.k == settled), chosen)
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
        chosen = next(
            (one for one, gap, _ in behind if one.k == settled and gap <= top.error), least
        )
        reason = _foretold(chosen, best, horizon_days, stays=chosen is not least)
    return Choice(chosen.k, rule, reason, tuple(candidates), horizon_days, sample)


def _foretold(chosen: Candidate, best: Candidate, horizon_days: int | None, *, stays: bool) -> Text:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in (chosen.shares or {}).items())
    en = f"Membership foretells the next {horizon_days} days ({shares} of what varies)."
    zh = f"分群能预测未来 {horizon_days} 天的行为（解释比例：{shares}）。"
    if max((best.shares or {}).values(), default=0.0) < LEAST_FORETOLD:
        en = f"No number of segments foretells the next {horizon_days} days ({shares})."
        zh = f"任何分群数量都不能预测未来 {horizon_days} 天的行为（{shares}）。"
    if stays:
        return Text(
            f"{en} k = {chosen.k} stays as it was: it is within one standard error of the best "
            f"stable candidate (k = {best.k}); bootstrap ARI {chosen.stability:.2f}.",
            f"{zh}k = {chosen.k} 保持不变：它与最佳稳定候选（k = {best.k}）相差不超过一个标准误；"
            f"自助法 ARI {chosen.stability:.2f}。",
        )
    return Text(
        f"{en} k = {chosen.k} is the smallest within one standard error of the best stable "
        f"candidate (k = {best.k}); bootstrap ARI {chosen.stability:.2f}.",
        f"{zh}k = {chosen.k} 是与最佳稳定候选（k = {best.k}）相差不超过一个标准误的最小值；"
        f"自助法 ARI {chosen.stability:.2f}。",
    )
