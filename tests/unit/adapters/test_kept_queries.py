"""Compiled queries on disk: read back whole, or compiled anew; never in anybody's way."""

from __future__ import annotations

from pathlib import Path

import ibis
import pyarrow as pa
import pytest

from shoal.adapters import kept_queries
from shoal.adapters.duckdb import DuckEngine

SCHEMA = pa.schema([("n", pa.int64()), ("at", pa.timestamp("us", tz="UTC"))])
ROWS = {"t": pa.table({"x": [1, 2, 3]})}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path))
    return tmp_path / "queries"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> DuckEngine:
    """One that remembers nothing of earlier tests, as in a new process."""
    for name in ("_compiled", "_schemas", "_parsed"):
        monkeypatch.setattr(DuckEngine, name, {})
    return DuckEngine(threads=1)


def total() -> ibis.expr.types.Table:
    return ibis.table({"x": "int64"}, name="t").aggregate(s=ibis._.x.sum())


def never() -> ibis.expr.types.Table:
    raise AssertionError("a kept query is not defined again")


def test_what_is_kept_is_read_back(cache: Path) -> None:
    kept_queries.write("one", "SELECT 1", SCHEMA)
    assert kept_queries.read("one") == ("SELECT 1", SCHEMA)
    assert kept_queries.read("two") is None
    assert [path.suffix for path in cache.iterdir()] == [".json"]  # nothing half written is left


def test_a_kept_query_gives_the_rows_and_types_of_the_compiled_one(
    cache: Path, engine: DuckEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = engine.run(engine.compiled("total", total), ROWS)
    for name in ("_compiled", "_schemas", "_parsed"):
        monkeypatch.setattr(DuckEngine, name, {})
    other = DuckEngine(threads=1)
    again = other.run(other.compiled("total", never), ROWS)
    assert again.equals(first) and again.schema == pa.schema([("s", pa.int64())])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', '{"name": 1, "sql": 2}'])
def test_what_cannot_be_read_is_compiled_anew(cache: Path, engine: DuckEngine, text: str) -> None:
    engine.compiled("total", total)
    (path,) = cache.iterdir()
    path.write_text(text)
    assert engine.run(engine.compiled("total", total), ROWS)["s"].to_pylist() == [6]
    assert "SELECT" in path.read_text()


def test_a_damaged_schema_is_compiled_anew(cache: Path) -> None:
    kept_queries.write("one", "SELECT 1", SCHEMA)
    (path,) = cache.iterdir()
    path.write_text(path.read_text().replace('"schema": "', '"schema": "AAAA'))
    assert kept_queries.read("one") is None


def test_where_nothing_can_be_kept_everything_works(
    engine: DuckEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    for told in ("", str(tmp_path / "file")):
        monkeypatch.setenv("SHOAL_CACHE", told)
        assert engine.run(engine.compiled("total", total), ROWS)["s"].to_pylist() == [6]


def test_a_query_lies_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert kept_queries.directory() == Path("/somewhere/shoal/queries")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kept_queries.directory() == Path.home() / ".cache" / "shoal" / "queries"
