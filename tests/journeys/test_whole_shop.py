"""A simulated shop from nothing to a report, through the command line alone."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.journeys.conftest import Shoal

from shoal.cli.main import run
from shoal.evaluation.agreement import agreement


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated")
    code = run(
        ["simulate", "--out", str(out), "--customers", "1500", "--days", "120", "--seed", "5"]
    )
    assert code == 0
    return out


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, simulated: Path) -> Path:
    shop = tmp_path_factory.mktemp("filled") / "shop"
    for call in (
        ["init", shop, "--buckets", "4"],
        ["ingest", shop, simulated / "events.parquet", "--preset", "shoal"],
        ["segment", shop, "--seed", "1"],
    ):
        assert run([str(argument) for argument in call]) == 0
    return shop


def _table(shoal: Shoal, shop: Path, out: Path, *flags: str) -> pa.Table:
    assert shoal("memberships", shop, "--out", out, *flags).code == 0
    return pq.read_table(out)


def test_the_shop_holds_every_simulated_event(shoal: Shoal, filled: Path, simulated: Path) -> None:
    events = pq.read_table(simulated / "events.parquet")
    state = shoal("status", filled, "--json").document
    assert state["events"] == events.num_rows
    assert state["customers"] == len(events["customer_id"].unique())
    assert set(state["current"]) == {"segmentation.main", "segmentation.rfm", "reference"}


def test_every_customer_has_one_membership(shoal: Shoal, filled: Path, tmp_path: Path) -> None:
    table = _table(shoal, filled, tmp_path / "m.parquet")
    assert table.column_names == [
        "customer_id", "segmentation_id", "segment_id", "weight", "since",
    ]  # fmt: skip
    assert table.schema.field("customer_id").type == pa.string()
    assert table.schema.field("since").type == pa.timestamp("us", tz="UTC")
    assert table.num_rows == shoal("status", filled, "--json").document["customers"]
    assert len(set(table["customer_id"].to_pylist())) == table.num_rows
    overview = shoal("segments", filled, "--json").document
    assert {one["segment_id"] for one in overview["segments"]} >= set(
        table["segment_id"].to_pylist()
    )
    assert sum(one["size"] for one in overview["segments"]) == table.num_rows


def test_soft_weights_sum_to_one(shoal: Shoal, filled: Path, tmp_path: Path) -> None:
    table = _table(shoal, filled, tmp_path / "m.parquet", "--soft")
    sums = table.group_by("customer_id").aggregate([("weight", "sum")])["weight_sum"].to_pylist()
    assert sums == pytest.approx([1.0] * len(sums), abs=1e-6)


def test_learned_segments_find_the_planted_ones_better_than_rfm(
    shoal: Shoal, filled: Path, simulated: Path, tmp_path: Path
) -> None:
    planted = pq.read_table(simulated / "_truth" / "customers.parquet")
    truth = dict(
        zip(planted["customer_id"].to_pylist(), planted["segment"].to_pylist(), strict=True)
    )
    main = _table(shoal, filled, tmp_path / "main.parquet").to_pylist()
    rfm_id = shoal("status", filled, "--json").document["current"]["segmentation.rfm"]
    rfm = _table(shoal, filled, tmp_path / "rfm.parquet", "--segmentation", rfm_id).to_pylist()
    placed = {row["customer_id"] for row in main if row["segment_id"] != "new"}
    assert len(placed) > 500

    def ari(rows: list[dict[str, str]]) -> float:
        kept = [row for row in rows if row["customer_id"] in placed]
        return agreement(
            [truth[row["customer_id"]] for row in kept], [row["segment_id"] for row in kept]
        ).ari

    styles = {
        one["segment_id"]: one["style"]
        for one in shoal("segments", filled, "--json").document["segments"]
    }
    # Segments of one style differ by what is expected of them, not by what was planted.
    by_style = [{**row, "segment_id": str(styles[row["segment_id"]])} for row in main]
    assert any(styles.values())
    assert ari(by_style) > ari(rfm) + 0.2
    assert ari(main) > ari(rfm) + 0.1


def test_features_as_of_know_nothing_later(shoal: Shoal, filled: Path, tmp_path: Path) -> None:
    now, then = tmp_path / "now.parquet", tmp_path / "then.parquet"
    state = shoal("status", filled, "--json").document
    middle = f"{state['from'][:4]}-03-15"
    assert shoal("features", filled, "--out", now).code == 0
    answer = shoal("features", filled, "--out", then, "--as-of", middle, "--json")
    assert answer.document["as_of"] == f"{middle}T00:00:00Z"
    early, late = pq.read_table(then), pq.read_table(now)
    assert early.column_names == late.column_names
    assert 0 < early.num_rows < late.num_rows
    assert early["customer_id"].to_pylist() == sorted(early["customer_id"].to_pylist())
    assert b"shoal.as_of" in pq.read_schema(then).metadata
    events = dict(zip(late["customer_id"].to_pylist(), late["events"].to_pylist(), strict=True))
    for customer, count in zip(
        early["customer_id"].to_pylist(), early["events"].to_pylist(), strict=True
    ):
        assert count <= events[customer]


def test_the_state_of_a_customer_gives_the_features_of_the_batch(
    shoal: Shoal, filled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.parquet"
    shoal("features", filled, "--out", out)
    rows = {row["customer_id"]: row for row in pq.read_table(out).to_pylist()}
    for customer in list(rows)[:: max(len(rows) // 5, 1)]:
        known = shoal("customer", filled, customer, "--json").document
        got = {name: entry["value"] for name, entry in known["features"].items()}
        expected = {name: value for name, value in rows[customer].items() if name != "customer_id"}
        assert got == expected
        assert known["memberships"][0]["segment_id"]


def test_rule_segments_export_as_sql_that_gives_the_same_customers(
    shoal: Shoal, filled: Path, tmp_path: Path
) -> None:
    members, query = tmp_path / "m.parquet", tmp_path / "q.sql"
    assert shoal("export", filled, "r01", "--format", "parquet", "--out", members).code == 0
    assert shoal("export", filled, "r01", "--format", "sql", "--out", query).code == 0
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    files = str(filled / "events" / "*" / "*.parquet")
    connection.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet('{files}')")
    selected = {row[0] for row in connection.execute(query.read_text()).fetchall()}
    assert selected
    assert selected == set(pq.read_table(members)["customer_id"].to_pylist())


def test_learned_segments_have_no_sql_form_and_say_so(shoal: Shoal, filled: Path) -> None:
    answer = shoal("export", filled, "s01", "--format", "sql", "--json")
    assert answer.code == 2
    assert answer.error["code"] == "no_sql_form"


def test_unknown_names_list_what_there_is(shoal: Shoal, filled: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    for call, code in (
        (["export", filled, "s99"], "unknown_segment"),
        (["export", filled, "s01", "--format", "excel"], "unknown_format"),
        (
            ["memberships", filled, "--segmentation", "kmeans-0099", "--out", out],
            "unknown_segmentation",
        ),
        (["customer", filled, "nobody"], "unknown_customer"),
        (["segment", filled, "--method", "magic"], "unknown_method"),
        (["features", filled, "--out", out, "--as-of", "someday"], "bad_time"),
        (["report", filled, "--since", "someday"], "bad_time"),
        (["report", filled, "--since", "2001-02-03"], "bad_period"),
        (["features", filled, "--out", out, "--table-version", "99"], "bad_setting"),
    ):
        answer = shoal(*call, "--json")
        assert (answer.code, answer.error["code"]) == (2, code)
        assert answer.error["hint"]


def test_the_report_stands_alone(shoal: Shoal, filled: Path, tmp_path: Path) -> None:
    for language in ("en", "zh"):
        out = tmp_path / f"{language}.html"
        assert shoal("report", filled, "--out", out, "--lang", language).code == 0
        text = out.read_text(encoding="utf-8")
        assert f'lang="{language}' in text
        assert "kmeans-0001" in text
    answer = shoal("report", filled, "--lang", "xx", "--json")
    assert answer.code == 2
    assert "en" in answer.error["hint"]


def test_the_same_seed_gives_the_same_segments(
    shoal: Shoal, filled: Path, simulated: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    shoal("init", again, "--buckets", 4)
    shoal("ingest", again, simulated / "events.parquet", "--preset", "shoal")
    shoal("segment", again, "--seed", 1)
    one = _table(shoal, filled, tmp_path / "1.parquet").drop_columns(["since"])
    two = _table(shoal, again, tmp_path / "2.parquet").drop_columns(["since"])
    assert one.equals(two)


def test_ingesting_again_changes_nothing(shoal: Shoal, filled: Path, simulated: Path) -> None:
    before = shoal("status", filled, "--json").document
    answer = shoal("ingest", filled, simulated / "events.parquet", "--preset", "shoal", "--json")
    rows = answer.document["rows"]
    assert rows["stored"] == 0
    assert rows["read"] == rows["duplicate"] == before["events"]
    assert shoal("status", filled, "--json").document == before


def test_documents_are_json(shoal: Shoal, filled: Path) -> None:
    for verb in ("status", "segments", "quarantine"):
        assert json.loads(shoal(verb, filled, "--json").out)["schema"].startswith("shoal.")
