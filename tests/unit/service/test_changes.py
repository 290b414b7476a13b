"""Changes as they happen: streams that go on where they ended, slow clients, bounds, pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from starlette.requests import Request
from starlette.responses import Response

from shoal.adapters.memory_store import MemoryStateStore
from shoal.domain.access import Key
from shoal.domain.errors import OperationError, UsageError
from shoal.segments import artefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.service.changes import ChangeFeed, _wanted

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = Key("key-0001", "viewer", "board", "", "", NOW)
Event = tuple[str, str, Any]


def store_of(*rows: tuple[str, str]) -> MemoryStateStore:
    store = MemoryStateStore()
    store.set_pointer(artefact.MAIN, "k-1", NOW)
    moved(store, *rows)
    return store


def moved(store: MemoryStateStore, *rows: tuple[str, str]) -> None:
    told = [
        {"customer_id": customer, "segmentation_id": "k-1", "segment_id": segment, "weight": 0.5,
         "since": NOW, "cause": "event", "margin": 0.25}
        for customer, segment in rows
    ]  # fmt: skip
    store.put_memberships(pa.Table.from_pylist(told, schema=MEMBERSHIPS_SCHEMA))


def feed_of(store: MemoryStateStore, **settings: Any) -> ChangeFeed:
    quick = {"heartbeat_s": 0.2, "slow_s": 0.1, "grace_s": 0.1, "look_s": 0.005}
    return ChangeFeed(store, settings.pop("still_valid", lambda key: True), **quick | settings)


class Client:
    """One client of a feed: what it was sent; it takes as much as it is told to.

    Args:
        takes: pieces that it takes before it stands still; None: all.
    """

    def __init__(
        self, feed: ChangeFeed, query: str = "", takes: int | None = None, **headers: str
    ) -> None:
        self.feed, self.takes = feed, takes
        self.pieces, self.head = list[str](), dict[str, str]()
        self.status, self.waited_for = 0, True
        self.again, self._gone = asyncio.Event(), asyncio.Event()
        told = {"accept": "text/event-stream", **headers}
        self._scope = {
            "type": "http", "method": "GET", "path": "/v1/changes", "query_string": query.encode(),
            "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in told.items()],
        }  # fmt: skip

    async def run(self) -> Response:
        request = Request(self._scope, self._receive)
        found = await self.feed.read(request, KEY)
        self.status = found.status_code
        await found(self._scope, self._receive, self._send)
        return found

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.head = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        if self.takes is not None and len(self.pieces) >= self.takes:
            try:
                await self.again.wait()
            except asyncio.CancelledError:
                self.waited_for = False
                raise
        self.pieces.append(message["body"].decode())

    def leave(self) -> None:
        self._gone.set()

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def events(self) -> list[Event]:
        """Id, kind and data of every event, as a browser reads them."""
        found: list[Event] = []
        for block in self.text.split("\n\n"):
            fields = dict(
                line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":"
            )
            if "data" in fields:
                found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
        return found

    @property
    def last_id(self) -> str:
        """What a browser would show when it comes back."""
        ids = [line[4:] for line in self.text.split("\n") if line.startswith("id: ")]
        return ids[-1] if ids else ""

    def told(self) -> list[tuple[int, str, str]]:
        return [
            (data["seq"], data["customer_id"], data["to"])
            for _, kind, data in self.events
            if kind == "membership.changed"
        ]


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not found():
            await asyncio.sleep(0.01)


def in_loop(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(bounded())


# --- Streams --------------------------------------------------------------------------------------


def test_a_change_is_told_as_it_happens() -> None:
    async def test() -> None:
        store = store_of(("a", "s01"))
        client = Client(feed_of(store))
        running = asyncio.create_task(client.run())
        await until(lambda: client.feed.streams == 1 and bool(client.pieces))
        moved(store, ("a", "s02"))
        await until(lambda: len(client.events) == 1)
        assert client.events == [
            ("2", "membership.changed",
             {"seq": 2, "customer_id": "a", "segmentation_id": "k-1", "from": "s01", "to": "s02",
              "cause": "event", "weight": 0.5, "margin": 0.25, "since": "2026-05-01T00:00:00Z"}),
        ]  # fmt: skip
        assert client.head["content-type"].startswith("text/event-stream")
        assert "content-length" not in client.head
        await until(lambda: ": heartbeat\n\n" in client.text)
        client.leave()
        await running
        assert client.feed.streams == 0

    in_loop(test)


@pytest.mark.parametrize("header", [True, False])
def test_a_client_that_comes_back_misses_nothing_and_gets_nothing_twice(header: bool) -> None:
    async def test() -> None:
        store = store_of()
        told: list[tuple[int, str, str]] = []
        place = "0"
        for number in range(5):
            moved(store, *((f"c{number}-{one}", "s01") for one in range(3)))
            # A new feed each time: the service was started anew.
            feed = feed_of(store)
            how = {"last_event_id": place} if header else {}
            client = Client(feed, "" if header else f"since_seq={place}", **how)
            running = asyncio.create_task(client.run())
            await until(lambda: len(client.told()) == 3)  # noqa: B023
            client.leave()
            await running
            told += client.told()
            place = client.last_id
        assert [one[0] for one in told] == list(range(1, 16))

    in_loop(test)


def test_where_a_stream_ended_counts_more_than_where_its_address_began_it() -> None:
    async def test() -> None:
        client = Client(
            feed_of(store_of(("a", "s01"), ("b", "s01"))), "since_seq=0", last_event_id="1"
        )
        running = asyncio.create_task(client.run())
        await until(lambda: bool(client.told()))
        client.leave()
        await running
        assert client.told() == [(2, "b", "s01")]

    in_loop(test)


def test_only_some_segments_are_told_and_the_place_moves_on_all_the_same() -> None:
    async def test() -> None:
        store = store_of(("a", "s01"), ("b", "s02"), ("c", "s03"), ("d", "s04"))
        client = Client(feed_of(store), "since_seq=0&segment=s02,s03")
        running = asyncio.create_task(client.run())
        await until(lambda: client.last_id == "4")
        assert client.told() == [(2, "b", "s02"), (3, "c", "s03")]
        client.leave()
        await running

    in_loop(test)


def test_a_slow_client_hears_why_it_ends_and_goes_on_from_there() -> None:
    async def test() -> None:
        store = store_of(*((f"c{number:04d}", "s01") for number in range(1_200)))
        slow = Client(feed_of(store, grace_s=10), "since_seq=0", takes=4)
        running = asyncio.create_task(slow.run())
        await until(lambda: not slow.waited_for)
        slow.again.set()  # it takes something again before it is given up for good
        await running
        *_, (_, kind, data) = slow.events
        assert (kind, data["code"]) == ("closed", "too_slow")
        assert data["seq"] == int(slow.last_id) == len(slow.told()) == 150
        back = Client(feed_of(store), last_event_id=slow.last_id)
        running = asyncio.create_task(back.run())
        await until(lambda: back.last_id == "1200")
        back.leave()
        await running
        assert [one[0] for one in slow.told() + back.told()] == list(range(1, 1_201))

    in_loop(test)


def test_a_client_that_never_takes_anything_is_let_go() -> None:
    async def test() -> None:
        store = store_of(*((f"c{number:04d}", "s01") for number in range(500)))
        feed = feed_of(store)
        client = Client(feed, "since_seq=0", takes=2)
        await client.run()
        assert feed.streams == 0
        assert len(client.pieces) == 2

    in_loop(test)


def test_no_more_streams_than_there_may_be() -> None:
    async def test() -> None:
        feed = feed_of(store_of(), most=2)
        clients = [Client(feed) for _ in range(2)]
        running = [asyncio.create_task(one.run()) for one in clients]
        await until(lambda: feed.streams == 2)
        refused = Client(feed)
        await refused.run()
        assert refused.status == 429
        assert json.loads(refused.text)["code"] == "too_many_streams"
        assert int(refused.head["retry-after"]) > 0
        clients[0].leave()
        await running[0]
        another = Client(feed)
        running.append(asyncio.create_task(another.run()))
        await until(lambda: feed.streams == 2)
        for one in (clients[1], another):
            one.leave()
        await asyncio.gather(*running)

    in_loop(test)


def test_a_stream_ends_with_its_key_and_with_the_service() -> None:
    async def test() -> None:
        valid = [True]
        feed = feed_of(store_of(), still_valid=lambda key: valid[0])
        client = Client(feed)
        running = asyncio.create_task(client.run())
        await until(lambda: feed.streams == 1)
        valid[0] = False
        await running
        assert [data["code"] for _, _, data in client.events] == ["unauthorized"]
        valid[0] = True
        feed.heartbeat_s = 60
        client = Client(feed)
        running = asyncio.create_task(client.run())
        await until(lambda: feed.streams == 1 and bool(client.pieces))
        feed.stop()
        await running
        assert [data["code"] for _, _, data in client.events] == ["stopping"]
        assert (await Client(feed).run()).status_code == 429

    in_loop(test)


def test_a_log_that_cannot_be_read_ends_the_stream_with_the_reason() -> None:
    class Broken(MemoryStateStore):
        def membership_log(self, *_: Any) -> pa.Table:
            raise OperationError("shop_damaged", "the store is damaged")

    async def test() -> None:
        client = Client(feed_of(Broken()))
        await client.run()
        assert [data["code"] for _, _, data in client.events] == ["shop_damaged"]

    in_loop(test)


def test_clients_at_the_same_place_share_one_look_at_the_log() -> None:
    class Counting(MemoryStateStore):
        reads = 0

        def membership_log(self, *asked: Any) -> pa.Table:
            Counting.reads += 1
            return super().membership_log(*asked)

    async def test() -> None:
        store = Counting()
        moved(store, ("a", "s01"))
        feed = feed_of(store, heartbeat_s=30)
        clients = [Client(feed, "since_seq=1") for _ in range(20)]
        running = [asyncio.create_task(one.run()) for one in clients]
        await until(lambda: all(one.pieces for one in clients))
        await asyncio.sleep(0.05)
        Counting.reads = 0
        moved(store, ("a", "s02"))
        await until(lambda: all(one.told() for one in clients))
        assert Counting.reads <= 4
        for one in clients:
            one.leave()
        await asyncio.gather(*running)

    in_loop(test)


# --- Pages ----------------------------------------------------------------------------------------


def page(store: MemoryStateStore, query: str = "", **headers: str) -> dict[str, Any]:
    client = Client(feed_of(store), query, **{"accept": "application/json", **headers})
    asyncio.run(client.run())
    assert client.status == 200
    found: dict[str, Any] = json.loads(client.text)
    return found


def test_a_list_is_read_page_by_page() -> None:
    store = store_of(("a", "s01"), ("b", "s02"), ("c", "s01"), ("d", "s02"), ("e", "s01"))
    found, place, more = list[int](), 0, True
    while more:
        told = page(store, f"since_seq={place}&limit=2")
        found += [one["seq"] for one in told["changes"]]
        place, more = told["next_seq"], told["more"]
    assert found == [1, 2, 3, 4, 5]
    assert [one["seq"] for one in page(store, "segment=s02")["changes"]] == [2, 4]
    assert [one["seq"] for one in page(store, "segment=s02&segment=s01")["changes"]] == found


@pytest.mark.parametrize(
    "query",
    ["since_seq=-1", "since_seq=x", "since_seq=1.5", "since_seq=99999999999999999999", "since_seq=",
     "limit=0", "limit=1001", "limit=²", "segment=" + "a," * 101],
    ids=["below", "word", "part", "beyond", "nothing", "none", "many", "odd", "segments"],
)  # fmt: skip
def test_what_is_no_question_is_refused(query: str) -> None:
    async def test() -> None:
        with pytest.raises(UsageError, match=r"whole number|segments were named"):
            await Client(feed_of(store_of()), query, accept="application/json").run()

    in_loop(test)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [("", "text/event-stream"), ("*/*", "text/event-stream"),
     ("text/event-stream", "text/event-stream"), ("application/json", "application/json"),
     ("text/html, application/json;q=0.9", "application/json"),
     ("application/json;q=0.2, text/event-stream;q=0.1", "application/json"),
     ("application/*", "application/json"), ("text/*;q=x", "text/event-stream"),
     ("text/html", None), ("application/json;q=0", None)],
)  # fmt: skip
def test_what_a_client_accepts_decides(accept: str, wanted: str | None) -> None:
    assert _wanted(accept) == wanted


def test_what_is_neither_is_told() -> None:
    client = Client(feed_of(store_of()), accept="text/html")
    asyncio.run(client.run())
    assert (client.status, json.loads(client.text)["code"]) == (406, "not_acceptable")
