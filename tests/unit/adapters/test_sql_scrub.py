"""What was deleted from the state store is not in its files, also not as a page's old copy."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from shoal.adapters.sql import SqlStateStore
from shoal.adapters.sql_scrub import scrub
from shoal.domain.errors import OperationError
from shoal.features.admission import LINKS_SCHEMA


def states(names: list[str], chance: random.Random) -> pa.Table:
    bodies = [chance.randbytes(chance.choice([20, 200, 3000])) for _ in names]
    return pa.table(
        {"customer_id": names, "version": pa.array([1] * len(names), pa.int32()), "body": bodies}
    )


def links(names: list[str]) -> pa.Table:
    rows = [
        {"id": f"{name}-phone", "from_us": 1, "sequence": 0, "event_id": "e", "customer_id": name,
         "says": "link", "source": "web", "kind": "login"}
        for name in names
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=LINKS_SCHEMA)


def traces(directory: Path, names: list[str]) -> int:
    files = [path.read_bytes() for path in directory.iterdir()]
    return sum(content.count(name.encode()) for content in files for name in names)


@pytest.mark.parametrize("known", [True, False])
def test_no_file_holds_what_was_deleted(tmp_path: Path, known: bool) -> None:
    chance = random.Random(3)
    names = [f"{chance.getrandbits(60):x}-id" for _ in range(1500)]
    store = SqlStateStore(f"sqlite:///{tmp_path}/shop.sqlite")
    # Rows that come, grow, shrink and go make pages split and join.
    for _ in range(8):
        some = chance.sample(names, 300)
        store.put_states(states(some, chance))
        store.people.replace_links([f"{name}-phone" for name in some], links(some))
        store.forget(chance.sample(names, 100))
        store.people.forget(chance.sample(names, 100))
    gone = chance.sample(names, 200)
    store.forget(gone)
    store.people.forget(gone)
    few = gone[:6]
    store.scrub(few if known else None)
    assert traces(tmp_path, few if known else gone) == 0
    assert (tmp_path / "shop.sqlite-wal").stat().st_size == 0
    left = store.count_states()
    store.close()
    assert SqlStateStore(f"sqlite:///{tmp_path}/shop.sqlite").count_states() == left


def test_a_reader_in_the_way_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.sqlite"
    store = SqlStateStore(url)
    reader, other = sa.create_engine(url), sa.create_engine(url)
    with reader.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SELECT * FROM meta").fetchall()
        store.put_setting("a", "b")
        with pytest.raises(OperationError, match="another process reads the state store"):
            scrub(other, ["ann"], patience_ms=0)
    scrub(other, ["ann"], patience_ms=0)
    other.dispose()
    reader.dispose()
    store.close()


@pytest.mark.parametrize(
    "names", [["ann"], ["x", "çé客", "y", "z"], [f"n{n}" for n in range(2000)]]
)
def test_what_is_found_makes_the_file_new(tmp_path: Path, names: list[str]) -> None:
    store = SqlStateStore(f"sqlite:///{tmp_path}/shop.sqlite")
    chance = random.Random(1)
    store.put_states(states([f"c{n}" for n in range(2000)], chance))
    store.delete_states([f"c{n}" for n in range(1900)])
    store.put_setting("found", "çé客 ann")
    store.scrub(["nowhere to be found"])  # empties the log of writes into the file
    before = (tmp_path / "shop.sqlite").stat().st_size
    store.scrub([f"nowhere {n}" for n in range(5)])
    assert (tmp_path / "shop.sqlite").stat().st_size == before
    store.scrub(names)
    assert (tmp_path / "shop.sqlite").stat().st_size < before / 2
    store.close()
