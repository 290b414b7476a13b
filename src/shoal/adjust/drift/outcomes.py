"""Whether what is foretold still comes: expected against came, of the period that just ended.

Of each outcome two things are asked: the level (more or less came in all than was foretold) and the
slope (those of whom much was foretold did more, or less, than that). A head that was always off by
the same is no news: compared is how far off it is now with how far off it was at earlier looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from shoal.adjust.drift.anytime import confidence_sequence
from shoal.adjust.drift.look import Floats, Look

LEVEL: Final = "level"
SLOPE: Final = "slope"
#: Part of the mean foretold, and of the spread of what is foretold, that somebody might act on.
LEAST: Final = 0.05
#: Errors beyond this part of earlier ones are cut: single large orders do not make the level.
_CUT_AT: Final = 0.995
_FEWEST: Final = 100
#: Steps between earlier looks that the wander of all outcomes is worth for one.
_POOLED: Final = 2
#: How far off a head may be, as a share, where nothing tells how far it was before; and how many
#: looks that guess is worth.
_UNTOLD: Final = 0.1
_UNTOLD_LOOKS: Final = 3


@dataclass(frozen=True)
class Calibration:
    """One question about one outcome.

    Args:
        series: (looks,) how far off, as a share of what was foretold, oldest first, last now.
        size: how much further off than usual.
        error: standard error of the size.
        p_value: of not being further off.
        evidence: figures as JSON.
    """

    outcome: str
    asked: str
    series: Floats
    size: float
    error: float
    p_value: float
    customers: int
    evidence: dict[str, Any]


def calibrated(now: Look, recent: Sequence[Look]) -> list[Calibration]:
    """Every outcome that was foretold of now; empty where none was.

    Where none was of an earlier look, heads are taken to be right but for `_UNTOLD`.
    """
    found = []
    for name in sorted(now.expected or {}):
        told = [_told(look, name) for look in (*recent, now)]
        held = [one for one in told if one is not None]
        if told[-1] is None:
            continue
        found += [_asked(name, question, held) for question in (LEVEL, SLOPE)]
    return found


def _told(look: Look, name: str) -> tuple[Floats, Floats] | None:
    expected, came = (look.expected or {}).get(name), (look.came or {}).get(name)
    if expected is None or came is None:
        return None
    expected, came = np.asarray(expected, np.float64), np.asarray(came, np.float64)
    there = np.isfinite(expected) & np.isfinite(came)
    if there.sum() < _FEWEST or expected[there].mean() <= 0:
        return None
    return expected[there], came[there]


def _asked(name: str, question: str, told: list[tuple[Floats, Floats]]) -> Calibration:
    from scipy.special import stdtr

    alone = len(told) == 1
    errors = np.concatenate([came - expected for expected, came in told[:-1] or told])
    cut = float(np.quantile(np.abs(errors), _CUT_AT)) or np.inf
    pairs = [_off(question, expected, came, cut) for expected, came in told]
    series = np.array([off for off, _ in pairs])
    noise = np.array([error**2 for _, error in pairs])
    recent = len(series) - 1
    usual = 0.0 if alone else float(series[:-1].mean())
    # forecasts of looks close together are of mostly the same days: their errors go together, and
    # to add both is on the safe side
    earlier = _UNTOLD**2 if alone else noise[:-1].mean() + _wander(series[:-1], noise[:-1])
    total = noise[-1] + earlier
    error = float(np.sqrt(total))
    size = abs(float(series[-1])) - abs(usual)
    t = (size - LEAST) / error if error > 0 else 0.0
    p = float(stdtr(max(recent, _UNTOLD_LOOKS) + _POOLED, -t)) if t > 0 else 1.0
    expected, came = told[-1]
    variance = float(np.square(np.clip(came - expected, -cut, cut)).sum())
    low, high = confidence_sequence(
        float((came - expected).sum()), variance, level=0.05, tuned_at=variance
    )
    evidence = {
        "expected": float(expected.mean()), "came": float(came.mean()),
        "usual_ratio": 1 + usual if question == LEVEL else None,
        "off_low": low / len(expected), "off_high": high / len(expected),
    }  # fmt: skip
    return Calibration(name, question, series, size, error, p, len(expected), evidence)


def _off(question: str, expected: Floats, came: Floats, cut: float) -> tuple[float, float]:
    """How far off, as a share, and its standard error."""
    away = np.clip(came - expected, -cut, cut)
    if question == LEVEL:
        scale = expected.mean()
        return float(away.mean() / scale), float(away.std() / np.sqrt(len(away)) / scale)
    lead = expected - expected.mean()
    power = float(np.square(lead).sum())
    if power <= 0:
        return 0.0, 1.0
    slope = float((lead * away).sum() / power)
    left = away - away.mean() - slope * lead
    return slope, float(np.sqrt(np.square(lead * left).sum()) / power)


def _wander(series: Floats, noise: Floats) -> float:
    """Variance of earlier looks beyond that of sampling."""
    if len(series) < 2:
        return LEAST**2
    beyond = float(series.var(ddof=1) - noise.mean())
    prior = LEAST**2 / 4
    return max((_POOLED * prior + (len(series) - 1) * beyond) / (_POOLED + len(series) - 1), 0.0)
