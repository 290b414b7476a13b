"""Weights of a model with one vocabulary for a model with another: over time, or between shops.

A name that both know keeps its row of an embedding table; a new name begins with the row that the
old model would have read it by (a hash bucket), so that the new model starts as the old one in
every answer it gave, and tells the new names apart as it learns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from shoal.domain.sequence import Array
from shoal.features.tokens import Tokenizer
from shoal.features.vocabulary import Names

if TYPE_CHECKING:
    from shoal.model.behaviour import BehaviourModel


def transfer(
    old: Tokenizer, new: Tokenizer, weights: Mapping[str, object], fresh: BehaviourModel
) -> dict[str, object]:
    """The old model's weights (`state_dict`), laid out for the new vocabulary.

    Args:
        old, new: the vocabularies.
        weights: of the old model.
        fresh: a new model of the same shape, just made; where texts are told otherwise than
            before, what reads them is left as it is there.

    Raises:
        UsageError: `model_mismatch`, the models are of different shapes.
    """
    from shoal.model.transfer import TEXT, moved

    rows = {name: rows_of(old.names[name], new.names[name]) for name in new.names}
    rows["price_bucket"] = price_rows(old, new)
    same_text = old.text.to_document() == new.text.to_document()
    return dict(moved(weights, fresh.state_dict(), rows, () if same_text else (TEXT,)))  # type: ignore[arg-type]


def rows_of(old: Names, new: Names) -> Array:
    """(rows of the new table,) the row of the old table that each begins with."""
    known = old.codes(pa.array(new.known, pa.string())).astype(np.int64)
    first = 1 + len(old.known)
    buckets = first + np.arange(new.buckets) % max(old.buckets, 1)
    return np.concatenate([[0], known, buckets])


def price_rows(old: Tokenizer, new: Tokenizer) -> Array:
    """(rows,) the old class of price in which the middle of each new class lies.

    Edges are logs of one and the price over the median, which may have moved.
    """
    ratio = max(new.price_median, 1.0) / max(old.price_median, 1.0)
    edges = np.expm1(new.price_edges) * ratio
    if not len(edges):
        return np.array([0, 1])
    middles = np.concatenate([edges[:1] / 2, (edges[:-1] + edges[1:]) / 2, edges[-1:] * 1.01])
    return np.concatenate([[0], np.searchsorted(old.price_edges, np.log1p(middles), "right") + 1])
