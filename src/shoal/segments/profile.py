"""What each segment is: size, money, what sets it apart from the rest, whom to look at.

Effects (`shoal.segments.explain.effects`) compare the segment with all other placed customers, per
feature, on at most `EFFECT_CUSTOMERS` of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.segment import TIER_NEW, TIER_PLACED
from shoal.domain.text import Text
from shoal.features.tastes import Vocabulary
from shoal.segments.base import CUSTOMER, NET_REVENUE, ORDERS, Weights, column
from shoal.segments.explain.effects import Effect, effects
from shoal.segments.wording import THE_REST, Described, sentence

Matrix = npt.NDArray[np.float64]

#: Features that tell at which times of the day and the week.
TIMES: Final = ("night_share", "morning_share", "afternoon_share", "evening_share", "weekend_share")

EFFECT_CUSTOMERS: Final = 50_000
_EFFECTS: Final = 12
_EXEMPLARS: Final = 5
_NAMES: Final = 8
#: A difference smaller than this (Cohen's "small") is not told.
_TELLING: Final = 0.2


@dataclass(frozen=True)
class Placed:
    """Customers with their features and their places in a segmentation.

    `features` one row a customer, `weights` (n, k) of `segment_ids`; `tastes` (n, names) shares of
    `vocabulary`; `held` (n,) places where a margin keeps customers (None: the largest weights).
    """

    features: pa.Table
    segment_ids: tuple[str, ...]
    weights: Weights
    vocabulary: Vocabulary
    tastes: Matrix
    held: npt.NDArray[np.int64] | None = None

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """(n,) place of each customer's segment."""
        if self.held is not None:
            return self.held
        found: npt.NDArray[np.int64] = self.weights.argmax(axis=1)
        return found


def profiles(
    placed: Placed,
    catalog: Mapping[str, Described],
    *,
    clustered: Sequence[str] = (),
    centrality: npt.NDArray[np.float64] | None = None,
) -> list[dict[str, Any]]:
    """One document a segment with members, in order of `segment_ids` (shape: docs/concepts).

    Args:
        catalog: what is known of a feature by name; also of taste columns.
        clustered: features the segmenter used; told before the others.
        centrality: (n,) larger is closer to the centre of the own segment; None: by weight.
    """
    places = placed.places
    differing = _effects(placed, catalog)
    medians = _medians(placed)
    revenue = np.nan_to_num(column(placed.features, NET_REVENUE))
    orders = np.nan_to_num(column(placed.features, ORDERS))
    rank = placed.weights.max(axis=1) if centrality is None else centrality
    total = revenue.sum()
    found = []
    for place, segment_id in enumerate(placed.segment_ids):
        own = places == place
        size = int(own.sum())
        if not size:
            continue
        compared = differing.get(place, [])
        telling = _ordered([one for one in compared if abs(one.effect) >= _TELLING], clustered)
        found.append(
            {
                "segment_id": segment_id,
                "tier": TIER_NEW if segment_id == TIER_NEW else TIER_PLACED,
                "size": size,
                "share": size / len(places),
                "revenue": float(revenue[own].sum()),
                "revenue_share": float(revenue[own].sum() / total) if total > 0 else None,
                "orders": int(orders[own].sum()),
                "mean_weight": float(placed.weights[own, place].mean()),
                "medians": {name: values[place] for name, values in medians.items()},
                "means": {one.feature: _short(one.mean) for one in compared},
                "differences": {one.feature: _short(one.effect) for one in compared},
                "effects": [effect_document(one, catalog) for one in telling[:_EFFECTS]],
                "time_effects": [
                    effect_document(one, catalog) for one in telling if one.feature in TIMES
                ],
                "category_effects": [
                    effect_document(one, catalog)
                    for one in telling
                    if one.feature.startswith("category:")
                ],
                "exemplars": _exemplars(placed, place, own, rank, telling),
                **_names(placed, own),
            }
        )
    return found


# --- Effects --------------------------------------------------------------------------------------


def _effects(placed: Placed, catalog: Mapping[str, Described]) -> dict[int, list[Effect]]:
    """Differences of each place in every feature that varies, strongest first."""
    known = [place for place, name in enumerate(placed.segment_ids) if name != TIER_NEW]
    rows = np.flatnonzero(np.isin(placed.places, known))
    if len(rows) > EFFECT_CUSTOMERS:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:EFFECT_CUSTOMERS])
    return effects(told_columns(placed, catalog, rows), placed.places[rows], known)


def told_columns(
    placed: Placed, catalog: Mapping[str, Described], rows: npt.NDArray[np.int64]
) -> Iterator[tuple[str, Matrix]]:
    """Name and (rows,) values of every feature and taste that can be told of."""
    for name in numeric_columns(placed.features):
        if name in catalog:
            yield name, column(placed.features, name)[rows]
    for name, values in zip(placed.vocabulary.columns, placed.tastes.T, strict=True):
        yield name, values[rows]


