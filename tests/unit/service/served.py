"""A small shop with segments behind the application, as a service has it, without a network."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from tests.shops import purchase, write_csv
from tests.unit.service.calls import Told, call

import shoal
from shoal.adapters.memory_audit import MemoryAudit
from shoal.adapters.memory_inbox import MemoryInbox
from shoal.config import Config
from shoal.domain.limits import ServiceLimits
from shoal.domain.time import parse_moment
from shoal.events.collected import judge
from shoal.ports import Arrived
from shoal.service.access import Keyring
from shoal.service.api import Served
from shoal.service.app import application
from shoal.service.counters import Counters
from shoal.service.driver import Driver
from shoal.service.endpoint import Endpoint
from shoal.service.endpoints import endpoints_of
from shoal.workflows.collecting import Collector
from shoal.workflows.profile import FRESH_S

NO_LIMITS = ServiceLimits(key_per_second=0, refused_per_second=0)
NOON = parse_moment("2024-03-03T12:00:00Z")
#: What came in as calls: a device that signs in, traits, and a call that nothing can be made of.
CALLS: list[dict[str, Any]] = [
    {"type": "track", "event": "Product Viewed", "anonymousId": "device-1", "messageId": "v1",
     "timestamp": "2024-03-02T10:00:00Z", "properties": {"product_id": "i1", "price": 9.5}},
    {"type": "identify", "userId": "c1", "anonymousId": "device-1", "messageId": "n1",
     "timestamp": "2024-03-02T10:01:00Z", "traits": {"plan": "gold"}},
    {"type": "track", "event": "Product Viewed", "userId": "with/slash", "messageId": "v2",
     "timestamp": "2024-03-02T10:02:00Z", "properties": {"product_id": "i2"}},
    {"type": "bogus", "userId": "c1", "messageId": "b1"},
    {"type": "bogus", "userId": "c2", "messageId": "b2"},
]  # fmt: skip


@dataclass
class Shelf:
    """A shop that is served."""

    shop: shoal.Shop
    app: Starlette
    endpoints: list[Endpoint]
    collector: Collector
    driver: Driver
    keys: dict[str, str]
    counters: Counters

    def ask(
        self, path: str, *, role: str = "admin", method: str = "GET", body: Any = None,
        raw: bytes | None = None, address: str = "203.0.113.7", **query: Any,
    ) -> Told:  # fmt: skip
        sent = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        return call(
            self.app, method, path, key=self.keys.get(role, ""), body=sent, address=address,
            query=urlencode({name: _text(value) for name, value in query.items()}),
        )  # fmt: skip

    def asking_again(self) -> None:
        """Let nothing be remembered of what is in force."""
        time.sleep(FRESH_S)

    def get(self, path: str, **query: Any) -> Any:
        """The document of an answer that is 200."""
        told = self.ask(path, **query)
        assert told.status == 200, told.document
        return told.document


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def served(home: Path) -> Iterator[Shelf]:
    """A shop of twenty buyers with RFM segments, served."""
    whole, drained = _whole()
    inbox = deepcopy(drained)
    collector = Collector(inbox)
    with shoal.open(shutil.copytree(whole, home / "shop")) as shop:
        keys = {role: shop.make_key(role, role=role)["key"]
                for role in ("admin", "viewer", "marketer", "write")}  # fmt: skip
        keyring, counters = Keyring(shop.known_keys), Counters()
        driver = Driver(shop, inbox, clock=lambda: NOON)
        state = Served.of(collector, driver, keyring, counters)
        endpoints = endpoints_of(shop, MemoryAudit(), served=state)
        app = application(collector, keyring, driver, endpoints, limits=NO_LIMITS,
                          counters=counters)  # fmt: skip
        with shop.lease():
            yield Shelf(shop, app, endpoints, collector, driver, keys, counters)
    collector.close()


@cache
def _whole() -> tuple[Path, MemoryInbox]:
    """The shop before it is served, and its inbox; made once for all tests of a process."""
    home = Path(tempfile.mkdtemp(prefix="shoal-served-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    config = Config()
    config = replace(config, features=replace(config.features, traits=("plan",)))
    rows = [purchase(number, f"c{number % 20}") for number in range(60)]
    inbox = MemoryInbox()
    inbox.append([_arrived(one) for one in CALLS])
    with shoal.init(home / "shop", config) as shop:
        shop.ingest(write_csv(home / "orders.csv", rows), preset="shoal")
        while shop.drain(inbox).calls:
            pass
        shop.segment(method="rfm")
    return home / "shop", inbox


def _arrived(told: dict[str, Any]) -> Arrived:
    one = judge(told, None, NOON)
    return Arrived("web", one.message_id, 1, one.line)
