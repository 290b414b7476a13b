"""Whether segments hold customers as well as they did: distance, doubt, and who is near to none."""

from __future__ import annotations

from typing import Final

import numpy as np

from shoal.adjust.drift.contrast import Contrasts, Panel
from shoal.adjust.drift.look import Floats, Look, Places

RESIDUAL: Final = "residual"
ENTROPY: Final = "entropy"
FAR: Final = "no_close_segment"
#: What is asked, by column.
ASKED: Final = (RESIDUAL, ENTROPY, FAR)
#: Differences that somebody might act on: deviations, deviations, share of customers.
LEAST: Final = (0.05, 0.05, 0.005)
UNITS: Final = ("deviations", "deviations", "share")
#: A customer further away than this part of customers was before has no close segment.
_FAR_AT: Final = 0.99


def assigned(panel: Panel) -> Contrasts:
    """How much worse each of `ASKED` is; the p-value is of no worse."""
    residuals = panel.each(_residuals)
    doubts = panel.each(_doubts)
    before = np.concatenate(residuals[: panel.recent])
    limit = float(np.quantile(before, _FAR_AT))
    scaled = [_scaled(told, panel.recent) for told in (residuals, doubts)]
    statistics = [
        np.column_stack([own, doubt, residual > limit])
        for own, doubt, residual in zip(*scaled, residuals, strict=True)
    ]
    return panel.contrast(statistics, LEAST, worse=True)


def _residuals(look: Look, _rows: Places, placed: Places) -> Floats:
    """Logarithms: a few far away customers do not make the mean."""
    return np.asarray(np.log1p(look.residual[placed]))


def _doubts(look: Look, _rows: Places, placed: Places) -> Floats:
    return look.entropy[placed]


def _scaled(told: list[Floats], recent: int) -> list[Floats]:
    """In standard deviations of earlier looks."""
    spread = float(np.concatenate(told[:recent]).std())
    return [one / (spread if spread > 1e-9 else 1.0) for one in told]
