"""Probing a small shop: what is told, what is honest, and what bad input gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.models import Shop, publish

import shoal
from shoal.cli.main import run
from shoal.config import Config, ShopConfig
from shoal.domain.errors import InputError, UsageError
from shoal.domain.time import iso, parse_moment
from shoal.workflows import rests_on as workflow
from shoal.workflows.embed import current

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 80
CUT = START + timedelta(days=50)
TASKS = ("purchase", "spend", "orders", "category")


def rows(customers: int = 150, days: int = DAYS) -> Iterator[dict]:
    """Even customers buy lamps now and then, odd ones look at books all the time."""
    rng = np.random.default_rng(0)
    for number in range(customers):
        buys = number % 2 == 0
        for place in range(int(rng.integers(4, 24))):
            kind = "purchase" if buys and rng.random() < 0.4 else "view"
            item = int(rng.integers(8)) * 2 + (number % 2 if rng.random() < 0.9 else 0)
            yield {
                "event_id": f"e{number}-{place}",
                "customer_id": f"c{number:03d}",
                "kind": kind,
                "event_time": START + timedelta(days=float(rng.random()) * days),
                "item_id": f"i{item}",
                "category": ("home/lamps", "media/books")[item % 2],
                "title": f"{('lamp', 'book')[item % 2]} {item}",
                "price": float(5 + item),
                "currency": "EUR",
                "quantity": 1,
                "order_id": f"o{number}-{place}" if kind == "purchase" else None,
            }


def made(home: Path, events: Iterator[dict]) -> Shop:
    pq.write_table(pa.Table.from_pylist(list(events)), home / "events.parquet")
    shop = shoal.init(home / "shop", Config(shop=ShopConfig(buckets=4)))
    shop.ingest([home / "events.parquet"], preset="shoal")
    return shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with made(tmp_path_factory.mktemp("probe"), rows()) as opened:
        publish(opened, until=CUT)
        yield opened


@pytest.fixture(scope="module")
def whole(shop: Shop) -> dict[str, Any]:
    return shop.probe(horizon_days=20)


def test_every_task_is_asked_of_customers_not_learned(whole: dict[str, Any]) -> None:
    told = whole["foretelling"]
    assert told["learned"] + told["asked"] == told["customers"] > 100
    assert [one["task"] for one in told["tasks"]] == list(TASKS)
    assert told["skipped"] == []
    for task in told["tasks"]:
        inputs = [one["inputs"] for one in task["results"]]
        assert inputs == ["features", "embedding", "features + embedding"] * 2
        assert all(
            (one["gain"] is None) == (one["inputs"] == "features") for one in task["results"]
        )
    buyers = next(one for one in told["tasks"] if one["task"] == "purchase")["results"]
    assert buyers[0]["auroc"]["low"] > 0.6  # whoever bought before buys again
    categories = next(one for one in told["tasks"] if one["task"] == "category")
    assert set(categories["classes"]) == {"home", "media"}
    assert categories["results"][0]["accuracy"]["low"] > 0.8


def test_the_document_is_json_without_nan_and_whole(whole: dict[str, Any]) -> None:
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    assert whole["schema"] == "shoal.probe/1"
    assert whole["customer"] is None and whole["item"] is None
    shape = whole["shape"]
    assert shape["customers"] == 150 and shape["dimensions"] == 8
    assert 0 < shape["effective_rank"] <= 8
    items = whole["items"]
    assert items["known"] == 16
    assert items["same_category"]["share"] > items["same_category"]["chance"]


def test_a_window_that_the_model_has_seen_is_marked(shop: Shop, whole: dict[str, Any]) -> None:
    told = whole["foretelling"]
    assert parse_moment(told["to"]) - parse_moment(told["from"]) == timedelta(days=20)
    assert parse_moment(whole["trained_until"]) == CUT < parse_moment(told["from"])
    assert told["seen_in_training"] is False and whole["warnings"] == []
    late = shop.probe(as_of=CUT + timedelta(days=3), horizon_days=10)
    assert late["foretelling"]["seen_in_training"] is True
    (warning,) = (one for one in late["warnings"] if "has seen the window" in one)
    assert f"shoal train SHOP --until {late['foretelling']['from']}" in warning


def test_nothing_after_the_moment_changes_an_answer(shop: Shop, tmp_path: Path) -> None:
    moment = START + timedelta(days=60)
    early = [row for row in rows() if row["event_time"] < moment]
    with made(tmp_path, iter(early)) as other:
        publish(other, until=CUT)
        known, then = (
            one.probe(as_of=moment, horizon_days=10)["foretelling"] for one in (shop, other)
        )
    assert known == then


def test_the_same_seed_gives_the_same_document(shop: Shop, whole: dict[str, Any]) -> None:
    assert shop.probe(horizon_days=20) == whole
    assert shop.probe(horizon_days=20, seed=1)["foretelling"] != whole["foretelling"]


def test_a_customer_is_told_event_by_event(shop: Shop) -> None:
    document = shop.probe(customer="c007")
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["foretelling"] is document["shape"] is document["items"] is None
    told = document["customer"]
    own = sorted(
        (row for row in rows() if row["customer_id"] == "c007"), key=lambda row: row["event_time"]
    )
    events = told["rests_on"]["events"]
    assert told["events"] == len(events) == len(own)
    assert [one["time"] for one in events] == [iso(row["event_time"]) for row in own]
    for name in ("kind", "item_id", "title", "category"):
        assert [one[name] for one in events] == [row[name] for row in own]
    assert all(one["occlusion"] >= 0 and one["gradient"] >= 0 for one in events)
    assert max(one["occlusion"] for one in events) > 0
    fields = told["rests_on"]["fields"]
    assert list(fields.values()) == sorted(fields.values(), reverse=True)
    assert {"kind", "item", "category", "price", "time", "text"} <= set(fields)
    near = told["nearest"]
    assert len(near) == 10 and "c007" not in {one["customer_id"] for one in near}
    assert [one["cosine"] for one in near] == sorted((one["cosine"] for one in near), reverse=True)
    assert near[0]["top_category"] in ("home", "media") and near[0]["events"] > 0


def test_what_is_left_out_is_the_event_that_is_told(shop: Shop) -> None:
    """Occlusion of the last event is the distance to the embedding just before it."""
    own = [row for row in rows() if row["customer_id"] == "c008"]
    last = max(row["event_time"] for row in own)
    parts = shop._parts
    found = current(parts.store, parts.registry)

    def seen(cut: datetime) -> Any:
        return workflow.rests_on(parts.admission.at(cut), found, parts.fold.rules, cut, ["c008"])[
            "c008"
        ]

    now, before = seen(last + timedelta(microseconds=1)), seen(last)
    unit = [np.array(one.embedding) / np.linalg.norm(one.embedding) for one in (now, before)]
    assert now.total == before.total + 1
    assert now.events[-1].moment == last
    # a microsecond of silence apart
    assert now.events[-1].occlusion == pytest.approx(np.linalg.norm(unit[0] - unit[1]), abs=1e-4)


def test_the_nearest_items_of_one_are_told_with_their_words(shop: Shop) -> None:
    told = shop.probe(item="i3")["item"]
    assert (told["title"], told["category"]) == ("book 3", "media/books")
    assert len(told["nearest"]) == 10
    assert "i3" not in {one["item_id"] for one in told["nearest"]}
    assert all(one["title"].split()[1] == one["item_id"][1:] for one in told["nearest"])


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ({"customer": "nobody"}, "unknown_customer", "no customer 'nobody'"),
        ({"customer": "c007", "as_of": START}, "unknown_customer", "before 2024-01-01"),
        ({"item": "nothing"}, "unknown_item", "knows no item 'nothing'"),
        ({"model": "behaviour-9999"}, "unknown_model", "behaviour-9999"),
        ({"horizon_days": 60}, "bad_period", "60 days"),
        ({"horizon_days": 0}, "bad_period", "0 days"),
    ],
)
def test_what_cannot_be_is_told(shop: Shop, call: dict, code: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        shop.probe(**call)
    assert raised.value.code == code


def test_a_log_too_short_is_told_with_what_is_needed(tmp_path: Path) -> None:
    with made(tmp_path, rows(60, days=15)) as short:
        with pytest.raises(UsageError, match="no behaviour model") as missing:
            short.probe()
        assert missing.value.code == "unknown_model"
        publish(short)
        with pytest.raises(InputError, match="spans 15 days") as raised:
            short.probe()
        assert raised.value.code == "too_little_data"
        assert "28 days or more" in raised.value.hint
        assert short.probe(customer="c001")["customer"]["events"] > 0


def test_too_few_customers_are_told_with_their_number(tmp_path: Path) -> None:
    with made(tmp_path, rows(12)) as small:
        publish(small)
        with pytest.raises(InputError, match="customers have an event before") as raised:
            small.probe()
        assert "40 or more" in raised.value.hint


def test_what_too_few_have_is_not_asked_and_said(shop: Shop) -> None:
    document = shop.probe(as_of=START + timedelta(days=60), horizon_days=1)
    told = document["foretelling"]
    skipped = {one["task"] for one in told["skipped"]}
    assert {"purchase", "spend", "orders"} <= skipped
    assert skipped.isdisjoint(one["task"] for one in told["tasks"])
    assert any(one.startswith("spend was not asked: ") for one in document["warnings"])


def test_the_command_line_says_the_same(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    where = str(shop.directory)
    assert run(["probe", where, "--customer", "c007", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == shop.probe(customer="c007")
    assert run(["probe", where, "--horizon-days", "20"]) == 0
    said = capsys.readouterr().out
    assert "effective rank" in said and "against features" in said
    assert run(["probe", where, "--item", "i3"]) == 0
    assert "book" in capsys.readouterr().out
    assert run(["probe", where, "--customer", "c007"]) == 0
    assert "Nearest customers" in capsys.readouterr().out
    assert run(["probe", where, "--customer", "nobody", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unknown_customer"


def test_the_report_shows_the_model_of_a_shop_that_has_one(shop: Shop, tmp_path: Path) -> None:
    shop.segment(k=2, on="features")
    page = shop.report(out=tmp_path / "with.html").read_text(encoding="utf-8")
    assert "What the model sees" in page and 'id="plot-model-1"' in page
    assert shop.report(out=tmp_path / "again.html").read_bytes().count(b'class="stem"') == (
        page.count('class="stem"')
    )
    weights = shop.directory / "artefacts" / "model" / "behaviour-0001" / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        damaged = shop.report(out=tmp_path / "damaged.html").read_text(encoding="utf-8")
    finally:
        weights.write_bytes(whole)
    assert "could not be used" in damaged and 'id="plot-model-1"' not in damaged
