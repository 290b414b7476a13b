"""What engines of one process share: compiled and parsed queries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import ibis
import pyarrow as pa
import pytest

from shoal.adapters import duckdb
from shoal.adapters.duckdb import DuckEngine


def total(more: int = 0) -> ibis.Table:
    table = ibis.table({"x": "int64"}, name="t")
    return table.aggregate(s=table.x.sum() + more)


def rows(*numbers: int) -> dict[str, pa.Table]:
    return {"t": pa.table({"x": pa.array(numbers, pa.int64())})}


def test_engines_share_what_was_compiled() -> None:
    assert DuckEngine().compile(total()) is DuckEngine().compile(total())


def test_a_query_is_parsed_once_and_reads_what_is_bound_now() -> None:
    one, other = DuckEngine(), DuckEngine()
    query = one.compile(total(1))
    assert one.run(query, rows(1, 2)).to_pylist() == [{"s": 4}]
    assert other.run(query, rows(5)).to_pylist() == [{"s": 6}]
    assert one.run(query, rows()).to_pylist() == [{"s": None}]


def test_threads_may_ask_the_same_query() -> None:
    engine = DuckEngine()
    query = engine.compile(total(2))
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda n: engine.run(query, rows(n, n)).to_pylist(), range(40)))
    assert got == [[{"s": 2 * n + 2}] for n in range(40)]


def test_the_queries_asked_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb, "_KEPT", 3)
    monkeypatch.setattr(DuckEngine, "_compiled", {})
    monkeypatch.setattr(DuckEngine, "_parsed", {})
    engine = DuckEngine()
    queries = [engine.compile(total(n)) for n in range(3)]
    assert engine.compile(total(0)) is queries[0]  # asked again: the others are older
    engine.compile(total(3))
    assert [engine.compile(total(n)) is queries[n] for n in (0, 2, 1)] == [True, True, False]
    # a query that somebody kept still runs, with the types of its expression
    assert engine.run(queries[1], rows(7)).schema.field("s").type == pa.int64()
