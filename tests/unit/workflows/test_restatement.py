"""Files that state a day or an order anew, as `ingest` takes them and the quarantine gives back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from tests.shops import COLUMNS, Shop, purchase, write_csv

from shoal.domain.time import Zone
from shoal.events.mapping import SourceMapping, read_mapping
from shoal.workflows.books_quarantine import quarantined
from shoal.workflows.ingest_result import IngestResult
from shoal.workflows.status import status

FIELDS = (*COLUMNS, "day", "changed")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "shop")
    yield made
    made.close()


def mapping_of(directory: Path, version: str = "", more: str = "") -> SourceMapping:
    """Days are stated as a whole; `changed` may say which statement is the later one."""
    names = [name for name in COLUMNS if name not in ("event_time", "kind")]
    lines = [
        'source = "web"', "[columns]", 'event_time = "event_time"', 'kind = "kind"', "[optional]",
        *(f'{name} = "{name}"' for name in names),
        "[restates]", 'scope = ["day"]', *([f'version = "{version}"'] if version else []), more,
    ]  # fmt: skip
    path = directory / "web.toml"
    path.write_text("\n".join(lines))
    return read_mapping(path)


@pytest.fixture
def mapping(tmp_path: Path) -> SourceMapping:
    return mapping_of(tmp_path)


@pytest.fixture
def dated(tmp_path: Path) -> SourceMapping:
    return mapping_of(tmp_path, version="changed")


def shard(
    directory: Path,
    name: str,
    numbers: Sequence[int],
    day: str = "d1",
    changed: str = "",
    **values: object,
) -> Path:
    rows = [purchase(n, f"c{n % 4}", day=day, changed=changed, **values) for n in numbers]
    return write_csv(directory / name, rows, FIELDS)


def ids(shop: Shop) -> list[str]:
    return sorted(shop.events()["event_id"].to_pylist())


def checked(shop: Shop, result: IngestResult) -> dict[str, Any]:
    """The document, after everything that must agree was compared."""
    document = result.as_document()
    rows = dict(document["rows"])
    assert rows.pop("read") == sum(rows.values())
    assert shop.events().num_rows == document["events"] == status(store=shop.store)["events"]
    followed = shop.states()
    shop.rebuild()
    assert shop.states() == followed
    return document


def test_a_day_restated_twice_and_its_old_shard_again(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    old = shard(tmp_path, "old.csv", range(10))
    other = shard(tmp_path, "other.csv", range(20, 24), day="d2")
    new = shard(tmp_path, "new.csv", range(2, 12))
    newest = shard(tmp_path, "newest.csv", range(3, 11), price="7.00")
    first = checked(shop, shop.ingest(old, other, mapping=mapping))
    assert first["files"] == {"new": 2, "restating": 0, "unchanged": 0, "superseded": 0}
    assert first["restated"] == {"scopes": 0, "withdrawn": 0, "changed": 0, "older": 0}
    second = checked(shop, shop.ingest(new, mapping=mapping))
    assert second["rows"]["stored"] == 2
    assert second["rows"]["duplicate"] == 8
    assert second["restated"] == {"scopes": 1, "withdrawn": 2, "changed": 0, "older": 0}
    assert second["files"]["restating"] == 1
    third = checked(shop, shop.ingest(newest, mapping=mapping))
    assert third["restated"] == {"scopes": 1, "withdrawn": 10, "changed": 8, "older": 0}
    held = ids(shop)
    assert held == sorted([*(f"e{n}" for n in range(3, 11)), *(f"e{n}" for n in range(20, 24))])
    again = checked(shop, shop.ingest(old, new, newest, other, mapping=mapping))
    assert again["files"] == {"new": 0, "restating": 0, "unchanged": 4, "superseded": 2}
    assert ids(shop) == held, "an old file brings nothing back"


def test_files_are_told_by_content_and_mapping(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    """With another mapping the old file is another statement, and it comes later."""
    old = shard(tmp_path, "old.csv", range(4))
    shop.ingest(old, shard(tmp_path, "new.csv", range(2, 6)), mapping=mapping)
    assert ids(shop) == ["e2", "e3", "e4", "e5"]
    other = replace(mapping, properties=("changed",))
    document = checked(shop, shop.ingest(old, mapping=other))
    assert document["files"]["restating"] == 1
    assert ids(shop) == ["e0", "e1", "e2", "e3"]


def test_a_shard_that_only_withdraws_is_committed(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    shop.ingest(shard(tmp_path, "old.csv", range(10)), mapping=mapping)
    document = checked(shop, shop.ingest(shard(tmp_path, "new.csv", range(6)), mapping=mapping))
    assert document["rows"]["duplicate"] == 6
    assert document["restated"]["withdrawn"] == 4
    assert ids(shop) == [f"e{n}" for n in range(6)]


def test_shards_in_any_order_end_as_the_latest_says(tmp_path: Path, dated: SourceMapping) -> None:
    shards = [
        shard(tmp_path, f"v{n}.csv", range(n, n + 6), changed=f"2024-04-0{n + 1}", price=f"{n}.50")
        for n in range(3)
    ]
    tables, states = [], []
    for place, order in enumerate(permutations(shards)):
        shop = Shop(tmp_path / f"shop{place}")
        for path in order:
            checked(shop, shop.ingest(path, mapping=dated))
        tables.append(shop.events().drop_columns(["received_at"]).to_pylist())
        states.append(shop.states())
        shop.close()
    assert len(tables) == 6
    assert all(table == tables[0] for table in tables)
    assert all(state == states[0] for state in states)
    assert {row["price"] for row in tables[0]} == {2_500_000}


def test_rows_of_an_older_statement_are_skipped_and_said(
    shop: Shop, tmp_path: Path, dated: SourceMapping
) -> None:
    shop.ingest(shard(tmp_path, "new.csv", range(5), changed="2024-04-02"), mapping=dated)
    late = shard(tmp_path, "late.csv", range(3, 9), changed="2024-04-01")
    version = shop.warehouse.version()
    document = checked(shop, shop.ingest(late, mapping=dated))
    assert (document["rows"]["skipped"], document["restated"]["older"]) == (6, 6)
    assert document["table_version"] == version, "nothing was committed"
    assert shop.ingest(late, mapping=dated).files[0].unchanged


def test_parts_of_one_export_are_one_statement(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    folder = tmp_path / "shards"
    for part in range(3):
        shard(folder, f"events_20240401-{part:012d}.csv", range(part * 4, part * 4 + 4))
    shard(folder, "events_20240402.csv", range(20, 24), day="d2")
    result = shop.ingest(folder, mapping=mapping)
    checked(shop, result)
    assert [Path(file.file).name for file in result.files] == [
        "events_20240401-*.csv", "events_20240402.csv",
    ]  # fmt: skip
    assert len(ids(shop)) == 16
    assert all(file.unchanged for file in shop.ingest(folder, mapping=mapping).files)
    shard(folder, "events_20240401-000000000001.csv", range(5, 7))
    document = checked(shop, shop.ingest(folder, mapping=mapping))
    assert document["files"] == {"new": 0, "restating": 1, "unchanged": 1, "superseded": 0}
    assert document["restated"] == {"scopes": 1, "withdrawn": 2, "changed": 0, "older": 0}
    assert "e4" not in ids(shop)
    assert {"e0", "e5", "e11"} <= set(ids(shop))


def test_moments_in_names_are_no_numbers_of_parts(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    folder = tmp_path / "exports"
    shard(folder, "orders-202403011200.csv", range(4))
    shard(folder, "orders-202404011200.csv", range(2, 6))
    for part in range(2):
        shard(folder, f"orders-202404011200-{part:012d}.csv", [20 + part], day="d2")
    result = shop.ingest(folder, mapping=mapping)
    checked(shop, result)
    assert [Path(file.file).name for file in result.files] == [
        "orders-202403011200.csv", "orders-202404011200-*.csv", "orders-202404011200.csv",
    ]  # fmt: skip
    assert ids(shop) == ["e2", "e20", "e21", "e3", "e4", "e5"], "the later export replaces"


def test_a_file_counts_again_when_it_is_asked_for(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    old = shard(tmp_path, "old.csv", [*range(10), 11], customer_id="c1")
    copy = tmp_path / "copy.csv"
    copy.write_bytes(old.read_bytes())
    both = shard(tmp_path, "both.csv", range(3))
    shop.ingest(old, both, mapping=mapping)
    back = checked(shop, shop.ingest(copy, old, mapping=mapping, again=True))
    assert back["files"] == {"new": 0, "restating": 1, "unchanged": 1, "superseded": 0}
    assert len(ids(shop)) == 11
    once_more = checked(shop, shop.ingest(old, both, mapping=mapping, again=True))
    assert once_more["files"]["unchanged"] == 1
    assert ids(shop) == ["e0", "e1", "e2"], "the last file of the call counts"
    assert checked(shop, shop.ingest(old, mapping=mapping))["files"]["superseded"] == 1
    names = [one["unit"] for one in shop.store.units()]
    assert len(names) == len(set(names)) == 4


def test_a_file_of_which_only_a_part_was_stated_anew_counts_again_too(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    rows = [purchase(n, "c1", day=f"d{n % 2}") for n in range(8)]
    two_days = write_csv(tmp_path / "two.csv", rows, FIELDS)
    one_day = shard(tmp_path, "one.csv", [1], day="d1")
    shop.ingest(two_days, one_day, mapping=mapping)
    assert ids(shop) == ["e0", "e1", "e2", "e4", "e6"]
    checked(shop, shop.ingest(two_days, mapping=mapping, again=True))
    assert len(ids(shop)) == 8


def test_an_older_version_does_not_count_however_it_is_asked_for(
    shop: Shop, tmp_path: Path, dated: SourceMapping
) -> None:
    old = shard(tmp_path, "old.csv", range(4), changed="2024-04-01")
    shop.ingest(old, shard(tmp_path, "new.csv", range(2), changed="2024-04-02"), mapping=dated)
    for _ in range(2):
        checked(shop, shop.ingest(old, mapping=dated, again=True))
        assert ids(shop) == ["e0", "e1"]
    assert len(shop.store.units()) == 3


def test_files_without_scopes_stay_units_of_their_own(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    for part in range(2):
        write_csv(folder / f"part-{part:05d}.csv", [purchase(part, "c1")])
    assert len(shop.ingest(folder).files) == 2


def test_files_of_one_call_that_withdraw_each_others_events_are_named(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    files = [shard(tmp_path, "a.csv", range(5)), shard(tmp_path, "b.csv", range(5, 9))]
    result = shop.ingest(*files, mapping=mapping)
    assert [file.instead_of for file in result.files] == ["", str(files[0])]
    assert ids(shop) == ["e5", "e6", "e7", "e8"]


MENDED = '[kinds]\ngekauft = "purchase"'


def test_rows_from_the_quarantine_join_the_statement_of_their_file(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    rows = [purchase(n, "c1", day="d1", kind="gekauft" if n > 7 else "purchase") for n in range(10)]
    shop.ingest(write_csv(tmp_path / "a.csv", rows, FIELDS), mapping=mapping)
    assert len(ids(shop)) == 8
    document = checked(shop, shop.replay(mapping_of(tmp_path, more=MENDED)))
    assert document["rows"]["stored"] == 2
    assert document["restated"] == {"scopes": 0, "withdrawn": 0, "changed": 0, "older": 0}
    assert len(ids(shop)) == 10


def test_rows_from_the_quarantine_of_a_file_stated_anew_stay_out(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    rows = [purchase(n, "c1", day="d1", kind="gekauft" if n > 7 else "purchase") for n in range(10)]
    shop.ingest(write_csv(tmp_path / "a.csv", rows, FIELDS), mapping=mapping)
    shop.ingest(shard(tmp_path, "b.csv", range(6)), mapping=mapping)
    document = checked(shop, shop.replay(mapping_of(tmp_path, more=MENDED)))
    assert document["rows"] == {
        "read": 2, "stored": 0, "duplicate": 0, "conflicting": 0, "quarantined": 0, "skipped": 2,
    }  # fmt: skip
    assert document["restated"]["older"] == 2
    assert len(ids(shop)) == 6


@pytest.mark.parametrize(("moment", "stored"), [("2024-04-01", 0), ("2024-04-03", 2)])
def test_rows_from_the_quarantine_count_by_their_version(
    shop: Shop, tmp_path: Path, dated: SourceMapping, moment: str, stored: int
) -> None:
    shop.ingest(shard(tmp_path, "a.csv", range(4), changed="2024-04-02"), mapping=dated)
    odd = [purchase(n, "c1", day="d1", changed=moment, kind="gekauft") for n in (3, 4)]
    odd.append(purchase(30, "c1", day="d2", changed=moment))
    shop.ingest(write_csv(tmp_path / "b.csv", odd, FIELDS), mapping=dated)
    document = checked(shop, shop.replay(mapping_of(tmp_path, version="changed", more=MENDED)))
    assert document["rows"]["skipped"] == 2 - stored
    held = ["e3", "e30", "e4"] if stored else ["e0", "e1", "e2", "e3", "e30"]
    assert ids(shop) == held


def bad(directory: Path, name: str, days: Sequence[str], more: str) -> Path:
    """An export of some days with an order each that cannot be stored, and one that can."""
    rows = [
        purchase(100 * n + place, who, day=day, note=more if who == "c1" else "")
        for n, day in enumerate(days)
        for place, who in enumerate(("null", "c1"))
    ]
    return write_csv(directory / name, rows, (*FIELDS, "note"))


def test_quarantined_rows_that_were_stated_again_count_once(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    for n in range(4):
        shop.ingest(bad(tmp_path, f"{n}.csv", ["d1"], f"run {n}"), mapping=mapping)
    listing = shop.listing()
    assert [(one.code, one.count) for one in listing.reasons] == [("bad_customer_id", 1)]
    assert listing.left_out == listing.as_document()["restated"] == 3
    assert shop.listing(code="unknown_kind").left_out == 0
    found = quarantined(shop.store, shop.quarantine_dir, Zone("UTC"))
    assert found.readable == 1


def test_days_that_later_files_state_only_in_part_are_counted_by_their_rows(
    shop: Shop, tmp_path: Path, mapping: SourceMapping
) -> None:
    days = {day: 100 * n for n, day in enumerate(("d1", "d2", "d3", "d4", "d5", "d6"))}
    for first in range(3):  # the last four days, asked for every day
        asked = list(days)[first : first + 4]
        rows = [purchase(days[day] + n, who, day=day) for day in asked
                for n, who in enumerate(("null", f"c{first}"))]  # fmt: skip
        shop.ingest(write_csv(tmp_path / f"{first}.csv", rows, FIELDS), mapping=mapping)
    listing = shop.listing()
    assert [one.count for one in listing.reasons] == [6]
    assert listing.left_out == 6
