"""Memberships moved on to now: what is recorded, what a customer is told, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.unit.workflows.test_segment import START, Shop, events_of, rows_of

from shoal.config import SegmentConfig
from shoal.domain.errors import UsageError
from shoal.domain.time import iso
from shoal.workflows import known
from shoal.workflows.catch_up import catch_up
from shoal.workflows.customer import customer
from shoal.workflows.membership_log import spells
from shoal.workflows.memberships import memberships, recorded, write_memberships
from shoal.workflows.refresh import refresh

DAYS = 100
CUT = START + timedelta(days=60)
END = START + timedelta(days=DAYS)


def visits() -> list[dict]:
    """Customers of one style who stop coming, each on a day of their own, or never, or come late.

    Every tenth has two events and no more.
    """
    rng = np.random.default_rng(8)
    rows = []
    for number in range(150):
        first = int(rng.integers(0, 10)) if number % 6 else int(rng.integers(62, 70))
        last = DAYS if number % 3 == 1 else max(first + 12, int(rng.integers(20, DAYS)))
        days = np.arange(first, last, 3)[: 2 if number % 10 == 0 else None]
        for day in days:
            hour, minute = int(rng.integers(24)), int(rng.integers(60))
            rows.append(
                {"customer_id": f"c{number:04d}", "category": "books", "item_id": f"i{number % 7}",
                 "kind": str(rng.choice(["view", "purchase"], p=[0.6, 0.4])),
                 "event_time": START + timedelta(days=int(day), hours=hour, minutes=minute),
                 "price": 5_000_000, "quantity": 1, "currency": "EUR"}
            )  # fmt: skip
    return rows


class Shops:
    """Shops segmented at `CUT`: one with each settings is made, and each test has a copy."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.made: dict[str, Shop] = {}

    def segmented(self, root: Path, **settings: float) -> Shop:
        """With no event at `CUT` or later."""
        name = f"shop {settings}"
        if name not in self.made:
            shop = Shop(self.home / name, [row for row in visits() if row["event_time"] < CUT])
            shop.segment(settings=SegmentConfig(k=3, **settings), until=CUT)
            self.made[name] = shop
        return self.made[name].copied(root)

    def grown(self, root: Path, **settings: float) -> Shop:
        """With the events that came after `CUT`."""
        shop = self.segmented(root, **settings)
        more(shop, [row for row in visits() if row["event_time"] >= CUT], "later")
        return shop


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Shops:
    return Shops(tmp_path_factory.mktemp("shops"))


def more(shop: Shop, rows: list[dict], name: str) -> None:
    writer = shop.warehouse.unit(name)
    ids = [{"event_id": f"{name}{place}", **row} for place, row in enumerate(rows)]
    writer.append(events_of(ids))
    writer.resolve()
    writer.commit({})
    catch_up(warehouse=shop.warehouse, store=shop.store, fold=shop.fold)


