"""A stream's steps make of events what the event table makes of them, whatever came when."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import shoal
from shoal.adapters.memory_inbox import MemoryInbox
from shoal.config import Config, NoiseConfig, SegmentConfig, ShopConfig
from shoal.domain.errors import OperationError
from shoal.domain.time import iso, to_us
from shoal.events.collected import judge
from shoal.ports import Arrived
from shoal.shop import Shop, streaming
from shoal.shop.streaming import Stream
from shoal.workflows import live_flush, live_moves
from shoal.workflows.live_fold import Folder, Folding, joined

START = datetime(2024, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=40)


def told(number: int, moment: datetime, what: str = "view", **ids: str) -> dict[str, Any]:
    """A call of a tracking client."""
    base = {"messageId": f"m{number}", "timestamp": moment.isoformat(), **ids}
    item = {"product_id": f"i{number % 7}", "category": f"c{number % 3}", "currency": "EUR"}
    match what:
        case "identify" | "alias":
            return {**base, "type": what}
        case "buy":
            products = [
                {**item, "product_id": f"i{line}", "price": 5 + number % 11, "quantity": line}
                for line in range(1, 2 + number % 3)
            ]
            return {**base, "type": "track", "event": "Order Completed",
                    "properties": {"order_id": f"o{number}", "currency": "EUR",
                                   "products": products}}  # fmt: skip
        case "poison":
            return {"messageId": f"m{number}", "type": "track", "timestamp": "yesterday"}
    return {**base, "type": "track", "event": "Product Viewed",
            "properties": {**item, "price": 5 + number % 11}}  # fmt: skip


def history(seed: int, calls: int) -> list[dict[str, Any]]:
    """Calls of customers and devices: sign-ins, a device that changes hands, aliases, late ones, a
    visitor too fast to be a person, and some that can be no event."""
    drawn = random.Random(seed)
    found: list[dict[str, Any]] = []
    for number in range(calls):
        moment = START + timedelta(minutes=30 * number, seconds=drawn.randrange(60))
        if drawn.random() < 0.1:
            moment -= timedelta(days=drawn.randrange(1, 9))
        person = drawn.randrange(12)
        ids = {"userId": f"u{person}"} if drawn.random() < 0.6 else {"anonymousId": f"d{person}"}
        what = drawn.choice(("view", "view", "view", "buy"))
        luck = drawn.random()
        if luck < 0.08:
            what, ids = "identify", {"userId": f"u{person}", "anonymousId": f"d{person}"}
        elif luck < 0.1:
            what, ids = "identify", {"userId": "u3", "anonymousId": "d4"}
        elif luck < 0.12:
            what, ids = "alias", {"userId": f"u{person}", "previousId": f"u{person + 20}"}
        elif luck < 0.14:
            what = "poison"
        elif luck < 0.3:
            ids = {"userId": f"u{person}", "anonymousId": f"d{person}"}
        found.append(told(number, moment, what, **ids))
    burst = START + timedelta(days=9)
    found[calls // 2 : calls // 2] = [
        told(10_000 + n, burst + timedelta(milliseconds=700 * n), userId="u1") for n in range(70)
    ]
    return found


def arrived(calls: Sequence[dict[str, Any]], source: str = "web") -> list[Arrived]:
    found = []
    for call in calls:
        one = judge(call, None, NOW)
        fault = None if one.fault is None else ": ".join(one.fault)
        found.append(Arrived(source, one.message_id, to_us(NOW), one.line, fault))
    return found


def beginning() -> list[dict[str, Any]]:
    """What both shops know before."""
    return [
        told(n, START - timedelta(days=n % 50), ("view", "buy")[n % 2], userId=f"u{n % 9}")
        for n in range(20_000, 20_120)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with segments."""
    home = tmp_path_factory.mktemp("live") / "shop"
    config = Config(
        shop=ShopConfig(buckets=4, currency="EUR", value_event="purchase"),
        segment=SegmentConfig(switch_margin=0.0),
        noise=NoiseConfig(run_events=60),
    )
    with shoal.init(home, config) as shop:
        first = MemoryInbox()
        first.append(arrived(beginning()))
        while shop.drain(first).calls:
            pass
        shop.segment(method="rfm")
    return home


