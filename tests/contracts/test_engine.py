"""What every engine does, so that a feature is written once: one suite, all engines."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.errors import OperationError
from shoal.ports import Engine, ParquetFiles

MAKERS: dict[str, Callable[[], Engine]] = {
    "duckdb": lambda: DuckEngine(threads=2, memory_mib=256),
}

SALES = ibis.table(
    {
        "customer_id": "string",
        "event_time": "timestamp('UTC', 6)",
        "amount": "int64",
        "bucket": "int32",
    },
    name="sales",
)
SCHEMA = SALES.schema().to_pyarrow()
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
LATE = datetime(2024, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.fixture(scope="module", params=sorted(MAKERS))
def engine(request: pytest.FixtureRequest) -> Engine:
    return MAKERS[request.param]()


def sales(*given: tuple[str | None, datetime, int | None, int]) -> pa.Table:
    columns = zip(*given, strict=True) if given else ([], [], [], [])
    return pa.table([pa.array(list(c), f.type) for c, f in zip(columns, SCHEMA, strict=True)],
                    schema=SCHEMA)  # fmt: skip


def files(directory: Path, table: pa.Table) -> ParquetFiles:
    """One file a bucket, the bucket told by the directory alone."""
    paths = []
    for bucket in sorted(set(table["bucket"].to_pylist())):
        path = directory / f"bucket={bucket}" / "part.parquet"
        path.parent.mkdir(parents=True)
        mine = table.filter(pc.equal(table["bucket"], bucket))
        pq.write_table(mine.drop_columns(["bucket"]), path)
        paths.append(str(path))
    return ParquetFiles(tuple(paths), table.schema)


THREE = sales(("ann", NOON, 3, 2), ("ann", LATE, 2**61, 2), (None, NOON, None, -1))


def by_customer(engine: Engine, relation: pa.Table | ParquetFiles) -> list[dict[str, Any]]:
    expr = SALES.group_by("customer_id").agg(total=SALES.amount.sum(), n=SALES.count())
    return engine.run(engine.compile(expr.order_by("n")), {"sales": relation}).to_pylist()


def test_arrow_and_parquet_give_the_same_rows(engine: Engine, tmp_path: Path) -> None:
    wanted = [
        {"customer_id": None, "total": None, "n": 1},
        {"customer_id": "ann", "total": 2**61 + 3, "n": 2},
    ]
    assert by_customer(engine, THREE) == wanted
    assert by_customer(engine, files(tmp_path, THREE)) == wanted


def test_compiled_queries_give_the_types_of_the_expression(engine: Engine) -> None:
    expr = SALES.group_by("customer_id").agg(
        total=SALES.amount.sum(),
        n=SALES.count(),
        first=SALES.event_time.min(),
        share=SALES.amount.sum() / SALES.count(),
        day=SALES.event_time.max().truncate("D"),
        some=(SALES.amount > 1).any(),
    )
    got = engine.run(engine.compile(expr), {"sales": THREE})
    assert got.schema.equals(expr.schema().to_pyarrow())
    empty = engine.run(engine.compile(expr), {"sales": sales()})
    assert empty.schema.equals(got.schema) and empty.num_rows == 0


def test_an_expression_is_compiled_once(engine: Engine) -> None:
    def expr() -> Any:
        return SALES.filter(SALES.amount > 41).select("amount")

    assert engine.compile(expr()) is engine.compile(expr())


def test_times_are_utc(engine: Engine) -> None:
    expr = SALES.select(
        day=SALES.event_time.truncate("D"),
        hour=SALES.event_time.hour(),
        weekday=SALES.event_time.day_of_week.index(),
        seconds=SALES.event_time.truncate("s").epoch_seconds(),
        time=SALES.event_time,
    )
    got = engine.run(engine.compile(expr), {"sales": sales(("ann", LATE, 1, 0))}).to_pylist()[0]
    assert got["time"] == LATE
    assert got["day"].replace(tzinfo=UTC) == datetime(2024, 3, 1, tzinfo=UTC)
    assert (got["hour"], got["weekday"], got["seconds"]) == (23, 4, int(LATE.timestamp()))


def test_a_relation_of_no_files_is_empty(engine: Engine) -> None:
    assert by_customer(engine, ParquetFiles((), SCHEMA)) == []


def test_streams_are_bounded_and_whole(engine: Engine) -> None:
    many = sales(*[("ann", NOON, number, 0) for number in range(1000)])
    query = engine.compile(SALES.order_by("amount").select("amount"))
    batches = list(engine.stream(query, {"sales": many}, rows_per_batch=64))
    assert max(batch.num_rows for batch in batches) <= 64
    amounts = [value for batch in batches for value in batch["amount"].to_pylist()]
    assert amounts == list(range(1000))


def test_a_stream_may_be_left_early(engine: Engine) -> None:
    many = sales(*[("ann", NOON, number, 0) for number in range(1000)])
    query = engine.compile(SALES.select("amount"))
    assert next(iter(engine.stream(query, {"sales": many}, rows_per_batch=10))).num_rows == 10
    assert by_customer(engine, THREE)[1]["n"] == 2


def test_several_relations_meet(engine: Engine, tmp_path: Path) -> None:
    clock = ibis.table({"now": "timestamp('UTC', 6)"}, name="clock")
    expr = SALES.cross_join(clock).filter(lambda t: t.event_time < t.now).count().as_table()
    moment = pa.table({"now": pa.array([LATE], pa.timestamp("us", tz="UTC"))})
    inputs = {"sales": files(tmp_path, THREE), "clock": moment}
    assert engine.run(engine.compile(expr), inputs).to_pydict().popitem()[1] == [2]


def test_threads_may_use_one_name_for_different_relations(engine: Engine) -> None:
    query = engine.compile(SALES.agg(total=SALES.amount.sum()))
    got: dict[int, list[int]] = {}

    def ask(number: int) -> None:
        mine = sales(("ann", NOON, number, 0))
        got[number] = [engine.run(query, {"sales": mine})["total"][0].as_py() for _ in range(20)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {number: [number] * 20 for number in range(4)}


@pytest.mark.parametrize(
    "name", ["a shop", "[a]*?", "o'brien", "100%25", "caf\u00e9", "bucket=7", "amount=5/x"]
)
def test_the_name_of_a_directory_means_nothing(engine: Engine, tmp_path: Path, name: str) -> None:
    relation = files(tmp_path / name / "events", THREE)
    got = engine.run("SELECT * FROM sales ORDER BY amount NULLS FIRST", {"sales": relation})
    assert got.schema.names == SCHEMA.names
    assert got["bucket"].to_pylist() == [-1, 2, 2]
    assert got["amount"].to_pylist() == [None, 3, 2**61]


def test_a_sum_beyond_int64_is_an_error_not_a_wrong_number(engine: Engine) -> None:
    two = sales(("ann", NOON, 2**62, 0), ("ann", NOON, 2**62, 0))
    with pytest.raises((pa.ArrowInvalid, ArithmeticError, OperationError)):
        by_customer(engine, two)


@pytest.mark.parametrize("harm", ["missing", "truncated", "not parquet"])
def test_a_damaged_file_is_told(engine: Engine, tmp_path: Path, harm: str) -> None:
    relation = files(tmp_path, THREE)
    victim = Path(relation.paths[0])
    if harm == "missing":
        victim.unlink()
    elif harm == "truncated":
        victim.write_bytes(victim.read_bytes()[:-20])
    else:
        victim.write_text("customer_id,amount\n" * 30)
    with pytest.raises(OperationError) as caught:
        by_customer(engine, relation)
    assert caught.value.code == "shop_damaged"
    assert caught.value.message.startswith("a file of the event table cannot be read: ")
    assert caught.value.where == str(victim.parent)
    assert "Restore the directory from a backup" in caught.value.hint


@pytest.mark.parametrize("rows", [1_000, 400_000])
def test_ordered_rows_come_in_order_however_many(engine: Engine, rows: int) -> None:
    # More rows than one thread sorts: an engine that gathers threads' results may lose the order.
    table = sales(*[(f"c{n * 7_919 % rows:07d}", NOON, n, n % 3) for n in range(rows)])
    ordered = SALES.filter(SALES.amount >= 0).order_by(["customer_id", "amount"])
    query = engine.compile(ordered)

    whole = engine.run(query, {"sales": table})["customer_id"]
    streamed = [
        value
        for batch in engine.stream(query, {"sales": table})
        for value in batch["customer_id"].to_pylist()
    ]

    assert whole.to_pylist() == sorted(table["customer_id"].to_pylist())
    assert streamed == whole.to_pylist()
