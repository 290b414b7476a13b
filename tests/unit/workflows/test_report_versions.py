"""What a report tells of versions, the log and protected traits agrees with the shop."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.workflows.report_shops import Shop

from shoal.domain.segment import TIER_NEW
from shoal.features.snapshot import latest_moment
from shoal.report.document import ReportDocument
from shoal.report.document_lineage import Lineage
from shoal.segments import artefact
from shoal.workflows.report_versions import lineage_seen
from shoal.workflows.simulate import simulate


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two versions, twelve days apart."""
    folder = tmp_path_factory.mktemp("shop")
    simulate(folder / "world", customers=260, days=48, seed=5)
    made = Shop(folder)
    made.take(folder / "world" / "events.parquet")
    end = latest_moment(made.warehouse)
    made.segment(k=3, aim="style", until=end - timedelta(days=12))
    made.segment(k=3, aim="style")
    return made


@pytest.fixture(scope="module")
def found(shop: Shop) -> ReportDocument:
    return shop.document()


def test_flows_and_movement_add_up_to_the_customers(shop: Shop, found: ReportDocument) -> None:
    assert found.lineage is not None
    first, last = found.lineage.versions
    assert (first.segmentation_id, last.segmentation_id) == ("kmeans-0001", "kmeans-0002")
    assert first.flows == () and first.moved == 0
    assert sum(one.customers for one in last.flows) == last.customers == found.customers
    assert 0 <= last.moved <= last.compared < last.customers
    parted = found.lineage.parted
    assert parted is not None
    kinds = (parted.stayed, parted.behaviour, parted.model, parted.both, parted.returned)
    assert sum(kinds) == parted.common == first.customers - parted.gone
    now = {name: count for name, *_, count in parted.segments}
    assert now == {one.segment_id: one.customers for one in (*found.segments, found.tier) if one}


def test_every_segment_is_explained_and_drawn(shop: Shop, found: ReportDocument) -> None:
    assert found.explanation is not None and found.explanation.tree is not None
    for one in found.segments:
        told = found.explanation.segments[one.segment_id]
        assert f"{one.customers}" in told.persona
        assert told.expected is None  # aim style has no head
    assert all(effect.low is not None for one in found.segments for effect in one.effects)
    assert found.map is not None
    assert len(found.map.points) == found.placed and not found.map.sampled
    assert {point[2] for point in found.map.points} == {one.segment_id for one in found.segments}


def test_protected_traits_are_those_of_the_members(found: ReportDocument) -> None:
    assert found.protected is not None and not found.protected.ruled
    assert "Country, as last seen" in found.protected.left_out and not found.protected.used
    country = next(one for one in found.protected.traits if one.name == "country")
    assert country.known + country.unknown == found.customers
    sizes = {one.segment_id: one.known + one.unknown for one in country.segments}
    assert sizes == {one.segment_id: one.customers for one in (*found.segments, found.tier) if one}


def test_the_log_tells_who_changed_at_the_new_version(shop: Shop, found: ReportDocument) -> None:
    rows = shop.store.membership_history(segmentations=["kmeans-0001", "kmeans-0002"]).to_pylist()
    before = {one["customer_id"]: one["segment_id"] for one in rows
              if one["segmentation_id"] == "kmeans-0001"}  # fmt: skip
    changed = [
        one for one in rows
        if one["segmentation_id"] == "kmeans-0002"
        and before.get(one["customer_id"], one["segment_id"]) != one["segment_id"]
    ]  # fmt: skip
    assert found.story.moves is not None and changed
    assert found.logged is not None
    assert {one.cause: one.changes for one in found.logged.causes} == {"version": len(changed)}


def test_rules_have_no_versions_to_tell_and_may_ask_for_traits(shop: Shop) -> None:
    found = shop.document(segmentation="rfm-0002")
    assert (found.lineage, found.explanation, found.map, found.choice) == (None,) * 4
    assert found.protected is not None and found.protected.ruled


def seen(shop: Shop) -> Lineage:
    main = artefact.read(shop.registry, "kmeans-0002")
    told = lineage_seen(**shop.parts(), main=main, lang="en")
    assert told is not None
    return told


def test_a_version_that_cannot_be_read_spoils_no_report(shop: Shop) -> None:
    path = shop.registry.directory(artefact.KIND, "kmeans-0001") / "segmentation.json"
    text = path.read_text("utf-8")
    path.write_text("not json", "utf-8")
    try:
        told = seen(shop)
    finally:
        path.write_text(text, "utf-8")
    assert (told.versions, told.why_not_parted) == ((), "unreadable")


def test_a_large_log_is_not_parted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.workflows.report_versions.SPAN_BEFORE_EVENTS", 0)
    told = seen(shop)
    assert len(told.versions) == 2
    assert (told.parted, told.why_not_parted) == (None, "large")


def test_the_tier_is_no_segment_of_the_map(found: ReportDocument) -> None:
    assert found.map is not None
    assert TIER_NEW not in {point[2] for point in found.map.points}
