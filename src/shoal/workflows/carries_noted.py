"""How far the kept states of behaviour models are: a note a model, among the settings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Final

from shoal.ports import StateStore

#: Settings with the notes begin so; the model's id follows.
PREFIX: Final = "carries."


@dataclass(frozen=True)
class Noted:
    """How far a model's carries are.

    Args:
        stamp: what made them (model, vocabularies, layout); carries of another are not read.
        version: of the event table, up to which every carry holds its customer's events.
        unfinished: versions that were begun and not finished; a carry may say that it is that far.
    """

    stamp: str
    version: int = -1
    unfinished: tuple[int, ...] = ()


def noted(store: StateStore, model_id: str) -> Noted | None:
    """The note of a model; None where nothing of it is kept."""
    told = store.get_settings().get(PREFIX + model_id)
    if not told:
        return None
    document = json.loads(told)
    return Noted(document["stamp"], document["version"], tuple(document["unfinished"]))


def note(store: StateStore, model_id: str, told: Noted) -> None:
    """Let this be the note of a model."""
    store.put_setting(PREFIX + model_id, json.dumps(asdict(told)))


def versions(store: StateStore) -> list[int]:
    """Versions of the event table that carries have yet to follow."""
    told = [told for key, told in store.get_settings().items() if key.startswith(PREFIX) and told]
    found = [json.loads(one) for one in told]
    named = [version for one in found for version in (one["version"], *one["unfinished"])]
    return [version for version in named if version >= 0]


def drop_others(store: StateStore, in_use: Iterable[str]) -> None:
    """Remove what is kept for models that nothing uses any more."""
    wanted = {PREFIX + model_id for model_id in in_use}
    for key, told in store.get_settings().items():
        if key.startswith(PREFIX) and told and key not in wanted:
            with store.transaction():
                store.carries.delete(key.removeprefix(PREFIX), None)
                store.put_setting(key, "")


def follow_erasure(store: StateStore, before: int, after: int) -> None:
    """Let carries that held a version of the table hold the one that an erasure made of it.

    Of those who stay nothing changed, or their states, and the carries with them, are made anew.
    Inside the caller's transaction.
    """
    for key, told in store.get_settings().items():
        if key.startswith(PREFIX) and told:
            model_id = key.removeprefix(PREFIX)
            known = noted(store, model_id)
            if known is not None and known.version == before and not known.unfinished:
                note(store, model_id, replace(known, version=after))
