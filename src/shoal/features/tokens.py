"""Vocabularies of a shop's events, and events as codes and numbers for a sequence model.

What is common gets a code of its own, the rest shares hash buckets, so that every name has a code
and a model's tables stay small. Vocabularies are learned from the events before a moment and frozen
with the model: the same event gives the same codes ever after.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.kinds import KINDS, SEARCH
from shoal.domain.money import MICROS
from shoal.domain.sequence import DTYPES, KIND_CODES, Array, EventSequences, TextFeatures
from shoal.events.schema import ORDER, TABLE_SCHEMA
from shoal.features.algebra import CUSTOMER
from shoal.features.vocabulary import Names, learn_counts
from shoal.features.queries import Rules
from shoal.ports import Engine, Relation

#: Raised whenever the codes of the same event change.
TOKENS_VERSION: Final = 1

#: What the tokenizer reads of events, in the total order of a customer's events.
SEQUENCE_COLUMNS: Final = (
    *ORDER, "kind", "item_id", "category", "brand", "title", "price", "discount", "quantity",
    "currency", "query", "rating", "channel", "device", "utc_offset_s",
)  # fmt: skip
SEQUENCE_SCHEMA: Final = pa.schema(
    [TABLE_SCHEMA.field(CUSTOMER), *(TABLE_SCHEMA.field(name) for name in SEQUENCE_COLUMNS)]
)

_DAY_S: Final = 86_400
#: 1970-01-01 was a Thursday; Monday is 0.
_EPOCH_WEEKDAY: Final = 3
_MOST_RATING: Final = 5.0
_LEVELS: Final = 3


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


@dataclass(frozen=True)
class Tokenizer:
    """Turns rows of events into `EventSequences`.

    Args:
        names: vocabulary of each code field.
        price_median: micro-units; prices are told relative to it.
        price_edges: (b - 1,) bounds of the classes of price, in logs over the median.
        titles: the title of each known item, "" where none is known.
        text: what turns titles and queries into numbers.
        currency: prices in another one are unknown; None takes all as one.
    """

    names: Mapping[str, Names]
    price_median: float
    price_edges: npt.NDArray[np.float64]
    items: ItemTable
    titles: tuple[str, ...]
    text: TextFeatures
    currency: str | None = None
    settings: TokenSettings = field(default_factory=TokenSettings)

    @classmethod
    def learn(
        cls,
        engine: Engine,
        events: Relation,
        *,
        until: datetime,
        rules: Rules,
        text: TextFeatures,
        settings: TokenSettings | None = None,
    ) -> Self:
        """The vocabularies of customers' events before a moment.

        Names are ranked by events, ties by name. Item facts (kind `item`) tell titles, categories,
        brands and prices of items beside the events themselves.
        """
        settings = settings or TokenSettings()
        found = learn_counts(engine, events, until, rules)
        names = {
            "item": Names.of(
                found["item_id"], settings.items, settings.least, settings.item_buckets
            ),
            "brand": Names.of(
                found["brand"], settings.brands, settings.least, settings.brand_buckets
            ),
            "channel": Names.of(found["channel"], settings.channels, 1, 1),
            "device": Names.of(found["device"], settings.devices, 1, 1),
        }
        for level, counts in enumerate(_by_level(found["category"]), 1):
            names[f"category{level}"] = Names.of(
                counts, settings.categories, 1, settings.category_buckets
            )
        median, edges = _classes(found["price"], settings.price_buckets)
        made = cls(names, median, edges, _no_items(text), (), text, rules.currency, settings)
        return made._with_items(found["items"], found["item_id"])

    def _with_items(self, facts: pa.Table, counts: pa.Table) -> Self:
        """The same with what is known of each item that has a code of its own."""
        known = pa.array(self.names["item"].known, pa.string())
        facts = facts.take(pc.index_in(known, facts["item_id"].combine_chunks()))
        counted = counts.take(pc.index_in(known, counts["name"].combine_chunks()))
        titles = tuple(one or "" for one in facts["title"].to_pylist())
        codes = self._content_codes(facts)
        price = self._prices(facts["price"], None)
        distinct, rows = np.unique(np.array(titles, dtype=object).astype(str), return_inverse=True)
        codes["text"], texts = self._text_rows(pa.array(distinct[rows] if len(rows) else []))
        codes["price_bucket"] = self._buckets(price)
        items = ItemTable(
            self.names["item"].known, codes, price, np.asarray(counted["n"].to_numpy()), texts
        )
        return type(self)(
            self.names, self.price_median, self.price_edges, items, titles, self.text,
            self.currency, self.settings,
        )  # fmt: skip

    # -- encoding ----------------------------------------------------------------------------------

    def encode(self, rows: pa.Table) -> EventSequences:
        """Events as sequences.

        Args:
            rows: `SEQUENCE_SCHEMA`, each customer's rows together and in the order of events.

        The text of a search is its query; that of an event with an item is the event's title, else
        the one that is known of the item.
        """
        customers, offsets = _runs(rows[CUSTOMER])
        n = rows.num_rows
        kind = pc.index_in(rows["kind"], value_set=pa.array(KINDS)).to_numpy()
        us = rows["event_time"].cast(pa.int64()).to_numpy()
        local_s = us // 1_000_000 + _numbers(rows["utc_offset_s"], 0.0).astype(np.int64)
        price = self._prices(rows["price"], rows["currency"])
        quantity = _numbers(rows["quantity"])
        with np.errstate(divide="ignore", invalid="ignore"):
            amount = _numbers(rows["price"]) * np.where(np.isnan(quantity), 1.0, quantity)
            discount = np.clip(_numbers(rows["discount"]) / amount, 0.0, 1.0)
        discount[~np.isfinite(discount)] = np.nan
        day_share = (local_s % _DAY_S) / _DAY_S
        codes = self._content_codes(rows)
        codes["text"], texts = self._text_rows(self._texts_of(rows))
        fields: dict[str, Array] = {
            "us": us,
            "kind": kind + 1,
            "item": self.names["item"].codes(rows["item_id"]),
            "channel": self.names["channel"].codes(rows["channel"]),
            "device": self.names["device"].codes(rows["device"]),
            "price_bucket": self._buckets(price),
            "price": price,
            "quantity": np.log1p(np.clip(quantity, 0, None)),
            "discount": discount,
            "rating": _numbers(rows["rating"]) / _MOST_RATING,
            "hour": day_share * 24,
            "weekday": (local_s // _DAY_S + _EPOCH_WEEKDAY) % 7 + day_share,
            **codes,
        }
        typed = {name: np.asarray(fields[name], DTYPES[name]) for name in DTYPES}
        assert all(len(values) == n for values in typed.values())
        return EventSequences(customers, offsets, typed, texts)

    def _texts_of(self, rows: pa.Table) -> pa.Array:
        """The text of each event, null for none."""
        place = pc.index_in(
            rows["item_id"], value_set=pa.array(self.names["item"].known, pa.string())
        )
        known = pa.array(self.titles, pa.string()).take(place.combine_chunks())
        title = pc.coalesce(rows["title"].combine_chunks(), known)
        searched = pc.equal(rows["kind"].combine_chunks(), SEARCH)
        return pc.if_else(searched, rows["query"].combine_chunks(), title)

    def _text_rows(self, texts: pa.Array) -> tuple[Array, Array]:
        """(n,) rows in a table of distinct texts, and the table; row 0 is no text."""
        coded = pc.dictionary_encode(pc.if_else(pc.equal(texts, ""), None, texts))
        distinct = coded.dictionary.to_pylist()
        table = np.zeros((len(distinct) + 1, self.text.width), self.text.dtype)
        if distinct:
            table[1:] = self.text.encode(distinct)
        places = pc.fill_null(coded.indices, -1).to_numpy()
        return (places + 1).astype(np.int32), table

    def _content_codes(self, rows: pa.Table) -> dict[str, Array]:
        """Codes of category levels and brand."""
        codes = {"brand": self.names["brand"].codes(rows["brand"])}
        for level, paths in enumerate(_levels(rows["category"]), 1):
            codes[f"category{level}"] = self.names[f"category{level}"].codes(paths)
        return codes

    def _prices(self, price: pa.ChunkedArray, currency: pa.ChunkedArray | None) -> Array:
        """log1p of the price over the shop's median; NaN where unknown or of another currency."""
        amounts = _numbers(price)
        if self.currency is not None and currency is not None:
            other = pc.not_equal(currency, self.currency)
            amounts = np.where(
                pc.fill_null(other, False).to_numpy(zero_copy_only=False), np.nan, amounts
            )
        return _log_price(amounts, self.price_median).astype(np.float32)

    def _buckets(self, price: Array) -> Array:
        """1 + the class of price; 0 where unknown."""
        found = np.searchsorted(self.price_edges, price.astype(np.float64), side="right") + 1
        return np.where(np.isnan(price), 0, found).astype(np.int16)

    # -- sizes and identity ------------------------------------------------------------------------

    @property
    def sizes(self) -> dict[str, int]:
        """Rows that an embedding table of each code field needs, code 0 counted."""
        sizes = {name: names.size for name, names in self.names.items()}
        return {**sizes, "kind": KIND_CODES, "price_bucket": len(self.price_edges) + 2}

    @property
    def fingerprint(self) -> str:
        """16 hex digits of all that decides the codes of an event."""
        document = self.to_document()
        text = json.dumps({**document, "version": TOKENS_VERSION}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "version": TOKENS_VERSION,
            "names": {name: names.to_document() for name, names in self.names.items()},
            "price_median": self.price_median,
            "price_edges": self.price_edges.tolist(),
            "titles": list(self.titles),
            "currency": self.currency,
            "settings": asdict(self.settings),
            "text": self.text.to_document(),
        }

    def to_arrays(self) -> dict[str, Array]:
        """What is known of items, as arrays."""
        arrays = {f"items.{name}": np.asarray(codes) for name, codes in self.items.codes.items()}
        return {
            **arrays,
            "items.price": self.items.price,
            "items.counts": self.items.counts,
            "items.texts": self.items.texts,
        }

    @classmethod
    def from_artefact(
        cls, document: Mapping[str, Any], arrays: Mapping[str, Array], text: TextFeatures
    ) -> Self:
        """The tokenizer that was written."""
        names = {name: Names.from_document(one) for name, one in document["names"].items()}
        own = ("category1", "category2", "category3", "brand", "price_bucket", "text")
        items = ItemTable(
            names["item"].known,
            {name: arrays[f"items.{name}"] for name in own},
            arrays["items.price"],
            arrays["items.counts"],
            arrays["items.texts"],
        )
        return cls(
            names,
            document["price_median"],
            np.array(document["price_edges"]),
            items,
            tuple(document["titles"]),
            text,
            document["currency"],
            TokenSettings(**document["settings"]),
        )


