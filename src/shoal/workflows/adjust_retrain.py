"""Train the behaviour model on, and let segments on it be judged before either goes live.

A training takes long, so it runs before the look and without the shop's lease: from the live model,
with replay of old customers (`shoal.workflows.train`), until the moment of the look. What is asked
is written down first, so that a killed training is gone on with. The trained model then lies there
unnamed: the look fits segments on it and decides; `shoal.workflows.adjust_publish` names it
together with its segments, or drops it with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shoal.adjust.adjustment import EMBEDDING
from shoal.adjust.settings import AdjustSettings
from shoal.domain.errors import ShoalError, UsageError
from shoal.domain.text import Text
from shoal.domain.time import DAY_US, iso, parse_moment, to_us
from shoal.features.span import customer_events
from shoal.workflows import adjust_state
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.train_result import forgotten, losses_of

if TYPE_CHECKING:
    from shoal.workflows.adjust import Ground

#: Setting that holds the retraining under way, as JSON; empty: none is.
UNDER_WAY: Final = "adjust.retrain"
#: Setting with the moment of the last one that was asked for.
ASKED_AT: Final = "adjust.retrain.at"

GROWTH: Final = "growth"
DAYS: Final = "days"
HARM: Final = "harm"

#: What keeps a model from being trained on, and nothing else from going on.
_HARMLESS: Final = frozenset(
    {"missing_extra", "training_diverged", "too_little_data", "model_mismatch", "no_device",
     "out_of_memory", "unknown_model"}
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A model that was trained on and is not named yet.

    Args:
        model: ready to embed.
        was: id of the one that it goes on from.
        due: why: `growth`, `days` or `harm`.
        evidence: losses before and after, and what was forgotten, as JSON.
    """

    model: ModelInUse
    was: str
    due: str
    evidence: Mapping[str, Any]


def due_of(
    ground: Ground, document: Mapping[str, Any], model: ModelInUse, moment: datetime, version: int
) -> str | None:
    """Why the model should be trained on; None: it should not.

    Args:
        document: of the latest look; empty where there was none.
    """
    dials: AdjustSettings = ground.dials
    told = model.found.document
    asked_at = ground.store.get_settings().get(ASKED_AT)
    if asked_at and _days(parse_moment(asked_at), moment) < dials.challenger_days:
        return None
    harmed = [one for one in document.get("alarms", ()) if one["harmful"]]
    if any(one["subject"] == EMBEDDING for one in harmed):
        return HARM
    trained_until = parse_moment(told["trained_until"])
    if dials.retrain_days and _days(trained_until, moment) >= dials.retrain_days:
        return DAYS
    if dials.retrain_growth:
        counted = ground.admission.at(moment, version=version)
        came = customer_events(counted, trained_until, moment, version=version)
        if came >= dials.retrain_growth * max(int(told["events"]), 1):
            return GROWTH
    return None


def trained_on(
    ground: Ground, model: ModelInUse, due: str | None, moment: datetime
) -> tuple[Trained | None, tuple[Text, ...]]:
    """The model trained on, if it is due or one is under way, and what a person should know.

    Raises:
        OperationError: `shop_locked`, the same training is under way; `interrupted`, `disk_full`:
            the next look goes on with it.
    """
    under_way = _under_way(ground, model)
    if under_way is None:
        if due is None:
            return None, ()
        under_way = {"was": model.model_id, "until": iso(moment), "due": due, "model_id": None}
        _note(ground, under_way)
        ground.store.put_setting(ASKED_AT, iso(moment))
    try:
        model_id = under_way["model_id"] or _train(ground, under_way)
        found = _read(ground, model_id)
    except ShoalError as error:
        if error.code not in _HARMLESS:
            raise
        _note(ground, None)
        return None, (_went_wrong(error),)
    _note(ground, {**under_way, "model_id": model_id})
    document = found.found.document
    evidence = {
        "due": under_way["due"], "was": under_way["was"], "model_id": model_id,
        "losses": dict(losses_of(document)), "losses_before": dict(losses_of(model.found.document)),
        "forgotten": [
            {"loss": name, "before": before, "after": after}
            for name, before, after in forgotten(document)
        ],
    }  # fmt: skip
    return Trained(found, under_way["was"], under_way["due"], evidence), ()


def _under_way(ground: Ground, model: ModelInUse) -> dict[str, Any] | None:
    """The retraining that was begun; one of a model that is not in use any more is none."""
    told = ground.store.get_settings().get(UNDER_WAY)
    if not told:
        return None
    found: dict[str, Any] = json.loads(told)
    return found if found["was"] == model.model_id else None


def _note(ground: Ground, told: Mapping[str, Any] | None) -> None:
    ground.store.put_setting(UNDER_WAY, "" if told is None else json.dumps(told))


def _train(ground: Ground, under_way: Mapping[str, Any]) -> str:
    """Go on with the training that was interrupted, or begin it; the model's id."""
    from shoal.workflows.train import train
    from shoal.workflows.train_call import Asked

    assert ground.work_dir is not None
    asked = Asked(until=under_way["until"], warm_start=under_way["was"])
    told: dict[str, Any] = {
        "warehouse": ground.warehouse, "store": ground.store, "registry": ground.registry,
        "fold": ground.fold, "admission": ground.admission, "work_dir": ground.work_dir,
        "text_cache": ground.text_cache, "settings": ground.behaviour, "asked": asked,
        "promote": False, "progress": ground.progress,
    }  # fmt: skip
    try:
        return train(**told, resume=True).model_id
    except UsageError as error:
        if error.code != "nothing_to_resume":
            raise
    return train(**told).model_id


def _read(ground: Ground, model_id: str) -> ModelInUse:
    from shoal.model import artefact

    return ModelInUse(artefact.read(ground.registry, model_id), ground.fold.rules)


def dropped(ground: Ground, trained: Trained) -> None:
    """Remove a model that does not go live."""
    from shoal.model import artefact

    ground.registry.remove(artefact.KIND, trained.model.model_id)
    _note(ground, None)


def forget(ground: Ground) -> None:
    """Let no retraining be under way: its model waits for a person."""
    _note(ground, None)


def settle(ground: Ground, model_id: str, now: datetime) -> None:
    """Let the pointer name a model; inside the transaction that puts its segments in force."""
    from shoal.model import artefact

    ground.store.set_pointer(artefact.MAIN, model_id, now)
    ground.store.put_setting(UNDER_WAY, "")


def latest_document(ground: Ground) -> dict[str, Any]:
    """What is told of the latest look; empty before the first."""
    looks = adjust_state.looks(ground.registry, ground.store)
    told = [one for one in looks if one.get("kind") == "look"]
    return told[-1] if told else {}


def _went_wrong(error: ShoalError) -> Text:
    return Text(
        f"The behaviour model was not trained on: {error.message}. Segments go on with the one "
        "there is.",
        f"行为模型未能继续训练：{error.message}。分群沿用现有模型。",
    )


def _days(since: datetime, until: datetime) -> float:
    return (to_us(until) - to_us(since)) / DAY_US
