"""How large a tokenizer's vocabularies are, and what is known of the items in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from shoal.domain.errors import UsageError
from shoal.domain.sequence import Array, TextFeatures

#: Fields that tell what an item is like.
CONTENT: Final = ("category1", "category2", "category3", "brand")


@dataclass(frozen=True)
class TokenSettings:
    """How large the vocabularies are.

    Args:
        items, categories, brands, channels, devices: names with a code of their own at most, the
            commonest; `least` events a name needs for it (items and brands).
        item_buckets, category_buckets, brand_buckets: codes that the rest shares by hash.
        price_buckets: classes of price of about equal numbers of events.
    """

    items: int = 100_000
    item_buckets: int = 1_024
    categories: int = 4_096
    category_buckets: int = 64
    brands: int = 10_000
    brand_buckets: int = 64
    channels: int = 32
    devices: int = 32
    price_buckets: int = 16
    least: int = 3

    def __post_init__(self) -> None:
        """Refuse what leaves a name without a code.

        Raises:
            UsageError: `bad_setting`.
        """
        for name, value in asdict(self).items():
            if value < 1:
                raise UsageError(
                    "bad_setting",
                    f"{name} is {value}; every vocabulary needs at least one",
                    where=name,
                    hint="Give whole numbers from 1 on.",
                )


@dataclass(frozen=True)
class ItemTable:
    """The items with a code of their own, as they were known last; row `i` is code `i + 1`.

    `codes` has category1..3, brand, price_bucket and text (a row of `texts`); `price` is as in
    `shoal.domain.sequence.NUMBERS`; `counts` are events with the item.
    """

    item_ids: tuple[str, ...]
    codes: Mapping[str, Array]
    price: Array
    counts: Array
    texts: Array

    def __len__(self) -> int:
        return len(self.item_ids)


def no_items(text: TextFeatures) -> ItemTable:
    """The table of no item."""
    codes = {name: np.zeros(0, np.int32) for name in (*CONTENT, "price_bucket", "text")}
    texts = np.zeros((1, text.width), text.dtype)
    return ItemTable((), codes, np.zeros(0, np.float32), np.zeros(0, np.int64), texts)
