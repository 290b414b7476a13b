"""Probe: how good a behaviour model's embeddings are, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.domain.time import Zone, iso
from shoal.evaluation.nearest import alike, nearest
from shoal.evaluation.shape import shape_of
from shoal.features.algebra import CUSTOMER
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment, snapshot_table
from shoal.features.tokens import Tokenizer
from shoal.ports import EventTable, Registry, StateStore, Warehouse
from shoal.report.document_model import RestsOn
from shoal.workflows.admission import Admission
from shoal.workflows.embed import current, embeddings, late_warning, tokenizer_of
from shoal.workflows.models import check
from shoal.workflows.probe_foretell import MOST_CUSTOMERS, Foreteller, numbers, window
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.rests_on import rests_on

if TYPE_CHECKING:
    from shoal.model.artefact import ModelArtefact

SCHEMA: Final = "shoal.probe/1"

#: Neighbours that are told.
NEAREST: Final = 10
#: Items of which the neighbours are looked at, drawn by the seed.
_ITEMS_ASKED: Final = 2_000
#: Facts of a customer that are told beside the id.
_FACTS: Final = ("events", "orders", "top_category")


def probe(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    model: str | None = None,
    as_of: datetime | None = None,
    horizon_days: int | None = None,
    customer: str | None = None,
    item: str | None = None,
    seed: int = 0,
    version: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The JSON document `shoal.probe/1`.

    With a customer or an item, only that one is told of: `foretelling`, `shape` and `items` are
    null. Without, the embeddings are probed: `customer` and `item` are null.

    Args:
        model: its id; None for the current one.
        as_of: T, aware; None for just after the latest event.
        horizon_days: H; outcomes are those of [T - H, T). None: 28, or a quarter of a shorter log.
        customer: id of whom to tell what the embedding rests on, and who lies nearest.
        item: id of an item to tell the nearest ones of.
        seed: of the halves, the customers drawn and the intervals.
        version: of the event table; None for the latest.

    Raises:
        UsageError: `unknown_model`, `unknown_customer`, `unknown_item`, `bad_period`;
            `model_mismatch`, the shop's rules are others than when it was trained.
        InputError: `too_little_data`: the log is too short, or has too few customers.
        OperationError: `artefact_damaged`, `model_mismatch`, `missing_extra`.
    """
    found = current(store, registry, model)
    check(found, fold.rules)
    moment = as_of or latest_moment(warehouse, version=version)
    job = _Probe(
        warehouse, fold, zone, admission, found, tokenizer_of(found), moment, seed, version,
        progress or NoProgress(),
    )  # fmt: skip
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "model_id": found.model_id,
        "trained_until": iso(found.trained_until),
        "as_of": iso(moment),
        **dict.fromkeys(("foretelling", "shape", "items", "customer", "item")),
        "warnings": [],
    }
    if customer is not None:
        document["customer"] = job.customer(customer)
        document["warnings"] += late_warning(found, moment)
    if item is not None:
        document["item"] = job.item(item)
    if customer is None and item is None:
        document.update(job.whole(horizon_days))
        document["warnings"] += _warnings(document, found)
    return document


def _warnings(document: dict[str, Any], found: ModelArtefact) -> list[str]:
    said = []
    foretelling, shape = document["foretelling"], document["shape"]
    if foretelling["seen_in_training"]:
        said.append(
            f"{found.model_id} was trained until {iso(found.trained_until)} and has seen the "
            f"window from {foretelling['from']}: what it foretells there is no honest figure. "
            f"Train one with: shoal train SHOP --until {foretelling['from']}"
        )
    if shape["collapsed"]:
        said.append(
            f"the embeddings have collapsed: their effective rank is {shape['effective_rank']:.1f} "
            f"of {shape['dimensions']} dimensions, less than {shape['needed']:.1f}"
        )
    said += [f"{one['task']} was not asked: {one['why']}" for one in foretelling["skipped"]]
    return said


