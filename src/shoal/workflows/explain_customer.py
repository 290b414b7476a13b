"""Why a customer is in their segment, why not in the next one, and what would move them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from shoal.domain.errors import UsageError
from shoal.domain.time import iso
from shoal.features.snapshot import latest_moment
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER
from shoal.segments.explain.customer import about
from shoal.segments.explain.move import Asked
from shoal.workflows import reference
from shoal.workflows.advance import InForce, margin_of, placed
from shoal.workflows.canary import kept, placing
from shoal.workflows.catch_up import states_are_of
from shoal.workflows.embedded import of_segmentation
from shoal.workflows.explain import Explaining
from shoal.workflows.known import Known, from_states, one_from_events
from shoal.workflows.memberships import current, fold_warning, late_warning
from shoal.workflows.rule_columns import Asking, asks_more, with_rules

SCHEMA: Final = "shoal.explain_customer/1"


def explain_customer(
    explaining: Explaining,
    customer_id: str,
    *,
    segmentation: str | None = None,
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """The document `shoal.explain_customer/1`.

    Args:
        customer_id: also an anonymous id that belongs to somebody.
        as_of: what was known before T; None: now.

    Raises:
        UsageError: `unknown_customer`, `unknown_segmentation`.
    """
    moment = as_of or latest_moment(explaining.warehouse)
    asked = explaining.admission.customer_of(customer_id, as_of)
    version = segmentation or placing(explaining.store, asked, moment)
    found = current(explaining.store, explaining.registry, version)
    known = _known(explaining, found, customer_id, moment, as_of)
    row = known.table(found.vocabulary)
    told = Asked(
        found, explaining.told(found), explaining.fold.catalog, known.features, known.counts, row,
        margin_of(found), _where(explaining, found, row, moment),
    )  # fmt: skip
    head = {
        "schema": SCHEMA,
        "customer_id": known.features["customer_id"][0].as_py(),
        "as_of": iso(moment),
        "segmentation_id": found.segmentation_id,
        "method": found.document["method"],
    }
    warnings = [*late_warning(found, moment), *fold_warning(found.document, explaining.fold)]
    return {**head, **about(told), "warnings": warnings}


def _where(
    explaining: Explaining, found: SegmentationArtefact, row: pa.Table, moment: datetime
) -> str:
    """The segment that a customer is in: the recorded one until the margin is overcome."""
    recorded = explaining.store.get_memberships(
        kept(explaining.store, found.segmentation_id),
        customers=row[CUSTOMER].to_pylist(),
        as_of=moment,
    )
    weights = found.segmenter.transform(row)
    members, _ = placed(row[CUSTOMER], weights, InForce.of(found), recorded, moment)
    return str(members["segment_id"][0].as_py())


def _known(
    explaining: Explaining,
    found: SegmentationArtefact,
    asked: str,
    moment: datetime,
    as_of: datetime | None,
) -> Known:
    """What is known of a customer: of the stored state, or of the events before the moment."""
    customer_id = explaining.admission.customer_of(asked, as_of)
    fold, store = explaining.fold, explaining.store
    items = reference.read(explaining.registry, found.document["reference_id"])
    if as_of is None and states_are_of(fold, store):
        known = from_states(store, fold, explaining.zone, [customer_id], moment, items)
    else:
        counted = explaining.admission.at(moment)
        known = one_from_events(counted, fold, explaining.zone, customer_id, moment, items)
    if not known.features.num_rows:
        raise UsageError(
            "unknown_customer",
            f"the shop knows no customer {asked!r}"
            + ("" if as_of is None else f" with an event before {iso(moment)}"),
            where=asked,
            hint="Ids are case-sensitive texts; shoal memberships lists them all.",
        )
    model = of_segmentation(found.document, explaining.registry, fold)
    if model is not None:
        counted = explaining.admission.at(moment)
        own = model.embeddings(counted, moment, customers=[customer_id])
        known = replace(known, embeddings=own)
    if asks_more(found.segmenter):
        counted = explaining.admission.at(moment)
        asking = Asking(counted, fold, explaining.zone, explaining.registry, store)
        known = with_rules(found.segmenter, known, asking, few=True)
    return known
