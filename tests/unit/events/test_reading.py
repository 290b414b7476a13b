"""Readers: formats, encodings, broken rows and broken files."""

from __future__ import annotations

import errno
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.domain.errors import InputError, OperationError
from shoal.events.mapping import CsvOptions, SourceMapping
from shoal.events.reading import discover, open_source

HEADER = "customer_id,event_time,kind\n"


def _write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _rows(path: Path, mapping: SourceMapping | None = None, **options: int) -> list[dict[str, str]]:
    source = open_source(path, mapping, **options)
    return [row for chunk in source.chunks() for row in chunk.table.to_pylist()]


def test_discover_takes_files_folders_and_globs_once(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "_truth.csv", ".hidden.csv", "notes.md", "c.jsonl.gz"):
        _write(tmp_path / name, "x")
    (tmp_path / "inner").mkdir()
    _write(tmp_path / "inner" / "d.csv", "x")
    found = discover([str(tmp_path), str(tmp_path / "*.csv")])
    assert [path.name for path in found] == ["a.parquet", "b.csv", "c.jsonl.gz"]
    assert discover([str(tmp_path / "notes.md")])[0].name == "notes.md"


def test_files_are_in_the_order_in_which_they_say_more(tmp_path: Path) -> None:
    names = (
        "day10.csv", "day9.csv", "orders_export (1).csv", "orders_export (10).csv",
        "orders_export (2).csv", "orders_export.csv", "events_20240301.json",
        "events_20240302-000000000000.json", "events_20240302-000000000001.json",
        "events_fresh_20240301.json", "events_intraday_20240301.json",
        "events_intraday_20240302-000000000000.json",
    )  # fmt: skip
    for name in names:
        _write(tmp_path / name, "x")
    ordered = [
        "day9.csv", "day10.csv", "events_intraday_20240301.json",
        "events_intraday_20240302-000000000000.json", "events_20240302-000000000000.json",
        "events_fresh_20240301.json", "events_20240301.json", "events_20240302-000000000001.json",
        "orders_export.csv", "orders_export (1).csv", "orders_export (2).csv",
        "orders_export (10).csv",
    ]  # fmt: skip
    assert [path.name for path in discover([str(tmp_path)])] == ordered
    assert [path.name for path in discover([str(tmp_path / "*.*")])] == ordered
    # As a shell hands them on; those of which names tell no order stay as they were given.
    given = discover([str(tmp_path / name) for name in names])
    assert [path.name for path in given][:6] == [
        "day10.csv", "day9.csv", "orders_export.csv", "orders_export (1).csv",
        "orders_export (2).csv", "orders_export (10).csv",
    ]  # fmt: skip


def test_files_whose_names_only_look_alike_stay_as_they_are_given(tmp_path: Path) -> None:
    paths = [tmp_path / "b" / "x (1).csv", tmp_path / "a" / "x.csv", tmp_path / "x (2)y.csv",
             tmp_path / "x.csv", tmp_path / "x (1).txt"]  # fmt: skip
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        _write(path, "x")
    assert discover([str(path) for path in paths]) == paths