@dataclass
class _Probe:
    """One run."""

    warehouse: Warehouse
    fold: Fold
    zone: Zone
    admission: Admission
    found: ModelArtefact
    tokenizer: Tokenizer
    moment: datetime
    seed: int
    version: int | None
    progress: Progress

    # -- all customers -----------------------------------------------------------------------------

    def whole(self, horizon_days: int | None) -> dict[str, Any]:
        """What the embeddings foretell, how they lie, and what items lie near each other."""
        span = window(self.warehouse, self.moment, horizon_days, self.version)
        foreteller = Foreteller(
            self.warehouse, self.fold, self.zone, self.admission, self.found, span, self.seed,
            self.version, self.progress,
        )  # fmt: skip
        return {
            "foretelling": foreteller.document(),
            "shape": self._shape(foreteller.customers),
            "items": self._items(),
        }

    def _shape(self, customers: pa.Array) -> dict[str, Any]:
        drawn = np.random.default_rng(self.seed).permutation(len(customers))[:MOST_CUSTOMERS]
        table = embeddings(
            self._counted(), self.found, self.fold.rules, self.moment, version=self.version,
            customers=customers.take(pa.array(np.sort(drawn))).to_pylist(),
            progress=self.progress,
        )  # fmt: skip
        return shape_of(numbers(table)).as_document()

    def _items(self) -> dict[str, Any] | None:
        """Whether items of a category lie together; None of a model that knows no item."""
        if not len(self.tokenizer.items):
            return None
        labels = np.asarray(self.tokenizer.items.codes["category1"], np.int64)
        weights = self.found.model.encoder.items.item.weight
        ids = weights[1 : len(labels) + 1].detach().double().cpu().numpy()
        views = {"same_category": self._item_vectors(), "same_category_by_id": ids}
        told = {
            name: alike(vectors, labels, NEAREST, _ITEMS_ASKED, self.seed)
            for name, vectors in views.items()
        }
        return {
            "known": len(labels),
            **{name: None if one is None else one.as_document() for name, one in told.items()},
        }

    # -- one customer ------------------------------------------------------------------------------

    def customer(self, asked: str) -> dict[str, Any]:
        """What one customer's embedding rests on, and who lies nearest."""
        customer_id = self.admission.customer_of(asked, self.moment)
        counted = self._counted()
        told = rests_on(
            counted, self.found, self.fold.rules, self.moment, [customer_id], version=self.version
        )
        if not told:
            raise UsageError(
                "unknown_customer",
                f"the shop knows no customer {asked!r} with an event before {iso(self.moment)}",
                where=asked,
                hint="Ids are case-sensitive texts; shoal memberships lists them all.",
            )
        return {
            "customer_id": customer_id,
            "events": told[customer_id].total,
            "rests_on": _as_document(told[customer_id]),
            "nearest": self._nearest_customers(counted, customer_id),
        }

    def _nearest_customers(self, counted: EventTable, customer_id: str) -> list[dict[str, Any]]:
        table = embeddings(
            counted, self.found, self.fold.rules, self.moment, version=self.version,
            progress=self.progress,
        )  # fmt: skip
        ids = table[CUSTOMER].combine_chunks()
        own = int(pc.index(ids, customer_id).as_py())
        rows, cosines = nearest(numbers(table), own, NEAREST)
        features = snapshot_table(
            counted, self.fold, zone=self.zone, as_of=self.moment, version=self.version
        )
        near = ids.take(pa.array(rows))
        facts = features.take(pc.index_in(near, features[CUSTOMER].combine_chunks()))
        return [
            {CUSTOMER: name, "cosine": float(cosine), **{one: fact[one] for one in _FACTS}}
            for name, cosine, fact in zip(near.to_pylist(), cosines, facts.to_pylist(), strict=True)
        ]

    # -- one item ----------------------------------------------------------------------------------

    def item(self, item_id: str) -> dict[str, Any]:
        """The nearest items of one that the model knows by id."""
        known = self.tokenizer.items.item_ids
        if item_id not in known:
            raise UsageError(
                "unknown_item",
                f"{self.found.model_id} knows no item {item_id!r} by its id",
                where=item_id,
                hint=f"It knows {len(known):,} items: the commonest of those with "
                f"{self.tokenizer.settings.least} events or more when it was trained.",
            )
        row = known.index(item_id)
        rows, cosines = nearest(self._item_vectors(), row, NEAREST)
        near = [
            {**self._item(int(one)), "cosine": float(cosine)}
            for one, cosine in zip(rows, cosines, strict=True)
        ]
        return {**self._item(row), "nearest": near}

    def _item_vectors(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        vectors = self.found.model.item_vectors()
        return np.asarray(vectors.detach().double().cpu().numpy())

    def _item(self, row: int) -> dict[str, Any]:
        """An item by its place, with its words; the category is as deep as the model knows it."""
        category = None
        for level in (1, 2, 3):
            code = int(self.tokenizer.items.codes[f"category{level}"][row])
            names = self.tokenizer.names[f"category{level}"].known
            category = names[code - 1] if 0 < code <= len(names) else category
        return {
            "item_id": self.tokenizer.items.item_ids[row],
            "title": self.tokenizer.titles[row] or None,
            "category": category,
        }

    def _counted(self) -> EventTable:
        return self.admission.at(self.moment, version=self.version)


def _as_document(one: RestsOn) -> dict[str, Any]:
    """Events, oldest first, and fields, the weightiest first, as JSON."""
    events = [
        {
            "time": iso(event.moment),
            "kind": event.kind,
            "item_id": event.item_id or None,
            "title": event.title or None,
            "category": event.category or None,
            "occlusion": event.occlusion,
            "gradient": event.gradient,
        }
        for event in one.events
    ]
    fields = dict(sorted(one.fields.items(), key=lambda each: (-each[1], each[0])))
    return {"events": events, "fields": fields}