def _no_items(text: TextFeatures) -> ItemTable:
    return ItemTable(
        (), {}, np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros((1, text.width))
    )


def _classes(prices: pa.Table, buckets: int) -> tuple[float, npt.NDArray[np.float64]]:
    """The median of prices (`price` ascending, `n`), and bounds of classes of equal size."""
    if not prices.num_rows:
        return float(MICROS), np.zeros(0)
    price, n = (prices[name].to_numpy() for name in ("price", "n"))
    share = np.cumsum(n) / n.sum()
    median = float(price[np.searchsorted(share, 0.5)])
    bounds = price[np.searchsorted(share, np.arange(1, buckets) / buckets)]
    return median, np.unique(_log_price(bounds, median))


def _log_price(amounts: Array, median: float) -> Array:
    with np.errstate(invalid="ignore"):
        return np.log1p(np.maximum(amounts, 0.0) / max(median, 1.0))


def _numbers(column: pa.ChunkedArray, missing: float = np.nan) -> npt.NDArray[np.float64]:
    values: Any = pc.fill_null(column.cast(pa.float64()), missing)
    return np.array(values.to_numpy(), dtype=np.float64)


def _runs(customers: pa.ChunkedArray) -> tuple[Array, npt.NDArray[np.int64]]:
    """Distinct customers in order of their first row, and where each one's rows begin and end."""
    coded = customers.combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1) != 0)
    if len(starts) != len(coded.dictionary):
        raise ValueError("rows of a customer do not lie together")
    offsets = np.append(starts, len(codes)).astype(np.int64)
    return np.array(coded.dictionary.to_pylist(), dtype=object), offsets


def _levels(category: pa.ChunkedArray | pa.Array) -> list[pa.Array]:
    """The path up to the first, second and third part; null where it is shorter.

    >>> [one.to_pylist() for one in _levels(pa.array(["a/b", None]))]
    [['a', None], ['a/b', None], [None, None]]
    """
    whole = category.combine_chunks() if isinstance(category, pa.ChunkedArray) else category
    coded = whole.dictionary_encode()
    levels = []
    for level in range(1, _LEVELS + 1):
        cut = [_upto(path, level) for path in coded.dictionary.to_pylist()]
        levels.append(pa.array(cut, pa.string()).take(coded.indices))
    return levels


def _upto(path: str, level: int) -> str | None:
    parts = path.split("/")
    return None if len(parts) < level else "/".join(parts[:level])


def _by_level(counts: pa.Table) -> list[pa.Table]:
    """Counts of whole paths as counts of paths up to each level."""
    found = []
    for cut in _levels(counts["name"]):
        table = pa.table({"name": cut, "n": counts["n"]}).filter(pc.is_valid(cut))
        found.append(table.group_by("name").aggregate([("n", "sum")]).rename_columns(["name", "n"]))
    return found
