"""From what a peer said and what is true to the figures of the bench."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.harness.data import SimulatedWorld
from bench.harness.splits import Cuts
from bench.track.replay import Replay
from bench.track.truth import Truth, known
from shoal.evaluation.agreement import agreement
from shoal.evaluation.matching import match, scores
from shoal.evaluation.tracking import (
    Change,
    by_chance,
    delay,
    flicker,
    recovery,
    trade_off,
    with_margin,
    with_patience,
)

#: Days within which a customer's change should be noticed; later counts as never.
HORIZON_DAYS = 56.0
#: Switches without a cause, a customer-month, at which labels are worth nothing.
MOST_FLICKER = 1.0
MARGINS = (0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
PATIENCE = (1, 2, 3)
_MOVED = ("flicker", "delay_days", "chance_days", "gained_days", "noticed", "changes")


@dataclass(frozen=True)
class Rows:
    """One row a customer and cut that the truth knows, columns of one length."""

    customers: npt.NDArray[Any]
    days: npt.NDArray[np.float64]
    truth: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64] | None

    @classmethod
    def of(cls, said: Replay, truth: Truth, cuts: Cuts) -> Rows:
        parts = []
        soft = [one for one in said.weights if one is not None]
        width = max((one.shape[1] for one in soft), default=0)
        for place, moment in enumerate(cuts.moments):
            there, segments = known(truth.at(moment), said.customers[place])
            weights = said.weights[place]
            wide = np.zeros((int(there.sum()), width))
            if weights is not None:
                wide[:, : weights.shape[1]] = weights[there]
            day = np.full(int(there.sum()), truth.day(moment))
            parts.append(
                (said.customers[place][there], day, segments, said.labels[place][there], wide)
            )
        customers, days, segments, labels, weights = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        complete = len(soft) == len(cuts.moments)
        return cls(customers, days, segments.astype(str), labels, weights if complete else None)

    def called(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """(n,) the true segment that each label stands for over the whole run; empty: none."""
        mapping = match(self.truth, labels)
        return np.array([mapping.get(int(one), "") for one in labels])


def figures(said: Replay, world: SimulatedWorld, cuts: Cuts) -> dict[str, Any]:
    """All figures of one peer on one world, as JSON.

    One matching over the whole run, so that identity counts: a method that renumbers its segments
    pays in accuracy, recall and F1, and not in the adjusted Rand index, which is taken cut by cut.
    """
    truth = Truth(world)
    rows = Rows.of(said, truth, cuts)
    whole = scores(rows.truth, rows.labels)
    days = np.unique(rows.days)
    called = rows.called(rows.labels)
    accuracy = np.array([(called == rows.truth)[rows.days == day].mean() for day in days])
    ari = [
        agreement(rows.truth[rows.days == day].tolist(), rows.labels[rows.days == day].tolist()).ari
        for day in days
    ]
    changes = truth.changes()
    return {
        "rows": len(rows.days),
        "customers": len(np.unique(rows.customers)),
        "segments": len(np.unique(rows.truth)),
        "labels": len(np.unique(rows.labels)),
        "largest_share": float(np.unique(rows.labels, return_counts=True)[1].max() / len(called)),
        "accuracy": whole.accuracy,
        "macro_recall": whole.macro_recall,
        "macro_f1": whole.macro_f1,
        "ari": float(np.mean(ari)),
        "ari_worst": float(np.min(ari)),
        "days": days.tolist(),
        "accuracy_by_cut": np.round(accuracy, 4).tolist(),
        "ari_by_cut": np.round(ari, 4).tolist(),
        **_movement(rows, changes),
        "recovery": _recoveries(days, accuracy, truth),
        **_speed(said, world, cuts),
        **({"adjusted": said.adjusted} if said.adjusted else {}),
    }


def _movement(rows: Rows, changes: list[Change]) -> dict[str, Any]:
    """Flicker and delay as they are, and along the curve of hysteresis."""
    plain = _point(rows, rows.labels, changes)
    curve = [{"filter": "none", **plain}]
    for cuts in PATIENCE:
        held = with_patience(rows.customers, rows.days, rows.labels, cuts)
        curve.append({"filter": f"patience {cuts}", **_point(rows, held, changes)})
    if rows.weights is not None:
        for margin in MARGINS:
            held = with_margin(rows.customers, rows.days, rows.weights, margin)
            curve.append({"filter": f"margin {margin:g}", **_point(rows, held, changes)})
    points = [(one["flicker"], HORIZON_DAYS - max(0.0, one["gained_days"] or 0.0)) for one in curve]
    told = changes and all(one["gained_days"] is not None for one in curve)
    return {
        **{name: plain[name] for name in _MOVED},
        "curve": curve,
        "trade_off": trade_off(points, (MOST_FLICKER, HORIZON_DAYS)) if told else None,
    }


def _point(rows: Rows, labels: npt.NDArray[np.int64], changes: list[Change]) -> dict[str, Any]:
    called = rows.called(labels)
    rate = flicker(rows.customers, rows.days, rows.truth, labels).rate
    seen = _seen(rows, changes)
    late = delay(rows.customers, rows.days, called, seen, HORIZON_DAYS)
    guesses = by_chance(seen, np.unique(rows.truth).tolist())
    # Of two segments the other one is the new one: there is nothing to guess.
    chance = (
        delay(rows.customers, rows.days, called, guesses, HORIZON_DAYS).days
        if guesses
        else HORIZON_DAYS
    )
    return {
        "flicker": _told(rate),
        "delay_days": _told(late.days),
        "chance_days": _told(chance),
        "gained_days": _told(chance - late.days),
        "noticed": _told(late.detected_share),
        "changes": late.changes,
        "accuracy": _told(float((called == rows.truth).mean())),
    }


def _seen(rows: Rows, changes: list[Change]) -> list[Change]:
    """Changes between a customer's first and last cut: before it, there was nothing to follow."""
    first: dict[Any, float] = {}
    for customer, day in zip(rows.customers.tolist(), rows.days.tolist(), strict=True):
        first[customer] = min(day, first.get(customer, day))
    return [one for one in changes if one.since >= first.get(one.customer, float("inf"))]


