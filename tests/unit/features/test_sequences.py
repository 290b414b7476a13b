"""Sequences out of an event table, and on disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.shops import Shop, write_csv
from tests.unit.features.token_logs import (
    END,
    START,
    TEXT,
    encode,
    event,
    learn,
    told,
    warehouse,
)

from shoal.domain.sequence import DTYPES, EventSequences
from shoal.domain.time import to_us
from shoal.features.queries import Rules
from shoal.features.sequences import SequenceFile, read_sequences
from shoal.features.tokens import Tokenizer

WHO = ("ann", "bob", "cyd", "dan", "eve", "客")
LOG = [
    event(n, n / 3, customer_id=WHO[n % 5 if n < 40 else 5], item_id=f"i{n % 7}", title=f"t{n % 4}")
    for n in range(44)
]


def read(events: Any, tokenizer: Any, **given: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    rules = given.pop("rules", Rules())
    for part in read_sequences(events, tokenizer, rules, as_of=given.pop("as_of", END), **given):
        assert part.customers.tolist() == sorted(part.customers)
        assert not found.keys() & set(part.customers)
        found |= told(part)
    return found


def moments(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[int]]:
    return {who: [one["us"] for one in events] for who, events in found.items()}


def test_read_is_what_is_encoded() -> None:
    tokenizer = learn(LOG)
    got = read(warehouse(LOG[:20], LOG[20:]), tokenizer)
    assert set(got) == set(WHO)
    assert got == told(encode(tokenizer, LOG))


@pytest.mark.parametrize("at_once", [1, 10, 10_000])
def test_groups_of_buckets_are_as_one_reading(at_once: int) -> None:
    events, tokenizer = warehouse(LOG), learn(LOG)
    parts = list(read_sequences(events, tokenizer, Rules(), as_of=END, events_at_once=at_once))
    assert len(parts) == (1 if at_once == 10_000 else len(events.bucket_counts()))
    assert read(events, tokenizer, events_at_once=at_once) == told(encode(tokenizer, LOG))


def test_before_a_moment_and_since_one() -> None:
    tokenizer, events = learn(LOG), warehouse(LOG)
    as_of, since = LOG[30].event_time, LOG[10].event_time
    got = moments(read(events, tokenizer, as_of=as_of, since=since))
    assert sum(map(len, got.values())) == 20
    assert min(map(min, got.values())) == to_us(since)
    assert max(map(max, got.values())) < to_us(as_of)
    assert WHO[5] not in got


def test_the_last_events_of_each() -> None:
    tokenizer, events = learn(LOG), warehouse(LOG)
    whole = read(events, tokenizer)
    assert read(events, tokenizer, last=3) == {who: rows[-3:] for who, rows in whole.items()}
    as_of = LOG[25].event_time
    before = read(events, tokenizer, as_of=as_of)
    got = read(events, tokenizer, as_of=as_of, last=2)
    assert got == {who: rows[-2:] for who, rows in before.items()}


def test_ties_of_time_are_ordered_by_sequence_and_id() -> None:
    events = [
        event(3, 0, sequence=1, item_id="b"),
        event(1, 0, sequence=2, item_id="c"),
        event(2, 0, sequence=1, item_id="a"),
    ]
    tokenizer = learn(events)
    order = [one["item"] for one in read(warehouse(events), tokenizer)["ann"]]
    wanted = [
        encode(tokenizer, [one]).fields["item"][0] for one in (events[2], events[0], events[1])
    ]
    assert order == wanted
    assert [one["item"] for one in read(warehouse(events), tokenizer, last=2)["ann"]] == wanted[1:]


def test_some_customers_and_some_buckets() -> None:
    tokenizer, events = learn(LOG), warehouse(LOG)
    whole = read(events, tokenizer)
    asked = ["客", "ann", "nobody", "ann"]
    assert read(events, tokenizer, customers=asked) == {who: whole[who] for who in ("ann", "客")}
    assert read(events, tokenizer, customers=[]) == {}
    by_bucket = [read(events, tokenizer, buckets=[bucket]) for bucket in events.bucket_counts()]
    assert {who: rows for part in by_bucket for who, rows in part.items()} == whole
    assert read(events, tokenizer, buckets=[]) == read(events, tokenizer, buckets=[99]) == {}


def test_a_version_of_the_table() -> None:
    tokenizer, events = learn(LOG), warehouse(LOG[:20], LOG[20:])
    assert read(events, tokenizer, version=1) == told(encode(tokenizer, LOG[:20]))
    assert read(events, tokenizer, version=2) == read(events, tokenizer)


def test_an_empty_table_gives_nothing() -> None:
    assert read(warehouse(), learn([])) == {}
    assert read(warehouse(LOG), learn(LOG), as_of=START) == {}


def test_noise_guests_and_orders_told_twice_are_left_out() -> None:
    events = [
        event(1, item_id="lamp"),
        event(2, customer_id=None, item_id="lamp"),
        event(3, kind="purchase", item_id="lamp", source="till"),
        event(4, kind="purchase", item_id="lamp", source="web"),
    ]
    tokenizer = learn(events)
    got = read(warehouse(events), tokenizer, rules=Rules(order_sources=("till",)))
    assert [len(rows) for rows in got.values()] == [2]


def test_items_are_told_by_facts_valid_at_the_time() -> None:
    events = [
        event(1, 0, item_id="new"),
        event(2, 2, item_id="new"),
        event(3, 4, item_id="new", title="as told", brand="own"),
        event(4, 1, kind="item", item_id="new", title="Lamp", category="home", brand="acme"),
        event(5, 3, kind="item", item_id="new", title="Red lamp"),
        event(6, 8, kind="item", item_id="new", title="told later"),
        event(7, 0, item_id="x", category="home", brand="acme"),
        event(8, 0, item_id="x"),
        event(9, 0, item_id="y"),
        event(10, 0, item_id="y"),
    ]
    tokenizer = learn([one for one in events if one.item_id in ("x", "y")])
    whole = read(warehouse(events), tokenizer, as_of=START + timedelta(days=7))["ann"]
    fresh = [one for one in whole if one["item"] == whole[-1]["item"]]
    before, between, after = fresh
    assert before["text"] == (0,) * TEXT.width
    assert before["category1"] == before["brand"] == 0
    assert between["text"] == tuple(TEXT.encode(["Lamp"])[0])
    assert (between["category1"], between["brand"]) == (1, 1)
    assert after["text"] == tuple(TEXT.encode(["as told"])[0])
    assert (after["category1"], after["brand"] > 1) == (1, True)
    # facts of a later day change nothing
    early = [one for one in events if one.event_id != "e6"]
    assert read(warehouse(early), tokenizer, as_of=START + timedelta(days=7))["ann"] == whole


def test_a_visitors_events_are_read_with_titles_as_they_count(tmp_path: Path) -> None:
    """Of a shop with identities and item facts, where events are admitted before they are read."""
    blank = {"customer_id": "", "anonymous_id": "", "item_id": "", "title": "", "brand": ""}
    rows = [
        {"kind": "item", "item_id": "lamp", "title": "Red lamp", "brand": "acme"},
        {"kind": "view", "item_id": "lamp", "anonymous_id": "phone"},
        {"kind": "view", "item_id": "tin", "title": "Tin", "anonymous_id": "phone"},
        {"kind": "login", "customer_id": "ann", "anonymous_id": "phone"},
    ]
    moments = [(START + timedelta(minutes=n)).isoformat() for n in range(len(rows))]
    made = [
        {"event_id": f"e{n}", "event_time": moment, **blank, **row}
        for n, (row, moment) in enumerate(zip(rows, moments, strict=True))
    ]
    shop = Shop(tmp_path / "shop")
    shop.ingest(write_csv(tmp_path / "events.csv", made, columns=tuple(made[0])))
    counted = shop.admission.at(END)
    assert not isinstance(counted, type(shop.warehouse))
    tokenizer = Tokenizer.learn(shop.engine, counted.events(), until=END, rules=Rules(), text=TEXT)
    lamp, tin, login = read(counted, tokenizer)["ann"]
    assert lamp["text"] == tuple(TEXT.encode(["Red lamp"])[0])
    assert lamp["brand"] > 0
    assert tin["text"] == tuple(TEXT.encode(["Tin"])[0])
    assert login["text"] == (0,) * TEXT.width
    shop.close()


# -- on disk -------------------------------------------------------------------------------------


def parts(seed: int, sizes: list[int]) -> list[EventSequences]:
    """Parts of customers (`sizes`: events of each part), texts drawn from few."""
    chance = np.random.default_rng(seed)
    words = chance.integers(1, 50, (6, 4)).astype(np.int32)
    found = []
    for number, size in enumerate(sizes):
        texts = np.concatenate([np.zeros((1, 4), np.int32), words[chance.permutation(6)[:3]]])
        fields = {
            name: chance.integers(0, 9, size).astype(dtype) for name, dtype in DTYPES.items()
        } | {"text": chance.integers(0, 4, size).astype(np.int32)}
        customers = np.array([f"c{number}-{i}" for i in range(2)], dtype=object)
        offsets = np.array([0, size // 2, size], np.int64)
        found.append(EventSequences(customers, offsets, fields, texts))
    return found


@pytest.mark.parametrize("sizes", [[4, 0, 7, 3], [0], [1]])
def test_a_file_holds_what_was_written(tmp_path: Path, sizes: list[int]) -> None:
    written = parts(1, sizes)
    made = SequenceFile.write(tmp_path / "new" / "one", iter(written))
    again = SequenceFile.open(tmp_path / "new" / "one")
    wanted = {who: rows for part in written for who, rows in told(part).items()}
    for file in (made, again):
        assert told(file.sequences) == wanted
        assert file.sequences.customers.tolist() == list(wanted)
        assert file.sequences.events == sum(sizes)
    distinct = {rows["text"] for events in wanted.values() for rows in events}
    assert len(again.sequences.texts) <= 1 + 6
    assert {tuple(row) for row in again.sequences.texts.tolist()} >= distinct - {(0,) * 4}


def test_a_file_of_nothing(tmp_path: Path) -> None:
    got = SequenceFile.write(tmp_path, iter(())).sequences
    assert len(got) == got.events == 0
    assert told(SequenceFile.open(tmp_path).sequences) == {}


def test_fields_on_disk_are_mapped_not_read(tmp_path: Path) -> None:
    got = SequenceFile.write(tmp_path, iter(parts(2, [10]))).sequences
    assert all(isinstance(values, np.memmap) for values in got.fields.values())
    assert told(got.take(np.array([1, 0]))).keys() == {"c0-1", "c0-0"}


def test_a_customer_is_read_from_the_file_as_from_the_table(tmp_path: Path) -> None:
    tokenizer, events = learn(LOG), warehouse(LOG)
    reading = read_sequences(events, tokenizer, Rules(), as_of=END, events_at_once=1)
    got = SequenceFile.write(tmp_path, reading).sequences
    assert told(got) == told(encode(tokenizer, LOG))
    assert len({row.tobytes() for row in got.texts}) == len(got.texts) == 1 + 4


def test_an_unwritable_place_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        SequenceFile.write(tmp_path / "file" / "x", iter(parts(3, [2])))
