"""What PostgreSQL alone does to a shop: connections end, it is put back, two may use one schema."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests import postgres
from tests.contracts.test_state_store import MOMENT, memberships, states

from shoal.adapters.postgres import Namespace, claim, connect, give_up
from shoal.adapters.postgres_audit import PostgresAudit
from shoal.adapters.postgres_files import PostgresFiles, load
from shoal.adapters.sql import SqlStateStore
from shoal.adapters.sql_inbox import SqlInbox
from shoal.adapters.sql_webhooks import SqlWebhooks
from shoal.bootstrap import FILES
from shoal.domain.audit import Act, Who
from shoal.domain.errors import OperationError, UsageError
from shoal.ports import Arrived


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    with postgres.namespace(tmp_path) as made:
        yield made


def run(namespace: Namespace, *statements: str) -> list[sa.Row]:
    """Do something to the database behind the stores' back; rows of the last statement."""
    engine = connect(namespace)
    try:
        with engine.begin() as connection:
            done = [connection.exec_driver_sql(statement) for statement in statements]
            return list(done[-1]) if done[-1].returns_rows else []
    finally:
        engine.dispose()


def end_connections(namespace: Namespace) -> None:
    run(
        namespace,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'shoal' AND pid <> pg_backend_pid()",
    )


def calls(*names: str) -> list[Arrived]:
    return [Arrived("web", name, 10, b"{}") for name in names]


def test_a_schema_belongs_to_one_shop(namespace: Namespace) -> None:
    claim(namespace)  # as long as it is empty
    SqlStateStore(namespace).close()
    with pytest.raises(UsageError, match="already holds tables") as told:
        claim(namespace)
    assert told.value.code == "shop_exists"
    give_up(namespace)
    claim(namespace)


def test_rows_are_ordered_by_code_points(namespace: Namespace) -> None:
    store = SqlStateStore(namespace)
    store.put_states(states(**dict.fromkeys(("a", "B", "ä", "_", "Z", "名"), b"x")))
    [page] = store.iter_states()
    assert page["customer_id"].to_pylist() == ["B", "Z", "_", "a", "ä", "名"]
    store.close()


def test_a_commit_is_on_disk_whatever_the_server_says(namespace: Namespace) -> None:
    mark = "&" if "?" in namespace.url else "?"
    off = Namespace(
        f"{namespace.url}{mark}options=-csynchronous_commit%3Doff", namespace.name, Path()
    )
    assert run(off, "SHOW synchronous_commit") == [("on",)]
    assert run(off, "SELECT current_schema()") == [(namespace.name,)]


def test_no_sample_is_kept_of_who_is_a_customer(namespace: Namespace) -> None:
    store = SqlStateStore(namespace)
    store.put_states(states(**{f"customer-{n}": b"x" for n in range(50)}))
    store.put_memberships(memberships([(f"customer-{n}", "k", "s1", 0.5) for n in range(50)]))
    store.close()
    SqlInbox(namespace).close()
    samples = run(
        namespace,
        "ANALYZE",
        "SELECT tablename, attname FROM pg_stats WHERE schemaname = current_schema() "
        "AND concat(histogram_bounds, most_common_vals) LIKE '%%customer-%%'",
    )
    assert samples == []


def test_connections_that_ended_are_made_anew(namespace: Namespace) -> None:
    store, inbox = SqlStateStore(namespace), SqlInbox(namespace)
    store.put_setting("a", "1")
    inbox.append(calls("a"))
    end_connections(namespace)
    assert store.get_settings() == {"a": "1"}
    assert inbox.append(calls("a", "b")) == [False, True]
    inbox.close()
    store.close()


def test_a_lease_whose_connection_ended_is_taken_over_and_its_holder_kept_out(
    namespace: Namespace,
) -> None:
    first, second = SqlStateStore(namespace), SqlStateStore(namespace)
    with first.lease():
        with pytest.raises(OperationError, match="has been writing to the shop since") as told:
            second._lease._acquire()
        assert told.value.code == "shop_locked"
        first.put_setting("by", "first")
        end_connections(namespace)
        with pytest.raises(OperationError, match="has been writing to the shop since"):
            second._lease._acquire()  # who lives on this machine will have its connection again
        run(namespace, "UPDATE lease SET host = 'elsewhere'")
        with second.lease():
            assert second.taken_over
            with pytest.raises(OperationError, match="another took over") as told:
                first.put_setting("by", "first, late")
            assert told.value.code == "shop_locked"
            second.put_setting("by", "second")
    with first.lease():
        assert not first.taken_over
    assert first.get_settings() == {"by": "second"}
    first.close()
    second.close()


