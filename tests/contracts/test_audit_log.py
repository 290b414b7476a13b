"""What every audit log must do; one suite over all of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests import postgres

from shoal.adapters.memory_audit import MemoryAudit
from shoal.adapters.postgres_audit import PostgresAudit
from shoal.adapters.sql_audit import SqlAudit
from shoal.domain.audit import NOTHING, Act, Who, chained, entry_digest
from shoal.domain.errors import OperationError, UsageError
from shoal.ports import AuditLog
from shoal.workflows import audit_retention
from shoal.workflows.audit import CUT, Wanted, expected_of, listed, verify
from shoal.workflows.audit_retention import cut

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AuditLog]:
    with ExitStack() as stack:
        made: AuditLog
        if request.param == "memory":
            made = MemoryAudit()
        elif request.param == "sqlite":
            made = SqlAudit(tmp_path / "audit.sqlite")
        else:
            made = PostgresAudit(stack.enter_context(postgres.namespace(tmp_path)))
        stack.callback(made.close)
        yield made


def act(action: str, **more: object) -> Act:
    return Act(NOW, Who("api", "key-0001", "admin", "ann"), action, "done", **more)  # type: ignore[arg-type]


def test_a_new_log_is_empty_and_holds(log: AuditLog) -> None:
    assert (log.last(), log.after(0, 10), log.append([])) == (None, [], [])
    log.hold()
    assert verify(log) == {
        "schema": "shoal.audit/1", "verified": True, "entries": 0, "head": None,
    }  # fmt: skip


def test_entries_are_chained_over_commits(log: AuditLog) -> None:
    assert log.append([act("GET"), act("POST")]) == [1, 2]
    assert log.append([act("DELETE", about={"customer_id": "名"})], synced=False) == [3]
    told = [json.loads(one.text) for one in log.after(0, 10)]
    assert [one["action"] for one in told] == ["GET", "POST", "DELETE"]
    before = [NOTHING, *(entry_digest(one.text) for one in log.after(0, 2))]
    assert [one["before"] for one in told] == before
    assert [one.number for one in log.after(1, 1)] == [2]
    last = log.last()
    assert last is not None and log.mark() == (3, last.digest)
    assert verify(log)["entries"] == 3
    assert verify(log, expected_of(f"3:{last.digest}"))["head"]["number"] == 3
    for number, what in ((2, "another one than was written down"), (4, "is not there")):
        with pytest.raises(OperationError, match=what):
            verify(log, (number, last.digest))


def test_entries_are_found_by_what_is_asked(log: AuditLog) -> None:
    other = Act(datetime(2026, 6, 1, tzinfo=UTC), Who("local", owner="ann"), "forget", "done")
    log.append([act("GET", about={"customer_id": "ab"}), act("GET"), other])

    def numbers(wanted: Wanted) -> list[int]:
        return [one["number"] for one in listed(log, wanted)["entries"]]

    assert numbers(Wanted()) == [1, 2, 3]
    assert numbers(Wanted(newest=2)) == [2, 3]
    assert numbers(Wanted(since=other.at)) == [3]
    assert numbers(Wanted(key_id="key-0001")) == [1, 2]
    assert numbers(Wanted(key_id="key-0001", newest=1)) == [2]
    assert numbers(Wanted(about="ab")) == [1]


# --- Old entries leave ----------------------------------------------------------------------------

ANN = Who("local", owner="ann")


def aged(log: AuditLog, days: int = 10) -> list[str]:
    """An entry a day, the last one of today; their digests."""
    for day in range(days):
        log.append([Act(NOW - timedelta(days=days - 1 - day), ANN, f"A{day + 1}", "done")])
    return [one.digest for one in log.after(0, 100)]


def test_old_entries_leave_and_what_stays_is_verified_behind_them(log: AuditLog) -> None:
    digests = aged(log)
    assert cut(log, ANN, NOW, 30) == {
        "schema": "shoal.audit_cut/1", "days": 30, "before": "2026-04-01T00:00:00Z", "removed": 0,
        "upto": None,
    }  # fmt: skip
    done = cut(log, ANN, NOW, 3)
    assert (done["removed"], done["upto"]) == (6, 6)
    told = [json.loads(one.text) for one in log.after(0, 100)]
    assert [one["number"] for one in told] == [7, 8, 9, 10, 11]
    assert (told[-1]["action"], told[-1]["who"]["owner"]) == (CUT, "ann")
    assert told[-1]["facts"] == {
        "entries": 6, "upto": 6, "digest": digests[5], "from": "2026-04-22T00:00:00Z",
        "to": "2026-04-27T00:00:00Z",
    }  # fmt: skip
    found = verify(log)
    assert (found["entries"], found["head"]["number"]) == (5, 11)
    assert found["removed"] == {"upto": 6, "digest": digests[5], "at": "2026-05-01T00:00:00Z"}
    # The log goes on, numbers are not given again, and pages begin at what is left.
    assert log.append([act("later")]) == [12]
    assert [one["number"] for one in listed(log, Wanted(newest=2))["entries"]] == [11, 12]
    assert listed(log, Wanted())["entries"][0]["number"] == 7
    # Again, behind what left before.
    assert cut(log, ANN, NOW + timedelta(days=2), 3)["removed"] == 2
    found = verify(log)
    assert (found["removed"]["upto"], found["entries"]) == (8, 5)


def test_heads_that_were_written_down_are_held_to_what_can_be_told_of_them(log: AuditLog) -> None:
    digests = aged(log)
    cut(log, ANN, NOW, 3)
    for number in (6, 7, 10):
        assert verify(log, (number, digests[number - 1]))["verified"]
        with pytest.raises(OperationError, match="another one than was written down"):
            verify(log, (number, "0" * 64))
    with pytest.raises(UsageError, match="entry 5 was taken out"):
        verify(log, (5, digests[4]))


def test_the_last_entry_stays_however_old_it_is(log: AuditLog) -> None:
    aged(log, 3)
    later = NOW + timedelta(days=1000)
    assert cut(log, ANN, later, 1)["removed"] == 2
    assert [one.number for one in log.after(0, 100)] == [3, 4]
    assert verify(log)["entries"] == 2
    assert cut(log, ANN, later, 1)["removed"] == 1  # what was the last is not any more
    assert verify(log)["removed"]["upto"] == 3


def test_many_leave_some_at_a_time(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_retention, "AT_ONCE", 2)
    monkeypatch.setattr(audit_retention, "_PAGE", 3)
    digests = aged(log)
    assert cut(log, ANN, NOW, 3)["removed"] == 6
    found = verify(log)
    assert found["removed"]["upto"] == 6
    for number in (2, 4, 6):  # the last of each part
        assert verify(log, (number, digests[number - 1]))["verified"]


# --- On disk --------------------------------------------------------------------------------------


def filled(path: Path, entries: int = 6) -> None:
    log = SqlAudit(path)
    log.append([act(f"A{number}") for number in range(1, entries + 1)])
    log.close()


def tampered(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "DROP TRIGGER IF EXISTS audit_no_update; DROP TRIGGER IF EXISTS audit_no_delete"
        )
        for statement in statements:
            connection.execute(statement)


def verified(path: Path) -> str:
    log = SqlAudit(path)
    try:
        with pytest.raises(OperationError) as told:
            verify(log)
        assert told.value.code == "audit_broken"
        return f"{told.value.where}: {told.value.message}"
    finally:
        log.close()


def rewritten(path: Path, keep: Callable[[int], bool]) -> None:
    """Let the chain be made anew of some of its entries, as one who knows how would."""
    acts = [act(f"A{number}") for number in range(1, 7) if keep(number)]
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete")
        connection.execute("DELETE FROM audit")
        rows = [(one.number, one.text, one.digest) for one in chained(acts, None)]
        connection.executemany("INSERT INTO audit VALUES (?, ?, ?)", rows)


CHANGE = "UPDATE audit SET entry = replace(entry, 'A3', 'B3') WHERE number = 3"
LAST = "UPDATE audit SET entry = replace(entry, 'A6', 'B6') WHERE number = 6"
REMOVE = "DELETE FROM audit WHERE number IN (3, 4)"
SWAP = (
    "UPDATE audit SET number = 90 WHERE number = 3",
    "UPDATE audit SET number = 3 WHERE number = 4",
    "UPDATE audit SET number = 4 WHERE number = 90",
)


@pytest.mark.parametrize(
    ("statements", "first"),
    [
        ((CHANGE,), "entry 3: the audit log does not hold from entry 3 on: its text was changed"),
        ((LAST,), "entry 6: the audit log does not hold from entry 6 on: its text was changed"),
        ((REMOVE,), "entry 3: .*it is not there, and neither are those up to 4"),
        (("DELETE FROM audit WHERE number = 1",), "entry 1: .*it is not there"),
        (SWAP, "entry 3: .*entry 4 stands in its place"),
        (
            (REMOVE, "UPDATE audit SET number = number - 2 WHERE number > 4"),
            "entry 3: .*entry 5 stands in its place",
        ),
        (("DELETE FROM audit WHERE number > 4",), "entry 5: .*up to 6: entries were taken from"),
        (("DELETE FROM audit",), "entry 1: .*up to 6: entries were taken from the end"),
        (("UPDATE audit SET entry = 'x', digest = 'y' WHERE number = 2",), "entry 2: .*changed"),
    ],
    ids=["changed", "last", "removed", "first", "moved", "closed up", "cut", "all", "no entry"],
)
def test_the_first_entry_that_is_not_as_it_was_written_is_named(
    tmp_path: Path, statements: tuple[str, ...], first: str
) -> None:
    import re

    path = tmp_path / "audit.sqlite"
    filled(path)
    tampered(path, *statements)
    assert re.match(first, verified(path))


def test_an_entry_whose_digest_was_changed_with_it_is_noticed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    filled(path)
    with sqlite3.connect(path) as connection:
        [text] = connection.execute("SELECT entry FROM audit WHERE number = 3").fetchone()
    changed = text.replace("A3", "B3")
    tampered(
        path,
        f"UPDATE audit SET entry = '{changed}', digest = '{entry_digest(changed)}' "
        "WHERE number = 3",
    )
    assert verified(path).startswith("entry 3: ")


def test_a_chain_made_anew_is_noticed_by_the_mark_and_by_what_was_written_down(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.sqlite"
    filled(path)
    log = SqlAudit(path)
    last = log.last()
    assert last is not None
    log.close()
    rewritten(path, lambda number: number != 3)
    assert "up to 6: entries were taken from the end" in verified(path)
    # The mark lies beside the log; what somebody wrote down elsewhere does not.
    (tmp_path / "audit.sqlite.mark").unlink()
    assert "the mark beside the log is gone" in verified(path)
    log = SqlAudit(path)
    with pytest.raises(OperationError, match="entry 6"):
        verify(log, (6, last.digest))
    log.close()


def test_nothing_is_written_behind_a_log_that_lacks_its_end(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    filled(path)
    log = SqlAudit(path)
    tampered(path, "DELETE FROM audit WHERE number > 4")
    for refused in (log.hold, lambda: log.append([act("later")])):
        with pytest.raises(OperationError, match="entry 6 was acknowledged") as told:
            refused()
        assert told.value.code == "audit_broken"
    # A person decides, and the log says so for good.
    (tmp_path / "audit.sqlite.mark").unlink()
    assert log.append([act("later")]) == [6]
    assert [one["action"] for one in listed(log, Wanted(newest=2))["entries"]] == [
        "audit.mark_missing", "later",
    ]  # fmt: skip
    assert verify(log)["entries"] == 6
    log.close()


def test_the_database_itself_refuses_changes(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    filled(path)
    with sqlite3.connect(path) as connection:
        for statement in (CHANGE, REMOVE):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


def test_several_writers_share_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    first, second = SqlAudit(path), SqlAudit(path)
    assert first.secret() == second.secret() != b""
    for number in range(1, 20, 2):
        assert first.append([act("GET")]) == [number]
        assert second.append([act("POST")], synced=False) == [number + 1]
    assert verify(first)["entries"] == 20
    first.close()
    second.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_newer_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(OperationError) as told:
        SqlAudit(path)
    assert told.value.code == "shop_newer"


def test_a_file_that_is_no_log_is_told(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(OperationError, match="the shop's audit log cannot be used") as told:
        SqlAudit(path)
    assert (told.value.code, told.value.where) == ("shop_damaged", str(path))
    assert "from a backup" in told.value.hint


def shortened(path: Path) -> None:
    """Ten entries of which six left."""
    log = SqlAudit(path)
    aged(log)
    cut(log, ANN, NOW, 3)
    log.close()


@pytest.mark.parametrize(
    ("statements", "first"),
    [
        (("UPDATE audit SET entry = replace(entry, 'A8', 'B8') WHERE number = 8",), "entry 8"),
        (("DELETE FROM audit WHERE number <= 7",), "entry 7: .*those up to 7"),
        (("DELETE FROM audit WHERE number = 8",), "entry 8: .*it is not there"),
        (("UPDATE audit SET entry = replace(entry, '\"upto\":6', '\"upto\":7') WHERE number = 11",
          "DELETE FROM audit WHERE number <= 7"), "entry 11: .*its text was changed"),
        (("DELETE FROM audit WHERE number = 11",), "entry 1: .*neither are those up to 6"),
        (("UPDATE audit SET entry = replace(entry, 'before', 'befor') WHERE number = 7",),
         "entry 7: .*changed"),
    ],
    ids=["behind", "one more", "in between", "with its anchor", "the anchor", "the first"],
)  # fmt: skip
def test_what_is_left_after_old_entries_left_is_held_as_before(
    tmp_path: Path, statements: tuple[str, ...], first: str
) -> None:
    import re

    path = tmp_path / "audit.sqlite"
    shortened(path)
    tampered(path, *statements)
    assert re.match(first, verified(path))


def test_what_was_changed_does_not_leave(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    log = SqlAudit(path)
    aged(log)
    log.close()
    tampered(path, "UPDATE audit SET entry = replace(entry, 'A4', 'B4') WHERE number = 4")
    log = SqlAudit(path)
    with pytest.raises(OperationError, match="entry 4 on: its text was changed"):
        cut(log, ANN, NOW, 3)
    assert len(log.after(0, 100)) == 10
    log.close()
    # Nor does what follows entries that somebody took out.
    tampered(path, "DELETE FROM audit WHERE number <= 4")
    log = SqlAudit(path)
    with pytest.raises(OperationError, match="no entry says that it was taken out"):
        cut(log, ANN, NOW, 3)
    log.close()


def test_entries_can_be_taken_out_in_no_other_way(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    shortened(path)
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.Error, match="append-only"):
        connection.execute("DELETE FROM audit WHERE number = 7")


class KilledError(BaseException):
    """The process is gone."""


def test_killed_while_old_entries_leave_the_log_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.sqlite"
    log = SqlAudit(path)
    aged(log)

    def killed(*_: object) -> None:
        raise KilledError

    for where, left in ((("_cut",), 10), (("_mark", "write"), 5)):
        target = log
        for name in where[:-1]:
            target = getattr(target, name)
        with monkeypatch.context() as patched, pytest.raises(KilledError):
            patched.setattr(target, where[-1], killed)
            cut(log, ANN, NOW, 3)
        assert len(log.after(0, 100)) == left
        assert verify(log)["entries"] == left
    assert log.append([act("later")]) == [12]
    assert verify(log)["removed"]["upto"] == 6
    log.close()
