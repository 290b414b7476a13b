"""Webhooks over HTTP and the threads that tell them, without a network."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pyarrow as pa
import pytest
from tests.unit.service.calls import Told, call

from shoal.adapters.memory_inbox import MemoryInbox
from shoal.adapters.memory_store import MemoryStateStore
from shoal.adapters.memory_webhooks import MemoryWebhooks
from shoal.domain.access import ALLOWED, WEBHOOKS_WRITE, Key, digest_of
from shoal.domain.errors import OperationError
from shoal.domain.webhook import Reply
from shoal.segments import artefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.service.access import Keyring
from shoal.service.app import application
from shoal.service.driver import Driver
from shoal.service.webhook_routes import webhook_endpoints
from shoal.service.webhooks_driver import WebhooksDriver
from shoal.workflows.collecting import Collector
from shoal.workflows.webhooks import Webhooks
from shoal.workflows.webhooks_delivery import Sending

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MASTER = b"m" * 32
URL = "https://hooks.example.com/a"


class Receivers:
    """Receivers by address: what each answers, once it may."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.hangs: dict[str, threading.Event] = {}

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        self.sent.append(url)
        if url in self.hangs:
            self.hangs[url].wait(10)
        return Reply(200, text="thanks")


class Keeper:
    """The webhooks of a shop in memory, as its verbs give them."""

    def __init__(self) -> None:
        self.state, self.store, self.receivers = MemoryStateStore(), MemoryWebhooks(), Receivers()
        self.state.set_pointer(artefact.MAIN, "k-1", NOW)
        self.known = Webhooks(self.store, self.state, MASTER, clock=lambda: NOW)

    def webhooks(self) -> dict[str, Any]:
        return self.known.listed()

    def webhook(self, webhook_id: str) -> dict[str, Any]:
        return self.known.one(webhook_id)

    def add_webhook(
        self, url: str, *, shape: str = "standard", segments: Sequence[str] = (),
        channel: str = "", since_seq: int | None = None, audit: bool = True,
    ) -> dict[str, Any]:  # fmt: skip
        secret, made = self.known.add(
            url, shape=shape, segments=segments, channel=channel, since_seq=since_seq
        )
        return {"secret": secret, **made.as_document()}

    def remove_webhook(self, webhook_id: str, *, audit: bool = True) -> dict[str, Any]:
        return self.known.remove(webhook_id).as_document()

    def retry_webhook(self, webhook_id: str, *, audit: bool = True) -> dict[str, Any]:
        return self.known.retry(webhook_id)

    def test_webhook(self, webhook_id: str) -> dict[str, Any]:
        return self.known.test(webhook_id, self.receivers)

    def moved(self, customer: str, segment: str) -> None:
        row = {"customer_id": customer, "segmentation_id": "k-1", "segment_id": segment,
               "weight": 0.5, "since": NOW, "cause": "event", "margin": None}  # fmt: skip
        self.state.put_memberships(pa.Table.from_pylist([row], schema=MEMBERSHIPS_SCHEMA))

    def sending(self) -> Sending:
        return Sending(self.store, self.state, self.receivers, MASTER, lambda *_: {}, lambda: NOW)


class Asked:
    """An application with the routes of webhooks, and a key of each role."""

    def __init__(self, keeper: Keeper) -> None:
        self.collector = Collector(MemoryInbox())
        keys = [Key(f"key-{number:04d}", role, role, digest_of(role), "", NOW)
                for number, role in enumerate(ALLOWED)]  # fmt: skip
        driver = cast(Driver, type("Still", (), {"told": lambda _: {"failure": None}})())
        self.app = application(
            self.collector, Keyring(lambda: keys, lambda: NOW), driver, webhook_endpoints(keeper)
        )

    def __call__(
        self, method: str, path: str, body: Any = None, *, role: str = "admin", raw: bytes = b""
    ) -> Told:
        sent = raw or (b"" if body is None else json.dumps(body).encode())
        return call(self.app, method, f"/v1/webhooks{path}", key=role, body=sent)


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def ask(keeper: Keeper) -> Iterator[Asked]:
    found = Asked(keeper)
    yield found
    found.collector.close()


