"""Settings of a training that a search tries, and how it chooses which to try next."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from shoal.domain.errors import OperationError
from shoal.model.config import Recipe

#: Trials that Optuna draws at random before it learns from them.
_AT_RANDOM: Final = 5

#: The score that counts for settings that could not be trained, so that they are kept away from.
FAILED: Final = -1.0

Parameters = dict[str, float]


@dataclass(frozen=True)
class Dial:
    """A setting to be searched: some values, or (`low`, `high`) evenly in logs."""

    values: tuple[float, ...] = ()
    low: float = 0.0
    high: float = 0.0

    def grid(self) -> tuple[float, ...]:
        """The values that a grid has of it."""
        return self.values or (self.low, math.sqrt(self.low * self.high), self.high)

    def drawn(self, rng: np.random.Generator) -> float:
        """One at random."""
        if self.values:
            return self.values[int(rng.integers(len(self.values)))]
        return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))


def space(recipe: Recipe) -> dict[str, Dial]:
    """What is searched, around a recipe."""
    train, model = recipe.train, recipe.model
    rate, longest, width = train.learning_rate, train.slice_max, model.embedding_dim
    return {
        "learning_rate": Dial(low=rate / 3, high=rate * 3),
        "slice_max": Dial(_distinct(max(longest // 2, train.slice_min), longest, longest * 2)),
        "embedding_dim": Dial(_distinct(max(width // 2, 2), width, width * 2)),
        "next_event": Dial((0.0, 1.0, 3.0, 8.0)),
        "horizon": Dial((0.0, 0.3, 1.0, 3.0)),
        "crop": Dial((0.0, 0.2)),
        "mask": Dial((0.0, 0.15)),
    }


def _distinct(*values: int) -> tuple[float, ...]:
    return tuple(dict.fromkeys(map(float, values)))


def own(recipe: Recipe) -> Parameters:
    """The recipe's own values of what is searched."""
    train = recipe.train
    return {
        "learning_rate": train.learning_rate,
        "slice_max": float(train.slice_max),
        "embedding_dim": float(recipe.model.embedding_dim),
        "next_event": train.weights.get("next_event", 0.0),
        "horizon": train.weights.get("horizon", 0.0),
        "crop": train.augment.get("crop", 0.0),
        "mask": train.augment.get("mask", 0.0),
    }


def applied(recipe: Recipe, values: Mapping[str, float]) -> Recipe:
    """The recipe with values of what is searched."""
    weights = {**recipe.train.weights, **{name: values[name] for name in ("next_event", "horizon")}}
    augment = {**recipe.train.augment, **{name: values[name] for name in ("crop", "mask")}}
    train = replace(
        recipe.train,
        learning_rate=float(values["learning_rate"]),
        slice_max=int(values["slice_max"]),
        weights=MappingProxyType({name: weight for name, weight in weights.items() if weight}),
        augment=MappingProxyType(
            {name: strength for name, strength in augment.items() if strength}
        ),
    )
    model = replace(recipe.model, embedding_dim=int(values["embedding_dim"]))
    return Recipe(recipe.name, model, train)


def of_grid(dials: Mapping[str, Dial], number: int, trials: int, seed: int) -> Parameters:
    """Points of the whole grid, spread over it in an order drawn once."""
    points = list(itertools.product(*(dial.grid() for dial in dials.values())))
    order = np.random.default_rng(seed).permutation(len(points))
    return dict(zip(dials, points[order[(number - 1) % len(points)]], strict=True))


def optuna_library() -> Any:
    """The library.

    Raises:
        OperationError: `missing_extra`.
    """
    try:
        import optuna
    except ImportError as error:
        raise OperationError(
            "missing_extra",
            "the search optuna needs the package optuna, which is not installed",
            hint="Run: pip install 'shoal[tune]', or search without it: --search random or grid.",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def of_optuna(
    dials: Mapping[str, Dial], done: Sequence[Mapping[str, Any]], seed: int
) -> Parameters:
    """What a tree-structured Parzen estimator (Bergstra et al., 2011) suggests after some trials.

    The study is made anew of the trials each time, so its answer depends on nothing else.
    """
    optuna = optuna_library()
    distributions = {
        name: optuna.distributions.CategoricalDistribution(dial.values)
        if dial.values
        else optuna.distributions.FloatDistribution(dial.low, dial.high, log=True)
        for name, dial in dials.items()
    }
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_AT_RANDOM)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for one in done:
        if not _within(one["parameters"], dials):
            continue
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(one["parameters"]),
                distributions=distributions,
                value=FAILED if one["score"] is None else one["score"],
            )
        )
    asked: Parameters = study.ask(distributions).params
    return asked


def _within(values: Mapping[str, float], dials: Mapping[str, Dial]) -> bool:
    """Whether the values are among those that are searched; a recipe's own need not be."""
    return all(
        values[name] in dial.values if dial.values else dial.low <= values[name] <= dial.high
        for name, dial in dials.items()
    )