@contextmanager
def held(made: Path, home: Path) -> Iterator[Shop]:
    """A copy of it that this process writes to."""
    shutil.copytree(made, home)
    with shoal.open(home) as shop, shop.lease():
        yield shop


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Iterator[Shop]:
    with held(made, tmp_path / "stream") as found:
        yield found


@pytest.fixture
def other(made: Path, tmp_path: Path) -> Iterator[Shop]:
    with held(made, tmp_path / "table") as found:
        yield found


def parts_of(calls: Sequence[Arrived], seed: int) -> Iterator[Sequence[Arrived]]:
    drawn, start = random.Random(seed), 0
    while start < len(calls):
        stop = start + drawn.choice((1, 2, 9, 40))
        yield calls[start:stop]
        start = stop


def streamed(stream: Stream, shop: Shop, inbox: MemoryInbox, now: datetime) -> bool:
    """Whether what waits moved in a step of the stream; else it went through the table."""
    if stream.step(now) is not None:
        return True
    shop.drain(inbox)
    shop.refresh(as_of=now, arrived=True)
    return False


def kept(shop: Shop) -> dict[str, Any]:
    store = shop._parts.store
    states = pa.concat_tables(list(store.iter_states()))
    people = store.people.links()
    return {
        "states": {row["customer_id"]: row["body"] for row in states.to_pylist()},
        "links": people.sort_by([(name, "ascending") for name in people.column_names]).to_pylist(),
        "flags": store.flags.flags().to_pylist(),
    }


def memberships(shop: Shop) -> dict[tuple[str, str], tuple[str, float]]:
    """Where everybody is, in each segmentation, and with what weight."""
    store = shop._parts.store
    names = [store.get_pointer("segmentation.main"), store.get_pointer("segmentation.rules")]
    rows = store.get_memberships([name for name in names if name]).to_pylist()
    return {
        (row["customer_id"], row["segmentation_id"]): (row["segment_id"], round(row["weight"], 9))
        for row in rows
    }


def events(shop: Shop) -> list[str]:
    query = "SELECT event_id, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL"
    found = shop._parts.engine.run(query, {"events": shop._parts.warehouse.events()})
    return [f"{row['event_id']}x{row['n']}" for row in found.to_pylist()]


def in_three(folding: Folding) -> Folder:
    """Does shares as three partitions do."""
    return lambda share: joined([folding(own) for own in share.divided(3)])


@pytest.mark.parametrize(("seed", "divided"), [(1, None), (2, in_three)], ids=["whole", "divided"])
def test_states_links_flags_and_memberships_are_those_of_the_table(
    shop: Shop, other: Shop, seed: int, divided: Callable[[Folding], Folder] | None
) -> None:
    inbox, beside = MemoryInbox(), MemoryInbox()
    stream = shop.streaming(inbox, flush_s=3600, divided=divided)
    drawn = random.Random(seed)
    steps, moment = 0, NOW
    for part in parts_of(arrived(history(seed, 110)), seed):
        moment += timedelta(minutes=1)
        inbox.append(part)
        beside.append(part)
        steps += streamed(stream, shop, inbox, moment)
        if drawn.random() < 0.25:
            other.drain(beside)
            assert kept(shop) == kept(other)
            assert events(shop) == events(other)
        if drawn.random() < 0.2:
            stream.flush()
    assert steps > 10
    other.drain(beside)
    stream.flush()
    assert shop._parts.store.live.numbers() == []
    assert kept(shop) == kept(other)
    assert events(shop) == events(other)
    assert shop.quarantine().as_document()["rows"] == other.quarantine().as_document()["rows"] > 0
    for one in (shop, other):
        one.refresh(as_of=moment)
    assert memberships(shop) == memberships(other)


def recorded(shop: Shop, name: str) -> list[tuple[str, str, str]]:
    """Rows of a segmentation's log: who, where, why; a customer's in order."""
    rows = shop._parts.store.membership_history(segmentations=[name]).to_pylist()
    return sorted(
        ((row["customer_id"], row["segment_id"], row["cause"]) for row in rows),
        key=lambda row: row[0],
    )


