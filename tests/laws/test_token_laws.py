"""Laws of tokens: what splits, row order, stores, artefacts and time may not change."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.logs import AS_OFS, random_log
from tests.unit.features.token_logs import (
    BUCKETS,
    END,
    SMALL,
    TEXT,
    encode,
    engine,
    filled,
    learn,
    table,
    told,
    warehouse,
)

from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.domain.event import Event
from shoal.domain.kinds import ITEM
from shoal.features.queries import Rules
from shoal.features.sequences import SequenceFile, read_sequences
from shoal.features.tokens import Tokenizer

RULES = Rules(currency="GBP")
LATE = END + timedelta(days=3_650)
TITLES = (None, None, "Red lamp", "lamp", "落地灯", "", "500ml")
Seeds = st.integers(0, 2**20)


def log(seed: int, size: int) -> list[Event]:
    """A random log with titles; facts of items belong to nobody."""
    chance = random.Random(seed)
    events = random_log(seed, size)
    return [
        Event(
            **{
                **{name: getattr(one, name) for name in one.__dataclass_fields__},
                "title": chance.choice(TITLES),
                "customer_id": None if one.kind == ITEM else one.customer_id,
            }
        )
        for one in events
    ]


@lru_cache(maxsize=4)
def tokenizer_of(seed: int) -> Tokenizer:
    return learn(log(seed, 60), LATE, rules=RULES)


def owned(events: list[Event]) -> list[Event]:
    return [one for one in events if one.customer_id is not None and one.kind != ITEM]


def read(events: Any, tokenizer: Tokenizer, **given: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for part in read_sequences(events, tokenizer, RULES, as_of=given.pop("as_of", LATE), **given):
        found |= told(part)
    return found


@given(Seeds, Seeds, st.integers(1, 5))
@settings(max_examples=25)
def test_any_split_of_customers_is_encoded_as_the_whole(seed: int, split: int, parts: int) -> None:
    events, tokenizer = owned(log(seed, 50)), tokenizer_of(3)
    chance = random.Random(split)
    whose = {one.customer_id: chance.randrange(parts) for one in events}
    whole = told(encode(tokenizer, events))
    split_up: dict[str, Any] = {}
    for part in range(parts):
        split_up |= told(encode(tokenizer, [e for e in events if whose[e.customer_id] == part]))
    assert split_up == whole


@given(Seeds)
@settings(max_examples=10)
def test_an_event_is_encoded_alone_as_among_others(seed: int) -> None:
    events, tokenizer = owned(log(seed, 25)), tokenizer_of(3)
    whole = told(encode(tokenizer, events))
    order = sorted(events, key=lambda e: (e.customer_id, e.event_time, e.sequence, e.event_id))
    alone = [told(encode(tokenizer, [one]))[str(one.customer_id)][0] for one in order]
    assert alone == [one for who in sorted(whole) for one in whole[who]]


@given(Seeds, Seeds)
@settings(max_examples=10)
def test_vocabularies_do_not_depend_on_the_order_of_rows(seed: int, order: int) -> None:
    events = log(seed, 60)
    shuffled = random.Random(order).sample(events, len(events))
    assert learn(shuffled, LATE, rules=RULES).fingerprint == tokenizer_of(seed).fingerprint


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_vocabularies_and_sequences_do_not_depend_on_store_or_threads(
    tmp_path: Path, seed: int
) -> None:
    events = log(seed, 120)
    delta_engine = DuckEngine(threads=1)
    stores = [
        warehouse(events),
        warehouse(events[:50], events[50:70], events[70:]),
        filled(
            DeltaWarehouse(tmp_path / "events", BUCKETS, delta_engine), events[:90], events[90:]
        ),
    ]
    fingerprints, sequences = set(), []
    for store in stores:
        made = Tokenizer.learn(
            store.engine, store.events(), until=LATE, rules=RULES, text=TEXT, settings=SMALL
        )
        fingerprints.add(made.fingerprint)
        sequences.append(read(store, made))
    assert len(fingerprints) == 1
    assert sequences[0]
    assert all(one == sequences[0] for one in sequences)


@given(Seeds, st.sampled_from(AS_OFS))
@settings(max_examples=8)
def test_nothing_at_or_after_a_moment_changes_what_is_learned_or_read(
    seed: int, moment: Any
) -> None:
    events = log(seed, 60)
    before = [one for one in events if one.event_time < moment]
    everything, known = warehouse(events), warehouse(before)
    made = [
        Tokenizer.learn(
            engine(), store.events() if store.version() >= 0 else table([]), until=moment,
            rules=RULES, text=TEXT, settings=SMALL,
        )
        for store in (everything, known)
    ]  # fmt: skip
    assert made[0].fingerprint == made[1].fingerprint
    assert read(everything, made[0], as_of=moment) == read(known, made[0], as_of=moment)


@given(Seeds, st.integers(1, 40))
@settings(max_examples=8)
def test_groups_of_buckets_are_read_as_the_whole(seed: int, at_once: int) -> None:
    store, tokenizer = warehouse(log(seed, 40)), tokenizer_of(3)
    assert read(store, tokenizer, events_at_once=at_once) == read(store, tokenizer)


@given(Seeds, st.integers(1, 6))
@settings(max_examples=8)
def test_the_last_events_are_the_end_of_all(seed: int, last: int) -> None:
    store, tokenizer = warehouse(log(seed, 40)), tokenizer_of(3)
    whole = read(store, tokenizer)
    assert read(store, tokenizer, last=last) == {who: rows[-last:] for who, rows in whole.items()}
    for who in sorted(whole)[:1]:
        assert read(store, tokenizer, customers=[who]) == {who: whole[who]}


@given(Seeds, st.lists(st.sampled_from(AS_OFS), min_size=1, max_size=3, unique=True))
@settings(max_examples=10)
def test_stretches_of_time_add_up(seed: int, cuts: list[Any]) -> None:
    store, tokenizer = warehouse(log(seed, 50)), tokenizer_of(3)
    found: dict[str, list[dict[str, Any]]] = {}
    for since, as_of in pairwise([None, *sorted(cuts), LATE]):
        for who, rows in read(store, tokenizer, since=since, as_of=as_of).items():
            found.setdefault(who, []).extend(rows)
    assert found == read(store, tokenizer)


@given(Seeds)
@settings(max_examples=10)
def test_an_artefact_gives_the_same_codes(seed: int) -> None:
    tokenizer = tokenizer_of(seed % 5)
    again = Tokenizer.from_artefact(
        json.loads(json.dumps(tokenizer.to_document())), tokenizer.to_arrays(), TEXT
    )
    events = owned(log(seed, 40))
    assert told(encode(again, events)) == told(encode(tokenizer, events))
    assert again.fingerprint == tokenizer.fingerprint


@pytest.mark.parametrize("seed", [5, 6])
def test_a_file_of_sequences_is_what_was_read(tmp_path: Path, seed: int) -> None:
    store, tokenizer = warehouse(log(seed, 80)), tokenizer_of(3)
    reading = read_sequences(store, tokenizer, RULES, as_of=LATE, events_at_once=20)
    SequenceFile.write(tmp_path, reading)
    assert told(SequenceFile.open(tmp_path).sequences) == read(store, tokenizer)


@given(Seeds)
@settings(max_examples=10)
def test_slices_and_chunks_of_rows_are_encoded_as_whole_ones(seed: int) -> None:
    events, tokenizer = owned(log(seed, 40)), tokenizer_of(3)
    rows = table(events).sort_by(
        [(name, "ascending") for name in ("customer_id", "event_time", "sequence", "event_id")]
    )
    chunked = pa.concat_tables([rows.slice(start, 7) for start in range(0, rows.num_rows, 7)])
    assert told(tokenizer.encode(chunked)) == told(tokenizer.encode(rows.combine_chunks()))
