"""Versions of a shop's segments: permanent ids, lineage, rollback, movement, damage."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.unit.workflows.test_segment import Shop, rows_of

from shoal.adjust.lineage import adds_up
from shoal.domain.errors import OperationError, UsageError
from shoal.report.lineage_picture import lineage_picture
from shoal.segments import artefact
from shoal.workflows.lineage import lineages
from shoal.workflows.memberships import memberships
from shoal.workflows.movement import moved
from shoal.workflows.rollback import rollback
from shoal.workflows.versions import versions

EARLIER = datetime(2024, 3, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Three versions: three segments at an earlier date, then now, then four segments."""
    made = Shop(tmp_path_factory.mktemp("shop"), rows_of(150, 120))
    made.segment(k=3, until=EARLIER, methods=("kmeans",), aim="style")
    made.segment(k=3, methods=("kmeans",), aim="style")
    made.segment(k=4, methods=("kmeans",), seed=5, aim="style")
    return made


def parts(shop: Shop, *names: str) -> dict:
    return {name: shop.parts[name] for name in names}


def back(shop: Shop, version: str) -> dict:
    return rollback(**parts(shop, "warehouse", "store", "registry"), version=version)


def told(shop: Shop, name: str) -> artefact.SegmentationArtefact:
    return artefact.read(shop.registry, name)


def test_ids_go_on_over_later_data_and_another_number_of_segments(shop):
    first, second, third = (told(shop, f"kmeans-000{one}") for one in (1, 2, 3))
    ids = [sorted(set(one.segmenter.segment_ids) - {"new"}) for one in (first, second, third)]
    assert ids[0] == ids[1] == ["s01", "s02", "s03"]
    assert len(ids[2]) == 4
    assert set(ids[2]) - set(ids[1])
    assert all(int(name[1:]) > 3 for name in set(ids[2]) - set(ids[1]))


def test_names_of_segments_that_go_on_are_kept(shop):
    names = [
        {one["segment_id"]: one["name"] for one in told(shop, name).document["segments"]}
        for name in ("kmeans-0001", "kmeans-0002")
    ]
    for segment_id in ("s01", "s02", "s03"):
        assert names[0][segment_id] == names[1][segment_id]


def test_every_version_tells_its_lineage_and_it_adds_up(shop):
    first = told(shop, "kmeans-0001").extra("lineage")
    assert first["previous_id"] is None
    for name, previous in (("kmeans-0002", "kmeans-0001"), ("kmeans-0003", "kmeans-0002")):
        found = told(shop, name)
        lineage = found.extra("lineage")
        assert lineage["previous_id"] == previous
        assert adds_up(lineage)
        assert lineage["customers"]["total"] == found.document["customers"]["total"]
        assert lineage["refits"] > 0
    causes = {one["code"] for one in told(shop, "kmeans-0003").extra("lineage")["causes"]}
    assert {"k", "seed"} <= causes
    assert "method" not in causes
    assert {one["code"] for one in told(shop, "kmeans-0002").extra("lineage")["causes"]} == {
        "as_of"
    }


def test_memberships_of_segments_that_go_on_keep_their_beginning(shop):
    first = shop.store.get_memberships("kmeans-0001")
    second = shop.store.get_memberships("kmeans-0002")
    was = dict(zip(first["customer_id"].to_pylist(), first["segment_id"].to_pylist(), strict=True))
    stayed = [
        row["since"]
        for row in second.to_pylist()
        if was.get(row["customer_id"]) == row["segment_id"]
    ]
    assert len(stayed) > 50
    assert set(stayed) == {EARLIER}


def test_versions_list_all_with_the_current_one_marked(shop):
    found = versions(**parts(shop, "store", "registry"))
    rows = {one["segmentation_id"]: one for one in found["versions"]}
    assert list(rows) == ["kmeans-0001", "kmeans-0002", "kmeans-0003"]
    assert [rows[name]["current"] for name in rows] == [[], [], ["main"]]
    assert [rows[name]["k"] for name in rows] == [3, 3, 4]
    assert rows["kmeans-0003"]["previous_id"] == "kmeans-0002"
    assert sum(rows["kmeans-0003"]["changes"].values()) >= 1
    json.dumps(found)


def test_lineages_tell_the_life_of_every_segment(shop):
    found = lineages(**parts(shop, "store", "registry"))
    assert [one["segmentation_id"] for one in found["versions"]] == [
        "kmeans-0001", "kmeans-0002", "kmeans-0003",
    ]  # fmt: skip
    lives = {one["segment_id"]: one for one in found["segments"]}
    assert lives["s01"]["began"]["change"] == "beginning"
    newcomers = [one for one in lives.values() if one["began"]["version"] == "kmeans-0003"]
    assert newcomers
    assert all(one["began"]["change"] in ("split", "birth", "merge") for one in newcomers)
    assert "3 versions" in found["headline"]
    assert json.loads(json.dumps(found)) == found


def test_the_picture_is_one_svg_with_every_segment(shop):
    import xml.etree.ElementTree as ElementTree

    found = lineages(**parts(shop, "store", "registry"))
    text = lineage_picture(found)
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for one in found["segments"]:
        assert one["segment_id"] in text
    assert lineage_picture(found) == text
    alone = lineages(**parts(shop, "store", "registry"), segmentation="kmeans-0001")
    assert "first version" in lineage_picture(alone)


