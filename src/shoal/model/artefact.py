"""A behaviour model on disk: an immutable, versioned directory that any process can read.

model.json             shapes, training, vocabularies, moments, losses, versions
weights.safetensors    what was learned
tokenizer.safetensors  what is known of items
heads.safetensors      heads of the objectives, for training on from here; not always there
card.md                the model card, for people
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import parse_moment
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import ModelConfig
from shoal.ports import Registry

KIND: Final = "model"
STEM: Final = "behaviour"
SCHEMA: Final = "shoal.model/1"
#: Pointer to the current model.
MAIN: Final = "model.main"

DOCUMENT_FILE: Final = "model.json"
WEIGHTS_FILE: Final = "weights.safetensors"
TOKENIZER_FILE: Final = "tokenizer.safetensors"
HEADS_FILE: Final = "heads.safetensors"
CARD_FILE: Final = "card.md"


@dataclass(frozen=True)
class ModelArtefact:
    """A model read back: its document, the arrays of its tokenizer, and the model, ready to use.

    The tokenizer is made by who reads (`shoal.features.tokens.Tokenizer.from_artefact`) of
    `document["tokenizer"]` and `arrays`.
    """

    model_id: str
    document: Mapping[str, Any]
    arrays: Mapping[str, Any]
    model: BehaviourModel

    @property
    def trained_until(self) -> datetime:
        """Nothing at or after this moment was used."""
        return parse_moment(self.document["trained_until"])


def write(
    registry: Registry,
    model: BehaviourModel,
    tokenizer: Mapping[str, Any],
    arrays: Mapping[str, Any],
    document: Mapping[str, Any],
    card: str,
    heads: Mapping[str, Any] | None = None,
) -> str:
    """Publish a model; its id (`behaviour-0001`).

    Args:
        tokenizer, arrays: `Tokenizer.to_document()` and `to_arrays()`.
        document: everything else that is told of the model; it gets schema, id and shapes.
        card: Markdown for people.
        heads: weights of the objectives (`TrainingLog.heads`).

    Raises:
        OperationError: `disk_full`, `no_permission`; nothing of it is then published.
    """
    with registry.create(KIND, STEM) as directory:
        head = {"schema": SCHEMA, "model_id": directory.name, "config": model.config.to_document()}
        tail = {"sizes": model.sizes, "tokenizer": dict(tokenizer)}
        text = json.dumps(
            {**head, **document, **tail}, ensure_ascii=False, allow_nan=False, indent=1
        )
        (directory / DOCUMENT_FILE).write_text(text + "\n", encoding="utf-8")
        weights = {name: one.detach().contiguous() for name, one in model.state_dict().items()}
        save_file(weights, directory / WEIGHTS_FILE)
        plain = {name: np.ascontiguousarray(one) for name, one in arrays.items()}
        save_arrays(plain, directory / TOKENIZER_FILE)
        if heads:
            save_file(dict(heads), directory / HEADS_FILE)
        (directory / CARD_FILE).write_text(card, encoding="utf-8")
        return directory.name


def read(registry: Registry, model_id: str) -> ModelArtefact:
    """A published model, after its checksums were verified.

    Raises:
        UsageError: `unknown_model`, with the ids there are.
        OperationError: `artefact_damaged`; `shop_newer` if a newer Shoal wrote it.
    """
    known = registry.list(KIND)
    if model_id not in known:
        raise UsageError(
            "unknown_model",
            f"the shop has no model {model_id!r}",
            where=model_id,
            hint=f"Known: {', '.join(known)}." if known else "Make one with: shoal train SHOP",
        )
    directory = registry.path(KIND, model_id)
    document = read_document(directory)
    try:
        arrays = load_arrays(directory / TOKENIZER_FILE)
        items = {
            name.removeprefix("items."): one
            for name, one in arrays.items()
            if name.startswith("items.") and name != "items.counts"
        }
        model = BehaviourModel(
            ModelConfig(**document["config"]),
            document["sizes"],
            items,
            document["tokenizer"]["text"],
        )
        model.load_state_dict(load_file(directory / WEIGHTS_FILE))
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise OperationError(
            "artefact_damaged",
            f"the model {model_id} cannot be read: {error}",
            where=str(directory),
            hint="Train it again with shoal train SHOP, or restore it from a backup.",
        ) from error
    model.eval()
    return ModelArtefact(model_id, document, arrays, model)


def read_heads(registry: Registry, model_id: str) -> dict[str, Any]:
    """Weights of a model's objectives, by name; empty where they were not kept.

    Raises:
        OperationError: `artefact_damaged`.
    """
    path = registry.path(KIND, model_id) / HEADS_FILE
    return load_file(path) if path.exists() else {}


def read_document(directory: Path) -> dict[str, Any]:
    """What is told of a model.

    Raises:
        OperationError: `shop_newer`.
    """
    path = directory / DOCUMENT_FILE
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if document["schema"] != SCHEMA:
        raise OperationError(
            "shop_newer",
            f"{path.name} has the schema {document['schema']}, this version reads {SCHEMA}",
            where=str(path),
            hint="Upgrade Shoal.",
        )
    return document
