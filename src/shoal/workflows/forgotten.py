"""Who must not come back: the shop's tombstones, for whoever brings rows in."""

from __future__ import annotations

from shoal.events.tombstones import Tombstones
from shoal.ports import StateStore


def unfinished(store: StateStore) -> bool:
    """Whether a kill left an erasure under way."""
    return bool(store.erasures.pending()) or store.get_settings().get("scrub") == "due"


def tombstones_of(store: StateStore) -> Tombstones:
    """The shop's forgotten; empty and free of cost where there are none."""
    spans = store.erasures.tombstones()
    return Tombstones(store.erasures.key(), spans) if spans else Tombstones()
