"""A trained model told of and published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shoal.domain.errors import OperationError
from shoal.domain.time import Clock, iso
from shoal.domain.version import __version__
from shoal.features.fold import Fold
from shoal.features.tokens import Tokenizer
from shoal.model.config import Recipe
from shoal.ports import Registry, StateStore
from shoal.workflows.model_card import card
from shoal.workflows.train_call import VERSION, rules_document
from shoal.workflows.train_data import TrainData
from shoal.workflows.train_site import Site

if TYPE_CHECKING:
    from shoal.model.behaviour import BehaviourModel
    from shoal.model.train import TrainingLog


def document_of(
    call: Mapping[str, Any],
    settings: Mapping[str, Any],
    fold: Fold,
    data: TrainData,
    recipe: Recipe,
    model: BehaviourModel,
    log: TrainingLog,
    tuning: Mapping[str, Any] | None,
    device: str,
) -> dict[str, Any]:
    """What is told of a model, but for its id and the moment at which it is published."""
    from shoal.model.device import torch_version

    rules = fold.rules
    return {
        "recipe": recipe.name,
        "backbone": recipe.model.backbone,
        "text": call["text"],
        "until": call["until"],
        "trained_until": call["until"],
        "table_version": settings[VERSION],
        "fold_fingerprint": fold.fingerprint,
        "tokenizer_fingerprint": data.tokenizer.fingerprint,
        "rules": rules_document(rules),
        "value_event": rules.value_event,
        "seed": call["seed"],
        "device": device,
        "train": recipe.train.to_document(),
        "customers": len(data.sequences),
        "events": data.sequences.events,
        "items": len(data.tokenizer.items),
        "parameters": model.parameters_count,
        "fit": log.as_document(),
        "tuning": tuning,
        "warm_start": call["warm_start"],
        "code_version": __version__,
        "torch_version": torch_version(),
    }


def publish(
    store: StateStore,
    registry: Registry,
    site: Site,
    tokenizer: Tokenizer,
    model: BehaviourModel,
    document: dict[str, Any],
    heads: Mapping[str, Any],
    clock: Clock,
    *,
    promote: bool = True,
) -> str:
    """Write the artefact and let `model.main` name it, under the shop's lease; its id.

    The document gets `created_at`.

    Args:
        promote: whether it is to be named; else it only lies there.

    Raises:
        OperationError: `shop_locked`, `disk_full`, `no_permission`: nothing is lost;
            `interrupted`, somebody was forgotten meanwhile.
    """
    from shoal.model.artefact import MAIN, write

    try:
        with store.lease():
            site.check()
            document["created_at"] = iso(clock())
            model_id = write(
                registry, model, tokenizer.to_document(), tokenizer.to_arrays(), document,
                card(document), heads,
            )  # fmt: skip
            if promote:
                store.set_pointer(MAIN, model_id, clock())
    except OperationError as error:
        if error.code == "interrupted":
            raise
        raise OperationError(
            error.code,
            f"the model is trained and not published yet: {error.message}",
            where=error.where,
            hint=f"{error.hint} Then: shoal train SHOP --resume, which publishes it.".strip(),
        ) from error
    return model_id
