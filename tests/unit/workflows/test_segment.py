"""Segmenting a shop end to end on a small simulated one, and every awkward shop."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.files import FileRegistry
from shoal.adapters.memory import MemoryWarehouse
from shoal.adapters.memory_store import MemoryStateStore
from shoal.config import SegmentConfig
from shoal.domain.errors import InputError, UsageError
from shoal.domain.time import Zone, iso
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.catalog import CATALOG
from shoal.features.fold import Fold
from shoal.segments import artefact
from shoal.workflows.admission import Admission
from shoal.workflows.catch_up import rebuild
from shoal.workflows.customer import customer
from shoal.workflows.export import export
from shoal.workflows.memberships import defused, memberships, overview, write_memberships
from shoal.workflows.segment import segment

START = datetime(2024, 1, 1, tzinfo=UTC)
MADE = datetime(2024, 12, 1, tzinfo=UTC)


def rows_of(customers: int, days: int, seed: int = 0) -> list[dict]:
    """Three kinds of customers: night readers, weekly grocery shoppers, returners of fashion."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        kind = number % 3
        for _ in range(int(rng.integers(6, 16)) if number % 5 else 2):
            day, hour = int(rng.integers(days)), (2, 10, 19)[kind]
            what = rng.choice(["view", "cart_add", "purchase"], p=[0.4, 0.2, 0.4])
            rows.append(
                {
                    "customer_id": f"c{number:04d}",
                    "kind": str(what),
                    "event_time": START
                    + timedelta(days=day, hours=hour, minutes=int(rng.integers(60))),
                    "category": ("books", "grocery", "fashion")[kind],
                    "channel": ("app", "web", "app")[kind],
                    "item_id": f"i{kind}{int(rng.integers(20))}",
                    "price": int(rng.integers(1, 60) * (1 + kind)) * 1_000_000,
                    "quantity": 1 + kind,
                    "currency": "EUR",
                }
            )
    return rows


class Shop:
    """A shop in memory with artefacts in a directory."""

    def __init__(self, root: Path, rows: list[dict]) -> None:
        self._wire(root)
        writer = self.warehouse.unit("test")
        writer.append(events_of(rows))
        writer.resolve()
        writer.commit({})
        rebuild(warehouse=self.warehouse, store=self.store, fold=self.fold)

    def _wire(self, root: Path) -> None:
        self.root = root
        self.engine = DuckEngine()
        self.warehouse = MemoryWarehouse(self.engine)
        self.store = MemoryStateStore()
        self.registry = FileRegistry(root / "artefacts")
        self.fold = Fold(CATALOG, self.engine, currency="EUR")
        self.parts = {
            "warehouse": self.warehouse,
            "store": self.store,
            "registry": self.registry,
            "fold": self.fold,
            "zone": Zone("UTC"),
            "admission": Admission(self.warehouse, self.store, self.registry),
        }

    def copied(self, root: Path) -> Shop:
        """A shop that is as this one is now; what happens to one does not reach the other."""
        shop = Shop.__new__(Shop)
        shop._wire(root)
        shop.warehouse.versions.extend(self.warehouse.versions)
        shop.store._contents = self.store._contents.copied()
        shutil.copytree(self.root / "artefacts", root / "artefacts")
        return shop

    def segment(self, **options):
        return segment(**self.parts, clock_now=lambda: MADE, **options)


def events_of(rows: list[dict]) -> pa.Table:
    from shoal.events.identity import bucket_column, content_keys, content_texts, event_keys

    full = [
        {"event_id": str(place), "source": "t", "sequence": place, "utc_offset_s": 0, **row}
        for place, row in enumerate(rows)
    ]
    table = pa.Table.from_pylist(full, schema=TABLE_SCHEMA)
    keys = event_keys(table["source"], table["event_id"])
    contents = content_keys(content_texts(table))
    buckets = bucket_column(table["customer_id"].combine_chunks(), 4)
    for name, values in (("event_key", keys), ("content_key", contents), ("bucket", buckets)):
        place = TABLE_SCHEMA.get_field_index(name)
        table = table.set_column(place, TABLE_SCHEMA.field(name), pa.array(values))
    return table.append_column("generated_id", pa.repeat(False, table.num_rows))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    shop = Shop(tmp_path_factory.mktemp("shop"), rows_of(240, 120))
    result = shop.segment(settings=SegmentConfig(k_min=2, k_max=4), aim="style")
    return shop, result


