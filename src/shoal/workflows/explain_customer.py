"""Why a customer is in their segment, why not in the next one, and what would move them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.time import iso
from shoal.features.snapshot import latest_moment
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.explain.customer import Asked, about
from shoal.workflows import reference
from shoal.workflows.catch_up import states_are_of
from shoal.workflows.embedded import of_segmentation
from shoal.workflows.explain import Explaining
from shoal.workflows.known import from_states, one_from_events
from shoal.workflows.memberships import current, fold_warning, late_warning
from shoal.workflows.segment_learn import Known

SCHEMA: Final = "shoal.explain_customer/1"


def explain_customer(
    explaining: Explaining,
    customer_id: str,
    *,
    segmentation: str | None = None,
    as_of: datetime | None = None,
    margin: float = 0.0,
) -> dict[str, Any]:
    """The document `shoal.explain_customer/1`.

    Args:
        customer_id: also an anonymous id that belongs to somebody.
        as_of: what was known before T; None: now.
        margin: by how much another segment has to weigh more before a customer changes.

    Raises:
        UsageError: `unknown_customer`, `unknown_segmentation`.
    """
    found = current(explaining.store, explaining.registry, segmentation)
    moment = as_of or latest_moment(explaining.warehouse)
    known = _known(explaining, found, customer_id, moment, as_of)
    told = Asked(found, explaining.told(found), explaining.fold.catalog, known.features,
                 known.counts, known.table(found.vocabulary), margin)  # fmt: skip
    head = {
        "schema": SCHEMA,
        "customer_id": known.features["customer_id"][0].as_py(),
        "as_of": iso(moment),
        "segmentation_id": found.segmentation_id,
        "method": found.document["method"],
    }
    warnings = [*late_warning(found, moment), *fold_warning(found.document, explaining.fold)]
    return {**head, **about(told), "warnings": warnings}


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
        known = replace(
            known, embeddings=model.embeddings(counted, moment, customers=[customer_id])
        )
    return known
