"""Ingest on real adapters: accounts, redelivery, conflicts, refusals, states that follow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pytest
from tests.shops import Shop, purchase, write_csv

from shoal.domain.account import RowAccount
from shoal.domain.errors import InputError, OperationError
from shoal.events.presets import load


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "shop")
    yield made
    made.close()


def counts(account: RowAccount) -> tuple[int, int, int, int, int]:
    return (
        account.read,
        account.stored,
        account.duplicate,
        account.conflicting,
        account.quarantined,
    )


def rows(numbers: range, customers: int = 5) -> list[dict[str, object]]:
    return [purchase(n, f"c{n % customers}") for n in numbers]


def test_every_row_is_accounted_for_and_states_follow(shop: Shop, tmp_path: Path) -> None:
    good = rows(range(100))
    bad = [
        purchase(900, "null"),
        purchase(901, "c1", event_time="yesterday"),
        purchase(902, "c1", price="NaN"),
        purchase(903, "c1", event_time="yesterday"),
    ]
    result = shop.ingest(write_csv(tmp_path / "a.csv", [*good, *bad, good[3]]))
    document = result.as_document()
    assert document == {
        "schema": "shoal.ingest/1",
        "table_version": shop.warehouse.version(),
        "rows": {
            "read": 105,
            "stored": 100,
            "duplicate": 1,
            "conflicting": 0,
            "quarantined": 4,
            "skipped": 0,
        },
        "quarantine": {"bad_customer_id": 1, "bad_time": 2, "not_finite": 1},
        "files": {"new": 1, "restating": 0, "unchanged": 0, "superseded": 0},
        "restated": {"scopes": 0, "withdrawn": 0, "changed": 0, "older": 0},
        "thinned": [],
        "forgotten": 0,
        "events": 100,
        "customers": 5,
        "from": "2024-03-01T00:00:00Z",
        "to": "2024-03-01T01:39:00Z",
    }
    assert shop.store.applied_version() == result.table_version
    assert sorted(shop.states()) == [f"c{n}" for n in range(5)]
    assert shop.stray_files() == []


def test_the_same_file_again_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", [*rows(range(50)), purchase(99, "undefined")])
    first = shop.ingest(file)
    before = shop.states()
    again = shop.ingest(file)
    assert again.files[0].unchanged
    assert counts(again.rows) == (51, 0, 50, 0, 1)
    assert again.table_version == first.table_version
    assert shop.states() == before


def test_a_renamed_file_is_recognised_by_its_content(shop: Shop, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", rows(range(20)))
    shop.ingest(file)
    again = shop.ingest(file.rename(tmp_path / "b.csv"))
    assert again.files[0].unchanged
    assert (again.events, counts(again.rows)) == (20, (20, 0, 20, 0, 0))


def test_a_re_read_gives_the_account_that_recognition_gives(shop: Shop, tmp_path: Path) -> None:
    good = rows(range(30))
    lines = [*good, good[0], purchase(5, "c0", price="7.77"), purchase(98, "guest")]
    file = write_csv(tmp_path / "a.csv", lines)
    shop.ingest(file)
    recognised = shop.ingest(file).rows
    other = write_csv(tmp_path / "b.csv", lines, columns=[*good[0], "unused"])
    read_again = shop.ingest(other)
    assert not read_again.files[0].unchanged
    assert read_again.rows == recognised


def test_rows_without_ids_do_not_double_when_a_file_is_exported_again(
    shop: Shop, tmp_path: Path
) -> None:
    lines = [{**row, "event_id": ""} for row in rows(range(30))]
    lines.append(lines[0])  # two equal rows of one file are two events
    first = shop.ingest(write_csv(tmp_path / "a.csv", lines))
    assert counts(first.rows) == (31, 31, 0, 0, 0)
    more = [{**row, "event_id": ""} for row in rows(range(30, 40))]
    second = shop.ingest(write_csv(tmp_path / "b.csv", [*reversed(lines), *more]))
    assert counts(second.rows) == (41, 10, 31, 0, 0)
    assert (second.events, shop.events().num_rows) == (41, 41)


def test_an_overlapping_export_adds_only_what_is_new(shop: Shop, tmp_path: Path) -> None:
    shop.ingest(write_csv(tmp_path / "a.csv", rows(range(60))))
    result = shop.ingest(write_csv(tmp_path / "b.csv", rows(range(40, 100))))
    assert counts(result.rows) == (60, 40, 20, 0, 0)
    incremental = shop.states()
    shop.rebuild()
    assert shop.states() == incremental


def test_files_in_any_order_and_split_give_the_same_table_and_states(tmp_path: Path) -> None:
    lines = rows(range(120), customers=7)
    whole, parts = Shop(tmp_path / "whole"), Shop(tmp_path / "parts")
    whole.ingest(write_csv(tmp_path / "all.csv", [{**r, "sequence": 0} for r in lines]))
    for start in (80, 0, 40):
        part = write_csv(tmp_path / f"p{start}.csv", lines[start : start + 40])
        parts.ingest(part)
    # A row's place in its file is its sequence, and the files differ in that alone.
    a, b = (shop.events().drop_columns(["sequence"]) for shop in (whole, parts))
    assert a.equals(b)
    assert sorted(whole.states()) == sorted(parts.states())
    incremental = parts.states()
    parts.rebuild()
    assert parts.states() == incremental


def test_a_conflict_has_one_winner_whatever_arrives_first(tmp_path: Path) -> None:
    lines = rows(range(20))
    changed = [purchase(n, f"c{(n + 1) % 5}", price="123.45") for n in range(0, 20, 2)]
    found = []
    for name, order in (("ab", (lines, changed)), ("ba", (changed, lines))):
        shop = Shop(tmp_path / name)
        accounts = [
            shop.ingest(write_csv(tmp_path / f"{name}{i}.csv", part)).rows
            for i, part in enumerate(order)
        ]
        assert accounts[1].conflicting == 10
        incremental = shop.states()
        shop.rebuild()
        assert shop.states() == incremental
        found.append(shop.events().drop_columns(["sequence"]))
        shop.close()
    assert found[0].equals(found[1])


def test_a_file_of_only_duplicates_makes_no_version(shop: Shop, tmp_path: Path) -> None:
    first = shop.ingest(write_csv(tmp_path / "a.csv", rows(range(30))))
    second = shop.ingest(write_csv(tmp_path / "b.csv", rows(range(10))))
    assert counts(second.rows) == (10, 0, 10, 0, 0)
    assert second.table_version == first.table_version


def test_guests_are_stored_but_are_no_customers(shop: Shop, tmp_path: Path) -> None:
    lines = [*rows(range(10)), purchase(50, ""), purchase(51, "")]
    result = shop.ingest(write_csv(tmp_path / "a.csv", lines))
    assert (result.events, result.customers) == (12, 5)


def test_a_file_of_guests_alone(shop: Shop, tmp_path: Path) -> None:
    result = shop.ingest(write_csv(tmp_path / "a.csv", [purchase(50, ""), purchase(51, "")]))
    assert (result.events, result.customers) == (2, 0)
    assert shop.store.applied_version() == result.table_version


def test_a_file_with_nothing_usable_is_refused_with_reasons(shop: Shop, tmp_path: Path) -> None:
    shop.ingest(write_csv(tmp_path / "good.csv", rows(range(10))))
    before = (shop.events(), shop.states(), shop.store.units(), shop.listing())
    lines = [purchase(n, "c1", event_time="31/31/2024") for n in range(3)] + [purchase(9, "null")]
    file = write_csv(tmp_path / "bad.csv", lines)
    with pytest.raises(InputError) as told:
        shop.ingest(file)
    error = told.value
    assert error.code == "input_unusable"
    assert error.message.startswith(f"not one of the 4 rows of {file} is usable; 3 rows: ")
    assert "(bad_time); 1 rows: " in error.message
    assert "Row 1: " in error.hint and "31/31/2024" in error.hint
    assert "Check the preset or mapping" in error.hint
    assert (shop.events(), shop.states(), shop.store.units(), shop.listing()) == before
    assert shop.stray_files() == []


def test_files_before_a_bad_one_stay(shop: Shop, tmp_path: Path) -> None:
    good = write_csv(tmp_path / "a.csv", rows(range(10)))
    bad = write_csv(tmp_path / "b.csv", [purchase(1, "null")])
    never = write_csv(tmp_path / "c.csv", rows(range(50, 60)))
    with pytest.raises(InputError, match="not one of the 1 rows") as told:
        shop.ingest(good, bad, never)
    assert told.value.hint.endswith(f"Files before it are in: {good}.")
    assert shop.events().num_rows == 10
    assert sorted(shop.states()) == [f"c{n}" for n in range(5)]


def test_a_missing_file_is_told_before_anything_is_read(shop: Shop, tmp_path: Path) -> None:
    good = write_csv(tmp_path / "a.csv", rows(range(10)))
    with pytest.raises(InputError, match="there is no file"):
        shop.ingest(good, tmp_path / "nowhere.csv")
    assert shop.store.units() == []


def test_the_first_source_declares_what_counts_as_buying(shop: Shop, tmp_path: Path) -> None:
    columns = ["user_id", "item_id", "rating", "timestamp"]
    lines = [{"user_id": "u1", "item_id": "7", "rating": 5, "timestamp": 881250949}]
    file = write_csv(tmp_path / "ratings.csv", lines, columns)
    mapping = load("movielens")
    shop.ingest(file, mapping=mapping)
    assert shop.store.get_settings()["value_event"] == mapping.value_event == "review"
    assert shop.folded == ["review"]


def test_the_mapping_may_be_chosen_for_each_source(shop: Shop, tmp_path: Path) -> None:
    seen = []

    def choose(source: object) -> object:
        seen.append(source.path.name)  # type: ignore[attr-defined]
        return load("shoal")

    shop.ingest(write_csv(tmp_path / "a.csv", rows(range(3))), mapping=choose)  # type: ignore[arg-type]
    assert seen == ["a.csv"]


def test_progress_reaches_the_size_of_the_file(shop: Shop, tmp_path: Path) -> None:
    class Bar:
        def __init__(self) -> None:
            self.bars: list[list[object]] = []

        def start(self, label: str, total: float | None, unit: str = "") -> None:
            self.bars.append([label, total, unit, 0.0])

        def advance(self, amount: float = 1) -> None:
            self.bars[-1][3] += amount  # type: ignore[operator]

        def done(self) -> None:
            return None

    bar = Bar()
    file = write_csv(tmp_path / "a.csv", rows(range(200)))
    shop.ingest(file, progress=bar)
    size = file.stat().st_size
    assert bar.bars == [["a.csv", size, "bytes", size], ["all customer states", 200, "events", 200]]


def test_states_are_rebuilt_when_the_fold_changes(shop: Shop, tmp_path: Path) -> None:
    shop.ingest(write_csv(tmp_path / "a.csv", rows(range(10))))
    before = shop.states()
    shop.store.put_setting("fold", "another program's")
    shop.store.put_states(shop.store.get_states(["c0"]).set_column(2, "body", [[b"old"]]))
    shop.ingest(write_csv(tmp_path / "b.csv", [purchase(70, "c9")]))
    after = shop.states()
    assert {name: after[name] for name in before} == before
    assert "c9" in after


def test_states_survive_the_loss_of_the_state_store(shop: Shop, tmp_path: Path) -> None:
    shop.ingest(write_csv(tmp_path / "a.csv", rows(range(40))))
    before = shop.states()
    shop.store.close()
    for path in shop.directory.glob("shop.sqlite*"):
        path.unlink()
    again = Shop(shop.directory)
    again.ingest(write_csv(tmp_path / "a.csv", rows(range(40))))
    assert again.states() == before
    assert again.events().num_rows == 40
    again.close()


def test_another_process_at_work_is_respected(shop: Shop, tmp_path: Path) -> None:
    other = Shop(shop.directory)
    with other.store.lease(), pytest.raises(OperationError, match="has been writing to the shop"):
        shop.ingest(write_csv(tmp_path / "a.csv", rows(range(3))))
    other.close()


def test_the_table_holds_what_the_rows_said(shop: Shop, tmp_path: Path) -> None:
    shop.ingest(write_csv(tmp_path / "a.csv", [purchase(1, "c1", price="19.99", quantity=2)]))
    (row,) = shop.events().to_pylist()
    assert (row["customer_id"], row["price"], row["quantity"]) == ("c1", 19_990_000, 2)
    assert (row["source"], row["event_id"], row["utc_offset_s"]) == ("shoal", "e1", 0)
    assert pc.min(shop.events()["bucket"]).as_py() >= 0


def test_the_first_priced_events_give_the_shop_its_currency(shop: Shop, tmp_path: Path) -> None:
    views = [purchase(n, "c1", kind="view", price="", currency="USD") for n in range(5)]
    shop.ingest(write_csv(tmp_path / "a.csv", views))
    assert "currency" not in shop.store.get_settings()
    mixed = [purchase(10 + n, "c1", currency=name) for n, name in enumerate(["JPY", "EUR"] * 2)]
    shop.ingest(write_csv(tmp_path / "b.csv", mixed))
    assert shop.store.get_settings()["currency"] == "EUR"  # as many as JPY, earlier by name
    shop.ingest(write_csv(tmp_path / "c.csv", [purchase(50, "c1", currency="JPY")]))
    assert shop.store.get_settings()["currency"] == "EUR"
    incremental = shop.states()
    shop.rebuild()
    assert shop.states() == incremental


def test_a_refused_file_declares_nothing(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not one of the 1 rows"):
        shop.ingest(write_csv(tmp_path / "a.csv", [purchase(1, "null", currency="EUR")]))
    assert shop.store.get_settings() == {}


def test_the_period_is_kept_for_those_who_ask_without_the_table(shop: Shop, tmp_path: Path) -> None:
    shop.ingest(write_csv(tmp_path / "a.csv", rows(range(10, 20))))
    shop.ingest(write_csv(tmp_path / "b.csv", rows(range(5))))
    settings = shop.store.get_settings()
    assert settings["first"] == "2024-03-01T00:00:00Z"
    assert settings["last"] == "2024-03-01T00:19:00Z"


def test_one_huge_refused_row_fills_a_row_group_alone(shop: Shop, tmp_path: Path) -> None:
    huge = purchase(90, "x" * 10_000_000)
    result = shop.ingest(write_csv(tmp_path / "a.csv", [purchase(1, "c1"), huge]))
    assert result.rows.quarantine == {"text_too_long": 1}
    assert shop.listing().reasons[0].count == 1
