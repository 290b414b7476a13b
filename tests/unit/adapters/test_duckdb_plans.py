"""Kept plans: the rows are those of a query planned anew, whatever is bound and whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.adapters import duckdb_plans
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.duckdb_plans import Plans
from shoal.ports import ParquetFiles

SUM = "SELECT sum(x)::BIGINT AS s FROM t"


def rows(*numbers: int | None) -> dict[str, pa.Table]:
    return {"t": pa.table({"x": pa.array(numbers, pa.int64())})}


@pytest.fixture
def made() -> list[duckdb.DuckDBPyConnection]:
    """Cursors that were asked for."""
    return []


@pytest.fixture
def plans(made: list[duckdb.DuckDBPyConnection]) -> Plans:
    connection = duckdb.connect(":memory:")

    def cursor() -> duckdb.DuckDBPyConnection:
        made.append(connection.cursor())
        return made[-1]

    return Plans(cursor)


def told(found: pa.Table | None) -> Any:
    return None if found is None else found["s"].to_pylist()


def test_a_query_that_comes_again_is_planned_once(plans: Plans, made: list[Any]) -> None:
    assert plans.run(SUM, rows(1)) is None  # the first time: who knows whether it comes again
    got = [told(plans.run(SUM, rows(*range(n)))) for n in (2, 0, 3, 1)]
    assert got == [[1], [None], [3], [0]]
    assert len(made) == 1


def test_relations_of_other_columns_are_planned_anew(plans: Plans, made: list[Any]) -> None:
    plans.run(SUM, rows(1))
    assert told(plans.run(SUM, rows(1, 2))) == [3]
    small = {"t": pa.table({"x": pa.array([4, 5], pa.int16())})}
    assert told(plans.run(SUM, small)) == [9]
    assert told(plans.run(SUM, {**small, "other": pa.table({"y": [1]})})) == [9]
    assert len(made) == 3


def test_rows_in_pieces_are_all_read(plans: Plans) -> None:
    plans.run(SUM, rows(1))
    whole = pa.concat_tables([rows(1, 2)["t"], rows()["t"], rows(3, None)["t"]])
    assert told(plans.run(SUM, {"t": whole})) == [6]
    assert told(plans.run(SUM, {"t": whole.slice(1, 2)})) == [5]


def test_files_and_many_rows_are_planned_for_themselves(
    plans: Plans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(rows(1)["t"], tmp_path / "one.parquet")
    files = ParquetFiles((str(tmp_path / "one.parquet"),), rows()["t"].schema)
    assert [plans.run(SUM, {"t": files}) for _ in range(3)] == [None] * 3
    monkeypatch.setattr(duckdb_plans, "MOST_ROWS", 2)
    plans.run(SUM, rows(1))
    assert told(plans.run(SUM, rows(1, 2))) == [3]
    assert plans.run(SUM, rows(1, 2, 3)) is None


def test_a_plan_that_failed_is_not_used_again(plans: Plans, made: list[Any]) -> None:
    query = "SELECT sum(CAST(x AS TINYINT))::BIGINT AS s FROM t"
    plans.run(query, rows(1))
    assert told(plans.run(query, rows(1, 2))) == [3]
    with pytest.raises(duckdb.ConversionException):
        plans.run(query, rows(1_000))
    assert plans.run(query, rows(4, 5)) is None
    assert told(plans.run(query, rows(4, 5))) == [9]
    assert len(made) == 2


def test_a_plan_holds_no_rows_once_it_ran(plans: Plans) -> None:
    plans.run(SUM, rows(1))
    before = pa.total_allocated_bytes()
    found = plans.run(SUM, {"t": pa.table({"x": pa.array(range(200_000), pa.int64())})})
    assert told(found) == [199_999 * 100_000]
    assert pa.total_allocated_bytes() - before < 200_000


def test_plans_that_ran_longest_ago_are_forgotten(
    plans: Plans, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_plans, "_KEPT", 2)
    queries = [f"SELECT sum(x)::BIGINT + {n} AS s FROM t" for n in range(3)]
    for query in (queries[0], queries[0], queries[1], queries[1]):
        plans.run(query, rows(1))
    assert told(plans.run(queries[0], rows(1))) == [1]  # the other one is older now
    assert plans.run(queries[2], rows(1)) is None
    assert plans.run(queries[1], rows(1)) is None
    assert len(made) == 2


def test_threads_that_ask_the_same_query_get_their_own_rows() -> None:
    engine = DuckEngine(threads=2)
    table = ibis.table({"x": "int64"}, name="t")
    query = engine.compile(table.aggregate(s=table.x.sum() * 3))

    def ask(n: int) -> list[dict[str, int]]:
        found: list[dict[str, int]] = engine.run(query, rows(*[n] * 50)).to_pylist()
        return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == [[{"s": 150 * n}] for n in range(200)]


@pytest.mark.parametrize("again", [1, 2, 3])
def test_an_engine_gives_the_types_of_the_expression_every_time(again: int) -> None:
    engine = DuckEngine(threads=1)
    table = ibis.table({"x": "int64", "at": "timestamp('UTC')"}, name="t")
    query = engine.compile(table.aggregate(s=table.x.sum(), last=table["at"].max()))
    at = pa.array([5], pa.timestamp("us", "UTC"))
    bound = {"t": pa.table({"x": [2**40], "at": at})}
    found = [engine.run(query, bound) for _ in range(again)][-1]
    assert found.schema.types == [pa.int64(), pa.timestamp("us", "UTC")]
    assert found.to_pylist() == [{"s": 2**40, "last": at[0].as_py()}]


def test_a_mistake_in_a_kept_plan_is_told_as_in_any_query() -> None:
    engine = DuckEngine(threads=1)
    table = ibis.table({"x": "int64"}, name="t")
    query = engine.compile(table.select(y=table.x.cast("int8")))
    ask: Callable[[int], pa.Table] = lambda n: engine.run(query, rows(n))  # noqa: E731
    for _ in range(3):
        with pytest.raises(duckdb.ConversionException):
            ask(1_000)
        assert ask(7)["y"].to_pylist() == [7]
