"""Official clients against a service that runs, and against one that fails: each call comes once.

They are packages of others that need an environment of their own, made by `make clients`, which
also runs these tests. They are skipped where `SHOAL_CLIENTS` does not name it.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.clients.official import OFFICIAL, PERMANENT
from tests.clients.proxy import Fault, Proxy
from tests.journeys.test_serve import Service

import shoal

CLIENTS = Path(os.environ.get("SHOAL_CLIENTS", ""))
BUSY: Fault = (429, {"retry-after": "1"})
DOWN: Fault = (503, {"retry-after": "1"})

pytestmark = pytest.mark.skipif(
    not os.environ.get("SHOAL_CLIENTS"),
    reason="official clients are tried where SHOAL_CLIENTS names their environment: make clients",
)


class Live:
    """A shop that is served behind a proxy, and can be killed and served again."""

    def __init__(self, home: Path) -> None:
        self.shop = home / "shop"
        with shoal.init(self.shop) as opened:
            self.key = opened.make_key("web")["key"]
        self.service = Service(self.shop, self.key)
        self.proxy = Proxy(lambda: self.service.address)

    def kill(self) -> None:
        """Kill the service, and serve again."""
        self.service.stop(signal.SIGKILL)
        self.service = Service(self.shop, self.key)

    def stored(self, calls: list[dict[str, Any]]) -> Counter[str]:
        """How often each call is in the log, once all of them are, or after a while."""
        wanted = {call["messageId"] for call in calls}
        found: Counter[str] = Counter()
        for _ in range(60):
            found = Counter(one["event_id"] for one in self.events() if one["event_id"] in wanted)
            if found.keys() == wanted:
                return found
            time.sleep(0.5)
        return found

    def events(self) -> list[dict[str, Any]]:
        """All that is in the log."""
        with shoal.open(self.shop) as opened:
            events = opened._parts.warehouse.events()
            if not events.paths:
                return []
            wanted = "SELECT event_id, event_time, properties FROM events"
            found: list[dict[str, Any]] = opened._parts.warehouse.engine.run(
                wanted, {"events": events}
            ).to_pylist()
            return found

    def close(self) -> None:
        self.proxy.close()
        assert self.service.stop() == 0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    found = Live(tmp_path_factory.mktemp("clients"))
    yield found
    found.close()


@pytest.fixture(params=OFFICIAL)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    missing = OFFICIAL[name].missing(CLIENTS)
    if missing is not None:
        pytest.skip(missing)
    return name


def sent(
    live: Live,
    client: str,
    calls: list[dict[str, Any]],
    *,
    key: str = "",
    compressed: bool = False,
    retries: int | None = None,
    skew: int = 0,
) -> list[str]:
    """Have a client send calls; the errors that it reports.

    Args:
        retries: None: ten; those for Node give up after three by themselves.
        skew: seconds by which its clock is ahead.
    """
    official = OFFICIAL[client]
    own = 3 if client in ("rudder_node", "segment_node_2") else 10
    job = {
        "host": live.proxy.address, "key": key or live.key, "gzip": compressed,
        "retries": own if retries is None else retries, "skew": skew, "calls": calls,
    }  # fmt: skip
    done = subprocess.run(
        official.command(CLIENTS), input=json.dumps(job), capture_output=True, text=True,
        timeout=120, env=official.variables(CLIENTS),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])["errors"]
    return found


def calls(client: str, what: str, count: int = 20, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "track", "event": "Product Viewed", "userId": f"u{number % 5}",
         "messageId": f"{client}-{what}-{number}",
         "properties": {"product_id": f"p{number}", "price": 9.5, **more}}
        for number in range(count)
    ]  # fmt: skip


def once(told: list[dict[str, Any]]) -> Counter[str]:
    return Counter({call["messageId"]: 1 for call in told})


def test_every_kind_of_call(live: Live, client: str) -> None:
    live.proxy.begin()
    told = [
        {"type": "identify", "userId": "u1", "traits": {"plan": "gold", "email": "a@b.c"}},
        {"type": "page", "userId": "u1", "name": "Home", "category": "Shop"},
        {"type": "screen", "userId": "u1", "name": "Basket"},
        {"type": "group", "userId": "u1", "groupId": "g1", "traits": {"name": "Firm"}},
        {"type": "track", "userId": "u1", "event": "Product Added",
         "properties": {"product_id": "p1", "text": "鱼 \u202e🐟", "nothing": None}},
        {"type": "track", "event": "Product Viewed", "properties": {"product_id": "p1"},
         "userId": "12345" if client.startswith("segment_node") else 12345},
        {"type": "track", "anonymousId": "a1", "event": "Product Viewed",
         "properties": {"product_id": "p1", "long": "x" * 30_000}},
    ]  # fmt: skip
    told = [{**call, "messageId": f"{client}-kind-{n}"} for n, call in enumerate(told)]
    if not OFFICIAL[client].names_nobody:
        told = [call for call in told if "anonymousId" not in call]
    assert sent(live, client, told) == []
    assert live.stored(told) == once(told)


def test_compressed_bodies(live: Live, client: str) -> None:
    if not OFFICIAL[client].compresses:
        pytest.skip("it does not compress")
    live.proxy.begin()
    told = calls(client, "gzip")
    assert sent(live, client, told, compressed=True) == []
    assert all(gzip.decompress(body) for body, _ in live.proxy.requests)
    assert live.stored(told) == once(told)


def test_many_calls(live: Live, client: str) -> None:
    live.proxy.begin()
    told = calls(client, "many", 1500, note="y" * 50)
    assert sent(live, client, told, compressed=True) == []
    assert len(live.proxy.requests) > 1
    assert live.stored(told) == once(told)


@pytest.mark.parametrize(
    "faults", [(BUSY, BUSY), (DOWN, DOWN), ((503, {}),), ("cut",), ("gone", "cut", DOWN)],
    ids=["busy", "down", "without retry-after", "answer lost", "one after the other"],
)  # fmt: skip
def test_what_passes_is_sent_again_and_stored_once(
    live: Live, client: str, faults: tuple[Fault, ...], request: pytest.FixtureRequest
) -> None:
    live.proxy.begin(*faults)
    told = calls(client, request.node.callspec.id.replace(" ", "-"), 10)
    assert sent(live, client, told) == []
    assert len(live.proxy.requests) >= len(faults) + 1
    assert live.stored(told) == once(told)


def test_killed_in_the_middle(live: Live, client: str) -> None:
    live.proxy.begin()

    def kill(number: int) -> None:
        if number == 3:
            live.kill()

    live.proxy.before = kill
    told = calls(client, "killed", 300)
    assert sent(live, client, told, retries=OFFICIAL[client].patience) == []
    assert live.stored(told) == once(told)


@pytest.mark.parametrize("status", PERMANENT)
def test_what_can_never_succeed_is_sent_once(live: Live, client: str, status: int) -> None:
    live.proxy.begin((status, {}))
    told = calls(client, f"never-{status}", 1)
    errors = sent(live, client, told, retries=2)
    # Whoever insists was told 400 by a service that means it: see `test_a_key_of_nobody`.
    assert len(live.proxy.requests) == (2 if status in OFFICIAL[client].insists else 1)
    assert bool(errors) == (status not in OFFICIAL[client].insists)


def test_a_key_of_nobody_ends_it(live: Live, client: str) -> None:
    live.proxy.begin()
    errors = sent(live, client, calls(client, "nobody", 1), key="shoal_write_nobody", retries=2)
    assert errors
    assert len(live.proxy.requests) == (3 if 401 in OFFICIAL[client].insists else 1)
    time.sleep(0.5)
    assert len(live.proxy.requests) == (3 if 401 in OFFICIAL[client].insists else 1)


@pytest.mark.parametrize("status", [202, 204])
def test_who_is_content_with_what(live: Live, client: str, status: int) -> None:
    """Why the service answers exactly 200: others are taken for failures by some."""
    live.proxy.begin((status, {}))
    told = calls(client, f"content-{status}", 1)
    assert sent(live, client, told) == []
    content = status in OFFICIAL[client].taken
    assert len(live.proxy.requests) == (1 if content else 2)
    if not content:
        assert live.stored(told) == once(told)


def test_a_large_call(live: Live, client: str) -> None:
    live.proxy.begin()
    told = calls(client, "large", 3, text="x" * 40_000)
    longest = OFFICIAL[client].longest
    if longest is not None and longest < 40_000:
        with pytest.raises(AssertionError):  # it says so itself, before anything is sent
            sent(live, client, told)
        assert live.proxy.requests == []
        return
    assert sent(live, client, told) == []
    assert live.stored(told) == once(told)


def test_a_batch_of_megabytes(live: Live, client: str) -> None:
    live.proxy.begin()
    told = calls(client, "megabytes", 140, text="x" * 28_000)
    assert sent(live, client, told, compressed=OFFICIAL[client].compresses) == []
    assert live.stored(told) == once(told)


def test_a_clock_that_is_ahead(live: Live, client: str) -> None:
    live.proxy.begin()
    told = calls(client, "ahead", 2)
    begun = time.time()
    assert sent(live, client, told, skew=600) == []
    assert live.stored(told) == once(told)
    names = {call["messageId"] for call in told}
    times = [e["event_time"].timestamp() for e in live.events() if e["event_id"] in names]
    assert len(times) == 2
    body = live.proxy.requests[0][0]
    said = json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)["sentAt"]
    assert datetime.fromisoformat(said).timestamp() > begun + 590
    assert all(begun - 5 < one < time.time() + 5 for one in times)


def test_traits_wherever_a_client_puts_them(live: Live, client: str) -> None:
    live.proxy.begin()
    told = [{"type": "identify", "userId": f"traits-{client}", "messageId": f"{client}-traits",
             "traits": {"plan": f"gold of {client}"}}]  # fmt: skip
    assert sent(live, client, told) == []
    assert live.stored(told) == once(told)
    found = [e["properties"] for e in live.events() if e["event_id"] == f"{client}-traits"]
    assert len(found) == 1 and f"gold of {client}" in str(found[0])


def test_a_bad_call_costs_no_other_and_is_not_sent_again(live: Live, client: str) -> None:
    live.proxy.begin()
    told = calls(client, "bad", 5)
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    told[2]["properties"]["deep"] = deep
    assert sent(live, client, told) == []
    sound = told[:2] + told[3:]
    assert live.stored(sound) == once(sound)
    requests = len(live.proxy.requests)
    time.sleep(0.5)
    assert len(live.proxy.requests) == requests
    with shoal.open(live.shop) as opened:
        raws = [s.raw for r in opened.quarantine(code="too_deep", samples=50).reasons
                for s in r.samples]  # fmt: skip
    assert sum(told[2]["messageId"] in raw for raw in raws) == 1


def test_the_same_calls_again_are_none(live: Live, client: str) -> None:
    live.proxy.begin()
    told = calls(client, "again")
    for _ in range(2):
        assert sent(live, client, [dict(call) for call in told]) == []
    assert live.stored(told) == once(told)
