"""Embedding all customers of a shop: who is there, as of when, in what order, after a kill."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.models import Shop, publish

import shoal
from shoal.cli.main import run
from shoal.config import Config, ShopConfig
from shoal.domain.errors import InputError, OperationError, UsageError
from shoal.domain.time import iso
from shoal.workflows import embed as workflow
from shoal.workflows.embed import current, embeddings, tokenizer_of
from shoal.workflows.embed_files import write_embeddings

START = datetime(2024, 1, 1, tzinfo=UTC)
CUT = START + timedelta(days=40)
KINDS = ("view", "view", "cart_add", "purchase", "search")


def rows(customers: int, seed: int = 0) -> Iterator[dict]:
    """Customers of 1 to 40 events over 60 days; every tenth comes after the cut-off alone."""
    rng = np.random.default_rng(seed)
    for number in range(customers):
        first = 41 if number % 10 == 9 else 0
        for place in range(int(rng.integers(1, 40))):
            item = int(rng.integers(30))
            kind = str(rng.choice(KINDS))
            about = kind != "search"
            yield {
                "event_id": f"e{number}-{place}",
                "customer_id": f"c{(number * 7919) % 10_000:04d}",
                "kind": kind,
                "event_time": START + timedelta(days=first + float(rng.random()) * (60 - first)),
                "item_id": f"i{item}" if about else None,
                "category": f"a/{item % 4}" if about else None,
                "title": f"lamp {item}" if about else None,
                "query": None if about else "红色 lamp",
                "price": float(1 + item) if about else None,
                "currency": "EUR" if about else None,
                "quantity": 1 if about else None,
            }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("embed")
    pq.write_table(pa.Table.from_pylist(list(rows(80))), home / "events.parquet")
    with shoal.init(home / "shop", Config(shop=ShopConfig(buckets=4))) as opened:
        opened.ingest([home / "events.parquet"], preset="shoal")
        publish(opened, until=CUT)
        yield opened


def values(table: pa.Table) -> np.ndarray:
    """(n, d) numbers of a table of embeddings."""
    return np.stack([table[name].to_numpy() for name in table.column_names[1:]], axis=1)


def written(shop: Shop, out: Path, **options: object) -> object:
    parts = shop._parts
    return write_embeddings(
        warehouse=parts.warehouse, store=parts.store, registry=parts.registry,
        rules=parts.fold.rules, admission=parts.admission, work_dir=shop.directory / "work",
        out=out, **{"as_of": CUT, **options},
    )  # fmt: skip


def test_a_row_for_every_customer_with_an_event_before_the_moment_sorted(shop: Shop) -> None:
    table = shop.embed(as_of=CUT)
    before = {row["customer_id"] for row in rows(80) if row["event_time"] < CUT}
    assert table["customer_id"].to_pylist() == sorted(before)
    assert 60 < table.num_rows < 80
    assert table.column_names == ["customer_id", *(f"e{n}" for n in range(8))]
    assert {field.type for field in table.schema}.issuperset({pa.float32()})
    assert np.isfinite(values(table)).all()
    metadata = table.schema.metadata
    assert metadata[workflow.AS_OF_KEY].decode() == iso(CUT)
    assert metadata[workflow.MODEL_KEY] == b"behaviour-0001"


def test_nothing_after_the_moment_counts(shop: Shop, tmp_path: Path) -> None:
    past = [row for row in rows(80) if row["event_time"] < CUT]
    pq.write_table(pa.Table.from_pylist(past), tmp_path / "past.parquet")
    with shoal.init(tmp_path / "shop", Config(shop=ShopConfig(buckets=8))) as other:
        other.ingest([tmp_path / "past.parquet"], preset="shoal")
        parts, found = other._parts, current(shop._parts.store, shop._parts.registry)
        then = embeddings(parts.admission.at(CUT), found, parts.fold.rules, CUT)
    now = shop.embed(as_of=CUT)
    assert now["customer_id"].equals(then["customer_id"])
    # other buckets are other batches: the same to rounding
    np.testing.assert_allclose(values(now), values(then), atol=1e-5)


def test_silence_moves_an_embedding_and_a_microsecond_does_not(shop: Shop) -> None:
    end = START + timedelta(days=60)
    now, soon, later = (
        values(shop.embed(as_of=end + wait))
        for wait in (timedelta(), timedelta(microseconds=1), timedelta(days=90))
    )
    np.testing.assert_allclose(now, soon, atol=1e-5)
    assert np.abs(now - later).max() > 1e-3


def test_some_customers_have_the_embeddings_that_they_have_among_all(shop: Shop) -> None:
    parts = shop._parts
    everyone = shop.embed(as_of=CUT)
    some = everyone["customer_id"].to_pylist()[3:9]
    found = embeddings(
        parts.admission.at(CUT), current(parts.store, parts.registry), parts.fold.rules, CUT,
        customers=[*some, "nobody"],
    )  # fmt: skip
    assert found["customer_id"].to_pylist() == some
    np.testing.assert_allclose(values(found), values(everyone)[3:9], atol=1e-5)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_the_file_is_the_table(shop: Shop, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"e.{ending}"
    told = shop.write_embeddings(out, as_of=CUT)
    table = pq.read_table(out) if ending == "parquet" else pa.ipc.open_file(out).read_all()
    expected = shop.embed(as_of=CUT)
    assert table.equals(expected)
    assert table.schema.metadata == expected.schema.metadata
    assert told.rows == table.num_rows
    assert not list((shop.directory / "work").glob("embedding-*"))
    assert [entry.name for entry in tmp_path.iterdir()] == [out.name]


def test_after_a_kill_finished_parts_are_used_again(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(shop, tmp_path / "whole.parquet", events_at_once=1)
    assert (whole.parts, whole.reused) == (4, 0)
    real, calls = workflow.Embedder.tables, 0

    def killed(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(workflow.Embedder, "tables", killed)
        with pytest.raises(KeyboardInterrupt):
            written(shop, tmp_path / "again.parquet", events_at_once=1)
    assert not (tmp_path / "again.parquet").exists()
    again = written(shop, tmp_path / "again.parquet", events_at_once=1)
    assert (again.parts, again.reused) == (4, 2)
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_parts_of_another_moment_are_not_used(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shoal.workflows.embed_files._Parts.into", _stop)
        with pytest.raises(KeyboardInterrupt):
            written(shop, tmp_path / "e.parquet")
    assert len(list((shop.directory / "work").glob("embedding-*"))) == 1
    other = written(shop, tmp_path / "e.parquet", as_of=CUT - timedelta(days=1))
    assert other.reused == 0
    assert not list((shop.directory / "work").glob("embedding-*"))


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_model_that_knows_the_future_is_told_of(
    shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = CUT - timedelta(days=10)
    assert written(shop, tmp_path / "e.parquet").warnings == ()
    told = written(shop, tmp_path / "e.parquet", as_of=before).warnings
    assert told[0].startswith("behaviour-0001 was trained until 2024-02-10T00:00:00Z, which is")
    with caplog.at_level(logging.WARNING, "shoal"):
        shop.embed(as_of=before)
    assert caplog.messages == list(told)


def test_without_a_model_a_person_is_told_how_to_make_one(tmp_path: Path) -> None:
    with shoal.init(tmp_path / "shop") as empty:
        with pytest.raises(UsageError, match="no behaviour model yet") as caught:
            empty.embed()
        assert "shoal train SHOP" in caught.value.hint


def test_bad_calls(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model 'behaviour-0009'"):
        shop.embed(model="behaviour-0009")
    with pytest.raises(UsageError, match=r"written as \.parquet or \.arrow, received 'e\.csv'"):
        shop.write_embeddings(tmp_path / "e.csv")
    with pytest.raises(InputError, match="no customer has an event before 2023-01-01"):
        shop.embed(as_of="2023-01-01")
    with pytest.raises(InputError, match="no customer has an event before 2023-01-01"):
        shop.write_embeddings(tmp_path / "e.parquet", as_of="2023-01-01")
    assert not list(tmp_path.iterdir())


def test_vocabularies_of_another_version_are_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = current(shop._parts.store, shop._parts.registry)
    assert tokenizer_of(found).to_document() == found.document["tokenizer"]
    monkeypatch.setattr(workflow, "TOKENS_VERSION", 99)
    with pytest.raises(OperationError, match="tells them as 99"):
        tokenizer_of(found)


def test_a_damaged_model_is_refused(shop: Shop) -> None:
    model_id = publish(shop, seed=5)
    weights = shop._parts.registry.directory("model", model_id) / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(data)
    with pytest.raises(OperationError, match=r"weights\.safetensors"):
        shop.embed(model=model_id)
    assert shop.embed(model="behaviour-0001").num_rows


@pytest.mark.usefixtures("shop")
def test_the_command_line(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "e.parquet"
    arguments = [str(shop.directory), "--out", str(out), "--as-of", "2024-02-01", "--model",
                 "behaviour-0001"]  # fmt: skip
    assert run(["embed", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["schema"] == "shoal.embed/1"
    assert (told["customers"], told["dimensions"]) == (pq.read_metadata(out).num_rows, 8)
    assert "it knows what was still to come" in told["warnings"][0]
    assert "it knows what was still to come" in captured.err
    assert run(["embed", *arguments]) == 0
    assert "customers, 8 numbers each, by behaviour-0001, in" in capsys.readouterr().out


def test_an_erasure_removes_parts_and_cleans_the_file(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "e.parquet"
    shop.write_embeddings(out, as_of=CUT, model="behaviour-0001")
    gone = pq.read_table(out)["customer_id"].to_pylist()[0]
    with monkeypatch.context() as patch:
        patch.setattr("shoal.workflows.embed_files._Parts.into", _stop)
        with pytest.raises(KeyboardInterrupt):
            written(shop, tmp_path / "other.parquet", model="behaviour-0001")
    shop.forget([gone])
    assert not list((shop.directory / "work").glob("embedding-*"))
    assert gone not in pq.read_table(out)["customer_id"].to_pylist()
    assert gone not in shop.embed(as_of=CUT, model="behaviour-0001")["customer_id"].to_pylist()