def test_swept_in_parts_everybody_is_where_a_refresh_puts_them(shop: Shop, other: Shop) -> None:
    inbox, beside = MemoryInbox(), MemoryInbox()
    stream = shop.streaming(inbox, flush_s=3600, divided=in_three)
    name = str(shop._parts.store.get_pointer("segmentation.main"))
    for one, waiting in ((shop, inbox), (other, beside)):
        waiting.append(arrived([told(100, NOW, userId="u1")]))
        one.drain(waiting)
    # Events came in of customers whom no step moved, so the table has to be asked who they are.
    assert stream.sweep("", 3, NOW) is None
    for one in (shop, other):
        one.refresh(as_of=NOW)
    moment, calls = NOW, arrived([told(n, NOW, "buy", userId=f"u{n % 3}") for n in range(9)])
    inbox.append(calls[:6])
    assert stream.step(moment) is not None
    after, parts = "", 0
    while True:
        moment = NOW + timedelta(days=400, seconds=parts)
        aged = stream.sweep(after, 3, moment)
        assert aged is not None
        parts += 1
        if aged.after is None:
            break
        after = aged.after
        if parts == 1:  # some come between two parts
            inbox.append(calls[6:])
            assert stream.step(moment) is not None
    assert parts > 2
    beside.append(calls)
    other.drain(beside)
    other.refresh(as_of=NOW, arrived=True)
    other.refresh(as_of=moment)
    stream.flush()
    assert memberships(shop) == memberships(other)
    causes = {cause for _, _, cause in recorded(shop, name)}
    assert {"silence", "event"} <= causes
    # and whoever was silent and is elsewhere is so once
    again = shop.refresh(as_of=moment)
    assert again.changed == 0


def test_who_came_through_the_table_is_moved_before_others_are(shop: Shop, other: Shop) -> None:
    inbox, beside = MemoryInbox(), MemoryInbox()
    stream = shop.streaming(inbox, flush_s=3600)
    name = str(shop._parts.store.get_pointer("segmentation.main"))
    first = arrived([told(n, NOW, "buy", userId="u-new") for n in range(6)])
    for one, waiting in ((shop, inbox), (other, beside)):
        waiting.append(first)
        one.drain(waiting)  # a backlog, after which customers follow later
    calls, moment = arrived([told(50, NOW, userId="u2")]), NOW + timedelta(minutes=1)
    inbox.append(calls)
    assert not streamed(stream, shop, inbox, moment)
    assert stream.detour == "events came in of customers who were not moved yet"
    beside.append(calls)
    other.drain(beside)
    other.refresh(as_of=moment, arrived=True)
    assert memberships(shop) == memberships(other)
    assert ("u-new", "event") in {(who, cause) for who, _, cause in recorded(shop, name)}
    inbox.append(arrived([told(51, NOW, userId="u2")]))
    assert streamed(stream, shop, inbox, moment + timedelta(minutes=1))


class KilledError(Exception):
    """A process that ends at this point."""


def kill(*_: object, **__: object) -> None:
    raise KilledError


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (live_flush.units, "put"),
        (live_flush._Flush, "_commit"),
        (live_flush._Flush, "_finish"),
        (live_flush, "follow_flush"),
    ],
    ids=["staged", "before the commit", "after the commit", "in the last transaction"],
)
def test_a_flush_that_is_killed_is_done_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, where: Any, what: str
) -> None:
    inbox = MemoryInbox()
    stream = shop.streaming(inbox, flush_s=0)
    inbox.append(arrived([told(n, NOW, userId=f"u{n % 4}") for n in range(9)]))
    inbox.append(arrived([told(n, NOW, "poison") for n in range(20, 22)]))
    assert stream.step(NOW) is not None
    assert stream.flush_due()
    before, whole = kept(shop), events(shop)
    with monkeypatch.context() as patched:
        patched.setattr(where, what, kill)
        with pytest.raises(KilledError):
            stream.flush()
    assert events(shop) == whole
    assert all(one.endswith("x1") for one in whole)
    # somebody else finds what was left: a verb of another process that writes
    shop.catch_up()
    shop.flush()
    assert shop._parts.store.live.numbers() == []
    table = shop._parts.warehouse.table
    found = shop._parts.engine.run("SELECT count(*) AS n FROM events", {"events": table.events()})
    assert found["n"].to_pylist() == [len(whole)]
    assert kept(shop) == before
    assert shop.quarantine().as_document()["rows"] == 2
    assert shop._parts.store.applied_version() == table.version()


