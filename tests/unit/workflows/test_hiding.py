"""What a shop remembers of what it hides, and which changes it takes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.private import KEYS, key

from shoal.adapters.memory_store import MemoryStateStore
from shoal.config import PrivacyConfig
from shoal.domain.errors import UsageError
from shoal.domain.secret_keys import PSEUDONYM_KEY
from shoal.workflows.hiding import kept_of, personal_of, privacy_of, reading_of

ALL = PrivacyConfig(pseudonymise=True, personal=("email",))
OTHER = {**KEYS, PSEUDONYM_KEY: key("q")}


class Streaming:
    """A store of which a stream holds events that are not in the table yet."""

    def __init__(self, store: MemoryStateStore) -> None:
        self._store = store
        self.live = self

    def numbers(self) -> list[tuple[int, str]]:
        return [(1, "web")]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def yes() -> bool:
    return True


def no() -> bool:
    return False


def test_a_shop_that_hides_nothing_remembers_nothing_and_needs_no_key() -> None:
    store = MemoryStateStore()
    assert privacy_of(PrivacyConfig(), store, {}, yes) is None
    assert reading_of(PrivacyConfig(), store, {}) is None
    assert personal_of(store) is None
    assert store.get_settings() == {}


def test_an_empty_shop_may_change_its_mind_and_its_key() -> None:
    store = MemoryStateStore()
    assert privacy_of(ALL, store, KEYS, no) is not None
    first = kept_of(store)
    assert (first.hides, first.personal) == ("all", ("email",))
    assert privacy_of(ALL, store, OTHER, no) is not None
    assert kept_of(store).check != first.check
    assert privacy_of(PrivacyConfig(), store, {}, no) is None


@pytest.mark.parametrize("streaming", [False, True])
def test_one_that_holds_events_also_of_a_stream_may_not(streaming: bool) -> None:
    store: Any = MemoryStateStore()
    privacy_of(ALL, store, KEYS, no)
    holding = Streaming(store) if streaming else store
    stored = no if streaming else yes
    for settings, environment, code in (
        (ALL, OTHER, "wrong_secret"),
        (PrivacyConfig(), {}, "privacy_changed"),
        (PrivacyConfig(personal=("email",)), KEYS, "privacy_changed"),
        (PrivacyConfig(pseudonymise=True, ids=("card",)), KEYS, "privacy_changed"),
    ):
        with pytest.raises(UsageError) as error:
            privacy_of(settings, holding, environment, stored)
        assert error.value.code == code
    # What else is personal may change at any time.
    more = PrivacyConfig(pseudonymise=True, personal=("email", "phone"))
    assert privacy_of(more, holding, KEYS, stored) is not None
    found = personal_of(store)
    assert found is not None
    assert found.covers_either("phone")


def test_values_may_be_hidden_from_a_day_on_unless_they_are_addresses() -> None:
    store = MemoryStateStore()
    assert privacy_of(PrivacyConfig(personal=("phone",)), store, KEYS, yes) is not None
    with pytest.raises(UsageError, match="addresses"):
        privacy_of(PrivacyConfig(personal=("phone", "email")), store, KEYS, yes)
