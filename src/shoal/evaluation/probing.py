"""What can be read off a description of customers: probes, learned on some, asked of others.

A probe is a simple model on top of numbers that are given: a linear one shows what lies open in
them, boosted trees what is there at all (the idea: Alain and Bengio, "Understanding intermediate
layers using linear classifier probes", 2016). Every description is asked the same customers, and
draws of them are paired, so that differences have intervals of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.evaluation.bootstrap import Interval, draws, interval
from shoal.evaluation.deviance import (
    Values,
    mix_deviance,
    poisson_deviance,
    share_explained,
    tweedie_deviance,
)
from shoal.evaluation.ranking import auroc, spearman

Mask = NDArray[np.bool_]
Kind = Literal["chance", "amount", "count", "class"]

#: Times that the asked customers are drawn again.
DRAWS: Final = 500
#: Customers with and without an outcome, learned and asked, that a task needs.
LEAST: Final = 10
#: The chance that the rarest thing is taken to have.
_RARE: Final = 1e-6

#: Figures of each kind of outcome, the first one being the one that descriptions are compared by.
FIGURES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "chance": ("auroc", "deviance_share"),
    "amount": ("deviance_share", "spearman"),
    "count": ("deviance_share", "spearman"),
    "class": ("deviance_share", "accuracy"),
}


@dataclass(frozen=True)
class Task:
    """Something that happens to customers in a window.

    Args:
        kind: `chance` (0 or 1), `amount` (from 0 on, many zeros), `count`, or `class`.
        values: (n,); for `class` the place among `classes`, -1 for customers without one, of whom
            nothing is asked.
    """

    name: str
    kind: Kind
    values: Values
    classes: tuple[str, ...] = ()

    @property
    def known(self) -> Mask:
        """(n,) customers of whom something is asked."""
        return np.asarray(self.values >= 0)

    def told(self, rows: NDArray[np.int64]) -> Values:
        """(rows, m) outcomes: m is 1, or the number of classes with a 1 in the right one."""
        if self.kind != "class":
            return self.values[rows, None]
        return np.eye(len(self.classes))[self.values[rows].astype(np.int64)]

    def deviance(self, rows: NDArray[np.int64], forecast: Values) -> Values:
        """(rows,) deviances of forecasts (rows, m)."""
        told = self.told(rows)
        if self.kind == "count":
            return poisson_deviance(told, forecast)
        if self.kind == "amount":
            return tweedie_deviance(told, forecast)
        if self.kind == "class":
            return mix_deviance(told, forecast)
        p = np.clip(forecast, _RARE, 1 - _RARE)
        return mix_deviance(np.hstack([told, 1 - told]), np.hstack([p, 1 - p]))

    def lacks(self, learned: Mask) -> str:
        """Why it cannot be asked where these customers are learned from; "" if it can."""
        for side, which in (("learned", learned), ("asked", ~learned)):
            values = self.values[which & self.known]
            if self.kind == "class":
                commonest = np.bincount(values.astype(np.int64), minlength=1).max(initial=0)
                rest = len(values) - int(commonest)
                if rest < LEAST:
                    return f"{rest} {side} customers are not in the commonest class; {LEAST} needed"
                continue
            have = int((values > 0).sum())
            if have < LEAST:
                return f"{have} {side} customers have it; {LEAST} needed"
            if self.kind == "chance" and len(values) - have < LEAST:
                return f"{len(values) - have} {side} customers lack it; {LEAST} needed"
        return ""


@dataclass(frozen=True)
class Description:
    """Numbers that are known of customers.

    Args:
        plain: (n, d) without NaN and of like scales, for linear probes.
        raw: (n, d) with NaN where undefined, for trees.
    """

    name: str
    plain: Values
    raw: Values


@dataclass(frozen=True)
class Head:
    """A probe: `fit(X learned, task, their rows, X asked, seed)` gives (asked, m) forecasts."""

    name: str
    raw: bool
    fit: Callable[[Values, Task, NDArray[np.int64], Values, int], Values]


@dataclass(frozen=True)
class Probed:
    """What one description foretold of a task through one head.

    `gain` is by how much its first figure exceeds that of the description it is compared with, None
    for that one itself.
    """

    task: str
    head: str
    description: str
    figures: Mapping[str, Interval]
    gain: Interval | None = None

    def as_document(self) -> dict[str, Any]:
        """As JSON; a figure that is not defined is null."""
        found: dict[str, Any] = {"inputs": self.description, "head": self.head}
        for name, one in self.figures.items():
            found[name] = _plain(one)
        return {**found, "gain": None if self.gain is None else _plain(self.gain)}


def _between(figure: float, drawn: Values) -> Interval:
    """The interval of a figure; not a number where no draw has one."""
    if np.isnan(drawn).all():
        return Interval(figure, float("nan"), float("nan"))
    return interval(figure, drawn)


def _plain(one: Interval) -> dict[str, float | None]:
    return {
        name: value if np.isfinite(value) else None for name, value in one.as_document().items()
    }


@dataclass
class Prober:
    """Asks tasks of descriptions.

    Args:
        learned: (n,) customers that probes are learned from; the others are asked.
        heads: of every task and description.
        against: the description that others are compared with.
    """

    learned: Mask
    heads: Sequence[Head]
    seed: int
    against: str
    draws: int = DRAWS
    _weights: dict[int, list[Values]] = field(default_factory=dict)

    def ask(self, task: Task, descriptions: Sequence[Description]) -> list[Probed]:
        """Every description through every head.

        Raises:
            ValueError: the task lacks customers (`Task.lacks`).
        """
        if why := task.lacks(self.learned):
            raise ValueError(f"{task.name}: {why}")
        fitted = np.flatnonzero(self.learned & task.known)
        asked = np.flatnonzero(~self.learned & task.known)
        mean = task.told(fitted).mean(axis=0, keepdims=True)
        base = task.deviance(asked, np.repeat(mean, len(asked), axis=0))
        found = []
        for head in self.heads:
            scored = {}
            for one in descriptions:
                X = one.raw if head.raw else one.plain
                forecast = head.fit(X[fitted], task, fitted, X[asked], self.seed)
                scored[one.name] = self._scored(task, asked, forecast, base)
            found += self._compared(task, head, scored)
        return found

    def _compared(
        self, task: Task, head: Head, scored: Mapping[str, Mapping[str, tuple[float, Values]]]
    ) -> list[Probed]:
        first = FIGURES[task.kind][0]
        found = []
        for name, figures in scored.items():
            gain = None
            if name != self.against and self.against in scored:
                (own, drawn), (other, beside) = figures[first], scored[self.against][first]
                gain = _between(own - other, drawn - beside)
            told = {figure: _between(value, drawn) for figure, (value, drawn) in figures.items()}
            found.append(Probed(task.name, head.name, name, told, gain))
        return found

    def _scored(
        self, task: Task, asked: NDArray[np.int64], forecast: Values, base: Values
    ) -> dict[str, tuple[float, Values]]:
        """Each figure, and what it is in every draw."""
        values, scores = task.values[asked], forecast[:, 0]
        own = task.deviance(asked, forecast)
        hit = (forecast.argmax(axis=1) == values).astype(np.float64)

        def figure(name: str, weights: Values) -> Values:
            if name == "auroc":
                return auroc(values, scores, weights)
            if name == "spearman":
                return spearman(values, scores, weights)
            if name == "accuracy":
                return np.asarray(weights @ hit / weights.sum(axis=1))
            return np.asarray(1 - (weights @ own) / np.maximum(weights @ base, 1e-300))

        once = np.ones((1, len(asked)))
        found = {}
        for name in FIGURES[task.kind]:
            value = share_explained(own, base) if name == "deviance_share" else None
            whole = float(figure(name, once)[0]) if value is None else value
            drawn = [figure(name, weights) for weights in self._drawn(len(asked))]
            found[name] = (whole, np.concatenate(drawn))
        return found

    def _drawn(self, customers: int) -> list[Values]:
        if customers not in self._weights:
            self._weights = {customers: list(draws(customers, self.draws, self.seed))}
        return self._weights[customers]
