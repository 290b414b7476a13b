"""The catalog, written by hand in SQL, polars and pandas, says the same as the compiled one."""

from __future__ import annotations

import importlib
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from bench.speed.equality import differences

from shoal import shop as face
from shoal.domain.time import Zone, to_us
from shoal.features import reference
from shoal.features.snapshot import latest_moment, snapshot_table
from shoal.workflows.simulate import simulate


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, tuple[object, ...]]:
    """Features by Shoal, and what a peer needs to compute them."""
    home: Path = tmp_path_factory.mktemp("peers")
    simulate(home / "log", customers=300, days=120, seed=11)
    with face.init(home / "shop") as shop:
        shop.ingest([home / "log" / "events.parquet"], preset="shoal")
        warehouse, fold = shop._parts.warehouse, shop._parts.fold
        # A moment inside the log: later events must not count for anyone.
        moment = latest_moment(warehouse) - timedelta(days=20, hours=5)
        items = reference.build(fold.engine, warehouse.events(), moment)
        mine = snapshot_table(
            warehouse, fold, zone=Zone("UTC"), as_of=moment, reference_table=items
        )
        files = [path for path in warehouse.events().paths if "bucket=-1" not in path]
        today = Zone("UTC").local_day(moment - timedelta(microseconds=1))
    return mine, (files, items, to_us(moment), today)


@pytest.mark.parametrize("peer", ["sql", "polars_", "pandas_"])
def test_a_peer_agrees_in_every_feature(
    folded: tuple[pa.Table, tuple[object, ...]], peer: str
) -> None:
    if peer == "polars_":
        pytest.importorskip("polars", reason="polars comes with the extra `bench`")
    mine, arguments = folded
    theirs = importlib.import_module(f"bench.speed.peers.{peer}").features(*arguments)
    assert differences(mine, theirs) == []
    assert theirs.num_rows == mine.num_rows > 100
