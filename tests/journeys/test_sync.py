"""The nightly job: once, twice, killed anywhere, nothing new, a bad source, two at once."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests import forked
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.adapters.sql import SqlStateStore
from shoal.workflows.sync_journal import Journal, Run

START = datetime(2024, 1, 1, tzinfo=UTC)
KINDS = ("books", "grocery", "fashion")
#: Days of the log that each night's file begins with, and its end.
NIGHTS = (0, 90, 117, 124)


def row(random: np.random.Generator, number: int, place: int, day: int) -> dict[str, Any]:
    """An event of a customer of one of three kinds; a quarter are of another kind later."""
    kind = (number + (day >= NIGHTS[1] and number % 4 == 0)) % 3
    return {
        "event_id": f"{number}-{place}", "customer_id": f"c{number:03d}",
        "kind": str(random.choice(["view", "cart_add", "purchase"], p=[0.5, 0.2, 0.3])),
        "event_time": START + timedelta(days=day, hours=(2, 10, 19)[kind]),
        "item_id": f"i{kind}{int(random.integers(9))}", "category": KINDS[kind],
        "price": float(random.integers(1, 60)), "quantity": 1, "currency": "EUR",
    }  # fmt: skip


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Files of three nights, and a shop that was synced with the first one."""
    random = np.random.default_rng(5)
    rows = [
        row(random, number, place, int(random.integers(NIGHTS[-1])))
        for number in range(120)
        for place in range(int(random.integers(8, 16)))
    ]
    home = tmp_path_factory.mktemp("sync")
    for night, (first, last) in enumerate(pairwise(NIGHTS)):
        own = [
            row
            for row in rows
            if START + timedelta(days=first) <= row["event_time"] < START + timedelta(days=last)
        ]
        pq.write_table(pa.Table.from_pylist(own), home / f"night-{night}.parquet")
    with package.init(home / "shop") as made:
        made.ingest([home / "night-0.parquet"], preset="shoal")
        made.segment(k=3, aim="style")
        synced = made.sync(
            home / "night-0.parquet", preset="shoal", export=home / "lists", adjust=False
        )
        assert synced.document["run"] == "sync-0001"
    yield home


@pytest.fixture
def night(home: Path, tmp_path: Path) -> Path:
    """A copy of the shop, with a folder of what came until the second night."""
    shutil.copytree(home / "shop", tmp_path / "shop")
    (tmp_path / "source").mkdir()
    for name in ("night-0.parquet", "night-1.parquet"):
        shutil.copy(home / name, tmp_path / "source" / name)
    return tmp_path


def synced(night: Path, **changes: Any) -> Any:
    """One sync of the copy."""
    asked = {"preset": "shoal", "export": night / "lists", "adjust": False, **changes}
    with package.open(night / "shop") as opened:
        return opened.sync(night / "source", **asked)


def held(night: Path) -> dict[str, Any]:
    """Everything that a shop holds, without times of the clock."""
    with package.open(night / "shop") as opened:
        parts = opened._parts
        events = parts.engine.run(
            "SELECT * FROM events ORDER BY event_key", {"events": parts.warehouse.events()}
        )
        found = {
            "events": events.drop_columns(["received_at"]).to_pylist(),
            "memberships": opened.memberships(recorded=True).to_pylist(),
            "history": parts.store.membership_history().num_rows,
            "states": [batch.to_pylist() for batch in parts.store.iter_states()],
            "versions": opened.versions()["versions"],
            "exports": [{**one, "made_at": None} for one in opened.exports()],
            "runs": [{**one, "began": None, "finished": None} for one in opened.syncs()["runs"]],
            "under_way": opened.syncs()["under_way"],
            "movement": opened.last_movement().as_document(),
        }
    lists = sorted((night / "lists").glob("*"))
    return json.loads(
        json.dumps(
            {**found, "lists": {one.name: one.read_text() for one in lists}}, default=str
        ).replace(str(night), "NIGHT")
    )


def test_a_night_is_done_and_told(night: Path) -> None:
    found = synced(night)
    document = found.as_document()
    assert (document["schema"], document["run"]) == ("shoal.sync/1", "sync-0002")
    steps = document["steps"]
    assert list(steps) == ["ingest", "segments", "memberships", "adjust", "lists"]
    came = pq.read_metadata(night / "source" / "night-1.parquet").num_rows
    assert (steps["ingest"]["files"], steps["ingest"]["events"]) == (1, came)
    assert steps["memberships"]["changed"] > 0
    assert steps["adjust"] == {"skipped": "not asked for"}
    assert {one["segment_id"] for one in steps["lists"]["lists"]} <= {"s01", "s02", "s03"}
    assert found.movement.as_document()["customers"]["moved"] > 0
    assert not found.waiting


