"""The evidence for numbers of segments: do they come back when customers are drawn again?

Every number is judged on the same redrawn customers and the same halves of them, so that numbers
differ by themselves and not by chance; and of numbers of segments with as many styles, the styles
are learned once a draw (`shoal.segments.staging`). What the version before found of a number counts
as much as what is found now: how well segments come back differs from month to month by more than
numbers differ in a month.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import adjusted_rand_score

from shoal.domain.text import Text
from shoal.segments.judge import Limits, Score
from shoal.segments.staging import Division, Space, divisions

Labels = npt.NDArray[np.int64]

#: Random splits in halves of which the prediction strength is the mean.
_SPLITS = 3


@dataclass(frozen=True)
class Candidate:
    """The evidence for one k; `styles` of its segments differ by style, None: all.

    Args:
        stability: the mean of `redrawn` and what the version before found.
        redrawn: median agreement (adjusted Rand index) with segments of customers drawn again.
    """

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
    styles: int | None = None
    redrawn: float | None = None

    def as_document(self) -> dict[str, Any]:
        document = dict(self.__dict__)
        document["shares"] = None if self.shares is None else dict(self.shares)
        document["eligible"] = self.why_not is None
        document["why_not"] = None if self.why_not is None else self.why_not.as_document()
        return document


def gathered(
    space: Space,
    ks: Sequence[int],
    styles: Mapping[int, int],
    scores: Mapping[int, Score],
    *,
    seed: int,
    limits: Limits,
    before: Mapping[int, float] | None = None,
    step: Callable[[], None] = lambda: None,
) -> list[Candidate]:
    """The evidence for each of some numbers of segments.

    Args:
        styles: groups by style among k segments, by k; where there is none, all are.
        scores: what k segments foretell, by k.
        before: `redrawn` of the version before, by k.
        step: called once for each number, evenly over the work.
    """
    made = _divided(space, ks, styles, seed, 2 * limits.starts)
    rounds, told = limits.bootstraps + _SPLITS, 0
    agreement: dict[int, list[float]] = defaultdict(list)
    strength: dict[int, list[float]] = defaultdict(list)
    drawn, halves = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    for number in range(rounds):
        if number < limits.bootstraps:
            again = space.take(drawn.integers(len(space), size=len(space)))
            others = _divided(again, ks, styles, seed + number, limits.starts)
            for k, other in others.items():
                agreement[k].append(adjusted_rand_score(made[k].labels, other.of(space)))
        else:
            found = _strengths(space, ks, styles, halves, seed + number, limits.starts)
            for k, one in found.items():
                strength[k].append(one)
        while told * rounds < (number + 1) * len(ks):
            told += 1
            step()
    return [
        _candidate(
            k, made[k], len(space), styles.get(k), float(np.median(agreement[k])),
            float(np.mean(strength[k])), limits, scores.get(k), (before or {}).get(k),
        )
        for k in ks
    ]  # fmt: skip


def prediction_strength(
    space: Space, ks: Sequence[int], *, seed: int, starts: int, splits: int
) -> dict[int, float]:
    """Prediction strength (Tibshirani and Walther, 2005) by number of groups of style, the mean
    over random splits of the customers in halves."""
    random = np.random.default_rng([seed, 1])
    found = [_strengths(space, ks, {}, random, seed + number, starts) for number in range(splits)]
    return {k: float(np.mean([one[k] for one in found])) for k in ks}


def _strengths(
    space: Space,
    ks: Sequence[int],
    styles: Mapping[int, int],
    random: np.random.Generator,
    seed: int,
    starts: int,
) -> dict[int, float]:
    """Of pairs together in one half's worst cluster, the share that the other half's keep so."""
    half = random.permutation(len(space))
    train, test = space.take(half[: len(half) // 2]), space.take(half[len(half) // 2 :])
    learned = _divided(train, ks, styles, seed, starts)
    own = _divided(test, ks, styles, seed, starts)
    found = {}
    for k in ks:
        table = np.zeros((k, k))
        np.add.at(table, (own[k].labels, learned[k].of(test)), 1)
        sizes = table.sum(axis=1)
        pairs = (table * (table - 1)).sum(axis=1)[sizes > 1]
        found[k] = float((pairs / (sizes * (sizes - 1))[sizes > 1]).min(initial=1.0))
    return found


def _divided(
    space: Space, ks: Sequence[int], styles: Mapping[int, int], seed: int, starts: int
) -> dict[int, Division]:
    together: dict[int | None, list[int]] = defaultdict(list)
    for k in ks:
        together[styles.get(k)].append(k)
    found: dict[int, Division] = {}
    for number, own in together.items():
        found |= divisions(space, own, number, seed=seed, starts=starts)
    return found


def _candidate(
    k: int,
    made: Division,
    customers: int,
    styles: int | None,
    redrawn: float,
    strength: float,
    limits: Limits,
    found: Score | None,
    before: float | None,
) -> Candidate:
    shares = np.bincount(made.labels, minlength=k) / customers
    stability = redrawn if before is None else (redrawn + before) / 2
    why_not = None
    if made.k < k:
        why_not = Text(
            f"the customers show only {made.k} different behaviours",
            f"客户只呈现 {made.k} 种不同行为",
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
        prediction_strength=strength,
        smallest_share=float(shares.min()),
        largest_share=float(shares.max()),
        inertia=made.inertia,
        score=None if found is None else found.score,
        score_se=None if found is None else found.error,
        shares=None if found is None else found.shares,
        why_not=why_not,
        styles=styles,
        redrawn=redrawn,
    )
