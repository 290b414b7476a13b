"""An erasure killed at any point: finished by the next writer, as if it had never been stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests import forked
from tests.journeys.killed_forgetting import POINTS
from tests.journeys.test_forgetting import HER, MARKS, places, rows, write

import shoal
from shoal.cli.main import run
from shoal.domain.errors import OperationError, UsageError

#: Where readers are asked before the next writer comes.
READ = ("journaled", "events gone", "artefact half done")
#: What says when something was done, and names that are made by chance.
TIMES = ("asked_at", "finished_at")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that knows her."""
    folder = tmp_path_factory.mktemp("killed")
    source = write(folder / "a.jsonl", rows())
    bad = {"event_id": "bad1", "event_time": "never", "kind": "view", "customer_id": HER}
    fine = {"event_id": "ok", "event_time": "2024-03-02", "kind": "view", "customer_id": "c5"}
    with shoal.init(folder / "shop") as shop:
        shop.ingest([source], preset="shoal")
        shop.ingest([write(folder / "b.jsonl", [bad, fine])], preset="shoal")
        shop.segment(k=3)
        for segment in ("s01", "s02", "s03"):
            shop.export(segment)
        shop.report()
    return folder / "shop"


@pytest.fixture(scope="module")
def uninterrupted(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is left where nothing was interrupted."""
    home = tmp_path_factory.mktemp("smooth") / "shop"
    shutil.copytree(whole, home)
    with shoal.open(home) as shop:
        shop.forget([HER])
        shop.compact()
    return remains(home)


def remains(home: Path) -> dict[str, Any]:
    """All that a shop holds, in one order, without times and paths."""
    with shoal.open(home) as shop:
        parts = shop._parts
        events = parts.engine.run(
            "SELECT * FROM events ORDER BY event_key", {"events": parts.warehouse.events()}
        )
        receipts = [
            {name: value for name, value in one.items() if name not in TIMES}
            for one in shop.receipts()
        ]
        found = {
            "events": events.to_pylist(),
            "states": [batch.to_pylist() for batch in parts.store.iter_states()],
            "links": parts.store.people.links().to_pylist(),
            "members": parts.store.get_memberships(str(shop.current())).to_pylist(),
            "quarantine": shop.quarantine().as_document(),
            "accounts": [(unit["rows"], unit["reasons"]) for unit in parts.store.units()],
            "segments": shop.segments(),
            "applied": parts.store.applied_version() == parts.warehouse.version(),
            "stones": [list(one) for one in parts.store.erasures.tombstones().values()],
        }
    for one in receipts:
        del one["tombstones"], one["persons"]
    lists = sorted((home / "exports").iterdir()) + sorted((home / "artefacts").rglob("*.parquet"))
    found["lists"] = {
        path.name: path.read_text() if path.suffix == ".csv" else pq.read_table(path).to_pydict()
        for path in lists
        if path.is_file()
    }
    found["receipts"] = json.loads(json.dumps(receipts).replace(str(home), "SHOP"))
    found["report"] = (home / "report.html").exists()
    return found


def strays(home: Path) -> Iterator[str]:
    """Files that should not be there."""
    for path in home.rglob("*"):
        if path.name.endswith(".part") or (path.is_file() and "_staging" in path.parts):
            yield str(path)


def killed(whole: Path, folder: Path, point: str) -> Path:
    """A copy of the shop in which an erasure was killed at a point."""
    home = Path(shutil.copytree(whole, folder / "shop"))
    done = forked.run("tests.journeys.killed_forgetting", home, point, HER)
    assert done.returncode == -9, done.stderr
    return home


@pytest.mark.parametrize("point", POINTS)
def test_the_next_writer_finishes(
    whole: Path, uninterrupted: dict[str, Any], tmp_path: Path, point: str
) -> None:
    home = killed(whole, tmp_path, point)
    begun = point != "states gone, not journaled yet"
    if point in READ:
        with shoal.open(home) as shop:
            with pytest.raises(UsageError, match="knows no customer"):
                shop.customer(HER)
            assert HER not in shop.features()["customer_id"].to_pylist()
            assert HER not in shop.memberships()["customer_id"].to_pylist()
    with shoal.open(home) as shop:
        shop.compact()
        if not begun:
            assert shop.customer(HER)["customer_id"] == HER
            shop.forget([HER])
            shop.compact()
    assert remains(home) == uninterrupted
    assert list(strays(home)) == []
    for mark in MARKS:
        assert places(home, mark) == [], mark


def test_readers_go_on_while_it_is_unfinished(whole: Path, tmp_path: Path) -> None:
    home = killed(whole, tmp_path, "quarantine written anew, not counted")
    assert not list((home / "quarantine").glob("*.parquet"))  # it held her row alone
    with shoal.open(home) as shop, shoal.open(home) as other, other._parts.store.lease():
        assert shop.quarantine().as_document()["rows"] == 0
        shop.quality()
        shop.report()
        assert shop.identity("c3")["customer_id"] == "c3"
        assert shop.person("c3")["quarantined"] == []
        shop.reconcile()
        assert shop.consents().num_rows == 0
        for read in (shop.identity, shop.person):
            with pytest.raises(UsageError, match="knows no"):
                read(HER)
        assert other._parts.store.erasures.pending()


def test_who_forgets_again_is_given_both_receipts(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = killed(whole, tmp_path, "events gone")
    assert run(["forget", str(home), HER, "--yes"]) == 0
    said = capsys.readouterr()
    assert "Finished first" in said.out
    assert "Receipt 1" in said.out
    assert "Receipt 2" in said.out
    assert f"no event told of {HER}" in said.err


@pytest.mark.parametrize("point", ["first artefact done", "receipt kept, not scrubbed"])
def test_who_finishes_it_is_told_the_receipt(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], point: str
) -> None:
    home = killed(whole, tmp_path, point)
    assert run(["compact", str(home), "--json"]) == 0
    line = json.loads(capsys.readouterr().err.splitlines()[0])
    assert "erasure that had been interrupted is finished: receipt 1" in line["message"]
    assert line["receipt"]["removed"]["events"] == 14


def test_whatever_writes_finishes_it(whole: Path, tmp_path: Path) -> None:
    rates, days = tmp_path / "rates.csv", tmp_path / "days.csv"
    rates.write_text("date,currency,rate\n2024-03-01,USD,0.9\n")
    days.write_text("date,warm\n2024-03-01,1\n")
    home = killed(whole, tmp_path, "journaled")
    (home / "shop.toml").write_text(
        (home / "shop.toml").read_text().replace('currency = ""', 'currency = "EUR"')
    )

    def lift(shop: shoal.Shop) -> None:
        assert shop.lift([HER]) == 2  # hers and her device's, of the erasure finished by now

    for n, verb in enumerate((
        lift,
        lambda shop: shop.load_rates(rates, base=""),
        lambda shop: shop.load_covariates(days, name="w"),
    )):  # fmt: skip
        copy = Path(shutil.copytree(home, tmp_path / str(n)))
        with shoal.open(copy) as shop:
            verb(shop)
            assert shop._parts.store.erasures.pending() == []
            assert len(shop.receipts()) == 1


def test_an_interrupt_says_that_it_is_unfinished(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(shutil.copytree(whole, tmp_path / "shop"))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, shoal.open(home) as shop:
        patch.setattr("shoal.workflows.forget.out_of_artefacts", interrupted)
        with pytest.raises(OperationError) as told:
            shop.forget([HER])
    assert told.value.code == "erasure_unfinished"
    assert "next command that writes" in told.value.hint
    with shoal.open(home) as shop:
        shop.compact()
        assert len(shop.receipts()) == 1