def test_lists_are_the_differences(night: Path) -> None:
    """Who was on the first lists, with who entered and without who left, is who is there now."""
    with package.open(night / "shop") as opened:
        before = {
            one["segment_id"]: set(_column(Path(one["path"]), "customer_id"))
            for one in opened.exports()
        }
    found = synced(night)
    for one in found.document["steps"]["lists"]["lists"]:
        entered = set(_column(Path(one["path"]), "customer_id", change="entered"))
        exited = set(_column(Path(one["path"]), "customer_id", change="exited"))
        assert (len(entered), len(exited)) == (one["entered"], one["exited"])
        before[one["segment_id"]] = (before[one["segment_id"]] | entered) - exited
    with package.open(night / "shop") as opened:
        now = opened.memberships(recorded=True)
    for segment_id, customers in before.items():
        rows = zip(now["customer_id"].to_pylist(), now["segment_id"].to_pylist(), strict=True)
        assert customers == {one for one, segment in rows if segment == segment_id}


def _column(path: Path, name: str, change: str = "entered") -> list[str]:
    import csv

    with path.open(newline="") as file:
        return [row[name] for row in csv.DictReader(file) if row["change"] == change]


def test_the_second_time_nothing_is_changed_and_it_says_so(night: Path) -> None:
    synced(night)
    before = held(night)
    again = synced(night)
    assert again.quiet
    assert again.document["headline"].startswith("nothing new since sync-0002")
    assert held(night) == before
    with package.open(night / "shop") as opened:
        assert opened.syncs()["checked"]["run"] == "sync-0002"


def test_another_call_with_the_same_data_is_not_the_same(night: Path) -> None:
    synced(night)
    again = synced(night, to="crm")
    assert not again.quiet
    assert [one["exited"] for one in again.document["steps"]["lists"]["lists"]] == [0, 0, 0]


