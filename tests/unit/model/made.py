"""Made-up events of customers and tiny models, for tests that need no shop.

Customers have a taste: four of five of their events are with items of one category, and those of
even rows come back after hours, of odd rows after days. Some events share their moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from shoal.domain.kinds import CART_ADD, KINDS, PURCHASE, SEARCH, VIEW
from shoal.domain.sequence import DTYPES, KIND_CODES, NUMBERS, Array, EventSequences
from shoal.features.ngrams import NGrams
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import ModelConfig

#: Known items; item code i + 1 is row i. Codes beyond them are buckets of unknown items.
ITEMS: Final = 24
ITEM_BUCKETS: Final = 4
CATEGORIES: Final = 4
BRANDS: Final = 3
PRICES: Final = 6
TEXT: Final = NGrams(buckets=64, width=6)
#: 2024-01-01T00:00Z.
START_US: Final = 1_704_067_200_000_000
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US

_KINDS: Final = tuple(1 + KINDS.index(kind) for kind in (VIEW, SEARCH, CART_ADD, PURCHASE))
_SEARCH: Final = 1 + KINDS.index(SEARCH)
_PURCHASE: Final = 1 + KINDS.index(PURCHASE)
_TITLES: Final = tuple(
    f"{('lamp', 'shirt', 'book', '茶杯')[i % CATEGORIES]} {i}" for i in range(ITEMS)
)


def sizes() -> dict[str, int]:
    """Rows of each embedding table, as `Tokenizer.sizes`."""
    return {
        "kind": KIND_CODES,
        "item": 1 + ITEMS + ITEM_BUCKETS,
        "category1": 1 + CATEGORIES + 2,
        "category2": 1 + 2 * CATEGORIES + 2,
        "category3": 4,
        "brand": 1 + BRANDS + 2,
        "channel": 4,
        "device": 4,
        "price_bucket": PRICES + 1,
    }


def items() -> dict[str, Array]:
    """Codes, price and texts of the known items, as a model takes them."""
    row = np.arange(ITEMS)
    price = np.linspace(0.1, 2.0, ITEMS).astype(np.float32)
    return {
        "category1": (1 + row % CATEGORIES).astype(np.int32),
        "category2": (1 + row % (2 * CATEGORIES)).astype(np.int32),
        "category3": np.zeros(ITEMS, np.int32),
        "brand": (1 + row % BRANDS).astype(np.int32),
        "price_bucket": (1 + row * PRICES // ITEMS).astype(np.int32),
        "text": (1 + row).astype(np.int32),
        "price": price,
        "texts": texts(),
    }


def texts() -> Array:
    """Text table: row 0 zeros, row i + 1 the title of item i."""
    return np.concatenate([np.zeros((1, TEXT.width), np.int32), TEXT.encode(_TITLES)])


def sequences(
    customers: int = 6, length: int = 24, seed: int = 0, *, lengths: Sequence[int] | None = None
) -> EventSequences:
    """Events of `customers`: the first has `length` of them, the others 1 to `length`.

    Args:
        lengths: exactly these numbers of events instead, one a customer.
    """
    rng = np.random.default_rng(seed)
    if lengths is None:
        drawn = rng.integers(1, length + 1, customers)
        drawn[:1] = length
    else:
        drawn = np.asarray(lengths, np.int64)
    offsets = np.concatenate([[0], np.cumsum(drawn)]).astype(np.int64)
    who = np.repeat(np.arange(len(drawn)), drawn)
    names = np.array([f"c{row:05d}" for row in range(len(drawn))])
    return EventSequences(names, offsets, _fields(rng, who, offsets), texts())


def _fields(rng: np.random.Generator, who: Array, offsets: Array) -> dict[str, Array]:
    n = len(who)
    fields: dict[str, Array] = {
        name: np.full(n, np.nan if name in NUMBERS else 0, dtype) for name, dtype in DTYPES.items()
    }
    own = rng.random(n) < 0.8
    category = np.where(own, who % CATEGORIES, rng.integers(0, CATEGORIES, n))
    item = category + CATEGORIES * rng.integers(0, ITEMS // CATEGORIES, n)
    kind = rng.choice(_KINDS, n, p=(0.6, 0.1, 0.15, 0.15))
    about = kind != _SEARCH
    known = items()
    fields["kind"][:] = kind
    fields["item"][:] = np.where(about, item + 1, 0)
    for name in ("category1", "category2", "category3", "brand", "price_bucket", "text"):
        fields[name][:] = np.where(about, known[name][item], 0)
    fields["price"][:] = np.where(about, known["price"][item], np.nan)
    bought = kind == _PURCHASE
    fields["quantity"][:] = np.where(bought, np.log1p(rng.integers(1, 4, n)), np.nan)
    fields["discount"][:] = np.where(bought & (rng.random(n) < 0.3), 0.1, np.nan)
    fields["channel"][:] = rng.integers(0, 3, n)
    fields["device"][:] = rng.integers(0, 3, n)
    us = _moments(rng, who, offsets)
    fields["us"][:] = us
    fields["hour"][:] = us % DAY_US / HOUR_US
    fields["weekday"][:] = (us - START_US) % (7 * DAY_US) / DAY_US  # START_US is a Monday
    return fields


def _moments(rng: np.random.Generator, who: Array, offsets: Array) -> Array:
    """Sessions of events seconds apart, some at one moment; hours or days between sessions."""
    n = len(who)
    within = rng.random(n) < 0.6
    between = np.where(who % 2 == 0, 6 * HOUR_US, 4 * DAY_US) * rng.gamma(2.0, 0.5, n)
    gap = np.where(within, rng.integers(0, 4, n) * 20_000_000, between).astype(np.int64)
    late = np.cumsum(gap)
    first = (
        np.repeat(late[np.minimum(offsets[:-1], max(n - 1, 0))], np.diff(offsets)) if n else late
    )
    return START_US + who % 5 * DAY_US + late - first


def tiny_model(backbone: str = "recurrence", *, seed: int = 0, **config: Any) -> BehaviourModel:
    """A model of width 16 on these events, in evaluation mode; reads every field unless told."""
    shape: dict[str, Any] = {
        "d_model": 16, "layers": 2, "heads": 2, "window": 4, "kv_dim": 8, "embedding_dim": 8,
        "text_dim": 4, "touch": ("channel", "device"),
    }  # fmt: skip
    torch.manual_seed(seed)
    made = ModelConfig(backbone=backbone, **{**shape, **config})
    return BehaviourModel(made, sizes(), items(), TEXT.to_document()).eval()