def test_segments_artefacts_memberships_and_pointers(made):
    shop, result = made
    assert result.ids == ("kmeans-0001", "rfm-0001")
    assert shop.store.get_pointer("segmentation.main") == "kmeans-0001"
    assert shop.store.get_pointer("segmentation.rfm") == "rfm-0001"
    found = artefact.read(shop.registry, "kmeans-0001")
    assert found.document["customers"] == {"total": 240, "placed": 192, "too_little_known": 48}
    assert found.document["trained_until"] == iso(result.as_of)
    assert found.document["choice"]["rule"] == "next_period"
    stored = shop.store.get_memberships("kmeans-0001")
    assert stored.num_rows == 240
    assert set(stored["since"].to_pylist()) == {result.as_of}
    json.dumps(result.as_document())


def test_planted_kinds_are_found_and_named_by_what_is_true_of_them(made):
    shop, _ = made
    found = artefact.read(shop.registry, "kmeans-0001")
    kinds: dict[str, set[int]] = {}
    for row in found.members.to_pylist():
        kinds.setdefault(row["segment_id"], set()).add(int(row["customer_id"][1:]) % 3)
    assert [len(kinds[name]) for name in ("s01", "s02", "s03")] == [1, 1, 1]
    names = [one["name"]["en"] for one in found.profiles["segments"]]
    assert len(set(names)) == len(names)
    night = next(one for one in found.profiles["segments"] if kinds[one["segment_id"]] == {0})
    assert night["categories"][0]["name"] == "books"
    assert any(one["feature"] == "night_share" for one in night["effects"])


def test_profiles_have_what_the_report_reads(made):
    shop, _ = made
    profiles = artefact.read(shop.registry, "kmeans-0001").profiles
    assert sum(one["size"] for one in profiles["segments"]) == 240
    assert sum(one["revenue_share"] for one in profiles["segments"]) == pytest.approx(1.0)
    first = profiles["segments"][0]
    assert {"name", "summary", "effects", "exemplars", "categories", "brands", "texts", "medians",
            "means", "differences", "rule", "sql"} <= set(first)  # fmt: skip
    for one in first["effects"]:
        assert first["differences"][one["feature"]] == pytest.approx(one["effect"], rel=1e-5)
    small = [size for size in first["differences"].values() if abs(size) < 0.2]
    assert len(first["differences"]) > len(first["effects"]) and small
    assert first["means"]["orders"] * first["size"] == pytest.approx(first["orders"], rel=1e-5)
    assert all(abs(one["rank_effect"]) <= 1 for one in first["effects"])
    assert profiles["segments"][-1]["segment_id"] == "new"
    assert "Fewer than 3 events" in profiles["segments"][-1]["summary"]["en"]
    assert len(profiles["map"]["points"]) == 192
    grid = artefact.read(shop.registry, "rfm-0001").profiles["grid"]
    buyers = sum(cell["customers"] for cell in grid["cells"])
    no_purchase = [one["size"] for one in
                   artefact.read(shop.registry, "rfm-0001").profiles["segments"]
                   if one["segment_id"] == "r00"]  # fmt: skip
    assert buyers + sum(no_purchase) == 240


def test_exemplary_customers_belong_to_their_segment(made):
    shop, _ = made
    found = artefact.read(shop.registry, "kmeans-0001")
    segment_of = dict(
        zip(
            found.members["customer_id"].to_pylist(),
            found.members["segment_id"].to_pylist(),
            strict=True,
        )
    )
    for profile in found.profiles["segments"]:
        assert profile["exemplars"]
        for one in profile["exemplars"]:
            assert segment_of[one["customer_id"]] == profile["segment_id"]


def test_memberships_now_are_those_recorded(made):
    shop, _ = made
    now = memberships(**shop.parts)
    stored = shop.store.get_memberships("kmeans-0001").sort_by("customer_id")
    assert now.warnings == ()
    assert now.table["segment_id"].to_pylist() == stored["segment_id"].to_pylist()
    assert now.table["since"].to_pylist() == stored["since"].to_pylist()


