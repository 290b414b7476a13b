"""From labels and forecasts to shares of deviance: a log at a time, then over all logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.harness.data import PUBLIC
from bench.segments.outcomes import DEVIANCES, Outcome, outcomes, recent_strata
from bench.segments.sets import Log, Opened
from bench.segments.unit import customers_of, unpacked
from shoal.evaluation.bootstrap import Interval, drawn_sums, interval
from shoal.evaluation.deviance import Values, share_explained
from shoal.evaluation.foretelling import Labels, by_segment, given, halves, mean_ranks

ALONE, GIVEN = MODES = ("alone", "given")
BASE, ATTAINED = "(base)", "(attained)"

#: Where LightGBM explains less than this share of the deviance there is nothing to foretell: such
#: an outcome is shown and does not count in ranks.
LEAST_ATTAINED = 0.02
DRAWS = 1_000

#: (set, task, mode)
Cell = tuple[str, str, str]


@dataclass
class Scored:
    """Customers' mean deviances on one log: (task, mode) -> method -> (n,)."""

    log: Log
    customers: npt.NDArray[Any]
    horizon_days: int
    moment: str
    found: dict[tuple[str, str], dict[str, Values]] = field(default_factory=dict)

    def share(self, task: str, mode: str, method: str) -> float:
        """The share of the base's deviance that a method explains; NaN where it gave nothing."""
        told = self.found[task, mode]
        if method not in told:
            return float("nan")
        return share_explained(told[method], told[BASE])


def scored(
    opened: Opened, labels: Mapping[str, Labels], forecasts: Mapping[str, Any], splits: int
) -> Scored:
    """Every outcome, alone and given recent activity, averaged over the splits.

    Args:
        labels: method -> (n,) labels of `customers_of(opened)`.
        forecasts: what `unit.attain` gave; outcomes that it lacks have no attainable share.
    """
    customers = customers_of(opened)
    strata = recent_strata(opened, customers)
    result = Scored(opened.log, customers, opened.horizon_days, opened.moment.strftime("%Y-%m-%d"))
    until = opened.moment + opened.horizon
    for outcome in outcomes(opened, customers, opened.moment, until):
        told, deviance = _Told(outcome, splits), DEVIANCES[outcome.name]
        attained = forecasts.get(outcome.name, {}).get("forecasts", [])
        for place, half in enumerate(halves(len(customers), splits, opened.log.seed)):
            learned, asked = half & outcome.known, ~half
            mean = outcome.values[learned].mean(axis=0, keepdims=True)
            told.add(ALONE, BASE, np.repeat(mean, len(customers), axis=0), asked)
            stratum = by_segment(outcome.values, strata, learned, deviance)
            told.add(GIVEN, BASE, stratum, asked)
            for method, found in labels.items():
                alone = by_segment(outcome.values, found, learned, deviance)
                told.add(ALONE, method, alone, asked)
                both = given(outcome.values, stratum, found, learned, deviance)
                told.add(GIVEN, method, both, asked)
            if place < len(attained):
                forecast = unpacked(attained[place]).astype(np.float64)
                for mode in MODES:
                    told.add(mode, ATTAINED, forecast, asked)
        for mode in MODES:
            result.found[outcome.name, mode] = told.found[mode]
    return result


class _Told:
    """Deviances of one outcome, added up over halves."""

    def __init__(self, outcome: Outcome, splits: int) -> None:
        self._outcome, self._splits = outcome, splits
        self.found: dict[str, dict[str, Values]] = {mode: {} for mode in MODES}

    def add(self, mode: str, method: str, forecast: Values, asked: npt.NDArray[Any]) -> None:
        """Add those of the half that is asked."""
        deviance = np.where(asked, self._outcome.deviance(forecast), 0.0) / self._splits
        before = self.found[mode].get(method)
        self.found[mode][method] = deviance if before is None else before + deviance


def cells(scores: Sequence[Scored]) -> list[Cell]:
    """Every (set, task, mode) that was scored, in the order of the logs."""
    return list(
        dict.fromkeys((one.log.set, task, mode) for one in scores for task, mode in one.found)
    )


