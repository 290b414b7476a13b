"""Groups of a method a share of the way to what statistics say, and what a step brings."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shoal.adjust.online import Statistics
from shoal.segments.methods.mixture import Mixture

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: What a mixture's spreads keep of the variance within, and its shares of everybody.
_LEAST_SPREAD: Final = 1e-2
_LEAST_SHARE: Final = 1e-6


def stepped(clusterer: Any, aim: Statistics, step: float, held: Mask) -> Any:
    """The method's groups a share of the way to statistics.

    Centres go straight: c + s (m - c). A mixture's shares and second moments are mixed alike, so
    that its covariances stay positive definite and a whole step is the M-step:

        p_s = (1 - s) p + s p',   C_s = (1 - s) (C + c c') + s (C' + m m' + least I) - c_s c_s'

    Args:
        step: 0 to 1.
        held: (k,) places that stay as they are, as do those that the statistics know nobody of.
    """
    share = np.where(held | ~aim.there, 0.0, step)
    known = np.where(aim.there[:, None], aim.means, clusterer.centers)
    centers = clusterer.centers + share[:, None] * (known - clusterer.centers)
    if not isinstance(clusterer, Mixture):
        about = np.where(aim.there[:, None], aim.about(centers), 0.0)
        return clusterer.moved(centers, mass=aim.mass, covariances=about)
    mass = clusterer.mass + share * (aim.mass / aim.mass.sum() - clusterer.mass)
    before, now = clusterer.covariances, aim.covariances
    least = _least(now, aim)
    if aim.full:
        there = aim.there[:, None, None]
        s = share[:, None, None]
        now = np.where(there, now + least * np.eye(now.shape[1]), before)
        outer = [one[:, :, None] * one[:, None] for one in (clusterer.centers, known, centers)]
    else:
        s = share[:, None]
        now = np.where(aim.there[:, None], now + least, before)
        outer = [one**2 for one in (clusterer.centers, known, centers)]
    mixed = (1 - s) * (before + outer[0]) + s * (now + outer[1]) - outer[2]
    covariances = np.where(s > 0, mixed, before)
    return clusterer.moved(centers, mass=np.maximum(mass, _LEAST_SHARE), covariances=covariances)


def _least(covariances: Floats, aim: Statistics) -> float:
    """The variance that every group of a mixture keeps: a share of that within groups."""
    spread = np.einsum("kdd->kd", covariances) if aim.full else covariances
    within = np.average(spread[aim.there].mean(axis=1), weights=aim.mass[aim.there])
    return max(_LEAST_SPREAD * float(within), 1e-9)


def gain(live: Floats, other: Floats, dimensions: int | None) -> tuple[float, Floats]:
    """The fall of the loss as a share, and each customer's part in its error (linearised)."""
    if dimensions is None:
        whole = max(float(live.sum()), 1e-12)
        ratio = float(other.sum()) / whole
        return 1 - ratio, (other - ratio * live) / whole
    fall = live - other
    left = float(np.exp(-2 * fall.mean() / dimensions))
    return 1 - left, -2 * left / dimensions * (fall - fall.mean()) / len(fall)
