"""Who must not come back, and who is on the way out: for whoever brings rows in or reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.events.tombstones import Tombstones
from shoal.ports import StateStore

if TYPE_CHECKING:
    from shoal.events.mapping import SourceMapping

#: Setting that says whether the state store's files must still be cleared of what was deleted.
SCRUB: Final = "scrub"
DUE: Final = "due"

_IDS: Final = ("customer_id", "anonymous_id")


def unfinished(store: StateStore) -> bool:
    """Whether a kill left an erasure under way."""
    return bool(store.erasures.pending()) or store.get_settings().get(SCRUB) == DUE


def hidden(store: StateStore) -> list[str]:
    """Ids of persons whose erasure is under way: nobody sees anything of them any more."""
    return [name for _, document in store.erasures.pending() for name in document["own"]]


def tombstones_of(store: StateStore) -> Tombstones:
    """The shop's forgotten; empty and free of cost where there are none."""
    spans = store.erasures.tombstones()
    return Tombstones(store.erasures.key(), spans) if spans else Tombstones()


def id_columns(mapping: SourceMapping) -> tuple[str, ...]:
    """The columns of a source from which its mapping reads ids of visitors."""
    found = [
        name
        for one in (mapping, *mapping.layouts)
        for columns in (one.columns, one.optional)
        for canonical in _IDS
        for name in columns.get(canonical, ())
    ]
    return tuple(dict.fromkeys(found))
