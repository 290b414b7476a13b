"""What a training gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SCHEMA: Final = "shoal.train/1"

#: What `shoal.train/1` tells of a model's document.
_SHOWN: Final = (
    "model_id", "recipe", "backbone", "text", "until", "trained_until", "table_version", "seed",
    "device", "customers", "events", "parameters", "fit", "tuning", "warm_start", "created_at",
)  # fmt: skip


_BEFORE: Final = " before"
_AFTER: Final = " after"


@dataclass(frozen=True)
class TrainResult:
    """The model that was published, and what a person should know."""

    model_id: str
    document: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.train/1`."""
        told = {"model_id": self.model_id, **self.document}
        shown = {name: told[name] for name in _SHOWN}
        return {"schema": SCHEMA, **shown, "warnings": list(self.warnings)}

    @property
    def losses(self) -> Mapping[str, float]:
        """`total` and each objective's, as `losses_of` says."""
        return losses_of(self.document)

    def _repr_html_(self) -> str:
        from shoal.report.notebook import facts

        shown = {name: value for name, value in self.as_document().items() if name != "fit"}
        fit = {"loss": self.losses["total"], "stopped": self.document["fit"]["stopped"]}
        return facts(f"Behaviour model {self.model_id}", shown | fit)


def losses_of(document: Mapping[str, Any]) -> Mapping[str, float]:
    """A model's losses on the last days, which it did not train on; without such, in training."""
    found: Mapping[str, float] = document.get("fit", {}).get("losses", {})
    return {name: value for name, value in found.items() if "." not in name}


def forgotten(document: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Losses on the time before a warm start, by the model before and by this one: name, two."""
    found: Mapping[str, float] = document["fit"]["forgetting"] or {}
    names = [one.removesuffix(_BEFORE) for one in found if one.endswith(_BEFORE)]
    return [
        (name, found[f"{name}{_BEFORE}"], found[f"{name}{_AFTER}"])
        for name in names
        if "." not in name
    ]
