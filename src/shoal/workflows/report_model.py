"""What a report tells of the behaviour model: one customer a segment, and what is seen of them."""

from __future__ import annotations

from typing import Final

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import parse_moment
from shoal.features.queries import Rules
from shoal.ports import Registry, StateStore
from shoal.report.document import ReportDocument
from shoal.report.document_model import ModelSeen
from shoal.segments.artefact import SegmentationArtefact
from shoal.workflows.admission import Admission
from shoal.workflows.embed import current
from shoal.workflows.embedded import has_model
from shoal.workflows.rests_on import rests_on

#: Segments of which a customer is shown at most, and events of each: a page is read, not searched.
MOST_SEGMENTS: Final = 8
MOST_EVENTS: Final = 40


def model_seen(
    store: StateStore,
    registry: Registry,
    admission: Admission,
    rules: Rules,
    main: SegmentationArtefact,
    document: ReportDocument,
) -> ModelSeen | None:
    """What a model sees of the customers nearest the middle of the segments.

    It is the model that the segments were made on, else the shop's current one; at the moment that
    the segmentation speaks of, in the order of the document's segments. None for a shop without a
    model; a model that cannot be used spoils no report.
    """
    made_on = main.document.get("model_id")
    if made_on is None and not has_model(store):
        return None
    from shoal.model import artefact  # loads torch

    model_id = made_on or str(store.get_pointer(artefact.MAIN))
    moment = parse_moment(main.document["as_of"])
    try:
        found = current(store, registry, model_id)
        names = _examples(main, document)
        told = rests_on(
            admission.at(moment), found, rules, moment, list(names.values()), most=MOST_EVENTS
        )
    except (OperationError, UsageError):
        return ModelSeen(model_id, moment, readable=False)
    return ModelSeen(
        found.model_id,
        found.trained_until,
        foreknown=found.trained_until > moment,
        examples={name: told[one] for name, one in names.items() if one in told},
    )


def _examples(main: SegmentationArtefact, document: ReportDocument) -> dict[str, str]:
    """The customer nearest the middle of each segment, by segment."""
    nearest = {
        one["segment_id"]: one["exemplars"][0]["customer_id"]
        for one in main.profiles["segments"]
        if one["exemplars"]
    }
    shown = [one.segment_id for one in document.segments if one.segment_id in nearest]
    return {name: nearest[name] for name in shown[:MOST_SEGMENTS]}