def shares(scores: Sequence[Scored], cell: Cell, method: str) -> list[float]:
    """A method's shares of the deviance, one a log of the set."""
    name, task, mode = cell
    return [
        one.share(task, mode, method)
        for one in scores
        if one.log.set == name and (task, mode) in one.found
    ]


def of_attained(scores: Sequence[Scored], cell: Cell, method: str) -> list[float]:
    """A method's shares over the mean share that LightGBM attains in the cell.

    Over the mean, not log by log: a log with little to attain would decide alone.
    """
    ceiling = float(np.mean(shares(scores, cell, ATTAINED)))
    return [share / ceiling for share in shares(scores, cell, method)]


def counted(scores: Sequence[Scored], cell: Cell) -> bool:
    """Whether there is enough to foretell in a cell for ranks to mean something."""
    return bool(np.mean(shares(scores, cell, ATTAINED)) >= LEAST_ATTAINED)


def ranks(
    scores: Sequence[Scored], methods: Sequence[str], among: Sequence[Cell]
) -> dict[str, float]:
    """Mean rank of each method over some cells, by the mean share over a set's logs."""
    if not among:
        return {}
    table = np.array(
        [[np.mean(shares(scores, cell, method)) for cell in among] for method in methods]
    )
    return dict(zip(methods, mean_ranks(table).tolist(), strict=True))


def differences(
    scores: Sequence[Scored], method: str, peers: Sequence[str], seed: int
) -> dict[Cell, dict[str, Interval]]:
    """By cell and peer: how much more a method explains, as a share of the attained deviance.

    Customers are drawn again, the same for all methods, cells and cuts of a set; the interval holds
    the difference of the means over the set's logs over the mean attained share.
    """
    found: dict[Cell, dict[str, Interval]] = {}
    for name in dict.fromkeys(one.log.set for one in scores):
        own = [one for one in scores if one.log.set == name]
        sums = _drawn(own, seed)
        for cell in cells(own):
            _, task, mode = cell
            drawn = {
                who: _mean_shares(own, sums, task, mode, who)
                for who in (method, ATTAINED, *peers)
                if all(who in one.found.get((task, mode), {}) for one in own)
            }
            if method not in drawn or ATTAINED not in drawn:
                continue
            point = {who: float(np.mean(shares(own, cell, who))) for who in drawn}
            found[cell] = {
                peer: interval(
                    (point[method] - point[peer]) / point[ATTAINED],
                    (drawn[method] - drawn[peer]) / drawn[ATTAINED],
                )
                for peer in peers
                if peer in drawn
            }
    return found


def _drawn(own: Sequence[Scored], seed: int) -> dict[str, Values]:
    """(draws,) sums of deviances by "log|task|mode|method", over customers drawn again.

    A customer of several cuts of a public set is one customer and is drawn once.
    """
    # Customers of another world are others, whatever their ids.
    prefix = [f"{one.log.seed}:" if one.log.set not in PUBLIC else "" for one in own]
    ids = [
        [f"{before}{name}" for name in one.customers]
        for before, one in zip(prefix, own, strict=True)
    ]
    everybody = sorted({name for names in ids for name in names})
    place = {name: number for number, name in enumerate(everybody)}
    columns: dict[str, Values] = {}
    for one, names in zip(own, ids, strict=True):
        rows = np.array([place[name] for name in names])
        for (task, mode), told in one.found.items():
            for who, deviance in told.items():
                column = np.zeros(len(everybody))
                column[rows] = deviance
                columns[_key(one, task, mode, who)] = column
    return drawn_sums(columns, DRAWS, seed)


def _key(one: Scored, task: str, mode: str, who: str) -> str:
    return f"{one.log.label}|{task}|{mode}|{who}"


def _mean_shares(
    own: Sequence[Scored], sums: Mapping[str, Values], task: str, mode: str, who: str
) -> Values:
    found = [
        1 - sums[_key(one, task, mode, who)] / sums[_key(one, task, mode, BASE)] for one in own
    ]
    return np.asarray(np.mean(found, axis=0))