def test_a_missing_path_says_what_to_check(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file, folder or match for .*gone.csv") as e:
        discover([str(tmp_path / "gone.csv")])
    assert e.value.code == "input_missing" and e.value.exit_code == 3
    with pytest.raises(InputError, match="there is no file"):
        open_source(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="holds no event files") as e:
        discover([str(tmp_path)])
    assert ".parquet" in e.value.hint


def test_no_permission_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(OperationError, match="the operating system refused access to") as e:
        discover([str(tmp_path)])
    assert e.value.code == "no_permission" and "chmod u+r" in e.value.hint
    assert e.value.exit_code == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    text = "a,b,c\n1,2,3\n4,5,6\n".replace(",", delimiter)
    assert _rows(_write(tmp_path / "f.csv", text))[1] == {"a": "4", "b": "5", "c": "6"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_clear_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    path = _write(tmp_path / "f.csv", "id,title\n1,caf\u00e9 \u4e66\n".encode(encoding))
    assert _rows(path) == [{"id": "1", "title": "caf\u00e9 \u4e66"}]


def test_an_unclear_encoding_names_the_key_to_set(tmp_path: Path) -> None:
    path = _write(tmp_path / "f.csv", "id,title\n1,caf\u00e9\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 text: line 2 holds the byte 0xE9") as e:
        open_source(path)
    assert '[csv] encoding = "latin-1"' in e.value.hint
    told = SourceMapping("m", csv=CsvOptions(encodings=("latin-1",)))
    assert _rows(path, told) == [{"id": "1", "title": "caf\u00e9"}]
    tried = SourceMapping("m", csv=CsvOptions(encodings=("utf-8", "latin-1")))
    assert _rows(path, tried) == [{"id": "1", "title": "caf\u00e9"}]
    wide = _write(tmp_path / "w.csv", "id,title\n1,two\n".encode("utf-16-le"))
    with pytest.raises(InputError, match="many bytes are NUL"):
        open_source(wide)


def test_rows_of_a_wrong_width_are_rejected_alone(tmp_path: Path) -> None:
    text = 'a,b\n1,2\n3\n"x\ny",4\n5,6,7\n\n8,9\n'
    path = _write(tmp_path / "f.csv", text)
    (chunk,) = open_source(path).chunks()
    assert chunk.table["a"].to_pylist() == ["1", "x\ny", "8"]
    assert chunk.row_places().tolist() == [0, 2, 4] and chunk.rows == 5
    assert chunk.rejected.to_pylist() == [
        {"code": "wrong_field_count", "detail": "1 fields where the header has 2", "file": "f.csv",
         "row": 2, "raw": '{"_line": "3"}'},
        {"code": "wrong_field_count", "detail": "3 fields where the header has 2", "file": "f.csv",
         "row": 4, "raw": '{"_line": "5,6,7"}'},
    ]  # fmt: skip


def test_lines_swallowed_by_an_open_quote_are_kept_and_said(tmp_path: Path) -> None:
    path = _write(tmp_path / "f.csv", 'a,b\n1,2\n3,"four\n5,6\n7,8\n')
    chunks = list(open_source(path).chunks())
    assert [row for chunk in chunks for row in chunk.table["a"].to_pylist()] == ["1"]
    (rejected,) = [row for chunk in chunks for row in chunk.rejected.to_pylist()]
    assert rejected["code"] == "wrong_field_count" and rejected["row"] == 2
    assert rejected["detail"].startswith("a quote is opened and never closed, so that")
    assert "5,6" in rejected["raw"]
    inches = _write(tmp_path / "g.csv", 'a,b\n1,5" nail\n3,4\n')
    assert len(_rows(inches)) == 2


def test_rejected_rows_keep_their_places_over_chunks(tmp_path: Path) -> None:
    lines = [f"{i},{i}" if i % 7 else str(i) for i in range(100)]
    path = _write(tmp_path / "f.csv", "a,b\n" + "\n".join(lines) + "\n")
    chunks = list(open_source(path, rows_per_chunk=10).chunks())
    assert max(chunk.table.num_rows for chunk in chunks) == 10
    assert sum(chunk.rows for chunk in chunks) == 100
    for chunk in chunks:
        assert chunk.table["a"].to_pylist() == [str(place) for place in chunk.row_places()]
    rejected = [row for chunk in chunks for row in chunk.rejected["row"].to_pylist()]
    assert rejected == [i + 1 for i in range(0, 100, 7)]


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "0 bytes"), (HEADER, "a header of 3 columns but no rows"), ("\n\n", "holds no text")],
)
def test_an_empty_table_is_said(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as e:
        open_source(_write(tmp_path / "f.csv", content))
    assert e.value.code == "input_empty"


def test_a_row_of_10_megabytes_is_read_like_any_other(tmp_path: Path) -> None:
    path = _write(tmp_path / "f.csv", "id,title\n1," + "x" * 10_000_000 + "\n2,short\n")
    source = open_source(path)
    assert [len(row["title"]) for row in _rows(path)] == [10_000_000, 5]
    assert source.sample(5)["id"].to_pylist() == ["1", "2"]
    longer = _write(tmp_path / "g.csv", "id,title\n1," + "x" * 40_000_000 + "\n2,short\n")
    with pytest.raises(InputError, match="a row is longer than 16 MiB") as e:
        list(open_source(longer).chunks())
    assert "never closed" in e.value.hint


def test_duplicate_headers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than one column is named 'a'") as e:
        open_source(_write(tmp_path / "f.csv", "a,b,a\n1,2,3\n"))
    assert e.value.code == "duplicate_headers" and "Rename the columns" in e.value.hint
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "f.parquet")
    with pytest.raises(InputError, match="more than one column is named 'a'"):
        open_source(tmp_path / "f.parquet")


