"""A file of an existing segmentation: every row accounted for, crosswalk, backtest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.workflows.test_segment import Shop, rows_of

from shoal.domain.errors import InputError, UsageError
from shoal.workflows.incumbent import incumbent
from shoal.workflows.incumbent_file import read_incumbent


def read(path: Path, text: str):
    path.write_text(text, encoding="utf-8")
    return read_incumbent(path, lambda raw: raw if raw.startswith("c") else None)


def test_every_row_is_accounted_for(tmp_path):
    found = read(
        tmp_path / "old.csv",
        "customer_id,segment\nc1,vip\nc2,rest\nc2,rest\nc3,vip\nc3,rest\nx9,vip\n,vip\nc4,\n",
    )
    assert found.at() == {"c1": "vip", "c2": "rest"}
    told = found.account.as_document()
    examples = told.pop("examples")
    assert told == {
        "read": 8, "used": 2, "duplicate": 1, "conflicting": 2, "incomplete": 2, "unknown": 1,
    }  # fmt: skip
    assert told["read"] == sum(count for name, count in told.items() if name != "read")
    assert examples["conflicting"] == ["c3: rest, vip"]
    assert examples["unknown"] == ["x9"]
    assert not found.dated


def test_dates_tell_who_was_where_at_a_moment(tmp_path):
    found = read(
        tmp_path / "old.csv",
        "User_ID,Cluster,Valid_From\nc1,a,2024-01-01\nc1,b,2024-03-01\nc2,a,2024-02-01\n"
        "c3,a,\nc4,a,soon\nc5,a,2024-01-01\nc5,b,2024-01-01\n",
    )
    assert found.dated
    assert found.at() == {"c1": "b", "c2": "a", "c3": "a"}
    assert found.at(datetime(2024, 2, 1, tzinfo=UTC)) == {"c1": "a", "c3": "a"}
    assert found.account.incomplete == 1
    assert found.account.conflicting == 2
    assert "soon" in found.account.examples["incomplete"][0]


def test_a_parquet_file_of_numbers_is_read_as_texts(tmp_path):
    path = tmp_path / "old.parquet"
    pq.write_table(pa.table({"customer": ["c1", "c2"], "cluster": [3, 4]}), path)
    assert read_incumbent(path, lambda raw: raw).at() == {"c1": "3", "c2": "4"}


def test_files_that_cannot_be_used_say_why(tmp_path):
    with pytest.raises(InputError, match="holds the segment; found 'customer_id', 'tier'"):
        read(tmp_path / "a.csv", "customer_id,tier\nc1,vip\n")
    with pytest.raises(
        InputError, match=r"no row of b\.csv can be used: of 2 read, 2 name a customer"
    ):
        read(tmp_path / "b.csv", "customer_id,segment\nx1,vip\nx2,vip\n")
    with pytest.raises(InputError) as caught:
        read_incumbent(tmp_path / "none.csv", lambda raw: raw)
    assert caught.value.code == "input_missing"
    many = "customer_id,segment\n" + "".join(f"c{one},{one}\n" for one in range(501))
    with pytest.raises(UsageError, match="501 different segments, at most 500"):
        read(tmp_path / "c.csv", many)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    made = Shop(tmp_path_factory.mktemp("shop"), rows_of(210, 160))
    made.segment(k=3, methods=("kmeans",))
    return made


def kinds(path: Path, since: str = "") -> Path:
    """The planted kinds of `rows_of`, as a file."""
    head = "customer_id,segment" + (",since" if since else "")
    rows = [f"c{one:04d},kind {one % 3}" + (f",{since}" if since else "") for one in range(210)]
    path.write_text("\n".join([head, *rows, "nobody,kind 1" + (f",{since}" if since else ""), ""]))
    return path


def test_a_crosswalk_finds_the_same_customers_under_other_names(shop, tmp_path):
    found = incumbent(**shop.parts, path=kinds(tmp_path / "old.csv"))
    assert found["rows"]["unknown"] == 1
    counts = found["customers"]
    assert counts["both"] == counts["compared"] + counts["too_little_known"] == counts["shop"]
    table = found["crosswalk"]
    assert table["adjusted_rand_index"] > 0.8
    assert table["normalised_mutual_information"] > 0.8
    assert len({one["best_match"] for one in table["segments"]}) == 3
    assert sum(sum(row) for row in table["table"]["counts"]) == counts["compared"]
    assert len(found["warnings"]) == 1
    assert "favours them" in found["warnings"][0]


def test_a_backtest_asks_both_about_a_quarter_that_neither_knows(shop, tmp_path):
    found = incumbent(**shop.parts, path=kinds(tmp_path / "old.csv", "2024-01-01"), seed=1)
    assert found["dated"]
    assert found["warnings"] == []
    told = found["backtest"]
    assert told["skipped"] is None
    assert told["shoal"] == {"learned": True, "k": 3, "method": "kmeans", "on": "features"}
    begins, ends = (datetime.fromisoformat(told[name]) for name in ("from", "to"))
    assert timedelta(days=39) <= ends - begins <= timedelta(days=40)
    names = [one["outcome"] for one in told["outcomes"]]
    assert names == ["active", "orders", "spend", "category"]
    shares = {one["outcome"]: one["shares"] for one in told["outcomes"]}
    assert shares["category"]["incumbent"]["figure"] > 0.5
    assert sum(told["wins"].values()) == len(names)
    again = incumbent(**shop.parts, path=kinds(tmp_path / "old.csv", "2024-01-01"), seed=1)
    assert again["backtest"] == told


def test_segments_that_began_later_are_not_backtested(shop, tmp_path):
    found = incumbent(**shop.parts, path=kinds(tmp_path / "old.csv", "2024-06-01"))
    assert "knows the segment of 0 customers" in found["backtest"]["skipped"]
    assert found["crosswalk"] is not None
