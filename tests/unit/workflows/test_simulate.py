"""`simulate` writes a shop: schema, order, truth, the same bytes again, and clear refusals."""

from __future__ import annotations

import errno
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.event import CANONICAL
from shoal.domain.kinds import KINDS
from shoal.events import worlds
from shoal.events.worlds.encode import EVENTS_SCHEMA
from shoal.workflows import simulate as module
from shoal.workflows.simulate import SimulationResult, simulate

CUSTOMERS, DAYS = 400, 60


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SimulationResult:
    return simulate(tmp_path_factory.mktemp("sim") / "a", customers=CUSTOMERS, days=DAYS, seed=5)


def files(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_the_events_have_canonical_columns_and_plain_types(shop: SimulationResult) -> None:
    schema = pq.read_schema(shop.out / "events.parquet")
    assert schema.equals(EVENTS_SCHEMA)
    assert set(schema.names) <= set(CANONICAL)
    assert schema.names == [name for name in CANONICAL if name in schema.names]


def test_the_events_are_ordered_complete_and_unique(shop: SimulationResult) -> None:
    events = pq.read_table(shop.out / "events.parquet")
    assert len(events) == shop.events
    moments = events["event_time"].cast(pa.int64()).to_numpy()
    assert np.all(np.diff(moments) >= 0)
    assert pc.count_distinct(events["event_id"]).as_py() == len(events)
    assert events["sequence"].to_pylist() == list(range(len(events)))
    assert pc.count_distinct(events["customer_id"]).as_py() == CUSTOMERS
    for name in ("event_id", "customer_id", "kind", "event_time", "source", "channel"):
        assert events[name].null_count == 0, name
    assert set(events["kind"].unique().to_pylist()) <= set(KINDS)
    assert events["event_time"][0].as_py() == shop.first
    assert events["event_time"][-1].as_py() == shop.last
    assert shop.first >= datetime(2025, 1, 6, tzinfo=UTC)


def test_money_is_in_currency_units_of_whole_cents(shop: SimulationResult) -> None:
    events = pq.read_table(shop.out / "events.parquet")
    for name in ("price", "discount", "tax", "shipping"):
        amounts = events[name].drop_null().to_numpy()
        assert len(amounts)
        assert np.all(amounts == np.round(amounts, 2)), name
    priced = events.filter(events["price"].is_valid())
    assert priced["currency"].unique().to_pylist() == ["EUR"]


def test_columns_stand_where_their_kind_has_them(shop: SimulationResult) -> None:
    events = pq.read_table(shop.out / "events.parquet")
    has = {
        "query": {"search"}, "coupon": {"purchase"}, "rating": {"review"}, "text": {"review"},
        "properties": {"profile"}, "payment": {"purchase", "refund"},
        "order_id": {"purchase", "refund", "checkout"}, "order_status": {"purchase", "refund"},
    }  # fmt: skip
    for column, allowed in has.items():
        seen = set(events.filter(events[column].is_valid())["kind"].unique().to_pylist())
        assert seen <= allowed and seen, column
    traits = json.loads(events["properties"].drop_null()[0].as_py())
    assert set(traits) == {"age_group", "newsletter"}


def test_the_truth_counts_the_events_that_are_there(shop: SimulationResult) -> None:
    events = pq.read_table(shop.out / "events.parquet")
    truth = pq.read_table(shop.out / "_truth" / "customers.parquet")
    counted = events.group_by("customer_id").aggregate([("kind", "count")])
    seen = dict(
        zip(counted["customer_id"].to_pylist(), counted["kind_count"].to_pylist(), strict=True)
    )
    told = dict(zip(truth["customer_id"].to_pylist(), truth["events"].to_pylist(), strict=True))
    assert seen == told
    assert shop.segments == {
        name: sum(1 for s in truth["segment"].to_pylist() if s == name) for name in shop.segments
    }
    segments = pq.read_table(shop.out / "_truth" / "segments.parquet")
    assert segments["name"].to_pylist() == list(shop.segments)


def test_items_are_facts_with_titles(shop: SimulationResult) -> None:
    items = pq.read_table(shop.out / "items.parquet")
    assert len(items) == shop.items
    assert items["kind"].unique().to_pylist() == ["item"]
    events = pq.read_table(shop.out / "events.parquet", columns=["item_id", "price"])
    known = dict(zip(items["item_id"].to_pylist(), items["price"].to_pylist(), strict=True))
    seen = events.filter(events["price"].is_valid()).group_by(["item_id", "price"]).aggregate([])
    assert all(known[row["item_id"]] == row["price"] for row in seen.to_pylist())
    assert items["title"].null_count == 0


def test_the_world_is_told_with_version_and_digest(shop: SimulationResult) -> None:
    told = json.loads((shop.out / "_truth" / "world.json").read_text(encoding="utf-8"))
    assert told["schema"] == "shoal.world/1"
    assert told["world_digest"] == shop.world_digest
    assert (told["world"], told["seed"], told["events"]) == ("steady", 5, shop.events)
    assert len(told["definition"]["segments"]) == len(shop.segments)


def test_the_same_seed_gives_the_same_bytes(shop: SimulationResult, tmp_path: Path) -> None:
    again = simulate(tmp_path / "b", customers=CUSTOMERS, days=DAYS, seed=5)
    assert files(again.out) == files(shop.out)
    assert sorted(files(again.out)) == [
        "_truth/customers.parquet", "_truth/demand.parquet", "_truth/drifts.parquet",
        "_truth/items.parquet", "_truth/lineage.parquet", "_truth/segments.parquet",
        "_truth/spells.parquet", "_truth/stockouts.parquet", "_truth/wishes.parquet",
        "_truth/world.json", "events.parquet", "items.parquet",
    ]  # fmt: skip


def test_stretches_of_time_do_not_change_the_log(
    shop: SimulationResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_EVENTS_PER_STRETCH", 500)
    cut = simulate(tmp_path / "cut", customers=CUSTOMERS, days=DAYS, seed=5)
    assert pq.read_table(cut.out / "events.parquet").equals(
        pq.read_table(shop.out / "events.parquet")
    )


def test_an_earlier_shop_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    simulate(tmp_path, customers=30, days=5)
    (tmp_path / "notes.txt").write_text("mine")
    result = simulate(tmp_path, customers=10, days=5)
    assert pq.read_metadata(tmp_path / "events.parquet").num_rows == result.events
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_customer_a_segment_and_one_day_are_a_shop(tmp_path: Path) -> None:
    assert simulate(tmp_path / "noise", customers=1, days=1, world="noise").events >= 1
    assert simulate(tmp_path / "steady", customers=7, days=1).events >= 7


@pytest.mark.parametrize("world", worlds.names())
def test_every_world_is_written_with_its_truth_and_its_digest(world: str, tmp_path: Path) -> None:
    result = simulate(tmp_path, customers=60, days=70, world=world, seed=2, difficulty=0.3)
    events = pq.read_table(tmp_path / "events.parquet")
    assert len(events) == result.events
    spells = pq.read_table(tmp_path / "_truth" / "spells.parquet")
    assert len(pc.unique(spells["customer_id"])) == 60
    told = json.loads((tmp_path / "_truth" / "world.json").read_text(encoding="utf-8"))
    assert (told["world"], told["difficulty"]) == (world, 0.3)
    assert told["world_digest"] != worlds.load(world).digest()
    known = pq.read_table(tmp_path / "_truth" / "customers.parquet")["customer_id"].to_pylist()
    assert set(events["customer_id"].drop_null().to_pylist()) <= set(known)


def test_turned_dials_are_told_and_change_the_log(tmp_path: Path) -> None:
    plain = simulate(tmp_path / "plain", customers=200, days=30, seed=4)
    busy = simulate(tmp_path / "busy", customers=200, days=30, seed=4, dials={"rate_scale": "3"})
    assert busy.events > 1.5 * plain.events
    told = json.loads((tmp_path / "busy" / "_truth" / "world.json").read_text(encoding="utf-8"))
    assert told["definition"]["dials"]["rate_scale"] == 3
    assert busy.world_digest != plain.world_digest


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[Any, ...]] = []

    class Bar:
        def start(self, label: str, total: float | None, unit: str = "") -> None:
            told.append((label, total, unit))

        def advance(self, amount: float = 1) -> None:
            told.append((amount,))

        def done(self) -> None:
            told.append(())

    simulate(tmp_path, customers=50, days=3, progress=Bar())
    assert told == [
        ("Drawing customers", 50, "customers"), (50,), (),
        ("Writing events", 1, "stretches"), (1,), (),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dials", "message", "where"),
    [
        ({"customers": 0}, "cannot simulate 0 customers", "--customers"),
        ({"customers": -5}, "cannot simulate -5 customers", "--customers"),
        ({"customers": 1.5}, "cannot simulate 1.5 customers", "--customers"),
        ({"customers": 10**9}, "cannot simulate 1000000000 customers", "--customers"),
        ({"days": 0}, "cannot simulate 0 days", "--days"),
        ({"days": -1}, "cannot simulate -1 days", "--days"),
        ({"seed": -1}, "-1 is no seed", "--seed"),
        ({"world": "flat"}, "there is no world named 'flat'", ""),
        (
            {"customers": 6},
            "world steady has 7 segments, more than 6 customers",
            "--customers",
        ),
        (
            {"world": "lineage", "days": 4, "customers": 20},
            "4 days are too few for what changes in world lineage",
            "--days",
        ),
        (
            {"world": "festival", "days": 9},
            "9 days are too few for what changes in world festival",
            "--days",
        ),
        ({"difficulty": 2}, "difficulty 2 is not a share", "--difficulty"),
        ({"dials": {"rate_scale": -1}}, "dial rate_scale cannot be -1", "--dial"),
    ],
)
def test_impossible_dials_are_refused(
    tmp_path: Path, dials: dict[str, Any], message: str, where: str
) -> None:
    with pytest.raises(UsageError) as caught:
        simulate(tmp_path / "out", **{"customers": 10, "days": 10, **dials})
    assert (caught.value.message, caught.value.where) == (message, where)
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="the output is a file, not a directory"):
        simulate(tmp_path / "out", customers=10, days=10)


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (errno.ENOSPC, "disk_full", "no space is left on the device"),
        (errno.EACCES, "no_permission", "the directory cannot be written"),
    ],
)
def test_a_refusing_disk_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, message: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "refused")

    simulate(tmp_path, customers=10, days=5)
    before = files(tmp_path)
    monkeypatch.setattr(module, "_spread", refuse)
    with pytest.raises(OperationError, match=message) as caught:
        simulate(tmp_path, customers=20, days=5)
    assert caught.value.code == code
    assert files(tmp_path) == before


def test_arrow_tells_a_full_disk_as_such() -> None:
    """The errno that `disk_full` depends on really comes out of the Parquet writer."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    table = pa.table({"a": np.random.default_rng(0).integers(0, 2**62, 1_000_000)})
    with pytest.raises(OSError) as caught:
        pq.write_table(table, full)
    assert caught.value.errno == errno.ENOSPC


def test_every_repeating_text_is_written_with_a_dictionary(shop: SimulationResult) -> None:
    # Plain pages of dictionary arrays are not the same bytes from run to run.
    group = pq.ParquetFile(shop.out / "events.parquet").metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    plain = {c.path_in_schema for c in columns if "RLE_DICTIONARY" not in c.encodings}
    assert plain <= {"event_id", "sequence", "received_at", "anonymous_id", "title", "action_id"}
