"""A model's states that follow a log give what embedding the whole histories gives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.models import Shop, publish
from tests.unit.workflows.test_embed import CUT, START, rows

import shoal
from shoal.config import Config, ShopConfig
from shoal.workflows import replay as workflow
from shoal.workflows.embed import current
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.following_model import Carried, carried

DAYS = 60


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(home: Path, **config: object) -> Shop:
    pq.write_table(pa.Table.from_pylist(list(rows(50))), home / "events.parquet")
    opened = shoal.init(home / "shop", Config(shop=ShopConfig(buckets=4)))
    opened.ingest([home / "events.parquet"], preset="shoal")
    publish(opened, until=CUT, **config)
    return opened


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with made(tmp_path_factory.mktemp("carried"), backbone="gru") as opened:
        yield opened


def in_use(shop: Shop) -> ModelInUse:
    parts = shop._parts
    return ModelInUse(current(parts.store, parts.registry), parts.fold.rules)


def numbers(table: pa.Table) -> np.ndarray:
    table = table.sort_by("customer_id")
    return np.stack([table[name].to_numpy() for name in table.column_names[1:]], axis=1)


@pytest.mark.parametrize("days", [(55,), (3, 10, 11, 40, DAYS, DAYS + 90)])
def test_states_that_follow_say_what_whole_histories_say(shop: Shop, days: tuple[int, ...]) -> None:
    model, events = in_use(shop), shop._parts.warehouse
    states = carried(model, events, None)
    assert isinstance(states, Carried)
    for day in days:
        moment = START + timedelta(days=day)
        mine, whole = states.embeddings(moment), model.embeddings(events, moment)
        assert mine.column_names == whole.column_names
        assert sorted(mine["customer_id"].to_pylist()) == whole["customer_id"].to_pylist()
        np.testing.assert_allclose(numbers(mine), numbers(whole), atol=1e-5)
        if day > DAYS:
            before = states.embeddings(moment + timedelta(days=1))
            assert not np.array_equal(numbers(before), numbers(mine)), "silence ages them"


def test_a_backbone_without_a_state_is_not_followed(tmp_path: Path) -> None:
    with made(tmp_path, backbone="bidirectional") as opened:
        assert carried(in_use(opened), opened._parts.warehouse, None) is None


def test_a_replay_on_embeddings_is_the_same_by_states_and_by_histories(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replayed() -> list[pa.Table]:
        cuts = shop.replay("2024-02-10", "2024-02-28", every="6d", k=3, refit="first", on="both")
        found = list(cuts)
        assert all("e0" in cut.features.column_names for cut in found)
        assert [bool(cut.warnings) for cut in found] == [cut.as_of < CUT for cut in found]
        return [cut.memberships for cut in found]

    by_states = replayed()
    monkeypatch.setattr(workflow, "MOST_EVENTS", 0)
    names = ["customer_id", "segment_id", "since", "cause"]
    for mine, theirs in zip(by_states, replayed(), strict=True):
        assert mine.select(names).equals(theirs.select(names))
        np.testing.assert_allclose(mine["weight"], theirs["weight"], atol=1e-4)