@pytest.fixture(scope="module")
def shop(shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = shops.grown(tmp_path_factory.mktemp("refresh"), switch_margin=0.0)
    made.first = refresh(**made.parts)
    made.later = refresh(**made.parts, as_of=END + timedelta(days=90))
    return made


def as_dict(table: pa.Table, column: str = "segment_id") -> dict[str, object]:
    return dict(zip(table["customer_id"].to_pylist(), table[column].to_pylist(), strict=True))


def test_what_is_recorded_is_what_a_batch_says_then(
    shops: Shops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # states, some customers at a time; the batch reads all events
    monkeypatch.setattr(known, "CUSTOMERS_AT_ONCE", 40)
    shop = shops.grown(tmp_path, switch_margin=0.0)
    # the batch has no record to start from
    name = shop.store.get_pointer("segmentation.main")
    batch = as_dict(memberships(**shop.parts).table)
    made = refresh(**shop.parts)
    now = recorded(store=shop.store, registry=shop.registry).table
    assert as_dict(now) == batch
    assert as_dict(memberships(**shop.parts).table) == batch
    document = made.as_document()
    assert document["schema"] == "shoal.refresh/1"
    assert [one["segmentation_id"] for one in document["segmentations"]] == [name, "rfm-0001"]
    main = document["segmentations"][0]
    assert main["recorded_before"] == iso(CUT)
    assert [(one["read"], one["because"]) for one in document["segmentations"]] == [
        ("states", None), ("states", None),
    ]  # fmt: skip
    assert main["customers"] == now.num_rows
    assert 0 < main["changed"] < main["customers"]
    assert sum(main["causes"].values()) == main["changed"]
    assert sum(move["customers"] for move in main["moves"]) == main["changed"]


def test_only_those_of_whom_events_came_are_moved_on_where_that_is_asked(
    shops: Shops, tmp_path: Path
) -> None:
    rows = visits()
    late = [row for row in rows if row["event_time"] >= CUT + timedelta(days=20)][:9]
    came = {row["customer_id"] for row in late}
    found = []
    for name, arrived in (("some", True), ("all", False)):
        shop = shops.segmented(tmp_path / name, switch_margin=0.0)
        more(shop, late, "later")
        moment = END + timedelta(days=30)
        made = refresh(**shop.parts, as_of=moment, arrived=arrived)
        table = recorded(store=shop.store, registry=shop.registry).table
        found.append((made.segmentations[0], as_dict(table), as_dict(table, "since"), shop, moment))
    (some, places, since, shop, moment), (every, all_places, all_since, _, _) = found
    assert some["customers"] == len(came) < every["customers"]
    # They are where a refresh of everybody puts them, and nobody else was touched.
    assert {one: places[one] for one in came} == {one: all_places[one] for one in came}
    assert {one: since[one] for one in came} == {one: all_since[one] for one in came}
    moved = {one for one in places if since[one] > CUT}
    assert moved <= came
    assert set(some["causes"]) <= {"event", "entered"}
    # The others follow with the next refresh of all, and then both say the same of everybody.
    refresh(**shop.parts, as_of=moment)
    later = recorded(store=shop.store, registry=shop.registry).table
    assert as_dict(later) == all_places


def test_a_second_refresh_finds_nothing_to_do(shop: Shop) -> None:
    again = refresh(**shop.parts)
    assert again.as_of == shop.later.as_of, "not before what is recorded"
    assert [one["changed"] for one in again.segmentations] == [0, 0]


def test_customers_who_came_later_are_recorded_by_what_they_did(shop: Shop) -> None:
    history = shop.store.membership_history(segmentations=["kmeans-0001"])
    known = set(history.filter(pc.equal(history["cause"], "version"))["customer_id"].to_pylist())
    first = spells(history)
    entered = {row["customer_id"]: row for row in first.to_pylist()[::-1]}
    newcomers = [row for name, row in entered.items() if name not in known]
    assert newcomers
    assert {row["cause"] for row in newcomers} == {"event"}
    assert {row["since"] for row in newcomers} == {shop.first.as_of}


def test_time_without_an_event_moves_by_silence_alone(shop: Shop) -> None:
    moved = shop.later.segmentations[1]
    assert moved["method"] == "rfm", "whose rules know how long the last order lies back"
    assert moved["causes"] == {"silence": moved["changed"]}
    assert moved["changed"] > 0


def test_the_log_is_read_as_it_stood(shop: Shop) -> None:
    parts = {"store": shop.store, "registry": shop.registry}
    at_cut = recorded(**parts, as_of=CUT).table
    assert set(at_cut["cause"].to_pylist()) == {"version"}
    before = recorded(**parts, as_of=CUT - timedelta(days=1)).table
    assert before.num_rows == 0
    rules = {**parts, "segmentation": "rfm-0001"}
    then, now = recorded(**rules, as_of=shop.first.as_of), recorded(**rules)
    assert now.as_of == shop.later.as_of
    changed = [n for n, s in as_dict(then.table).items() if as_dict(now.table)[n] != s]
    assert len(changed) == shop.later.segmentations[1]["changed"]
    assert None not in as_dict(now.table, "margin").values()


def test_states_that_lag_behind_are_not_used(shops: Shops, tmp_path: Path) -> None:
    shop = shops.grown(tmp_path, switch_margin=0.0)
    batch = as_dict(memberships(**shop.parts).table)
    shop.store.set_applied_version(0)
    made = refresh(**shop.parts)
    for one in made.segmentations:
        assert (one["read"], one["because"]) == (
            "events", "the stored states lag behind the event table",
        )  # fmt: skip
    assert as_dict(recorded(store=shop.store, registry=shop.registry).table) == batch


def test_a_late_event_moves_by_event_not_by_silence(shops: Shops, tmp_path: Path) -> None:
    shop = shops.grown(tmp_path, switch_margin=0.0)
    moment = refresh(**shop.parts).as_of
    before = as_dict(recorded(store=shop.store, registry=shop.registry).table)
    new = next(name for name, segment in before.items() if segment == "new")
    late = [
        {"customer_id": new, "kind": "purchase", "event_time": CUT - timedelta(hours=hour),
         "category": "books", "price": 5_000_000, "quantity": 1, "currency": "EUR"}
        for hour in range(1, 9)
    ]  # fmt: skip
    more(shop, late, "late")
    told = refresh(**shop.parts)
    assert told.as_of == moment
    assert told.segmentations[0]["causes"] == {"event": told.segmentations[0]["changed"]}
    assert as_dict(recorded(store=shop.store, registry=shop.registry).table)[new] != "new"


def test_with_a_margin_memberships_hold_until_it_is_overcome(shops: Shops, tmp_path: Path) -> None:
    easy = shops.grown(tmp_path / "a", switch_margin=0.0)
    held = shops.grown(tmp_path / "b", switch_margin=0.9)
    moved = [refresh(**one.parts).segmentations[0]["changed"] for one in (easy, held)]
    assert moved[1] < moved[0]
    kept = as_dict(recorded(store=held.store, registry=held.registry).table)
    assert as_dict(memberships(**held.parts).table) == kept
    stubborn = [
        row for row in recorded(store=held.store, registry=held.registry).table.to_pylist()
        if row["cause"] == "version"
    ]  # fmt: skip
    some = customer(**held.parts, customer_id=stubborn[0]["customer_id"])
    assert some["memberships"][0]["segment_id"] == stubborn[0]["segment_id"]


# --- one customer ---------------------------------------------------------------------------------


def mover(shop: Shop) -> tuple[str, list[dict]]:
    """A customer with several spells in the main segmentation."""
    table = spells(shop.store.membership_history(segmentations=["kmeans-0001"]))
    rows: dict[str, list[dict]] = {}
    for row in table.to_pylist():
        rows.setdefault(row["customer_id"], []).append(row)
    return max(rows.items(), key=lambda pair: len(pair[1]))


def test_a_customer_is_told_days_causes_and_what_was_before(shop: Shop) -> None:
    name, rows = mover(shop)
    assert len(rows) > 1
    moment = shop.later.as_of
    told = customer(**shop.parts, customer_id=name, as_of=moment)["memberships"][0]
    assert (told["segment_id"], told["recorded"]) == (rows[-1]["segment_id"], True)
    assert told["since"] == iso(rows[-1]["since"])
    assert told["cause"] == rows[-1]["cause"]
    assert told["days"] == pytest.approx((moment - rows[-1]["since"]) / timedelta(days=1))
    before = told["previous"]
    assert [one["segment_id"] for one in before] == [row["segment_id"] for row in rows[-2::-1]]
    assert before[0]["until"] == told["since"]
    assert before[0]["ended_by"] == told["cause"]
    assert before[-1]["cause"] == rows[0]["cause"]
    assert before[0]["name"]["en"]
    runner_up, weights = told["runner_up"], told["weights"]
    assert runner_up["segment_id"] != told["segment_id"]
    assert told["margin"] == pytest.approx(told["weight"] - runner_up["weight"])
    assert sum(weights.values()) == pytest.approx(1, abs=0.05)


def test_a_customer_as_of_an_earlier_moment_has_no_later_spell(shop: Shop) -> None:
    name, rows = mover(shop)
    told = customer(**shop.parts, customer_id=name, as_of=rows[-1]["since"] - timedelta(hours=1))
    entry = told["memberships"][0]
    assert len(entry["previous"]) <= len(rows) - 1
    assert all(one["until"] <= told["as_of"] for one in entry["previous"])


def test_before_anything_is_recorded_no_cause_is_told(shop: Shop) -> None:
    entry = customer(**shop.parts, customer_id="c0001", as_of=CUT - timedelta(days=20))
    main = entry["memberships"][0]
    assert (main["recorded"], main["cause"], main["previous"]) == (False, None, [])
    assert (main["since"], main["days"]) == (entry["as_of"], 0)


def test_one_too_little_known_is_given_chances(shops: Shops, tmp_path: Path) -> None:
    shop = shops.grown(tmp_path)
    entry = customer(**shop.parts, customer_id="c0000")["memberships"][0]
    assert entry["segment_id"] == "new"
    assert entry["runner_up"] is None
    chances = [one["chance"] for one in entry["prior"]]
    assert sum(chances) == pytest.approx(1)
    assert chances == sorted(chances, reverse=True)
    assert {one["segment_id"] for one in entry["prior"]} == {"s01", "s02", "s03"}
    known = customer(**shop.parts, customer_id="c0001")["memberships"][0]
    assert known["prior"] is None


# --- wrong calls ----------------------------------------------------------------------------------


def test_a_log_is_not_written_backward(shop: Shop) -> None:
    with pytest.raises(UsageError, match="are recorded up to") as told:
        refresh(**shop.parts, as_of=CUT)
    assert told.value.code == "bad_period"
    assert "--recorded" in told.value.hint


def test_without_a_segmentation_there_is_nothing_to_refresh(tmp_path: Path) -> None:
    bare = Shop(tmp_path, rows_of(10, 20))
    with pytest.raises(UsageError, match="no segmentation yet"):
        refresh(**bare.parts)
    with pytest.raises(UsageError, match="no segmentation yet"):
        recorded(store=bare.store, registry=bare.registry)


def test_the_log_has_no_soft_weights_and_no_table_versions(shop: Shop, tmp_path: Path) -> None:
    for more_asked in ({"soft": True}, {"table_version": 0}):
        with pytest.raises(UsageError, match="the log holds the one segment"):
            write_memberships(**shop.parts, out=tmp_path / "m.csv", from_log=True, **more_asked)
    with pytest.raises(UsageError, match="no segmentation 'kmeans-0099'"):
        recorded(store=shop.store, registry=shop.registry, segmentation="kmeans-0099")
