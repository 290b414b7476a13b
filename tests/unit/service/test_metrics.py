"""What a monitor reads: its format, what it counts, and who may ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.service.calls import call
from tests.unit.service.served import Shelf, served

import shoal
from shoal.adapters.memory_audit import MemoryAudit
from shoal.adapters.memory_inbox import MemoryInbox
from shoal.domain.errors import OperationError
from shoal.service.access import Keyring
from shoal.service.api import Served
from shoal.service.api.metrics import Metrics
from shoal.service.api.operation import Operations
from shoal.service.app import application
from shoal.service.counters import BUCKETS, Counters
from shoal.service.driver import Driver
from shoal.service.endpoints import endpoints_of
from shoal.workflows.collecting import Collector

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
_LINE = re.compile(
    r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="([^"\\\n]|\\\\|\\"|\\n)*",?)*\})? -?[0-9.e+-]+'
)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with served(tmp_path_factory.mktemp("metrics")) as found:
        yield found


def body_of(found: Any) -> str:
    return bytes(found.body).decode()


def series(text: str) -> dict[str, float]:
    """Every series and its value; each line of the text is held to the format."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP|TYPE) \S+ .+", line)
            continue
        assert _LINE.fullmatch(line), line
        name, _, value = line.rpartition(" ")
        assert name not in found
        found[name] = float(value)
    return found


def metrics(counters: Counters, **told: Any) -> str:
    """What a monitor is told."""
    given = {
        "told": dict, "counts": dict, "refused": dict, "waiting_since": lambda: None,
        "nobody": bool, **told,
    }  # fmt: skip
    found = Metrics(counters, **given, clock=lambda: NOW)
    return body_of(found._metrics(None))  # type: ignore[arg-type]


def test_requests_are_counted_by_route_and_fall_into_buckets() -> None:
    counters = Counters()
    for seconds in (0.0005, 0.001, 0.004, 20.0):
        counters.observe("/v1/x", "GET", 200, seconds)
    counters.observe("/v1/x", "BREW", 405, 0.1)
    found = series(metrics(counters))
    assert found['shoal_http_requests_total{route="/v1/x",method="GET",status="200"}'] == 4
    assert found['shoal_http_requests_total{route="/v1/x",method="other",status="405"}'] == 1
    bucket = 'shoal_http_request_seconds_bucket{route="/v1/x",le="%s"}'
    told = [found[bucket % end] for end in (*BUCKETS, "+Inf")]
    assert told == sorted(told)
    assert (found[bucket % "0.001"], found[bucket % "0.005"], told[-1]) == (2, 3, 5)
    assert found['shoal_http_request_seconds_count{route="/v1/x"}'] == 5
    assert found['shoal_http_request_seconds_sum{route="/v1/x"}'] == pytest.approx(20.1055)


def test_lags_are_the_age_of_what_waits() -> None:
    found = series(
        metrics(
            Counters(),
            told=lambda: {"waiting": 7, "behind_since": "2026-05-01T11:59:00Z", "moved": 3,
                          "failure": {"code": 'a"b\\c\nd'}},
            counts=lambda: {"received": 9}, refused=lambda: {"bad_call": 2},
            waiting_since=lambda: NOW.replace(hour=11, minute=59, second=50),
        )
    )  # fmt: skip
    assert found["shoal_inbox_waiting"] == 7
    assert found["shoal_drain_lag_seconds"] == 10
    assert found["shoal_move_lag_seconds"] == 60
    assert found['shoal_calls_total{outcome="received"}'] == 9
    assert found['shoal_calls_refused_total{reason="bad_call"}'] == 2
    assert found['shoal_driver_failing{code="a\\"b\\\\c\\nd"}'] == 1


def test_a_service_counts_what_it_answers_and_no_paths_of_others(shelf: Shelf) -> None:
    shelf.ask("/v1/segments")
    shelf.ask("/v1/nothing/of/mine")
    shelf.ask("/v1/track", method="POST", role="write", body={"event": "x", "userId": "u"})
    text = shelf.ask("/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    routes = {route for route, _, _ in shelf.counters.requests}
    assert {"/v1/segments", "/v1/track", "unmatched"} <= routes
    assert not any("of/mine" in route for route in routes)
    assert shelf.ask("/metrics", role="viewer").status == 403


def test_without_a_key_it_is_for_this_machine_while_nobody_has_one(
    shelf: Shelf, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for address in ("127.0.0.1", "203.0.113.7"):
        assert shelf.ask("/metrics", role="nobody", address=address).status == 401
    collector = Collector(MemoryInbox())
    with shoal.init(tmp_path_factory.mktemp("nobody") / "shop") as shop:
        keyring, counters = Keyring(shop.known_keys), Counters()
        driver = Driver(shop, MemoryInbox())
        state = Served.of(collector, driver, keyring, counters)
        app = application(collector, keyring, driver, endpoints_of(shop, MemoryAudit(),
                                                                   served=state))  # fmt: skip
        told = {
            address: call(app, "GET", "/metrics", address=address).status
            for address in ("127.0.0.1", "::1", "203.0.113.7", "127.0.0.1.evil.example")
        }
        assert told == {
            "127.0.0.1": 200, "::1": 200, "203.0.113.7": 401, "127.0.0.1.evil.example": 401,
        }  # fmt: skip
        assert call(app, "POST", "/metrics", address="127.0.0.1").status == 405
        assert call(app, "GET", "/v1/status", address="127.0.0.1").status == 401
    collector.close()


def test_operations_of_one_application_share_their_threads() -> None:
    found = Operations(lambda: 5)
    assert found._quick.total_tokens + found._slow.total_tokens < 15  # connections of the store


STANDING = {
    "webhook_id": "wh-0001", "state": "failing", "pending": 12, "undelivered_s": 90.5,
    "dead_letters": 2, "failure": "answered 503",
}  # fmt: skip


def test_how_receivers_of_webhooks_stand_is_told() -> None:
    fine = {**STANDING, "webhook_id": "wh-0002", "state": "ok", "undelivered_s": 0.0}
    found = series(metrics(Counters(), webhooks=lambda: [STANDING, fine]))
    assert [found[f'shoal_webhook_up{{webhook="wh-000{n}"}}'] for n in (1, 2)] == [0, 1]
    assert found['shoal_webhook_pending{webhook="wh-0001"}'] == 12
    assert found['shoal_webhook_undelivered_seconds{webhook="wh-0001"}'] == 90.5
    assert found['shoal_webhook_dead_letters{webhook="wh-0001"}'] == 2

    def broken() -> list[Any]:
        raise OperationError("shop_locked", "somebody has it")

    assert not any("webhook" in name for name in series(metrics(Counters(), webhooks=broken)))


def test_a_receiver_that_is_down_shows_and_the_service_is_ready_all_the_same(
    shelf: Shelf,
) -> None:
    def ready(webhooks: Any) -> Any:
        app = application(
            shelf.collector, Keyring(shelf.shop.known_keys), shelf.driver, webhooks=webhooks
        )
        return call(app, "GET", "/ready")

    told = ready(lambda: [STANDING])
    assert (told.status, told.document) == (200, {"status": "ready", "webhooks": [STANDING]})
    assert ready(list).document == {"status": "ready"}

    def broken() -> list[Any]:
        raise OperationError("shop_locked", "somebody has it")

    told = ready(broken)
    assert (told.status, told.document["webhooks"]) == (
        200, [{"state": "unknown", "failure": "shop_locked"}],
    )  # fmt: skip
    assert shelf.shop.webhooks_standing() == []
