"""What every store of webhooks must do; one suite over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests import postgres

from shoal.adapters.memory_webhooks import MemoryWebhooks
from shoal.adapters.sql_webhooks import SqlWebhooks
from shoal.domain.errors import OperationError
from shoal.domain.webhook import Progress, Webhook
from shoal.ports import WebhookStore

NOW = datetime(2026, 5, 1, 10, tzinfo=UTC)
URL = "https://hooks.example.com/a"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebhookStore]:
    with ExitStack() as stack:
        made: WebhookStore
        if request.param == "memory":
            made = MemoryWebhooks()
        elif request.param == "sqlite":
            made = SqlWebhooks(tmp_path / "webhooks.sqlite")
        else:
            made = SqlWebhooks(stack.enter_context(postgres.namespace(tmp_path)))
        stack.callback(made.close)
        yield made


def added(store: WebhookStore, url: str = URL, position: int = 7) -> Webhook:
    return store.add(url, "standard", ["s01", "s02"], "email", "5a", "c3", NOW, position)


def test_a_new_store_has_nothing(store: WebhookStore) -> None:
    assert (store.all(), store.letters(), store.progress("wh-0001")) == ([], [], None)


def test_what_is_kept_comes_back_as_it_was(store: WebhookStore) -> None:
    found = added(store)
    assert found == Webhook("wh-0001", URL, "standard", ("s01", "s02"), "email", "5a", "c3", NOW)
    assert added(store, URL + "b").webhook_id == "wh-0002"
    assert store.all() == [found, replace(found, webhook_id="wh-0002", url=URL + "b")]
    assert store.progress("wh-0001") == Progress(7)


def test_an_id_is_given_once(store: WebhookStore) -> None:
    added(store)
    added(store)
    store.remove("wh-0002")
    store.remove("wh-0002")
    assert added(store).webhook_id == "wh-0003"
    assert [one.webhook_id for one in store.all()] == ["wh-0001", "wh-0003"]


def test_how_far_each_is_told_is_its_own(store: WebhookStore) -> None:
    added(store)
    added(store)
    told = Progress(9, 20, NOW, 2, NOW + timedelta(minutes=5), "it answered 503", 3, 41, 2, NOW)
    store.put_progress("wh-0002", told)
    assert store.progress("wh-0001") == Progress(7)
    assert store.progress("wh-0002") == told
    store.put_progress("wh-0099", told)
    assert store.progress("wh-0099") is None


def test_what_is_given_up_is_a_dead_letter_until_it_goes(store: WebhookStore) -> None:
    added(store)
    store.put_progress("wh-0001", Progress(9, 20, NOW, tries=13, failure="x"))
    died = NOW + timedelta(days=3)
    store.put_progress("wh-0001", Progress(20), died=(died, "it answered 503"))
    (letter,) = store.letters()
    assert (letter.after, letter.until, letter.formed) == (9, 20, NOW)
    assert (letter.tries, letter.reason, letter.died) == (14, "it answered 503", died)
    assert (letter.webhook_id, letter.due) == ("wh-0001", None)
    assert store.progress("wh-0001") == Progress(20)
    assert store.letters("wh-0001") == [letter]
    assert store.letters("wh-0002") == []
    store.put_letter(replace(letter, tries=15, reason="y"))
    assert store.letters()[0].tries == 15
    store.drop_letter(letter.number)
    store.drop_letter(letter.number)
    store.put_letter(letter)
    assert store.letters() == []


def test_dead_letters_go_with_their_webhook(store: WebhookStore) -> None:
    for name in ("wh-0001", "wh-0002"):
        added(store)
        store.put_progress(name, Progress(9, 20, NOW))
        store.put_progress(name, Progress(20), died=(NOW, "x"))
    store.remove("wh-0001")
    assert [one.webhook_id for one in store.letters()] == ["wh-0002"]


def test_who_is_off_is_on_again_with_everything_due(store: WebhookStore) -> None:
    added(store)
    store.put_progress("wh-0001", Progress(9, 20, NOW))
    store.put_progress("wh-0001", Progress(20), died=(NOW, "x"))
    waiting = Progress(20, 30, NOW, tries=4, due=NOW + timedelta(hours=5), failure="x")
    store.put_progress("wh-0001", waiting)
    store.disable("wh-0001", NOW, "gone")
    (off,) = store.all()
    assert (off.disabled, off.reason) == (NOW, "gone")
    later = NOW + timedelta(hours=1)
    store.retry("wh-0001", later)
    (on,) = store.all()
    assert (on.disabled, on.reason) == (None, "")
    assert store.progress("wh-0001") == replace(waiting, due=None)
    assert [one.due for one in store.letters()] == [later]
    store.retry("wh-0099", later)
    store.disable("wh-0099", later, "x")
    assert len(store.all()) == 1


def test_webhooks_are_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "webhooks.sqlite"
    first = SqlWebhooks(path)
    made = added(first)
    first.put_progress("wh-0001", Progress(9, 20, NOW, tries=1))
    first.close()
    second = SqlWebhooks(path)
    assert second.all() == [made]
    assert second.progress("wh-0001") == Progress(9, 20, NOW, tries=1)
    second.close()


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "webhooks.sqlite"
    SqlWebhooks(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(OperationError, match="schema version 99"):
        SqlWebhooks(path)
