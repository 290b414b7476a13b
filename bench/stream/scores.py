"""From labels of sightings to the figures of the stream.

Labels are compared with the truth cut by cut (ARI of an epoch's sightings, which forgives other
names) and by one optimal matching over the whole stream (accuracy, recall and F1, where whoever
renames pays). A sighting counts from the second epoch on; the first is learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.stream.planted import Floats, Places, Stream
from shoal.evaluation.agreement import agreement
from shoal.evaluation.matching import match, scores
from shoal.evaluation.tracking import (
    Change,
    delay,
    flicker,
    recovery,
    trade_off,
    with_margin,
    with_patience,
)

#: Sightings after a change within which it should be noticed; later counts as never.
HORIZON = 5.0
#: Unpaid switches a sighting at which labels are worth nothing.
MOST_FLICKER = 0.5
MARGINS = (0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99)
PATIENCE = (1, 2, 3)
#: Sightings of a step of the curve that recovery is read from.
STEP = 250
#: Recovered is who has this share of the earlier ARI again.
RECOVERED = 0.95
#: Epochs whose mean ARI is the earlier one, and those whose labels are "after drift".
EARLIER, LATE = 2, 3


@dataclass
class Said:
    """What a method said: labels (n,) of the sightings from the second epoch on, weights or None,
    microseconds a sighting, and what else it tells, as JSON."""

    labels: Places
    weights: Floats | None = None
    us_a_sighting: float | None = None
    told: dict[str, Any] | None = None


def figures(said: Said, stream: Stream) -> dict[str, Any]:
    """All figures of one method on one stream, as JSON."""
    first = stream.of_epoch(2).start
    truth, epochs = stream.truth[first:], stream.epoch[first:]
    labels = said.labels
    mapping = match(truth, labels)
    late = epochs > stream.plan.epochs - LATE
    whole, after = scores(truth, labels, mapping), scores(truth[late], labels[late], mapping)
    early = scores(truth[epochs <= 3], labels[epochs <= 3], mapping)
    ari = [_ari(truth[epochs == one], labels[epochs == one]) for one in np.unique(epochs)]
    return {
        "ari": float(np.mean(ari)), "ari_worst": float(np.min(ari)),
        "ari_by_epoch": [round(one, 4) for one in ari],
        "accuracy": whole.accuracy, "macro_recall": whole.macro_recall,
        "macro_f1": whole.macro_f1,
        "late": vars(after), "early": vars(early),
        "labels": len(np.unique(labels)),
        "recovery": _recovered(truth, labels, stream),
        **_movement(said, stream),
        "us_a_sighting": said.us_a_sighting,
        "told": said.told or {},
    }  # fmt: skip


def _ari(truth: Places, labels: Places) -> float:
    return agreement(truth.tolist(), labels.tolist()).ari


def _recovered(truth: Places, labels: Places, stream: Stream) -> dict[str, Any] | None:
    """Sightings after the jump until the ARI of a step is back for good."""
    at = stream.of_epoch(stream.plan.jump_at).start - stream.of_epoch(2).start
    starts = np.arange(0, len(truth) - STEP + 1, STEP)
    ari = np.array([_ari(truth[one : one + STEP], labels[one : one + STEP]) for one in starts])
    ends = (starts + STEP).astype(np.float64)
    before = ends <= at
    earlier = int(EARLIER * stream.plan.events / STEP)
    level = float(ari[before][-earlier:].mean())
    told = recovery(ends, ari, float(at), within=(1 - RECOVERED) * level, cuts_before=earlier)
    if told is None:
        return None
    # The step that is good begins where the one before it ends.
    return {
        "sightings": None if told.days is None else max(0.0, told.days - STEP),
        "before": round(told.before, 4), "lowest": round(told.lowest, 4),
    }  # fmt: skip


# --- Movement -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """Sightings as `shoal.evaluation.tracking` takes them: days are a user's own count of them."""

    users: Places
    count: Floats
    truth: Places
    changes: list[Change]
    pairs: int


def _movement(said: Said, stream: Stream) -> dict[str, Any]:
    seen = _seen(stream)
    plain = _point(said.labels, seen)
    curve = [{"filter": "none", **plain}]
    for cuts in PATIENCE:
        held = with_patience(seen.users, seen.count, said.labels, cuts)
        curve.append({"filter": f"patience {cuts}", **_point(held, seen)})
    if said.weights is not None:
        for margin in MARGINS:
            held = with_margin(seen.users, seen.count, said.weights, margin)
            curve.append({"filter": f"margin {margin:g}", **_point(held, seen)})
    points = [(one["flicker"], one["delay"] - 1) for one in curve]
    return {
        **plain, "curve": curve, "trade_off": trade_off(points, (MOST_FLICKER, HORIZON - 1)),
    }  # fmt: skip


def _point(labels: Places, seen: _Seen) -> dict[str, Any]:
    """Unpaid switches a sighting that has one before it; sightings from a user's true change to
    the first right label, 1 where it is at once."""
    unpaid = flicker(seen.users, seen.count, seen.truth, labels).unpaid
    mapping = match(seen.truth, labels)
    called = np.array([mapping.get(one, -1) for one in labels.tolist()])
    late = delay(seen.users, seen.count, called, seen.changes, HORIZON, kept_cuts=1)
    return {
        "flicker": round(unpaid / seen.pairs, 5), "delay": round(late.days, 4),
        "noticed": round(late.detected_share, 4), "changes": late.changes,
        "accuracy": round(float((called == seen.truth).mean()), 4),
    }  # fmt: skip


def _seen(stream: Stream) -> _Seen:
    first = stream.of_epoch(2).start
    users, truth = stream.users[first:], stream.truth[first:]
    order = np.argsort(users, kind="stable")
    starts = np.flatnonzero(np.append(True, users[order][1:] != users[order][:-1]))
    sizes = np.diff(np.append(starts, len(order)))
    count = np.empty(len(users))
    count[order] = np.concatenate([np.arange(1, size + 1) for size in sizes])
    places: dict[int, list[int]] = {}
    for place, user in enumerate(users.tolist()):
        places.setdefault(user, []).append(place)
    changes = []
    for move in stream.moves:
        own = np.array(places.get(move.user, []), dtype=np.int64)
        since = int((own < move.at - first).sum())
        stays = truth[own[since:]] == move.segment
        # Until they move again, or what befell a whole segment took them along.
        run = int(stays.argmin()) if not stays.all() else len(stays)
        # Before the first sighting nothing was there to follow; no sighting is no chance.
        if since and run:
            until = since + run + 1.0
            changes.append(Change(move.user, since + 1e-9, until, move.segment, move.origin))
    return _Seen(users, count, truth, changes, len(users) - len(starts))
