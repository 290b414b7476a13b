"""Kept states of a behaviour model say what whole histories say, whatever came in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.laws.test_live_laws import arrived, told
from tests.models import Shop, publish
from tests.unit.workflows.test_embed import CUT, START, rows

import shoal
from shoal.adapters.memory_inbox import MemoryInbox
from shoal.config import Config, SegmentConfig, ShopConfig
from shoal.features import sequences
from shoal.features.snapshot import latest_moment
from shoal.workflows import carries as workflow
from shoal.workflows.carries import Carries
from shoal.workflows.carries_noted import drop_others, noted
from shoal.workflows.embed import current
from shoal.workflows.embedded import ModelInUse

END = START + timedelta(days=60)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    config = Config(shop=ShopConfig(buckets=4), segment=SegmentConfig(switch_margin=0.0))
    with shoal.init(tmp_path / "shop", config) as opened:
        ingest(opened, list(rows(40)))
        publish(opened, until=CUT, backbone="gru")
        yield opened


def ingest(shop: Shop, made: list[dict[str, Any]]) -> None:
    path = shop.directory.parent / f"{shop._parts.warehouse.version()}.parquet"
    pq.write_table(pa.Table.from_pylist(made), path)
    shop.ingest([path], preset="shoal")


def event(number: int, customer: str | None, moment: datetime, **told: Any) -> dict[str, Any]:
    [like] = list(rows(1))[:1]
    return {**like, "event_id": f"new{number}", "customer_id": customer, "event_time": moment,
            "anonymous_id": None, "properties": None, **told}  # fmt: skip


def in_use(shop: Shop) -> ModelInUse:
    parts = shop._parts
    return ModelInUse(current(parts.store, parts.registry), parts.fold.rules)


def kept(shop: Shop) -> Carries:
    parts = shop._parts
    made = Carries.of(in_use(shop), parts.warehouse, parts.store, parts.admission)
    assert made is not None
    return made


def follow(shop: Shop, carries: Carries, moment: datetime | None = None) -> None:
    with shop._parts.store.lease():
        carries.follow(moment or latest_moment(shop._parts.warehouse))


def held(shop: Shop, carries: Carries) -> dict[str, int]:
    """Whose carry is there, and of which version it says that it is."""
    store = shop._parts.store
    names = [name for part in store.iter_states() for name in part["customer_id"].to_pylist()]
    table = store.carries.get(carries.model.model_id, names)
    return dict(zip(table["customer_id"].to_pylist(), table["version"].to_pylist(), strict=True))


def numbers(table: pa.Table) -> np.ndarray:
    return np.stack([table[name].to_numpy() for name in table.column_names[1:]], axis=1)


def as_whole_histories(shop: Shop, carries: Carries, later: int = 0) -> None:
    moment = latest_moment(shop._parts.warehouse) + timedelta(days=later)
    whole = carries.model.embeddings(shop._parts.admission.at(moment), moment)
    mine = carries.embeddings(whole["customer_id"].to_pylist(), moment)
    assert mine.column_names == whole.column_names
    assert mine["customer_id"].equals(whole["customer_id"])
    np.testing.assert_allclose(numbers(mine), numbers(whole), atol=1e-5)


def test_they_follow_what_comes_and_are_made_anew_where_a_history_changed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequences, "EVENTS_AT_ONCE", 100)
    carries = kept(shop)
    follow(shop, carries)
    first = held(shop, carries)
    assert len(first) == shop._parts.store.count_states()
    as_whole_histories(shop, carries)
    as_whole_histories(shop, carries, later=200)

    names = sorted(first)
    built: list[list[str]] = []
    before = Carries._build_of
    monkeypatch.setattr(
        Carries, "_build_of",
        lambda self, parts, lacking, *more: (
            built.append(sorted(lacking)), before(self, parts, lacking, *more)
        ),
    )  # fmt: skip
    # in order, also of somebody new: nothing is built
    ingest(shop, [event(n, name, END + timedelta(hours=n)) for n, name in
                  enumerate([names[0], names[0], names[1], "zoe", "zoe"])])  # fmt: skip
    follow(shop, carries)
    version = shop._parts.warehouse.version()
    assert built == []
    moved = {name for name, at in held(shop, carries).items() if at == version}
    assert moved == {names[0], names[1], "zoe"}
    as_whole_histories(shop, carries)
    # late, at the same moment as the last one, and merged: built anew
    odd = {"kind": "login", "anonymous_id": names[4], "item_id": None,
           "properties": '{"alias":true}'}  # fmt: skip
    ingest(shop, [
        event(10, names[2], CUT), event(11, "zoe", END + timedelta(hours=4)),
        event(12, names[3], END + timedelta(days=1), **odd),
    ])  # fmt: skip
    follow(shop, carries)
    assert built == [sorted([names[2], names[3], "zoe"])], names
    assert names[4] not in held(shop, carries), "now somebody else"
    as_whole_histories(shop, carries)
    # what is told of an item from a day on touches who had events since
    ingest(shop, [event(20, None, END + timedelta(hours=3), kind="item", title="a new name")])
    follow(shop, carries)
    assert built[1:] == [sorted(["zoe", names[3]])]
    as_whole_histories(shop, carries)
    ingest(shop, [event(30, names[5], END + timedelta(days=2), title=None)])
    follow(shop, carries)
    assert len(built) == 2
    as_whole_histories(shop, carries)


def test_they_follow_events_that_wait_to_be_in_the_table(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    carries = kept(shop)
    follow(shop, carries)
    names = sorted(held(shop, carries))
    store = shop._parts.store
    built: list[list[str]] = []
    before = Carries._build_of
    monkeypatch.setattr(
        Carries, "_build_of",
        lambda self, parts, lacking, *more: (
            built.append(sorted(lacking)), before(self, parts, lacking, *more)
        ),
    )  # fmt: skip
    shop.segment(method="kmeans", k=2, on="embedding")
    inbox = MemoryInbox()
    stream = shop.streaming(inbox, flush_s=3600)
    hour = timedelta(hours=1)
    with store.lease():
        for number, (calls, anew) in enumerate((
            ([(names[0], END), (names[0], END + hour), ("zoe", END), ("zoe", END + hour)], []),
            ([(names[0], END + 2 * hour), ("zoe", END + 3 * hour)], []),
            ([(names[1], CUT), ("zoe", END + 2 * hour)], [names[1], "zoe"]),
        )):  # fmt: skip
            built.clear()
            inbox.append(arrived([
                told(10 * number + n, moment, userId=name) for n, (name, moment) in enumerate(calls)
            ]))  # fmt: skip
            assert stream.step(None) is not None, stream.detour
            assert [name for part in built for name in part] == anew
            as_whole_histories(shop, carries)
        stream.flush()
        assert carries.up_to_date()
        as_whole_histories(shop, carries)
        built.clear()
        carries.follow(latest_moment(shop._parts.warehouse))
        assert built == []


def test_what_was_withdrawn_before_anybody_looked_does_not_count(shop: Shop) -> None:
    carries = kept(shop)
    follow(shop, carries)
    names = ("event_id", "customer_id", "item_id", "price", "currency")
    optional = "\n".join(f'{name} = "{name}"' for name in names)
    mapping = shop.directory.parent / "orders.toml"
    mapping.write_text(
        'source = "orders"\n[columns]\nevent_time = "event_time"\nkind = "kind"\n'
        f'[optional]\n{optional}\n[restates]\nscope = ["part"]\n'
    )
    ingest(shop, [event(0, "zoe", END)])
    follow(shop, carries)
    for number in (1, 2):  # the second file states the part anew: of zoe there are two events
        told = event(number, "zoe", END + timedelta(hours=number), kind="purchase", part="p")
        path = shop.directory.parent / f"part{number}.parquet"
        pq.write_table(pa.Table.from_pylist([told]), path)
        shop.ingest([path], mapping=mapping)
    follow(shop, carries)
    as_whole_histories(shop, carries)


def test_killed_and_gone_on_it_is_the_same_and_nothing_is_read_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "CUSTOMERS_REREAD", 5)
    monkeypatch.setattr(sequences.read_sequences, "__kwdefaults__", {
        **sequences.read_sequences.__kwdefaults__, "events_at_once": 200,
    })  # fmt: skip
    carries = kept(shop)
    read = Carries._read
    done: list[str] = []

    def stopping(self: Carries, part: Any, *more: Any) -> None:
        if done and len(done) < 100:
            done.extend("x" * 100)
            raise KeyboardInterrupt
        read(self, part, *more)
        done.extend(part.customers.tolist())

    monkeypatch.setattr(Carries, "_read", stopping)
    with pytest.raises(KeyboardInterrupt):
        follow(shop, carries)
    some = held(shop, carries)
    assert 0 < len(some) < shop._parts.store.count_states()
    newer = sorted(some)[0]
    ingest(shop, [event(1, newer, END + timedelta(hours=1))])
    done[:] = ["x"] * 100
    follow(shop, carries)
    again = set(done[100:]) & some.keys()
    assert again == {newer}, "by its new event alone"
    note = noted(shop._parts.store, carries.model.model_id)
    assert note is not None
    assert (note.version, note.unfinished) == (shop._parts.warehouse.version(), ())
    as_whole_histories(shop, carries)


def test_those_of_another_model_are_not_read_and_go_when_nothing_uses_it(shop: Shop) -> None:
    old = kept(shop)
    follow(shop, old)
    publish(shop, until=CUT, backbone="gru", seed=1)
    new = kept(shop)
    assert new.embeddings(sorted(held(shop, old)), END).num_rows == 0
    follow(shop, new)
    as_whole_histories(shop, new)
    with shop._parts.store.lease():
        drop_others(shop._parts.store, [new.model.model_id])
    assert held(shop, old) == {}
    assert noted(shop._parts.store, old.model.model_id) is None
    assert held(shop, new)


def test_who_is_forgotten_is_gone_and_nobody_else_is_read_again(shop: Shop) -> None:
    carries = kept(shop)
    follow(shop, carries)
    [name, *others] = sorted(held(shop, carries))
    receipt = shop.forget([name])
    assert receipt["removed"]["carries"] == 1
    before = held(shop, carries)
    assert sorted(before) == others
    follow(shop, carries)
    assert held(shop, carries) == before, "of no later version: not touched"
    as_whole_histories(shop, carries)


def test_a_refresh_records_what_a_batch_over_histories_says(shop: Shop) -> None:
    shop.segment(on="both", k=3, until=CUT, aim="style")
    batch = shop.memberships()
    made = shop.refresh()
    assert [one["read"] for one in made.segmentations] == ["states", "states"]
    names = ["customer_id", "segment_id"]
    assert shop.memberships(recorded=True).select(names).equals(batch.select(names))
    ingest(shop, [event(1, batch["customer_id"][0].as_py(), END + timedelta(days=3))])
    shop.refresh()
    note = noted(shop._parts.store, in_use(shop).model_id)
    assert note is not None
    assert note.version == shop._parts.warehouse.version()


def test_a_backbone_without_a_state_is_read_whole(tmp_path: Path) -> None:
    with shoal.init(tmp_path / "shop", Config(shop=ShopConfig(buckets=4))) as opened:
        ingest(opened, list(rows(40)))
        publish(opened, until=CUT, backbone="bidirectional")
        opened.segment(on="both", k=2, aim="style")
        told = opened.refresh().segmentations
    assert [(one["read"], one["because"]) for one in told] == [
        ("events", "the behaviour model keeps no state of a customer"), ("states", None),
    ]  # fmt: skip
