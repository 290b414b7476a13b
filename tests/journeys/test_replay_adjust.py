"""Replay that adjusts: the same as the nightly job gave, on a log that grew day by day."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.config import AdjustConfig, Config, SegmentConfig, ShopConfig

START = datetime(2024, 3, 1, tzinfo=UTC)
CUTS = [datetime(2024, 4, day, tzinfo=UTC) for day in (8, 15, 22)]
KIND = ("books", "grocery", "fashion")
#: A challenger at the last cut, so that more than nudges are compared.
CONFIG = Config(
    shop=ShopConfig(buckets=2),
    segment=SegmentConfig(k=3, min_events=3),
    adjust=replace(AdjustConfig(), challenger_days=14.0),
)


def rows(since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Events of three kinds of customers; half of one kind shops otherwise from the second cut."""
    random = np.random.default_rng(4)
    found = []
    for number in range(60 * 70):
        customer = int(random.integers(120))
        day, minute = number // 70, int(random.integers(0, 60))
        when = START + timedelta(days=day, hours=int(random.integers(8, 20)), minutes=minute)
        moved = when >= CUTS[1] and customer % 6 == 0
        kind = 1 if moved else customer % 3
        found.append(
            {
                "event_id": f"e{number}", "customer_id": f"c{customer:03d}", "event_time": when,
                "kind": str(random.choice(["view", "cart_add", "purchase"], p=[0.5, 0.2, 0.3])),
                "category": KIND[kind], "item_id": f"i{kind}{int(random.integers(20))}",
                "price": int(random.integers(1, 60)), "quantity": 1,
                "currency": "EUR",
            }
        )  # fmt: skip
    return [row for row in found if since <= row["event_time"] < until]


def ingested(shop: Any, folder: Path, since: datetime, until: datetime) -> None:
    log = folder / f"{until:%Y%m%d}.jsonl"
    told = (json.dumps(one, default=datetime.isoformat) for one in rows(since, until))
    log.write_text("\n".join(told) + "\n")
    shop.ingest([log], preset="shoal")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that holds the whole log."""
    home = tmp_path_factory.mktemp("whole")
    with package.init(home / "shop", CONFIG) as shop:
        ingested(shop, home, START, CUTS[-1])
    return home / "shop"


@pytest.fixture(scope="module")
def replayed(whole: Path) -> list[Any]:
    """The cuts of a replay that adjusts."""
    with package.open(whole) as shop:
        return list(shop.replay(CUTS[0], CUTS[-1], every="7d", aim="style", adjust=True))


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[pa.Table, Any]]]:
    """Memberships and the document after each look of a shop whose log grew week by week."""
    home = tmp_path_factory.mktemp("nightly")
    found = []
    with package.init(home / "shop", CONFIG) as shop:
        ingested(shop, home, START, CUTS[0])
        shop.segment(until=CUTS[0], method="kmeans", aim="style")
        found.append((_members(shop, CUTS[0]), None))
        for before, now in itertools.pairwise(CUTS):
            ingested(shop, home, before, now)
            told = shop.adjust(as_of=now)
            found.append((_members(shop, now), told.as_document()))
    yield found


def _members(shop: Any, moment: datetime) -> pa.Table:
    return shop.memberships(as_of=moment, recorded=True).sort_by("customer_id")


def test_a_replay_adjusts_as_the_nightly_job_did(
    replayed: list[Any], nightly: list[tuple[pa.Table, Any]]
) -> None:
    for cut, (members, told) in zip(replayed, nightly, strict=True):
        mine = cut.memberships.sort_by("customer_id")
        for name in ("customer_id", "segment_id"):
            assert mine[name].to_pylist() == members[name].to_pylist(), (cut.as_of, name)
        if told is None:
            assert cut.adjusted is None
            continue
        actions = [one["action"] for one in told["adjustments"]]
        assert [one.action for one in cut.adjusted.adjustments] == actions
        assert len(cut.adjusted.alarms) == len(told["alarms"])


def test_something_was_looked_at_and_a_challenger_was_fitted(replayed: list[Any]) -> None:
    assert [cut.adjusted is not None for cut in replayed] == [False, True, True]
    told = [cut.adjusted.as_document() for cut in replayed[1:]]
    considered = [{one["action"] for one in look["considered"]} for look in told]
    assert "nudge" in considered[0]
    assert {"nudge", "refit"} <= considered[1]
    assert not any(look["blocked"] for look in told)


def test_ids_of_segments_are_permanent(replayed: list[Any]) -> None:
    """Who is still in a segment of the same id has been there since before."""
    for before, now in itertools.pairwise(replayed):
        was = dict(
            zip(before.memberships["customer_id"].to_pylist(),
                before.memberships["segment_id"].to_pylist(), strict=True)
        )  # fmt: skip
        for row in now.memberships.to_pylist():
            same = was.get(row["customer_id"]) == row["segment_id"]
            assert same == (row["since"] < now.as_of), row


def test_a_folder_goes_on_where_it_was(whole: Path, tmp_path: Path, replayed: list[Any]) -> None:
    """Cuts that are made again for what they leave lead to the same later ones."""
    out = tmp_path / "cuts"
    with package.open(whole) as shop:
        steps = {"every": "7d", "aim": "style", "adjust": True}
        shop.write_replay(out, CUTS[0], CUTS[-1], **steps)
        journal = json.loads((out / "replay.json").read_text())
        last = journal["cuts"].pop()
        (out / "replay.json").write_text(json.dumps(journal))
        written = (out / last["file"]).read_bytes()
        (out / last["file"]).unlink()
        made = shop.write_replay(out, CUTS[0], CUTS[-1], **steps)
    assert made.kept == len(CUTS) - 1
    assert (out / last["file"]).read_bytes() == written
    assert made.rows[-1]["adjusted"]["adjustments"]


def test_the_document_tells_alarms_and_adjustments_of_every_cut(
    whole: Path, shoal: Shoal, replayed: list[Any]
) -> None:
    answer = shoal(
        "replay", whole, "--from", "2024-04-08", "--to", "2024-04-15", "--aim", "style",
        "--adjust", "--json",
    )  # fmt: skip
    document = answer.document
    assert document["adjust"] is True and document["refit"] == "first"
    first, second = document["cuts"]
    assert first["adjusted"] is None
    assert {"alarms", "adjustments", "blocked", "changed", "moved"} <= second["adjusted"].keys()


@pytest.mark.parametrize("more", [("--refit", "each"), ("--method", "rfm")])
def test_what_cannot_adjust_is_refused(whole: Path, shoal: Shoal, more: tuple[str, str]) -> None:
    answer = shoal(
        "replay", whole, "--from", "2024-04-08", "--to", "2024-04-15", "--adjust", *more, "--json"
    )
    assert answer.code == 2
    assert answer.document["error"]["code"] == "usage"
