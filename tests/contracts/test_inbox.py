"""What every inbox must do; one suite over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests import postgres

from shoal.adapters.memory_inbox import MemoryInbox
from shoal.adapters.sql_inbox import SqlInbox
from shoal.domain.errors import OperationError
from shoal.ports import Arrived, Inbox


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inbox]:
    with ExitStack() as stack:
        made: Inbox
        if request.param == "memory":
            made = MemoryInbox()
        elif request.param == "sqlite":
            made = SqlInbox(tmp_path / "inbox.sqlite")
        else:
            made = SqlInbox(stack.enter_context(postgres.namespace(tmp_path)))
        stack.callback(made.close)
        yield made


def call(
    message_id: str | None, *, source: str = "web", at: int = 10, fault: str | None = None
) -> Arrived:
    return Arrived(source, message_id, at, b'{"type":"track"}', fault)


def test_a_new_inbox_is_empty(inbox: Inbox) -> None:
    assert (inbox.last(), inbox.drained(), inbox.waiting()) == (0, 0, 0)
    assert inbox.after(0, 10) == []
    assert inbox.append([]) == []


def test_calls_come_back_in_the_order_in_which_they_came(inbox: Inbox) -> None:
    given = [call("a"), call("b", fault="too_deep"), call(None)]
    assert inbox.append(given) == [True, True, True]
    assert inbox.after(0, 10) == list(zip((1, 2, 3), given, strict=True))
    assert inbox.after(1, 1) == [(2, given[1])]
    assert inbox.last() == inbox.waiting() == 3


def test_the_same_id_of_the_same_source_comes_once(inbox: Inbox) -> None:
    assert inbox.append([call("a"), call("a"), call("b")]) == [True, False, True]
    assert inbox.append([call("b"), call("c")]) == [False, True]
    assert inbox.append([call("a", source="app")]) == [True]
    assert [one.message_id for _, one in inbox.after(0, 10)] == ["a", "b", "c", "a"]


def test_calls_without_an_id_are_all_taken(inbox: Inbox) -> None:
    assert inbox.append([call(None), call(None)]) == [True, True]
    assert inbox.append([call(None)]) == [True]


@pytest.mark.parametrize("message_id", ["ümläut-名前", 'it\'s "quoted"', "a\\b", " ", "x" * 100])
def test_ids_are_taken_as_they_are(inbox: Inbox, message_id: str) -> None:
    assert inbox.append([call(message_id)]) == [True]
    assert inbox.append([call(message_id)]) == [False]
    [(_, found)] = inbox.after(0, 1)
    assert found.message_id == message_id


def test_what_is_in_the_log_goes_and_its_ids_and_positions_stay(inbox: Inbox) -> None:
    inbox.append([call("a"), call("b"), call("c")])
    inbox.drain(2)
    assert [place for place, _ in inbox.after(0, 10)] == [3]
    assert (inbox.drained(), inbox.waiting(), inbox.last()) == (2, 1, 3)
    inbox.drain(1)  # told again after a crash
    assert inbox.drained() == 2
    inbox.drain(3)
    assert inbox.append([call("a"), call("d")]) == [False, True]
    assert [place for place, _ in inbox.after(0, 10)] == [4]


def test_what_is_on_its_way_into_the_log_is_remembered(inbox: Inbox) -> None:
    inbox.append([call("a"), call("b")])
    assert inbox.planned() == 0
    inbox.plan(2)
    assert (inbox.planned(), inbox.drained(), inbox.waiting()) == (2, 0, 2)
    inbox.plan(1)
    assert inbox.planned() == 2


def test_ids_are_forgotten_by_when_they_came(inbox: Inbox) -> None:
    inbox.append([call("old", at=5), call("new", at=20)])
    assert inbox.forget_ids(20) == 1
    assert inbox.append([call("old", at=30), call("new", at=30)]) == [True, False]


def test_bookmarks_are_kept_by_their_names(inbox: Inbox) -> None:
    inbox.keep_bookmark("web/1", "a")
    inbox.keep_bookmark("web/1", "b")
    inbox.keep_bookmark("web/2", "c")
    inbox.keep_bookmark("web_x/1", "d")
    assert inbox.bookmarks("web/") == {"web/1": "b", "web/2": "c"}
    assert inbox.bookmarks("web_") == {"web_x/1": "d"}
    assert inbox.bookmarks("app/") == {}


# --- On disk --------------------------------------------------------------------------------------


def test_it_is_all_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    first = SqlInbox(path)
    first.append([call("a"), call("b")])
    first.plan(2)
    first.drain(1)
    first.close()
    second = SqlInbox(path)
    assert (second.drained(), second.planned(), second.last()) == (1, 2, 2)
    assert second.append([call("a")]) == [False]
    second.close()


def test_what_fails_on_the_way_leaves_nothing_and_the_next_calls_are_taken(tmp_path: Path) -> None:
    inbox = SqlInbox(tmp_path / "inbox.sqlite")
    inbox.append([call("a")])
    unfit = Arrived("web", "c", 10, {})  # type: ignore[arg-type]
    for before in (call("b"), call("a")):  # all ids are new, and one came before
        with pytest.raises(Exception, match="type"):
            inbox.append([before, unfit])
    assert (inbox.last(), inbox.written) == (1, 1)
    assert inbox.append([call("a"), call("b"), call("c")]) == [False, True, True]
    assert [one.message_id for _, one in inbox.after(0, 10)] == ["a", "b", "c"]
    inbox.close()


def test_more_calls_than_a_statement_takes(tmp_path: Path) -> None:
    inbox = SqlInbox(tmp_path / "inbox.sqlite")
    some = [call(f"m{n}") for n in range(1_000)]
    assert inbox.append(some[:500]) == [True] * 500
    assert inbox.append(some) == [False] * 500 + [True] * 500
    assert [one.message_id for _, one in inbox.after(0, 2_000)] == [f"m{n}" for n in range(1_000)]
    inbox.close()


def test_an_inbox_that_lacks_what_was_acknowledged_refuses_to_open(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    first = SqlInbox(path)
    first.append([call("a")])
    first.close()  # folds the write-ahead log into the file
    earlier = path.read_bytes()
    second = SqlInbox(path)
    second.append([call("b"), call("c")])
    second.close()
    path.write_bytes(earlier)
    with pytest.raises(OperationError, match=r"up to number 1, and calls up to 3") as told:
        SqlInbox(path)
    assert told.value.code == "shop_damaged"
    (tmp_path / "inbox.sqlite.mark").unlink()
    third = SqlInbox(path)  # a person said so
    assert third.last() == 1
    third.close()


def test_a_newer_inbox_is_left_alone(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "inbox.sqlite"
    SqlInbox(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(OperationError) as told:
        SqlInbox(path)
    assert told.value.code == "shop_newer"
