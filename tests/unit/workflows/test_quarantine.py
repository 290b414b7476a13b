"""The quarantine: listing with samples, and replay after a mapping is mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.shops import COLUMNS, Shop, purchase, write_csv

from shoal.domain.errors import OperationError, UsageError
from shoal.events.mapping import SourceMapping, read_mapping
from shoal.events.presets import load
from shoal.events.tombstones import EVER, fingerprint
from shoal.workflows.forget_files import held_quarantined
from shoal.workflows.quarantine_file import id_columns_of

#: A kind that the mapping does not know at first.
LINES = [
    *(purchase(n, f"c{n % 3}") for n in range(10)),
    *(purchase(n, "c1", kind="gekauft") for n in range(20, 24)),
    purchase(30, "c1", kind="gekauft", event_time="yesterday"),
    purchase(31, "null"),
]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "shop")
    yield made
    made.close()


MAPPING = """
[columns]
event_time = "event_time"
kind = "kind"
[optional]
""" + "\n".join(f'{name} = "{name}"' for name in COLUMNS if name not in ("event_time", "kind"))


@pytest.fixture
def first(tmp_path: Path) -> SourceMapping:
    """A mapping that does not know one of the source's words."""
    return mapping_of(tmp_path, MAPPING)


@pytest.fixture
def mended(tmp_path: Path) -> SourceMapping:
    """The same after a person added the word."""
    return mapping_of(tmp_path, MAPPING + '\n[kinds]\ngekauft = "purchase"\n')


def mapping_of(directory: Path, text: str) -> SourceMapping:
    path = directory / "till.toml"
    path.write_text(text)
    return read_mapping(path)


def test_reasons_are_listed_with_counts_and_samples(
    shop: Shop, tmp_path: Path, first: SourceMapping, mended: SourceMapping
) -> None:
    file = write_csv(tmp_path / "a.csv", LINES)
    shop.ingest(file, mapping=first)
    shop.ingest(
        write_csv(tmp_path / "b.csv", [purchase(50, "c1"), purchase(51, "guest")]), mapping=first
    )
    listing = shop.listing(samples=2)
    assert [(r.code, r.count, len(r.samples)) for r in listing.reasons] == [
        ("unknown_kind", 5, 2),
        ("bad_customer_id", 2, 2),
    ]
    sample = listing.reasons[0].samples[0]
    assert (sample.file, sample.row) == (str(file), 11)
    assert '"kind": "gekauft"' in sample.raw
    assert "kind" in listing.reasons[0].meaning
    document = listing.as_document()
    assert (document["schema"], document["rows"]) == ("shoal.quarantine/1", 7)
    assert document["restated"] == 0
    only = shop.listing(code="bad_customer_id", samples=0)
    assert [(r.code, r.samples) for r in only.reasons] == [("bad_customer_id", ())]


def test_an_unknown_reason_is_told_with_the_known_ones(shop: Shop) -> None:
    with pytest.raises(UsageError, match="no quarantine reason 'bad_mood'") as told:
        shop.listing(code="bad_mood")
    assert "bad_time" in told.value.hint


def test_an_empty_quarantine(shop: Shop) -> None:
    assert shop.listing().reasons == ()
    with pytest.raises(UsageError, match="holds no rows of source 'shoal'") as told:
        shop.replay(load("shoal"))
    assert "it is empty" in told.value.hint


def test_a_replay_stores_what_is_valid_now_and_keeps_the_rest(
    shop: Shop, tmp_path: Path, first: SourceMapping, mended: SourceMapping
) -> None:
    file = write_csv(tmp_path / "a.csv", LINES)
    shop.ingest(file, mapping=first)
    result = shop.replay(mended)
    assert result.as_document()["rows"] == {
        "read": 6,
        "stored": 4,
        "duplicate": 0,
        "conflicting": 0,
        "quarantined": 2,
        "skipped": 0,
    }
    assert result.events == 14
    assert [(r.code, r.count) for r in shop.listing().reasons] == [
        ("bad_customer_id", 1),
        ("bad_time", 1),
    ]
    bad_time = shop.listing(code="bad_time").reasons[0].samples[0]
    assert (bad_time.file, bad_time.row) == (str(file), 15)
    assert shop.stray_files() == []
    incremental = shop.states()
    shop.rebuild()
    assert shop.states() == incremental


