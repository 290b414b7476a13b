"""GA4 through the front door: intraday and final shards, days stated anew, in any order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlglot
from deltalake import DeltaTable
from tests.fixtures.ga4 import shards
from tests.journeys.conftest import Shoal

DAY = 86_400 * shards.SECOND


def ingest(shoal: Shoal, shop: Path, *paths: Path | str) -> dict[str, Any]:
    """The document of an ingest whose account adds up."""
    document = shoal("ingest", shop, *paths, "--preset", "ga4", "--json").document
    rows = document["rows"]
    parts = ("stored", "duplicate", "conflicting", "quarantined", "skipped")
    assert rows["read"] == sum(rows[part] for part in parts), rows
    return document


def grown(*documents: dict[str, Any]) -> int:
    """Events that these ingests left: those stored less those withdrawn."""
    return sum(one["rows"]["stored"] - one["restated"]["withdrawn"] for one in documents)


def facts(shop: Path) -> list[tuple[Any, ...]]:
    """What the shop holds: the same facts in the same order, whatever way they came."""
    names = ["event_id", "event_time", "kind", "customer_id", "anonymous_id", "item_id", "price"]
    table = DeltaTable(str(shop / "events")).to_pyarrow_table(columns=names)
    return sorted(map(tuple, (row.values() for row in table.to_pylist())), key=repr)


def next_day(events: list[shards.Event]) -> list[shards.Event]:
    """The same things a day later."""
    return [
        one | {"event_date": "20240302", "event_timestamp": one["event_timestamp"] + DAY,
               "user_properties": []}
        for one in events
    ]  # fmt: skip


def empty_shop(shoal: Shoal, directory: Path) -> Path:
    assert shoal("init", directory, "--buckets", 4).code == 0
    return directory


def test_the_final_shard_takes_the_place_of_the_intraday_one(
    shop: Path, shoal: Shoal, tmp_path: Path
) -> None:
    early = shards.write_json(tmp_path / "events_intraday_20240301.json", shards.FIRST_DAY[:6])
    final = shards.write_json(tmp_path / "events_20240301.json", shards.FIRST_DAY)
    first = ingest(shoal, shop, early)
    assert (first["rows"]["read"], first["rows"]["skipped"]) == (7, 1)
    assert first["events"] == grown(first) == 6
    second = ingest(shoal, shop, final)
    assert second["restated"]["withdrawn"] == 0, "all that was told early is told again"
    assert (second["rows"]["duplicate"], second["rows"]["quarantined"]) == (6, 1)
    assert second["events"] == grown(first, second) == 16
    again = ingest(shoal, shop, early)
    assert again["files"] == {"new": 0, "restating": 0, "unchanged": 1, "superseded": 1}
    assert again["events"] == 16 and again["table_version"] == second["table_version"]
    other = empty_shop(shoal, tmp_path / "other")
    ingest(shoal, other, final)
    assert facts(other) == facts(shop)


def test_an_intraday_event_that_the_final_shard_dropped_goes(
    shop: Path, shoal: Shoal, tmp_path: Path
) -> None:
    early = shards.write_json(
        tmp_path / "intraday.json", [*shards.FIRST_DAY[:6], shards.event("page_view", 50)]
    )
    final = shards.write_parquet(tmp_path / "events_20240301.parquet", shards.FIRST_DAY)
    first, second = ingest(shoal, shop, early), ingest(shoal, shop, final)
    assert second["restated"]["withdrawn"] == 1
    assert second["files"]["restating"] == 1
    assert second["events"] == grown(first, second) == 16


def test_a_day_stated_anew_loses_what_is_gone_and_keeps_what_is_the_same(
    shop: Path, shoal: Shoal, tmp_path: Path
) -> None:
    old = shards.write_json(tmp_path / "events_20240301.json", shards.FIRST_DAY)
    new = shards.write_json(tmp_path / "again.json", shards.RESTATED_DAY)
    first = ingest(shoal, shop, old)
    before = facts(shop)
    second = ingest(shoal, shop, new)
    # The view of another price and both lines put into the cart go; two views come.
    assert (second["restated"]["scopes"], second["restated"]["withdrawn"]) == (1, 3)
    assert second["rows"]["stored"] == 2
    assert second["events"] == grown(first, second) == 15
    after = facts(shop)
    assert len(set(before) & set(after)) == 13, "what did not change has the id it had"
    other = empty_shop(shoal, tmp_path / "other")
    ingest(shoal, other, new)
    assert facts(other) == after
    # The old file again says nothing new: it was stated anew since.
    third = ingest(shoal, shop, old)
    assert third["files"]["superseded"] == 1 and facts(shop) == after


def test_days_in_any_order_give_one_shop(shop: Path, shoal: Shoal, tmp_path: Path) -> None:
    first = shards.write_json(tmp_path / "events_20240301.json", shards.FIRST_DAY)
    second = shards.write_json(tmp_path / "events_20240302.json", next_day(shards.FIRST_DAY))
    forward = [ingest(shoal, shop, first), ingest(shoal, shop, second)]
    other = empty_shop(shoal, tmp_path / "other")
    backward = [ingest(shoal, other, second), ingest(shoal, other, first)]
    assert all(one["restated"]["scopes"] == 0 for one in forward + backward)
    assert forward[-1]["events"] == grown(*forward) == grown(*backward)
    assert facts(shop) == facts(other)
    together = empty_shop(shoal, tmp_path / "together")
    ingest(shoal, together, first, second)
    assert facts(together) == facts(shop)


def test_only_the_stated_day_is_touched(shop: Path, shoal: Shoal, tmp_path: Path) -> None:
    first = shards.write_json(tmp_path / "events_20240301.json", shards.FIRST_DAY)
    second = shards.write_json(tmp_path / "events_20240302.json", next_day(shards.FIRST_DAY))
    anew = shards.write_json(tmp_path / "anew.json", next_day(shards.RESTATED_DAY))
    told = [ingest(shoal, shop, first, second), ingest(shoal, shop, anew)]
    assert told[-1]["events"] == grown(*told)
    other = empty_shop(shoal, tmp_path / "other")
    ingest(shoal, other, first, anew)
    assert facts(other) == facts(shop)


@pytest.mark.parametrize("given", ["folder", "names"])
def test_one_call_takes_the_intraday_shard_before_the_final_one(
    shop: Path, shoal: Shoal, tmp_path: Path, given: str
) -> None:
    folder = tmp_path / "ga4"
    folder.mkdir()
    final = shards.write_json(folder / "events_20240301.json", shards.FIRST_DAY)
    early = shards.write_json(folder / "events_intraday_20240301.json", shards.FIRST_DAY[:6])
    told = ingest(shoal, shop, *([folder] if given == "folder" else [final, early]))
    assert (told["events"], told["restated"]["withdrawn"]) == (16, 0)
    other = empty_shop(shoal, tmp_path / "other")
    ingest(shoal, other, final)
    assert facts(other) == facts(shop)


def test_a_shard_cut_short_is_undone_by_stating_the_whole_one_again(
    shop: Path, shoal: Shoal, tmp_path: Path
) -> None:
    whole = shards.write_json(tmp_path / "events_20240301.json", shards.FIRST_DAY)
    cut = shards.write_json(tmp_path / "copy.json", shards.FIRST_DAY[:6])
    ingest(shoal, shop, whole)
    before = facts(shop)
    short = ingest(shoal, shop, cut)
    assert short["events"] == 6
    assert short["thinned"] == [{"file": str(cut), "held": 16, "left": 6}]
    told = shoal("ingest", shop, whole, "--preset", "ga4")
    assert "let it count again: shoal ingest SHOP FILE --again" in told.out
    assert facts(shop) != before, "a file that is in is not taken again unless it is asked for"
    back = ingest(shoal, shop, whole, "--again")
    assert (back["files"]["restating"], back["rows"]["stored"], back["events"]) == (1, 10, 16)
    assert facts(shop) == before
    for more in ([], ["--again"]):
        once_more = ingest(shoal, shop, whole, *more)
        assert once_more["files"] == {"new": 0, "restating": 0, "unchanged": 1, "superseded": 0}
        assert once_more["table_version"] == back["table_version"]
    assert ingest(shoal, shop, cut)["files"]["superseded"] == 1
    told = shoal("ingest", shop, cut, "--preset", "ga4", "--again")
    assert f"Look: {cut} leaves 6 of the 16 events that the shop held" in " ".join(told.out.split())


def test_the_query_is_printed_for_its_table_and_days(shoal: Shoal) -> None:
    answer = shoal(
        "sql", "ga4", "--table", "shop-1.analytics_7.events_*",
        "--from", "20240301", "--to", "20240331",
    )  # fmt: skip
    assert answer.code == 0
    parsed = sqlglot.parse_one(answer.out, read="bigquery")
    tables = {f"{one.catalog}.{one.db}.{one.name}" for one in parsed.find_all(sqlglot.exp.Table)}
    assert "shop-1.analytics_7.events_*" in tables
    assert "BETWEEN '20240301' AND '20240331'" in answer.out
    document = shoal("sql", "ga4", "--json").document
    assert document["schema"] == "shoal.sql/1"


def test_an_unknown_dialect_or_source_is_refused_in_words(shoal: Shoal) -> None:
    dialect = shoal("sql", "ga4", "--dialect", "snowflake", "--json")
    assert (dialect.code, dialect.error["code"]) == (2, "unknown_dialect")
    assert "bigquery" in dialect.error["hint"]
    assert shoal("sql", "matomo", "--json").code == 2
    assert shoal("sql", "ga4", "--table", "a'; DROP", "--json").code == 2
