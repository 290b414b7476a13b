"""What runs in a process of its own: one method on one log, trained, and its forecasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.peers.base import Kind, inputs_of
from bench.segments.unit import packed
from bench.users import settings
from bench.users.heads import Head, boosted, linear
from bench.users.methods import ALONE, SHOAL
from bench.users.outcomes import Outcome, outcomes
from bench.users.sets import Log, Opened
from shoal.evaluation.deviance import Values

#: (X of the learning customers, X of those asked)
Pair = tuple[Values, Values]


def learn(unit: str, log: Mapping[str, Any], budget_s: float) -> dict[str, Any]:
    """Train a unit on a log and foretell [T, T + H) with each of its rows.

    `forecasts`: row -> outcome -> packed (n, m) of the customers known at T; `small`: the same of
    the small sample, on the main seed; `train_seconds` and what else training came to.
    """
    import torch

    torch.set_num_threads(1)
    split = opened_split(Log(**log))
    found: dict[str, Any] = _UNITS[unit](split, budget_s)
    return found


class Split:
    """Learning customers as of T - H with the outcomes of [T - H, T), and those asked as of T."""

    def __init__(self, opened: Opened) -> None:
        self.opened, self.seed = opened, opened.log.seed
        self.learners = opened.customers(opened.before)
        self.asked = opened.customers(opened.moment)

    @cached_property
    def outcomes(self) -> dict[str, Outcome]:
        """What the learning customers did in [T - H, T)."""
        return outcomes(self.opened, self.learners, self.opened.before, self.opened.moment)

    @cached_property
    def small(self) -> npt.NDArray[np.int64]:
        """Places in `learners` of the small sample."""
        quick = self.opened.log.quick
        most = settings.QUICK_TEXT_CUSTOMERS if quick else settings.TEXT_CUSTOMERS
        drawn = np.random.default_rng([self.seed, 7]).permutation(len(self.learners))
        return np.sort(drawn[:most])

    @cached_property
    def small_asked(self) -> npt.NDArray[np.int64]:
        """Places in `asked` of the small sample."""
        names = [self.learners[place] for place in self.small]
        return np.searchsorted(np.asarray(self.asked), np.asarray(names)).astype(np.int64)

    def table(self, kind: Kind) -> Pair:
        """Features at both moments, NaN where a customer has none."""
        opened, found = self.opened, []
        sides = ((opened.before, self.learners), (opened.moment, self.asked))
        for moment, names in sides:
            X = inputs_of(opened.source.features(moment), kind, minimum_events=0)
            place = {name: row for row, name in enumerate(X.customers.tolist())}
            rows = np.array([place.get(name, -1) for name in names])
            found.append(np.where(rows[:, None] < 0, np.nan, X.values[rows]))
        return found[0], found[1]

    def told(self, rows: Mapping[str, tuple[Head, Pair]], small: bool = True) -> dict[str, Any]:
        """Forecasts of each row, and of the small sample on the main seed (by LightGBM alone)."""
        result: dict[str, Any] = {"forecasts": {}, "small": {}}
        for name, (head, (X, asked)) in rows.items():
            result["forecasts"][name] = {
                task: packed(head(X, outcome, asked, self.seed).astype(np.float32))
                for task, outcome in self.outcomes.items()
            }
            if small and self.opened.log.main and head is boosted:
                result["small"][name] = self.told_small((X[self.small], asked[self.small_asked]))
        return result

    def told_small(self, pair: Pair) -> dict[str, Any]:
        """Forecasts for the small sample, learned from it."""
        return {
            task: packed(
                boosted(pair[0], outcome.rows(self.small), pair[1], self.seed).astype(np.float32)
            )
            for task, outcome in self.outcomes.items()
        }


@lru_cache(maxsize=1)
def opened_split(log: Log) -> Split:
    return Split(log.open())


def joined(*pairs: Pair) -> Pair:
    """Columns side by side."""
    return (
        np.column_stack([one[0] for one in pairs]), np.column_stack([one[1] for one in pairs]),
    )  # fmt: skip


# --- Units ----------------------------------------------------------------------------------------


def _tabular(kind: Kind) -> Callable[[Split, float], dict[str, Any]]:
    def unit(split: Split, budget_s: float) -> dict[str, Any]:
        return split.told({kind: (boosted, split.table(kind))})

    return unit


def _coles(split: Split, budget_s: float) -> dict[str, Any]:
    from bench.users import coles
    from bench.users.histories import histories

    opened = split.opened
    known = histories(opened)
    began = time.perf_counter()
    model = coles.train(known, opened.before, seed=split.seed, budget_s=budget_s)
    seconds = time.perf_counter() - began
    vectors = (
        model.embed(known, opened.before, known.rows(split.learners)).astype(np.float64),
        model.embed(known, opened.moment, known.rows(split.asked)).astype(np.float64),
    )
    # the embedding ends with the last event: how long ago that was stands beside it
    silence = (
        known.silence(known.ends(opened.before)[known.rows(split.learners)], opened.before),
        known.silence(known.ends(opened.moment)[known.rows(split.asked)], opened.moment),
    )
    pair = joined(vectors, (np.log1p(silence[0]), np.log1p(silence[1])))
    both = joined(pair, split.table("features"))
    rows = {"coles": (boosted, pair), "coles+features": (boosted, both),
            "coles-linear": (linear, pair)}  # fmt: skip
    return {
        **split.told(rows), "train_seconds": seconds, "steps": model.steps, "loss": model.loss,
    }  # fmt: skip


def _supervised(split: Split, budget_s: float) -> dict[str, Any]:
    from bench.users.histories import histories
    from bench.users.supervised import forecast

    opened = split.opened
    known = histories(opened)
    learners, asked = known.rows(split.learners), known.rows(split.asked)
    began = time.perf_counter()
    found, epochs = forecast(
        known, learners, split.outcomes, opened.before, asked, opened.moment, seed=split.seed,
        budget_s=budget_s,
    )  # fmt: skip
    told = {task: packed(one.astype(np.float32)) for task, one in found.items()}
    seconds = time.perf_counter() - began
    return {
        "forecasts": {"supervised": told}, "small": {}, "train_seconds": seconds, "epochs": epochs,
    }  # fmt: skip


def _shoal(control: str = "") -> Callable[[Split, float], dict[str, Any]]:
    def unit(split: Split, budget_s: float) -> dict[str, Any]:
        from bench.users.shoal_ import embedded

        found = embedded(split.opened, budget_s=budget_s, seed=split.seed, control=control)
        pair = (found.before, found.at)
        both = joined(pair, split.table("features"))
        rows: dict[str, tuple[Head, Pair]] = {
            control or ALONE: (boosted, pair),
            f"{control}+features" if control else SHOAL: (boosted, both),
        }
        if not control:
            rows["shoal-linear"] = (linear, pair)
        told = split.told(rows, small=not control)
        return {**told, **found.facts}

    return unit


def _text(split: Split, budget_s: float) -> dict[str, Any]:
    from bench.users.text import encoded, encoder

    model, opened = encoder(), split.opened
    names = [split.learners[place] for place in split.small]
    pair = (
        encoded(model, opened, names, opened.before), encoded(model, opened, names, opened.moment),
    )  # fmt: skip
    table = split.table("features")
    both = joined(pair, (table[0][split.small], table[1][split.small_asked]))
    small = {"text": split.told_small(pair), "text+features": split.told_small(both)}
    return {"forecasts": {}, "small": small}


_UNITS: Mapping[str, Callable[[Split, float], dict[str, Any]]] = {
    "rfm": _tabular("rfm"),
    "features": _tabular("features"),
    "coles": _coles,
    "supervised": _supervised,
    "shoal": _shoal(),
    "shuffled": _shoal("shuffled"),
    "no-time": _shoal("no-time"),
    "text": _text,
}