def test_a_step_that_fails_leaves_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = MemoryInbox()
    stream = shop.streaming(inbox, flush_s=3600)
    inbox.append(arrived([told(n, NOW, userId="u1", anonymousId=f"d{n}") for n in range(5)]))
    before, there = kept(shop), len(events(shop))
    with monkeypatch.context() as patched:
        patched.setattr(live_moves, "record", kill)
        with pytest.raises(KilledError):
            stream.step(NOW)
    assert kept(shop) == before
    assert (len(events(shop)), inbox.waiting()) == (there, 5)
    found = stream.step(NOW)
    assert found is not None and found.rows.stored == 5
    assert (len(events(shop)), inbox.waiting()) == (there + 5, 0)
    # the position is kept with the states: calls that are still in the inbox are not taken twice
    assert shop._parts.store.live.position() == stream.position == 5


def test_an_inbox_that_was_restored_goes_on_from_where_it_is(shop: Shop) -> None:
    inbox, there = MemoryInbox(), len(events(shop))
    stream = shop.streaming(inbox, flush_s=3600)
    inbox.append(arrived([told(n, NOW, userId="u1") for n in range(5)]))
    assert stream.step(NOW) is not None
    # from before: two calls wait in it that the shop has, and one comes that it has not
    older = MemoryInbox()
    older.append(arrived([told(n, NOW, userId="u1") for n in range(2)]))
    stream = shop.streaming(older, flush_s=3600)
    assert stream.step(NOW) is not None
    assert (older.waiting(), shop._parts.store.live.position()) == (0, 2)
    older.append(arrived([told(7, NOW, userId="u1")]))
    found = stream.step(NOW)
    assert found is not None and found.rows.stored == 1
    # and one again that the shop took in between
    older.append(arrived([told(4, NOW, userId="u1")]))
    assert not streamed(stream, shop, older, NOW + timedelta(minutes=1))
    assert len(events(shop)) == there + 6
    assert all(one.endswith("x1") for one in events(shop))


def test_calls_that_the_stream_cannot_take_say_why(shop: Shop) -> None:
    inbox = MemoryInbox()
    stream = shop.streaming(inbox, flush_s=3600)
    dollars = told(1, NOW, userId="u1")
    dollars["properties"]["currency"] = "USD"
    for call, why in (
        (told(20_000, START, userId="u1"), "some events are in the log already"),
        (dollars, "amounts are in other currencies than the shop's"),
    ):
        inbox.append(arrived([call]))
        assert stream.step(NOW) is None
        assert stream.detour == why
        shop.drain(inbox)
        shop.refresh(arrived=True)
        assert stream.step(NOW) is not None  # nothing waits