def _recoveries(
    days: npt.NDArray[np.float64], accuracy: npt.NDArray[np.float64], truth: Truth
) -> list[dict[str, Any]]:
    """Each abrupt change with its recovery, looked at until the next one or the end."""
    abrupt = truth.abrupt()
    found = []
    for day in sorted({one["day"] for one in abrupt}):
        until = min((one["day"] for one in abrupt if one["day"] > day), default=float("inf"))
        inside = days <= until
        told = recovery(days[inside], accuracy[inside], day)
        if told is not None:
            what = "; ".join(one["what"] for one in abrupt if one["day"] == day)
            found.append(
                {"what": what, "day": day, "days": told.days, "before": _told(told.before),
                 "lowest": _told(told.lowest)}
            )  # fmt: skip
    return found


def _speed(said: Replay, world: SimulatedWorld, cuts: Cuts) -> dict[str, Any]:
    """Microseconds an event of the periods between cuts: the method's own, and the features'."""
    events = sum(world.events_between(*pair) for pair in cuts.pairs())
    own = float(np.sum(said.step_seconds[1:])) if len(said.step_seconds) > 1 else float("nan")
    made = sum(world.feature_seconds(moment) for moment in cuts.moments[1:])
    if not events:
        return {"us_an_event": None, "us_an_event_features": None, "events": 0}
    return {
        "us_an_event": _told(1e6 * own / events),
        "us_an_event_features": _told(1e6 * made / events),
        "events": events,
    }


def _told(value: float) -> float | None:
    return None if value != value else round(float(value), 5)
