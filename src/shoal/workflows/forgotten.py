"""Who must not come back, and who is on the way out: for whoever brings rows in or reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from shoal.events.raw_ids import texts_of
from shoal.events.tombstones import Tombstones, fingerprint
from shoal.ports import StateStore

if TYPE_CHECKING:
    from shoal.events.mapping import SourceMapping
    from shoal.events.privacy import Privacy

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


def tombstones_of(store: StateStore, privacy: Privacy | None = None) -> Tombstones:
    """The shop's forgotten; empty and free of cost where there are none.

    Args:
        privacy: what the shop hides; None: nothing.
    """
    spans = store.erasures.tombstones()
    if not spans:
        return Tombstones()
    return Tombstones(store.erasures.key(), spans, texts_of if privacy is None else privacy.ids_in)


def fingerprints_by_person(owners: Iterable[tuple[str, str]], key: bytes) -> list[list[str]]:
    """The fingerprints of each person's own ids, the customer's first, in an order of their own.

    Args:
        owners: ids that are a customer's alone, and the customer.
    """
    found: dict[str, list[str]] = {}
    for name, owner in owners:
        own = found.setdefault(owner, [])
        if name != owner:
            own.append(fingerprint(key, name))
    return sorted([fingerprint(key, owner), *sorted(own)] for owner, own in found.items())


def to_lift(store: StateStore, ids: Sequence[str]) -> list[str]:
    """The fingerprints that go when some ids may come back.

    With a customer's go those of the person's other ids, for nobody knows these any more; but not
    those of an id that was also another person's who is to stay out.
    """
    key, standing = store.erasures.key(), store.erasures.tombstones()
    asked = {fingerprint(key, one) for one in ids}
    stretches = {fingerprint(key, one, shared=True) for one in ids}
    people = [one for receipt in store.erasures.receipts() for one in _people_of(receipt)]
    back = {name for one in people if one[0] in asked for name in one}
    out = {name for one in people if one[0] not in asked and one[0] in standing for name in one}
    return sorted(asked | stretches | (back - out))


def _people_of(receipt: Mapping[str, Any]) -> list[list[str]]:
    return list(receipt.get("persons", ()))


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
