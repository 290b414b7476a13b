"""States follow the event table: in groups, by units, with conflicts, and anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.shops import Shop, purchase, write_csv

from shoal.workflows import catch_up as module


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "shop")
    yield made
    made.close()


def fill(shop: Shop, tmp_path: Path) -> dict[str, bytes]:
    """Two files, the second with a conflict that moves an event to another customer."""
    first = [purchase(n, f"c{n % 11}") for n in range(60)]
    second = [purchase(n, f"c{n % 13}") for n in range(60, 100)]
    moved = [purchase(n, f"d{n}", price="0.01") for n in range(6)]
    shop.ingest(write_csv(tmp_path / "a.csv", first))
    shop.ingest(write_csv(tmp_path / "b.csv", [*second, *moved]))
    return shop.states()


def test_small_groups_give_the_states_of_one_big_fold(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Shop(tmp_path / "whole")
    expected = fill(whole, tmp_path)
    monkeypatch.setattr(module, "EVENTS_PER_FOLD", 7)
    monkeypatch.setattr(module, "CUSTOMERS_PER_MERGE", 3)
    assert fill(shop, tmp_path) == expected
    shop.rebuild()
    assert shop.states() == expected
    whole.close()


def test_many_replaced_events_rebuild_everything(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Shop(tmp_path / "whole")
    expected = fill(whole, tmp_path)
    monkeypatch.setattr(module, "CUSTOMERS_REREAD", 0)
    assert fill(shop, tmp_path) == expected
    whole.close()


def test_a_customer_who_lost_every_event_has_no_state(shop: Shop, tmp_path: Path) -> None:
    lost = []
    for price in ("1.00", "2.00", "3.00", "4.00"):
        rows = [purchase(1, f"only-{price}", price=price), purchase(2, "other")]
        shop.ingest(write_csv(tmp_path / f"{price}.csv", rows))
        lost.append(f"only-{price}")
    holders = {row["customer_id"] for row in shop.events().to_pylist()}
    assert len(holders & set(lost)) == 1
    assert set(shop.states()) == holders


def test_several_units_are_caught_up_at_once(shop: Shop, tmp_path: Path) -> None:
    files = [
        write_csv(tmp_path / f"{k}.csv", [purchase(10 * k + n, f"c{n}") for n in range(5)])
        for k in range(4)
    ]
    shop.ingest(*files)
    assert shop.folded == ["purchase"]
    assert shop.store.applied_version() == shop.warehouse.version()
    incremental = shop.states()
    shop.rebuild()
    assert shop.states() == incremental


def test_nothing_to_do_makes_no_fold(shop: Shop, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", [purchase(1, "c1")])
    shop.ingest(file)
    shop.folded.clear()
    shop.ingest(file)
    assert shop.folded == []


def test_a_compaction_leaves_states_as_they_are(shop: Shop, tmp_path: Path) -> None:
    before = fill(shop, tmp_path)
    shop.warehouse.compact()
    shop.ingest(write_csv(tmp_path / "c.csv", [purchase(200, "new")]))
    after = shop.states()
    assert {name: after[name] for name in before} == before
    shop.rebuild()
    assert shop.states() == after


def test_a_table_older_than_the_states_rebuilds_them(shop: Shop, tmp_path: Path) -> None:
    before = fill(shop, tmp_path)
    shop.store.set_applied_version(99)
    version = module.catch_up(warehouse=shop.warehouse, store=shop.store, fold=shop.fold)
    assert version == shop.store.applied_version() == shop.warehouse.version()
    assert shop.states() == before


def test_states_are_rebuilt_when_a_unit_has_lost_its_files(shop: Shop, tmp_path: Path) -> None:
    expected = fill(shop, tmp_path)
    before = shop.warehouse.events().paths
    shop.warehouse.compact()
    shop.store.set_applied_version(0)
    for path in before:  # as a vacuum would
        Path(path).unlink()
    module.catch_up(warehouse=shop.warehouse, store=shop.store, fold=shop.fold)
    assert shop.states() == expected