def test_a_headerless_file_takes_the_names_of_the_mapping(tmp_path: Path) -> None:
    path = _write(tmp_path / "u.csv", "1,2,pv\n3,4,buy\n")
    mapping = SourceMapping("m", csv=CsvOptions(names=("user", "item", "kind")))
    assert _rows(path, mapping)[0] == {"user": "1", "item": "2", "kind": "pv"}
    headed = _write(tmp_path / "h.csv", "user,item,kind\n1,2,pv\n")
    assert _rows(headed, mapping) == [{"user": "1", "item": "2", "kind": "pv"}]


def test_truncated_files_are_refused_in_words(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(10_000))}), tmp_path / "f.parquet")
    whole = (tmp_path / "f.parquet").read_bytes()
    with pytest.raises(InputError, match="the file cannot be read: ") as e:
        open_source(_write(tmp_path / "cut.parquet", whole[: len(whole) // 2]))
    assert e.value.code == "input_unreadable" and "cut off" in e.value.hint
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 100_000)
    cut = open_source(_write(tmp_path / "f.csv.gz", packed[: len(packed) // 2]))
    with pytest.raises(InputError, match="the file cannot be read: "):
        list(cut.chunks())


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("name", ["f.csv", "f.jsonl"])
def test_compressed_files_are_read_whatever_their_name(
    tmp_path: Path, codec: str, name: str
) -> None:
    text = "a,b\n1,x\n2,y\n" if name == "f.csv" else '{"a":1,"b":"x"}\n{"a":2,"b":"y"}\n'
    with pa.CompressedOutputStream(str(tmp_path / name), codec) as stream:
        stream.write(text.encode())
    assert _rows(tmp_path / name) == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]


def test_json_lines_keep_large_integers_and_nested_values(tmp_path: Path) -> None:
    lines = [
        {"id": 12345678901234567890123, "price": 19.99, "ok": True, "more": {"b": [1, 2.5]}},
        {"id": 7, "late": None, "more": "text"},
        {"id": 8, "late": "here"},
    ]
    path = _write(tmp_path / "f.jsonl", "\n\n".join(map(json.dumps, lines)))
    rows = _rows(path)
    assert rows[0]["id"] == "12345678901234567890123"
    assert rows[0]["price"] == "19.99" and rows[0]["ok"] == "true"
    assert json.loads(rows[0]["more"]) == {"b": [1, 2.5]}
    assert [row["late"] for row in rows] == [None, None, "here"]


def test_broken_json_lines_are_rejected_alone(tmp_path: Path) -> None:
    content = b'{"a":1}\n{"a":\n[1]\n{"a":"\xff"}\n{"a":2}\n'
    (chunk,) = open_source(_write(tmp_path / "f.jsonl", content)).chunks()
    assert chunk.table["a"].to_pylist() == ["1", "2"]
    assert chunk.row_places().tolist() == [0, 4]
    assert chunk.rejected["code"].to_pylist() == ["bad_json", "bad_json", "bad_encoding"]
    assert chunk.rejected["row"].to_pylist() == [2, 3, 4]
    assert "this is a list" in chunk.rejected["detail"][1].as_py()


def test_a_json_list_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = _write(tmp_path / "f.json", '[\n{"a": 1},\n{"a": 2}\n]\n')
    with pytest.raises(InputError, match=r"not JSON Lines: its first line is .\[") as e:
        open_source(path)
    assert "jq -c" in e.value.hint


def test_parquet_keeps_types_and_writes_nested_values_as_json(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2, 3], "n": [{"x": 1}, None, {"x": None}], "l": [[1], [], None]})
    pq.write_table(table, tmp_path / "f.parquet", row_group_size=2)
    source = open_source(tmp_path / "f.parquet", rows_per_chunk=2)
    chunks = list(source.chunks())
    assert source.total_rows == 3 and sum(chunk.rows for chunk in chunks) == 3
    assert chunks[0].table["n"].to_pylist() == ['{"x": 1}', None]
    assert chunks[-1].bytes_read == source.size_bytes
    assert source.sample(2)["a"].to_pylist() == [1, 2]
