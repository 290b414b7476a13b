"""The behaviour model that segments are made on: which one, and its embeddings at a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.domain.errors import UsageError
from shoal.features.fold import Fold
from shoal.features.queries import Rules
from shoal.ports import EventTable, Registry, StateStore
from shoal.segments.inputs import BOTH, EMBEDDING, FEATURES, ON

if TYPE_CHECKING:
    from shoal.model.artefact import ModelArtefact


@dataclass(frozen=True)
class ModelInUse:
    """A model, ready to embed customers as they were at any moment."""

    found: ModelArtefact
    rules: Rules

    @property
    def model_id(self) -> str:
        return self.found.model_id

    def embeddings(
        self,
        counted: EventTable,
        moment: datetime,
        *,
        version: int | None = None,
        customers: Sequence[str] | None = None,
    ) -> pa.Table:
        """`customer_id`, `e0`, ... of customers with an event before the moment."""
        from shoal.workflows.embed import embeddings

        return embeddings(
            counted, self.found, self.rules, moment, version=version, customers=customers
        )


def in_use(
    store: StateStore, registry: Registry, fold: Fold, on: str | None
) -> tuple[str, ModelInUse | None]:
    """What to make segments on, and the model it takes.

    Args:
        on: one of `ON`; None: both where the shop has a model, else features.

    Raises:
        UsageError: `unknown_input`, no such input; `unknown_model`, the shop has no model.
        OperationError: `artefact_damaged`, `model_mismatch`.
    """
    if on is not None and on not in ON:
        raise UsageError(
            "unknown_input",
            f"segments cannot be made on {on!r}",
            hint=f"Allowed: {', '.join(ON)}.",
        )
    if on == FEATURES or (on is None and not has_model(store)):
        return FEATURES, None
    from shoal.workflows.embed import current

    return on or BOTH, ModelInUse(current(store, registry), fold.rules)


def has_model(store: StateStore) -> bool:
    """Whether the shop has a current behaviour model."""
    return store.get_pointer("model.main") is not None


def of_segmentation(
    document: Mapping[str, Any], registry: Registry, fold: Fold
) -> ModelInUse | None:
    """The model that a segmentation was made on; None where it was made on features alone.

    Raises:
        UsageError: `unknown_model`, the model is gone.
        OperationError: `artefact_damaged`.
    """
    if document.get("on", FEATURES) not in (EMBEDDING, BOTH):
        return None
    from shoal.model import artefact

    return ModelInUse(artefact.read(registry, str(document["model_id"])), fold.rules)