def _ordered(effects: list[Effect], clustered: Sequence[str]) -> list[Effect]:
    """Strongest first; those of features that the method used before those that only follow."""
    used = set(clustered)
    return sorted(effects, key=lambda one: (bool(used) and one.feature not in used,))


def effect_document(
    one: Effect, catalog: Mapping[str, Described], others: Text = THE_REST
) -> dict[str, Any]:
    """An effect as JSON, with its sentence; `others` says whom it is measured against."""
    described = catalog[one.feature]
    return {
        "feature": one.feature,
        "group": described.group,
        "unit": described.unit,
        "median": one.inside,
        "rest_median": one.outside,
        "mean": one.mean,
        "rest_mean": one.rest_mean,
        "effect": one.effect,
        "low": one.low,
        "high": one.high,
        "rank_effect": one.rank_effect,
        "direction": "higher" if one.effect > 0 else "lower",
        "sentence": sentence(
            described, one.effect, one.inside, one.outside, one.mean, one.rest_mean, others
        ).as_document(),
    }


# --- Members and names ----------------------------------------------------------------------------


def _exemplars(
    placed: Placed,
    place: int,
    own: npt.NDArray[np.bool_],
    rank: npt.NDArray[np.float64],
    telling: Sequence[Effect],
) -> list[dict[str, Any]]:
    rows = np.flatnonzero(own)
    rows = rows[np.argsort(-rank[rows], kind="stable")[:_EXEMPLARS]]
    names = [one.feature for one in telling if one.feature in placed.features.column_names][:6]
    names += [name for name in (ORDERS, NET_REVENUE) if name not in names]
    ids = placed.features[CUSTOMER].take(pa.array(rows)).to_pylist()
    values = {name: column(placed.features, name)[rows] for name in names}
    return [
        {
            "customer_id": customer,
            "weight": float(placed.weights[row, place]),
            "features": {name: _plain(values[name][number]) for name in names},
        }
        for number, (row, customer) in enumerate(zip(rows, ids, strict=True))
    ]


def _medians(placed: Placed) -> dict[str, list[float | None]]:
    """The median of each place in every numeric feature; None where nobody has a value."""
    order = np.argsort(placed.places, kind="stable")
    ends = np.cumsum(np.bincount(placed.places, minlength=len(placed.segment_ids)))[:-1]
    return {
        name: [_median(part) for part in np.split(column(placed.features, name)[order], ends)]
        for name in numeric_columns(placed.features)
    }


def _median(values: npt.NDArray[np.float64]) -> float | None:
    """The median of the values that are defined; None without any."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def _names(placed: Placed, own: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Categories and brands by mean taste, and the values of text features."""
    texts = {
        name: _values(placed.features[name], own)
        for name in placed.features.column_names
        if name != CUSTOMER and pa.types.is_string(placed.features.schema.field(name).type)
    }
    return {
        "categories": _tastes(placed, own, "category"),
        "brands": _tastes(placed, own, "brand"),
        "texts": texts,
    }


def _tastes(placed: Placed, own: npt.NDArray[np.bool_], facet: str) -> list[dict[str, Any]]:
    found = []
    for place, (name, value) in enumerate(placed.vocabulary.names):
        if name == facet:
            inside = float(placed.tastes[own, place].mean())
            rest = float(placed.tastes[~own, place].mean()) if (~own).any() else inside
            found.append(_share(value, inside, rest) | {"name": value})
    found.sort(key=lambda one: (-one["share"], one["name"]))
    return [{"name": one["name"], **_without(one, "value", "name")} for one in found[:_NAMES]]


def _values(texts: pa.ChunkedArray, own: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    members = texts.filter(pa.array(own)).drop_null()
    others = texts.filter(pa.array(~own)).drop_null()
    rest = {row["values"]: row["counts"] for row in pc.value_counts(others).to_pylist()}
    counts = [(row["values"], row["counts"]) for row in pc.value_counts(members).to_pylist()]
    counts.sort(key=lambda pair: (-pair[1], pair[0]))
    return [
        _share(value, count / len(members), rest.get(value, 0) / max(len(others), 1))
        for value, count in counts[:_NAMES]
    ]


def _share(value: str, inside: float, rest: float) -> dict[str, Any]:
    lift = inside / rest if rest > 0 else None
    return {"value": value, "share": inside, "rest_share": rest, "lift": lift}


def _without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


def _short(value: float) -> float:
    """To six significant digits: documents hold many of these.

    >>> _short(1 / 3)
    0.333333
    """
    return float(f"{value:.6g}")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def numeric_columns(features: pa.Table) -> list[str]:
    """Names of the columns that hold numbers or truth values, in their order."""
    return [
        field.name
        for field in features.schema
        if pa.types.is_integer(field.type)
        or pa.types.is_floating(field.type)
        or pa.types.is_boolean(field.type)
    ]