def test_soft_memberships_sum_to_one_a_customer(made):
    shop, _ = made
    soft = memberships(**shop.parts, soft=True).table
    sums = soft.group_by("customer_id").aggregate([("weight", "sum")])
    np.testing.assert_allclose(sums["weight_sum"].to_numpy(), 1.0)


def test_an_earlier_moment_uses_only_what_was_known_then_and_warns(made):
    shop, _ = made
    then = START + timedelta(days=30)
    early = memberships(**shop.parts, as_of=then)
    assert "was trained until 2024-04-29" in early.warnings[0]
    assert early.table.num_rows <= 240
    assert set(early.table["since"].to_pylist()) == {then}


def test_one_customer_with_reasons_from_state_and_from_events(made):
    shop, result = made
    known = customer(**shop.parts, customer_id="c0001")
    again = customer(**shop.parts, customer_id="c0001", as_of=result.as_of)
    assert known["memberships"] == again["memberships"]
    assert [one["segmentation_id"] for one in known["memberships"]] == ["kmeans-0001", "rfm-0001"]
    assert known["reasons"]
    assert known["tastes"]["category"] == [
        {"name": "grocery", "events": known["features"]["events"]["value"], "share": 1.0}
    ]
    for name, one in known["features"].items():
        expected = again["features"][name]["value"]
        value = one["value"]
        assert value == (pytest.approx(expected) if isinstance(value, float) else expected), name
    json.dumps(known)


def test_a_customer_too_little_known_is_told_so(made):
    shop, _ = made
    known = customer(**shop.parts, customer_id="c0000")
    assert known["memberships"][0]["segment_id"] == "new"
    assert "too little known" in known["reasons"][0]["sentence"]["en"]


def test_an_unknown_customer_is_an_error(made):
    shop, _ = made
    with pytest.raises(UsageError, match="knows no customer 'nobody'"):
        customer(**shop.parts, customer_id="nobody")


def test_exports_are_the_members(made, tmp_path):
    shop, _ = made
    listed = export(**shop.parts, segment="s02", exports_dir=tmp_path)
    with listed.path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    members = memberships(**shop.parts).table.filter(pa.compute.field("segment_id") == "s02")
    assert [row["customer_id"] for row in rows] == members["customer_id"].to_pylist()
    assert rows[0]["since"].endswith("Z")
    same = export(**shop.parts, segment="kmeans-0001/s02", format="parquet", exports_dir=tmp_path)
    assert pq.read_table(same.path).num_rows == listed.rows
    sql = export(**shop.parts, segment="r01", format="sql", exports_dir=tmp_path)
    selected = shop.engine.run(sql.path.read_text(), {"events": shop.warehouse.events()})
    assert selected.num_rows == sql.rows


def test_learned_segments_have_no_sql(made, tmp_path):
    shop, _ = made
    with pytest.raises(UsageError, match="was learned by kmeans and cannot be written as SQL"):
        export(**shop.parts, segment="s01", format="sql", exports_dir=tmp_path)


def test_unknown_segments_formats_and_segmentations_are_named(made, tmp_path):
    shop, _ = made
    with pytest.raises(UsageError, match="no segment 's99'") as error:
        export(**shop.parts, segment="s99", exports_dir=tmp_path)
    assert "s01, s02, s03, new, r01" in error.value.hint
    with pytest.raises(UsageError, match="no export format 'xlsx'"):
        export(**shop.parts, segment="s01", format="xlsx", exports_dir=tmp_path)
    with pytest.raises(UsageError, match="no segmentation 'kmeans-0009'"):
        overview(store=shop.store, registry=shop.registry, segmentation="kmeans-0009")
    with pytest.raises(UsageError, match=r"written as \.parquet or \.csv, received 'm\.xlsx'"):
        write_memberships(**shop.parts, out=tmp_path / "m.xlsx")


def test_formulas_are_defused():
    texts = pa.chunked_array([["=cmd()", "+1", "-2", "@x", "\tx", "c-1", "", None]])
    assert defused(texts).to_pylist() == ["'=cmd()", "'+1", "'-2", "'@x", "'\tx", "c-1", "", None]


