"""What the learned segments are made from: features and tastes by theme, and the embedding.

Each theme has the same say whatever its number of columns (`GroupBalance`), except for the weights
below; an embedding is a theme of its own. Tuned on seeds 0 to 2 of the simulated world `steady`:
tastes in categories count double; how much somebody buys counts half, because RFM beside it tells
that already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.traits import PROTECTED
from shoal.features.algebra import Feature
from shoal.features.matrix import MEDIAN, Column, numeric_columns
from shoal.features.tastes import Vocabulary
from shoal.segments.base import CUSTOMER
from shoal.segments.protected import left_out

#: What learned segments are made on: the catalog's features and tastes, the embedding of a
#: behaviour model, or both.
FEATURES: Final = "features"
EMBEDDING: Final = "embedding"
BOTH: Final = "both"
ON: Final = (FEATURES, EMBEDDING, BOTH)

#: Everything about how much, how often and how recently.
VOLUME: Final = "volume"

#: Features that tell how somebody shops, by theme.
STYLE: Final[Mapping[str, tuple[str, ...]]] = {
    "discount": ("discounted_order_share", "discount_share", "coupon_share"),
    "refund": ("refund_rate", "refund_share"),
    "funnel": (
        "cart_per_view", "purchase_per_cart", "purchase_per_view", "cart_remove_rate",
        "buying_session_share_90d", "session_depth_90d", "search_share", "favourite_share",
    ),
    "hours": ("night_share", "morning_share", "afternoon_share", "evening_share"),
    "week": ("weekend_share",),
    "basket": ("basket_units_mean", "basket_lines_mean"),
    "price": ("unit_price_mean", "price_level", "price_level_bought"),
    "review": ("review_rate",),
    "repeat": ("repeat_line_share", "repeat_item_share"),
    "breadth": ("category_entropy", "top_category_share", "brand_entropy", "top_brand_share"),
}  # fmt: skip

#: How many times the say of a theme counts; 1 where not named.
WEIGHTS: Final[Mapping[str, float]] = {"tastes:category": 2.0, VOLUME: 0.5}

#: Events' worth of the shop's mean that a customer's tastes start with.
TASTE_PRIOR_EVENTS: Final = 1.0

_THEME: Final = {name: theme for theme, names in STYLE.items() for name in names}
#: What the shop does to customers, or what only a part of them was asked, makes no segment.
_LEFT_OUT: Final = frozenset({"profile"})
#: What customers met outside is a theme of its own; what is so now is nothing of theirs.
_OUTSIDE: Final = "outside"


def inputs(
    features: pa.Table,
    catalog: Iterable[Feature],
    vocabulary: Vocabulary,
    on: str = FEATURES,
    protected: Sequence[str] = PROTECTED,
) -> list[Column]:
    """The columns to cluster on that a features table has, each in its theme.

    Args:
        features: with the columns of tastes (`with_tastes`) and of the embedding where it is asked
            for (`with_embedding`).
        on: one of `ON`.
        protected: traits that are left out, with what tells them.
    """
    embedded = [
        Column(name, EMBEDDING, MEDIAN)
        for name in features.column_names
        if on != FEATURES and is_embedding(name)
    ]
    if on == EMBEDDING:
        return embedded
    aside = left_out(catalog, protected)
    known = tuple(one for one in catalog if one.name not in aside)
    now = {one.name for one in known if one.window == "now"}
    found = [
        Column(
            one.name,
            _OUTSIDE if one.group == _OUTSIDE else _THEME.get(one.name, VOLUME),
            one.missing,
        )
        for one in numeric_columns(features, known)
        if one.group not in _LEFT_OUT and one.name not in now
    ]
    for column, (facet, _) in zip(vocabulary.columns, vocabulary.names, strict=True):
        # Brands are too many and too thin to cluster on; they are kept for the profiles.
        if facet != "brand":
            found.append(Column(column, f"tastes:{facet}", MEDIAN))
    return found + embedded


def is_embedding(column: str) -> bool:
    """Whether a column is one of an embedding: e0, e1, ...

    >>> is_embedding("e12"), is_embedding("events")
    (True, False)
    """
    return column[:1] == "e" and column[1:].isdigit()


def with_tastes(features: pa.Table, counts: pa.Table, vocabulary: Vocabulary) -> pa.Table:
    """The features with one column more a name of the vocabulary."""
    shares = vocabulary.shares(features["customer_id"], counts)
    for name, values in zip(vocabulary.columns, shares.T, strict=True):
        features = features.append_column(name, pa.array(values))
    return features


def with_embedding(features: pa.Table, embeddings: pa.Table | None) -> pa.Table:
    """The features with the columns of each customer's embedding; as they are for None.

    A customer without an embedding has nulls.
    """
    if embeddings is None:
        return features
    rows = pc.index_in(features["customer_id"], embeddings["customer_id"].combine_chunks())
    for name in embeddings.column_names:
        if is_embedding(name):
            values = embeddings[name].take(rows).cast(pa.float64())
            features = features.append_column(name, values)
    return features


def with_more(features: pa.Table, more: pa.Table | None) -> pa.Table:
    """Features with further columns; null for customers whom the other table lacks."""
    if more is None:
        return features
    rows = pc.index_in(features[CUSTOMER], more[CUSTOMER].combine_chunks())
    for name in more.column_names:
        if name != CUSTOMER and name not in features.column_names:
            features = features.append_column(name, more[name].take(rows))
    return features
