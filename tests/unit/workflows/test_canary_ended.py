"""A canary that something else ends: a version gone back to, segments made by hand, a word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.workflows.test_segment import Shop, rows_of

from shoal.adapters.memory_store import MemoryStateStore
from shoal.adjust.canary import DROPPED, PROMOTED
from shoal.domain.errors import UsageError
from shoal.features.snapshot import latest_moment
from shoal.segments import artefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.workflows import canary
from shoal.workflows.adjust_canary import Promotion
from shoal.workflows.advance import record_version
from shoal.workflows.canary import Canary
from shoal.workflows.refresh import refresh
from shoal.workflows.rollback import rollback
from shoal.workflows.segment_publish import Publisher
from shoal.workflows.versions import versions

EARLIER = datetime(2024, 3, 20, tzinfo=UTC)
NOW = datetime(2026, 5, 4, tzinfo=UTC)
BEFORE, LIVE, TRIED = "kmeans-0001", "kmeans-0002", "kmeans-0003"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two versions that were in force, and a third one that never was."""
    shop = Shop(tmp_path_factory.mktemp("shop"), rows_of(90, 120))
    shop.segment(k=3, until=EARLIER, methods=("kmeans",), aim="style")
    shop.segment(k=3, methods=("kmeans",), aim="style")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Publisher, "remember", lambda *_: None)
        shop.segment(k=4, methods=("kmeans",), seed=5, aim="style")
    assert shop.registry.list(artefact.KIND) == [BEFORE, LIVE, TRIED]
    return shop


@pytest.fixture
def shop(made: Shop) -> Iterator[Shop]:
    """The shop, put back after each test."""
    contents = made.store._contents.copied()
    yield made
    made.store._contents = contents
    for name in made.registry.list(artefact.KIND):
        if name not in (BEFORE, LIVE, TRIED):
            made.registry.remove(artefact.KIND, name)


def begun(shop: Shop) -> Canary:
    since = latest_moment(shop.warehouse)
    trial = Canary(TRIED, LIVE, "look-0004", 0.5, since, since + 14 * DAY)
    members = artefact.read(shop.registry, TRIED).members
    with shop.store.transaction():
        canary.begin(shop.store, trial, members, NOW, shop.warehouse.version())
    return trial


def moved_on(shop: Shop, trial: Canary | None) -> datetime:
    """Memberships a week later, further than events are, and a customer whom the live version moved
    to another segment."""
    moment = latest_moment(shop.warehouse) + 7 * DAY
    refresh(**shop.parts, as_of=moment)
    rows = shop.store.get_memberships(canary.kept(shop.store, LIVE)).to_pylist()
    names = sorted({row["segment_id"] for row in rows} - {"new"})
    draws = Canary(TRIED, LIVE, "", 0.5, latest_moment(shop.warehouse), moment)
    own = next(row for row in rows if draws.chosen([row["customer_id"]])[0])
    there = next(one for one in names if one != own["segment_id"])
    told = {**own, "segmentation_id": LIVE, "segment_id": there, "since": moment, "cause": "event"}
    changed = pa.Table.from_pylist([told], schema=MEMBERSHIPS_SCHEMA)
    shop.store.put_memberships(changed if trial is None else trial.diverted(changed))
    return moment


def back(shop: Shop, version: str) -> dict[str, Any]:
    names = ("warehouse", "store", "registry")
    given = {name: shop.parts[name] for name in names}
    return rollback(**given, version=version, clock_now=lambda: NOW)


def without_one(shop: Shop, *versions: str) -> list[pa.Table]:
    """What is on record of the live version after each step back or forward, without a canary."""
    contents = shop.store._contents.copied()
    moved_on(shop, None)
    found = [shop.store.get_memberships(LIVE)]
    for name in versions:
        back(shop, name)
        found += [shop.store.get_memberships(one) for one in (LIVE, BEFORE)]
    shop.store._contents = contents
    return found


def test_going_back_ends_it_first_and_all_is_as_if_there_had_been_none(shop: Shop) -> None:
    wanted = without_one(shop, BEFORE, LIVE)
    trial = begun(shop)
    moment = moved_on(shop, trial)
    assert shop.store.get_memberships(trial.live_log).num_rows
    assert not shop.store.get_memberships(LIVE).equals(wanted[0])
    found = back(shop, BEFORE)
    assert (found["was"], found["canary"]["segmentation_id"]) == (LIVE, TRIED)
    told = found["canary"]["ended"]
    assert (told["outcome"], told["reason"]) == (DROPPED, "overtaken")
    assert told["moment"] == found["since"] == moment.isoformat().replace("+00:00", "Z")
    assert canary.running(shop.store) is None
    assert not shop.store.get_pointer(canary.POINTER)
    after = [shop.store.get_memberships(one) for one in (LIVE, BEFORE)]
    assert back(shop, LIVE)["canary"] is None
    after += [shop.store.get_memberships(one) for one in (LIVE, BEFORE)]
    for one, other in zip(after, wanted[1:], strict=True):
        assert one.equals(other)