def test_a_webhook_is_made_listed_tried_and_removed(ask: Asked) -> None:
    made = ask("POST", "", {"url": URL, "segments": ["s01"], "channel": "email", "since_seq": 0})
    assert made.status == 201
    assert made.document["secret"].startswith("whsec_")
    assert (made.document["webhook_id"], made.document["state"]) == ("wh-0001", "on")
    listed = ask("GET", "").document["webhooks"]
    assert [(one["url"], one["segments"], one["dead_letters"]) for one in listed] == [
        (URL, ["s01"], 0)
    ]
    for path in ("", "/wh-0001"):
        assert "whsec_" not in json.dumps(ask("GET", path).document), "a secret is shown once"
    assert ask("POST", "/wh-0001/test").document["delivered"]
    assert ask("POST", "/wh-0001/retry").document["dead_letters"] == []
    assert ask("DELETE", "/wh-0001").status == 200
    assert ask("GET", "").document["webhooks"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/wh-0009"), ("DELETE", "/wh-0009"), ("POST", "/wh-0009/test"),
     ("POST", "/wh-0009/retry"), ("DELETE", "/'; DROP TABLE webhooks"), ("GET", "/wh-²")],
)  # fmt: skip
def test_a_webhook_that_is_not_there_is_not_found(ask: Asked, method: str, path: str) -> None:
    told = ask(method, path)
    assert (told.status, told.document["code"]) == (404, "unknown_webhook")


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example.com/", "https://127.0.0.1/", "https://2130706433/", "https://[::1]/",
     "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/latest/meta-data", "https://localhost/",
     "file:///etc/passwd", "https://a:b@hooks.example.com/", "", "https://hooks.example.com:25/"],
)  # fmt: skip
def test_addresses_to_which_nothing_may_be_sent_are_refused(ask: Asked, url: str) -> None:
    told = ask("POST", "", {"url": url})
    assert (told.status, told.document["code"]) == (400, "bad_webhook")
    assert told.document["message"]
    assert ask("GET", "").document["webhooks"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"5", b'{"url":', b'{"url":5}', b'{"shape":"standard"}', b'{"url":null}',
        b'{"url":"x","more":1}', b'{"url":"x","segments":"s"}', b'{"url":"x","segments":[1]}',
        b'{"url":"x","since_seq":true}', b'{"url":"x","since_seq":1.5}', b"[" * 100_000,
        b"\xff\xfe", b'{"url":"x","shape":["standard"]}',
    ],
    ids=[f"body{number}" for number in range(15)],
)  # fmt: skip
def test_bodies_that_are_no_webhook_are_refused(ask: Asked, body: bytes) -> None:
    told = ask("POST", "", raw=body or b" ")
    assert (told.status, told.document["code"]) == (400, "usage")


@pytest.mark.parametrize(
    "settings",
    [{"shape": "xml"}, {"segments": [""]}, {"channel": "x" * 81}, {"since_seq": -1},
     {"segments": ["\ud800"]}],
    ids=["shape", "segment", "channel", "place", "surrogate"],
)  # fmt: skip
def test_settings_that_no_webhook_has_are_refused(ask: Asked, settings: dict[str, Any]) -> None:
    told = ask("POST", "", {"url": URL, **settings})
    assert (told.status, told.document["code"]) == (400, "bad_webhook")


def test_a_place_beyond_all_bounds_is_the_end_of_the_log(ask: Asked, keeper: Keeper) -> None:
    keeper.moved("a", "s01")
    assert ask("POST", "", {"url": URL, "since_seq": 10**300}).status == 201
    assert ask("GET", "/wh-0001").document["position"] == 1


def test_only_who_may_write_webhooks_comes_near_them(ask: Asked) -> None:
    for role, allowed in ALLOWED.items():
        status = ask("GET", "", role=role).status
        assert status == (200 if WEBHOOKS_WRITE in allowed else 403), role
    assert ask("POST", "", {"url": URL}, role="viewer").status == 403
    assert ask("GET", "", role="nobody").status == 401


# --- Threads --------------------------------------------------------------------------------------


def eventually(found: Any) -> bool:
    for _ in range(1_000):
        if found():
            return True
        time.sleep(0.005)
    return False


def test_a_receiver_that_hangs_holds_up_nobody_else(keeper: Keeper) -> None:
    hung = threading.Event()
    keeper.receivers.hangs[URL] = hung
    keeper.add_webhook(URL)
    keeper.add_webhook(URL + "b")
    driver = WebhooksDriver(keeper.sending(), every_s=0.005)
    driver.start()
    for number in range(5):
        keeper.moved(f"c{number}", "s01")
        seen = number + 1
        assert eventually(lambda: keeper.webhook("wh-0002")["changes"] == seen)  # noqa: B023
    assert keeper.receivers.sent.count(URL) == 1
    assert keeper.webhook("wh-0001")["changes"] == 0
    assert driver.told()["busy"] >= 1
    hung.set()
    assert eventually(lambda: keeper.webhook("wh-0001")["changes"] == 5)
    driver.stop()
    assert driver.told() == {"on": True, "busy": 0, "failures": {}}


def test_what_goes_wrong_on_this_side_is_told_until_it_does_not(keeper: Keeper) -> None:
    class Broken(MemoryStateStore):
        broken = True

        def last_membership(self) -> int:
            if self.broken:
                raise OperationError("shop_damaged", "the store is damaged")
            return super().last_membership()

    keeper.add_webhook(URL)
    keeper.state = state = Broken()
    driver = WebhooksDriver(keeper.sending(), every_s=0.005)
    driver.start()
    assert eventually(lambda: driver.told()["failures"] == {"": "the store is damaged"})
    state.broken = False
    assert eventually(lambda: driver.told()["failures"] == {})
    driver.stop()


def test_without_a_key_nothing_is_begun() -> None:
    driver = WebhooksDriver(None)
    driver.start()
    driver.stop()
    assert driver.told() == {"on": False, "busy": 0, "failures": {}}
