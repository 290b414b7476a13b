"""Official clients against a service that runs, and against one that fails: each call comes once.

They are packages of others that need an environment of their own, made by `make clients`, which
also runs these tests. They are skipped where `SHOAL_CLIENTS` does not name it.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from tests.clients.proxy import Fault, Proxy
from tests.journeys.test_serve import Service

import shoal

CLIENTS = Path(os.environ.get("SHOAL_CLIENTS", ""))
DRIVERS = Path(__file__).parent / "drivers"
NAMES = ("segment_python", "rudder_python", "segment_node", "rudder_node")
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
        for _ in range(150):
            if (self.shop / "events" / "_delta_log").is_dir():
                table = DeltaTable(self.shop / "events").to_pyarrow_table(columns=["event_id"])
                found = Counter(one for one in table["event_id"].to_pylist() if one in wanted)
            if found.keys() == wanted:
                return found
            time.sleep(0.2)
        return found

    def close(self) -> None:
        self.proxy.close()
        assert self.service.stop() == 0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    found = Live(tmp_path_factory.mktemp("clients"))
    yield found
    found.close()


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name.endswith("_node") and shutil.which("node") is None:
        pytest.skip("node is not installed")
    there = {
        "segment_python": "python/bin/python", "rudder_python": "python/bin/python",
        "segment_node": "node_modules/@segment/analytics-node",
        "rudder_node": "node_modules/@rudderstack/rudder-sdk-node",
    }[name]  # fmt: skip
    if not (CLIENTS / there).exists():
        pytest.skip(f"{name} is not in {CLIENTS}: make clients")
    return name


def sent(
    live: Live,
    client: str,
    calls: list[dict[str, Any]],
    *,
    key: str = "",
    compressed: bool = False,
    retries: int = 3,
) -> list[str]:
    """Have a client send calls; the errors that it reports.

    Args:
        retries: of RudderStack's client for Node, which gives up after three by itself; the others
            go on for minutes.
    """
    job = {
        "host": live.proxy.address, "key": key or live.key, "gzip": compressed,
        "retries": retries, "calls": calls,
    }  # fmt: skip
    if client.endswith("_python"):
        command = [str(CLIENTS / "python/bin/python"), str(DRIVERS / f"{client}.py")]
    else:
        command = ["node", str(DRIVERS / f"{client}.js")]
    environment = {**os.environ, "NODE_PATH": str(CLIENTS / "node_modules"), "NO_PROXY": "*"}
    done = subprocess.run(
        command, input=json.dumps(job), capture_output=True, text=True, timeout=120,
        env=environment,
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
         "userId": "12345" if client == "segment_node" else 12345},
        {"type": "track", "anonymousId": "a1", "event": "Product Viewed",
         "properties": {"product_id": "p1", "long": "x" * 30_000}},
    ]  # fmt: skip
    told = [{**call, "messageId": f"{client}-kind-{n}"} for n, call in enumerate(told)]
    if client.startswith("rudder_python"):  # it has no way to say so
        told = [call for call in told if "anonymousId" not in call]
    assert sent(live, client, told) == []
    assert live.stored(told) == once(told)


def test_compressed_bodies(live: Live, client: str) -> None:
    if client == "segment_node":
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
    assert sent(live, client, told, retries=10) == []
    assert live.stored(told) == once(told)


@pytest.mark.parametrize("what", ["key", "body"])
def test_what_can_never_succeed_is_sent_once(live: Live, client: str, what: str) -> None:
    live.proxy.begin(*([] if what == "key" else [(400, {})]))
    told = calls(client, f"never-{what}", 1)
    sent(live, client, told, key="shoal_write_nobody" if what == "key" else "")
    assert len(live.proxy.requests) == 1
    time.sleep(0.5)
    assert len(live.proxy.requests) == 1


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