def test_a_replay_gives_the_table_that_the_mended_mapping_would_have(
    shop: Shop, tmp_path: Path, first: SourceMapping, mended: SourceMapping
) -> None:
    file = write_csv(tmp_path / "a.csv", LINES)
    shop.ingest(file, mapping=first)
    shop.replay(mended)
    right = Shop(tmp_path / "right")
    right.ingest(file, mapping=mended)
    assert shop.events().equals(right.events())
    assert shop.states() == right.states()
    right.close()


def test_a_replay_that_mends_nothing_changes_nothing(
    shop: Shop, tmp_path: Path, first: SourceMapping, mended: SourceMapping
) -> None:
    shop.ingest(write_csv(tmp_path / "a.csv", LINES), mapping=first)
    before, version = shop.listing(), shop.warehouse.version()
    for _ in range(2):
        result = shop.replay(first)
        assert (result.rows.read, result.rows.quarantined) == (6, 6)
    assert shop.listing() == before
    assert shop.warehouse.version() == version


def test_what_remains_is_searched_where_either_mapping_reads_ids(
    shop: Shop, tmp_path: Path
) -> None:
    """The mended mapping reads customers from another column: persons are found in both."""
    columns = (*COLUMNS, "client")
    rows = [purchase(0, "c0"), {**purchase(1, "old-ann", kind="gekauft"), "client": "ann"}]
    shop.ingest(
        write_csv(tmp_path / "a.csv", rows, columns=columns), mapping=mapping_of(tmp_path, MAPPING)
    )
    shop.replay(mapping_of(tmp_path, MAPPING.replace('"customer_id"', '"client"')))
    kept = next(shop.quarantine_dir.iterdir())
    assert id_columns_of(kept) == ("customer_id", "client")
    for name in ("ann", "old-ann"):
        assert held_quarantined(kept, frozenset([name])).total() == 1
    forgotten = fingerprint(shop.store.erasures.key(), "old-ann")
    shop.store.erasures.add_tombstones([(forgotten, *EVER)])
    result = shop.replay(mapping_of(tmp_path, MAPPING.replace('"customer_id"', '"client"') + "\n"))
    assert (result.rows.skipped, result.rows.quarantined) == (1, 0)


def test_a_second_replay_finds_only_what_remained(
    shop: Shop, tmp_path: Path, first: SourceMapping, mended: SourceMapping
) -> None:
    shop.ingest(write_csv(tmp_path / "a.csv", LINES), mapping=first)
    shop.replay(mended)
    again = shop.replay(mended)
    assert (again.rows.read, again.rows.stored, again.rows.quarantined) == (2, 0, 2)


def test_rows_of_another_source_are_left_alone(
    shop: Shop, tmp_path: Path, first: SourceMapping, mended: SourceMapping
) -> None:
    shop.ingest(write_csv(tmp_path / "a.csv", LINES), mapping=first)
    with pytest.raises(UsageError, match="holds no rows of source 'taobao'") as told:
        shop.replay(load("taobao"))
    assert "Sources with quarantined rows: till." in told.value.hint


def test_a_missing_quarantine_file_is_told(
    shop: Shop, tmp_path: Path, first: SourceMapping
) -> None:
    shop.ingest(write_csv(tmp_path / "a.csv", LINES), mapping=first)
    (file,) = shop.quarantine_dir.iterdir()
    file.unlink()
    with pytest.raises(OperationError, match="a file of the quarantine is missing") as told:
        shop.listing()
    assert told.value.code == "shop_damaged"
    assert told.value.where == str(file)
