"""Whether what customers do changed: each feature, and how features go together.

A feature is told by normal scores: its values take the places that they have among those of
earlier looks, so that long tails and units do not matter. Asked of each is the mean (all do more or
less), the spread (some more and some less) and how many have no value; of each pair how strongly
they go together. Totals of a lifetime only ever grow and are left out: what they tell is in the
windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shoal.adjust.drift.contrast import Contrasts, Panel
from shoal.adjust.drift.look import Floats, Mask

#: Differences that somebody might act on: of means in standard deviations, of mean squares, of
#: shares without a value, of correlations.
LEAST_MEAN: Final = 0.03
LEAST_SPREAD: Final = 0.06
LEAST_MISSING: Final = 0.01
LEAST_TOGETHER: Final = 0.04

#: Values of earlier looks that places are told by; more change no place by much.
_SAMPLE: Final = 1_000
_CLIP: Final = 1e-3
#: Falls of customers that a total may have (corrections), and those that must have grown.
_FALLS: Final = 0.005
_GROWN: Final = 0.05
#: Features that pairs are asked of; pairs of which errors are told exactly.
_PAIRED_FEATURES: Final = 60
_LIKELY: Final = 16

#: What is asked of a feature.
MEAN: Final = "mean"
SPREAD: Final = "spread"
MISSING: Final = "missing"


@dataclass(frozen=True)
class Scores:
    """Features as they are compared.

    Args:
        names: of features.
        looks: of each look of a panel (rows, features) normal scores, NaN without a value.
        totals: features left out because they only grow.
    """

    names: tuple[str, ...]
    looks: list[Floats]
    totals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Marginals:
    """What was asked of single features: `asked` holds (feature, question) by column."""

    asked: tuple[tuple[str, str], ...]
    contrasts: Contrasts


@dataclass(frozen=True)
class Pairs:
    """How pairs of features go together: `asked` holds the two by column."""

    asked: tuple[tuple[str, str], ...]
    contrasts: Contrasts


def scores(panel: Panel, left_out: Sequence[str] = ()) -> Scores:
    """The features that all looks have.

    Args:
        left_out: features not to be compared, such as broken ones.
    """
    held = [set(look.names) for look in panel.looks]
    names = [
        name
        for name in panel.looks[-1].names
        if name not in left_out and all(name in one for one in held)
    ]
    kept, columns, totals = [], [], []
    for name in names:
        told = panel.feature(name)
        if _only_grows(panel, told):
            totals.append(name)
            continue
        placed = _placed(told, panel.recent)
        if placed is not None:
            kept.append(name)
            columns.append(placed)
    looks = [
        np.column_stack([column[place] for column in columns])
        if columns
        else np.empty((len(panel.rows[place]), 0))
        for place in range(len(panel.looks))
    ]
    return Scores(tuple(kept), looks, tuple(totals))


def marginals(panel: Panel, told: Scores) -> Marginals | None:
    """Mean, spread and missing values of every feature; None where there is none."""
    if not told.names:
        return None
    gaps: Mask = np.asarray(np.stack([np.isnan(look).any(axis=0) for look in told.looks]).any(0))
    statistics = [
        np.hstack([look, look**2, np.isnan(look[:, gaps]).astype(np.float64)])
        for look in told.looks
    ]
    gappy = [name for name, gap in zip(told.names, gaps.tolist(), strict=True) if gap]
    asked = [
        *((name, MEAN) for name in told.names),
        *((name, SPREAD) for name in told.names),
        *((name, MISSING) for name in gappy),
    ]
    count = len(told.names)
    least = np.repeat([LEAST_MEAN, LEAST_SPREAD, LEAST_MISSING], [count, count, len(gappy)])
    return Marginals(tuple(asked), panel.contrast(statistics, least))


def pairs(panel: Panel, told: Scores) -> Pairs | None:
    """Correlations of pairs of features; None of a single one.

    Scores are first standardised within their look, so that a change of level or spread is none of
    how features go together.
    """
    count = min(len(told.names), _PAIRED_FEATURES)
    if count < 2:
        return None
    one, other = np.triu_indices(count, 1)
    names = tuple((told.names[a], told.names[b]) for a, b in zip(one, other, strict=True))
    standard = [_standardised(look[:, :count]) for look in told.looks]
    found = panel.products(standard, LEAST_TOGETHER)
    # people are mostly the same ones, which says far more: worth its cost for the most likely pairs
    likely = np.argsort(-np.abs(found.difference) / found.error, kind="stable")[:_LIKELY]
    exact = panel.contrast([S[:, one[likely]] * S[:, other[likely]] for S in standard],
                           LEAST_TOGETHER)  # fmt: skip
    return Pairs(names, found.with_better(likely, exact))


def _standardised(S: Floats) -> Floats:
    there = ~np.isnan(S)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, S, 0.0).sum(axis=0) / count
    away = np.where(there, S - mean, 0.0)
    spread = np.sqrt((away**2).sum(axis=0) / count)
    return away / np.where(spread > 1e-9, spread, 1.0)


def _only_grows(panel: Panel, told: list[Floats]) -> bool:
    """Whether hardly anybody's value fell from the first look to the last earlier one.

    Now takes part only where one earlier look is there: a value that is suddenly doubled for all is
    no total.
    """
    first, last = 0, panel.recent - 1 if panel.recent > 1 else len(panel.looks) - 1
    common = np.full((2, panel.people), np.nan)
    for row, place in enumerate((first, last)):
        common[row, panel.who[place]] = told[place]
    step = common[1] - common[0]
    step = step[~np.isnan(step)]
    if len(step) < 30:
        return False
    return bool((step < -1e-9).mean() < _FALLS and (step > 1e-9).mean() > _GROWN)


def _placed(told: list[Floats], recent: int) -> list[Floats] | None:
    """Normal scores by the places among values of the recent looks; None where all are alike."""
    from scipy.special import ndtri

    held = np.concatenate([one[~np.isnan(one)] for one in told[:recent]])
    now = told[-1]
    if not len(held):
        # nobody had a value: that some have one now is all there is to tell
        return None if np.isnan(now).all() else [np.where(np.isnan(x), x, 0.0) for x in told]
    held = np.sort(held)
    if len(held) > _SAMPLE:
        held = held[np.linspace(0, len(held) - 1, _SAMPLE).round().astype(int)]
    if held[0] == held[-1] and _same(now, held[0]):
        return None
    places = np.arange(2 * len(held) + 1) / (2 * len(held))
    table = ndtri(np.clip(places, _CLIP, 1 - _CLIP))
    found = []
    for one in told:
        below = np.searchsorted(held, one, side="left")
        upto = np.searchsorted(held, one, side="right")
        found.append(np.where(np.isnan(one), np.nan, table[below + upto]))
    # one scale for all features, though ties take some of the spread
    spread = max(float(np.nanstd(np.concatenate(found[:recent]))), 0.1)
    return [one / spread for one in found]


def _same(now: Floats, value: float) -> bool:
    there: Mask = ~np.isnan(now)
    return bool(there.all() and (now == value).all())
