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

    def _repr_html_(self) -> str:
        from shoal.report.notebook import facts

        shown = {name: value for name, value in self.as_document().items() if name != "fit"}
        fit = {"loss": self.document["fit"]["losses"], "stopped": self.document["fit"]["stopped"]}
        return facts(f"Behaviour model {self.model_id}", shown | fit)
