"""From forecasts to figures: a log at a time, then over a set's seeds with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.harness.data import PUBLIC
from bench.segments.unit import unpacked
from bench.users.outcomes import ACTIVE, MIX, Outcome, auroc, outcomes
from bench.users.sets import TASKS, Log
from bench.users.settings import LEAST_AUROC, LEAST_SHARE
from bench.users.unit import Split
from shoal.evaluation.bootstrap import draws
from shoal.evaluation.deviance import Values, share_explained
from shoal.evaluation.foretelling import mean_ranks

#: (set, outcome)
Cell = tuple[str, str]


@dataclass
class Task:
    """One outcome on one log: the deviances of the learned mean and of each row's forecasts.

    Of `active` the scores themselves are kept: the AUROC knows their order alone.
    """

    outcome: Outcome
    base: Values
    found: dict[str, Values] = field(default_factory=dict)

    def add(self, row: str, forecast: Values) -> None:
        """Keep what a row foretold."""
        if not np.isfinite(forecast).all():
            return
        active = self.outcome.name == ACTIVE
        self.found[row] = forecast[:, 0] if active else self.outcome.deviance(forecast)

    def figure(self, row: str) -> float:
        """AUROC of `active`, else the share of deviance explained; NaN where there is none."""
        if row not in self.found:
            return float("nan")
        if self.outcome.name == ACTIVE:
            return float(auroc(self.outcome.values[:, 0], self.found[row])[0])
        return share_explained(self.found[row], self.base)

    def drawn(self, row: str, weights: Values) -> Values:
        """(draws,) the figure over customers drawn again, by (draws, n) weights."""
        if self.outcome.name == ACTIVE:
            return auroc(self.outcome.values[:, 0], self.found[row], weights)
        base = weights @ self.base
        left = np.divide(weights @ self.found[row], base, out=np.full(len(base), np.nan),
                         where=base > 0)  # fmt: skip
        return 1 - left


@dataclass
class Scored:
    """One log: its customers, what there was to foretell, and what was foretold."""

    log: Log
    customers: list[str]
    tasks: dict[str, Task]
    small_customers: list[str] = field(default_factory=list)
    small: dict[str, Task] = field(default_factory=dict)


def scored(split: Split, units: Iterable[Mapping[str, Any]]) -> Scored:
    """Every forecast of a log beside what happened in [T, T + H)."""
    opened = split.opened
    now = outcomes(opened, split.asked, opened.moment, opened.until)
    small = split.small_asked
    result = Scored(opened.log, split.asked, {})
    if opened.log.main:
        result.small_customers = [split.asked[place] for place in small]
    for task, outcome in now.items():
        result.tasks[task] = Task(outcome, _base(split.outcomes[task], outcome))
        if opened.log.main:
            learned = split.outcomes[task].rows(split.small)
            result.small[task] = Task(outcome.rows(small), _base(learned, outcome.rows(small)))
    for unit in units:
        for told, into in (("forecasts", result.tasks), ("small", result.small)):
            for row, found in unit.get(told, {}).items():
                for task, forecast in found.items():
                    if task in into:
                        into[task].add(row, unpacked(forecast).astype(np.float64))
    return result


def _base(learned: Outcome, asked: Outcome) -> Values:
    """Deviance of the mean that was learned, foretold of everybody."""
    rows = learned.values[learned.known]
    mean = rows.mean(axis=0) if len(rows) else np.ones(learned.values.shape[1])
    if learned.name == MIX:  # categories that nobody had stay rare, as in `heads`
        mean = np.maximum(mean, 1e-6) / np.maximum(mean, 1e-6).sum()
    return asked.deviance(np.repeat(mean[None], len(asked.values), axis=0))


# --- Over logs ------------------------------------------------------------------------------------


def cells(scores: Sequence[Scored]) -> list[Cell]:
    """Every (set, outcome) that was scored, outcomes in their order."""
    return [
        (name, task)
        for task in TASKS
        for name in dict.fromkeys(one.log.set for one in scores if task in one.tasks)
    ]


def of_set(scores: Sequence[Scored], cell: Cell) -> list[Task]:
    """The outcome on each of the set's logs."""
    return [one.tasks[cell[1]] for one in scores if one.log.set == cell[0] and cell[1] in one.tasks]


def figures(scores: Sequence[Scored], cell: Cell, row: str) -> list[float]:
    """A row's figures, one a log of the set."""
    return [task.figure(row) for task in of_set(scores, cell)]


def mean(scores: Sequence[Scored], cell: Cell, row: str) -> float:
    """A row's mean over the set's logs; NaN where it lacks one."""
    return float(np.mean(figures(scores, cell, row)))


def counted(scores: Sequence[Scored], cell: Cell, rows: Sequence[str]) -> bool:
    """Whether there is enough to foretell for ranks to mean something: by the best row."""
    least = LEAST_AUROC if cell[1] == ACTIVE else LEAST_SHARE
    found = [mean(scores, cell, row) for row in rows]
    return any(figure >= least for figure in found if np.isfinite(figure))


def ranks(scores: Sequence[Scored], rows: Sequence[str], among: Sequence[Cell]) -> dict[str, float]:
    """Mean rank of each row over some cells, by its mean over the set's logs."""
    if not among:
        return {}
    table = np.array([[mean(scores, cell, row) for cell in among] for row in rows])
    return dict(zip(rows, mean_ranks(table).tolist(), strict=True))


def drawn(
    scores: Sequence[Scored], rows: Sequence[str], number: int, seed: int, *, small: bool = False
) -> dict[Cell, dict[str, Values]]:
    """By cell and row: (number,) means over the set's logs, customers drawn again.

    The draws are the same for all rows and outcomes of a set. A customer of several cuts of a
    public set is one customer and is drawn once; customers of another world are others, whatever
    their ids.
    """
    found: dict[Cell, dict[str, Values]] = {}
    for name in dict.fromkeys(one.log.set for one in scores):
        own = [one for one in scores if one.log.set == name]
        ids = [
            [_person(one.log, who) for who in (one.small_customers if small else one.customers)]
            for one in own
        ]
        place = {who: row for row, who in enumerate(sorted({who for one in ids for who in one}))}
        if not place:
            continue
        parts: dict[Cell, dict[str, list[Values]]] = {}
        for weights in draws(len(place), number, seed):
            told: dict[Cell, dict[str, list[Values]]] = {}
            for one, names in zip(own, ids, strict=True):
                mine = weights[:, [place[who] for who in names]]
                for task, of_task in (one.small if small else one.tasks).items():
                    for row in rows:
                        if row in of_task.found:
                            into = told.setdefault((name, task), {}).setdefault(row, [])
                            into.append(of_task.drawn(row, mine))
            for cell, by_row in told.items():
                for row, values in by_row.items():
                    if len(values) == len(own):
                        kept = parts.setdefault(cell, {}).setdefault(row, [])
                        kept.append(np.mean(values, axis=0))
        for cell, of_rows in parts.items():
            found[cell] = {row: np.concatenate(values) for row, values in of_rows.items()}
    return found


def _person(log: Log, customer: str) -> str:
    return customer if log.set in PUBLIC else f"{log.seed}:{customer}"
