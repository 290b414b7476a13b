"""Vocabularies of a shop's events, and events as codes and numbers for a sequence model.

What is common gets a code of its own, the rest shares hash buckets, so that every name has a code
and a model's tables stay small. Vocabularies are learned from the events before a moment and frozen
with the model: the same event gives the same codes ever after.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.kinds import CUSTOM, KINDS, SEARCH
from shoal.domain.sequence import DTYPES, KIND_CODES, Array, EventSequences, TextFeatures
from shoal.events.schema import ORDER, TABLE_SCHEMA
from shoal.features.algebra import CUSTOMER
from shoal.features.queries import Rules
from shoal.features.token_columns import (
    Coded,
    by_level,
    levels,
    log_price,
    numbers,
    price_classes,
    runs,
)
from shoal.features.token_tables import CONTENT, ItemTable, TokenSettings, no_items
from shoal.features.vocabulary import Names, learn_counts
from shoal.ports import Engine, Relation

__all__ = [
    "ENCODED",
    "SEQUENCE_COLUMNS",
    "SEQUENCE_SCHEMA",
    "TOKENS_VERSION",
    "ItemTable",
    "TokenSettings",
    "Tokenizer",
]

#: Raised whenever the codes of the same event change.
TOKENS_VERSION: Final = 2

#: What the tokenizer reads of events, in the total order of a customer's events.
SEQUENCE_COLUMNS: Final = (
    *ORDER, "kind", "item_id", "category", "brand", "title", "price", "discount", "quantity",
    "currency", "query", "rating", "channel", "device", "utc_offset_s",
)  # fmt: skip
SEQUENCE_SCHEMA: Final = pa.schema(
    [TABLE_SCHEMA.field(CUSTOMER), *(TABLE_SCHEMA.field(name) for name in SEQUENCE_COLUMNS)]
)
#: Those of them that are encoded; the others only order events.
ENCODED: Final = (
    CUSTOMER, *(name for name in SEQUENCE_COLUMNS if name not in ("sequence", "event_id")),
)  # fmt: skip

_DAY_S: Final = 86_400
#: 1970-01-01 was a Thursday; Monday is 0.
_EPOCH_WEEKDAY: Final = 3
_MOST_RATING: Final = 5.0
_SEARCH_CODE: Final = 1 + KINDS.index(SEARCH)
_CUSTOM_CODE: Final = 1 + KINDS.index(CUSTOM)


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
        base: Tokenizer | None = None,
    ) -> Self:
        """The vocabularies of customers' events before a moment.

        Names are ranked by events, ties by name. Item facts (kind `item`) tell titles, categories,
        brands and prices of items beside the events themselves.

        Args:
            base: earlier vocabularies to go on from: its names keep their codes and new ones get
                the codes after them; prices stay relative to its median, in its classes.
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
        for level, counts in enumerate(by_level(found["category"]), 1):
            names[f"category{level}"] = Names.of(
                counts, settings.categories, 1, settings.category_buckets
            )
        median, edges = price_classes(found["price"], settings.price_buckets)
        if base is not None:
            names = {name: base.names[name].extended(new) for name, new in names.items()}
            median, edges = base.price_median, base.price_edges
        made = cls(names, median, edges, no_items(text), (), text, rules.currency, settings)
        return made._with_items(found["items"], found["item_id"])

    def _with_items(self, about: pa.Table, counts: pa.Table) -> Self:
        """The same with what is known of each item that has a code of its own."""
        known = pa.array(self.names["item"].known, pa.string())
        about = about.take(pc.index_in(known, about["item_id"].combine_chunks()))
        counted = counts.take(pc.index_in(known, counts["name"].combine_chunks()))
        titles = Coded.of(about["title"])
        codes = self._content_codes(about)
        codes["text"] = (titles.places + 1).astype(np.int32)
        price = log_price(numbers(about["price"]), self.price_median)
        codes["price_bucket"] = self._buckets(price)
        items = ItemTable(
            self.names["item"].known,
            codes,
            price,
            pc.fill_null(counted["n"], 0).to_numpy().astype(np.int64),
            self._text_table(titles.distinct.to_pylist(), titles=True),
        )
        told = tuple(one or "" for one in about["title"].to_pylist())
        return replace(self, items=items, titles=told)

    # -- encoding ----------------------------------------------------------------------------------

    def encode(self, rows: pa.Table) -> EventSequences:
        """Events as sequences.

        Args:
            rows: `SEQUENCE_SCHEMA` (the columns of `ENCODED` will do), each customer's rows
                together and in the order of events.

        What an event does not tell of its item (category, brand, price, title) is as it is known of
        the item, where the item has a code of its own. The text of a search is its query, that of
        any other event its title.

        Raises:
            ValueError: rows of a customer do not lie together.
        """
        customers, offsets = runs(rows[CUSTOMER])
        item = self.names["item"].codes(rows["item_id"])
        kind = pc.index_in(rows["kind"], value_set=pa.array(KINDS))
        kinds = numbers(kind, _CUSTOM_CODE - 1).astype(np.int16) + 1
        fields: dict[str, Array] = {
            "kind": kinds,
            "item": item,
            "channel": self.names["channel"].codes(rows["channel"]),
            "device": self.names["device"].codes(rows["device"]),
            **self._times(rows),
            **self._amounts(rows),
            **self._content_codes(rows),
        }
        fields |= self._of_items(item, fields)
        fields["price_bucket"] = self._buckets(fields["price"])
        fields["text"], texts = self._texts(rows, item, kinds)
        typed = {name: np.asarray(fields[name], DTYPES[name]) for name in DTYPES}
        return EventSequences(customers, offsets, typed, texts)

    def _times(self, rows: pa.Table) -> dict[str, Array]:
        us = rows["event_time"].cast(pa.int64()).to_numpy()
        local_s = us // 1_000_000 + numbers(rows["utc_offset_s"], 0.0).astype(np.int64)
        day_share = (local_s % _DAY_S) / _DAY_S
        weekday = (local_s // _DAY_S + _EPOCH_WEEKDAY) % 7 + day_share
        return {"us": us, "hour": day_share * 24, "weekday": weekday}

    def _amounts(self, rows: pa.Table) -> dict[str, Array]:
        """Numbers of events; a price in another currency than the shop's is unknown."""
        price, quantity = numbers(rows["price"]), numbers(rows["quantity"])
        with np.errstate(divide="ignore", invalid="ignore"):
            amount = np.abs(price * np.where(np.isnan(quantity), 1.0, quantity))
            discount = np.clip(numbers(rows["discount"]) / amount, 0.0, 1.0)
        discount[~(amount > 0)] = np.nan
        if self.currency is not None:
            other = pc.fill_null(pc.not_equal(rows["currency"], self.currency), False)
            price[other.to_numpy(zero_copy_only=False)] = np.nan
        return {
            "price": log_price(price, self.price_median),
            "quantity": np.log1p(np.abs(quantity)),
            "discount": discount,
            "rating": numbers(rows["rating"]) / _MOST_RATING,
        }

    def _content_codes(self, rows: pa.Table) -> dict[str, Array]:
        """Codes of category levels and brand, as rows tell them."""
        found = {"brand": self.names["brand"].codes(rows["brand"])}
        for level, paths in enumerate(levels(rows["category"]), 1):
            found[f"category{level}"] = self.names[f"category{level}"].codes(paths)
        return found

    def _of_items(self, item: Array, told: Mapping[str, Array]) -> dict[str, Array]:
        """Content of events, mended by what is known of their items where they tell none."""
        known = np.flatnonzero((item > 0) & (item <= len(self.items)))
        found = {name: told[name].copy() for name in (*CONTENT, "price")}
        place = item[known] - 1
        pathless = told["category1"][known] == 0  # a path is taken as a whole or not at all
        for name in CONTENT:
            lacking = told[name][known] == 0 if name == "brand" else pathless
            found[name][known[lacking]] = self.items.codes[name][place[lacking]]
        lacking = np.isnan(told["price"][known])
        found["price"][known[lacking]] = self.items.price[place[lacking]]
        return found

    def _texts(self, rows: pa.Table, item: Array, kind: Array) -> tuple[Array, Array]:
        """(n,) rows in a table of texts, and the table; row 0 is no text.

        The table holds titles of items, then people's own words (queries, titles of pages), then
        what is known of items that have none here.
        """
        searched = kind == _SEARCH_CODE
        titles = Coded.of(rows["title"], ~searched & (item > 0))
        own = pc.if_else(pa.array(searched), rows["query"], rows["title"])
        words = Coded.of(own, searched | (item == 0))
        told = [
            self._text_table(titles.distinct.to_pylist(), titles=True)[1:],
            self._text_table(words.distinct.to_pylist())[1:],
        ]
        found = np.where(titles.places >= 0, titles.places + 1, 0)
        found[words.places >= 0] = 1 + len(told[0]) + words.places[words.places >= 0]
        table = np.concatenate([np.zeros((1, self.text.width), self.text.dtype), *told])
        blank = np.all(table == 0, axis=1)  # what is known of the item will do
        found[np.asarray(blank)[found]] = 0
        bare = np.flatnonzero((found == 0) & ~searched & (item > 0) & (item <= len(self.items)))
        used, places = np.unique(self.items.codes["text"][item[bare] - 1], return_inverse=True)
        rows_of = np.where(used > 0, len(table) + np.arange(len(used)), 0)
        found[bare] = rows_of[places]
        return found.astype(np.int32), np.concatenate([table, self.items.texts[used]])

    def _text_table(self, texts: list[str], *, titles: bool = False) -> Array:
        """(t + 1, width): zeros, then the row of each text."""
        table = np.zeros((len(texts) + 1, self.text.width), self.text.dtype)
        if texts:
            table[1:] = self.text.encode(texts, titles=titles)
        return table

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
        found = hashlib.sha256(json.dumps(self.to_document(), sort_keys=True).encode())
        for name, values in sorted(self.to_arrays().items()):
            found.update(name.encode() + np.ascontiguousarray(values).tobytes())
        return found.hexdigest()[:16]

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
        """The tokenizer that was written.

        Args:
            document, arrays: of `to_document` and `to_arrays`.
            text: as `shoal.features.text.text_of(document["text"])` makes it.

        Raises:
            UsageError: `model_mismatch`, another version wrote it or its texts are other ones.
            OperationError: `artefact_damaged`, something is missing.
        """
        if document.get("version") != TOKENS_VERSION or document.get("text") != text.to_document():
            raise UsageError(
                "model_mismatch",
                f"the model reads events by vocabularies of version {document.get('version')} and "
                f"texts by {document.get('text')}; here are version {TOKENS_VERSION} and "
                f"{text.to_document()}",
                hint="Use the version of Shoal that made the model, or train anew: "
                "shoal train SHOP.",
            )
        try:
            return cls._from_parts(document, arrays, text)
        except (KeyError, TypeError) as error:
            raise OperationError(
                "artefact_damaged",
                f"the vocabularies of the model cannot be read: {error}",
                hint="Train it again with shoal train SHOP, or restore it from a backup.",
            ) from error

    @classmethod
    def _from_parts(
        cls, document: Mapping[str, Any], arrays: Mapping[str, Array], text: TextFeatures
    ) -> Self:
        names = {name: Names.from_document(one) for name, one in document["names"].items()}
        items = ItemTable(
            names["item"].known,
            {name: arrays[f"items.{name}"] for name in (*CONTENT, "price_bucket", "text")},
            arrays["items.price"],
            arrays["items.counts"],
            arrays["items.texts"],
        )
        return cls(
            names,
            document["price_median"],
            np.array(document["price_edges"], dtype=np.float64),
            items,
            tuple(document["titles"]),
            text,
            document["currency"],
            TokenSettings(**document["settings"]),
        )
