"""Several processes move customers of one shop: what they make is what the log says."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.conftest import Shoal
from tests.journeys.test_serve import Service, key, serving
from tests.journeys.test_serve_workers import ask, ends, until

from shoal.service.partitions import LEAST_CUSTOMERS

__all__ = ["key"]
#: So many that a step of all of them is divided.
CUSTOMERS = 3 * LEAST_CUSTOMERS


def fill(shoal: Shoal, directory: Path, customers: int) -> None:
    """Give a new shop simulated customers and segments of them."""
    simulated = directory.parent / "simulated"
    shoal("simulate", "--out", simulated, "--customers", customers, "--days", 60, "--seed", 3)
    for verb in (
        ("ingest", directory, simulated / "events.parquet", "--preset", "shoal"),
        ("segment", directory, "--method", "kmeans", "--k", 3),
    ):
        told = shoal(*verb)
        assert told.code == 0, told.err


@pytest.fixture
def shop(tmp_path: Path, shoal: Shoal) -> Path:
    """A shop with segments."""
    directory = tmp_path / "shop"
    shoal("init", directory, "--buckets", 4)
    fill(shoal, directory, 200)
    return directory


def partitions(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.get("/ready")["partitions"]
    return found


def send_round(service: Service, number: int) -> None:
    """A view of every customer."""
    calls = [
        {"type": "track", "event": "Product Viewed", "messageId": f"r{number}-{who}",
         "userId": f"p{who}", "timestamp": f"2026-05-{1 + number:02d}T10:00:{who % 60:02d}Z",
         "properties": {"product_id": f"i{who % 7}", "price": 9.5, "currency": "EUR"}}
        for who in range(CUSTOMERS)
    ]  # fmt: skip
    status, told = service.send({"batch": calls})
    assert (status, told["accepted"]) == (200, CUSTOMERS)


def sends_until_divided(service: Service, number: int, shares: int) -> int:
    """The next round, after partitions did so many shares more than they had done."""
    before = sum(one["shares"] for one in partitions(service))
    for more in range(20):
        send_round(service, number + more)
        try:
            until(lambda: sum(o["shares"] for o in partitions(service)) >= before + shares, 3.0)
        except AssertionError:
            continue
        return number + more + 1
    raise AssertionError(partitions(service))


def moved_by_several(shop: Path, key: str, shoal: Shoal) -> None:
    """Customers are moved by two processes, of which one is killed: states are as folded anew."""
    token = shoal("keys", shop, "--make", "me", "--role", "admin", "--json").document["key"]
    with serving(shop, key, "--partitions", "2", "--workers", "2", "--every", "0.5") as service:
        first = partitions(service)
        assert [(one["partition"], one["state"], one["restarts"]) for one in first] == [
            (1, "up", 0), (2, "up", 0),
        ]  # fmt: skip
        others = [one["pid"] for one in service.get("/ready")["workers"]]
        assert len({service.process.pid, *others, *(one["pid"] for one in first)}) == 5
        number = sends_until_divided(service, 0, 2)
        os.kill(first[0]["pid"], signal.SIGKILL)
        number = sends_until_divided(service, number, 2)
        told = ask(service, "/metrics", token)[1].splitlines()
        assert 'shoal_partition_restarts_total{partition="1"} 1' in told
        assert 'shoal_partition_up{partition="2"} 1' in told
        pids = [one["pid"] for one in partitions(service)]
        send_round(service, number)
        assert service.stop() == 0
        assert all(ends(pid) for pid in pids)
        assert "Traceback" not in service.said
    verified = shoal("verify", shop, "--deep", "--json")
    assert (verified.code, verified.document["findings"]) == (0, [])
    told = shoal("customer", shop, "p5", "--json").document
    assert told["features"]["views"]["value"] == number + 1


def test_customers_are_moved_by_several_processes_whichever_of_them_lives(
    shop: Path, key: str, shoal: Shoal
) -> None:
    moved_by_several(shop, key, shoal)


def test_partitions_end_with_the_process_that_writes(shop: Path, key: str) -> None:
    with serving(shop, key, "--partitions", "3") as service:
        pids = [one["pid"] for one in partitions(service)]
        assert len(pids) == 3
        service.stop(signal.SIGKILL)
        until(lambda: all(ends(pid) for pid in pids))