def test_going_back_to_what_is_in_force_names_the_word_that_stops_it(shop: Shop) -> None:
    begun(shop)
    before = shop.store.last_membership()
    with pytest.raises(UsageError) as caught:
        back(shop, LIVE)
    assert "--decline look-0004" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        back(shop, TRIED)
    assert "--approve look-0004" in caught.value.hint
    assert canary.running(shop.store) is not None
    assert shop.store.last_membership() == before


def test_a_version_that_another_was_promoted_over_is_gone_back_to_as_it_was_left(
    shop: Shop,
) -> None:
    """What it said of the canary's customers last stands in the log beside."""
    wanted = without_one(shop)[0]
    trial = begun(shop)
    moment = moved_on(shop, trial)
    store, members = shop.store, artefact.read(shop.registry, TRIED).members
    with store.transaction():
        canary.end(store, PROMOTED, "passed", moment, NOW)
        record_version(store, TRIED, (LIVE, TRIED), members, moment)
        store.set_pointer(artefact.MAIN, TRIED, NOW)
    told = store.get_memberships(canary.kept(store, LIVE))
    place = ["customer_id", "segment_id", "weight", "margin"]
    assert told.select([*place, "since", "cause"]).equals(wanted.select([*place, "since", "cause"]))
    assert back(shop, LIVE)["customers"] == wanted.num_rows
    assert store.get_memberships(LIVE).select(place).equals(wanted.select(place))


def test_segments_made_by_hand_end_it_and_say_so(shop: Shop) -> None:
    (wanted,) = without_one(shop)
    tried = artefact.read(shop.registry, TRIED)
    trial = begun(shop)
    moment = moved_on(shop, trial)
    made = shop.segment(k=5, methods=("kmeans",), seed=3, aim="style")
    assert any(TRIED in one and "dropped" in one for one in made.warnings)
    (ended,) = canary.canaries(shop.store.get_settings())
    assert ended.ended is not None
    assert (ended.ended["outcome"], ended.ended["reason"]) == (DROPPED, "overtaken")
    assert ended.ended["moment"] == moment.isoformat().replace("+00:00", "Z")
    assert shop.store.get_memberships(LIVE).equals(wanted)
    # what was tried stays: neither its id nor a number of its segments is given again
    (name,) = made.ids
    assert name == "kmeans-0004"
    fresh = set(artefact.read(shop.registry, name).segmenter.segment_ids)
    fresh -= set(artefact.read(shop.registry, LIVE).segmenter.segment_ids)
    assert fresh
    assert not fresh & set(tried.segmenter.segment_ids)
    rows = versions(store=shop.store, registry=shop.registry)["versions"]
    told = {row["segmentation_id"]: row["canary"] for row in rows}
    assert told[TRIED]["ended"]["outcome"] == DROPPED
    assert told[LIVE] is None and told[name] is None


def test_rules_beside_leave_it_alone(shop: Shop) -> None:
    trial = begun(shop)
    for _ in range(2):
        assert shop.segment(methods=("rfm",)).warnings == ()
    assert back(shop, "rfm-0001")["canary"] is None
    assert canary.running(shop.store) == trial


@pytest.mark.parametrize("by_hand", [False, True], ids=["none by hand", "one by hand"])
def test_a_model_that_a_person_put_in_force_meanwhile_stays(by_hand: bool) -> None:
    """Else the model goes live with the segments that read it."""
    store = MemoryStateStore()
    trial = Canary("k-2", "k-1", "look-0001", 0.5, EARLIER, EARLIER + 14 * DAY)
    members = pa.table({"customer_id": ["a"], "segment_id": ["s1"], "weight": [1.0]})
    store.set_pointer(artefact.MAIN, "k-1", NOW)
    store.set_pointer("model.main", "behaviour-0001", NOW)
    canary.begin(store, trial, members, NOW + DAY, 0)
    if by_hand:
        store.set_pointer("model.main", "behaviour-0003", NOW + 2 * DAY)
    found = SimpleNamespace(
        document={"reference_id": "reference-0001", "model_id": "behaviour-0002"}
    )
    live = SimpleNamespace(document={"model_id": "behaviour-0001"})
    job = SimpleNamespace(ground=SimpleNamespace(store=store), found=live, version=0)
    promotion = Promotion(found, members, 0.0)
    promotion.put_in_force(job, trial, "passed", trial.until, NOW + 3 * DAY)
    assert store.get_pointer(artefact.MAIN) == "k-2"
    wanted = "behaviour-0003" if by_hand else "behaviour-0002"
    assert store.get_pointer("model.main") == wanted
