"""A shop whose state lies in PostgreSQL: filled, served, killed, backed up, somebody forgotten."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests import postgres
from tests.journeys.conftest import Shoal
from tests.journeys.test_serve import Service, serving, stored, views
from tests.journeys.test_serve_partitions import fill, moved_by_several
from tests.journeys.test_serve_workers import ends, until

from shoal.adapters.postgres import URL_VARIABLE, Namespace, connect

NAME = f"test_journey_{os.getpid()}"
WHO = "ann-who-leaves-4711"


@pytest.fixture
def shop(tmp_path: Path, shoal: Shoal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A shop with customers and segments in a schema of its own; the password is not in it."""
    address = postgres.address()
    monkeypatch.setenv(URL_VARIABLE, address)
    directory = tmp_path / "shop"
    namespace = Namespace(address, NAME, directory)
    try:
        assert shoal("init", directory, "--namespace", NAME, "--buckets", 2).code == 0
        fill(shoal, directory, 100)
        yield directory
    finally:
        postgres.drop(namespace)


def end_connections() -> None:
    """What a restart of the database does to whoever is connected."""
    engine = connect(Namespace(os.environ[URL_VARIABLE], NAME, Path()))
    with closing(engine.connect()) as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'shoal' AND pid <> pg_backend_pid()"
        )
    engine.dispose()


def names(namespace: Namespace, text: str) -> list[str]:
    """The tables of a schema in which a text stands."""
    engine = connect(namespace)
    found = []
    with closing(engine.connect()) as connection:
        tables = connection.exec_driver_sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        ).scalars()
        for table in list(tables):
            asked = f'SELECT count(*) FROM "{table}" AS t WHERE t::text LIKE %s'
            if connection.exec_driver_sql(asked, (f"%{text}%",)).scalar():
                found.append(table)
        connection.exec_driver_sql("CHECKPOINT")
    engine.dispose()
    return found


def test_a_shop_in_postgres_loses_nothing_and_doubles_nothing(
    shop: Path, shoal: Shoal, tmp_path: Path
) -> None:
    assert not list(shop.glob("*.sqlite*"))
    password = os.environ[URL_VARIABLE].partition(":")[2].partition("@")[0].rpartition(":")[2]
    before = stored(shop)
    key = shoal("keys", shop, "--make", "web", "--json").document["key"]
    with serving(shop, key) as service:
        assert service.send(views(0, 40))[1]["accepted"] == 40
        end_connections()
        assert service.send(views(0, 40))[1]["duplicates"] == 40
        busy = shoal("ingest", shop, tmp_path / "simulated" / "events.parquet", "--json")
        assert (busy.code, busy.error["code"]) == (1, "shop_locked")
        service.stop(signal.SIGKILL)
    with serving(shop, key) as service:
        assert service.get("/ready")["recovered"]["killed"] is True
        told = service.send(views(20, 40))[1]
        assert (told["accepted"], told["duplicates"]) == (20, 20)
        assert service.stop() == 0
    assert stored(shop) == before + 60
    found = shoal("verify", shop, "--deep", "--json")
    assert found.document["findings"] == []

    backup = shoal("backup", shop, tmp_path / "backups", "--json").document["backup"]
    assert shoal("verify", backup, "--deep").code == 0
    again = tmp_path / "again"
    assert shoal("restore", backup, again, "--json").error["code"] == "shop_exists"
    assert shoal("restore", backup, again, "--store", "sqlite").code == 0
    assert (stored(again), (again / "shop.sqlite").exists()) == (before + 60, True)
    for file in [*shop.glob("*"), *Path(backup).glob("*"), *again.glob("*")]:
        if file.is_file() and len(password) > 8:
            assert password.encode() not in file.read_bytes(), file


def test_several_processes_serve_a_shop_in_postgres(shop: Path, shoal: Shoal) -> None:
    before = stored(shop)
    key = shoal("keys", shop, "--make", "web", "--json").document["key"]
    accepted: list[int] = []

    def send(service: Service, number: int) -> None:
        for start in range(20 * number, 20 * number + 40, 5):
            told = service.send(views(start, 5))[1]
            accepted.append(told["accepted"])

    with serving(shop, key, "--workers", "2") as service:
        first = [one["pid"] for one in service.get("/ready")["workers"]]
        senders = [threading.Thread(target=send, args=(service, number)) for number in range(3)]
        for one in senders:
            one.start()
        for one in senders:
            one.join()
        assert sum(accepted) == 80
        service.process.kill()
        service.process.communicate(timeout=60)
        until(lambda: all(ends(pid) for pid in first))
    with serving(shop, key, "--workers", "2") as service:
        assert service.send(views(70, 20))[1] == {
            "success": True, "received": 20, "accepted": 10, "duplicates": 10, "rejected": [],
        }  # fmt: skip
        assert service.stop() == 0
    assert stored(shop) == before + 90


def test_customers_are_moved_by_several_processes(shop: Path, shoal: Shoal) -> None:
    key = shoal("keys", shop, "--make", "web", "--json").document["key"]
    moved_by_several(shop, key, shoal)


def test_who_is_forgotten_stands_in_no_table_and_no_file_of_one(shop: Path, shoal: Shoal) -> None:
    calls = views(0, 40)
    for call in calls["batch"]:
        call["userId"] = WHO
    key = shoal("keys", shop, "--make", "web", "--json").document["key"]
    with serving(shop, key) as service:
        assert service.send(calls)[1]["accepted"] == 40
        assert service.stop() == 0
    namespace = Namespace(os.environ[URL_VARIABLE], NAME, shop)
    assert "customer_states" in names(namespace, WHO)
    told = shoal("forget", shop, WHO, "--yes", "--json")
    assert told.code == 0, told.err
    assert told.document["removed"]["events"] == 40
    assert names(namespace, WHO) == []
    data = os.environ.get(postgres.DATA_VARIABLE)
    if data:
        for file in [*Path(data, "base").rglob("*"), *shop.rglob("*")]:
            assert not (file.is_file() and WHO.encode() in file.read_bytes()), file
    assert shoal("customer", shop, WHO, "--json").error["code"] == "unknown_customer"
