"""What a shop hides, held to what it hid before: its settings, and the keys of the environment.

The shop keeps which ids it hides and a check value of the key, by which it knows the key again; the
key itself stands in the environment alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shoal.config import PrivacyConfig
from shoal.domain.errors import UsageError
from shoal.domain.secret_keys import (
    FIELD_KEYS,
    PSEUDONYM_KEY,
    field_keys,
    fields_at_hand,
    pseudonym_key,
)
from shoal.ports import StateStore

if TYPE_CHECKING:
    from shoal.events.personal import Personal
    from shoal.events.privacy import Privacy
    from shoal.events.privacy_reading import Reading

#: Setting of the state store.
SETTING: Final = "privacy"


@dataclass(frozen=True)
class Kept:
    """What a shop remembers of what it hides.

    Args:
        hides: which ids: all, addresses, or none.
        ids, personal: names of traits and properties, as they were last.
        check: of the key of pseudonyms; empty: nothing was ever hidden.
    """

    hides: str = ""
    ids: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    check: str = ""

    def as_text(self) -> str:
        return json.dumps(vars(self), sort_keys=True)


def kept_of(store: StateStore) -> Kept:
    """What the shop remembers."""
    told = store.get_settings().get(SETTING)
    if not told:
        return Kept()
    found: dict[str, Any] = json.loads(told)
    return Kept(
        found["hides"], tuple(found["ids"]), tuple(found["personal"]), found["check"]
    )  # fmt: skip


def personal_of(store: StateStore) -> Personal | None:
    """The traits and properties that are sealed; None: none are."""
    names = kept_of(store).personal
    if not names:
        return None
    from shoal.events.personal import Personal

    return Personal.of(names)


def addresses_are_personal(store: StateStore) -> bool:
    """Whether something by which customers can be reached is sealed."""
    sealed = personal_of(store)
    if sealed is None:
        return False
    from shoal.features.contacts import SPELLINGS

    return any(sealed.covers_either(name) for names in SPELLINGS.values() for name in names)


def privacy_of(
    settings: PrivacyConfig,
    store: StateStore,
    environment: Mapping[str, str],
    stored: Callable[[], bool],
) -> Privacy | None:
    """What is hidden of all that comes in; None: nothing. What the shop remembers is brought up.

    Args:
        stored: whether the event table, or the account of what came in, holds anything.

    Raises:
        UsageError: `no_secret`, `bad_secret`; `wrong_secret`, the shop was made with another key;
            `privacy_changed`, it holds events whose ids are hidden otherwise.
    """
    before = kept_of(store)

    def holds_events() -> bool:
        return stored() or bool(store.live.numbers())  # what a stream took in is stored later

    if (settings.hides, settings.ids) != (before.hides, before.ids) and holds_events():
        raise _changed(settings, before)
    if not settings.on:
        return None
    from shoal.events.privacy import Privacy
    from shoal.events.privacy_reading import wrong_key
    from shoal.events.pseudonyms import fingerprint_of

    root = pseudonym_key(environment.get(PSEUDONYM_KEY))
    fields = field_keys(environment.get(FIELD_KEYS))
    check = fingerprint_of(root)
    if before.check and before.check != check and holds_events():
        raise wrong_key()
    now = Kept(settings.hides, settings.ids, settings.personal, check)
    if now != before:
        store.put_setting(SETTING, now.as_text())
    return Privacy.of(settings.hides, settings.ids, settings.personal, root, fields)


def reading_of(
    settings: PrivacyConfig, store: StateStore, environment: Mapping[str, str]
) -> Reading | None:
    """What opens what was hidden, as far as the keys at hand do; None: nothing was."""
    before = kept_of(store)
    if not (settings.on or before.check):
        return None
    from shoal.events.privacy_reading import Reading

    return Reading(
        before.hides or settings.hides, before.check, environment.get(PSEUDONYM_KEY),
        fields_at_hand(environment.get(FIELD_KEYS)),
    )  # fmt: skip


def _changed(settings: PrivacyConfig, before: Kept) -> UsageError:
    now = settings.hides or "none"
    return UsageError(
        "privacy_changed",
        f"shop.toml says that ids are hidden otherwise (ids: {now}) than those of the events that "
        f"the shop holds (ids: {before.hides or 'none'})",
        where="shop.toml, [privacy]",
        hint="Put pseudonymise, ids and an e-mail address in personal back as they were, or make "
        "a new shop and bring its files in again: stored events cannot be changed.",
    )
