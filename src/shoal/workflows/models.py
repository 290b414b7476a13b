"""The models of a shop: which there are, which is the current one, and whether one may be used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.time import parse_moment
from shoal.ports import Registry, StateStore
from shoal.workflows.train_call import rules_document
from shoal.workflows.train_result import losses_of

if TYPE_CHECKING:
    from shoal.features.queries import Rules
    from shoal.model.artefact import ModelArtefact

SCHEMA: Final = "shoal.models/1"

_SHOWN: Final = (
    "model_id", "recipe", "backbone", "trained_until", "table_version", "customers", "events",
    "parameters", "warm_start", "created_at",
)  # fmt: skip
_RULE_NAMES: Final = {
    "value_event": "value event",
    "currency": "currency",
    "noise": "rules of noise",
    "order_sources": "sources of orders",
}


def models(*, store: StateStore, registry: Registry) -> dict[str, Any]:
    """The JSON document `shoal.models/1`: every model, oldest first, and which is current.

    `reproducible` is False for a model that has learned from events that were erased since: it
    holds nobody's id or events, and cannot be made again as it was.
    """
    from shoal.model import artefact

    current = store.get_pointer(artefact.MAIN)
    erased = [parse_moment(one["finished_at"]) for one in _with_events(store)]
    found = []
    for model_id in registry.list(artefact.KIND):
        told = artefact.read_document(registry.directory(artefact.KIND, model_id))
        made = parse_moment(told["created_at"])
        found.append(
            {name: told.get(name) for name in _SHOWN}
            | {
                "losses": dict(losses_of(told)),
                "current": model_id == current,
                "reproducible": not any(moment >= made for moment in erased),
            }
        )
    return {"schema": SCHEMA, "current": current, "models": found}


def use(*, store: StateStore, registry: Registry, model_id: str, now: datetime) -> None:
    """Make a model the current one, after its checksums were verified.

    Raises:
        UsageError: `unknown_model`.
        OperationError: `artefact_damaged`, `shop_locked`.
    """
    from shoal.model import artefact

    artefact.read(registry, model_id)
    with store.lease():
        store.set_pointer(artefact.MAIN, model_id, now)


def current_id(store: StateStore) -> str:
    """The current model.

    Raises:
        UsageError: `unknown_model`, there is none.
    """
    from shoal.model import artefact

    found = store.get_pointer(artefact.MAIN)
    if found is None:
        raise UsageError(
            "unknown_model",
            "the shop has no behaviour model yet",
            hint="Make one with: shoal train SHOP",
        )
    return found


def check(found: ModelArtefact, rules: Rules) -> None:
    """Refuse a model that reads events by other rules than the shop's are now.

    Vocabularies are the model's own (`embed.tokenizer_of` refuses those of another version), so
    nothing else of the shop decides what it makes of an event.

    Args:
        rules: the shop's (`Fold.rules`).

    Raises:
        UsageError: `model_mismatch`, with what differs.
    """
    then: Mapping[str, Any] = found.document.get("rules", {})
    now = rules_document(rules)
    differs = [
        f"the {_RULE_NAMES[name]} was {_said(then[name])} and is {_said(value)} now"
        for name, value in now.items()
        if name in then and then[name] != value
    ]
    if differs:
        raise _mismatch(found, "; ".join(differs))


def _mismatch(found: ModelArtefact, why: str) -> UsageError:
    return UsageError(
        "model_mismatch",
        f"the model {found.model_id} does not fit the shop as it is now: {why}",
        where=found.model_id,
        hint="Train a new one (shoal train SHOP), or undo the change in shop.toml.",
    )


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


def _with_events(store: StateStore) -> list[dict[str, Any]]:
    """Receipts of erasures that took events away."""
    return [one for one in store.erasures.receipts() if one["removed"]["events"]]
