"""A log followed by states in memory gives what a snapshot of the events before gives."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.workflows.test_segment import START, Shop, rows_of

from shoal.config import SegmentConfig
from shoal.domain.errors import InputError
from shoal.features import reference
from shoal.features.span import log_span
from shoal.workflows import following, replay
from shoal.workflows.following import Following
from shoal.workflows.known import Known, from_events
from shoal.workflows.replay import Replay
from shoal.workflows.replay_steps import FIRST, Steps

DAYS = 40


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("following"), rows_of(60, DAYS, seed=3))


def followed(shop: Shop) -> Following:
    begins, ends = log_span(shop.warehouse)
    files = shop.warehouse.events()
    total = sum(shop.warehouse.bucket_counts().values())
    return Following(shop.fold, shop.parts["zone"], files, total, begins, ends)


def snapshot(shop: Shop, day: int, items: pa.Table) -> Known:
    moment = START + timedelta(days=day)
    return from_events(shop.warehouse, shop.fold, shop.parts["zone"], moment, items)


def same(one: Known, other: Known) -> None:
    assert one.features.schema.equals(other.features.schema, check_metadata=True)
    for name in one.features.column_names:
        mine, theirs = (table.features[name].to_pylist() for table in (one, other))
        assert mine == theirs or np.allclose(
            np.array(mine, float), np.array(theirs, float), rtol=1e-12, equal_nan=True
        ), name
    keys = [(name, "ascending") for name in ("customer_id", "facet", "value")]
    assert one.counts.sort_by(keys).equals(other.counts.sort_by(keys))


@pytest.mark.parametrize("portion", [10_000, 150])
def test_states_that_follow_say_what_a_snapshot_says(
    shop: Shop, portion: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVENTS_AHEAD", portion)
    items = reference.build(shop.engine, shop.warehouse.events(), START + timedelta(days=20))
    states = followed(shop)
    for day in (1, 9, 10, 30, DAYS + 200):
        same(states.known(START + timedelta(days=day), items), snapshot(shop, day, items))


def test_the_steps_on_the_way_change_nothing(shop: Shop) -> None:
    small, one = followed(shop), followed(shop)
    for day in range(1, 26, 4):
        last = small.known(START + timedelta(days=day), None)
    same(last, one.known(START + timedelta(days=25), None))


def test_before_the_first_event_nobody_is_known(shop: Shop) -> None:
    states = followed(shop)
    with pytest.raises(InputError, match="no customer has an event before 2023-12-31"):
        states.known(START - timedelta(days=1), None)
    assert states.known(START + timedelta(days=5), None).features.num_rows


def replayed(shop: Shop, method: str) -> list[pa.Table]:
    steps = Steps(
        START + timedelta(days=20), START + timedelta(days=32), timedelta(days=3), method,
        3 if method == "kmeans" else 0, FIRST,
    )  # fmt: skip
    parts = {name: shop.parts[name] for name in ("warehouse", "fold", "zone", "admission")}
    made = Replay(**parts, steps=steps, settings=SegmentConfig())
    return [cut.memberships for cut in made.cuts()]


@pytest.mark.parametrize("method", ["kmeans", "rfm"])
def test_a_replay_by_states_is_the_replay_by_snapshots(
    shop: Shop, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_states = replayed(shop, method)
    monkeypatch.setattr(replay, "MOST_EVENTS", 0)
    by_snapshots = replayed(shop, method)
    assert len(by_states) == 5
    names = ["customer_id", "as_of", "segmentation", "segment_id", "since", "cause"]
    for mine, theirs in zip(by_states, by_snapshots, strict=True):
        assert mine.select(names).equals(theirs.select(names))
        np.testing.assert_allclose(mine["weight"], theirs["weight"], rtol=1e-9)