def test_a_second_run_gives_the_same_segments_under_a_new_id(made, tmp_path):
    shop = Shop(tmp_path, rows_of(240, 120))
    bounds = SegmentConfig(k_min=2, k_max=4)
    options = {"settings": bounds, "methods": ("kmeans",), "aim": "style"}
    first, second = shop.segment(**options), shop.segment(**options)
    assert (first.ids, second.ids) == (("kmeans-0001",), ("kmeans-0002",))
    one, two = (artefact.read(shop.registry, each.ids[0]) for each in (first, second))
    assert one.members.equals(two.members)
    assert one.profiles["segments"] == two.profiles["segments"]
    other = artefact.read(made[0].registry, "kmeans-0001")
    assert one.members.equals(other.members)


def test_until_hides_what_came_later(tmp_path):
    rows = rows_of(120, 100)
    cut = START + timedelta(days=60)
    whole, early = (
        Shop(tmp_path / "a", rows),
        Shop(tmp_path / "b", [row for row in rows if row["event_time"] < cut]),
    )
    options = {"settings": SegmentConfig(k=3), "until": cut}
    one, two = whole.segment(**options), early.segment(**options)
    assert one.documents[0]["segments"] == two.documents[0]["segments"]


def test_a_short_log_is_chosen_by_stability_and_it_is_said(tmp_path):
    shop = Shop(tmp_path, rows_of(200, 6))
    result = shop.segment(settings=SegmentConfig(k_min=2, k_max=4))
    choice = result.documents[0]["choice"]
    assert choice["rule"] == "stability_only"
    assert "too short for a next period" in choice["reason"]["en"]


def test_three_customers_are_too_few_to_choose_and_the_way_on_is_told(tmp_path):
    shop = Shop(tmp_path, rows_of(3, 60))
    needed = "at least 40 customers with 3 events or more; there are 2 of 3"
    with pytest.raises(InputError, match=needed) as error:
        shop.segment()
    assert error.value.code == "too_little_data"
    assert "--method rfm" in error.value.hint
    assert shop.store.get_pointer("segmentation.main") is None


def test_more_segments_than_customers(tmp_path):
    shop = Shop(tmp_path, rows_of(10, 60))
    with pytest.raises(InputError, match="12 segments were asked for, but only 8 customers"):
        shop.segment(k=12)


def test_nobody_with_enough_events(tmp_path):
    shop = Shop(tmp_path, rows_of(30, 60))
    with pytest.raises(InputError, match="no customer has 99 events; there are 30 customers"):
        shop.segment(k=3, settings=SegmentConfig(min_events=99))


def test_a_shop_without_orders_gets_no_rfm_and_says_so(tmp_path):
    rows = [{**row, "kind": "view"} for row in rows_of(60, 60)]
    shop = Shop(tmp_path, rows)
    result = shop.segment(k=3)
    assert result.ids == ("kmeans-0001",)
    assert "No RFM segments were made: RFM needs at least 5 customers" in result.warnings[0]
    with pytest.raises(InputError, match="there are 0 among 60 customers"):
        shop.segment(methods=("rfm",))


def test_identical_customers_make_one_segment_and_it_is_said(tmp_path):
    rows = [
        {"customer_id": f"c{n}", "kind": "view", "event_time": START + timedelta(hours=h)}
        for n in range(50)
        for h in range(4)
    ]
    result = Shop(tmp_path, rows).segment(k=4)
    assert result.documents[0]["k"] == 1
    assert "the customers show only 1 different behaviours" in result.warnings[0]


def test_one_huge_outlier_is_no_segment_of_its_own(tmp_path):
    rows = rows_of(120, 90)
    rows += [{**rows[0], "customer_id": "whale", "kind": "purchase", "price": 10**14,
              "event_time": START + timedelta(hours=h)} for h in range(40)]  # fmt: skip
    result = Shop(tmp_path, rows).segment(k=3)
    sizes = [one["size"] for one in result.documents[0]["segments"]]
    assert min(sizes) > 5


def test_an_unknown_method_is_named(made):
    shop, _ = made
    with pytest.raises(UsageError, match="no segmentation method 'gmm'"):
        shop.segment(methods=("gmm",))


def test_rfm_alone_becomes_the_main_one(tmp_path):
    shop = Shop(tmp_path, rows_of(30, 60))
    assert shop.segment(methods=("rfm",)).ids == ("rfm-0001",)
    assert shop.store.get_pointer("segmentation.main") == "rfm-0001"