def test_movement_adds_up_and_tells_model_from_behaviour(shop):
    found = moved(**shop.parts)
    assert found["before"]["segmentation_id"] == "kmeans-0002"
    # Both versions are of the same moment: whatever moved, the model moved it.
    assert found["moved_by_behaviour"] == 0
    assert found["moved_by_model"] > 0
    assert sum(found["kinds"].values()) == found["customers"]["common"]
    earlier = moved(**shop.parts, version="kmeans-0002")
    assert earlier["customers"]["arrived"] > 0
    for one in (*found["segments"], *earlier["segments"]):
        total = one["then"] + one["arrived"] - one["gone"] + one["behaviour"] + one["model"]
        assert total == one["now"]
    sizes = {one["segment_id"]: one["now"] for one in earlier["segments"]}
    members = told(shop, "kmeans-0002").members["segment_id"].to_pylist()
    assert sizes == {name: members.count(name) for name in sizes}


def test_movement_needs_an_earlier_version(shop):
    with pytest.raises(UsageError, match="kmeans-0001 continues no earlier version"):
        moved(**shop.parts, version="kmeans-0001")
    with pytest.raises(UsageError, match="is not earlier than"):
        moved(**shop.parts, version="kmeans-0001", since="kmeans-0002")


def test_rollback_is_bit_identical_and_recorded(shop):
    before = memberships(**shop.parts, segmentation="kmeans-0002").table
    found = back(shop, "kmeans-0002")
    try:
        assert (found["was"], found["segmentation_id"]) == ("kmeans-0003", "kmeans-0002")
        assert shop.store.get_pointer("segmentation.main") == "kmeans-0002"
        after = memberships(**shop.parts).table
        for name in ("customer_id", "segment_id", "weight"):
            assert after[name].equals(before[name])
        recorded = shop.store.get_memberships("kmeans-0002").to_pylist()
        moved_rows = [row for row in recorded if row["cause"] == "rollback"]
        assert len(moved_rows) == found["moved"] > 0
        assert found["customers"] == len(recorded)
    finally:
        back(shop, "kmeans-0003")
    assert shop.store.get_pointer("segmentation.main") == "kmeans-0003"


def test_after_a_rollback_newborns_still_take_numbers_never_used(tmp_path):
    made = Shop(tmp_path, rows_of(150, 120))
    made.segment(k=3, methods=("kmeans",), aim="style")
    made.segment(k=5, methods=("kmeans",), aim="style")
    used = set(told(made, "kmeans-0002").segmenter.segment_ids)
    back(made, "kmeans-0001")
    made.segment(k=5, methods=("kmeans",), seed=3, aim="style")
    third = told(made, "kmeans-0003")
    assert third.extra("lineage")["previous_id"] == "kmeans-0001"
    fresh = set(third.segmenter.segment_ids) - {"s01", "s02", "s03", "new"}
    assert len(fresh) >= 2
    assert not fresh & used


def test_what_is_not_there_or_current_already_is_refused(shop):
    with pytest.raises(UsageError, match="no segmentation 'kmeans-0099'"):
        back(shop, "kmeans-0099")
    with pytest.raises(UsageError, match="kmeans-0003 is the current version already"):
        back(shop, "kmeans-0003")


def test_a_damaged_version_is_refused_and_nothing_changes(tmp_path):
    made = Shop(tmp_path, rows_of(120, 100))
    made.segment(k=2, methods=("kmeans",), aim="style")
    made.segment(k=3, methods=("kmeans",), aim="style")
    rows = made.store.get_memberships("kmeans-0001").num_rows
    path = Path(made.registry.directory("segmentation", "kmeans-0001")) / "segmentation.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(OperationError, match="was changed after it was published"):
        back(made, "kmeans-0001")
    assert made.store.get_pointer("segmentation.main") == "kmeans-0002"
    assert made.store.get_memberships("kmeans-0001").num_rows == rows
    path.write_text("{")
    listed = versions(**parts(made, "store", "registry"))["versions"]
    assert [one["readable"] for one in listed] == [False, True]
    with pytest.raises(OperationError, match="documents of kmeans-0001 cannot be read"):
        lineages(**parts(made, "store", "registry"))


def test_a_refit_after_the_current_version_was_damaged_starts_a_new_line(tmp_path):
    made = Shop(tmp_path, rows_of(120, 100))
    made.segment(k=2, methods=("kmeans",), aim="style")
    path = Path(made.registry.directory("segmentation", "kmeans-0001")) / "arrays.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    result = made.segment(k=2, methods=("kmeans",), aim="style")
    assert any("cannot be read" in warning for warning in result.warnings)
    found = told(made, "kmeans-0002")
    assert found.extra("lineage")["previous_id"] is None
    assert set(found.segmenter.segment_ids) == {"s03", "s04", "new"}


def test_another_method_keeps_the_ids_of_the_same_customers(tmp_path):
    made = Shop(tmp_path, rows_of(150, 120))
    made.segment(k=3, methods=("kmeans",), aim="style")
    made.segment(k=3, methods=("mixture",), aim="style")
    lineage = told(made, "mixture-0001").extra("lineage")
    assert {one["segment_id"] for one in lineage["segments"]} == {"s01", "s02", "s03"}
    assert "method" in {one["code"] for one in lineage["causes"]}
    flows = {(one["from"], one["to"]): one["customers"] for one in lineage["flows"]}
    kept = sum(count for (old, new), count in flows.items() if old == new != "new")
    assert kept / np.sum([n for (old, _), n in flows.items() if old != "new"]) > 0.9


def test_a_shop_without_segments_says_so(tmp_path):
    made = Shop(tmp_path, rows_of(30, 60))
    assert versions(**parts(made, "store", "registry"))["versions"] == []
    with pytest.raises(UsageError, match="no segmentation yet"):
        lineages(**parts(made, "store", "registry"))