def test_positions_come_in_the_order_in_which_they_can_be_seen(namespace: Namespace) -> None:
    inbox = SqlInbox(namespace)
    others = [SqlInbox(namespace) for _ in range(3)]
    seen: list[int] = []

    def write(number: int) -> None:
        for place in range(10):
            others[number].append(calls(f"{number}-{place}", f"{number}-{place}b"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for one in threads:
        one.start()
    while any(one.is_alive() for one in threads) or inbox.last() > len(seen):
        seen += [place for place, _ in inbox.after(seen[-1] if seen else 0, 1000)]
    assert seen == list(range(1, 61))
    for one in (inbox, *others):
        one.close()


def test_a_transaction_that_is_undone_leaves_no_gap_in_the_membership_log(
    namespace: Namespace,
) -> None:
    store = SqlStateStore(namespace)
    store.put_memberships(memberships([("a", "k", "s1", 0.5)]))
    with pytest.raises(RuntimeError, match="no"), store.transaction():
        store.put_memberships(memberships([("b", "k", "s1", 0.5)] * 5))
        raise RuntimeError("no")
    store.put_memberships(memberships([("b", "k", "s2", 0.5)]))
    assert store.last_membership() == 2
    store.forget(["b"])
    assert store.last_membership() == 2
    store.close()


@pytest.mark.parametrize("part", ["store", "inbox", "audit"])
def test_a_database_that_was_put_back_is_refused(namespace: Namespace, part: str) -> None:
    store, inbox, log = SqlStateStore(namespace), SqlInbox(namespace), PostgresAudit(namespace)
    act = Act(MOMENT, Who("local"), "ingest", "done")
    for number in range(3):
        store.put_setting("number", str(number))
        inbox.append(calls(str(number)))
        log.append([act])
    for one in (store, inbox, log):
        one.close()
    if part == "store":
        run(namespace, "UPDATE meta SET value = '1' WHERE key = 'written'")
        with pytest.raises(OperationError, match="holds 1 transactions, and 3 were") as told:
            SqlStateStore(namespace)
    elif part == "inbox":
        run(namespace, "UPDATE inbox_meta SET value = 1 WHERE key = 'given'")
        with pytest.raises(OperationError, match="up to number 1, and calls up to 3") as told:
            SqlInbox(namespace)
    else:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            run(namespace, "DELETE FROM audit WHERE number = 3")
        run(namespace, "DROP TRIGGER audit_only_grows ON audit", "DELETE FROM audit WHERE number=3")
        with pytest.raises(OperationError, match="entry 3 was acknowledged") as told:
            log.hold()
        log.close()
    assert told.value.code in ("shop_damaged", "audit_broken")
    assert "remove" in told.value.hint


def test_what_is_copied_into_files_and_back_goes_on_as_it_was(
    namespace: Namespace, tmp_path: Path
) -> None:
    store, inbox, log = SqlStateStore(namespace), SqlInbox(namespace), PostgresAudit(namespace)
    hooks = SqlWebhooks(namespace)
    with store.lease():
        store.put_memberships(memberships([(name, "k", "s1", 0.5) for name in "abc"]))
        store.put_states(states(a=b"\0\xff", b=b"2"))
        store.forget(["c"])
        inbox.append(calls("1", "2", "3"))
        inbox.drain(3)
        hooks.add("https://a", "standard", [], "", "", "", MOMENT, 0)
        hooks.remove("wh-0001")
        log.append([Act(MOMENT, Who("local"), "ingest", "done")])
        files = PostgresFiles(namespace, dict(FILES), "events", 4)
        target = tmp_path / "copy"
        target.mkdir()
        for name in files.databases():
            files.copy_database(name, target)
            assert files.database_faults(name, target) == []
    assert files.numbers(target) == {
        "store_version": files.numbers(target)["store_version"], "transactions": 3,
        "memberships": 3, "membership_rows": 2, "inbox": 3, "inbox_drained": 3, "inbox_waiting": 0,
    }  # fmt: skip
    for one in (store, inbox, log, hooks):
        one.close()
    with postgres.namespace(target) as other:
        load(other, dict(FILES))
        assert sorted(path.name for path in target.iterdir()) == [
            "audit.mark", "inbox.mark", "store.mark",
        ]  # fmt: skip
        again = SqlStateStore(other)
        assert again.get_states(["a", "b"])["body"].to_pylist() == [b"\0\xff", b"2"]
        assert again.last_membership() == 3
        with again.lease():
            assert not again.taken_over
        calls_again, audit, hooks = SqlInbox(other), PostgresAudit(other), SqlWebhooks(other)
        assert calls_again.append(calls("1", "4")) == [False, True]
        assert calls_again.last() == 4
        assert hooks.add("https://a", "standard", [], "", "", "", MOMENT, 0).webhook_id == "wh-0002"
        assert audit.append([Act(MOMENT, Who("local"), "ingest", "done")]) == [2]
        assert audit.secret() == _secret(namespace)
        for one in (again, calls_again, audit, hooks):
            one.close()


def _secret(namespace: Namespace) -> bytes:
    log = PostgresAudit(namespace)
    try:
        return log.secret()
    finally:
        log.close()


def test_a_schema_that_cannot_be_filled_is_left_empty(namespace: Namespace, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.mkdir()
    SqlStateStore(f"sqlite:///{target}/shop.sqlite").close()
    (target / "webhooks.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(OperationError) as told:
        load(Namespace(namespace.url, namespace.name, target), dict(FILES))
    assert told.value.code == "shop_damaged"
    assert (target / "shop.sqlite").exists()
    claim(namespace)