def test_a_backlog_goes_through_the_table(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BACKLOG", 5)
    inbox = MemoryInbox()
    stream = shop.streaming(inbox, flush_s=3600)
    inbox.append(arrived([told(n, NOW, userId="u1") for n in range(5)]))
    assert stream.step(NOW) is not None
    inbox.append(arrived([told(n, NOW, userId="u1") for n in range(5, 11)]))
    assert stream.step(NOW) is None and stream.detour is not None and "many" in stream.detour
    assert shop.drain(inbox).rows.stored == 6
    shop.refresh(arrived=True)
    inbox.append(arrived([told(n, NOW, userId="u1") for n in range(8, 13)]))
    assert streamed(stream, shop, inbox, NOW)
    assert all(one.endswith("x1") for one in events(shop))
    assert {f"m{n}x1" for n in range(13)} <= set(events(shop))


def test_a_shop_without_prices_is_streamed_from_its_second_batch_on(tmp_path: Path) -> None:
    plain = [told(n, NOW, userId=f"u{n % 3}") for n in range(6)]
    for call in plain:
        del call["properties"]["currency"], call["properties"]["price"]
    inbox = MemoryInbox()
    with shoal.init(tmp_path / "shop") as shop, shop.lease():
        stream = shop.streaming(inbox, flush_s=3600)
        inbox.append(arrived(plain[:3]))
        assert stream.step(NOW) is None
        shop.drain(inbox)
        shop.catch_up()
        inbox.append(arrived(plain[3:]))
        found = stream.step(NOW)
        assert found is not None and (found.rows.stored, found.as_of) == (3, None), stream.detour
        # the first amount says what the shop's currency is
        inbox.append(arrived([told(7, NOW, userId="u1")]))
        assert stream.step(NOW) is None
        shop.drain(inbox)
        shop.catch_up()  # nothing is left to be made anew
        inbox.append(arrived([told(8, NOW, userId="u1")]))
        assert stream.step(NOW) is not None, stream.detour
        assert len(events(shop)) == 8


def test_others_read_beside_a_stream_and_see_what_waits(shop: Shop) -> None:
    inbox = MemoryInbox()
    stream = shop.streaming(inbox, flush_s=3600)
    inbox.append(arrived([told(n, NOW, userId=f"u{n % 4}") for n in range(9)]))
    assert stream.step(NOW) is not None
    with shoal.open(shop.directory) as another:
        another.catch_up()
        another.catch_up(reading=True)
        assert events(another) == events(shop)
        assert another.customer("u1")["customer_id"] == "u1"
        with pytest.raises(OperationError) as caught:
            another.compact()
        assert caught.value.code == "shop_locked"
    assert len(shop._parts.store.live.numbers()) == 1


def test_what_waits_is_counted_and_listed_as_when_it_is_flushed(shop: Shop) -> None:
    inbox = MemoryInbox()
    stream = shop.streaming(inbox, flush_s=3600)
    moment = NOW + timedelta(days=1, microseconds=5)
    for source, poison in (("kiosk", 0), ("app", 4), ("web", 4)):
        calls = [told(n, moment, userId=f"u{n % 4}") for n in range(3)]
        calls += [told(n, moment, "poison") for n in range(3, 3 + poison)]
        inbox.append(arrived(calls, source))
        assert stream.step(NOW) is not None
    before = shop.status()
    assert before["to"] == iso(moment)
    asking, rows = shop.asking(), sum(shop._parts.warehouse.bucket_counts().values())
    listed, page = (
        shop.quarantine().as_document(),
        asking.quarantined(code=None, behind=None, limit=6),
    )
    assert asking.status()["events"] == before["events"] == rows
    assert asking.quarantine().as_document()["rows"] == listed["rows"] == 8
    rest = asking.quarantined(code=None, behind=page[1], limit=6)
    assert len(page[0]) == 6 and rest[1] is None
    stream.flush()
    after = shop.status()
    changed = {"table_version", "units", "units_with_quarantine"}
    assert {n: v for n, v in after.items() if n not in changed} == {
        n: v for n, v in before.items() if n not in changed
    }
    assert shop.quarantine().as_document() == listed
    assert asking.quarantined(code=None, behind=None, limit=6) == page
    assert asking.quarantined(code=None, behind=page[1], limit=6) == rest


def test_a_shop_is_whole_while_events_wait(shop: Shop) -> None:
    inbox = MemoryInbox()
    stream = shop.streaming(inbox, flush_s=3600)
    inbox.append(arrived([told(n, NOW, userId=f"u{n % 4}", anonymousId="d7") for n in range(9)]))
    assert stream.step(NOW) is not None
    assert shoal.verify(shop.directory, deep=True)["ok"]
    parts = shop._parts
    with parts.store.transaction():
        parts.store.live.drop("web", 99)
    assert not shoal.verify(shop.directory, deep=True)["ok"]
