"""Persons out of files: only where ids stand, everything else byte for byte as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.workflows.forget_files import held, without
from shoal.workflows.forget_lists import Lists
from shoal.workflows.memberships import write_table

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def ids(*names: str) -> frozenset[str]:
    return frozenset(names)


def members(*names: str) -> pa.Table:
    return pa.table(
        {
            "customer_id": pa.array(names, pa.string()),
            "segment_id": pa.array(["1"] * len(names), pa.string()),
            "weight": [1.0] * len(names),
            "since": pa.array([NOW] * len(names), pa.timestamp("us", tz="UTC")),
        }
    )


def test_of_a_csv_only_the_customers_rows_go(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    write_table(members("1", "=2", 'a "b", c', "new\nline"), path)
    lines = path.read_text().split("\n", 2)
    assert held(path, ids("1")) == 1  # not the rows whose segment is called 1
    assert without(path, ids("1")) == 1
    assert path.read_text() == lines[0] + "\n" + lines[2]
    assert without(path, ids("=2", 'a "b", c')) == 2
    assert "new\nline" in path.read_text()
    assert without(path, ids("new\nline")) == 1
    assert path.read_text().splitlines() == lines[:1]
    assert without(path, ids("nobody")) == 0


def test_a_csv_made_by_other_hands(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("name,customer_id\r\nann,1\r\nshort\r\nbob,2,more\r\n", newline="")
    assert without(path, ids("2")) == 1
    assert path.read_bytes() == b"name,customer_id\r\nann,1\r\nshort\r\n"
    path.write_text("name,id\nann,1\n")
    assert without(path, ids("1", "ann")) == 0
    path.write_text("")
    assert without(path, ids("1")) == 0


def test_of_a_parquet_file_rows_go_and_metadata_stays(tmp_path: Path) -> None:
    path = tmp_path / "features.parquet"
    table = members("1", "2", "3").replace_schema_metadata({"shoal.as_of": "2024"})
    pq.write_table(table, path)
    assert held(path, ids("2", "9")) == 1
    assert without(path, ids("2", "9")) == 1
    found = pq.read_table(path)
    assert found.equals(table.filter(pa.array([True, False, True])))
    assert found.schema.metadata == table.schema.metadata
    pq.write_table(table.rename_columns(["item_id", *table.column_names[1:]]), path)
    before = path.read_bytes()
    assert without(path, ids("1", "2")) == 0
    assert path.read_bytes() == before


def test_of_a_document_entries_about_the_person_go(tmp_path: Path) -> None:
    path = tmp_path / "profiles.json"
    document = {
        "method": "kmeans", "segments": [
            {"segment_id": "s01", "exemplars": [{"customer_id": "kmeans"}, {"customer_id": "b"}]},
            {"segment_id": "b", "names": ["b", "kmeans"], "customer_id": None},
        ],
    }  # fmt: skip
    path.write_text(json.dumps(document))
    assert without(path, ids("kmeans", "s01", "segments")) == 1
    left = json.loads(path.read_text())
    assert left["method"] == "kmeans"
    assert left["segments"][0]["exemplars"] == [{"customer_id": "b"}]
    assert left["segments"][1] == document["segments"][1]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [("a&b", "<td>a&amp;b</td>", 1), ("1", "<td>21</td><td>1.5</td>", 1), ("2", "<td>21</td>", 0),
     ("x", "x", 1)],
)  # fmt: skip
def test_a_page_names_a_person(tmp_path: Path, name: str, text: str, named: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(text)
    assert held(path, ids(name)) == named
    assert without(path, ids(name)) == 0
    assert path.read_text() == text


def test_what_cannot_be_reached_is_told(tmp_path: Path) -> None:
    shop, away = tmp_path / "shop", tmp_path / "away"
    (shop / "exports").mkdir(parents=True)
    away.mkdir()
    write_table(members("ann", "bob"), shop / "exports" / "s01.csv")
    write_table(members("ann", "bob"), shop / "by-hand.csv")
    (shop / "exports" / "s02.parquet").write_text("PAR1")
    write_table(members("ann", "bob"), away / "of-ann.csv")
    (shop / "report.html").write_text("<td>ann</td>")
    (away / "page.html").write_text("<td>ann</td>")
    (away / "broken.parquet").write_text("PAR1")
    names = ("of-ann.csv", "page.html", "broken.parquet", "moved.csv")
    outside = [(str(away / name), "export", NOW) for name in names]
    outside += [(str(shop / name), "export", NOW) for name in ("by-hand.csv", "report.html")]
    lists = Lists(shop, shop / "exports", outside, ids("ann"))
    planned = {Path(one["file"]).name: (one["entries"], one["what"]) for one in lists.planned()}
    assert planned == {
        "report.html": (1, "removed"), "s01.csv": (1, "written anew"),
        "of-[id].csv": (1, "written anew"), "by-hand.csv": (1, "written anew"),
    }  # fmt: skip
    left = {Path(one["file"]).name: one["why"] for one in lists.clean()}
    assert left["moved.csv"].startswith("not there any more")
    assert left["page.html"].startswith("names the person")
    assert left["broken.parquet"].startswith("cannot be read")
    assert left["s02.parquet"] == left["broken.parquet"]
    assert sorted(left) == ["broken.parquet", "moved.csv", "page.html", "s02.parquet"]
    assert not (shop / "report.html").exists()
    assert "ann" not in (away / "of-ann.csv").read_text()
    assert lists.planned() == []
    assert sorted(Path(one["file"]).name for one in lists.clean()) == sorted(left)
    assert lists.names_them() == [str(away / "of-ann.csv")]


def test_endings_are_told_in_any_case_and_other_files_are_told(tmp_path: Path) -> None:
    exports, away = tmp_path / "exports", tmp_path / "away"
    exports.mkdir()
    away.mkdir()
    write_table(members("ann", "bob"), exports / "VIP.CSV")
    write_table(members("ann", "bob"), away / "vip.Parquet")
    write_table(members("ann", "bob"), away / "vip.txt")
    for name in ("r01.sql", "notes.md", ".DS_Store", ".VIP.CSV.part"):
        (exports / name).write_text("ann")
    (tmp_path / "Old.HTML").write_text("<td>ann</td>")
    outside = [(str(away / name), "export", NOW) for name in ("vip.Parquet", "vip.txt", "gone.txt")]
    lists = Lists(tmp_path, exports, outside, ids("ann"))
    planned = {Path(one["file"]).name: one["what"] for one in lists.planned()}
    assert planned == {
        "VIP.CSV": "written anew", "vip.Parquet": "written anew", "Old.HTML": "removed",
    }  # fmt: skip
    left = {Path(one["file"]).name: one["why"] for one in lists.clean()}
    assert sorted(left) == ["gone.txt", "notes.md", "vip.txt"]
    assert left["vip.txt"].startswith("no .txt can be looked through")
    assert left["gone.txt"].startswith("not there any more")
    assert pq.read_table(away / "vip.Parquet")["customer_id"].to_pylist() == ["bob"]
    assert "ann" not in (exports / "VIP.CSV").read_text()
    assert not (exports / ".VIP.CSV.part").exists()


def test_what_was_written_of_one_person_is_removed(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    told = [(exports / "a.json", "person:f1"), (tmp_path / "b.json", "person:f1"),
            (tmp_path / "c.json", "person:f2"), (exports / "d.json", "person:f2")]  # fmt: skip
    for path, _ in told:
        path.write_text('{"events": [{"customer_id": "ann"}, {"customer_id": "x"}]}')
    outside = [(str(path), kind, NOW) for path, kind in told]
    lists = Lists(tmp_path, exports, outside, ids("ann"), ids("f1"))
    planned = lists.planned()
    assert [one["what"] for one in planned] == ["removed", "removed"]
    assert lists.clean(planned) == []
    assert lists.clean(planned) == []  # after a kill they are gone, and that is no news
    assert [path.exists() for path, _ in told] == [False, False, True, True]
    assert lists.names_them() == [outside[0][0], outside[1][0]]
