"""Turn a world's dials until the moments of its log are those of another log.

The method of simulated moments (McFadden 1989): there is no formula from dials to moments, so the
world is sampled, measured and adjusted. First each dial is turned by its own moment, as if it alone
moved it; then all together, by damped least squares (Marquardt 1963) on the residuals of all
moments, with derivatives by differences under common random numbers that every later sample
corrects (Broyden 1965). Residuals are weighted by 1 / |residual|, so that the mean distance is what
falls, not the worst one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shoal.evaluation.log_tally import Contents
from shoal.evaluation.moments import (
    BY_NAME,
    FARTHEST,
    POINTS,
    SHAPE,
    distances,
    total_distance,
)
from shoal.workflows.dial_turns import SHAPES, TURNS, Moments, Turn, number_of

Floats = npt.NDArray[np.float64]
#: From dials to the moments of a sample.
Sample = Callable[[Mapping[str, Any]], Moments]

#: Rounds in which each dial follows its own moment; steps of all together after that.
DIRECT_ROUNDS: Final = 5
JOINT_STEPS: Final = 8
_DIFFERENCE: Final = 0.2
#: No dial moves farther at once (in logarithms or logits).
_FARTHEST_STEP: Final = 1.2
_SMALL: Final = 0.02
#: Joint steps end after so many in a row that gain less than this part.
_IDLE_STEPS: Final = 3
_GAIN: Final = 0.01
_SHAPE_FLOOR: Final = 0.002


@dataclass
class Fit:
    """Where fitting arrived: dials by name, the moments there, and how it went.

    `rounds` holds the total distance of each sample in its order, the first with the world's own
    dials.
    """

    dials: dict[str, Any]
    moments: Moments
    distance: float
    rounds: list[float] = field(default_factory=list)


def fit_dials(real: Moments, contents: Contents, sample: Sample, own: Mapping[str, Any]) -> Fit:
    """Dials under which a sample's moments are near the real ones.

    Args:
        real: the moments to come near.
        contents: what the real log tells; dials of which it says nothing stay.
        sample: measures a sample; the same dials must give the same moments.
        own: the world's dials that may be turned, by name.
    """
    turns = [turn for turn in TURNS if turn.needs(contents) and turn.dial in own]
    run = _Run(real, sample, turns, own)
    run.measure({})
    run.direct()
    run.jointly()
    return run.best


class _Run:
    """One fit: the dials in hand, the best so far, and the samples taken."""

    def __init__(
        self, real: Moments, sample: Sample, turns: Sequence[Turn], own: Mapping[str, Any]
    ) -> None:
        self.real, self.sample, self.turns = real, sample, turns
        self.names = [name for name in BY_NAME if real.get(name) is not None]
        self.shapes: dict[str, tuple[float, ...]] = {
            dial: () for dial, moment in SHAPES if dial in own and real.get(moment) is not None
        }
        starts = [own[t.dial] if t.start is None else t.start for t in turns]
        self.start = np.array([t.inner(s) for t, s in zip(turns, starts, strict=True)])
        self.best = Fit({}, {}, math.inf)
        self.there: Moments = {}

    def dials(self, inner: Floats) -> dict[str, Any]:
        """Dials by name from values on their scales."""
        found = {
            turn.dial: turn.outer(float(value))
            for turn, value in zip(self.turns, inner, strict=True)
        }
        if "items" in found:
            found["items"] = round(found["items"])
        return found | {name: shape for name, shape in self.shapes.items() if shape}

    def measure(self, dials: dict[str, Any]) -> Moments:
        """Take a sample and keep it if it is the nearest yet."""
        found = self.sample(dials)
        total = total_distance(distances(self.real, found))
        self.best.rounds.append(total)
        if total < self.best.distance:
            self.best = Fit(dials, found, total, self.best.rounds)
        return found

    def direct(self) -> None:
        """Let each dial follow its own moment a few times; the best place is where to go on."""
        inner, shapes, nearest = self.start, dict(self.shapes), math.inf
        for _ in range(DIRECT_ROUNDS):
            found = self.measure(self.dials(inner))
            if self.best.rounds[-1] < nearest:
                nearest, shapes = self.best.rounds[-1], dict(self.shapes)
                self.start, self.there = inner, found
            self._follow_shapes(found)
            leads = np.array([turn.lead(self.real, found) for turn in self.turns])
            inner = self._within(inner + np.clip(leads, -_FARTHEST_STEP, _FARTHEST_STEP))
        self.shapes = shapes

    def _within(self, inner: Floats) -> Floats:
        return np.array(
            [t.inner(t.outer(float(v))) for t, v in zip(self.turns, inner, strict=True)]
        )

    def _follow_shapes(self, found: Moments) -> None:
        """Weights of hours, weekdays and arrivals times what they lacked."""
        for dial, moment in SHAPES:
            wanted, got = self.real.get(moment), found.get(moment)
            if dial not in self.shapes or not isinstance(wanted, tuple):
                continue
            weights = np.array(self.shapes[dial] or wanted)
            if self.shapes[dial] and isinstance(got, tuple):
                lacked = (np.array(wanted) + _SHAPE_FLOOR) / (np.array(got) + _SHAPE_FLOOR)
                weights = weights * np.clip(lacked, 0.3, 3.0)
            self.shapes[dial] = tuple((weights / weights.sum()).round(6).tolist())

    def residuals(self, found: Moments) -> Floats:
        """Signed distances; their absolute values add up to the distances of all moments."""
        return np.concatenate([_residual(name, self.real, found) for name in self.names])

    def jointly(self) -> None:
        """Turn all dials together from the best place of the direct rounds."""
        if not self.turns:
            return
        inner, there = self.start, self.residuals(self.there)
        slopes = self._slopes(inner, there)
        damping, idle = 0.1, 0
        for _ in range(JOINT_STEPS):
            step = self._step(slopes, there, damping)
            tried = self._within(inner + step)
            moved = tried - inner
            if not np.abs(moved).max(initial=0.0) > 1e-3:
                break
            found = self.residuals(self.measure(self.dials(tried)))
            slopes += np.outer(found - there - slopes @ moved, moved) / (moved @ moved)
            before, after = np.abs(there).sum(), np.abs(found).sum()
            idle = idle + 1 if after > before * (1 - _GAIN) else 0
            if after < before:
                inner, there, damping = tried, found, damping / 3
            else:
                damping *= 5
            if idle >= _IDLE_STEPS:
                break

    def _slopes(self, inner: Floats, there: Floats) -> Floats:
        """Derivatives of the residuals by each dial, (moments, dials)."""
        columns = []
        for place in range(len(inner)):
            for direction in (1, -1):  # away from a limit
                moved = inner.copy()
                moved[place] += direction * _DIFFERENCE
                moved = self._within(moved)
                if abs(moved[place] - inner[place]) > _DIFFERENCE / 2:
                    break
            found = self.residuals(self.measure(self.dials(moved)))
            columns.append((found - there) / (moved[place] - inner[place]))
        return np.array(columns).T

    def _step(self, slopes: Floats, there: Floats, damping: float) -> Floats:
        weights = 1 / np.maximum(np.abs(there), _SMALL)
        square = slopes.T @ (weights[:, None] * slopes)
        limit = damping * (np.diag(np.diag(square)) + np.eye(len(square)) * weights.mean() * 0.05)
        step = np.linalg.solve(square + limit, -slopes.T @ (weights * there))
        return np.clip(step, -_FARTHEST_STEP, _FARTHEST_STEP)


def _residual(name: str, real: Moments, found: Moments) -> Floats:
    """The signed distance of a moment; of a shape, that of each of its parts."""
    measure = BY_NAME[name].measure
    if measure == SHAPE:
        wanted, got = np.array(real[name]), found.get(name)
        return np.full(len(wanted), FARTHEST / len(wanted)) if got is None else (
            (np.array(got) - wanted) / 2
        )  # fmt: skip
    a, b = number_of(real, name), number_of(found, name)
    if a is None or b is None:
        return np.array([FARTHEST])
    if measure == POINTS:
        return np.array([b - a])
    if a <= 0 or b <= 0:
        return np.array([0.0 if a == b else math.copysign(FARTHEST, b - a)])
    return np.array([min(max(math.log(b / a), -FARTHEST), FARTHEST)])
