"""What is known of one customer: segments and since when, why there, features and tastes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.domain.errors import UsageError
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import Zone, iso
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import column
from shoal.segments.wording import amount, describe
from shoal.workflows import reference
from shoal.workflows.admission import Admission
from shoal.workflows.canary import placing
from shoal.workflows.catch_up import states_are_of
from shoal.workflows.customer_membership import Teller
from shoal.workflows.embedded import of_segmentation
from shoal.workflows.known import from_states, one_from_events
from shoal.workflows.memberships import fold_warning, late_warning
from shoal.workflows.rule_columns import Asking, asks_more, with_rules

SCHEMA: Final = "shoal.customer/1"
_REASONS: Final = 5
_TASTES: Final = 5


def customer(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    customer_id: str,
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """The JSON document `shoal.customer/1`.

    An anonymous id, or one that was merged, stands for the customer it belongs to. Without `as_of`
    the features come from the customer's stored state and the frozen reference; with it, or while
    the states are still those of other settings, from the events before the moment.

    Raises:
        UsageError: `unknown_customer`, no event of that customer (before the moment).
    """
    moment = as_of or latest_moment(warehouse)
    asked, customer_id = customer_id, admission.customer_of(customer_id, as_of)
    tried = placing(store, customer_id, moment)
    trial = None if tried is None else artefact.read(registry, tried)
    pointer = store.get_pointer(reference.POINTER)
    if trial is not None:
        pointer = str(trial.document["reference_id"])
    items = None if pointer is None else reference.read(registry, pointer)
    if as_of is None and states_are_of(fold, store):
        known = from_states(store, fold, zone, [customer_id], moment, items)
    else:
        known = one_from_events(admission.at(moment), fold, zone, customer_id, moment, items)
    features, tastes = known.features, known.counts
    if not features.num_rows:
        raise UsageError(
            "unknown_customer",
            f"the shop knows no customer {asked!r}"
            + ("" if as_of is None else f" with an event before {iso(moment)}"),
            where=asked,
            hint="Ids are case-sensitive texts; shoal memberships lists them all.",
        )
    main, *rest = map(store.get_pointer, (artefact.MAIN, artefact.RFM, artefact.RULES))
    found = [] if trial is None else [trial]
    found += [
        artefact.read(registry, one)
        for one in dict.fromkeys((main if trial is None else None, *rest))
        if one is not None
    ]
    tables = []
    for one in found:
        model = of_segmentation(one.document, registry, fold)
        own = None
        if model is not None:
            own = model.embeddings(admission.at(moment), moment, customers=[customer_id])
        whole = replace(known, embeddings=own)
        if asks_more(one.segmenter):
            asking = Asking(admission.at(moment), fold, zone, registry, store)
            whole = with_rules(one.segmenter, whole, asking, few=True)
        tables.append(whole.table(one.vocabulary))
    teller = Teller(store, registry, moment)
    placed = [teller.membership(one, table) for one, table in zip(found, tables, strict=True)]
    values = features.to_pylist()[0]
    warnings = [text for one in found for text in late_warning(one, moment)]
    warnings += [text for one in found for text in fold_warning(one.document, fold)]
    return {
        "schema": SCHEMA,
        "customer_id": customer_id,
        "as_of": iso(moment),
        "memberships": placed,
        "reasons": _reasons(found[0], placed[0], tables[0], fold) if found else [],
        "tastes": _tastes(tastes),
        "features": {
            one.name: {
                "value": values[one.name],
                "unit": one.unit,
                "group": one.group,
                "sentence": {"en": one.sentence.en, "zh": one.sentence.zh},
            }
            for one in fold.catalog
        },
        "warnings": warnings,
    }


def _reasons(
    found: SegmentationArtefact,
    placed: Mapping[str, Any],
    table: pa.Table,
    fold: Fold,
) -> list[dict[str, Any]]:
    """What sets the segment apart and holds for this customer: nearer to it than to the rest."""
    known = [one for one in found.profiles["segments"] if one["segment_id"] == placed["segment_id"]]
    if not known:
        return []
    if placed["segment_id"] == TIER_NEW:
        return [{"feature": "events", "sentence": known[0]["summary"]}]
    described = describe(fold.catalog, found.vocabulary)
    reasons = []
    for effect in known[0]["effects"]:
        name = effect["feature"]
        value = float(column(table, name)[0])
        inside, outside = effect["mean"], effect["rest_mean"]
        if np.isnan(value) or abs(value - inside) >= abs(value - outside):
            continue
        words, unit = described[name].text, effect["unit"]
        mine, own, rest = (amount(one, unit) for one in (value, inside, outside))
        sentence = {
            "en": f"{words.en}: {mine}; the segment has {own} on average, the rest {rest}.",
            "zh": f"{words.zh}：{mine}；该分群平均为 {own}，其余客户为 {rest}。",
        }
        reasons.append({"feature": name, "value": value, "sentence": sentence})
    return reasons[:_REASONS]


def _tastes(tastes: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """The commonest names of each facet with the customer's share of events."""
    found: dict[str, list[dict[str, Any]]] = {}
    rows = sorted(tastes.to_pylist(), key=lambda row: (row["facet"], -row["n"], row["value"]))
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["facet"]] = totals.get(row["facet"], 0) + row["n"]
    for row in rows:
        kept = found.setdefault(row["facet"], [])
        if len(kept) < _TASTES:
            share = row["n"] / totals[row["facet"]]
            kept.append({"name": row["value"], "events": row["n"], "share": share})
    return found