@pytest.fixture(scope="module")
def whole(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is held after a second night that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(home / "shop", folder / "shop")
    (folder / "source").mkdir()
    for name in ("night-0.parquet", "night-1.parquet"):
        shutil.copy(home / name, folder / "source" / name)
    synced(folder)
    return held(folder)


@pytest.mark.parametrize("place", range(7))
def test_killed_after_any_step_it_ends_as_if_it_had_not_been(
    night: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    kept, real = [], Journal.keep

    def keep(self: Journal, run: Run) -> Run:
        done = real(self, run)
        kept.append(list(run.done))
        if len(kept) == place + 1:
            raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "keep", keep)
        with pytest.raises(Killed):
            synced(night)
    assert not synced(night).quiet
    found = held(night)
    for name, one in found.items():
        assert one == whole[name], name
    assert synced(night).quiet


@pytest.mark.parametrize(
    "point", ["memberships recorded", "a list placed", "a list recorded", "run recorded"]
)
def test_killed_within_a_step_it_goes_on(night: Path, point: str) -> None:
    done = forked.run("tests.journeys.killed_sync", night, point)
    assert done.returncode == -signal.SIGKILL, done.stderr
    again = synced(night)
    assert again.quiet == (point == "run recorded")
    found = held(night)
    assert [one["run"] for one in found["runs"]] == ["sync-0001", "sync-0002"]
    assert found["under_way"] is None
    told = [one["path"] for one in found["exports"]]
    assert len(told) == len(set(told)) == len(found["lists"]) + 3
    assert synced(night).quiet


def test_more_that_comes_to_a_run_under_way_is_done_too(
    home: Path, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lists(self: object, stem: str) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("shoal.shop.sync._Doors.lists", lists)
        with pytest.raises(Killed):
            synced(night)
    shutil.copy(home / "night-2.parquet", night / "source")
    found = synced(night)
    assert found.document["attempts"] == 2
    assert found.document["steps"]["ingest"]["files"] == 2
    assert {Path(one["path"]).name[:11] for one in found.document["steps"]["lists"]["lists"]} == {
        "sync-0002-2"
    }


def test_a_bad_source_leaves_everything_as_it_was(night: Path, shoal: Shoal) -> None:
    before = held(night)
    (night / "bad.csv").write_text("this,is\nno,log\n")
    for source, code in ((night / "none", "input_missing"), (night / "bad.csv", "unknown_columns")):
        answer = shoal("sync", night / "shop", source, "--preset", "shoal", "--json")
        assert (answer.code, answer.error["code"]) == (3, code)
    (night / "empty").mkdir()
    answer = shoal("sync", night / "shop", night / "empty", "--preset", "shoal", "--json")
    assert answer.code == 3
    assert held(night) == before
    told = shoal("syncs", night / "shop", "--json").document
    assert (told["failed"]["step"], told["under_way"]) == ("ingest", None)
    assert "Last failed at" in shoal("syncs", night / "shop").out
    synced(night)
    assert shoal("syncs", night / "shop", "--json").document["failed"] is None


def test_one_at_a_time(night: Path, shoal: Shoal) -> None:
    other = SqlStateStore(f"sqlite:///{night / 'shop' / 'shop.sqlite'}")
    with other.lease():
        answer = shoal("sync", night / "shop", night / "source", "--preset", "shoal", "--json")
    other.close()
    assert (answer.code, answer.error["code"]) == (1, "shop_locked")
    assert "has been writing to the shop since 20" in answer.error["message"]


def test_a_segment_that_is_gone_leaves_the_destination(night: Path) -> None:
    with package.open(night / "shop") as opened:
        opened.segment(k=2, aim="style", until="2024-04-20")
        ids = {one["segment_id"] for one in opened.segments()["segments"]}
    found = synced(night)
    gone = [
        one for one in found.document["steps"]["lists"]["lists"] if one["segment_id"] not in ids
    ]
    assert gone
    assert all(one["entered"] == 0 < one["exited"] for one in gone)
    assert synced(night).quiet


def test_a_shop_with_too_few_customers_goes_on_without_segments(
    tmp_path: Path, shoal: Shoal
) -> None:
    rows = [
        {"event_id": "1", "customer_id": "c1", "kind": "view", "event_time": START, "item_id": "i"}
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "one.parquet")
    shoal("init", tmp_path / "shop")
    call = ("sync", tmp_path / "shop", tmp_path / "one.parquet", "--preset", "shoal")
    answer = shoal(*call, "--json", "--export", tmp_path / "lists")
    assert answer.code == 0
    steps = answer.document["steps"]
    assert steps["segments"]["made"] is None
    assert steps["lists"] == steps["adjust"] == {"skipped": "no segments yet"}
    assert "nothing new since sync-0001" in shoal(*call, "--export", tmp_path / "lists").out


def test_for_people_and_schedulers(night: Path, shoal: Shoal) -> None:
    call = ("sync", night / "shop", night / "source", "--preset", "shoal", "--no-adjust")
    answer = shoal(*call, "--lang", "zh", "--export", night / "lists")
    assert answer.code == 0
    assert "sync-0002:" in answer.out
    assert "更换了分群" in answer.out
    shown = shoal("syncs", night / "shop").out
    assert "sync-0002" in shown
    answer = shoal(*call, "--format", "sql", "--export", night / "lists", "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    answer = shoal(*call, "--lang", "fr", "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    with package.open(night / "shop") as opened:  # somebody has to approve something
        opened._parts.store.put_setting("adjust.pending", "look-0001")
    answer = shoal(*call, "--export", night / "lists", "--json")
    assert (answer.code, answer.document["waiting"]) == (4, "look-0001")


def test_movement_of_late(night: Path, shoal: Shoal) -> None:
    synced(night)
    found = shoal("movement", night / "shop", "--json").document
    assert found["schema"] == "shoal.movement_report/1"
    for one in found["segments"]:
        assert one["then"] + one["arrived"] + one["behaviour"] + one["model"] == one["now"]
    proper = [one for one in found["flows"] if "new" not in (one["from"], one["to"])]
    assert sum(one["customers"] for one in proper) == found["customers"]["moved"]
    told = {name: found["stake"][name]["customers"] for name in ("down", "up", "level")}
    assert sum(told.values()) == found["customers"]["moved"]
    assert "changed segment" in shoal("movement", night / "shop").out
    assert "更换了分群" in shoal("movement", night / "shop", "--lang", "zh").out
    answer = shoal("movement", night / "shop", "--since", "2025-01-01", "--json")
    assert (answer.code, answer.error["code"]) == (2, "bad_period")


def test_a_week_begins_where_a_run_ended(home: Path, night: Path) -> None:
    before = synced(night).document["as_of"]
    shutil.copy(home / "night-2.parquet", night / "source")
    found = synced(night)
    assert found.movement.as_document()["since"] == before
    changed = found.movement.as_document()["causes"]["changes"]
    assert sum(changed.values()) == found.document["steps"]["memberships"]["changed"]


def test_who_is_forgotten_is_in_no_report(night: Path) -> None:
    synced(night)
    with package.open(night / "shop") as opened:
        first = opened.last_movement().as_document()["first"]
        assert first
        name = first[0]["customer_id"]
        opened.forget([name])
        left = opened.last_movement().as_document()["first"]
    assert name not in json.dumps(left)
    assert len(left) == len(first) - 1
