"""The explanation of a segmentation, as the document that lies beside it.

Everything is worked out on a sample of the placed customers of bounded size, whatever the size of
the shop; value, typical and borderline customers are those of everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text
from shoal.features.catalog import Catalog
from shoal.heads.next_period import ACTIVE, COLUMNS, ORDERS, SPEND
from shoal.segments.base import CUSTOMER, column
from shoal.segments.explain.change import QUANTILES
from shoal.segments.explain.fidelity import answered, cost_ratio, fidelity_of, out_of_fold
from shoal.segments.explain.growing import LEAVES_A_SEGMENT, grow
from shoal.segments.explain.persona import persona
from shoal.segments.explain.readable import Readable, readable
from shoal.segments.explain.stability import stability
from shoal.segments.explain.tree import Matrix, Tree
from shoal.segments.explain.words import bounds_document, path_in_words, rule_in_words
from shoal.segments.profile import Placed, told_columns
from shoal.segments.wording import Described

Rows = npt.NDArray[np.int64]

#: Customers that the tree is learned from and asked of, at most.
TREE_CUSTOMERS: Final = 10_000
_BORDERLINE: Final = 5
_NO_HEAD: Final = Text("needs the next-period head", "需要下一周期预测模型")


@dataclass(frozen=True)
class Subject:
    """A segmentation with its customers, to be explained.

    Args:
        placed: every customer with weights.
        counts: by name, of the same customers.
        catalog: of the features.
        described: every feature and taste column in words.
        profiles: a document a segment with members, with its name.
        place_of: (n, d) where some customers (by row) lie as the method sees them; None for methods
            that see no distances.
        currency: of amounts.
        nexts: `customer_id` and some of the next-period head's `COLUMNS`; None: unknown.
        previous: the explanation of the version before, with its `segmentation_id`.
    """

    placed: Placed
    counts: pa.Table
    catalog: Catalog
    described: Mapping[str, Described]
    profiles: Sequence[Mapping[str, Any]]
    place_of: Callable[[Rows], Matrix] | None = None
    currency: str | None = None
    nexts: pa.Table | None = None
    previous: Mapping[str, Any] | None = None
    seed: int = 0


def explanation(subject: Subject) -> dict[str, Any]:
    """The document `shoal.explanation/1` but for its head."""
    places = subject.placed.places
    rows = sample(subject.placed, subject.seed)
    asked = asked_of(subject, rows)
    told = _told(subject, asked, rows)
    values = _values(subject, places)
    return {
        "customers": {"all": len(places), "looked_at": len(rows)},
        "segments": [
            {
                "segment_id": one["segment_id"],
                "effects": one["effects"],
                "times": one.get("time_effects", []),
                "categories": one.get("category_effects", []),
                "typical": [
                    {key: each[key] for key in (CUSTOMER, "weight")} for each in one["exemplars"]
                ],
                "borderline": _borderline(subject.placed, one["segment_id"]),
                "value": values[one["segment_id"]],
                "persona": persona(one, subject.described, subject.currency),
            }
            for one in subject.profiles
        ],
        **told,
        "quantiles": _quantiles(subject, rows),
    }


def sample(placed: Placed, seed: int = 0, most: int = TREE_CUSTOMERS) -> Rows:
    """Rows of placed customers, at most `most`, drawn at random."""
    new = [place for place, name in enumerate(placed.segment_ids) if name == TIER_NEW]
    rows = np.flatnonzero(~np.isin(placed.places, new))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
    return rows


def asked_of(subject: Subject, rows: Rows) -> Readable:
    """Some customers in readable columns."""
    features = subject.placed.features.take(pa.array(rows))
    own = pc.is_in(subject.counts[CUSTOMER], value_set=features[CUSTOMER].combine_chunks())
    found = readable(
        features, subject.counts.filter(own), subject.catalog, subject.placed.vocabulary
    )
    expected = _expected(subject)
    return (
        found
        if expected is None
        else found.beside({name: values[rows] for name, values in expected.items()}, _NO_HEAD)
    )


# --- The tree -------------------------------------------------------------------------------------


def _told(subject: Subject, asked: Readable, rows: Rows) -> dict[str, Any]:
    """Tree, rules and stability; each None where there is nobody to tell apart."""
    ids = subject.placed.segment_ids
    places = subject.placed.places[rows]
    segments = len(np.unique(places))
    if segments < 2:
        return {"tree": None, "rules": [], "stability": None}
    leaves = LEAVES_A_SEGMENT * segments
    plain = asked.only(asked.expressible)
    tree = grow(plain.values, plain.names, places, leaves=leaves, seed=subject.seed)
    answers = out_of_fold(plain.values, plain.names, places, leaves=leaves, seed=subject.seed)
    fidelity = fidelity_of(answers, places, len(ids))
    cells = answered(tree, plain.values, plain.names)
    ratio = None
    if subject.place_of is not None:
        ratio = cost_ratio(subject.place_of(rows), cells, places)
    columns = plain.columns
    undefined = sorted(name for name in tree.features if np.isnan(columns[name]).any())
    return {
        "tree": {
            "leaves": tree.leaves,
            "leaves_allowed": leaves,
            "features": list(tree.features),
            "undefined": undefined,
            "nodes": tree.to_document(ids),
            "fidelity": fidelity.as_document(ids),
            "cost_ratio": ratio,
            "left_out": _left_out(asked, places, leaves, fidelity.balanced, subject.seed),
        },
        "rules": _rules(tree, subject, columns, places, undefined),
        "stability": _stability(tree, subject, columns),
    }


def _left_out(
    asked: Readable, places: Rows, leaves: int, balanced: float, seed: int
) -> dict[str, Any]:
    """Columns without a form in SQL, and how much truer a tree with them would be.

    Nothing is lost where the tree of all columns asks for none of them.
    """
    reasons = [
        {"feature": name, "reason": reason.as_document()} for name, reason in asked.left_out.items()
    ]
    costs, known = 0.0, set(asked.left_out)
    if known & set(grow(asked.values, asked.names, places, leaves=leaves, seed=seed).features):
        answers = out_of_fold(asked.values, asked.names, places, leaves=leaves, seed=seed)
        segments = int(places.max()) + 1
        costs = fidelity_of(answers, places, segments).balanced - balanced
    return {"columns": reasons, "fidelity_lost": costs}


def _rules(
    tree: Tree,
    subject: Subject,
    columns: Mapping[str, Matrix],
    places: Rows,
    undefined: Sequence[str],
) -> list[dict[str, Any]]:
    """A rule a segment: its paths, the share of customers on each, and how many belong there."""
    ids = subject.placed.segment_ids
    leaf = tree.apply(columns) if columns else np.zeros(len(places), dtype=np.int64)
    found = []
    for one in subject.profiles:
        if one["segment_id"] == TIER_NEW:
            continue
        place = ids.index(one["segment_id"])
        own = [(number, path) for number, answer, path in tree.paths() if answer == place]
        here = [leaf == number for number, _ in own]
        found.append(
            {
                "segment_id": one["segment_id"],
                "words": rule_in_words(
                    [path for _, path in own], subject.described, undefined
                ).as_document(),
                "paths": [
                    {
                        "conditions": [bounds_document(each) for each in path],
                        "words": path_in_words(path, subject.described, undefined).as_document(),
                        "share": float(inside.mean()),
                        "right": float((places[inside] == place).mean()) if inside.any() else None,
                    }
                    for (_, path), inside in zip(own, here, strict=True)
                ],
            }
        )
    return found


def _stability(
    tree: Tree, subject: Subject, columns: Mapping[str, Matrix]
) -> dict[str, Any] | None:
    before = subject.previous
    if before is None or not before.get("tree"):
        return None
    nodes = before["tree"]["nodes"]
    ids = list(dict.fromkeys(one["segment_id"] for one in nodes if "segment_id" in one))
    old = Tree.from_document(nodes, ids)
    found = stability(old, ids, tree, subject.placed.segment_ids, columns)
    return {"previous": before.get("segmentation_id"), **found}


# --- Customers and value --------------------------------------------------------------------------


def _borderline(placed: Placed, segment_id: str) -> list[dict[str, Any]]:
    """Members for whom another segment weighs almost as much, the closest decision first."""
    if segment_id == TIER_NEW:
        return []
    place = placed.segment_ids.index(segment_id)
    rows = np.flatnonzero(placed.places == place)
    others = placed.weights[rows]
    others[:, place] = -1.0
    nearest = others.argmax(axis=1)
    weights = others[np.arange(len(rows)), nearest]
    own = placed.weights[rows, place]
    order = np.argsort(own - weights, kind="stable")[:_BORDERLINE]
    ids = placed.features[CUSTOMER].take(pa.array(rows[order])).to_pylist()
    return [
        {
            CUSTOMER: customer,
            "weight": float(own[row]),
            "next": {
                "segment_id": placed.segment_ids[nearest[row]], "weight": float(weights[row]),
            },
        }
        for customer, row in zip(ids, order, strict=True)
        if weights[row] > 0
    ]  # fmt: skip


def _values(subject: Subject, places: Rows) -> dict[str, dict[str, Any]]:
    """Revenue of each segment, and what the next period is expected to bring."""
    expected = _expected(subject)
    found = {}
    for one in subject.profiles:
        own = places == subject.placed.segment_ids.index(one["segment_id"])
        found[one["segment_id"]] = {
            "revenue": one["revenue"],
            "revenue_share": one["revenue_share"],
            "revenue_a_customer": one["revenue"] / one["size"],
            "next": None if expected is None else _next(expected, own),
        }
    return found


def _expected(subject: Subject) -> dict[str, Matrix] | None:
    if subject.nexts is None:
        return None
    customers = subject.placed.features[CUSTOMER]
    rows = pc.index_in(customers, value_set=subject.nexts[CUSTOMER].combine_chunks())
    taken = subject.nexts.take(rows)
    return {name: column(taken, name) for name in COLUMNS if name in taken.column_names}


def _next(expected: Mapping[str, Matrix], own: npt.NDArray[np.bool_]) -> dict[str, Any] | None:
    """What the next period is expected to bring; None where it is known of no member.

    `customers`: of whom it is known; `means`: of a member, by outcome; `active`: the mean chance;
    `orders`, `spend`: means times members. An outcome that could not be learned is None.
    """
    values = {name: told[own] for name, told in expected.items()}
    known = {name: told[~np.isnan(told)] for name, told in values.items()}
    known = {name: told for name, told in known.items() if len(told)}
    if not known:
        return None
    means = {name: float(told.mean()) for name, told in known.items()}
    sums = {name: mean * int(own.sum()) for name, mean in means.items()}
    return {
        "customers": max(len(told) for told in known.values()),
        "active": means.get(ACTIVE), "orders": sums.get(ORDERS), "spend": sums.get(SPEND),
        "means": means,
    }  # fmt: skip


def _quantiles(subject: Subject, rows: Rows) -> dict[str, list[float]]:
    """Values of each column at `QUANTILES` of the customers looked at: where changes are tried."""
    found = {}
    for name, values in told_columns(subject.placed, subject.described, rows):
        known = values[~np.isnan(values)]
        if len(known):
            found[name] = [float(f"{one:.6g}") for one in np.quantile(known, QUANTILES)]
    return found
